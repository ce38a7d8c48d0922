# SPDX-License-Identifier: Apache-2.0
"""Durable calls: accepted when they are on disk, tried until they succeed or are dead."""
import hashlib
import hmac
import http.server
import json
import threading
import time

import pytest

import mayfly
from mayfly import wait_until

QUICK = {'attempts': 3, 'backoff_ms': 10, 'backoff_max_ms': 20}
# Answers with what it got; fails as often as `fail` says, by what is left in its event's file.
ECHO = 'exports.handler = async (event) => ({ got: event })'
THROWS = '''exports.handler = async (event) => {
  console.log('trying ' + JSON.stringify(event)); throw new Error('never works') }'''
# Fails until the time that its event names.
LATER = '''exports.handler = async (event) => {
  if (Date.now() < event.from) throw new Error('not yet'); return { n: event.n } }'''
HOLDS = '''exports.handler = async (event) => {
  await new Promise((go) => setTimeout(go, event.ms)); return { held: event.ms } }'''
STATUS = '''exports.handler = async (event) => ({ statusCode: Number(event.queryStringParameters.s),
  headers: { 'x-kind': 'test' }, body: 'as asked: ' + event.requestContext.requestId })'''

# Fails by route alone.
FAILS_BY_ROUTE = '''exports.handler = async (event) => {
  if (event.requestContext) throw new Error('by route'); return event }'''

