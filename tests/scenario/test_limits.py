# SPDX-License-Identifier: Apache-2.0
"""Every limit of a call: enforced, named, blamed on the right party, and nobody else's problem.

Each offender runs beside a neighbour of another org, which must go on answering meanwhile.
"""
import json
import subprocess
import threading
import time

import mayfly
import pytest

NEIGHBOUR = "exports.handler = async () => 'well';\n"
RUNTIMES = ('node', 'python')


@pytest.fixture(scope='module')
def org(daemon):
    return daemon.new_org()


@pytest.fixture(scope='module')
def neighbour(daemon):
    org = daemon.new_org()
    org.deploy('neighbour', NEIGHBOUR)
    assert org.call('neighbour').expect(200).json() == 'well'
    return org


class Watched:
    """Calls the neighbour again and again in a thread, and gives how often it did not answer."""

    def __init__(self, neighbour):
        self.neighbour, self.n_good, self.bad = neighbour, 0, []

    def __enter__(self):
        self.is_over = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()
        return self

    def run(self):
        while not self.is_over:
            answer = self.neighbour.route('GET', 'neighbour')
            if answer.status == 200:
                self.n_good += 1
            else:
                self.bad.append(answer)
            time.sleep(0.02)

    def __exit__(self, *_):
        self.is_over = True
        self.thread.join()
        assert not self.bad, self.bad[:3]
        assert self.n_good > 0


def offend(org, neighbour, name, source, runtime, code, status, **limits):
    """Deploys an offender, calls it beside the neighbour, and checks how it was ended. Gives its
    record."""
    org.deploy(name, source, runtime, limits=limits)
    with Watched(neighbour):
        answer = org.call(name)
    assert answer.status == status, answer
    assert answer.code == code, answer.body
    assert answer.json()['call_id'] == answer.call_id
    record = org.record(answer.call_id)
    assert (record['code'], record['status']) == (code, status), record
    return record


SOURCES = {
    'memory': {
        'node': "exports.handler = async () => { const all = []; for (;;) "
                "all.push(Buffer.alloc(4 << 20, 1)); };\n",
        'python': "def handler(event, context):\n    all = []\n    while True:\n"
                  "        all.append(bytearray(b'x' * (4 << 20)))\n",
    },
    'wall': {
        'node': "exports.handler = () => new Promise((done) => setTimeout(done, 60000));\n",
        'python': "import time\ndef handler(event, context):\n    time.sleep(60)\n",
    },
    'spin': {
        'node': "exports.handler = async () => { for (;;); };\n",
        'python': "def handler(event, context):\n    while True:\n        pass\n",
    },
}


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_a_memory_hog_is_ended_as_memory_exceeded(org, neighbour, runtime):
    record = offend(org, neighbour, f'hog-{runtime}', SOURCES['memory'][runtime], runtime,
                    'memory_exceeded', 502, memory_mib=128)
    assert record['memory_peak_bytes'] <= 140 << 20, record


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_a_sleeper_is_ended_as_timeout(org, neighbour, runtime):
    record = offend(org, neighbour, f'sleeper-{runtime}', SOURCES['wall'][runtime], runtime,
                    'timeout', 504, timeout_ms=300)
    assert record['wall_us'] >= 300_000, record


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_an_endless_loop_is_ended_as_timeout(org, neighbour, runtime):
    offend(org, neighbour, f'loop-{runtime}', SOURCES['spin'][runtime], runtime, 'timeout', 504,
           timeout_ms=500)


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_an_endless_loop_is_ended_by_its_cpu_budget(org, neighbour, runtime):
    record = offend(org, neighbour, f'cpu-{runtime}', SOURCES['spin'][runtime], runtime,
                    'cpu_exceeded', 504, cpu_ms=300, timeout_ms=60000)
    assert record['cpu_us'] >= 300_000, record
    assert record['wall_us'] < 50_000_000, record


def test_a_sleeper_does_not_use_up_its_cpu_budget(org):
    org.deploy('lazy', "exports.handler = () => new Promise((ok) => setTimeout(ok, 800, 'up'));\n",
               limits={'cpu_ms': 200})
    assert org.call('lazy').expect(200).json() == 'up'


FORKS = """
import os
def handler(event, context):
    n = 0
    try:
        while True:
            if os.fork() == 0:
                while True:
                    try:
                        os.fork()
                    except OSError:
                        pass
            n += 1
    except BlockingIOError:
        raise
"""


def test_a_fork_bomb_meets_its_process_limit(org, neighbour):
    offend(org, neighbour, 'bomb', FORKS, 'python', 'processes_exceeded', 502, processes=32,
           timeout_ms=20000)


