# SPDX-License-Identifier: Apache-2.0
"""Posts: what goes to a URL is on disk before the end of what it tells of, is tried until its
receiver takes it or it is a dead letter, and goes round in no circle. On both buses."""
import http.server
import json
import random
import threading
import time

import pytest

import mayfly
import rabbitmq
import test_rabbitmq
from mayfly import wait_until

CALLS, KILLS = 150, 3
QUICK = {'attempts': 2, 'backoff_ms': 10, 'backoff_max_ms': 20}
ECHO = 'exports.handler = async (event) => ({ got: event })'
THROWS = "exports.handler = async (event) => { throw new Error('never works') }"
PRIVATE = 'callback_private = 127.0.0.0/8\n'


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; answers with the statuses of `answers`, then 200; while `held` is
    set, not at all."""
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, answers=(), port=0):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers['content-length']))
                outer.posts.append((self.path, dict(self.headers.items()), body))
                outer.free.wait(60)
                try:
                    self.send_response(outer.answers.pop(0) if outer.answers else 200)
                    self.send_header('content-length', '0')
                    self.end_headers()
                except OSError:
                    pass

            def log_message(self, *_):
                pass

        super().__init__(('127.0.0.1', port), Handler)
        self.answers, self.posts, self.free = list(answers), [], threading.Event()
        self.free.set()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def url(self, path='/back'):
        return f'http://127.0.0.1:{self.port}{path}'

    def __exit__(self, *_):
        self.free.set()
        self.shutdown()
        self.server_close()


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker() as started:
        yield started


@pytest.fixture(params=['embedded', 'rabbitmq'])
def new_daemon(request):
    """Makes a daemon of the test's own, which may be killed."""
    made = []

    def make():
        if request.param == 'embedded':
            daemon = mayfly.Daemon(config=PRIVATE)
        else:
            daemon = test_rabbitmq.daemon_on(request.getfixturevalue('broker'), config=PRIVATE)
        made.append(daemon)
        daemon.start()
        if request.param == 'rabbitmq':
            wait_until(lambda: daemon.client().get('/readyz').json()['bus']['up'], 'the broker', 60)
        return daemon
    yield make
    for daemon in made:
        daemon.close()


@pytest.fixture
def org(new_daemon):
    return new_daemon().new_org()


@pytest.fixture(scope='module')
def daemon():
    with mayfly.Daemon(config=PRIVATE) as daemon:
        yield daemon


@pytest.fixture
def quick(daemon):
    """An org where the bus makes no difference."""
    org = daemon.new_org()
    yield org
    org.delete()


def put(org, name, event=None, callback=None):
    headers = {'X-Callback-Url': callback} if callback else {}
    answer = org.client.post(f'{org.path}/functions/{name}/calls?mode=async', event,
                             headers=headers)
    return answer.expect(202).call_id


def ended(org, call_id):
    def look():
        call = org.client.get(f'{org.path}/calls/{call_id}?wait=30s').expect(200).json()
        return call['state'] in ('done', 'dead', 'cancelled') and call
    return wait_until(look, f'{call_id} ends', 90)['delivery']


def posts_of(org, state, n=1, query=''):
    path = f'{org.path}/deliveries?function=@posts&state={state}{query}'

    def look():
        found = org.client.get(path).expect(200).json()['deliveries']
        return len(found) >= n and found
    return wait_until(look, f'{n} posts are {state}', 60)


def figures_of(org, name='@posts'):
    queues = org.client.get(f'{org.path}/queues').expect(200).json()['queues']
    return next(one for one in queues if one['function'] == name)


def send(org, event, headers=None, **more):
    return org.client.send('POST', f'{org.path}/events', body=json.dumps(event).encode(),
                           headers=headers or {'Content-Type': 'application/cloudevents+json'},
                           **more)


def event(n, **more):
    return {'specversion': '1.0', 'id': str(n), 'source': '/test', 'type': 'com.acme.x', **more}


# ---- nothing is lost ----

