# SPDX-License-Identifier: Apache-2.0
"""What `make install` lays down works from where it lies, and holds all that a packager needs."""
import json
import os
import shutil
import subprocess

import pytest

import mayfly


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('root')
    subprocess.run([mayfly.HOUSE / 'packaging' / 'install.sh', mayfly.BIN.parent, '/usr/local',
                    folder], check=True)
    return folder / 'usr' / 'local'


def test_every_part_is_there(root):
    for path in ('bin/mayfly', 'libexec/mayfly/mayfly-daemon', 'libexec/mayfly/mayfly-spawner',
                 'share/mayfly/openapi.yaml', 'share/mayfly/runtimes/node/shim.js',
                 'share/man/man1/mayfly.1', 'include/mayfly.h', 'lib/libmayfly.a',
                 'lib/systemd/system/mayfly.service',
                 'share/bash-completion/completions/mayfly'):
        assert (root / path).is_file(), path
    assert '/usr/local/bin/mayfly serve' in (root / 'lib/systemd/system/mayfly.service').read_text()


def test_the_installed_command_finds_its_parts(root):
    told = subprocess.run([root / 'bin' / 'mayfly', 'doctor', '--json'], capture_output=True)
    assert {finding['name'] for finding in json.loads(told.stdout)} >= {'seccomp', 'limit.memory'}


def test_a_function_in_c_compiles_against_what_was_installed(root, tmp_path):
    source = tmp_path / 'hello-native'
    shutil.copytree(mayfly.HOUSE / 'examples' / 'hello-native', source)
    env = {**os.environ, 'LSAN_OPTIONS': 'detect_leaks=0'}
    subprocess.run(['make', '-C', source, f'CPPFLAGS=-I{root}/include', f'LDFLAGS=-L{root}/lib'],
                   check=True, env=env, capture_output=True)
    assert (source / 'bootstrap').stat().st_mode & 0o111
