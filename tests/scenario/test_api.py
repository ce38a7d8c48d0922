# SPDX-License-Identifier: Apache-2.0
"""The REST API from outside: every noun, every shape of error.

Each answer is held against openapi.yaml by the client itself (contract.py); here stands what a
schema cannot say. The document itself, roles, and calls over HTTP have files of their own
(test_api_document.py, test_api_roles.py, test_api_invoke.py).
"""
import base64
import hashlib
import http.client
import json
import os
import re
import socket
import subprocess
import threading
import time

import pytest

import contract
import mayfly

HELLO = 'exports.handler = async (event) => ({ hello: event && event.name })'
ULID = '01J9ZZ3N9V0M0Q4T7Y1C2B3D4E'


# ---- the service ----

def test_the_document_is_served_as_it_stands_in_the_source(daemon):
    answer = daemon.client().get('/openapi.yaml').expect(200)
    assert answer.body == contract.PATH.read_bytes()
    document = contract.document()
    assert document['openapi'].startswith('3.1.')


def test_health_and_readiness_need_no_token(daemon):
    client = daemon.client()
    assert client.get('/healthz').expect(200).json() == {'status': 'ok'}
    assert client.get('/readyz').expect(200).json() == {'status': 'ready'}
    assert client.get('/v1/version').expect(200).json()['name'] == 'mayfly'


def test_runtimes_have_an_alias_for_the_newest_of_a_family(provider):
    runtimes = provider.get('/v1/runtimes').expect(200).json()['runtimes']
    assert {one['family'] for one in runtimes} >= {'node', 'python', 'exec', 'native'}
    for family in ('node', 'python'):
        assert sum(family in one['aliases'] for one in runtimes) == 1


def test_limits_are_those_of_the_document(provider):
    rows = provider.get('/v1/limits').expect(200).json()['limits']
    documented = contract.document()['components']['schemas']['CallLimits']['properties']
    assert {row['field'] for row in rows} == set(documented)
    for row in rows:
        assert documented[row['field']]['default'] == row['default'], row
        assert documented[row['field']]['minimum'] == row['floor'], row
        assert f"to {row['ceiling']}." in documented[row['field']]['description'] or \
            not row['ceiling'], row


def test_the_doctor_says_why_for_each_finding(provider):
    findings = provider.get('/v1/doctor').expect(200).json()['findings']
    assert len(findings) > 10
    assert all(finding['why'] for finding in findings)
    assert not [one for one in findings if one['needed'] and not one['available']]


def test_metrics_are_well_formed_and_an_org_sees_only_its_own(daemon, org):
    org.deploy('hello', HELLO, isolation='instance')
    other = daemon.new_org()
    other.deploy('theirs', HELLO)
    for _ in range(3):
        org.call('hello', {}).expect(200)
    other.call('theirs', {}).expect(200)
    text = daemon.provider().get('/metrics').expect(200).text
    names = set()
    for line in text.splitlines():
        if line.startswith('# TYPE'):
            name = line.split()[2]
            assert name not in names, f'{name} stands twice'
            names.add(name)
        elif not line.startswith('#'):
            found = re.fullmatch(r'([a-z_]+)(\{[^}]*\})? [0-9.]+', line)
            assert found, line
            family = re.sub(r'_(bucket|sum|count)$', '', found[1])
            assert family in names or found[1] in names, line
    figures = daemon.metrics()
    labels = f'org="{org.name}",function="hello"'
    assert figures[f'mayfly_calls_total{{{labels},class="2xx"}}'] == 3
    assert figures[f'mayfly_call_duration_seconds_count{{{labels}}}'] == 3
    assert figures[f'mayfly_call_duration_seconds_bucket{{{labels},le="+Inf"}}'] == 3
    assert figures[f'mayfly_instances{{{labels},state="idle"}}'] >= 1
    own = org.client.get('/metrics').expect(200).text
    assert org.name in own and other.name not in own and 'mayfly_http_requests_total' not in own
    other.delete()


# ---- errors ----

def test_a_path_that_is_nowhere_is_404_with_and_without_a_token(daemon, provider):
    for client in (daemon.client(), provider):
        for path in ('/', '/v1', '/v1/', '/v1/orgs/', '/v1//orgs', '/v2/orgs', '/v1/orgs/a/b/c/d/e'):
            assert client.get(path).expect(404).code == 'not_found', path