TELLS_ITS_PROOFS = '''exports.handler = async ({ headers, cookies }) => {
  throw new Error(`${headers.authorization} ${headers['x-api-key']} ${cookies[0]}`) }'''


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; answers with the statuses of `answers`, then 200."""
    daemon_threads = True

    def __init__(self, answers=()):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['content-length']))
                outer.posts.append((self.path, dict(self.headers.items()), body))
                status = outer.answers.pop(0) if outer.answers else 200
                self.send_response(status)
                self.send_header('content-length', '0')
                self.end_headers()

            def log_message(self, *_):
                pass

        super().__init__(('127.0.0.1', 0), Handler)
        self.answers, self.posts = list(answers), []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, path='/back'):
        return f'http://127.0.0.1:{self.server_address[1]}{path}'

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


@pytest.fixture(scope='module')
def daemon():
    with mayfly.Daemon(config='callback_private = 127.0.0.0/8\n') as daemon:
        yield daemon


@pytest.fixture
def org(daemon):
    org = daemon.new_org()
    yield org
    org.delete()


def put(org, name, event=None, **headers):
    """A durable call; gives the Answer. order_key='x' is the header X-Mayfly-Order-Key …"""
    names = {'order_key': 'X-Mayfly-Order-Key', 'idempotency_key': 'Idempotency-Key',
             'callback': 'X-Callback-Url', 'delay': 'X-Mayfly-Delay'}
    return org.client.post(f'{org.path}/functions/{name}/calls?mode=async', event,
                           headers={names[key]: str(value) for key, value in headers.items()})


def put_id(org, name, event=None, **headers):
    answer = put(org, name, event, **headers).expect(202)
    assert answer.call_id == answer.json()['id']
    return answer.call_id


def get(org, call_id, wait='30s'):
    return org.client.get(f'{org.path}/calls/{call_id}?wait={wait}').expect(200).json()


def ended(org, call_id):
    """The delivery, once it has ended."""
    call = wait_until(lambda: (lambda one: one['state'] in ('done', 'dead', 'cancelled') and one)(
        get(org, call_id)), f'{call_id} ends', 60)
    assert call['state'] == call['delivery']['state']
    return call['delivery']


def queue(org, name):
    queues = org.client.get(f'{org.path}/queues').expect(200).json()
    assert queues['bus'] == {'name': 'embedded', 'up': True}
    return next(one for one in queues['queues'] if one['function'] == name)


# ---- accepted ----

def test_what_is_accepted_runs_and_its_result_can_be_waited_for(org):
    org.deploy('echo', ECHO)
    call_id = put_id(org, 'echo', {'a': 1})
    delivery = ended(org, call_id)
    assert delivery['state'] == 'done' and delivery['code'] == 'ok'
    assert json.loads(delivery['result']['body']) == {'got': {'a': 1}}
    assert delivery['result']['status'] == 200
    [attempt] = delivery['attempts']
    assert (attempt['number'], attempt['call_id'], attempt['code']) == (1, call_id, 'ok')
    record = org.record(call_id)
    assert record['trigger'] == 'async' and record['status'] == 200
    [listed] = org.client.get(f'{org.path}/deliveries?function=echo').expect(200).json()[
        'deliveries']
    assert listed['id'] == call_id and listed['state'] == 'done'


def test_a_call_by_route_may_be_durable(org):
    org.deploy('status', STATUS)
    answer = org.route('POST', 'status/sub?s=201', body=b'x', headers={'X-Mayfly-Mode': 'async'})
    answer.expect(202)
    assert answer.json() == {'id': answer.call_id, 'state': 'queued', 'known': False}
    delivery = ended(org, answer.call_id)
    assert delivery['result']['status'] == 201
    assert delivery['result']['headers']['x-kind'] == 'test'
    assert delivery['result']['body'] == f'as asked: {answer.call_id}'
    assert (delivery['method'], delivery['path']) == ('POST', f'/api/org/{org.name}/status/sub')


def test_what_cannot_be_accepted_is_refused_and_says_why(org):
    org.deploy('echo', ECHO, limits={'request_bytes': 100})
    put(org, 'none', {}).expect(404)
    put(org, 'echo', {'a': 'x' * 200}).expect(413)
    for header, value in (('X-Mayfly-Order-Key', 'x' * 129), ('Idempotency-Key', 'x' * 129),
                          ('X-Callback-Url', 'ftp://a/'), ('X-Callback-Url', 'http://u:p@a/'),
                          ('X-Mayfly-Delay', '-1'), ('X-Mayfly-Delay', '9999999'),
                          ('X-Mayfly-Mode', 'later')):
        mode = '' if header == 'X-Mayfly-Mode' else '?mode=async'
        answer = org.client.post(f'{org.path}/functions/echo/calls{mode}', {},
                                 headers={header: value}).expect(400)
        assert answer.json()['field'] == header, header
    answer = org.client.post(f'{org.path}/functions/echo/calls?mode=soon', {}).expect(400)
    assert answer.json()['field'] == 'mode'
    org.client.send('POST', f'{org.path}/functions/echo/calls?mode=async', body=b'{').expect(400)
    assert not org.client.get(f'{org.path}/deliveries').json()['deliveries']


def test_a_full_queue_is_429_and_says_which(org):
    org.deploy('holds', HOLDS, queue={'length': 2, 'concurrency': 1})
    ids = [put_id(org, 'holds', {'ms': 3000})]
    wait_until(lambda: queue(org, 'holds')['running'] == 1, 'it runs', 30)
    ids += [put_id(org, 'holds', {'ms': 1}) for _ in range(2)]
    answer = put(org, 'holds', {'ms': 1}).expect(429)
    assert 'holds' in answer.json()['message'] and 'queue.length' in answer.json()['message']
    assert int(answer.headers['retry-after']) >= 1
    figures = queue(org, 'holds')
    assert (figures['queued'], figures['running'], figures['refused']) == (2, 1, 1)
    assert figures['oldest_at']
    assert [ended(org, one)['state'] for one in ids] == ['done'] * 3


# ---- tried again ----

def test_it_is_tried_again_until_it_succeeds(org):
    org.deploy('later', LATER, queue={'attempts': 50, 'backoff_ms': 20, 'backoff_max_ms': 100})
    delivery = ended(org, put_id(org, 'later', {'from': time.time() * 1000 + 300, 'n': 7}))
    assert delivery['state'] == 'done' and json.loads(delivery['result']['body']) == {'n': 7}
    codes = [one['code'] for one in delivery['attempts']]
    assert len(codes) >= 2 and codes == ['function_error'] * (len(codes) - 1) + ['ok']
    assert len({one['call_id'] for one in delivery['attempts']}) == len(codes)
    assert queue(org, 'later')['retries'] == len(codes) - 1


def test_one_that_never_succeeds_is_dead_after_its_attempts(org):
    org.deploy('throws', THROWS, queue=QUICK)
    call_id = put_id(org, 'throws', {'x': 1})
    delivery = ended(org, call_id)
    assert (delivery['state'], delivery['code'], delivery['attempt_count']) == (
        'dead', 'function_error', 3)
    letter = org.client.get(f'{org.path}/dead-letters/{call_id}').expect(200).json()
    assert json.loads(letter['payload']['body']) == {'x': 1}
    assert [one['number'] for one in letter['attempts']] == [1, 2, 3]
    for attempt in letter['attempts']:
        assert 'never works' in attempt['message']
        assert any('trying {"x":1}' in line['m'] for line in attempt['log'])
        record = org.client.get(f"{org.path}/calls/{attempt['call_id']}").expect(200).json()
        assert (record['code'], record['trigger']) == ('function_error', 'async')
    assert queue(org, 'throws')['dead'] == 1


def test_what_a_caller_proves_itself_with_is_not_shown_with_the_dead(org):
    """It reaches the function, and a redrive has it still."""
    org.deploy('tells', TELLS_ITS_PROOFS, queue={**QUICK, 'attempts': 1})
    call_id = org.route('GET', 'tells?a=1', headers={
        'X-Mayfly-Mode': 'async', 'Authorization': 'Bearer of-a-user', 'X-Api-Key': 'of-a-user',
        'Cookie': 'session=of-a-user; b', 'X-Other': 'seen'}).expect(202).call_id
    assert ended(org, call_id)['state'] == 'dead'
    answer = org.client_of('viewer').get(f'{org.path}/dead-letters/{call_id}').expect(200)
    head = answer.json()['payload']['head']
    assert head['headers']['x-other'] == 'seen' and head['rawQueryString'] == 'a=1'
    assert head['headers']['authorization'] == head['headers']['x-api-key'] == '(hidden)'
    assert [cookie.split('=')[0] for cookie in head['cookies']] == ['session', 'b']
    assert 'of-a-user' not in json.dumps(head)
    again = org.client.post(f'{org.path}/dead-letters/{call_id}/redrive', {}).expect(202).call_id
    assert 'Bearer of-a-user of-a-user session=of-a-user' in ended(org, again)['message']


@pytest.mark.parametrize('status, state, attempts', [
    (200, 'done', 1), (302, 'done', 1), (404, 'done', 1), (408, 'dead', 3), (425, 'dead', 3),
    (429, 'dead', 3), (500, 'dead', 3), (503, 'dead', 3)])
def test_a_status_decides_whether_it_is_tried_again(org, status, state, attempts):
    org.deploy('status', STATUS, queue=QUICK)
    answer = org.route('GET', f'status?s={status}', headers={'X-Mayfly-Mode': 'async'})
    delivery = ended(org, answer.expect(202).call_id)
    assert (delivery['state'], delivery['attempt_count']) == (state, attempts)
    assert delivery['status'] == status


@pytest.mark.parametrize('code, source, limits', [
    ('timeout', 'exports.handler = () => new Promise((go) => setTimeout(go, 60000))',
     {'timeout_ms': 200}),
    ('function_exited', 'exports.handler = async () => { process.exit(3) }', {}),
    ('answer_too_large', 'exports.handler = async () => "x".repeat(5000)',
     {'answer_bytes': 1024})])
def test_an_attempt_that_breaks_a_limit_has_failed(org, code, source, limits):
    org.deploy('f', source, limits=limits, queue={**QUICK, 'attempts': 2})
    delivery = ended(org, put_id(org, 'f', {}))
    assert (delivery['state'], delivery['code']) == ('dead', code)
    assert [one['code'] for one in delivery['attempts']] == [code] * 2


def test_one_that_is_too_old_is_dead_and_says_what_it_waited_for(org):
    body = {'runtime': 'node', 'code': mayfly.code_of('syntax error('),
            'queue': {'max_age_s': 1}}
    org.client.put(f'{org.path}/functions/broken', body)
    assert org.settle('broken')['state'] == 'failed'
    delivery = ended(org, put_id(org, 'broken', {}))
    assert delivery['state'] == 'dead' and not delivery['attempts']
    assert delivery['code'] == 'function_failed' and 'max_age_s' in delivery['message']


def test_one_whose_function_is_deleted_waits_for_another_of_its_name(org):
    org.deploy('echo', ECHO, queue={'max_age_s': 60})
    call_id = put_id(org, 'echo', {'a': 1}, delay=2)
    org.client.delete(f'{org.path}/functions/echo').expect(204)
    assert get(org, call_id, '0s')['state'] == 'queued'
    org.deploy('echo', ECHO)
    assert ended(org, call_id)['state'] == 'done'


# ---- order, idempotency, delay ----

def test_calls_of_one_key_run_in_order_also_when_one_is_tried_again(org):
    tried = {'attempts': 100, 'backoff_ms': 20, 'backoff_max_ms': 50}
    first_throws = ECHO.replace('({ got', "{ if (event.n === 0) throw new Error('not yet');"
                                          ' return { got').replace('})', '} }')
    org.deploy('f', first_throws, queue=tried)
    ids = [put_id(org, 'f', {'n': n}, order_key='k') for n in range(8)]
    free = put_id(org, 'f', {'n': 99}, order_key='other')
    assert ended(org, free)['state'] == 'done'
    wait_until(lambda: len(get(org, ids[0], '0s')['delivery']['attempts']) > 1, 'two tries', 30)
    assert {get(org, one, '0s')['state'] for one in ids[1:]} == {'queued'}
    org.deploy('f', ECHO, queue=tried)
    ends = [ended(org, one) for one in ids]
    assert {one['state'] for one in ends} == {'done'}
    assert [one['id'] for one in sorted(ends, key=lambda one: (one['ended_at'], one['id']))] == ids
    starts = [one['attempts'][-1]['started_at'] for one in ends]
    assert starts == sorted(starts)


def test_the_same_idempotency_key_is_the_same_call(org):
    org.deploy('echo', ECHO)
    first = put(org, 'echo', {'n': 1}, idempotency_key='once').expect(202).json()
    second = put(org, 'echo', {'n': 2}, idempotency_key='once').expect(202).json()
    assert second == {**first, 'known': True} and first['known'] is False
    ended(org, first['id'])
    third = put(org, 'echo', {'n': 3}, idempotency_key='once').expect(202).json()
    assert third['id'] == first['id']
    assert len(org.client.get(f'{org.path}/deliveries').json()['deliveries']) == 1
    assert queue(org, 'echo')['queued'] == 0


def test_by_route_nobody_takes_the_key_of_another(org):
    """By route anybody calls: who guesses a key must not learn of a call, nor keep one away."""
    org.deploy('status', STATUS)
    first = put(org, 'status', {}, idempotency_key='once').expect(202).json()
    by_route = [org.route('POST', 'status?s=200', headers={
        'X-Mayfly-Mode': 'async', 'Idempotency-Key': 'once'}).expect(202).json() for _ in range(2)]
    assert [one['known'] for one in by_route] == [False, True]
    assert by_route[0]['id'] == by_route[1]['id'] != first['id']
    assert put(org, 'status', {}, idempotency_key='once').expect(202).json()['id'] == first['id']


def test_by_route_nobody_holds_up_what_others_put_under_a_key(org):
    """By route anybody calls, and makes it fail: the others of its key are those by route."""
    org.deploy('f', FAILS_BY_ROUTE, queue={'attempts': 2, 'backoff_ms': 600_000,
                                           'backoff_max_ms': 600_000})
    org.client.put(f'{org.path}/triggers/t', {'function': 'f', 'order_key': 'subject'}).expect(201)
    headers = {'X-Mayfly-Mode': 'async', 'X-Mayfly-Order-Key': 'k'}
    fails, behind = [org.route('POST', 'f', headers=headers).expect(202).call_id for _ in range(2)]
    wait_until(lambda: get(org, fails, '0s')['delivery']['attempts'], 'it fails', 30)
    org.client.send('POST', f'{org.path}/events', body=json.dumps({
        'specversion': '1.0', 'id': '1', 'source': '/a', 'type': 'a', 'subject': 'k'}).encode(),
        headers={'Content-Type': 'application/cloudevents+json'}).expect(202)
    assert ended(org, put_id(org, 'f', {}, order_key='k'))['state'] == 'done'
    states = {one['origin']: one['state'] for one in wait_until(
        lambda: org.client.get(f'{org.path}/deliveries?state=done').json()['deliveries'][1:] and
        org.client.get(f'{org.path}/deliveries?state=done').json()['deliveries'], 'two', 30)}
    assert states == {'async': 'done', 'event': 'done'}
    for one, attempts in ((fails, 1), (behind, 0)):
        delivery = get(org, one, '0s')['delivery']
        assert (delivery['state'], len(delivery['attempts'])) == ('queued', attempts)


@pytest.mark.parametrize('key', [
    'schedule/nightly/1795200000000', 'event/' + 64 * 'a', 'redrive/01J', 'destination/01J/0'])
def test_keys_of_mayflys_own_are_no_callers(org, key):
    """A schedule's next key is no secret: a call that had it would keep the run from being put."""
    org.deploy('status', STATUS)
    for answer in (put(org, 'status', {}, idempotency_key=key),
                   org.route('POST', 'status?s=200', headers={'X-Mayfly-Mode': 'async',
                                                              'Idempotency-Key': key})):
        assert answer.expect(400).json()['field'] == 'Idempotency-Key'


