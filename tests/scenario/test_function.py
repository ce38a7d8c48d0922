# SPDX-License-Identifier: Apache-2.0
"""The life of a function: made from every kind of source, updated, rolled back, deleted."""
import base64
import io
import threading
import time
import zipfile

import pytest

import mayfly

NODE = "exports.handler = async () => '%s';\n"


def zip_of(files):
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return out.getvalue()


# ---- sources ----

def test_inline_zip_tar_and_digest_make_the_same_function(org):
    source = NODE % 'same'
    org.deploy('inline', source)
    org.deploy('zip', zip_of({'index.js': source}))
    org.deploy('tar', {'index.js': source})
    digest = org.client.send('POST', f'{org.path}/code', body=zip_of({'index.js': source}),
                             headers={'Content-Type': 'application/zip'}).expect(201).json()
    body = {'runtime': 'node', 'code': {'digest': digest['digest']}}
    org.client.put(f'{org.path}/functions/digest', body).expect(201)
    org.settle('digest')
    for name in ('inline', 'zip', 'tar', 'digest'):
        assert org.call(name).expect(200).json() == 'same', name


def test_a_folder_with_modules_of_its_own_works(org):
    org.deploy('modules', {'index.js': "exports.handler = require('./lib/a').handler;\n",
                           'lib/a.js': "exports.handler = async () => 'from lib';\n"})
    assert org.call('modules').expect(200).json() == 'from lib'
    org.deploy('packages', {'main.py': 'from lib.a import handler\n', 'lib/__init__.py': '',
                            'lib/a.py': 'def handler(event, context):\n    return "from lib"\n'},
               'python')
    assert org.call('packages').expect(200).json() == 'from lib'


def test_create_refuses_a_name_that_is_taken_and_put_updates_it(org):
    body = {'name': 'taken', 'runtime': 'node', 'code': {'inline': NODE % 1}}
    answer = org.client.post(f'{org.path}/functions', body).expect(201)
    assert answer.json()['state'] == 'initializing'
    assert answer.headers['location'].endswith('/functions/taken')
    again = org.client.post(f'{org.path}/functions', body).expect(409)
    assert again.code == 'conflict' and again.json()['field'] == 'name'
    org.settle('taken')
    org.client.put(f'{org.path}/functions/taken', body).expect(200)


def test_two_functions_cannot_have_one_route(org):
    org.deploy('first', NODE % 1, route='shared/path')
    answer = org.put('second', NODE % 2, route='shared/path').expect(409)
    assert answer.json()['field'] == 'route' and 'first' in answer.json()['message']


def test_the_longest_route_wins_and_the_rest_of_the_path_is_passed(org):
    source = "exports.handler = async (event) => `%s ${event.pathParameters?.proxy ?? ''}`;\n"
    org.deploy('shop', source % 'shop', route='shop')
    org.deploy('cart', source % 'cart', route='shop/cart')
    assert org.route('GET', 'shop').expect(200).text.strip() == 'shop'
    assert 'shop' in org.route('GET', 'shop/carts').expect(200).text
    assert org.route('GET', 'shop/cart').expect(200).text.strip() == 'cart'
    assert org.route('GET', 'shop/cart/7/x').expect(200).text == 'cart 7/x'


# ---- failures that a developer understands ----

def failed(org, name, source, runtime='node', **config):
    function = org.deploy(name, source, runtime, is_ready=False, **config)
    assert function['state'] == 'failed', function
    return function['latest']['reason']


def test_a_syntax_error_names_file_and_line(org):
    reason = failed(org, 'js', 'const a = 1;\nexports.handler = async () => {{;\n')
    assert 'index.js:' in reason and 'SyntaxError' in reason
    reason = failed(org, 'py', 'def handler(event, context):\n    return (\n', 'python')
    assert 'main.py' in reason and 'SyntaxError' in reason and '2' in reason


def test_a_missing_handler_says_what_is_there(org):
    reason = failed(org, 'js', 'exports.main = () => 1;\n')
    assert 'handler' in reason and 'main' in reason
    reason = failed(org, 'py', 'def main(event, context):\n    pass\n', 'python')
    assert 'handler' in reason


def test_a_missing_module_is_named(org):
    assert 'left-pad' in failed(org, 'js', "require('left-pad');\nexports.handler = () => 1;\n")
    assert 'requests2' in failed(org, 'py', 'import requests2\ndef handler(e, c):\n    pass\n',
                                 'python')


