# SPDX-License-Identifier: Apache-2.0
"""The store loses nothing that it acknowledged: killed at any moment, with system calls that fail,
with a disk that is full. store_driver.c writes, checks and says what it found."""
import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[2]
DRIVER = pathlib.Path(os.environ.get('MAYFLY_BUILD', HOUSE / 'build')) / 'tests/fault/store_driver'
KILLS = 30


def drive(*args, numbers=()):
    """Runs the driver to its end; gives its last line."""
    process = subprocess.run([DRIVER, *map(str, args)], text=True, timeout=150,
                             input=''.join(f'{number}\n' for number in numbers),
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.returncode == 0, process.stdout[-2000:]
    return process.stdout.splitlines()[-1]


def write_and_kill(folder, first, after_s, is_at_work=True):
    """Kills a writer after_s behind its start, or behind the first number that it acknowledged;
    gives all of these."""
    process = subprocess.Popen([DRIVER, 'write', folder, str(first)], stdout=subprocess.PIPE)
    output = process.stdout.readline() if is_at_work else b''
    time.sleep(after_s)
    process.send_signal(signal.SIGKILL)
    output = (output + process.communicate()[0]).decode()
    assert process.returncode == -signal.SIGKILL, output[-2000:]
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith('\n')]


def test_no_acknowledged_number_is_lost_when_the_store_is_killed(tmp_path):
    seed = time.time_ns()
    print(f'seed {seed}')
    chance = random.Random(seed)
    acknowledged, first = [], 1
    for i in range(KILLS):
        # Every other one is killed while it opens the store, or soon after.
        is_at_work = i % 2 == 0
        numbers = write_and_kill(tmp_path / 'data', first, chance.uniform(0, 0.2), is_at_work)
        assert numbers or not is_at_work
        acknowledged += numbers
        # Numbers that were written and not acknowledged may be there: begin behind all of them.
        first = max([first, *numbers]) + 1000
        assert drive('check', tmp_path / 'data', numbers=acknowledged) == \
            f'{len(acknowledged)} there'


def test_a_lost_number_would_be_noticed(tmp_path):
    numbers = write_and_kill(tmp_path / 'data', 1, 0.2)
    process = subprocess.run([DRIVER, 'check', tmp_path / 'data'], text=True, timeout=60,
                             input=f'{numbers[-1] + 100000}\n', stdout=subprocess.PIPE)
    assert process.returncode == 1
    assert 'an acknowledged number is gone' in process.stdout


def test_nothing_is_acknowledged_before_it_is_synced(tmp_path):
    n_commits = int(drive('synced', tmp_path / 'data').split()[0])
    assert n_commits > 10


@pytest.mark.parametrize('error', ['io', 'full'])
@pytest.mark.parametrize('lasts', ['once', 'lasting'])
def test_a_system_call_that_fails_loses_nothing_acknowledged(tmp_path, lasts, error):
    n_hit, n_failed, n_acknowledged = (
        int(part.split()[0]) for part in drive('fail', tmp_path, lasts, error).split(','))
    assert n_hit == 500
    assert n_failed > 0 and n_acknowledged > 0


def test_a_full_disk_is_said_and_the_store_goes_on_when_there_is_room(tmp_path):
    script = f'mount -t tmpfs -o size=6m none {tmp_path} && exec {DRIVER} fill {tmp_path}'
    own_mounts = ['unshare', '-m'] if os.geteuid() == 0 else ['unshare', '-Urm']
    process = subprocess.run([*own_mounts, 'sh', '-c', script], text=True, timeout=60,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert process.returncode == 0, process.stdout[-2000:]
    assert int(process.stdout.split()[0]) > 100


def test_a_backup_taken_while_the_store_writes_is_whole(tmp_path):
    """The commands of docs/operations.md."""
    data, backup, output = tmp_path / 'data', tmp_path / 'backup', tmp_path / 'output'
    with open(output, 'w') as to:
        process = subprocess.Popen([DRIVER, 'write', data, '1'], stdout=to)
    try:
        while len(before := output.read_text().splitlines()[:-1]) < 500:
            assert process.poll() is None
            time.sleep(0.01)
        subprocess.run(['sh', '-ec', f'''
            umask 077
            mkdir {backup}
            cp -an {data}/blobs {backup}/
            sqlite3 {data}/mayfly.db "VACUUM INTO '{backup}/mayfly.db'"
            cp -an {data}/blobs {backup}/'''], check=True, timeout=60)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()
    assert drive('check', backup, numbers=before) == f'{len(before)} there'
