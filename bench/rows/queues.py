# SPDX-License-Identifier: Apache-2.0
"""P14: how many durable calls are acknowledged each second. The bus stands alone here, without HTTP:
64 producers each wait until what they put is on disk. The other side commits the same rows on bare
SQLite in batches of 64 with nobody waiting: what SQLite and this disk can do at most."""
import statistics
import subprocess
import tempfile

from mayfly import BIN

DRIVER = BIN.parent / 'bench' / 'bus_rate'
PRODUCERS = 64
GOAL = 50000


def rate(mode, seconds):
    with tempfile.TemporaryDirectory(prefix='mayfly-bench-', dir='/var/tmp') as folder:
        return int(subprocess.run([DRIVER, folder, str(seconds), str(PRODUCERS), mode], check=True, text=True,
                                  stdout=subprocess.PIPE).stdout)


def run(bench):
    if not bench.is_wanted('P14'):
        return
    if not DRIVER.exists():
        bench.table.none('P14', 'durable queue, enqueue acknowledged', f'{DRIVER} is not built')
        return
    modes = {'put': [], 'bare': [], 'through': []}
    for _ in range(bench.rounds):
        for mode, rates in modes.items():
            rates.append(rate(mode, bench.seconds))
    put, bare, through = (statistics.median(rates) for rates in modes.values())
    profile = 'embedded bus, SQLite WAL, synchronous=FULL, 20 functions, 456 bytes'
    bench.table.compare('P14', 'durable queue: acknowledged puts of 64 producers, against bare SQLite', put, bare,
                        '/s', profile, '>= 0.7', at_least=0.7)
    bench.table.add('P14', 'the same, all in all', put, '/s', profile, goal=f'>= {GOAL}', is_met=put >= GOAL)
    bench.table.add('P14', 'put, handed over and settled', through, '/s', profile)