def test_an_exception_while_loading_is_shown(org):
    assert 'my words' in failed(org, 'js', "throw new Error('my words');\n")
    assert 'my words' in failed(org, 'py', "raise ValueError('my words')\n", 'python')


def test_a_call_of_a_failed_function_says_why(org):
    failed(org, 'dead', "throw new Error('at load');\n")
    answer = org.route('GET', 'dead').expect(502)
    assert answer.code == 'function_failed' and 'at load' in answer.json()['message']


def test_rubbish_is_not_an_archive_and_says_so(org):
    answer = org.put('rubbish', b'\x00\x01rubbish' * 100)
    if answer.status in (200, 201):
        function = org.settle('rubbish')
        assert function['state'] == 'failed' and function['latest']['reason']
    else:
        assert answer.status == 400


def test_base64_that_is_none_names_the_field(org):
    body = {'runtime': 'node', 'code': {'archive': '***'}}
    answer = org.client.put(f'{org.path}/functions/b64', body).expect(400)
    assert answer.json()['field'] == 'code.archive'
    assert base64.b64decode('eA==') == b'x'


# ---- versions ----

def test_an_update_switches_when_ready_and_keeps_serving_meanwhile(org):
    org.deploy('switch', NODE % 'one')
    answers, is_over = [], threading.Event()

    def watch():
        while not is_over.is_set():
            answers.append(org.route('GET', 'switch'))
    watcher = threading.Thread(target=watch)
    watcher.start()
    slow = "const end = Date.now() + 700; while (Date.now() < end);\n" + NODE % 'two'
    org.deploy('switch', slow)
    time.sleep(0.3)
    is_over.set()
    watcher.join()
    assert {answer.status for answer in answers} == {200}, [a for a in answers if a.status != 200]
    texts = [answer.text for answer in answers]
    assert texts == sorted(texts) and {'one', 'two'} == set(texts)


def test_a_call_in_flight_finishes_on_the_version_it_began_on(org):
    slow = "exports.handler = async () => { await new Promise((ok) => setTimeout(ok, 1500)); " \
           "return '%s'; };\n"
    org.deploy('slow', slow % 'old')
    got = {}
    caller = threading.Thread(target=lambda: got.update(answer=org.route('GET', 'slow')))
    caller.start()
    time.sleep(0.4)
    org.deploy('slow', NODE % 'new')
    assert org.route('GET', 'slow').expect(200).text == 'new'
    caller.join()
    assert got['answer'].expect(200).text == 'old'


def test_a_failed_update_leaves_the_active_version(org):
    org.deploy('steady', NODE % 'good')
    function = org.deploy('steady', "throw new Error('bad');\n", is_ready=False)
    assert function['state'] == 'ready' and function['active_version'] == 1
    assert function['latest']['state'] == 'failed' and 'bad' in function['latest']['reason']
    assert org.route('GET', 'steady').expect(200).text == 'good'


def test_rollback_serves_an_earlier_version_and_versions_stay(org):
    for text in ('one', 'two', 'three'):
        org.deploy('back', NODE % text)
    path = f'{org.path}/functions/back'
    org.client.post(f'{path}/rollback', {'version': 1}).expect(200)
    assert org.route('GET', 'back').expect(200).text == 'one'
    versions = org.client.get(f'{path}/versions').expect(200).json()['versions']
    assert [one['number'] for one in versions] == [3, 2, 1]
    assert org.client.post(f'{path}/rollback', {'version': 8}).expect(404)
    assert org.deploy('back', NODE % 'four')['active_version'] == 4


def test_the_source_of_a_version_can_be_had_back(org):
    data = zip_of({'index.js': NODE % 'kept'})
    org.deploy('kept', data)
    answer = org.client.get(f'{org.path}/functions/kept/versions/1/code').expect(200)
    assert answer.body == data


# ---- delete ----

def test_a_deleted_function_is_404_at_once_and_calls_in_flight_finish(org):
    slow = "exports.handler = async () => { await new Promise((ok) => setTimeout(ok, 1200)); " \
           "return 'finished'; };\n"
    org.deploy('gone', slow)
    got = {}
    caller = threading.Thread(target=lambda: got.update(answer=org.route('GET', 'gone')))
    caller.start()
    time.sleep(0.3)
    org.client.delete(f'{org.path}/functions/gone').expect(204)
    assert org.route('GET', 'gone').expect(404).code == 'not_found'
    org.client.get(f'{org.path}/functions/gone').expect(404)
    caller.join()
    assert got['answer'].expect(200).text == 'finished'


