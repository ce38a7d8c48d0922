# SPDX-License-Identifier: Apache-2.0
"""Instances follow the calls: bursts, what is kept, what is shared, and what is refused."""
import threading
import time

import pytest

import mayfly

HELLO = 'def handler(event, context):\n    return "hello"\n'
SLOW_START = 'import time\ntime.sleep(0.05)\n' + HELLO
SLEEP = 'import time\ndef handler(event, context):\n    time.sleep(event["s"])\n    return "slept"\n'
N_BURST = 200


class Caller(threading.Thread):
    """One call on a connection of its own; `order` gets its name when it is answered."""

    def __init__(self, org, function, order, event=None, name=None):
        super().__init__()
        self.client = org.daemon.client(org.client.token)
        self.path, self.event, self.order = f'{org.path}/functions/{function}/calls', event, order
        self.label, self.answer = name or function, None
        self.start()

    def run(self):
        self.answer = self.client.post(self.path, self.event)
        self.order.append(self.label)
        self.client.close()


def answers(callers):
    for caller in callers:
        caller.join()
    return [caller.answer for caller in callers]


def deploy_many(org, n, source=HELLO):
    for i in range(n):
        assert org.put(f'f{i}', source, runtime='python').status == 201
        if i % 20 == 19:
            org.settle(f'f{i - 10}')
    for i in range(n):
        assert org.settle(f'f{i}')['state'] == 'ready'


def instances(org, name):
    return org.client.get(f'{org.path}/functions/{name}').expect(200).json()['instances']


def until_zero(daemon):
    mayfly.wait_until(lambda: daemon.metrics()['mayfly_sandboxes'] == 0, 'no instance is left', 30)


def test_a_burst_of_first_calls_of_as_many_functions_is_answered():
    with mayfly.Daemon('--idle-time', '200ms', log_level='info') as daemon:
        org = daemon.new_org()
        deploy_many(org, N_BURST)
        until_zero(daemon)
        order = []
        callers = [Caller(org, f'f{i}', order) for i in range(N_BURST)]
        limit = daemon.metrics()['mayfly_starts_limit']
        most = 0
        while any(caller.is_alive() for caller in callers):
            metrics = daemon.metrics()
            most = max(most, metrics['mayfly_starts'])
        assert [answer.status for answer in answers(callers)] == [200] * N_BURST
        assert 1 <= most <= limit
        until_zero(daemon)


def test_a_burst_of_first_calls_of_one_function_is_answered():
    with mayfly.Daemon(log_level='info') as daemon:
        org = daemon.new_org()
        org.deploy('hello', HELLO, runtime='python', max_instances=4, idle_ms=200)
        until_zero(daemon)
        callers = [Caller(org, 'hello', []) for _ in range(N_BURST)]
        most = 0
        while any(caller.is_alive() for caller in callers):
            now = instances(org, 'hello')
            most = max(most, now['starting'] + now['idle'] + now['busy'])
        assert [answer.status for answer in answers(callers)] == [200] * N_BURST
        assert 1 <= most <= 4
        until_zero(daemon)


def test_min_instances_are_kept_over_idleness_and_a_restart():
    with mayfly.Daemon() as daemon:
        org = daemon.new_org()

        def has_two():
            now = instances(org, 'kept')
            return now['idle'] == 2 and now['starting'] == 0

        org.deploy('kept', HELLO, runtime='python', min_instances=2, idle_ms=100)
        mayfly.wait_until(has_two, 'two instances are kept', 30)
        time.sleep(0.5)
        assert has_two()
        daemon.stop()
        daemon.start()
        org.client.address = daemon.address
        org.client.close()
        mayfly.wait_until(has_two, 'two instances are there again', 30)
        assert org.call('kept').expect(200).json() == 'hello'
        mayfly.wait_until(has_two, 'two instances are kept after a call', 30)
        org.deploy('kept', HELLO, runtime='python', idle_ms=100)
        until_zero(daemon)


def test_a_call_of_one_org_is_not_kept_waiting_by_the_flood_of_another():
    with mayfly.Daemon('--starts', '1', '--idle-time', '200ms', log_level='info') as daemon:
        many, one = daemon.new_org('many'), daemon.new_org('one')
        deploy_many(many, 50, SLOW_START)
        one.deploy('single', HELLO, runtime='python')
        until_zero(daemon)
        order = []
        callers = [Caller(many, f'f{i}', order) for i in range(50)]
        mayfly.wait_until(lambda: daemon.metrics()['mayfly_starts_waiting'] > 40, 'a flood', 30)
        n_before = len(order)
        callers.append(Caller(one, 'single', order))
        assert {answer.status for answer in answers(callers)} == {200}
        # Its turn is the next but one; what is answered meanwhile is read in any order.
        assert order.index('single') - n_before <= 8


