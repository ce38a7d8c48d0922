# SPDX-License-Identifier: Apache-2.0
"""P4 to P6 and P13: calls that each begin from pristine state, against the same function warm."""
import os

from mayfly import Daemon

from rows import functions, load
from rows.table import profile_of

RUNTIMES = ('python', 'node', 'native')
PER_CORE = {'python': 5000, 'node': 2000, 'native': 2500}


def deploy_pair(org, runtime):
    """The function fresh for each call, and warm."""
    source = functions.source(runtime)
    fresh = org.deploy(f'{runtime}-fresh', source, runtime, max_instances=8)
    org.deploy(f'{runtime}-warm', source, runtime, **functions.WARM)
    for name in ('fresh', 'warm'):
        for _ in range(50):
            functions.timed_call(org, f'{runtime}-{name}')
    return fresh


def paced(bench, daemon, org, runtime):
    fresh, warm = (functions.url_of(daemon, org, f'{runtime}-{name}') for name in ('fresh', 'warm'))
    profile = profile_of(functions.function_of(org, f'{runtime}-fresh'))
    for rate in (10, 100, 1000):
        length = max(bench.seconds, 5)
        ours, theirs = load.alternate(min(5, bench.rounds), lambda: load.pace(fresh, rate, length),
                                      lambda: load.pace(warm, rate, length))
        bench.table.compare('P4', f'{runtime}, fresh against warm, paced {rate}/s, p50', load.median(ours, 'p50_us'),
                            load.median(theirs, 'p50_us'), 'us', profile,
                            '<= 1.3' if runtime != 'native' else '', at_most=1.3 if runtime != 'native' else None)


def sustained(bench, daemon, org, runtime):
    """Calls a second, all cores; the load is made on the same ones."""
    url = functions.url_of(daemon, org, f'{runtime}-fresh')
    load.wrk(url, 8, 2)
    got = load.median([load.wrk(url, 8, bench.seconds) for _ in range(bench.rounds)], 'req_s')
    function = functions.function_of(org, f'{runtime}-fresh')
    cores = os.cpu_count()
    if bench.is_wanted('P5'):
        goal = PER_CORE[runtime]
        bench.table.add('P5', f'{runtime}, fresh, sustained calls/s per core', got / cores, 'calls/s',
                        profile_of(function), ratio=got / cores / goal, goal=f'>= {goal}',
                        is_met=got / cores >= goal)
        counts = function['renewals']
        lost = sum(counts['discarded'].values())
        bench.table.add('P5', f'{runtime}, instances discarded of 100 calls',
                        100 * lost / max(1, lost + counts['renewed']), '%', profile_of(function))
    return got


def half_load(bench, daemon, org, runtime, req_s):
    fresh, warm = (functions.url_of(daemon, org, f'{runtime}-{name}') for name in ('fresh', 'warm'))
    rate = max(10, int(req_s / 2))
    ours, theirs = load.alternate(bench.rounds, lambda: load.pace(fresh, rate, bench.seconds),
                                  lambda: load.pace(warm, rate, bench.seconds))
    bench.table.compare('P6', f'{runtime}, fresh against warm, half its load ({rate}/s), p99',
                        load.median(ours, 'p99_us'), load.median(theirs, 'p99_us'), 'us',
                        profile_of(functions.function_of(org, f'{runtime}-fresh')), '<= 2', at_most=2)


def neighbour(bench, daemon):
    """Function A warm, while B of another org takes 1,000 fresh calls a second."""
    a, b = daemon.new_org(), daemon.new_org()
    shown = a.deploy('a', functions.NODE, 'node', **functions.WARM)
    b.deploy('b', functions.PYTHON, 'python', max_instances=8)
    urls = functions.url_of(daemon, a, 'a'), functions.url_of(daemon, b, 'b')
    length = max(5, bench.seconds)
    for url in urls:
        load.pace(url, 50, 1)

    def disturbed():
        flood = load.start_pace(urls[1], 1000, length + 1)
        try:
            return load.pace(urls[0], 100, length)
        finally:
            load.end_pace(flood)
    idle, busy = load.alternate(min(5, bench.rounds), lambda: load.pace(urls[0], 100, length), disturbed)
    bench.table.compare('P13', 'p99 of A warm, B taking 1,000 fresh calls/s, against B idle',
                        load.median(busy, 'p99_us'), load.median(idle, 'p99_us'), 'us', profile_of(shown), '<= 2',
                        at_most=2)


def run(bench):
    if not bench.is_wanted('P4', 'P5', 'P6', 'P13'):
        return
    with Daemon(log_level='warn') as daemon:
        org = daemon.new_org()
        for runtime in RUNTIMES if bench.is_wanted('P4', 'P5', 'P6') else ():
            try:
                deploy_pair(org, runtime)
                if bench.is_wanted('P4'):
                    paced(bench, daemon, org, runtime)
                if bench.is_wanted('P5', 'P6'):
                    req_s = sustained(bench, daemon, org, runtime)
                if bench.is_wanted('P6'):
                    half_load(bench, daemon, org, runtime, req_s)
            except RuntimeError as why:
                bench.table.none('P4-6', f'{runtime}, fresh', why)
        if bench.is_wanted('P13'):
            neighbour(bench, daemon)
