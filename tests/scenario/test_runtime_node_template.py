# SPDX-License-Identifier: Apache-2.0
"""Instances that are forked from a booted Node: like booted ones, and no call wrong or hung.

MAYFLY_SOAK_CALLS makes the soak as long as one likes.
"""
import collections
import concurrent.futures
import os
import pathlib
import random
import shutil
import tempfile
import threading
import time

import pytest

import mayfly

MIX = (mayfly.HOUSE / 'tests' / 'scenario' / 'node_mix.js').read_text()
CALLS = int(os.environ.get('MAYFLY_SOAK_CALLS', '150'))
LIMITS = {'memory_mib': 512, 'timeout_ms': 60000, 'processes': 100}


@pytest.fixture(scope='module')
def daemon():
    with mayfly.Daemon() as one:
        mayfly.wait_until(lambda: any('root=node' in line for line in one.log_lines('template.ready')),
                          'the template of Node', 60)
        yield one


@pytest.fixture(scope='module')
def org(daemon):
    return daemon.new_org()


@pytest.mark.parametrize('isolation', ['instance', 'call'])
def test_a_forked_instance_is_as_a_booted_one(org, isolation):
    config = {'handler': 'index.about', 'isolation': isolation, 'limits': LIMITS,
              'environment': {'COLOUR': 'green'}}
    abouts = []
    for name in ('one', 'two'):
        org.deploy(f'{name}-{isolation}', MIX, **config)
        abouts.append(org.call(f'{name}-{isolation}').expect(200).json())
    # What Node does when it boots is not done for a function that says how: it gets a Node that is.
    org.deploy(f'booted-{isolation}', MIX, **{**config, 'environment': {
        'COLOUR': 'green', 'NODE_OPTIONS': '--no-warnings'}})
    booted = org.call(f'booted-{isolation}').expect(200).json()
    one, two = abouts
    assert one['origin'] == two['origin'] != booted['origin']
    assert one['drawn'] != two['drawn']
    booted['variables'].remove('NODE_OPTIONS')
    same = ('pid', 'cwd', 'argv', 'flags', 'variables', 'title')
    assert {key: one[key] for key in same} == {key: booted[key] for key in same}
    assert 0 < one['uptime'] < 60
    assert one['threads'] <= booted['threads'] and one['descriptors'] <= booted['descriptors']


def test_the_first_call_of_a_function_meets_an_instance_that_was_forked(org):
    org.deploy('first', 'exports.handler = async () => performance.timeOrigin;', isolation='instance')
    origins = {org.call('first').expect(200).json()}
    org.deploy('second', 'exports.handler = async () => performance.timeOrigin;', isolation='instance')
    origins.add(org.call('second').expect(200).json())
    assert len(origins) == 1


def test_a_node_that_cannot_be_forked_says_so_and_is_booted(new_daemon):
    """A build of another kind: one that does not export what its platform is made of."""
    program = pathlib.Path(shutil.which('node')).resolve().read_bytes()
    with tempfile.TemporaryDirectory(dir='/var/tmp') as folder:
        other = pathlib.Path(folder) / 'node'
        other.write_bytes(program.replace(b'_ZTVN4node12NodePlatformE', b'_ZTVN4node12NodePlatformF'))
        other.chmod(0o755)
        daemon = new_daemon(env={'PATH': f'{folder}:/usr/bin:/bin'})
        mayfly.wait_until(lambda: any('root=node' in line for line in daemon.log_lines('template.ended')),
                          'the end of the template of Node', 60)
        said = [line for line in daemon.log_lines('template.ended') if 'root=node' in line]
        assert 'this Node cannot be forked: it does not export what its platform is made of' in said[0]
        org = daemon.new_org()
        for isolation in ('call', 'instance'):
            org.deploy(isolation, MIX, isolation=isolation, limits=LIMITS)
            for deed in ('files', 'pool', 'timers'):
                assert org.call(isolation, {'do': deed}).expect(200).json() == deed


def soak(org, names, deeds, n, in_flight=3):
    """Calls deeds at random; gives what went wrong, as text, and how many of each were called."""
    wrong, count, lock = [], collections.Counter(), threading.Lock()
    draw = random.Random(7)
    plan = [(draw.choice(names), draw.choice(deeds)) for _ in range(n)]
    of_thread = threading.local()

    def call(what):
        name, deed = what
        begin = time.monotonic()
        if not hasattr(of_thread, 'client'):
            of_thread.client = org.daemon.client(org.client.token)
        answer = of_thread.client.post(f'{org.path}/functions/{name}/calls', {'do': deed})
        with lock:
            count[deed] += 1
            if answer.status != 200 or answer.json() != deed:
                wrong.append(f'{name} {deed} {time.monotonic() - begin:.1f} s: {answer}')

    with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(call, plan))
    return wrong, count


def test_no_call_of_a_mix_is_wrong_or_hangs(org):
    for isolation in ('call', 'instance'):
        org.deploy(f'mix-{isolation}', MIX, isolation=isolation, limits=LIMITS)
    deeds = org.call('mix-call', {}).expect(200).json()
    wrong, count = soak(org, ['mix-call', 'mix-instance'], deeds, CALLS)
    assert wrong == []
    assert sum(count.values()) == CALLS
    assert set(count) == set(deeds) or CALLS < 10 * len(deeds)
    renewals = org.client.get(f'{org.path}/functions/mix-call').expect(200).json()['renewals']
    assert renewals['renewed'] > 0
