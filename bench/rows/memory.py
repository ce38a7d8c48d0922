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


def is_beside(command):
    return 'mayfly-init' in command or 'mayfly-keeper' in command


def settle(org, name, n):
    """Until n instances are ready and nothing else is on its way."""
    end = time.monotonic() + 60
    while functions.function_of(org, name)['instances'] != {'starting': 0, 'idle': n, 'busy': 0}:
        if time.monotonic() > end:
            raise RuntimeError(f'{name} has not got {n} instances')
        time.sleep(0.1)
    time.sleep(2)


def shares_kib(daemon):
    """Of programs and templates: what several processes have in common is divided among them, so
    that a difference is what came to be, whoever shares it with whom. A program that is kept shares
    all that it has of its own with the copy that it is brought back from."""
    return sum(rollup(pid).get('Pss', 0) for pid, command in processes(daemon).items() if not is_beside(command)
               and 'mayfly-' not in command)


def wait_for_templates(daemon):
    """What starts before there is one is booted."""
    end = time.monotonic() + 60
    while daemon.log_path.read_text().count('template.ready') < len(GOAL_MIB):
        if time.monotonic() > end:
            raise RuntimeError('there is no template')
        time.sleep(0.1)


def keepers_kib(daemon):
    return sorted((private_kib(pid) for pid, command in processes(daemon).items() if 'mayfly-keeper' in command),
                  reverse=True)


def ready_instance(bench, daemon):
    org = daemon.new_org()
    wait_for_templates(daemon)
    for runtime, goal in {**GOAL_MIB, 'native': None}.items():
        name, n = f'{runtime}-ready', 5
        org.deploy(name, functions.source(runtime), runtime, min_instances=1, max_instances=1)
        settle(org, name, 1)
        before = shares_kib(daemon)
        made = org.deploy(name, functions.source(runtime), runtime, min_instances=n + 1, max_instances=n + 1)
        settle(org, name, n + 1)
        got, keepers = (shares_kib(daemon) - before) / n / 1024, keepers_kib(daemon)[:n]
        bench.table.add('P12', f'{runtime}, memory that a ready instance adds, mean of {n}', got, 'MiB',
                        profile_of(made), ratio=got / goal if goal else None,
                        goal=f'<= {goal} MiB' if goal else '', is_met=got <= goal if goal else None)
        if keepers:
            bench.table.add('P12', f'{runtime}, beside it: its keeper', load.median(keepers) / 1024, 'MiB',
                            profile_of(made))
        org.client.delete(f'{org.path}/functions/{name}')
        functions.wait_for_none(daemon)


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
            with Daemon(log_level='info') as daemon:
                row(bench, daemon)