def test_what_a_bomb_forked_is_gone_when_its_instance_is(org, daemon):
    org.deploy('bomb-late', FORKS.replace('raise', 'return n'), 'python',
               limits={'processes': 40, 'timeout_ms': 20000, 'cpu_ms': 900000})
    org.call('bomb-late')
    org.client.delete(f'{org.path}/functions/bomb-late').expect(204)
    end = time.monotonic() + 20
    while any(key.startswith('mayfly_instances{') and 'bomb-late' in key and value
              for key, value in daemon.metrics().items()):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_open_files_are_limited_and_named(org, neighbour):
    source = "def handler(event, context):\n    all = []\n    while True:\n" \
             "        all.append(open('/dev/null'))\n"
    offend(org, neighbour, 'files', source, 'python', 'open_files_exceeded', 502, open_files=64)


def test_open_files_are_limited_in_node_too(org, neighbour):
    source = "const fs = require('fs');\nexports.handler = async () => " \
             "{ for (;;) fs.openSync('/dev/null'); };\n"
    offend(org, neighbour, 'files-node', source, 'node', 'open_files_exceeded', 502, open_files=64)


def test_a_disk_filler_meets_the_size_of_tmp(org, neighbour):
    source = "def handler(event, context):\n    with open('/tmp/full', 'wb') as out:\n" \
             "        while True:\n            out.write(b'x' * 65536)\n            out.flush()\n"
    offend(org, neighbour, 'filler', source, 'python', 'tmp_exceeded', 502, tmp_mib=8)


def test_many_small_files_do_not_fill_the_machine_either(org, neighbour):
    source = "def handler(event, context):\n    n = 0\n    while True:\n" \
             "        open(f'/tmp/{n}', 'w').close()\n        n += 1\n"
    offend(org, neighbour, 'inodes', source, 'python', 'tmp_exceeded', 502, tmp_mib=1)


def test_nothing_but_tmp_can_be_written(org):
    source = """
import os
def handler(event, context):
    wrote = []
    for folder, folders, names in os.walk('/'):
        if folder.startswith(('/proc', '/tmp')):
            folders[:] = []
            continue
        try:
            open(os.path.join(folder, 'mine'), 'w').close()
            wrote.append(folder)
        except OSError:
            pass
    return wrote
"""
    org.deploy('writer', source, 'python')
    assert org.call('writer').expect(200).json() == []


@pytest.fixture(scope='module')
def small(org):
    org.deploy('small', "exports.handler = async (event) => (event.body ?? '').length;\n",
               limits={'request_bytes': 1000})
    assert org.route('POST', 'small', b'x' * 1000).expect(200).text == '1000'
    return org


def check_too_large(org, answer, trigger):
    answer.expect(413)
    body = answer.json()
    assert (body['code'], body['call_id']) == ('request_too_large', answer.call_id), body
    assert answer.headers['x-mayfly-error'] == 'request_too_large'
    record = org.record(answer.call_id)
    assert (record['code'], record['status']) == ('request_too_large', 413), record
    assert (record['function'], record['trigger']) == ('small', trigger), record


# With its length in the head, before a byte of it is read; or in chunks, which grow past it.
BODIES = {'announced': b'1' * 1001, 'in chunks': [b'1' * 600, b'1' * 600]}


@pytest.mark.parametrize('how', BODIES)
def test_a_request_over_its_limit_is_the_callers_fault(small, how):
    check_too_large(small, small.route('POST', 'small', BODIES[how]), 'http')


@pytest.mark.parametrize('how', BODIES)
def test_an_event_over_its_limit_is_the_callers_fault(small, how):
    answer = small.client.send('POST', f'{small.path}/functions/small/calls', body=BODIES[how])
    check_too_large(small, answer, 'direct')


@pytest.mark.parametrize('length', [[], ['-H', 'Content-Length:']])
def test_a_request_over_its_limit_is_the_callers_fault_in_http2(small, daemon, length):
    got = subprocess.run(
        ['curl', '-sS', '-i', '--http2-prior-knowledge', '--data-binary', '@-', *length,
         f'http://{daemon.address}/api/org/{small.name}/small'],
        input=b'x' * 1001, capture_output=True, timeout=30)
    head, _, body = got.stdout.partition(b'\r\n\r\n')
    lines = head.decode().splitlines()
    headers = [tuple(line.split(': ', 1)) for line in lines[1:]]
    check_too_large(small, mayfly.Answer(int(lines[0].split()[1]), headers, body), 'http')


def test_an_answer_over_its_limit_is_the_functions_fault(org):
    org.deploy('chatty', "exports.handler = async (event) => 'x'.repeat(event.n);\n",
               limits={'answer_bytes': 4096})
    assert len(org.call('chatty', {'n': 2000}).expect(200).json()) == 2000
    assert org.call('chatty', {'n': 100000}).expect(502).code == 'answer_too_large'


def test_a_long_log_is_cut_and_says_so(org):
    source = "exports.handler = async () => { for (let i = 0; i < 200; i++) " \
             "console.log('x'.repeat(99)); return 'done'; };\n"
    org.deploy('wordy', source, limits={'log_bytes': 2000})
    answer = org.call('wordy').expect(200)
    record = org.record(answer.call_id)
    assert record['log_truncated'] is True, record
    assert 0 < len(org.logs_of(answer.call_id)) <= 2100