def test_a_callback_whose_answer_the_daemon_does_not_live_to_hear_is_sent_again(org):
    org.deploy('echo', ECHO)
    daemon, token = org.daemon, org.client.token
    with Receiver() as receiver:
        receiver.free.clear()
        call_id = put(org, 'echo', {'n': 1}, callback=receiver.url())
        assert ended(org, call_id)['state'] == 'done'
        wait_until(lambda: receiver.posts, 'the callback', 30)
        daemon.kill()
        receiver.free.set()
        daemon.start()
        org.client = daemon.client(token)
        [post] = posts_of(org, 'done')
    assert [headers['X-Call-Id'] for _, headers, _ in receiver.posts] == [call_id] * 2
    assert {body for _, _, body in receiver.posts} == {b'{"got":{"n":1}}'}
    shown = ended(org, post['id'])
    assert [one['code'] for one in shown['attempts']][-1] == 'ok'
    assert all(one['call_id'] is None and one['log'] == [] for one in shown['attempts'])
    assert (shown['origin'], shown['source'], shown['hops']) == ('callback', 'echo', 1)


def test_every_call_tells_its_url_by_one_post_whenever_the_daemon_is_killed(org):
    org.deploy('echo', ECHO, queue={'backoff_ms': 10})
    daemon, token = org.daemon, org.client.token
    with Receiver() as receiver:
        ids = {put(org, 'echo', {'n': n}, callback=receiver.url()) for n in range(CALLS)}
        for _ in range(KILLS):
            time.sleep(random.uniform(0.05, 0.5))
            daemon.kill()
            daemon.start()
            org.client = daemon.client(token)
        wait_until(lambda: {headers['X-Call-Id'] for _, headers, _ in list(receiver.posts)} == ids,
                   'every callback', 120)
        posts = posts_of(org, 'done', CALLS, '&n=1000')
    assert len(posts) == len({one['idempotency_key'] for one in posts}) == CALLS


def test_what_a_receiver_that_is_away_missed_it_gets_when_it_is_back(org):
    with Receiver() as receiver:
        port = receiver.port
    org.deploy('echo', ECHO, queue={'on_success': [f'http://127.0.0.1:{port}/told']})
    call_id = put(org, 'echo', {'n': 1}, callback=f'http://127.0.0.1:{port}/back')
    assert ended(org, call_id)['state'] == 'done'
    wait_until(lambda: figures_of(org)['retries'] >= 2, 'both were tried', 30)
    with Receiver(port=port) as receiver:
        wait_until(lambda: len(receiver.posts) == 2, 'both come', 60)
        assert {path for path, _, _ in receiver.posts} == {'/told', '/back'}
        posts_of(org, 'done', 2)
    figures = figures_of(org)
    assert (figures['accepted'], figures['done'], figures['dead']) == (2, 2, 0)
    labels = f'{{org="{org.name}",function="@posts"}}'
    assert org.daemon.metrics()[f'mayfly_deliveries_done_total{labels}'] == 2


def test_a_post_that_is_refused_is_a_dead_letter_and_goes_to_its_url_again(org):
    org.deploy('echo', ECHO)
    with Receiver(answers=[404]) as receiver:
        call_id = put(org, 'echo', {'n': 1}, callback=receiver.url('/a?b=c'))
        [dead] = posts_of(org, 'dead')
        assert (dead['status'], dead['code'], dead['attempt_count']) == (404, 'receiver_error', 1)
        path = f'{org.path}/dead-letters/{dead["id"]}'
        letter = org.client.get(path).expect(200).json()
        assert letter['payload']['body'] == '{"got":{"n":1}}'
        assert letter['payload']['head']['X-Call-Id'] == call_id
        assert letter['path'] == receiver.url('/a?b=c') and letter['method'] == 'POST'
        assert letter['message'] == 'the receiver answered 404' and letter['result'] is None
        for wish in ({'function': 'echo'}, {'version': 1}):
            org.client.post(f'{path}/redrive', wish).expect(409)
        again = org.client.post(f'{path}/redrive').expect(202).call_id
        assert ended(org, again)['state'] == 'done'
        assert len(receiver.posts) == 2
        org.client.get(path).expect(404)


# ---- one by one ----

