# SPDX-License-Identifier: Apache-2.0
"""P15 and triggers: how soon an event is in a handler, and what it costs to find whom it is for.

Both clocks of P15 are CLOCK_MONOTONIC of this machine: the client's before it sends the event, the
handler's as its first statement. Between them lie HTTP, the parsing, the look whether the event is
known, the matching, and the commit that makes its delivery durable.
"""
import json
import statistics
import subprocess
import time

import mayfly
from rows.table import profile_of

DRIVER = mayfly.BIN.parent / 'bench' / 'trigger_match'
HANDLER = ('import time\n'
           'def handler(event, context):\n'
           '    now = time.monotonic_ns()\n'
           '    print(event["id"], now)\n')
FEW, MANY = 10, 10000


def match_ns(n, mode, seconds):
    done = subprocess.run([DRIVER, str(n), str(int(seconds * 300)), mode], check=True, text=True,
                          stdout=subprocess.PIPE)
    return int(done.stdout)


def run_matching(bench):
    if not DRIVER.exists():
        bench.table.none('T1', 'triggers found for an event', f'{DRIVER} is not built')
        return
    few, many, scan = [], [], []
    for _ in range(bench.rounds):
        few.append(match_ns(FEW, 'index', bench.seconds))
        many.append(match_ns(MANY, 'index', bench.seconds))
        scan.append(match_ns(MANY, 'scan', bench.seconds))
    few, many, scan = map(statistics.median, (few, many, scan))
    profile = 'five kinds of filters, one thread, without delivery'
    bench.table.compare('T1', f'an event matched against {MANY} triggers, and against {FEW}', many, few,
                        'ns', profile, '<= 2', at_most=2)
    bench.table.compare('T1', f'the same, and a scan of {MANY} filters', many, scan, 'ns', profile,
                        '<= 0.01', at_most=0.01)


def starts_of(org, n):
    def look():
        lines = org.client.get(f'{org.path}/functions/start/logs?n=1000').json()['lines']
        return lines if len(lines) >= n else None
    lines = mayfly.wait_until(look, f'{n} events reach the handler', 60)
    return {name: int(at) for name, at in (line['text'].split() for line in lines)}


def send_paced(org, prefix, n, rate):
    body = {'specversion': '1.0', 'source': '/bench', 'type': 'bench'}
    sent, begin = {}, time.monotonic()
    for i in range(n):
        time.sleep(max(0, begin + i / rate - time.monotonic()))
        data = json.dumps({**body, 'id': f'{prefix}{i}'}).encode()
        sent[f'{prefix}{i}'] = time.monotonic_ns()
        org.client.send('POST', f'{org.path}/events', body=data, is_checked=False,
                        headers={'Content-Type': 'application/cloudevents+json'}).expect(202)
    return sent


def run_latency(bench):
    with mayfly.Daemon(log_level='warn') as daemon:
        org = daemon.new_org()
        function = org.deploy('start', HANDLER, 'python')
        org.client.put(f'{org.path}/triggers/t', {'function': 'start'}).expect(201)
        send_paced(org, 'warm-up-', 50, 100)
        n = min(900, bench.rounds * bench.seconds * 50)
        sent = send_paced(org, 'event-', n, 100)
        starts = starts_of(org, n + 50)
        waits = sorted((starts[name] - at) / 1e6 for name, at in sent.items())
        profile = f'100 events/s, {profile_of(function)}'
        p50, p99 = waits[n // 2], waits[n * 99 // 100]
        bench.table.add('P15', 'event sent to handler started, p50', p50, 'ms', profile, goal='<= 1',
                        is_met=p50 <= 1)
        bench.table.add('P15', 'the same, p99', p99, 'ms', profile)


def run(bench):
    if bench.is_wanted('T1'):
        run_matching(bench)
    if bench.is_wanted('P15'):
        run_latency(bench)