def test_an_org_that_has_all_the_places_gives_one_when_a_call_ends():
    with mayfly.Daemon('--max-instances-total', '4', log_level='info') as daemon:
        many, one = daemon.new_org('many'), daemon.new_org('one')
        many.deploy('sleep', SLEEP, runtime='python')
        one.deploy('single', HELLO, runtime='python', idle_ms=0)
        order = []
        callers = [Caller(many, 'sleep', order, {'s': 0.5}) for _ in range(24)]
        mayfly.wait_until(lambda: instances(many, 'sleep')['busy'] == 4, 'the machine is full', 30)
        callers.append(Caller(one, 'single', order))
        assert {answer.status for answer in answers(callers)} == {200}
        assert order.index('single') <= 12


def test_calls_beyond_the_queue_are_refused_with_a_time_to_come_back():
    with mayfly.Daemon('--queue-calls', '2') as daemon:
        org = daemon.new_org()
        org.deploy('sleep', SLEEP, runtime='python', max_instances=1)
        callers = [Caller(org, 'sleep', [], {'s': 1}) for _ in range(3)]
        mayfly.wait_until(lambda: daemon.metrics()[
            f'mayfly_calls_waiting{{org="{org.name}",function="sleep"}}'] == 2, 'two wait')
        refused = org.call('sleep', {'s': 1}).expect(429)
        assert refused.code == 'too_many_requests'
        assert '2 calls of the function are waiting already' in refused.json()['message']
        assert 1 <= int(refused.headers['retry-after']) <= 60
        assert org.route('GET', 'sleep').expect(429).headers['retry-after']
        assert [answer.status for answer in answers(callers)] == [200] * 3


def test_a_call_that_waits_too_long_hears_why():
    with mayfly.Daemon('--queue-time', '300ms', '--max-instances-total', '1') as daemon:
        org = daemon.new_org()
        org.deploy('sleep', SLEEP, runtime='python', max_instances=1, idle_ms=0)
        org.deploy('other', HELLO, runtime='python', idle_ms=0)
        until_zero(daemon)
        busy = Caller(org, 'sleep', [], {'s': 3})
        mayfly.wait_until(lambda: instances(org, 'sleep')['busy'] == 1, 'it runs')
        late = org.call('sleep', {'s': 0}).expect(429)
        assert 'all 1 instances that the function may have were busy' in late.json()['message']
        assert 1 <= int(late.headers['retry-after']) <= 60
        crowded = org.call('other').expect(503)
        assert crowded.code == 'unavailable'
        assert 'the machine had no place' in crowded.json()['message']
        assert 1 <= int(crowded.headers['retry-after']) <= 60
        assert answers([busy])[0].status == 200


@pytest.fixture
def crashing():
    """An org with a function that loads until it is told not to, by its clock."""
    with mayfly.Daemon() as daemon:
        org = daemon.new_org()
        until = time.time() + 6
        source = f'import time\nif time.time() > {until}:\n    raise SystemError("no more")\n'
        org.deploy('crash', source + HELLO, runtime='python', idle_ms=0)
        until_zero(daemon)
        time.sleep(max(0, until - time.time()) + 0.1)
        yield org


def test_a_crash_loop_says_so_everywhere(crashing):
    org, daemon = crashing, crashing.daemon
    first = org.call('crash').expect(502)
    assert first.code == 'function_failed'
    n_calls, refusals = 1, []
    end = time.monotonic() + 2
    while time.monotonic() < end:
        answer = org.call('crash').expect(502)
        n_calls += 1
        if 'retry-after' in answer.headers:
            refusals.append(answer)
    assert refusals and all('no more' in answer.json()['message'] for answer in refusals)
    assert all(1 <= int(answer.headers['retry-after']) <= 60 for answer in refusals)
    failure = org.client.get(f'{org.path}/functions/crash').json()['start_failure']
    lines = daemon.log_lines('instance.boot_failed')
    # 100, 200, 400, 800 ms: a handful of steps, however many calls there were.
    assert len(lines) == failure['n'] and 2 <= len(lines) <= 6 < n_calls
    assert [f' n={i + 1} ' in line for i, line in enumerate(lines)] == [True] * len(lines)
    assert 'next_ms=100' in lines[0] and 'no more' in lines[0]
    assert 'no more' in failure['reason'] and failure['code'] == 'function_failed'
    assert daemon.metrics()[
        f'mayfly_instance_boot_failures_total{{org="{org.name}",function="crash"}}'] == len(lines)
    shown = mayfly.run('mayfly', 'show', 'crash', env={
        'MAYFLY_URL': f'http://{daemon.address}', 'MAYFLY_ORG': org.name,
        'MAYFLY_TOKEN': org.client.token})
    assert 'start_failure' in shown.stdout and 'no more' in shown.stdout, shown


def test_a_steady_load_has_a_steady_number_of_instances():
    with mayfly.Daemon(log_level='info') as daemon:
        org = daemon.new_org()
        org.deploy('sleep', SLEEP, runtime='python', isolation='instance', idle_ms=400)
        starts = f'mayfly_instance_starts_total{{org="{org.name}",function="sleep"}}'

        def wave(n_rounds):
            for _ in range(n_rounds):
                got = answers([Caller(org, 'sleep', [], {'s': 0.05}) for _ in range(8)])
                assert {answer.status for answer in got} == {200}

        wave(10)
        n_before = daemon.metrics()[starts]
        wave(20)
        assert daemon.metrics()[starts] - n_before <= 2
        until_zero(daemon)