def test_a_name_can_be_used_again_after_delete(org):
    org.deploy('phoenix', NODE % 'first')
    org.client.delete(f'{org.path}/functions/phoenix').expect(204)
    org.deploy('phoenix', NODE % 'second')
    assert org.route('GET', 'phoenix').expect(200).text == 'second'


# ---- what an HTTP trigger passes and gives ----

def test_every_method_passes_and_head_has_no_body(org):
    org.deploy('echo', "exports.handler = async (e) => e.requestContext.http.method;\n")
    for method in ('GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PURGE'):
        assert org.route(method, 'echo').expect(200).text == method
    assert org.route('HEAD', 'echo').expect(200).body == b''


def test_query_headers_cookies_and_path_arrive_as_payload_2_0(org):
    org.deploy('event', 'exports.handler = async (event) => event;\n')
    event = org.route('POST', 'event/a%20b?x=1&x=2&y=%C3%A9', b'text', {
        'X-Mine': 'yes', 'Cookie': 'a=1; b=2', 'Content-Type': 'text/plain'}).expect(200).json()
    assert event['version'] == '2.0' and event['body'] == 'text' and not event['isBase64Encoded']
    assert event['queryStringParameters'] == {'x': '1,2', 'y': 'é'}
    assert event['rawQueryString'] == 'x=1&x=2&y=%C3%A9'
    assert event['headers']['x-mine'] == 'yes' and event['cookies'] == ['a=1', 'b=2']
    assert event['requestContext']['http']['method'] == 'POST'
    assert event['requestContext']['requestId']


def test_binary_bodies_are_intact_both_ways_in_every_runtime(org):
    data = bytes(range(256)) * 4096
    org.deploy('bin-node', "exports.handler = async (e) => ({ statusCode: 200, headers: "
               "{ 'content-type': 'image/png' }, body: e.body, isBase64Encoded: true });\n")
    org.deploy('bin-python', "def handler(event, context):\n    return {'statusCode': 200, "
               "'headers': {'content-type': 'image/png'}, 'body': event['body'], "
               "'isBase64Encoded': True}\n", 'python')
    org.deploy('bin-exec', {'run': ('#!/bin/sh\nexec cat\n', 0o755)}, 'exec', handler='run')
    for name in ('bin-node', 'bin-python', 'bin-exec'):
        answer = org.route('POST', name, data, {'Content-Type': 'image/png'}).expect(200)
        assert answer.body == data, name


def test_the_function_chooses_status_headers_and_cookies(org):
    org.deploy('chooser', "exports.handler = async () => ({ statusCode: 418, headers: "
               "{ 'x-pot': 'tea', 'content-type': 'text/plain' }, cookies: ['a=1', 'b=2'], "
               "body: 'short' });\n")
    answer = org.route('GET', 'chooser').expect(418)
    assert answer.text == 'short' and answer.headers['x-pot'] == 'tea'
    assert [value for name, value in answer.header_list if name == 'set-cookie'] == ['a=1', 'b=2']
    assert answer.call_id


def test_a_client_that_leaves_cancels_its_call(org, daemon):
    org.deploy('waiter', "exports.handler = () => new Promise(() => {});\n",
               limits={'timeout_ms': 60000})
    client = daemon.client()
    connection = client._connect()
    connection.request('GET', f'/api/org/{org.name}/waiter')
    mayfly.wait_until(lambda: org.client.get(f'{org.path}/functions/waiter').json()['n_calls'],
                      'the call to run')
    connection.close()
    calls = mayfly.wait_until(lambda: [
        call for call in org.client.get(f'{org.path}/calls?function=waiter').json()['calls']
        if call.get('state') == 'done'] or None, 'its record')
    assert calls[0]['code'] == 'cancelled'