@pytest.mark.parametrize('runtime', RUNTIMES)
def test_a_log_flooder_is_ended_as_log_exceeded(org, neighbour, runtime):
    source = {
        'node': "exports.handler = async () => { for (;;) console.log('x'.repeat(1000)); };\n",
        'python': "def handler(event, context):\n    while True:\n        print('x' * 1000)\n",
    }[runtime]
    offend(org, neighbour, f'flooder-{runtime}', source, runtime, 'log_exceeded', 502,
           log_bytes=10000)


def test_a_handler_that_ignores_sigterm_ends_all_the_same(org, neighbour):
    source = """
import signal, time
for number in range(1, 32):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
def handler(event, context):
    time.sleep(60)
"""
    offend(org, neighbour, 'deaf', source, 'python', 'timeout', 504, timeout_ms=300)


def test_a_cpu_ceiling_in_percent_slows_a_loop_down(org):
    source = """
import time
def handler(event, context):
    start, busy = time.monotonic(), time.process_time()
    while time.monotonic() - start < 1.5:
        pass
    return (time.process_time() - busy) / (time.monotonic() - start)
"""
    org.deploy('slowed', source, 'python', limits={'cpu_percent': 20})
    assert org.call('slowed').expect(200).json() < 0.4


def test_a_heavier_share_gets_more_of_a_contended_machine(org):
    source = """
import os, time
def handler(event, context):
    for _ in range(os.cpu_count() or 1):
        if os.fork() == 0:
            while True:
                pass
    end, busy = time.monotonic() + 3, time.process_time()
    while time.monotonic() < end:
        pass
    return time.process_time() - busy
"""
    limits = {'timeout_ms': 30000, 'cpu_ms': 900000}
    org.deploy('heavy', source, 'python', limits={**limits, 'cpu_weight': 1000})
    org.deploy('light', source, 'python', limits={**limits, 'cpu_weight': 10})
    got = {}

    def call(name):
        client = org.daemon.client(org.client.token)
        answer = client.send('POST', f'{org.path}/functions/{name}/calls', json_body=None)
        got[name] = answer.expect(200).json()

    threads = [threading.Thread(target=call, args=(name,)) for name in ('heavy', 'light')]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got['heavy'] > 3 * got['light'], got


def test_a_function_that_was_ended_answers_again(org):
    source = "let n = 0;\nexports.handler = async (event) => { if (event.hang) for (;;); " \
             "return ++n; };\n"
    org.deploy('again', source, limits={'timeout_ms': 1000})
    assert org.call('again', {'hang': True}).expect(504).code == 'timeout'
    assert org.call('again', {'hang': False}).expect(200).json() == 1


def limits_of(daemon):
    answer = daemon.provider().get('/v1/limits').expect(200)
    return answer.json()['limits']


def test_every_limit_has_a_default_a_floor_and_a_ceiling(daemon, org):
    rules = limits_of(daemon)
    names = {rule['field'] for rule in rules}
    assert names == {'memory_mib', 'cpu_weight', 'cpu_percent', 'cpu_ms', 'timeout_ms', 'processes',
                     'open_files', 'tmp_mib', 'request_bytes', 'answer_bytes', 'log_bytes'}
    for rule in rules:
        assert rule['floor'] <= rule['default'] <= rule['ceiling'], rule
        for value in (rule['floor'] - 1, rule['ceiling'] + 1):
            answer = org.put('ranged', NEIGHBOUR, limits={rule['field']: value})
            assert answer.status == 400 and answer.code == 'invalid_argument', (rule, answer)
            assert answer.json()['field'] == f"limits.{rule['field']}", answer.body


def test_the_limits_of_a_function_are_shown(org):
    function = org.deploy('shown', NEIGHBOUR, limits={'memory_mib': 200, 'timeout_ms': 1234})
    assert function['limits']['memory_mib'] == 200
    assert function['limits']['timeout_ms'] == 1234
    assert function['limits']['processes'] == 64


def test_errors_of_the_function_are_not_taken_for_limits(org):
    org.deploy('plain', "exports.handler = async () => { throw new TypeError('no good'); };\n")
    answer = org.call('plain').expect(502)
    assert answer.code == 'function_error'
    assert 'TypeError: no good' in answer.json()['message']
    assert json.loads(answer.body)['call_id'] == answer.call_id


def test_more_calls_at_once_than_processes_wait_for_one_another(daemon, org):
    org.deploy('many', 'import time\ndef handler(event, context):\n    time.sleep(0.05)\n'
               '    return "served"\n', 'python', isolation='instance', concurrency=64,
               max_instances=1, limits={'processes': 32})
    answers = []
    callers = [threading.Thread(target=lambda: answers.append(org.route('GET', 'many')))
               for _ in range(64)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert [answer.text for answer in answers] == ['served'] * 64
