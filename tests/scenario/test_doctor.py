# SPDX-License-Identifier: Apache-2.0
"""`mayfly doctor`: what this machine holds, to whoever asks, with its reason."""
import json
import os
import re
import subprocess

import pytest

import mayfly

LIMITS = {'memory', 'swap', 'cpu_weight', 'cpu_percent', 'cpu_time', 'wall_time', 'processes',
          'open_files', 'file_size', 'tmp', 'request', 'answer', 'log'}


def test_every_group_stands_there_once_and_every_limit_in_its_group():
    text = mayfly.run('mayfly', 'doctor').stdout
    assert re.findall(r'^\w.*$', text, re.M) == ['protections', 'limits', 'mechanisms']
    limits = text.split('limits\n')[1].split('mechanisms\n')[0].splitlines()
    held = {line.split()[1]: line.split()[0] for line in limits if line}
    assert {f'limit.{name}' for name in LIMITS} <= set(held)
    assert {held[f'limit.{name}'] for name in ('wall_time', 'request', 'answer', 'log')} == {'yes'}
    assert held['limit.cpu_time'] == held['meter.cpu']


@pytest.mark.skipif(os.geteuid() != 0, reason='changes the user')
def test_without_root_it_says_what_is_missing_and_why(new_daemon):
    one = new_daemon(user=65534, is_started=False)
    done = subprocess.run([one.bin / 'mayfly', 'doctor', '--json'], capture_output=True, text=True,
                          user=one.user, group=one.user, extra_groups=[])
    findings = {one['name']: one for one in json.loads(done.stdout)}
    assert done.returncode == 0 and all(
        one['available'] for one in findings.values() if one['needed']), findings
    for name in ('user.own', 'limit.memory', 'limit.processes', 'limit.cpu_time'):
        assert not findings[name]['available'] and not findings[name]['needed'], findings[name]
        assert re.search('not permitted|Permission denied', findings[name]['why'])
