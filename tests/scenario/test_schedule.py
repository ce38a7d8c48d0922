# SPDX-License-Identifier: Apache-2.0
"""Schedules: what runs at its time, once, whatever happens to the daemon around it."""
import datetime
import json
import os
import random
import time

import pytest

import mayfly

TELL = "def handler(event, context):\n    return event\n"


def put(org, name, status=201, **wish):
    return org.client.put(f'{org.path}/schedules/{name}', wish).expect(status).json()


def show(org, name):
    return org.client.get(f'{org.path}/schedules/{name}').expect(200).json()


def runs(org, function='tell'):
    """Its calls, oldest first, as their records have them."""
    answer = org.client.get(f'{org.path}/calls?function={function}&n=1000').expect(200)
    return [call for call in reversed(answer.json()['calls']) if call.get('code') == 'ok']


def wait_for_runs(org, n, wait_s=20):
    mayfly.wait_until(lambda: len(runs(org)) >= n, f'{n} runs', wait_s)
    return runs(org)


def in_seconds(seconds):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=seconds)
    return at.isoformat(timespec='milliseconds').replace('+00:00', 'Z')


def reopen(new_daemon, daemon, org):
    org.daemon = new_daemon(data_dir=daemon.data_dir)
    org.client = org.daemon.client(org.client.token)
    return org.daemon


def test_a_schedule_is_put_shown_listed_and_deleted(org):
    org.deploy('tell', TELL, 'python')
    made = put(org, 'nightly', function='tell', cron='30 2 * * *', zone='Europe/Berlin',
               payload={'a': 1}, missed='once', queue={'attempts': 2})
    assert made['state'] == 'waiting' and made['last'] is None and len(made['next']) == 5
    assert made['missed'] == 'once' and made['payload'] == {'a': 1}
    assert {at[11:19] for at in made['next']} <= {'00:30:00', '01:00:00', '01:30:00'}
    again = put(org, 'nightly', 200, function='tell', cron='@daily')
    assert again['created_at'] == made['created_at'] and again['zone'] == 'UTC'
    put(org, 'hourly', function='tell', cron='@hourly')
    listed = org.client.get(f'{org.path}/schedules').expect(200).json()['schedules']
    assert [one['name'] for one in listed] == ['hourly', 'nightly']
    org.client.delete(f'{org.path}/schedules/nightly').expect(204)
    org.client.get(f'{org.path}/schedules/nightly').expect(404)
    org.client.delete(f'{org.path}/schedules/nightly').expect(404)


@pytest.mark.parametrize('field, wish', [
    ('function', {'cron': '@daily'}),
    ('function', {'function': 'none', 'cron': '@daily'}),
    ('cron', {'function': 'tell', 'cron': '61 * * * *'}),
    ('cron', {'function': 'tell', 'cron': '@daily', 'every': '1m'}),
    ('every', {'function': 'tell', 'every': '10ms'}),
    ('at', {'function': 'tell', 'at': '2001-01-01T00:00:00Z'}),
    ('zone', {'function': 'tell', 'cron': '@daily', 'zone': '../../etc/passwd'}),
    ('missed', {'function': 'tell', 'cron': '@daily', 'missed': 'twice'}),
    ('queue.attempts', {'function': 'tell', 'cron': '@daily', 'queue': {'attempts': 0}}),
    ('when', {'function': 'tell', 'when': '@daily'})])
def test_what_is_wrong_names_its_field(org, field, wish):
    org.deploy('tell', TELL, 'python')
    answer = org.client.put(f'{org.path}/schedules/a', wish).expect(400)
    assert answer.json()['field'] == field


def test_an_interval_runs_and_its_function_gets_what_was_planned(org):
    org.deploy('tell', TELL, 'python')
    put(org, 'often', function='tell', every='1s', payload=['x'])
    wait_for_runs(org, 3)
    last = show(org, 'often')['last']
    assert result_of(org, {'id': last['call']}) == \
        {'schedule': 'often', 'planned': last['planned'], 'payload': ['x']}
    put(org, 'often', 200, function='tell', every='1s', enabled=False)
    assert show(org, 'often')['state'] == 'disabled'
    time.sleep(1.5)
    n = len(runs(org))
    time.sleep(2.5)
    assert len(runs(org)) == n


def test_a_single_time_runs_once_and_is_past(org):
    org.deploy('tell', TELL, 'python')
    wish = {'function': 'tell', 'at': in_seconds(2)}
    put(org, 'once', **wish)
    wait_for_runs(org, 1)
    shown = show(org, 'once')
    assert shown['state'] == 'past' and shown['next'] == [] and shown['last']['call']
    put(org, 'once', 200, **wish)
    time.sleep(2)
    assert len(runs(org)) == 1


def test_with_its_function_a_schedule_is_gone(org):
    org.deploy('tell', TELL, 'python')
    put(org, 'often', function='tell', every='1s')
    org.client.delete(f'{org.path}/functions/tell').expect(204)
    org.client.get(f'{org.path}/schedules/often').expect(404)


def test_killed_around_the_time_a_run_comes_exactly_once(new_daemon):
    """Each round one schedule falls due while the daemon is killed somewhere around it."""
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('tell', TELL, 'python')
    n_rounds = 6
    for number in range(n_rounds):
        due_s = 1.5
        put(org, f'once-{number}', function='tell', at=in_seconds(due_s), missed='once')
        # From before it is due, over the moment in which it is put, to after it is noted.
        time.sleep(due_s - 0.1 + number * 0.05)
        daemon.kill()
        time.sleep(0.3)
        daemon = reopen(new_daemon, daemon, org)
        wait_for_runs(org, number + 1)
    time.sleep(3)
    for number in range(n_rounds):
        assert show(org, f'once-{number}')['state'] == 'past'
    listed = org.client.get(f'{org.path}/deliveries?function=tell').expect(200).json()
    assert len(listed['deliveries']) == n_rounds


