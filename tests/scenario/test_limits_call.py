# SPDX-License-Identifier: Apache-2.0
"""Limits and figures of a call with isolation `call`: those of this call alone, whichever mechanism
brings the instance back, and one call is all that breaking them costs."""
import threading

import pytest

MECHANISMS = ('rollback', 'fork', 'once')
RUNTIMES = ('python', 'node')
PYTHON = """
import os, time
kept = []
def handler(event, context):
    do = event['do']
    if do == 'take':
        block = bytearray(event['mib'] << 20)
        for at in range(0, len(block), 4096):
            block[at] = 1
    elif do == 'hoard':
        while True:
            kept.append(bytearray(b'x' * (4 << 20)))
    elif do == 'burn':
        end = time.process_time() + event['s']
        while time.process_time() < end:
            pass
    elif do == 'spin':
        while True:
            pass
    elif do == 'sleep':
        time.sleep(60)
    elif do == 'fill':
        with open('/tmp/full', 'wb') as out:
            out.write(bytes(event['mib'] << 20))
    elif do == 'child':
        if os.fork() == 0:
            end = time.process_time() + event['s']
            while time.process_time() < end:
                pass
            os._exit(0)
        os.wait()
    return 'well'
"""
NODE = """
const fs = require('fs');
const kept = [];
exports.handler = async (event) => {
	switch (event.do) {
	case 'take': Buffer.alloc(event.mib << 20, 1); break;
	case 'hoard': for (;;) kept.push(Buffer.alloc(4 << 20, 1));
	case 'burn': {
		const start = process.cpuUsage();
		while (process.cpuUsage(start).user + process.cpuUsage(start).system < event.s * 1e6);
		break;
	}
	case 'spin': for (;;);
	case 'sleep': await new Promise((done) => setTimeout(done, 60000)); break;
	case 'fill': fs.writeFileSync('/tmp/full', Buffer.alloc(event.mib << 20)); break;
	}
	return 'well';
};
"""
SOURCES = {'python': PYTHON, 'node': NODE}
LIMITS = {'memory_mib': 192, 'cpu_ms': 500, 'timeout_ms': 8000, 'tmp_mib': 32}


@pytest.fixture(scope='module')
def org(daemon):
    return daemon.new_org()


@pytest.fixture(scope='module')
def functions(org):
    made = {}

    def get(runtime, mechanism):
        for one in org.client.get('/v1/runtimes').expect(200).json()['runtimes']:
            for each in one['mechanisms']:
                if one['family'] == runtime and each['name'] == mechanism and not each['available']:
                    pytest.skip(f'{mechanism} does not serve {runtime} here: {each["why"]}')
        name = f'{runtime}-{mechanism}'
        if name not in made:
            made[name] = org.deploy(name, SOURCES[runtime], runtime, mechanism=mechanism,
                                    max_instances=1, limits=LIMITS)
            assert made[name]['mechanism_in_use'] == mechanism, made[name]
        return name
    return get


def all_of_them(test):
    return pytest.mark.parametrize('runtime, mechanism', [
        (runtime, mechanism) for runtime in RUNTIMES for mechanism in MECHANISMS
        if (runtime, mechanism) != ('node', 'fork')])(test)  # its threads do not come along


def record_of(org, name, **event):
    return org.record(org.call(name, event).expect(200).call_id)


@all_of_them
def test_the_peak_of_a_call_is_its_own(org, functions, runtime, mechanism):
    name = functions(runtime, mechanism)
    record_of(org, name, do='nothing')
    idle = record_of(org, name, do='nothing')['memory_peak_bytes']
    for _ in range(3):
        large = record_of(org, name, do='take', mib=80)['memory_peak_bytes']
        small = record_of(org, name, do='take', mib=1)['memory_peak_bytes']
        assert large >= idle + (70 << 20), (idle, large)
        # pages of the template that a call has written to are the instance's own from then on
        assert small <= large - (40 << 20), (large, small)


@all_of_them
def test_files_of_a_call_count_for_it_alone(org, functions, runtime, mechanism):
    name = functions(runtime, mechanism)
    for _ in range(4):  # together they are more than /tmp has room for
        assert record_of(org, name, do='fill', mib=20)['status'] == 200


@all_of_them
def test_the_time_of_a_call_is_its_own(org, functions, runtime, mechanism):
    name = functions(runtime, mechanism)
    for _ in range(3):
        burnt = record_of(org, name, do='burn', s=0.2)['cpu_us']
        idle = record_of(org, name, do='nothing')['cpu_us']
        assert burnt >= 190_000 and idle < burnt / 2, (burnt, idle)


@all_of_them
def test_a_budget_is_not_used_up_by_the_calls_before(org, functions, runtime, mechanism):
    name = functions(runtime, mechanism)
    for _ in range(4):
        assert record_of(org, name, do='burn', s=0.2)['status'] == 200


def test_time_of_processes_counts_for_their_call(org, functions):
    name = functions('python', 'rollback')
    assert record_of(org, name, do='child', s=0.2)['cpu_us'] >= 190_000
    assert record_of(org, name, do='nothing')['cpu_us'] < 100_000


OFFENCES = {
    'hoard': ('memory_exceeded', 502),
    'spin': ('cpu_exceeded', 504),
    'sleep': ('timeout', 504),
}


@all_of_them
@pytest.mark.parametrize('what', OFFENCES)
def test_an_offence_costs_one_call(daemon, org, functions, runtime, mechanism, what):
    name, neighbour, bad = functions(runtime, mechanism), daemon.new_org(), []
    neighbour.deploy('neighbour', SOURCES['node'], 'node')
    stop = threading.Event()

    def watch():
        client = daemon.client(neighbour.client.token)
        while not stop.is_set():
            answer = client.post(f'{neighbour.path}/functions/neighbour/calls', {'do': 'nothing'})
            if answer.status != 200:
                bad.append(answer)
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        answer = org.call(name, {'do': what})
        assert (answer.code, answer.status) == OFFENCES[what], answer
        for _ in range(3):
            assert org.call(name, {'do': 'nothing'}).expect(200).json() == 'well'
    finally:
        stop.set()
        watcher.join()
    assert not bad, bad[:3]