def test_dead_posts_are_redriven_and_purged_all_together(quick):
    quick.deploy('echo', ECHO)
    quick.deploy('throws', THROWS, queue={**QUICK, 'attempts': 1})
    with Receiver(answers=[410, 410, 410]) as receiver:
        for n in range(3):
            put(quick, 'echo', {'n': n}, callback=receiver.url())
        posts_of(quick, 'dead', 3)
        ended(quick, put(quick, 'throws', {}))
        path = f'{quick.path}/dead-letters'
        # To a function goes what was a call.
        answer = quick.client.post(f'{path}/redrive', {'function': 'echo'}).expect(200).json()
        assert answer['redriven'] == 1 and answer['stopped_by'] is None
        answer = quick.client.post(f'{path}/redrive?function=@posts').expect(200).json()
        assert answer['redriven'] == 3 and answer['stopped_by'] is None
        wait_until(lambda: len(receiver.posts) == 6, 'they come again', 30)
        receiver.answers.append(400)
        put(quick, 'echo', {}, callback=receiver.url())
        posts_of(quick, 'dead')
    assert quick.client.delete(f'{path}?function=@posts').expect(200).json() == {'purged': 1}


def test_a_post_that_waits_for_its_receiver_is_cancelled(quick):
    quick.deploy('echo', ECHO)
    with Receiver() as receiver:
        receiver.free.clear()
        put(quick, 'echo', {}, callback=receiver.url())
        [post] = posts_of(quick, 'running')
        quick.client.delete(f'{quick.path}/calls/{post["id"]}').expect(200)
        assert ended(quick, post['id'])['state'] == 'cancelled'


def test_a_post_leaves_no_record_of_a_call_and_no_meter(quick):
    quick.deploy('echo', ECHO)
    with Receiver() as receiver:
        put(quick, 'echo', {}, callback=receiver.url())
        [post] = posts_of(quick, 'done')
    calls = quick.client.get(f'{quick.path}/calls').expect(200).json()['calls']
    assert {one['function'] for one in calls} == {'echo'}
    assert not [name for name in quick.daemon.metrics() if '@posts' in name and 'mayfly_call' in name]
    quick.client.get(f'{quick.path}/functions/@posts').expect(404)


def test_what_a_function_answers_brings_no_line_of_its_own(quick):
    quick.deploy('evil', '''exports.handler = async () => ({ statusCode: 200, headers: {
  'x-call-id': 'forged', 'x-mayfly-signature': 't=1,v1=forged', 'x-good': 'yes' }, body: 'b' })''')
    with Receiver() as receiver:
        quick.route('GET', 'evil', headers={'X-Mayfly-Mode': 'async',
                                            'X-Callback-Url': receiver.url()}).expect(202)
        [(_, headers, _)] = wait_until(lambda: receiver.posts, 'the callback', 30)
    assert 'forged' not in ''.join(headers.values()) and headers['x-good'] == 'yes'


# ---- circles ----

def wait_for_circle(org, name, wait_s=60):
    wait_until(lambda: figures_of(org, name)['circles'] == 1, 'the circle ends', wait_s)
    path = f'{org.path}/deliveries?function={name}&state=done&n=100'
    return wait_until(lambda: (lambda all: len(all) >= 17 and all)(
        org.client.get(path).expect(200).json()['deliveries']), 'all are done', 30)


def check_circle(org, all):
    assert len(all) == 17
    last = [one for one in all if 'it goes in a circle (16 hops)' in one['message']]
    assert len(last) == 1 and last[0]['state'] == 'done'
    hops = sorted(ended(org, one['id'])['hops'] for one in all)
    assert hops == list(range(17))
    labels = f'{{org="{org.name}",function="{all[0]["function"]}"}}'
    assert org.daemon.metrics()[f'mayfly_delivery_circles_total{labels}'] == 1
    assert [line for line in org.daemon.log_lines('delivery.circle') if org.name in line]


def test_functions_that_are_each_others_destination_stop_after_sixteen_hops(org):
    org.deploy('self', "exports.handler = async () => 'again'",
               queue={'on_success': ['function:self']})
    put(org, 'self', {})
    check_circle(org, wait_for_circle(org, 'self'))


def test_a_circle_over_events_ends_too(quick):
    quick.deploy('self', "exports.handler = async () => 'again'",
                 queue={'on_success': ['event:com.acme.again']})
    quick.client.put(f'{quick.path}/triggers/again', {
        'function': 'self', 'filter': [{'exact': {'type': 'com.acme.again'}}]}).expect(201)
    put(quick, 'self', {})
    check_circle(quick, wait_for_circle(quick, 'self'))


