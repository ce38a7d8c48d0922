# SPDX-License-Identifier: Apache-2.0
"""P1 to P3: warm functions against the raw servers of their languages, and others beside them."""
import contextlib

from mayfly import Daemon

from rows import functions, load, peers
from rows.table import profile_of


def throughput(bench, number, what, url, theirs, profile):
    for each in (url, theirs):
        load.wrk(each, load.CONNECTIONS, 2)
    ours, raw = load.alternate(bench.rounds, lambda: load.wrk(url, load.CONNECTIONS, bench.seconds),
                               lambda: load.wrk(theirs, load.CONNECTIONS, bench.seconds))
    bench.table.compare(number, what, load.median(ours, 'req_s'), load.median(raw, 'req_s'), 'req/s', profile,
                        '>= 1.2', at_least=1.2)


def latency(bench, number, what, url, theirs, profile):
    ours, raw = load.alternate(bench.rounds, lambda: load.wrk(url, 1, bench.seconds),
                               lambda: load.wrk(theirs, 1, bench.seconds))
    bench.table.compare(number, f'{what}, p50 at 1 connection', load.median(ours, 'p50_us'),
                        load.median(raw, 'p50_us'), 'us', profile, '<= 1.25', at_most=1.25)
    for rate in (1, 10, 200):
        length = max(bench.seconds, 5 if rate > 1 else 10)
        ours, raw = load.alternate(min(3, bench.rounds), lambda: load.pace(url, rate, length),
                                   lambda: load.pace(theirs, rate, length))
        for key in ('p50_us', 'p99_us'):
            if rate == 1 and key == 'p99_us':
                continue  # ten samples have no 99th percentile
            bench.table.compare(number, f'{what}, paced {rate}/s, {key[:3]}', load.median(ours, key),
                                load.median(raw, key), 'us', profile)


def others(bench):
    """What else says hello on this machine: for the eye, without a goal."""
    for name, peer in peers.OTHERS.items():
        what = f'{name}, 64 connections'
        try:
            with peers.started(peer) as url:
                load.wrk(url, load.CONNECTIONS, 1)
                got = load.wrk(url, load.CONNECTIONS, bench.seconds)
                one = load.wrk(url, 1, bench.seconds)
        except (peers.Missing, RuntimeError) as why:
            bench.table.none('P1', what, why)
            continue
        bench.table.add('P1', what, got['req_s'], 'req/s', 'none')
        bench.table.add('P2', f'{name}, p50 at 1 connection', one['p50_us'], 'us', 'none')


def run(bench):
    if not bench.is_wanted('P1', 'P2', 'P3'):
        return
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(Daemon(log_level='warn'))
        org = daemon.new_org()
        many = {**functions.WARM, 'concurrency': load.CONNECTIONS}
        made = {'node-many': org.deploy('node-many', functions.NODE, 'node', **many),
                'node-one': org.deploy('node-one', functions.NODE, 'node', **functions.WARM),
                'python-many': org.deploy('python-many', functions.PYTHON, 'python', **many)}
        url = {name: functions.url_of(daemon, org, name) for name in made}
        node = stack.enter_context(peers.started(peers.raw_node))
        if bench.is_wanted('P1'):
            throughput(bench, 'P1', 'warm node against raw node:http, 64 connections', url['node-many'], node,
                       profile_of(made['node-many']))
        if bench.is_wanted('P2'):
            latency(bench, 'P2', 'warm node against raw node:http', url['node-one'], node,
                    profile_of(made['node-one']))
        if bench.is_wanted('P3'):
            python = stack.enter_context(peers.started(peers.uvicorn))
            throughput(bench, 'P3', 'warm python against uvicorn, 64 connections', url['python-many'], python,
                       profile_of(made['python-many']))
    if bench.is_wanted('P1', 'P2'):
        others(bench)