def test_a_running_call_is_cancelled_by_its_id(org):
    org.deploy('endless', "exports.handler = () => new Promise(() => {});\n",
               limits={'timeout_ms': 60000})
    got = {}
    caller = threading.Thread(target=lambda: got.update(answer=org.route('GET', 'endless')))
    caller.start()
    calls = mayfly.wait_until(lambda: [
        call for call in org.client.get(f'{org.path}/calls?function=endless').json()['calls']
        if call.get('state') == 'running'] or None, 'the call to be listed')
    assert (calls[0]['path'], calls[0]['trigger']) == (f'/api/org/{org.name}/endless', 'http')
    shown = org.client.get(f"{org.path}/calls/{calls[0]['id']}").expect(200).json()
    assert shown == calls[0]
    cancelled = org.client.delete(f"{org.path}/calls/{calls[0]['id']}").expect(200).json()
    caller.join()
    assert cancelled['state'] == 'cancelled'
    answer = got['answer']
    assert (answer.status, answer.code, answer.call_id) == (499, 'cancelled', calls[0]['id'])
    assert answer.json()['call_id'] == answer.call_id


def test_calls_in_flight_stand_before_those_that_ended(org):
    org.deploy('mix', "exports.handler = (event) => event.body ? event.body : new Promise(() => "
               "{});\n", limits={'timeout_ms': 60000}, max_instances=1, isolation='instance')
    org.route('POST', 'mix', b'x').expect(200)
    callers = [threading.Thread(target=lambda: org.route('GET', 'mix')) for _ in range(3)]
    for caller in callers:
        caller.start()

    def states(query=''):
        calls = org.client.get(f'{org.path}/functions/mix/calls?{query}').expect(200).json()
        return [call['state'] for call in calls['calls']]
    mayfly.wait_until(lambda: len(states()) == 4, 'all calls to be listed')
    listed = org.client.get(f'{org.path}/functions/mix/calls').json()['calls']
    assert sorted(states()[:3]) == ['running', 'waiting', 'waiting'] and states()[3] == 'done'
    assert [call['id'] for call in listed[:3]] == sorted(
        (call['id'] for call in listed[:3]), reverse=True)
    assert states(f"before={listed[0]['id']}") == ['done']
    assert states('code=ok') == ['done'] and states('failed=true') == []
    assert states('n=1') == ['waiting', 'done']
    for call in listed[:3]:
        org.client.delete(f"{org.path}/calls/{call['id']}").expect(200)
    for caller in callers:
        caller.join()


def test_two_orgs_share_names_and_nothing_else(daemon, org):
    other = daemon.new_org()
    org.deploy('same', NODE % 'mine')
    other.deploy('same', NODE % 'theirs')
    assert org.route('GET', 'same').expect(200).text == 'mine'
    assert other.route('GET', 'same').expect(200).text == 'theirs'
    other.client.get(f'{org.path}/functions/same').expect(404)
    other.client.delete(f'{org.path}/functions/same').expect(404)
    other.delete()


def test_what_is_deleted_under_running_calls_leaves_no_complaint(new_daemon):
    one = new_daemon()
    org = one.new_org()
    for name in ('first', 'second'):
        org.deploy(name, "exports.handler = () => { console.log('x'); return new Promise("
                   "(ok) => setTimeout(ok, 700, 'late')); };\n", max_instances=4)
    answers = []
    callers = [threading.Thread(target=lambda name=name: answers.append(org.route('GET', name)))
               for name in ('first', 'second') for _ in range(4)]
    for caller in callers:
        caller.start()
    mayfly.wait_until(lambda: one.metrics()['mayfly_calls_in_flight'] == 8, 'all to run')
    org.client.delete(f'{org.path}/functions/first').expect(204)
    org.delete()
    for caller in callers:
        caller.join()
    assert {answer.status for answer in answers} <= {200, 503}, answers
    time.sleep(2.5)  # the figures of calls are written once a second
    warned = [line for line in one.log().splitlines() if ' warn ' in line]
    assert [line for line in warned if 'unavailable' not in line] == []


@pytest.mark.parametrize('files, words', [
    ({}, 'the code is empty'),
    ({'x/': ''}, 'the folder x and nothing else'),
])
def test_a_zip_without_a_file_says_so(org, files, words):
    body = {'runtime': 'node', 'code': {'archive': base64.b64encode(zip_of(files)).decode()}}
    org.client.put(f'{org.path}/functions/hollow', body).expect(201)
    function = org.settle('hollow')
    assert function['state'] == 'failed' and words in function['latest']['reason'], function


def test_names_in_an_archive_may_have_any_letters(org):
    source = ("const fs = require('fs');\n"
              "exports.handler = async () => fs.readFileSync(`${__dirname}/grüß/世界.txt`, 'utf8');\n")
    org.deploy('letters', zip_of({'index.js': source, 'grüß/世界.txt': 'мир'}))
    assert org.call('letters').expect(200).json() == 'мир'