def test_a_method_that_a_path_has_not_is_405_with_those_that_it_has(provider):
    answer = provider.send('PATCH', '/v1/orgs').expect(405)
    assert answer.code == 'method_not_allowed'
    assert answer.headers['allow'] == 'GET, HEAD, POST'
    answer = provider.post('/v1/orgs/x/functions/y/versions').expect(405)
    assert answer.headers['allow'] == 'GET, HEAD'


def test_head_is_answered_where_get_is(provider, org):
    answer = provider.send('HEAD', org.path).expect(200)
    assert answer.body == b'' and int(answer.headers['content-length']) > 10
    assert provider.send('HEAD', '/v1/orgs/none').expect(404).body == b''


def test_no_token_a_wrong_one_and_a_wrong_scheme_are_401(daemon):
    for headers in ({}, {'Authorization': 'Bearer mf_wrong'}, {'Authorization': 'Basic YTpi'},
                    {'Authorization': 'Bearer'}, {'Authorization': f'Bearer {daemon.token()}x'}):
        answer = daemon.client().get('/v1/orgs', headers=headers).expect(401)
        assert answer.code == 'unauthenticated'
        assert answer.headers['www-authenticate'].startswith('Bearer')
        assert answer.headers['x-mayfly-error'] == 'unauthenticated'


def test_the_scheme_of_a_token_may_be_written_in_any_case(daemon):
    headers = {'Authorization': f'bEARER {daemon.token()}'}
    daemon.client().get('/v1/orgs', headers=headers).expect(200)


BAD_BODIES = [
    (b'', 'invalid_argument', None),
    (b'{', 'invalid_argument', None),
    (b'[]', 'invalid_argument', None),
    (b'{"name": "a"} x', 'invalid_argument', None),
    (b'{"name": "a", "name": "b"}', 'invalid_argument', None),
    (b'{"name": "\xff"}', 'invalid_argument', None),
    (b'{"name": 5}', 'invalid_argument', 'name'),
    (b'{"nam": "a"}', 'invalid_argument', 'nam'),
    (b'{"name": "A"}', 'invalid_argument', 'name'),
    (b'{"name": "-a"}', 'invalid_argument', 'name'),
    (b'{"name": "' + b'a' * 64 + b'"}', 'invalid_argument', 'name'),
    (b'{}', 'invalid_argument', 'name'),
]


@pytest.mark.parametrize('body, code, field', BAD_BODIES)
def test_a_bad_body_names_the_field(provider, body, code, field):
    answer = provider.send('POST', '/v1/orgs', body=body).expect(400)
    assert (answer.code, answer.json().get('field')) == (code, field)


def function_body(**changes):
    return {'runtime': 'node', 'code': {'inline': HELLO}, **changes}


BAD_FUNCTIONS = [
    ('runtime', function_body(runtime='cobol')),
    ('runtime', function_body(runtime='')),
    ('code', {'runtime': 'node'}),
    ('code', function_body(code={})),
    ('code', function_body(code={'inline': 'a', 'digest': '0' * 64})),
    ('code', function_body(code='text')),
    ('code.inline', function_body(code={'inline': ''})),
    ('code.archive', function_body(code={'archive': 'not base64'})),
    ('code.archive', function_body(code={'archive': 'YQ='})),
    ('code.archive', function_body(code={'archive': 'YR=='})),
    ('code.digest', function_body(code={'digest': 'short'})),
    ('code.digest', function_body(code={'digest': '0' * 64})),
    ('code.filename', function_body(code={'inline': 'a', 'filename': '../x'})),
    ('code.filename', function_body(code={'inline': 'a', 'filename': ''})),
    ('code.unknown', function_body(code={'inline': 'a', 'unknown': 1})),
    ('unknown', function_body(unknown=1)),
    ('limits.memory_mib', function_body(limits={'memory_mib': 1})),
    ('limits.memory_mib', function_body(limits={'memory_mib': '256'})),
    ('limits.memory_mib', function_body(limits={'memory_mib': 256.5})),
    ('limits.timeout_ms', function_body(limits={'timeout_ms': 10 ** 12})),
    ('limits.unknown', function_body(limits={'unknown': 1})),
    ('concurrency', function_body(concurrency=0)),
    ('isolation', function_body(isolation='none')),
    ('name', function_body(name='other')),
]


