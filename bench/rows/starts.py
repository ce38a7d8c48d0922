# SPDX-License-Identifier: Apache-2.0
"""P7 to P10: first calls, uploads, sandboxes, and many first calls at once."""
import json
import selectors
import shutil
import socket
import subprocess
import threading
import time

from mayfly import Daemon

from rows import functions, load
from rows.table import profile_of

GOAL_MS = {'python': 5, 'node': 10}


def first_calls(bench, daemon):
    org = daemon.new_org()
    for runtime, goal in GOAL_MS.items():
        names = [f'{runtime}-{i}' for i in range(5 * bench.rounds)]
        for name in names:
            made = org.deploy(name, functions.source(runtime), runtime, idle_ms=0, max_instances=1)
        functions.wait_for_none(daemon)
        org.client.get(f'{org.path}/functions').expect(200)  # its connection is there
        got = load.median([functions.timed_call(org, name) for name in names]) / 1e3
        bench.table.add('P7', f'{runtime}, first call of a function without an instance, p50', got, 'ms',
                        profile_of(made), ratio=got / goal, goal=f'<= {goal} ms', is_met=got <= goal)


def upload(bench, daemon):
    org = daemon.new_org()
    for runtime in ('python', 'node'):
        took = []
        for i in range(5 * bench.rounds):
            start = time.perf_counter()
            made = org.deploy(f'{runtime}-up-{i}', functions.source(runtime), runtime, max_instances=1)
            functions.timed_call(org, f'{runtime}-up-{i}')
            took.append((time.perf_counter() - start) * 1e3)
        got = load.median(took)
        bench.table.add('P8', f'{runtime}, upload to first answer, p50', got, 'ms', profile_of(made),
                        ratio=got / 50, goal='<= 50 ms', is_met=got <= 50)


def sandbox(bench):
    done = subprocess.run([str(load.program('sandbox_start')), '--json'], capture_output=True, text=True)
    if done.returncode:
        bench.table.none('P9', 'start of a full sandbox', done.stderr.strip()[-200:])
        return
    figures = json.loads(done.stdout)
    mine, other = figures['mayfly_us'], figures['crun_us']
    bench.table.add('P9', 'start of a full sandbox against crun run, same root, p50', mine, 'us',
                    figures['profile'], other, other / mine, '>= 12', other >= 12 * mine)
    bubblewrap(bench, mine)


def bubblewrap(bench, mine):
    """The same static program, with the namespaces that bubblewrap makes, and no cgroup."""
    what = 'start of a full sandbox against bubblewrap, p50'
    if not shutil.which('bwrap'):
        bench.table.none('P9', what, 'bwrap is not installed')
        return
    took = []
    for _ in range(50):
        start = time.perf_counter()
        subprocess.run(['bwrap', '--unshare-all', '--ro-bind', str(load.program('sandbox_hello').parent), '/b',
                        '--proc', '/proc', '--dev', '/dev', '--tmpfs', '/tmp', '/b/sandbox_hello'],
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        took.append((time.perf_counter() - start) * 1e6)
    bench.table.add('P9', what, mine, 'us', 'bubblewrap: namespaces, no cgroup, no seccomp', load.median(took),
                    load.median(took) / mine)


def all_at_once(address, requests):
    """Sends all of them in one go, and gives (milliseconds, is it a 200) of each answer."""
    host, port = address.rsplit(':', 1)
    waiting, got = selectors.DefaultSelector(), []
    made = [socket.create_connection((host, int(port))) for _ in requests]
    start = time.perf_counter()
    for connection, path in zip(made, requests):
        connection.sendall(f'GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n'.encode())
        waiting.register(connection, selectors.EVENT_READ)
    while len(got) < len(requests):
        for key, _ in waiting.select(60) or [(None, None)]:
            if key is None:
                raise RuntimeError('answers are missing')
            head = key.fileobj.recv(65536)
            got.append(((time.perf_counter() - start) * 1e3, head.startswith(b'HTTP/1.1 200')))
            waiting.unregister(key.fileobj)
            key.fileobj.close()
    return got


def burst(bench, daemon, n=200):
    org = daemon.new_org()
    names = [f'burst-{i}' for i in range(n)]

    def put(some):
        own = type(org)(daemon, org.name, daemon.client(org.client.token))
        for name in some:
            own.deploy(name, functions.PYTHON, 'python', idle_ms=0, max_instances=1)
    threads = [threading.Thread(target=put, args=(names[i::8],)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    functions.wait_for_none(daemon)
    got = all_at_once(daemon.address, [f'/api/org/{org.name}/{name}' for name in names])
    p99, errors = load.share([ms for ms, _ in got], 0.99), sum(not is_right for _, is_right in got)
    bench.table.add('P10', f'{n} first calls of {n} functions at once, p99 ({errors} errors)', p99, 'ms',
                    profile_of(functions.function_of(org, names[0])), ratio=p99 / 100, goal='<= 100 ms',
                    is_met=p99 <= 100 and not errors)


def run(bench):
    if bench.is_wanted('P9'):
        sandbox(bench)
    if not bench.is_wanted('P7', 'P8', 'P10'):
        return
    with Daemon(log_level='warn') as daemon:
        for number, row in (('P7', first_calls), ('P8', upload), ('P10', burst)):
            if bench.is_wanted(number):
                row(bench, daemon)