@pytest.mark.parametrize('name', ['mayflyhops', 'mayflyvia', 'mayfly'])
def test_an_attribute_of_the_platform_is_refused_from_outside(quick, name):
    wrong = [
        (event(1, **{name: '1'}), None),
        ([event(1), event(2, **{name: 1})], {'Content-Type': 'application/cloudevents-batch+json'}),
        ({}, {'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/a', 'ce-type': 'a',
              f'ce-{name}': '0', 'Content-Type': 'application/json'}),
    ]
    for body, headers in wrong:
        answer = send(quick, body, headers).expect(400)
        assert answer.json()['field'] == name and name in answer.json()['message']
    assert quick.client.get(f'{quick.path}/events').expect(200).json() == {'events': []}


# ---- triggers with a URL ----

def put_trigger(org, name, status=201, **wish):
    return org.client.put(f'{org.path}/triggers/{name}', wish).expect(status).json()


def test_a_trigger_sends_events_to_a_url_in_both_modes(org):
    with Receiver() as receiver:
        made = put_trigger(org, 'out', url=receiver.url('/binary'))
        assert (made['function'], made['url'], made['mode']) == (
            None, receiver.url('/binary'), 'binary')
        put_trigger(org, 'doc', url=receiver.url('/structured'), mode='structured')
        sent = event(1, subject='a b', data={'n': 1.50})
        assert send(org, sent).expect(202).json()['deliveries'] == 2
        got = wait_until(lambda: len(receiver.posts) == 2 and receiver.posts, 'both', 30)
        posts_of(org, 'done', 2)
    got = {path: (headers, body) for path, headers, body in got}
    headers, body = got['/binary']
    headers = {name.lower(): value for name, value in headers.items()}
    assert headers['ce-id'] == '1' and headers['ce-subject'] == 'a%20b'
    assert headers['content-type'] == 'application/json' and json.loads(body) == {'n': 1.5}
    assert headers['x-mayfly-signature'].startswith('t=')
    headers, body = got['/structured']
    assert json.loads(body) == sent
    figures = org.client.get(f'{org.path}/triggers/out').expect(200).json()['figures']
    assert (figures['matched'], figures['delivered'], figures['failed']) == (1, 1, 0)


def test_a_wrong_target_is_refused_and_named(quick):
    quick.deploy('echo', ECHO)
    for field, wish in (('function', {}), ('url', {'url': 'ftp://a/'}), ('url', {'url': 5}),
                        ('url', {'url': 'http://a/', 'function': 'echo'}),
                        ('mode', {'url': 'http://a/', 'mode': 'batch'}),
                        ('mode', {'function': 'echo', 'mode': 'binary'})):
        answer = quick.client.put(f'{quick.path}/triggers/t', wish).expect(400)
        if wish != {'url': 5}:
            assert answer.json()['field'] == field, answer


def test_what_a_url_does_not_take_is_a_dead_letter_of_its_trigger(quick):
    quick.deploy('alert', ECHO)
    with Receiver(answers=[500, 500]) as receiver:
        put_trigger(quick, 'out', url=receiver.url(), order_key='subject',
                    queue={**QUICK, 'on_failure': ['function:alert']})
        send(quick, event(1, subject='s')).expect(202)
        [dead] = posts_of(quick, 'dead')
    assert (dead['origin'], dead['source'], dead['attempt_count']) == ('event', 'out', 2)
    assert dead['order_key'] == 'out/s' and dead['code'] == 'receiver_error'
    wait_until(lambda: quick.client.get(f'{quick.path}/triggers/out').json()['figures'][
        'failed'] == 1, 'it is counted', 30)

    def alerts():
        path = f'{quick.path}/deliveries?function=alert&state=done'
        return quick.client.get(path).expect(200).json()['deliveries']
    [alert] = wait_until(alerts, 'the alert', 30)
    told = json.loads(ended(quick, alert['id'])['result']['body'])['got']
    assert told['function'] is None and told['url'] == dead['path'] and alert['source'] == 'out'