@pytest.mark.parametrize('field, body', BAD_FUNCTIONS)
def test_a_bad_function_names_the_field_and_leaves_nothing(org, field, body):
    answer = org.client.put(f'{org.path}/functions/f', body).expect(400)
    assert answer.json()['field'] == field, answer
    assert org.client.get(f'{org.path}/functions').json()['functions'] == []


def test_reserved_and_malformed_variables_are_refused(org):
    for name in ('MAYFLY_X', '1A', 'A B', ''):
        body = function_body(environment={name: 'x'})
        answer = org.client.put(f'{org.path}/functions/f', body).expect(400)
        assert answer.json()['field'].startswith('environment'), answer


BAD_QUERIES = [('', 'n=0', 'n'), ('', 'n=1001', 'n'), ('', 'n=x', 'n'), ('', 'failed=1', 'failed'),
               ('', 'before=x', 'before'), ('', 'unknown=1', 'unknown'), ('', 'a=%zz', None)]


@pytest.mark.parametrize('_, query, field', BAD_QUERIES)
def test_a_bad_parameter_is_named(org, _, query, field):
    answer = org.client.get(f'{org.path}/calls?{query}').expect(400)
    assert answer.json().get('field') == field


def test_a_body_above_its_limit_is_413_before_it_is_read(provider):
    answer = provider.send('POST', '/v1/orgs', body=b' ' * 100000).expect(413)
    assert answer.code == 'request_too_large'