def test_by_route_nobody_fills_a_queue_for_days(org):
    org.deploy('status', STATUS)
    for delay, status in ((901, 400), (900, 202)):
        org.route('POST', 'status?s=200', headers={
            'X-Mayfly-Mode': 'async', 'X-Mayfly-Delay': str(delay)}).expect(status)
    put_id(org, 'status', {}, delay=14 * 86400)


def test_a_delayed_call_does_not_begin_before_its_time(org):
    org.deploy('echo', ECHO)
    call_id = put_id(org, 'echo', {}, delay=1)
    delivery = ended(org, call_id)
    record = org.record(call_id)
    assert _seconds(record['started_at']) - _seconds(delivery['created_at']) >= 1


def _seconds(text):
    hours, minutes, seconds = text[11:-1].split(':')
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


# ---- callbacks and destinations ----

def key_of(org):
    return org.client.get(f'{org.path}/callback-key').expect(200).json()['key']


def signature_holds(key, headers, body):
    parts = dict(part.split('=', 1) for part in headers['X-Mayfly-Signature'].split(','))
    assert abs(time.time() - int(parts['t'])) < 60
    want = hmac.new(key.encode(), parts['t'].encode() + b'.' + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(want, parts['v1'])


def test_a_callback_has_the_result_and_a_signature(daemon, org):
    org.deploy('echo', ECHO)
    with Receiver() as receiver:
        call_id = put_id(org, 'echo', {'n': 1}, callback=receiver.url('/back?x=1'))
        [(path, headers, body)] = wait_until(lambda: receiver.posts, 'a callback', 30)
    assert path == '/back?x=1' and json.loads(body) == {'got': {'n': 1}}
    assert headers['X-Call-Id'] == call_id
    assert signature_holds(key_of(org), headers, body)
    assert not signature_holds(key_of(org), headers, body + b'x')
    assert key_of(daemon.new_org()) != key_of(org)


def test_a_callback_of_a_call_by_route_has_the_result_and_no_signature(org):
    org.deploy('status', STATUS, queue=QUICK)
    with Receiver() as receiver:
        answer = org.route('GET', 'status?s=201', headers={
            'X-Mayfly-Mode': 'async', 'X-Callback-Url': receiver.url('/back?x=1')}).expect(202)
        [(path, headers, body)] = wait_until(lambda: receiver.posts, 'a callback', 30)
    assert path == '/back?x=1' and body.decode() == f'as asked: {answer.call_id}'
    assert headers['X-Call-Id'] == answer.call_id
    assert headers['X-Function-Name'] == 'status' and headers['X-Function-Status'] == '201'
    assert float(headers['X-Duration-Seconds']) > 0 and headers['x-kind'] == 'test'
    assert 'X-Mayfly-Signature' not in headers


def test_what_was_asked_for_by_route_is_not_signed_later_either():
    """Nor after a restart, nor when a person has it tried again: the call, or its post."""
    def by_route(org, receiver):
        return org.route('POST', 'throws', headers={
            'X-Mayfly-Mode': 'async', 'X-Callback-Url': receiver.url('/route')}).expect(202).call_id
    with mayfly.Daemon(config='callback_private = 127.0.0.0/8\n') as daemon, \
            Receiver(answers=2 * [404]) as receiver:
        org = daemon.new_org()
        org.deploy('throws', THROWS, queue={
            **QUICK, 'attempts': 1, 'on_failure': [receiver.url('/policy')]})
        call_id = by_route(org, receiver)
        posts = wait_until(lambda: len(posts_of(org, 'dead')) == 2 and posts_of(org), 'dead', 30)
        daemon.kill()
        token = org.client.token
        daemon.start()
        org.client = daemon.client(token)
        for one in [*(post['id'] for post in posts), call_id]:
            org.client.post(f'{org.path}/dead-letters/{one}/redrive').expect(202)
        wait_until(lambda: len(receiver.posts) == 6, 'every post', 60)
        put_id(org, 'throws', {}, callback=receiver.url('/token'))
        wait_until(lambda: len(receiver.posts) == 8, 'those of a call with a token', 30)
        signed = [(path, 'X-Mayfly-Signature' in headers) for path, headers, _ in receiver.posts]
        assert sorted(signed) == sorted(
            3 * [('/route', False)] + 4 * [('/policy', True)] + [('/token', True)])
        assert all(signature_holds(key_of(org), headers, body)
                   for path, headers, body in receiver.posts if path != '/route')


def test_a_callback_is_tried_again_and_tells_of_a_failure_too(org):
    org.deploy('throws', THROWS, queue={**QUICK, 'attempts': 1})
    with Receiver(answers=[500]) as receiver:
        call_id = put_id(org, 'throws', {}, callback=receiver.url())
        wait_until(lambda: len(receiver.posts) == 2, 'the second try', 30)
        for _, headers, body in receiver.posts:
            assert headers['X-Call-Id'] == call_id and headers['X-Function-Status'] == '502'
            assert headers['X-Mayfly-Error'] == 'function_error' and body == b''


def posts_of(org, state=None):
    query = '?function=@posts' + (f'&state={state}' if state else '')
    return org.client.get(f'{org.path}/deliveries{query}').expect(200).json()['deliveries']


def test_a_callback_does_not_reach_what_the_provider_does_not_open(org):
    org.deploy('echo', ECHO)
    call_id = put_id(org, 'echo', {}, callback='http://169.254.169.254/latest/meta-data/')
    assert ended(org, call_id)['state'] == 'done'
    [post] = wait_until(lambda: posts_of(org, 'dead'), 'the dead post', 30)
    assert post['idempotency_key'].startswith(f'callback/{call_id}/')
    assert post['origin'] == 'callback' and post['source'] == 'echo'
    assert post['attempt_count'] == 1 and post['code'] == 'forbidden'
    assert 'may not be reached' in post['message']


def test_destinations_are_told_how_it_ended(org):
    org.deploy('audit', ECHO)
    with Receiver() as receiver:
        org.deploy('works', ECHO, queue={
            'on_success': ['function:audit', receiver.url('/good')], 'on_failure': []})
        org.deploy('throws', THROWS, queue={
            **QUICK, 'on_failure': ['function:audit', receiver.url('/bad')]})
        good, bad = put_id(org, 'works', {'n': 1}), put_id(org, 'throws', {'n': 2})
        assert (ended(org, good)['state'], ended(org, bad)['state']) == ('done', 'dead')
        posts = wait_until(lambda: len(receiver.posts) == 2 and receiver.posts, 'posts', 30)
        told = {path: json.loads(body) for path, _, body in posts}
        assert all(signature_holds(key_of(org), headers, body) for _, headers, body in posts)
    assert told['/good']['id'] == good and told['/good']['response'] == {'got': {'n': 1}}
    assert told['/bad']['state'] == 'dead' and told['/bad']['attempts'] == 3
    assert told['/bad']['request'] == {'n': 2} and 'never works' in told['/bad']['message']

    def audits():
        found = org.client.get(f'{org.path}/deliveries?function=audit').json()['deliveries']
        return len([one for one in found if one['state'] == 'done']) == 2 and found
    found = wait_until(audits, 'the audits', 30)
    assert {one['source'] for one in found} == {'works', 'throws'}
    assert all(one['origin'] == 'destination' for one in found)
    seen = [json.loads(ended(org, one['id'])['result']['body'])['got'] for one in found]
    assert {one['id'] for one in seen} == {good, bad}


# ---- cancelled ----

def test_one_that_waits_and_one_that_runs_can_be_cancelled(org):
    org.deploy('holds', HOLDS, queue={'concurrency': 1}, limits={'timeout_ms': 60000})
    running = put_id(org, 'holds', {'ms': 50000})
    in_hand = [put_id(org, 'holds', {'ms': 1}) for _ in range(3)]
    delayed = put_id(org, 'holds', {'ms': 1}, delay=600)
    wait_until(lambda: get(org, running, '0s')['state'] == 'running', 'it runs', 30)
    found = org.client.get(f'{org.path}/deliveries?state=running').json()['deliveries']
    assert [one['id'] for one in found] == [running]
    for one in (delayed, in_hand[0], running):
        org.client.delete(f'{org.path}/calls/{one}').expect(200)
        assert ended(org, one)['state'] == 'cancelled'
    assert [ended(org, one)['state'] for one in in_hand[1:]] == ['done', 'done']
    org.client.delete(f'{org.path}/calls/{running}').expect(409)
    org.client.delete(f'{org.path}/calls/01J9ZZ3N9V0M0Q4T7Y1C2B3D4E').expect(404)
    other = org.daemon.new_org()
    other.client.delete(f'{other.path}/calls/{delayed}').expect(404)
    other.client.get(f'{other.path}/calls/{delayed}').expect(404)


def test_a_wait_ends_when_its_time_is_over(org):
    org.deploy('echo', ECHO)
    call_id = put_id(org, 'echo', {}, delay=600)
    assert get(org, call_id, '100ms')['state'] == 'queued'
    org.client.get(f'{org.path}/calls/{call_id}?wait=61s').expect(400)
    org.client.delete(f'{org.path}/calls/{call_id}').expect(200)


# ---- the dead ----

def dead(org, name):
    answer = org.client.get(f'{org.path}/dead-letters?function={name}').expect(200).json()
    return [one['id'] for one in answer['deliveries']]


def test_dead_letters_are_tried_again_one_all_and_elsewhere(org):
    org.deploy('f', THROWS, queue={**QUICK, 'attempts': 1})
    ids = [put_id(org, 'f', {'n': n}) for n in range(4)]
    for one in ids:
        assert ended(org, one)['state'] == 'dead'
    assert dead(org, 'f') == ids[::-1]
    org.deploy('f', ECHO)
    answer = org.client.post(f'{org.path}/dead-letters/{ids[0]}/redrive').expect(202).json()
    again = ended(org, answer['id'])
    assert again['state'] == 'done' and again['origin'] == 'redrive'
    assert json.loads(again['result']['body']) == {'got': {'n': 0}}
    org.client.get(f'{org.path}/dead-letters/{ids[0]}').expect(404)
    answer = org.client.post(f'{org.path}/dead-letters/{ids[1]}/redrive', {'version': 1})
    assert ended(org, answer.expect(202).json()['id'])['state'] == 'dead'
    org.deploy('other', ECHO)
    answer = org.client.post(f'{org.path}/dead-letters/{ids[2]}/redrive', {'function': 'other'})
    assert ended(org, answer.expect(202).json()['id'])['function'] == 'other'
    answer = org.client.post(f'{org.path}/dead-letters/redrive?function=f').expect(200).json()
    assert answer == {'redriven': 2, 'stopped_by': None}
    wait_until(lambda: queue(org, 'f')['queued'] + queue(org, 'f')['running'] == 0, 'done', 30)
    assert dead(org, 'f') == []
    org.client.post(f'{org.path}/dead-letters/{ids[3]}/redrive').expect(404)
    org.client.post(f'{org.path}/dead-letters/redrive', {'function': 'none'}).expect(404)


def test_dead_letters_are_deleted_one_and_all(org):
    org.deploy('f', THROWS, queue={**QUICK, 'attempts': 1})
    ids = [put_id(org, 'f', {'n': n}) for n in range(3)]
    for one in ids:
        assert ended(org, one)['state'] == 'dead'
    org.client.delete(f'{org.path}/dead-letters/{ids[0]}').expect(204)
    org.client.delete(f'{org.path}/dead-letters/{ids[0]}').expect(404)
    assert org.client.delete(f'{org.path}/dead-letters?function=none').json() == {'purged': 0}
    assert org.client.delete(f'{org.path}/dead-letters').json() == {'purged': 2}
    assert dead(org, 'f') == []
    wait_until(lambda: queue(org, 'f')['dead'] == 0, 'the figure follows', 10)


# ---- seen from outside, beside others, after a restart ----

def test_metrics_tell_of_each_queue(daemon, org):
    org.deploy('f', THROWS, queue=QUICK)
    ended(org, put_id(org, 'f', {}))
    put_id(org, 'f', {}, delay=600)
    figures = daemon.metrics()
    labels = f'{{org="{org.name}",function="f"}}'
    assert figures[f'mayfly_deliveries_accepted_total{labels}'] == 2
    assert figures[f'mayfly_delivery_retries_total{labels}'] == 2
    assert figures[f'mayfly_dead_letters{labels}'] == 1
    assert figures[f'mayfly_deliveries_queued{labels}'] == 1
    assert figures[f'mayfly_deliveries_running{labels}'] == 0
    assert f'mayfly_delivery_oldest_seconds{labels}' in figures


def test_a_flood_of_durable_calls_leaves_room_for_others(org):
    org.deploy('f', HOLDS, queue={'concurrency': 2, 'length': 1000}, max_instances=4)
    for _ in range(200):
        put_id(org, 'f', {'ms': 20})
    for _ in range(5):
        assert org.call('f', {'ms': 0}).expect(200).json() == {'held': 0}
    assert queue(org, 'f')['running'] <= 2
    assert queue(org, 'f')['queued'] > 0


def test_what_was_accepted_survives_a_restart_and_a_kill():
    with mayfly.Daemon() as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO)
        org.deploy('holds', HOLDS, limits={'timeout_ms': 60000}, queue={'concurrency': 2})
        waiting = put_id(org, 'echo', {'a': 1}, delay=3)
        running = put_id(org, 'holds', {'ms': 2000})
        keyed = [put_id(org, 'echo', {'n': n}, delay=3, order_key='k') for n in range(5)]
        wait_until(lambda: get(org, running, '0s')['state'] == 'running', 'it runs', 30)
        time.sleep(0.5)                 # attempts are noted behind their beginning
        daemon.kill()
        token = org.client.token
        daemon.start()
        org.client = daemon.client(token)
        assert ended(org, waiting)['state'] == 'done'
        lost = ended(org, running)
        assert lost['state'] == 'done'
        assert [one['code'] for one in lost['attempts']] == ['lost', 'ok']
        ends = [(one['ended_at'], one['id']) for one in (ended(org, each) for each in keyed)]
        assert [one for _, one in sorted(ends)] == keyed
        assert daemon.stop() == 0
        assert (daemon.data_dir / 'callback-key').stat().st_mode & 0o777 == 0o600