def test_a_trigger_with_a_url_survives_a_kill_and_turns_to_a_function(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    token = org.client.token
    with Receiver() as receiver:
        put_trigger(org, 'out', url=receiver.url(), mode='structured')
        daemon.kill()
        daemon.start()
        org.client = daemon.client(token)
        shown = org.client.get(f'{org.path}/triggers/out').expect(200).json()
        assert (shown['url'], shown['mode'], shown['failure']) == (
            receiver.url(), 'structured', None)

        def accepted():
            return send(org, event(1), is_checked=False).status == 202
        wait_until(accepted, 'the event is taken', 60)
        wait_until(lambda: receiver.posts, 'it is sent', 30)
    org.deploy('echo', ECHO)
    changed = put_trigger(org, 'out', status=200, function='echo')
    assert (changed['function'], changed['url'], changed['mode']) == ('echo', None, None)
    org.client.delete(f'{org.path}/functions/echo').expect(204)
    org.client.get(f'{org.path}/triggers/out').expect(404)


def test_what_a_destination_emits_goes_out_without_what_is_the_platforms(quick):
    quick.deploy('echo', ECHO, queue={'on_success': ['event:com.acme.done']})
    with Receiver() as receiver:
        put_trigger(quick, 'out', url=receiver.url('/b'))
        put_trigger(quick, 'doc', url=receiver.url('/s'), mode='structured')
        call_id = put(quick, 'echo', {})
        got = wait_until(lambda: len(receiver.posts) == 2 and receiver.posts, 'both', 30)
    for path, headers, body in got:
        assert 'mayflyhops' not in json.dumps(headers).lower() + body.decode()
    assert {json.loads(body).get('data', json.loads(body))['id'] for _, _, body in got} == {call_id}
    assert {ended(quick, one['id'])['hops'] for one in posts_of(quick, 'done', 2)} == {1}


def test_the_command_line_puts_a_trigger_with_a_url(quick):
    def cli(*args):
        return mayfly.run('mayfly', *args, env={
            'MAYFLY_URL': f'http://{quick.daemon.address}', 'MAYFLY_ORG': quick.name,
            'MAYFLY_TOKEN': quick.client.token})
    done = cli('trigger', 'put', 'out', '--to', 'http://127.0.0.1:1/x', '--mode', 'structured')
    assert done.returncode == 0 and 'trigger out posts to http://127.0.0.1:1/x' in done.stdout
    shown = json.loads(cli('trigger', 'show', 'out').stdout)
    assert (shown['url'], shown['mode']) == ('http://127.0.0.1:1/x', 'structured')
    assert cli('trigger').stdout.splitlines()[1].split()[:2] == ['out', 'http://127.0.0.1:1/x']
    assert 'reaches out' in cli('trigger', 'test', 'out', '--type', 'x').stdout
    assert cli('trigger', 'put', 'none', '--type', 'x').returncode == 2


# ---- the broker ----

def test_what_others_put_among_the_posts_is_not_sent(broker):
    with test_rabbitmq.daemon_on(broker, config=PRIVATE) as daemon, Receiver() as receiver:
        org = daemon.new_org()
        org.deploy('echo', ECHO)
        test_rabbitmq.put(org, 'echo', {})
        org.client.post(f'{org.path}/functions/echo/calls?mode=async', {},
                        headers={'X-Callback-Url': receiver.url('/real')}).expect(202)
        posts_of(org, 'done')
        headers = {'x-mayfly-head': '0', 'x-mayfly-path': receiver.url('/forged'),
                   'x-mayfly-origin': 'callback', 'x-mayfly-method': 'POST'}
        more = [word for name, value in headers.items() for word in ('-H', f'{name}: {value}')]
        # What says that it is mayfly's has no row and is dropped; what does not goes nowhere.
        test_rabbitmq.publish(broker, f'{org.name}.@posts', 'x', *more)
        test_rabbitmq.publish(broker, f'{org.name}.@posts', receiver.url('/forged'))
        [dead] = posts_of(org, 'dead')
        assert (dead['origin'], dead['code']) == ('queue', 'forbidden')
        org.client.post(f'{org.path}/dead-letters/{dead["id"]}/redrive').expect(409)
        assert [path for path, _, _ in receiver.posts] == ['/real']
