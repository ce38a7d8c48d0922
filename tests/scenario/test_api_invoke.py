# SPDX-License-Identifier: Apache-2.0
"""Calls over HTTP from outside: by route, with streamed answers, and direct."""
import http.client
import re
import time

import pytest

import contract

HELLO = 'exports.handler = async (event) => ({ hello: event && event.name })'
ECHO = '''exports.handler = async (event) => ({
  statusCode: 201,
  headers: { 'content-type': 'application/octet-stream', 'X-Echo': event.requestContext.http.method,
             'x-call-id': 'mine', 'x-mayfly-error': 'mine' },
  cookies: ['a=1', 'b=2'],
  body: event.body, isBase64Encoded: event.isBase64Encoded })'''
SHOW = '''exports.handler = async (event) => ({ statusCode: 200, body: JSON.stringify(event),
  headers: { 'content-type': 'application/json' } })'''


# ---- calls by route ----

def test_a_call_by_route_gets_the_event_of_payload_format_2(org):
    org.deploy('show', SHOW, route='shop/v1')
    answer = org.route('POST', 'shop/v1/items/a%20b?x=1&y=%C3%A9&x=2&z', body=b'{"a":1}', headers={
        'Content-Type': 'application/json', 'Cookie': 'a=1; b=2', 'X-Twice': 'one'}).expect(200)
    event = answer.json()
    assert event['version'] == '2.0' and event['routeKey'] == '$default'
    assert event['rawPath'] == f'/api/org/{org.name}/shop/v1/items/a%20b'
    assert event['rawQueryString'] == 'x=1&y=%C3%A9&x=2&z'
    assert event['queryStringParameters'] == {'x': '1,2', 'y': 'é', 'z': ''}
    assert event['cookies'] == ['a=1', 'b=2'] and 'cookie' not in event['headers']
    assert event['headers']['x-twice'] == 'one'
    assert event['pathParameters'] == {'proxy': 'items/a b'}
    assert event['body'] == '{"a":1}' and event['isBase64Encoded'] is False
    context = event['requestContext']
    assert context['http']['method'] == 'POST' and context['http']['sourceIp'] == '127.0.0.1'
    assert context['requestId'] == answer.call_id
    assert (context['accountId'], context['apiId']) == (org.name, 'show')
    assert abs(context['timeEpoch'] / 1000 - time.time()) < 60


def test_every_method_and_any_bytes_go_through_and_come_back(org):
    org.deploy('echo', ECHO)
    data = bytes(range(256)) * 50
    for method in ('POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'):
        answer = org.route(method, 'echo', body=data).expect(201)
        assert answer.headers['x-echo'] == method
        assert answer.body == data
    assert org.route('GET', 'echo').expect(201).headers['x-echo'] == 'GET'
    head = org.route('HEAD', 'echo').expect(201)
    assert head.headers['x-echo'] == 'HEAD' and head.body == b''


def test_a_function_cannot_speak_for_the_platform(org):
    org.deploy('echo', ECHO)
    answer = org.route('GET', 'echo').expect(201)
    assert 'x-mayfly-error' not in answer.headers
    assert re.fullmatch('[0-9A-Z]{26}', answer.headers['x-call-id'])
    assert ('set-cookie', 'a=1') in answer.header_list and ('set-cookie', 'b=2') in \
        answer.header_list


def test_an_org_and_a_route_that_are_not_there_look_the_same(daemon, org):
    org.deploy('f', HELLO)
    client = daemon.client()
    answers = [client.get(path).expect(404) for path in (
        f'/api/org/{org.name}/g', '/api/org/no-such-org/f', f'/api/org/{org.name}/', '/api/org/',
        f'/api/org/{org.name}', f'/api/org/{org.name}/fx', f'/api/org/{org.name}/%zz')]
    assert len({answer.body for answer in answers}) == 1
    for answer in answers:
        contract.check_error(answer)


def test_the_longest_route_wins_and_an_encoded_name_is_the_same_name(org):
    org.deploy('a', 'exports.handler = async () => "a"', route='x')
    org.deploy('b', 'exports.handler = async () => "b"', route='x/y')
    assert [org.route('GET', path).text for path in ('x', 'x/z', 'x/y', 'x/y/z', '%78/%79')] == \
        ['a', 'a', 'b', 'b', 'b']


def test_an_error_of_the_function_has_the_call_id_and_the_blame(org):
    org.deploy('f', 'exports.handler = async () => { throw new TypeError("no luck") }')
    answer = org.route('GET', 'f').expect(502)
    contract.check_error(answer)
    body = answer.json()
    assert body['code'] == 'function_error' and 'no luck' in body['message']
    assert body['call_id'] == answer.call_id
    assert answer.headers['x-mayfly-error'] == 'function_error'
    record = org.record(answer.call_id)
    assert (record['status'], record['code'], record['trigger']) == (502, 'function_error', 'http')


