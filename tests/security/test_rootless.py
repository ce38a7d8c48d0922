# SPDX-License-Identifier: Apache-2.0
"""The sandbox of a daemon without root: every wall stands, only what cgroups hold is missing.

Runs tests/unit/test_sandbox as an ordinary user, from a folder that such a user can reach.
"""
import os
import pathlib
import re
import shutil
import subprocess

HOUSE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('MAYFLY_BIN', HOUSE / 'build' / 'bin')).resolve().parent
NOBODY = 65534
NEEDS_CGROUPS = {
    'a_memory_hog_is_killed_and_the_reason_is_known',
    'a_child_that_eats_the_memory_takes_the_whole_sandbox',
    'cpu_time_is_held_to_the_ceiling',
}


def test_every_wall_stands_without_root():
    folder = pathlib.Path('/tmp') / f'mayfly-rootless-{os.getpid()}'
    folder.mkdir(mode=0o755)
    try:
        for program in ('src/sandbox/mayfly-spawner', 'src/sandbox/mayfly-init',
                        'tests/unit/sandbox_probe', 'tests/unit/test_sandbox'):
            shutil.copy(BUILD / program, folder)
        as_nobody = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
        done = subprocess.run([folder / 'test_sandbox'], cwd='/', capture_output=True, text=True,
                              timeout=120, **(as_nobody if os.geteuid() == 0 else {}),
                              env={**os.environ, 'CMOCKA_MESSAGE_OUTPUT': 'TAP',
                                   'MAYFLY_LIBEXEC': str(folder),
                                   'MAYFLY_PROBE': str(folder / 'sandbox_probe')})
    finally:
        shutil.rmtree(folder)
    print(done.stdout, done.stderr)
    failed = re.findall(r'^not ok \d+ (.*)', done.stdout, re.M)
    assert done.returncode == 0
    assert set(failed) == {f'# SKIP {name}' for name in NEEDS_CGROUPS}
    # what is missing is said loudly
    assert 'limit.unavailable' in done.stderr
    assert 'what=user.own' in done.stderr
