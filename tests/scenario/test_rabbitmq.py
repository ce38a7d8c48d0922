# SPDX-License-Identifier: Apache-2.0
"""Durable calls on a real RabbitMQ: as on the embedded bus, put from outside too, and nothing that
was acknowledged is lost when the broker is killed and comes back."""
import json
import pathlib
import subprocess
import time

import pytest

import mayfly
import rabbitmq

CALLS = 1500
ECHO = '''
def handler(event, context):
    return {'got': event}
'''
QUEUE = {'attempts': 6, 'backoff_ms': 50, 'backoff_max_ms': 200, 'concurrency': 8,
         'length': 1000000}


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker() as started:
        yield started


def wait_until(is_done, what):
    """A broker that comes back takes its time."""
    return mayfly.wait_until(is_done, what, wait_s=60)


def daemon_on(broker, password_file=None, config=''):
    password = pathlib.Path(password_file or broker.password_file).read_text()
    daemon = mayfly.Daemon('--bus', 'rabbitmq', '--amqp-url', broker.url, log_level='info',
                           config=config)
    path = daemon.folder / 'amqp-password'
    path.write_text(password)
    path.chmod(0o600)   # root's alone: it is read before the rights go
    daemon.args += ['--amqp-password-file', str(path)]
    return daemon


def queues_of(org):
    return org.client.get(f'/v1/orgs/{org.name}/queues').expect(200).json()


def path_of(org, function):
    return f'/v1/orgs/{org.name}/functions/{function}/calls?mode=async'


def put(org, function, body):
    """Once the connection is there."""
    def accepted():
        answer = org.client.post(path_of(org, function), body)
        return answer.json()['id'] if answer.status == 202 else None
    return wait_until(accepted, 'a put is accepted')


def delivery_of(org, call):
    return org.client.get(f'/v1/orgs/{org.name}/calls/{call}?wait=30s').expect(200).json()['delivery']


def publish(broker, key, body, *more):
    """As anybody does who may write to the exchange."""
    subprocess.run(['amqp-publish', '--server=127.0.0.1', f'--port={broker.port}', '--vhost=/',
                    f'--username={broker.user}', f'--password={broker.password}',
                    '--exchange=mayfly', f'--routing-key={key}', f'--body={body}', '--persistent',
                    '--content-type=application/json', *more], check=True, timeout=60)


def test_a_durable_call_runs_and_is_told(broker):
    with daemon_on(broker) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO, runtime='python', queue=QUEUE)
        call = put(org, 'echo', {'n': 1})
        delivery = delivery_of(org, call)
        assert delivery['state'] == 'done'
        assert json.loads(delivery['result']['body']) == {'got': {'n': 1}}
        assert queues_of(org)['bus'] == {'name': 'rabbitmq', 'up': True}
        ready = daemon.client().get('/readyz').expect(200).json()
        assert ready['status'] == 'ready' and ready['bus'] == {'name': 'rabbitmq', 'up': True}


def test_what_others_publish_calls_the_function(broker):
    with daemon_on(broker) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO, runtime='python', queue=QUEUE)
        delivery_of(org, put(org, 'echo', {'n': 1}))
        publish(broker, f'{org.name}.echo', '{"from":"outside"}')

        def found():
            path = f'/v1/orgs/{org.name}/deliveries'
            return [one for one in org.client.get(path).expect(200).json()['deliveries']
                    if one['origin'] == 'queue' and one['state'] == 'done']
        [one] = wait_until(found, 'the message of another is done')
        result = delivery_of(org, one['id'])['result']
        assert json.loads(result['body']) == {'got': {'from': 'outside'}}


def test_a_dead_letter_keeps_what_it_carried(broker):
    with daemon_on(broker) as daemon:
        org = daemon.new_org()
        org.deploy('fails', 'def handler(event, context):\n    raise ValueError("never")\n',
                   runtime='python', queue=dict(QUEUE, attempts=2, backoff_ms=10))
        call = put(org, 'fails', {'n': 7})
        assert delivery_of(org, call)['state'] == 'dead'
        letter = org.client.get(f'/v1/orgs/{org.name}/dead-letters/{call}').expect(200).json()
        assert '"n": 7' in json.dumps(letter) or '\\"n\\": 7' in json.dumps(letter), letter


def test_a_wrong_password_is_told_and_refuses_durable_calls(broker, tmp_path):
    wrong = tmp_path / 'password'
    wrong.write_text('not this one\n')
    with daemon_on(broker, wrong) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO, runtime='python', queue=QUEUE)
        wait_until(lambda: daemon.log_lines('amqp.down'), 'the refusal is in the log')
        assert 'ACCESS_REFUSED' in daemon.log_lines('amqp.down')[0]
        assert broker.password not in daemon.log() and 'not this one' not in daemon.log()
        answer = org.client.post(path_of(org, 'echo'), {'n': 1}).expect(503)
        assert answer.code == 'unavailable' and 'ACCESS_REFUSED' in answer.text
        assert queues_of(org)['bus'] == {'name': 'rabbitmq', 'up': False}
        assert daemon.client().get('/readyz').expect(200).json()['bus']['up'] is False


def test_its_processes_are_nobodys(broker):
    with daemon_on(broker) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO, runtime='python', queue=QUEUE)
        put(org, 'echo', {'n': 1})
        found = []
        for status in pathlib.Path('/proc').glob('[0-9]*/status'):
            try:
                text = status.read_text()
                ours = daemon.tag in (status.parent / 'environ').read_text()
            except OSError:
                continue
            if ours and text.startswith('Name:\tmayfly-amqp\n'):
                found.append(dict(line.split(':\t', 1) for line in text.splitlines() if ':\t' in line))
        assert len(found) == 3, found
        uids = {one['Uid'].split('\t')[0] for one in found}
        daemon_uid = str(pathlib.Path(f'/proc/{daemon.process.pid}').stat().st_uid)
        assert len(uids) == 1 and not uids & {'0', daemon_uid}, uids
        assert {one['CapEff'] for one in found} == {'0' * 16}
        assert {one['NoNewPrivs'] for one in found} == {'1'}
        assert sorted(one['Seccomp'] for one in found) == ['0', '2', '2']


def test_a_broker_that_is_killed_and_comes_back_loses_no_acknowledged_call(broker):
    with daemon_on(broker) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO, runtime='python', queue=QUEUE)
        accepted, refused, killed_at = [], 0, None
        accepted.append(put(org, 'echo', {'n': -1}))
        broker.settle()
        for n in range(CALLS):
            answer = org.client.post(path_of(org, 'echo'), {'n': n}, is_checked=False)
            if answer.status == 202:
                accepted.append(answer.json()['id'])
            else:
                assert answer.status in (429, 503), answer
                refused += 1
                time.sleep(0.02)
            if n == CALLS // 3:
                broker.kill()
                killed_at = len(accepted)
            if n == CALLS // 3 + 50:
                broker.start()
        assert refused, 'the broker was away and every call was accepted'
        wait_until(lambda: queues_of(org)['bus']['up'], 'the broker is there again')
        accepted.append(put(org, 'echo', {'n': CALLS}))
        assert len(accepted) > killed_at
        for call in accepted:
            assert delivery_of(org, call)['state'] == 'done', call
        print(f'{len(accepted)} accepted, {refused} refused')
