#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""soak - many mixed calls, each of which looks whether it went right, and what they left behind.

    bench/soak.py [--calls N] [--in-flight N] [--only node/rollback,python] [--json]

For each runtime and each mechanism that it can have: N calls, most of them short, the others of
everything that handlers do (bench/soak/, tests/scenario/node_mix.js). A call that gives a wrong
answer, an error or none in time is wrong. In the end it counts what the daemon and its helpers have
more than after the first calls (memory, descriptors), both without an instance, and, when the daemon
has stopped, processes, cgroups and mounts.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import sys
import threading
import time

HOUSE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HOUSE / 'tests' / 'scenario'))
sys.dont_write_bytecode = True

from mayfly import BIN, Daemon, wait_until  # noqa: E402

HERE = HOUSE / 'bench' / 'soak'
LIMITS = {'memory_mib': 512, 'timeout_ms': 60000, 'processes': 100}
MECHANISMS = ('rollback', 'fork', 'once')
WARM = 500       # calls before what the processes have is counted
SHORT = 0.95     # share of calls that do next to nothing
IDLE_MS = 2000   # an instance without calls ends after it
HELPERS = ('mayfly-daemon', 'mayfly-spawner')


def program():
    return next(path for path in (BIN.parent / 'bench' / 'soak', BIN / 'soak') if path.exists())


def sources():
    """Runtime to what it is deployed from, and the name of its short deed."""
    return {
        'node': ((HOUSE / 'tests' / 'scenario' / 'node_mix.js').read_text(), 'message'),
        'python': ((HERE / 'main.py').read_text(), 'hello'),
        'native': ({'bootstrap': (program().read_bytes(), 0o755)}, 'hello'),
        'exec': ((HERE / 'handler.sh').read_text(), 'hello'),
    }


class Soak:
    """N calls of one function; `wrong` has what went wrong, as text."""

    def __init__(self, org, name, short):
        self.org, self.name = org, name
        self.wrong, self.count = [], collections.Counter()
        self.lock, self.of_thread = threading.Lock(), threading.local()
        names = org.call(name, {}).expect(200).json()
        self.short, self.others = short, [deed for deed in names if deed != short]

    def client(self):
        if not hasattr(self.of_thread, 'client'):
            self.of_thread.client = self.org.daemon.client(self.org.client.token, timeout=120)
        return self.of_thread.client

    def call(self, deed):
        path = f'{self.org.path}/functions/{self.name}/calls'
        begin = time.monotonic()
        try:
            answer = self.client().send('POST', path, json_body={'do': deed}, is_checked=False)
            is_right = answer.status == 200 and answer.json() == deed
        except (OSError, ValueError) as error:
            answer, is_right = repr(error), False
            del self.of_thread.client
        with self.lock:
            self.count[deed] += 1
            if not is_right:
                self.wrong.append(f'{deed} {time.monotonic() - begin:.1f} s: {answer}')

    def run(self, n, in_flight):
        draw = random.Random(n)
        plan = [self.short if draw.random() < SHORT else draw.choice(self.others) for _ in range(n)]
        with concurrent.futures.ThreadPoolExecutor(in_flight) as pool:
            for _ in pool.map(self.call, plan, chunksize=1):
                pass


def held(daemon):
    """Memory and descriptors of the daemon and the spawner."""
    found = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            words = pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().split(b'\0')
            name = os.path.basename(words[0].decode())
            if name not in HELPERS or str(daemon.folder).encode() not in b' '.join(words):
                continue
            rollup = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
            kib = sum(int(line.split()[1]) for line in rollup.splitlines()
                      if line.startswith(('Private_Dirty', 'Private_Clean')))
            found[name] = {'private_kib': kib, 'descriptors': len(os.listdir(f'/proc/{pid}/fd'))}
        except OSError:
            continue
    return found


def held_at_rest(daemon, org, name):
    """The same when the function has no instance any more, and what ended has been closed."""
    def is_over():
        return not sum(org.client.get(f'{org.path}/functions/{name}').json()['instances'].values())
    wait_until(is_over, 'the end of the last instance', 60)
    now, before = held(daemon), None
    while now != before:
        time.sleep(0.5)
        now, before = held(daemon), now
    return now


def soak(runtime, mechanism, args):
    source, short = sources()[runtime]
    with Daemon(log_level='warn') as daemon:
        org = daemon.new_org()
        config = {'mechanism': mechanism, 'limits': LIMITS, 'idle_ms': IDLE_MS}
        refused = org.put('soak', source, runtime, **config)
        if refused.status == 400:
            return {'runtime': runtime, 'mechanism': mechanism, 'calls': 0,
                    'why': refused.json()['message']}
        function = org.settle('soak')
        if function['mechanism_in_use'] != mechanism:
            return {'runtime': runtime, 'mechanism': mechanism, 'calls': 0,
                    'why': function['mechanism_reason'] or function['mechanism_in_use']}
        one = Soak(org, 'soak', short)
        one.run(min(WARM, args.calls), args.in_flight)
        before = held_at_rest(daemon, org, 'soak')
        begin = time.monotonic()
        one.run(args.calls, args.in_flight)
        seconds = time.monotonic() - begin
        after = held_at_rest(daemon, org, 'soak')
        function = org.client.get(f'{org.path}/functions/soak').json()
        daemon.stop()
        daemon.check_nothing_left()
    return {'runtime': runtime, 'mechanism': mechanism, 'calls': args.calls,
            'wrong': len(one.wrong), 'first_wrong': one.wrong[:5], 'seconds': round(seconds, 1),
            'renewals': function['renewals'], 'mechanism_in_use': function['mechanism_in_use'],
            'before': before, 'after': after}


def print_row(row):
    if not row['calls']:
        print(f"{row['runtime']:<8}{row['mechanism']:<10}not available: {row['why']}", flush=True)
        return
    spoilt = {cause: n for cause, n in row['renewals']['discarded'].items() if n}
    print(f"{row['runtime']:<8}{row['mechanism']:<10}{row['calls']:>8} calls {row['wrong']:>4} wrong "
          f"{row['seconds']:>8} s  renewed {row['renewals']['renewed']} discarded {spoilt}", flush=True)
    for name, held_before in row['before'].items():
        now = row['after'].get(name, {})
        print(f"{'':<18}{name}: {held_before} then {now}", flush=True)
    for text in row['first_wrong']:
        print(f"{'':<18}{text[:200]}", flush=True)


def main():
    parser = argparse.ArgumentParser(description='many mixed calls, and what they left behind')
    parser.add_argument('--calls', type=int, default=2000)
    parser.add_argument('--in-flight', type=int, default=4)
    parser.add_argument('--only', help='with commas: python, or node/rollback')
    parser.add_argument('--json', action='store_true')
    args = parser.parse_args()
    wanted = set(args.only.split(',')) if args.only else None
    rows = []
    for runtime in sources():
        for mechanism in MECHANISMS:
            if wanted and not wanted & {runtime, f'{runtime}/{mechanism}'}:
                continue
            rows.append(soak(runtime, mechanism, args))
            if not args.json:
                print_row(rows[-1])
    if args.json:
        print(json.dumps(rows, indent=1))
    return int(any(row.get('wrong') for row in rows))


if __name__ == '__main__':
    sys.exit(main())
