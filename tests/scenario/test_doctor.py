# SPDX-License-Identifier: Apache-2.0
"""`mayfly doctor`: what this machine holds, to whoever asks, with its reason."""
import json
import os
import re
import subprocess

import pytest

import mayfly
import rabbitmq

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


def connections(**settings):
    """{name: finding} of what the daemon would talk to, and all that was said."""
    env = {f'MAYFLY_{key.upper()}': str(value) for key, value in settings.items()}
    done = mayfly.run('mayfly', 'doctor', '--json', env=env)
    found = [one for one in json.loads(done.stdout) if one['group'] == 'connection']
    return {one['name']: one for one in found}, done.stdout + done.stderr


def test_what_the_settings_name_is_tried(tmp_path):
    (tmp_path / 'password').write_text('not to be seen\n')
    vcd = {'vcd_url': f'https://127.0.0.1:{rabbitmq.free_port()}', 'vcd_user': 'ada@System',
           'vcd_password_file': tmp_path / 'password'}
    assert connections()[0] == {}
    found, text = connections(**vcd)
    assert list(found) == ['connection.vcd'] and not found['connection.vcd']['available']
    assert 'no answer' in found['connection.vcd']['why'] and 'not to be seen' not in text
    for wrong, name in (({'vcd_user': 'ada'}, 'vcd_user'), ({'vcd_url': 'http://vcd'}, 'vcd_url'),
                        ({'vcd_password_file': ''}, 'vcd_password_file'),
                        ({'vcd_password_file': '/nowhere'}, 'vcd_password_file'),
                        ({'vcd_api_version': 'new'}, 'vcd_api_version')):
        found, _ = connections(**{**vcd, **wrong})
        assert list(found) == ['connection.settings'] and name in found['connection.settings']['why']