def result_of(org, delivery):
    answer = org.client.get(f"{org.path}/calls/{delivery['id']}?wait=30s").expect(200).json()
    body = answer['delivery']['result']['body']
    return json.loads(body) if isinstance(body, str) else body


def test_killed_at_any_moment_an_interval_puts_no_time_twice(new_daemon):
    chance = random.Random(seed := time.time_ns())
    print(f'seed {seed}')
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('tell', TELL, 'python')
    put(org, 'often', function='tell', every='1s', missed='once')
    for _ in range(5):
        time.sleep(chance.uniform(0.8, 2.2))
        daemon.kill()
        daemon = reopen(new_daemon, daemon, org)
    wait_for_runs(org, 5)
    put(org, 'often', 200, function='tell', every='1s', enabled=False)
    listed = org.client.get(f'{org.path}/deliveries?function=tell&n=1000').expect(200).json()
    planned = [result_of(org, delivery)['planned'] for delivery in listed['deliveries']]
    assert len(planned) >= 5 and len(planned) == len(set(planned))


def test_what_was_missed_while_the_daemon_was_down_is_made_up_for_once(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('tell', TELL, 'python')
    put(org, 'made-up', function='tell', at=in_seconds(1.5))
    assert daemon.stop() == 0
    time.sleep(2)
    reopen(new_daemon, daemon, org)
    assert len(wait_for_runs(org, 1)) == 1
    assert show(org, 'made-up')['state'] == 'past'


def cli(org, tmp_path, *args):
    env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}
    return mayfly.run('mayfly', 'schedule', *args, env=env)


def test_the_command_line_puts_lists_switches_and_deletes(org, tmp_path):
    org.deploy('tell', TELL, 'python')
    done = cli(org, tmp_path, 'put', 'nightly', '-f', 'tell', '--cron', '30 2 * * *', '--zone',
               'Europe/Berlin', '--payload', '{"a": [1]}', '--missed', 'once', '--attempts', '3')
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith('put nightly, next 2')
    shown = show(org, 'nightly')
    assert shown['payload'] == {'a': [1]} and shown['queue'] == {'attempts': 3}
    listed = cli(org, tmp_path, 'ls').stdout
    assert 'nightly' in listed and '30 2 * * *' in listed and 'waiting' in listed
    assert cli(org, tmp_path, 'disable', 'nightly').returncode == 0
    assert show(org, 'nightly')['state'] == 'disabled'
    assert cli(org, tmp_path, 'enable', 'nightly').returncode == 0
    assert show(org, 'nightly')['payload'] == {'a': [1]}
    copy = tmp_path / 'copy.json'
    copy.write_text(cli(org, tmp_path, 'show', 'nightly').stdout)
    assert cli(org, tmp_path, 'put', 'nightly', '--file', str(copy)).returncode == 0
    wrong = cli(org, tmp_path, 'put', 'bad', '-f', 'tell', '--cron', '99 * * * *')
    assert wrong.returncode == 2 and 'minute: 99 is not between 0 and 59' in wrong.stderr
    assert cli(org, tmp_path, 'rm', 'nightly').returncode == 0
    assert cli(org, tmp_path, 'show', 'nightly').returncode == 4


def test_the_example_is_called_at_night(org, tmp_path):
    folder = mayfly.HOUSE / 'examples' / 'nightly-report'
    env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}
    done = mayfly.run('mayfly', 'deploy', str(folder), env=env, timeout=120)
    assert done.returncode == 0, done.stderr
    done = cli(org, tmp_path, 'put', 'nightly', '--file', str(folder / 'schedule.json'))
    assert done.returncode == 0, done.stderr
    event = {'schedule': 'nightly', 'planned': show(org, 'nightly')['next'][0],
             'payload': {'kind': 'full'}}
    answer = org.call('nightly-report', event).expect(200).json()
    assert answer['schedule'] == 'nightly' and answer['day'] < event['planned'][:10]


# ---- the clock of the machine ----

def test_a_clock_that_somebody_sets_is_followed(new_daemon):
    """Only the daemon's own: clock_played.c reads its distance from the real one out of a file."""
    daemon = new_daemon(is_started=False)
    shift = daemon.folder / 'shift'
    shift.write_text('0')
    played = mayfly.BIN.parent / 'tests' / 'scenario' / 'clock_played.so'
    preload = ' '.join(filter(None, [os.environ.get('LD_PRELOAD'), str(played)]))
    # A sanitizer wants to be loaded first, and looks for leaks where no clock is to be played.
    sanitizer = f'{os.environ.get("ASAN_OPTIONS", "")}:verify_asan_link_order=0:detect_leaks=0'
    daemon.env.update(LD_PRELOAD=preload, PLAYED_CLOCK=str(shift), ASAN_OPTIONS=sanitizer)
    daemon.start()
    org = daemon.new_org()
    org.deploy('tell', TELL, 'python')
    put(org, 'far', function='tell', at=in_seconds(3600), missed='once')
    put(org, 'skipped', function='tell', at=in_seconds(1800), missed='skip')
    put(org, 'yearly', function='tell', cron='@yearly')
    time.sleep(1)
    assert not runs(org)
    shift.write_text('7200')
    assert len(wait_for_runs(org, 1)) == 1
    assert [show(org, name)['last'] is None for name in ('far', 'skipped')] == [False, True]
    shift.write_text('0')
    mayfly.wait_until(lambda: len(daemon.log_lines('schedule.clock_set')) == 2, 'both steps')
    put(org, 'often', function='tell', every='1s')
    assert len(wait_for_runs(org, 3)) >= 3
    assert show(org, 'far')['state'] == 'past'
