# SPDX-License-Identifier: Apache-2.0
"""Which system calls stand on the path of a warm call: strace counts them."""
import collections
import os
import re
import signal
import subprocess
import time

import pytest

import mayfly

N_CALLS = 1000
LINE = re.compile(r'(\d+) +(?:<\.\.\. )?([a-z_0-9]+)')
HANDLER = 'def handler(event, context):\n    return 1\n'

# What belongs to the birth of a sandbox, and to files that are looked for by name.
FORBIDDEN = {'clone', 'clone3', 'fork', 'vfork', 'execve', 'mount', 'umount2', 'fsopen', 'setns',
             'unshare', 'pivot_root', 'open', 'openat', 'openat2', 'mkdir', 'mkdirat', 'rmdir',
             'unlink', 'unlinkat', 'socket', 'socketpair', 'pipe', 'pipe2', 'stat', 'newfstatat',
             'mmap', 'munmap', 'nanosleep', 'clock_nanosleep'}
if b'libasan.so' in (mayfly.BIN / 'mayfly-daemon').read_bytes():
    FORBIDDEN -= {'mmap', 'munmap'}  # AddressSanitizer's own


class Trace:
    """strace of one process with its threads, from the first line that it writes to the end."""

    def __init__(self, pid, path):
        self.pid, self.path = pid, path
        self.process = subprocess.Popen(['strace', '-f', '-yy', '-s', '0', '-o', str(path), '-p',
                                         str(pid)], stderr=subprocess.PIPE, text=True)
        assert 'attached' in self.process.stderr.readline()

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=60)
        return [line for line in self.path.read_text().splitlines() if LINE.match(line)]


def spawner_of(pid):
    for entry in os.listdir('/proc'):
        try:
            with open(f'/proc/{entry}/status') as file:
                status = file.read()
        except (NotADirectoryError, FileNotFoundError, ProcessLookupError):
            continue
        if f'PPid:\t{pid}\n' in status and 'mayfly-spawner' in status:
            return int(entry)
    raise AssertionError('the daemon has no spawner')


def wait_until_quiet(pid):
    """The spawner makes spares and templates ready, behind what was deployed."""
    def switches():
        with open(f'/proc/{pid}/status') as file:
            return re.findall(r'ctxt_switches:\t(\d+)', file.read())
    for _ in range(60):
        before = switches()
        time.sleep(1)
        if switches() == before:
            return


def names(lines):
    return collections.Counter(LINE.match(line)[2] for line in lines if 'resumed' not in line)


def path_of_a_call(lines):
    """What the loop mostly does from reading a request to sending its answer. Calls that came
    before the one ahead of them was done with are left out: they meet its end."""
    paths = [path for path in paths_of_calls(lines) if 'poll' not in path and 'sendto' not in path]
    assert len(paths) > N_CALLS / 20, len(paths)
    return collections.Counter(paths).most_common(1)[0][0]


def paths_of_calls(lines):
    path = []
    for line in lines:
        name = LINE.match(line)[2]
        if 'resumed' in line or name in ('mprotect', 'brk', 'futex'):
            continue
        if name == 'recvfrom' and '<TCP:' in line:
            path = []
        path.append(name)
        if name == 'sendmsg' and '<TCP:' in line:
            yield tuple(path)
            path = []


@pytest.fixture
def measured(new_daemon, tmp_path):
    one = new_daemon(log_level='info')
    org = one.new_org('acme')

    def measure(name, **config):
        """Traces N_CALLS calls, each when the one before is done with; gives (lines of the loop,
        lines of the spawner)."""
        org.deploy(name, HANDLER, 'python', max_instances=1, **config)
        client = one.client()
        path = f'/api/org/acme/{name}'
        for _ in range(20):
            client.get(path).expect(200)
        wait_until_quiet(spawner_of(one.process.pid))
        traces = [Trace(pid, tmp_path / f'{name}-{pid}.strace')
                  for pid in (one.process.pid, spawner_of(one.process.pid))]
        time.sleep(0.2)
        for _ in range(N_CALLS):
            client.get(path).expect(200)
            time.sleep(0.002)
        loop, spawner = [trace.stop() for trace in traces]
        return [line for line in loop if int(LINE.match(line)[1]) == one.process.pid], spawner
    measure.org = org
    return measure


def check(loop, spawner):
    counts = names(loop)
    assert not FORBIDDEN & set(counts), counts
    # It may renew a template or a spare of its own meanwhile, but not for each call.
    births = sum(n for name, n in names(spawner).items() if name.startswith('clone'))
    assert births <= N_CALLS / 100, names(spawner)
    writes = [line for line in loop if re.search(r'\bp?write(64|v)?\(.*cgroup', line)
              and 'memory.peak' not in line and 'memory.max_usage_in_bytes' not in line]
    assert not writes, writes[:5]
    return counts


@pytest.mark.skipif(os.geteuid() != 0, reason='traces processes of another user')
def test_a_warm_call_makes_few_system_calls_and_none_that_makes_a_sandbox(measured):
    loop, spawner = measured('shared', isolation='instance')
    counts = check(loop, spawner)
    shared = path_of_a_call(loop)
    assert len(shared) <= 10, shared
    assert sum(counts.values()) <= 13 * N_CALLS, counts


@pytest.mark.skipif(os.geteuid() != 0, reason='traces processes of another user')
def test_bringing_an_instance_back_adds_nothing_before_the_answer(measured):
    shared_loop, _ = measured('shared', isolation='instance')
    loop, spawner = measured('fresh')
    function = measured.org.client.get(f'{measured.org.path}/functions/fresh').json()
    if function['mechanism_in_use'] == 'once':
        assert function['mechanism_reason']
        return
    assert function['renewals']['discarded'] == {}, function
    counts = check(loop, spawner)
    shared = path_of_a_call(shared_loop)
    fresh = path_of_a_call(loop)
    # One look at the CPU time more when the call before it is a millisecond ago.
    assert [name for name in fresh if name != 'pread64'] == [
        name for name in shared if name != 'pread64'], (shared, fresh)
    assert fresh.count('pread64') <= shared.count('pread64') + 1
    # Behind the answer: RENEW, its reply, one look for leftovers, one at the CPU time.
    assert sum(counts.values()) <= 18 * N_CALLS, counts
    assert counts['sendto'] <= N_CALLS + 1 and counts['poll'] <= N_CALLS + 1, counts
    is_answered = False
    for line in loop:
        name = LINE.match(line)[2]
        if name == 'sendmsg' and '<TCP:' in line:
            is_answered = True
        elif name == 'sendmsg' and '<UNIX-STREAM:' in line:
            is_answered = False
        elif name == 'sendto':
            assert is_answered, 'a renewal was asked for before the answer was sent'