def test_a_body_above_the_functions_limit_is_413(org):
    org.deploy('f', HELLO, limits={'request_bytes': 1000})
    org.route('POST', 'f', body=b'x' * 1000).expect(200)
    assert org.route('POST', 'f', body=b'x' * 1001).expect(413).code == 'request_too_large'
    assert org.client.send('POST', f'{org.path}/functions/f/calls',
                           body=b'"' + b'x' * 1000 + b'"').expect(413).code == 'request_too_large'


# ---- streamed answers ----

STREAM = '''const { Readable } = require('stream')
exports.handler = async (event) => {
  const query = event.queryStringParameters || {}
  async function * pieces () {
    for (let i = 0; i < Number(query.n); i++) {
      if (query.breaks && i === 3) throw new Error('broken off')
      yield Buffer.alloc(Number(query.size || 10), 97 + i % 26)
      await new Promise((done) => setTimeout(done, Number(query.ms || 0)))
    }
  }
  return { statusCode: 200, headers: { 'content-type': 'text/plain' }, body: Readable.from(pieces()) }
}'''


def test_a_streamed_answer_arrives_while_it_is_made(org):
    org.deploy('f', STREAM)
    started = time.monotonic()
    connection, response = org.daemon.client().open('GET', f'/api/org/{org.name}/f?n=4&ms=500')
    assert response.status == 200 and response.getheader('x-call-id')
    assert response.read(10) == b'a' * 10
    first = time.monotonic() - started
    assert response.read() == b'b' * 10 + b'c' * 10 + b'd' * 10
    assert time.monotonic() - started - first >= 1
    connection.close()


def test_an_answer_that_breaks_off_is_seen_to_break_off(org):
    org.deploy('f', STREAM)
    connection, response = org.daemon.client().open('GET', f'/api/org/{org.name}/f?n=9&ms=50&breaks=1')
    assert response.status == 200
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        response.read()
    connection.close()
    record = org.record(response.getheader('x-call-id'))
    assert record['code'] == 'function_error'


def memory_of(daemon):
    status = open(f'/proc/{daemon.process.pid}/status').read()
    return int(re.search(r'^VmRSS:\s+(\d+) kB', status, re.M)[1]) << 10


def test_a_slow_client_holds_the_function_back_and_not_its_bytes(org):
    org.deploy('f', STREAM, limits={'answer_bytes': 100 << 20, 'cpu_ms': 60000})
    before = memory_of(org.daemon)
    size, n = 1 << 16, 1024
    connection, response = org.daemon.client().open(
        'GET', f'/api/org/{org.name}/f?n={n}&size={size}')
    assert len(response.read(1000)) == 1000
    time.sleep(1.5)
    path = f'{org.path}/calls/{response.getheader("x-call-id")}'
    assert org.client.get(path).expect(200).json()['state'] == 'running'
    # A sanitizer keeps what was freed for a while.
    is_exact = 'libasan' not in open(f'/proc/{org.daemon.process.pid}/maps').read()
    assert not is_exact or memory_of(org.daemon) - before < 16 << 20
    assert len(response.read()) == n * size - 1000
    connection.close()


def test_a_client_that_leaves_a_stream_ends_its_call(org):
    org.deploy('f', STREAM)
    connection, response = org.daemon.client().open('GET', f'/api/org/{org.name}/f?n=1000&ms=50')
    response.read(10)
    connection.close()
    response.close()
    assert org.record(response.getheader('x-call-id'))['code'] == 'cancelled'


# ---- direct calls ----

@pytest.mark.parametrize('event', [None, True, 0, -1.5e10, 'text', [], {}, {'a': [1, {'b': 'é\n'}]}])
def test_a_direct_call_takes_any_json(org, event):
    org.deploy('f', 'exports.handler = async (event) => ({ got: event === undefined ? null : event })')
    answer = org.call('f', event).expect(200)
    assert answer.json() == {'got': event}
    assert answer.headers['content-type'] == 'application/json'


@pytest.mark.parametrize('body', [b'{', b'tru', b'01', b'1 2', b"'a'", b'"\x01"', b'"\xff"', b'[1,]',
                                  b'{"a"}', b'\xef\xbb\xbf1', b'[' * 600 + b']' * 600])
def test_a_direct_call_with_something_else_is_400_and_no_call(org, body):
    org.deploy('f', HELLO)
    answer = org.client.send('POST', f'{org.path}/functions/f/calls', body=body).expect(400)
    assert answer.code == 'invalid_argument' and 'call_id' not in answer.json()
    assert org.client.get(f'{org.path}/calls').json()['calls'] == []
