# SPDX-License-Identifier: Apache-2.0
"""The embedded bus loses nothing that it acknowledged, and what was settled does not come again:
killed at any moment, with system calls that fail. bus_driver.c puts, checks and says what it
found."""
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get('MAYFLY_BUILD', HOUSE / 'build')) / 'tests/fault/bus_driver'
KILLS = 15


def drive(*args, lines=()):
    """Runs the driver to its end; gives its last line."""
    process = subprocess.run([DRIVER, *map(str, args)], text=True, timeout=240,
                             input=''.join(f'{line}\n' for line in lines),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.returncode == 0, process.stdout[-2000:]
    return process.stdout.splitlines()[-1]


def put_and_kill(folder, first, after_s, is_at_work=True):
    """Kills a driver after_s behind its start, or behind the first message that it acknowledged;
    gives all that it told."""
    process = subprocess.Popen([DRIVER, 'put', folder, str(first)], stdout=subprocess.PIPE)
    output = process.stdout.readline() if is_at_work else b''
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    output = (output + process.communicate()[0]).decode()
    assert process.returncode == -signal.SIGKILL, output[-2000:]
    return [line.strip() for line in output.splitlines(keepends=True) if line.endswith('\n')]


def test_no_acknowledged_message_is_lost_when_the_daemon_is_killed(tmp_path):
    seed = time.time_ns()
    print(f'seed {seed}')
    chance = random.Random(seed)
    told, first = [], 1
    for i in range(KILLS):
        # Every other one is killed while it opens the bus, or soon after.
        is_at_work = i % 2 == 0
        lines = put_and_kill(tmp_path / 'data', first, chance.uniform(0, 0.4), is_at_work)
        assert lines or not is_at_work
        told += lines
        # Messages that were put and not acknowledged may be there: begin behind all of them.
        first = max([first, *(int(line.split()[1]) for line in lines)]) + 1000
        assert drive('check', tmp_path / 'data', lines=told).startswith(f'{len(told)} told')
    assert sum(line.startswith('put') for line in told) > 1000
    assert any(line.startswith('settled') for line in told)


def test_a_lost_or_a_returned_message_would_be_noticed(tmp_path):
    told = put_and_kill(tmp_path / 'data', 1, 0.3)
    kept = next(number for number in (int(line.split()[1]) for line in told) if number % 3 == 2)
    for line, said in ((f'put {kept + 3000000}', 'an acknowledged message is gone'),
                       (f'settled {kept}', 'a settled message came again')):
        process = subprocess.run([DRIVER, 'check', tmp_path / 'data'], text=True, timeout=60,
                                 input=f'{line}\n', stdout=subprocess.PIPE)
        assert process.returncode == 1
        assert said in process.stdout


def test_nothing_is_acknowledged_before_it_is_synced(tmp_path):
    assert drive('synced', tmp_path / 'data') == '3000 watched'


@pytest.mark.parametrize('lasts, error', [('once', 'io'), ('lasting', 'full')])
def test_a_system_call_that_fails_loses_nothing_acknowledged(tmp_path, lasts, error):
    n_opened, n_refused, n_there = (
        int(part.split()[0]) for part in drive('fail', tmp_path, lasts, error).split(','))
    assert n_opened > 20 and n_refused > 0 and n_there > 0
