# SPDX-License-Identifier: Apache-2.0
"""P11 and P12: what functions cost that nobody calls, and what an instance that is ready costs."""
import pathlib
import threading
import time

import leaks
from mayfly import Daemon

from rows import functions, load
from rows.table import profile_of

GOAL_MIB = {'python': 2, 'node': 15}


def rollup(pid):
    """KiB by the kernel's names; {} for a process that is gone."""
    try:
        text = pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text()
    except OSError:
        return {}
    return {line.split(':')[0]: int(line.split()[1]) for line in text.splitlines() if line.endswith('kB')}


def private_kib(pid):
    sizes = rollup(pid)
    return sizes.get('Private_Clean', 0) + sizes.get('Private_Dirty', 0)


def processes(daemon):
    """{pid: command} of the daemon and of all that it started."""
    return dict(leaks.processes(daemon.tag, [daemon.data_dir, daemon.folder]))


def ready_instance(bench, daemon):
    org = daemon.new_org()
    for runtime, goal in {**GOAL_MIB, 'native': None}.items():
        name, n = f'{runtime}-ready', 5
        org.deploy(name, functions.source(runtime), runtime, max_instances=1)
        functions.timed_call(org, name)
        time.sleep(1)
        before = processes(daemon)
        made = org.deploy(name, functions.source(runtime), runtime, min_instances=n, max_instances=n)
        end = time.monotonic() + 30
        while functions.function_of(org, name).get('instances', {}).get('ready', n) < n and time.monotonic() < end:
            time.sleep(0.1)
        time.sleep(1)
        new = {pid: command for pid, command in processes(daemon).items() if pid not in before}
        main = sorted((private_kib(pid) for pid, command in new.items()
                       if 'mayfly-init' not in command and 'mayfly-keeper' not in command), reverse=True)[:n]
        keeper = [private_kib(pid) for pid, command in new.items() if 'mayfly-keeper' in command]
        if not main:
            bench.table.none('P12', f'{runtime}, private memory of a ready instance', 'no instance was found')
            continue
        got = load.median(main) / 1024
        bench.table.add('P12', f'{runtime}, private memory of a ready instance, p50 of {len(main)}', got, 'MiB',
                        profile_of(made), ratio=got / goal if goal else None,
                        goal=f'<= {goal} MiB' if goal else '', is_met=got <= goal if goal else None)
        if keeper:
            bench.table.add('P12', f'{runtime}, beside it: its keeper with the snapshot', load.median(keeper) / 1024,
                            'MiB', profile_of(made))


def idle_functions(bench, daemon):
    org, n = daemon.new_org(), bench.functions
    left = list(range(n))

    def put():
        own = type(org)(daemon, org.name, daemon.client(org.client.token))
        while left:
            try:
                number = left.pop()
            except IndexError:
                return
            own.deploy(f'idle-{number}', functions.PYTHON, 'python', idle_ms=0, max_instances=1)
    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    functions.wait_for_none(daemon)
    time.sleep(2)
    total = sum(rollup(pid).get('Pss', 0) for pid in processes(daemon)) / 1024
    shown = profile_of(functions.function_of(org, 'idle-0'))
    bench.table.add('P11', f'{n} deployed functions, none called: memory of all processes', total, 'MiB', shown,
                    ratio=total / 256, goal='<= 256 MiB', is_met=total <= 256 if n >= 10000 else None)
    names = [f'idle-{n * i // 20}' for i in range(20)]
    first = load.median([functions.timed_call(org, name) for name in names]) / 1e3
    bench.table.add('P11', f'python, first call among {n} functions, p50', first, 'ms', shown, ratio=first / 5,
                    goal='<= 5 ms', is_met=first <= 5)


def run(bench):
    for number, row in (('P12', ready_instance), ('P11', idle_functions)):
        if bench.is_wanted(number):
            with Daemon(log_level='warn') as daemon:
                row(bench, daemon)
