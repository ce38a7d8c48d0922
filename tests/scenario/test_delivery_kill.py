# SPDX-License-Identifier: Apache-2.0
"""No durable call that was acknowledged is lost: the daemon and its spawner are killed at any
moment, and started again, while thousands of calls are accepted and run."""
import json
import os
import pathlib
import random
import signal
import threading
import time

import pytest

import mayfly
from mayfly import wait_until

KILLS = 8
CALLS = 3000
PRODUCERS = 4
# One in ten never works.
WORKS = '''
def handler(event, context):
    if event['n'] % 10 == 0:
        raise ValueError('never')
    return {'n': event['n']}
'''
QUEUE = {'attempts': 6, 'backoff_ms': 10, 'backoff_max_ms': 50, 'concurrency': 8,
         'length': 1000000}


class Producer(threading.Thread):
    """Puts durable calls until it is told to stop; knows each that was acknowledged."""

    def __init__(self, daemon, path, token, first):
        super().__init__(daemon=True)
        self.target, self.path, self.token, self.n = daemon, path, token, first
        self.acknowledged, self.is_over = {}, False

    def run(self):
        client, address = None, None
        while not self.is_over:
            if client is None or address != self.target.address:
                address = self.target.address
                client = mayfly.Client(address, self.token, timeout=20)
            self.n += PRODUCERS
            headers = {'Idempotency-Key': f'n{self.n}'}
            try:
                answer = client.send('POST', self.path, json_body={'n': self.n}, headers=headers,
                                     is_checked=False)
            except (OSError, mayfly.http.client.HTTPException):
                client.close()
                client = None
                time.sleep(0.05)
                continue
            if answer.status == 202:
                self.acknowledged[answer.json()['id']] = self.n
            else:
                assert answer.status in (429, 503), answer
                time.sleep(0.05)


def spawner_of(daemon):
    for child in pathlib.Path(f'/proc/{daemon.process.pid}/task').glob('*/children'):
        for pid in child.read_text().split():
            if pathlib.Path(f'/proc/{pid}/comm').read_text().startswith('mayfly-spawner'):
                return int(pid)
    raise AssertionError('the daemon has no spawner')


def harm(daemon, chance):
    """Kills one of the two, and starts the daemon again; gives which it was."""
    time.sleep(chance.uniform(0.3, 2))
    if chance.random() < 0.5:
        daemon.kill()
        who = 'daemon'
    else:
        os.kill(spawner_of(daemon), signal.SIGKILL)
        assert daemon.wait(60) == 1     # the next start sweeps what is left
        who = 'spawner'
    daemon.start()
    return who


def deliveries_of(client, path):
    """All of them, page by page."""
    before, found = '', {}
    while True:
        page = client.get(f'{path}/deliveries?n=1000{before}').expect(200).json()
        found.update((one['id'], one) for one in page['deliveries'])
        if not page['next']:
            return found
        before = f'&before={page["next"]}'


def is_idle(client, path):
    [queue] = client.get(f'{path}/queues').expect(200).json()['queues']
    return queue['queued'] == queue['running'] == 0


def check_attempts(client, path, found, n):
    """What happened to one stands in its record."""
    delivery = client.get(f'{path}/calls/{found["id"]}').expect(200).json()['delivery']
    attempts = delivery['attempts']
    codes = [one['code'] for one in attempts]
    assert [one['number'] for one in attempts] == list(range(1, len(attempts) + 1)), attempts
    assert len(attempts) == delivery['attempt_count'], delivery
    assert len({one['call_id'] for one in attempts}) == len(attempts), attempts
    if delivery['state'] == 'done':
        assert codes[-1] == 'ok' and 'ok' not in codes[:-1], codes
        assert json.loads(delivery['result']['body']) == {'n': n}
    else:
        # What was lost is one of its attempts, and is followed by another, be it the last.
        more = len(codes) - QUEUE['attempts']
        assert 'ok' not in codes and 0 <= more <= codes.count('lost'), codes
        assert not more or codes[-2] == 'lost', codes
    return codes.count('lost')


@pytest.mark.timeout(600)
def test_every_acknowledged_call_ends_whoever_is_killed():
    seed = time.time_ns()
    print(f'seed {seed}')
    chance = random.Random(seed)
    with mayfly.Daemon(log_level='info') as daemon:
        org = daemon.new_org()
        org.deploy('works', WORKS, runtime='python', queue=QUEUE)
        path = f'{org.path}/functions/works/calls?mode=async'
        producers = [Producer(daemon, path, org.client.token, n) for n in range(PRODUCERS)]
        for producer in producers:
            producer.start()
        harmed = [harm(daemon, chance) for _ in range(KILLS)]
        wait_until(lambda: sum(len(one.acknowledged) for one in producers) >= CALLS or
                   not all(one.is_alive() for one in producers), 'enough calls', 180)
        assert all(one.is_alive() for one in producers)
        for producer in producers:
            producer.is_over = True
        for producer in producers:
            producer.join(60)
        acknowledged = {key: n for one in producers for key, n in one.acknowledged.items()}
        client = daemon.client(org.client.token, timeout=60)
        wait_until(lambda: is_idle(client, org.path), 'the queue is empty', 300)
        found = deliveries_of(client, org.path)
        assert not set(acknowledged) - set(found), 'acknowledged, and not there'
        states = {key: found[key]['state'] for key in acknowledged}
        assert set(states.values()) <= {'done', 'dead'}
        wrong = [key for key, n in acknowledged.items() if n % 10 and states[key] == 'dead' or
                 n % 10 == 0 and states[key] == 'done']
        for key in wrong:               # one that works may have met six kills in a row
            codes = client.get(f'{org.path}/calls/{key}').json()['delivery']['attempts']
            assert all(one['code'] in ('lost', 'function_exited', 'unavailable')
                       for one in codes), codes
        sample = chance.sample(sorted(acknowledged), 300)
        retried = [key for key in acknowledged if found[key]['attempt_count'] > 1 and
                   acknowledged[key] % 10]
        lost = sum(check_attempts(client, org.path, found[key], acknowledged[key])
                   for key in set(sample) | set(retried[:200]))
        print(f'{len(acknowledged)} acknowledged, {len(found)} there, '
              f'{sum(state == "dead" for state in states.values())} dead, {len(wrong)} of them '
              f'by kills, {len(retried)} tried again, {lost} attempts seen lost; killed {harmed}')
