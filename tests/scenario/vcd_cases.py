# SPDX-License-Identifier: Apache-2.0
"""vcd_cases - what mayfly owes a cell of vCloud Director, whatever carries its requests.

A test of a transport imports all of it, and has the fixtures `cell` and `front`: the org `acme` with
the functions of FUNCTIONS behind it, three calls at one time, seven seconds for an answer.
"""
import concurrent.futures
import http.client
import time
import uuid

import pytest

import mayfly

ECHO = '''exports.handler = async (event) => ({ statusCode: 201,
  headers: { 'content-type': 'application/json', 'x-mine': 'yes' },
  body: JSON.stringify({ method: event.requestContext.http.method, path: event.rawPath,
    query: event.rawQueryString, body: event.isBase64Encoded
      ? Buffer.from(event.body, 'base64').toString() : event.body,
    user: event.headers['x-vcloud-user'], org: event.headers['x-vcloud-org'],
    rights: event.headers['x-vcloud-rights'], names: Object.keys(event.headers), proxy: event.pathParameters?.proxy }) })'''
SLOW = 'exports.handler = () => new Promise((done) => setTimeout(() => done("late"), 25000))'
KEEP = 'exports.handler = async (event) => { console.log(JSON.stringify(event)) }'
UUID = str(uuid.uuid4())
FUNCTIONS = {'echo': ECHO, 'slow': SLOW, 'keep': KEEP}
SETTINGS = ['vcd_calls = 3', 'vcd_timeout = 7s', f'vcd_orgs = {UUID}=acme, PSCoE=acme']
PATTERNS = [r'/api/org/[^/]+/(echo|slow|none).*']
SECRET = 'of the client at the cell'


def ask(cell, method, path, body=None, headers=None):
    connection = http.client.HTTPConnection('127.0.0.1', cell.port, timeout=60)
    connection.request(method, path, body=body, headers=headers or {})
    response = connection.getresponse()
    answer = mayfly.Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


@pytest.mark.parametrize('org', ['acme', UUID, UUID.upper(), f'urn:vcloud:org:{UUID}', 'pscoe'])
def test_a_request_to_the_cell_is_answered_by_the_function(cell, front, org):
    answer = ask(cell, 'POST', f'/api/org/{org}/echo/more?x=1', b'hello',
                 {'Content-Type': 'text/plain', 'X-VCloud-User': 'somebody else',
                  'Authorization': SECRET, 'X-vCloud-Authorization': SECRET,
                  'X-VMWARE-VCLOUD-ACCESS-TOKEN': SECRET, 'Cookie': SECRET}).expect(201)
    assert SECRET not in answer.text
    assert answer.headers['x-mine'] == 'yes' and answer.call_id
    seen = answer.json()
    assert 'content-type' in seen['names'] and not {
        'authorization', 'x-vcloud-authorization', 'x-vmware-vcloud-access-token',
        'cookie'} & set(seen['names'])
    assert seen['method'] == 'POST' and seen['query'] == 'x=1' and seen['body'] == 'hello'
    assert seen['proxy'] == 'more'
    assert seen['user'] == cell.context['user'] and seen['org'] == cell.context['org']
    assert seen['rights'] == ','.join(cell.context['rights'])
    assert front.record(answer.call_id)['code'] == 'ok'


def test_what_is_not_there_is_404(cell, front):
    assert ask(cell, 'GET', '/api/org/acme/none').expect(404).code == 'not_found'
    assert ask(cell, 'GET', '/api/org/nobody/echo').expect(404).code == 'not_found'
    assert ask(cell, 'GET', f'/api/org/{uuid.uuid4()}/echo').expect(404).code == 'not_found'


def test_the_same_request_is_done_once(cell, front):
    message = cell.message('GET', '/api/org/acme/echo', None, {}, b'')
    service = cell.services[0]
    before = len(front.client.get(f'{front.path}/calls?function=echo').json()['calls'])
    assert cell.exchange(service, message, 'first')[0] == 201
    cell.timeout_s = 2
    assert cell.exchange(service, message, 'second')[0] == 504
    cell.timeout_s = 30
    time.sleep(0.5)
    after = front.client.get(f'{front.path}/calls?function=echo').json()['calls']
    assert len(after) == before + 1 and cell.answers_to('first') == 1


def test_a_function_that_is_late_is_504_before_the_cell_gives_up(cell, front):
    answer = ask(cell, 'GET', '/api/org/acme/slow').expect(504)
    assert answer.code == 'timeout' and '7000 ms' in answer.json()['message']


def test_more_than_there_is_room_for_is_429(cell, front):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, cell, 'GET', '/api/org/acme/slow') for _ in range(8)]
        found = sorted(one.result().status for one in asked)
    assert found == [429] * 5 + [504] * 3
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)