def test_what_the_server_itself_refuses_has_the_same_shape(daemon):
    host, port = daemon.address.rsplit(':', 1)
    with socket.create_connection((host, int(port)), 10) as raw:
        raw.sendall(b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
        response = http.client.HTTPResponse(raw)
        response.begin()
        answer = mayfly.Answer(response.status, response.getheaders(), response.read())
    assert answer.status == 400
    contract.check_error(answer)


# ---- orgs and tokens ----

def test_an_org_is_made_once_listed_shown_and_deleted(provider):
    answer = provider.post('/v1/orgs', {'name': 'shop'}).expect(201)
    assert answer.headers['location'] == '/v1/orgs/shop'
    assert provider.post('/v1/orgs', {'name': 'shop'}).expect(409).code == 'conflict'
    names = [one['name'] for one in provider.get('/v1/orgs').expect(200).json()['orgs']]
    assert 'shop' in names and names == sorted(names)
    provider.get('/v1/orgs/shop').expect(200)
    provider.delete('/v1/orgs/shop').expect(204)
    provider.get('/v1/orgs/shop').expect(404)
    provider.delete('/v1/orgs/shop').expect(404)


def test_an_org_sees_only_itself(org):
    orgs = org.client.get('/v1/orgs').expect(200).json()['orgs']
    assert [one['name'] for one in orgs] == [org.name]


def test_a_token_tells_who_it_is_and_ends_when_it_is_revoked(org):
    client = org.client_of('developer')
    me = client.get('/v1/token').expect(200).json()
    assert (me['org'], me['role']) == (org.name, 'developer')
    assert client.token.startswith(me['prefix']) and len(me['prefix']) < 16
    listed = org.client.get(f'{org.path}/tokens').expect(200).json()['tokens']
    assert me['id'] in [one['id'] for one in listed]
    assert client.token not in json.dumps(listed)
    org.client.delete(f'{org.path}/tokens/{me["id"]}').expect(204)
    client.get('/v1/token').expect(401)
    org.client.delete(f'{org.path}/tokens/{me["id"]}').expect(404)


def test_a_token_expires(org):
    body = {'name': 'short', 'role': 'viewer', 'expires_in': '1s'}
    secret = org.client.post(f'{org.path}/tokens', body).expect(201).json()['secret']
    client = org.daemon.client(secret)
    client.get('/v1/token').expect(200)
    mayfly.wait_until(lambda: client.get('/v1/token').status == 401, 'the token expires')


def test_a_token_of_another_org_cannot_be_revoked(daemon, org):
    other = daemon.new_org()
    mine = other.client.get('/v1/token').json()['id']
    org.client.delete(f'{org.path}/tokens/{mine}').expect(404)
    other.client.get('/v1/token').expect(200)
    other.delete()


def test_the_provider_makes_and_revokes_tokens_of_its_own(daemon, provider):
    body = {'name': 'second', 'role': 'admin'}
    made = provider.post('/v1/tokens', body).expect(201).json()
    second = daemon.client(made['secret'])
    assert second.get('/v1/token').expect(200).json()['org'] == ''
    assert made['id'] in [one['id'] for one in second.get('/v1/tokens').json()['tokens']]
    provider.delete(f'/v1/tokens/{made["id"]}').expect(204)
    second.get('/v1/token').expect(401)


@pytest.mark.parametrize('field, body', [
    ('role', {'name': 'x', 'role': 'root'}), ('name', {'role': 'viewer'}),
    ('name', {'name': '', 'role': 'viewer'}),
    ('expires_in', {'name': 'x', 'role': 'viewer', 'expires_in': 'soon'}),
    ('expires_in', {'name': 'x', 'role': 'viewer', 'expires_in': '9000d'})])
def test_a_bad_token_names_the_field(org, field, body):
    assert org.client.post(f'{org.path}/tokens', body).expect(400).json()['field'] == field


# ---- functions ----

def test_a_function_is_made_waited_for_shown_and_deleted(org):
    body = function_body(name='f', description='a test', environment={'KEY': 'secret'},
                         limits={'memory_mib': 128})
    answer = org.client.post(f'{org.path}/functions', body).expect(201)
    assert answer.headers['location'] == f'{org.path}/functions/f'
    assert answer.headers['etag'] == '"1"'
    assert answer.json()['state'] == 'initializing' and answer.json()['active_version'] is None
    function = org.settle('f')
    assert (function['state'], function['active_version']) == ('ready', 1)
    assert function['limits']['memory_mib'] == 128
    assert function['limits']['timeout_ms'] == 30000
    assert org.client.post(f'{org.path}/functions', body).expect(409).json()['field'] == 'name'
    assert org.route('GET', 'f').status == 200
    org.client.delete(f'{org.path}/functions/f').expect(204)
    assert org.route('GET', 'f').status == 404
    org.client.get(f'{org.path}/functions/f').expect(404)


def test_values_of_the_environment_are_shown_to_who_may_write_only(org):
    org.deploy('f', HELLO, environment={'KEY': 'secret'})
    assert org.client.get(f'{org.path}/functions/f').json()['environment'] == {'KEY': 'secret'}
    for role in ('viewer', 'invoker'):
        client = org.client_of(role)
        for path in ('functions', 'functions/f', 'functions/f/versions', 'functions/f/versions/1'):
            answer = client.get(f'{org.path}/{path}').expect(200)
            assert '"KEY":null' in answer.text and 'secret' not in answer.text, path


def test_an_update_makes_a_version_and_a_rollback_takes_it_back(org):
    org.deploy('f', 'exports.handler = async () => 1')
    updated = org.put('f', 'exports.handler = async () => 2').expect(200)
    assert updated.headers['etag'] == '"2"' and updated.json()['state'] == 'updating'
    org.settle('f')
    assert org.call('f').json() == 2
    versions = org.client.get(f'{org.path}/functions/f/versions').expect(200).json()['versions']
    assert [(one['number'], one['is_active']) for one in versions] == [(2, True), (1, False)]
    rolled = org.client.post(f'{org.path}/functions/f/rollback').expect(200).json()
    assert (rolled['active_version'], rolled['last_version']) == (1, 2)
    assert org.call('f').json() == 1
    org.client.post(f'{org.path}/functions/f/rollback', {'version': 2}).expect(200)
    assert org.call('f').json() == 2
    org.client.post(f'{org.path}/functions/f/rollback', {'version': 9}).expect(404)
    assert org.client.send('POST', f'{org.path}/functions/f/calls?version=1').json() == 1
    org.client.send('POST', f'{org.path}/functions/f/calls?version=9').expect(404)


def test_an_update_without_code_keeps_it(org):
    org.deploy('f', 'exports.handler = async () => process.env.A || "none"',
               environment={'A': 'one'})
    assert org.call('f').json() == 'one'
    org.client.put(f'{org.path}/functions/f', {'environment': {'A': 'two'}}).expect(200)
    org.settle('f')
    assert org.call('f').json() == 'two'
    org.client.put(f'{org.path}/functions/f', {}).expect(200)
    org.settle('f')
    assert org.call('f').json() == 'none'


def test_if_match_guards_an_update(org):
    org.deploy('f', HELLO)
    path = f'{org.path}/functions/f'
    for method in ('PUT', 'DELETE'):
        answer = org.client.send(method, path, json_body={} if method == 'PUT' else None,
                                 headers={'If-Match': '"7"'}).expect(412)
        assert answer.code == 'precondition_failed'
    org.client.put(path, {}, headers={'If-None-Match': '*'}).expect(412)
    org.client.put(f'{org.path}/functions/g', function_body(),
                   headers={'If-Match': '"1"'}).expect(412)
    org.client.put(path, {}, headers={'If-Match': '"1"'}).expect(200)
    org.settle('f')
    org.client.delete(path, headers={'If-Match': '"2"'}).expect(204)


def test_a_wait_ends_with_the_state_and_not_before(org):
    org.put('f', HELLO).expect(201)
    path = f'{org.path}/functions/f'
    assert org.client.get(f'{path}?wait=30s&for=settled').expect(200).json()['state'] == 'ready'
    org.client.get(f'{path}?wait=30s').expect(200)
    for query in ('wait=61s', 'wait=x', 'for=ever', 'wait=-1s'):
        field = query.split('=')[0]
        assert org.client.get(f'{path}?{query}').expect(400).json()['field'] == field


def test_a_failed_version_says_why_and_leaves_the_active_one(org):
    org.deploy('f', HELLO)
    function = org.deploy('f', 'exports.handler = async () => {', is_ready=False)
    assert function['state'] == 'ready' and function['active_version'] == 1
    assert function['latest']['state'] == 'failed'
    assert 'index.js' in function['reason'] and 'SyntaxError' in function['reason'], function
    assert org.call('f', {'name': 'x'}).json() == {'hello': 'x'}


def test_a_function_that_never_was_ready_answers_with_its_reason(org):
    function = org.deploy('f', 'exports.other = 1', is_ready=False)
    assert function['state'] == 'failed'
    answer = org.call('f').expect(502)
    assert answer.code == 'function_failed'
    assert answer.json()['call_id'] == answer.call_id
    assert org.route('GET', 'f').expect(502).code == 'function_failed'


# ---- code ----

def test_code_is_uploaded_used_and_downloaded(org):
    source = mayfly.archive({'index.js': HELLO, 'lib/data.json': '{}'})
    answer = org.client.send('POST', f'{org.path}/code', body=source).expect(201)
    digest = hashlib.sha256(source).hexdigest()
    assert answer.json() == {'digest': digest, 'size_bytes': len(source)}
    org.client.put(f'{org.path}/functions/f', function_body(code={'digest': digest})).expect(201)
    assert org.settle('f')['state'] == 'ready'
    answer = org.client.get(f'{org.path}/functions/f/versions/1/code').expect(200)
    assert answer.body == source and answer.headers['etag'] == f'"{digest}"'
    org.client.get(f'{org.path}/functions/f/versions/2/code').expect(404)
    org.client.get(f'{org.path}/functions/f/versions/x/code').expect(404)


def test_a_large_upload_comes_back_whole(org):
    source = bytes(range(256)) * 20000
    digest = org.client.send('POST', f'{org.path}/code', body=source).expect(201).json()['digest']
    body = function_body(code={'digest': digest, 'filename': 'data.bin'})
    org.client.put(f'{org.path}/functions/f', body).expect(201)
    assert org.client.get(f'{org.path}/functions/f/versions/1/code').expect(200).body == source


def test_the_code_of_another_org_cannot_be_reached_by_its_digest(daemon, org):
    source = mayfly.archive({'index.js': HELLO})
    digest = org.client.send('POST', f'{org.path}/code', body=source).expect(201).json()['digest']
    other = daemon.new_org()
    body = function_body(code={'digest': digest})
    answer = other.client.put(f'{other.path}/functions/f', body).expect(400)
    assert answer.json()['field'] == 'code.digest'
    other.delete()


def test_an_archive_in_the_body_and_a_single_file_in_it(org):
    packed = base64.b64encode(mayfly.archive({'index.js': HELLO})).decode()
    org.client.put(f'{org.path}/functions/f', function_body(code={'archive': packed})).expect(201)
    assert org.settle('f')['state'] == 'ready'
    single = base64.b64encode(HELLO.encode()).decode()
    body = function_body(code={'archive': single, 'filename': 'index.js'})
    org.client.put(f'{org.path}/functions/g', body).expect(201)
    assert org.settle('g')['state'] == 'ready'


def test_an_empty_upload_is_refused(org):
    org.client.send('POST', f'{org.path}/code', body=b'').expect(400)


# ---- records and logs ----

PRINT = 'exports.handler = async (e) => { console.log("out " + e.n); console.error("err " + e.n); ' \
        'if (e.fails) throw new Error("asked"); return e.n }'


def test_calls_are_listed_newest_first_filtered_and_paged(org):
    org.deploy('f', PRINT)
    org.deploy('g', PRINT)
    ids = [org.call(name, {'n': n, 'fails': n == 2}).call_id
           for n, name in enumerate(['f', 'f', 'f', 'g'])]

    def listed(query, path='calls'):
        answer = org.client.get(f'{org.path}/{path}?{query}').expect(200).json()
        return [one['id'] for one in answer['calls']], answer['next']
    assert listed('') == (ids[::-1], None)
    assert listed('function=g') == ([ids[3]], None)
    assert listed('', 'functions/f/calls') == (ids[2::-1], None)
    assert listed('failed=true') == ([ids[2]], None)
    assert listed('code=function_error') == ([ids[2]], None)
    assert listed('code=timeout') == ([], None)
    page, after = listed('n=3')
    assert page == ids[:0:-1] and after == ids[1]
    assert listed(f'n=3&before={after}') == ([ids[0]], None)


def test_a_record_has_measured_figures(org):
    org.deploy('f', 'exports.handler = async (e) => { const start = process.cpuUsage(); '
                    'while (process.cpuUsage(start).user < 50000); return "x".repeat(1000) }')
    record = org.record(org.call('f', {'a': 1}).call_id)
    assert record['wall_us'] >= 50000 and record['cpu_us'] >= 45000
    assert record['bytes_in'] == len(json.dumps({'a': 1})) and record['bytes_out'] == 1002
    assert record['memory_peak_bytes'] > 1000000
    assert (record['version'], record['trigger'], record['code']) == (1, 'direct', 'ok')


def test_logs_of_a_call_and_of_a_function(org):
    org.deploy('f', PRINT)
    first, second = org.call('f', {'n': 1}), org.call('f', {'n': 2})
    org.record(second.call_id)
    lines = org.client.get(f'{org.path}/calls/{first.call_id}/logs').expect(200).json()['lines']
    assert sorted((one['stream'], one['text']) for one in lines) == \
        [('stderr', 'err 1'), ('stdout', 'out 1')]
    path = f'{org.path}/functions/f/logs'
    texts = [one['text'] for one in org.client.get(path).expect(200).json()['lines']]
    assert sorted(texts[:2]) == ['err 1', 'out 1'] and sorted(texts[2:]) == ['err 2', 'out 2']
    newest = [one['call_id'] for one in org.client.get(f'{path}?n=1').json()['lines']]
    assert set(newest) == {second.call_id}
    assert len(org.client.get(f'{path}?since=1h').json()['lines']) == 4
    time.sleep(0.01)
    assert org.client.get(f'{path}?since=1ms').json()['lines'] == []
    assert org.client.get(f'{path}?since=x').expect(400).json()['field'] == 'since'


def events_of(response, wanted):
    """(event, data) of server-sent events until `wanted` of them came."""
    name, found = None, []
    while len(found) < wanted:
        line = response.readline().decode().rstrip('\n')
        if line.startswith('event: '):
            name = line[7:]
        elif line.startswith('data: '):
            found.append((name, json.loads(line[6:])))
    return found


def test_logs_are_followed_live(org):
    org.deploy('f', PRINT)
    connection, response = org.client.open('GET', f'{org.path}/functions/f/logs?follow=true')
    assert response.status == 200
    assert response.getheader('content-type') == 'text/event-stream'
    call_id = org.call('f', {'n': 7}).call_id
    events = events_of(response, 3)
    connection.close()
    lines = [data for name, data in events if name == 'line']
    assert sorted((one['stream'], one['text']) for one in lines) == \
        [('stderr', 'err 7'), ('stdout', 'out 7')]
    for line in lines:
        assert not contract.problems({'$ref': '#/components/schemas/LogLine'}, line)
    record = events[-1]
    assert record[0] == 'call' and record[1]['id'] == call_id


def test_a_follower_does_not_see_another_function(org):
    org.deploy('f', PRINT)
    org.deploy('g', PRINT)
    connection, response = org.client.open('GET', f'{org.path}/functions/f/logs?follow=true')
    org.call('g', {'n': 1})
    org.call('f', {'n': 2})
    events = events_of(response, 3)
    connection.close()
    assert all('1' not in data.get('text', '') for _, data in events)


def test_a_call_that_is_not_there_is_404(org):
    for path in (f'calls/{ULID}', 'calls/x', f'calls/{ULID}/logs'):
        org.client.get(f'{org.path}/{path}').expect(404)
    org.client.delete(f'{org.path}/calls/{ULID}').expect(404)


def running_call(org, name):
    """Starts a call that waits, and gives (thread, answers, call id) when it runs."""
    answers = []
    connection, response = org.client.open('GET', f'{org.path}/functions/{name}/logs?follow=true')
    client = org.daemon.client(org.client.token)
    thread = threading.Thread(target=lambda: answers.append(
        client.send('POST', f'{org.path}/functions/{name}/calls', body=b'{}')))
    thread.start()
    call_id = events_of(response, 1)[0][1]['call_id']
    connection.close()
    return thread, answers, call_id


WAIT = 'exports.handler = async () => { console.log("waiting"); await new Promise(() => {}) }'


def test_a_call_is_seen_while_it_runs_and_cancelled_by_its_id(org):
    org.deploy('f', WAIT + ';setInterval(() => {}, 1000)', limits={'timeout_ms': 60000})
    thread, answers, call_id = running_call(org, 'f')
    running = org.client.get(f'{org.path}/calls/{call_id}').expect(200).json()
    assert (running['id'], running['state']) == (call_id, 'running')
    assert running.get('status') is None
    other = org.client_of('viewer')
    other.delete(f'{org.path}/calls/{call_id}').expect(403)
    cancelled = org.client.delete(f'{org.path}/calls/{call_id}').expect(200).json()
    assert cancelled['state'] == 'cancelled'
    thread.join(30)
    assert answers[0].status == 499 and answers[0].code == 'cancelled'
    assert answers[0].json()['call_id'] == call_id
    assert org.record(call_id)['code'] == 'cancelled'
    org.client.delete(f'{org.path}/calls/{call_id}').expect(404)


def test_a_client_that_goes_away_cancels_its_call(org):
    org.deploy('f', WAIT + ';setInterval(() => {}, 1000)', limits={'timeout_ms': 60000})
    host, port = org.daemon.address.rsplit(':', 1)
    connection, response = org.client.open('GET', f'{org.path}/functions/f/logs?follow=true')
    with socket.create_connection((host, int(port)), 10) as raw:
        raw.sendall(f'GET /api/org/{org.name}/f HTTP/1.1\r\nHost: x\r\n\r\n'.encode())
        call_id = events_of(response, 1)[0][1]['call_id']
    connection.close()
    assert org.record(call_id)['code'] == 'cancelled'


# ---- the documentation ----

def test_the_examples_of_the_documentation_run_as_they_stand(new_daemon, tmp_path):
    one = new_daemon()
    blocks = re.findall(r'^```sh\n(.*?)^```', (mayfly.HOUSE / 'docs' / 'api.md').read_text(),
                        re.M | re.S)
    assert len(blocks) >= 5
    env = {'PATH': os.environ['PATH'], 'URL': f'http://{one.address}', 'TOKEN': one.token()}
    said = []
    for block in blocks:
        done = subprocess.run(['bash', '-euo', 'pipefail', '-c', block], cwd=tmp_path, env=env,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f'{block}\n{done.stdout}\n{done.stderr}'
        said.append(done.stdout)
    assert 'hello Ada' in said[2] and 'x-call-id' in said[2].lower()
    assert '"active_version":1,"last_version":2' in said[3]


# ---- durable calls; the whole of them is in test_delivery.py ----

def test_durable_calls_are_listed_shown_tried_again_and_deleted(org):
    org.deploy('dies', 'exports.handler = async () => { throw new Error("no") }',
               queue={'attempts': 1})
    calls, letters = f'{org.path}/functions/dies/calls?mode=async', f'{org.path}/dead-letters'

    def dead(answer):
        call_id = answer.expect(202).json()['id']
        answer = org.client.get(f'{org.path}/calls/{call_id}?wait=30s').expect(200)
        assert answer.json()['state'] == 'dead'
        return call_id

    first, second = dead(org.client.post(calls, {})), dead(org.client.post(calls, {}))
    for path in (f'{org.path}/deliveries', letters):
        listed = org.client.get(f'{path}?function=dies').expect(200).json()
        assert [one['id'] for one in listed['deliveries']] == [second, first]
        page = org.client.get(f'{path}?n=1').expect(200).json()
        assert page['next'] == second
        page = org.client.get(f'{path}?n=1&before={second}').expect(200).json()
        assert [one['id'] for one in page['deliveries']] == [first]
        assert org.client.get(f'{path}?before=x').expect(400).json()['field'] == 'before'
    assert org.client.get(f'{org.path}/deliveries?state=x').expect(400).json()['field'] == 'state'
    assert org.client.get(f'{letters}/{first}').expect(200).json()['attempts'][0]['log']
    third = dead(org.client.post(f'{letters}/{first}/redrive'))
    answer = org.client.post(f'{letters}/redrive?function=none').expect(200).json()
    assert answer == {'redriven': 0, 'stopped_by': None}
    org.client.delete(f'{letters}/{third}').expect(204)
    assert org.client.delete(letters).expect(200).json() == {'purged': 1}
    queues = org.client.get(f'{org.path}/queues').expect(200).json()
    assert [one['function'] for one in queues['queues']] == ['dies']
    assert len(org.client.get(f'{org.path}/callback-key').expect(200).json()['key']) == 64
    org.client.get(f'{letters}/{first}').expect(404)
    org.client.get(f'{letters}/none').expect(404)


# ---- events and triggers ----

def test_an_event_is_tested_sent_and_listed_and_a_trigger_put_shown_and_deleted(org):
    org.deploy('hello', HELLO)
    path, events = f'{org.path}/triggers/t', f'{org.path}/events'
    headers = {'Content-Type': 'application/cloudevents+json'}
    event = {'specversion': '1.0', 'id': '1', 'source': '/s', 'type': 't'}
    org.client.put(path, {'function': 'hello'}).expect(201)
    org.client.put(path, {'function': 'hello', 'order_key': 'subject'}).expect(200)
    org.client.get(path).expect(200)
    assert len(org.client.get(f'{org.path}/triggers').expect(200).json()['triggers']) == 1
    org.client.post(f'{events}?dry_run=true', event, headers=headers).expect(200)
    org.client.post(events, event, headers=headers).expect(202)
    assert org.client.get(events).expect(200).json()['events'] == [event]
    for query, field in (('n=101', 'n'), ('follow=1', 'follow'), ('x=1', 'x')):
        assert org.client.get(f'{events}?{query}').expect(400).json()['field'] == field
    org.client.delete(path).expect(204)


# ---- schedules ----

def test_a_schedule_is_put_shown_listed_and_deleted(org):
    org.deploy('hello', HELLO)
    path = f'{org.path}/schedules/nightly'
    wish = {'function': 'hello', 'cron': '30 2 * * *', 'zone': 'Europe/Berlin'}
    org.client.put(path, wish).expect(201)
    org.client.put(path, wish).expect(200)
    assert len(org.client.get(path).expect(200).json()['next']) == 5
    listed = org.client.get(f'{org.path}/schedules').expect(200).json()['schedules']
    assert [one['name'] for one in listed] == ['nightly']
    org.client.delete(path).expect(204)
    org.client.get(path).expect(404)


# ---- all of it ----

def test_every_operation_was_met_with_its_success():
    """Runs last in this file: what is promised above was seen at least once."""
    for method, path, operation in contract.operations():
        good = [int(status) for status in operation['responses'] if status.isdigit()
                and int(status) < 300]
        met = [status for status in good if contract.seen[method, path, status]]
        assert met, f'{method} {path}: none of {good} was met'
