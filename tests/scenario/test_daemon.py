# SPDX-License-Identifier: Apache-2.0
"""The daemon as an operator meets it: settings, rights, signals, starts and ends."""
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest

import leaks
import mayfly

HELLO = 'exports.handler = async () => "hello"'
SLOW = '''exports.handler = async (event) => {
  console.log('begun'); await new Promise((done) => setTimeout(done, event.ms)); return 'done' }'''


def daemon_run(*args, env=None, timeout=60):
    return mayfly.run('mayfly-daemon', *args, env=env, timeout=timeout)


# ---- settings ----

def test_help_names_every_key_and_version_is_said():
    done = daemon_run('--help')
    assert done.returncode == 0
    for word in ('--data-dir', '--tls-certificate', '--limit-memory-mib-max', 'MAYFLY_DATA_DIR',
                 'SIGHUP', '64MiB'):
        assert word in done.stdout, word
    assert all(len(line) <= 160 for line in done.stdout.splitlines())
    assert re.fullmatch(r'mayfly \d+\.\d+\.\d+\n', daemon_run('--version').stdout)


@pytest.mark.parametrize('args, says', [
    (['--lisen', 'x'], 'there is no flag --lisen'),
    (['x'], "'x' is no flag"),
    (['--listen'], '--listen needs a value'),
    (['--log-level', 'loud'], 'log_level must be one of: debug info warn error'),
    (['--grace', '10'], 'grace must be a duration'),
    (['--grace', '2d'], 'from 0 to 3600000'),
    (['--source-bytes', '10MB'], 'source_bytes must be a size'),
    (['--max-sandboxes', '0'], 'max_sandboxes must be a number, from 1 to 4096'),
    (['--tls-listen', '127.0.0.1:0'], 'tls_listen needs tls_certificate and tls_key'),
    (['--user', 'a', '--user', 'b'], 'user is said twice'),
    (['--limit-memory-mib', '5000'], 'limit_memory_mib'),
    (['--ready-fd', 'x'], '--ready-fd needs the number'),
    (['--config', '/nonexistent/mayfly.conf'], '/nonexistent/mayfly.conf'),
])
def test_a_wrong_setting_ends_with_2_and_is_named(args, says):
    done = daemon_run('--check', *args)
    assert done.returncode in (2, 4), done
    assert says in done.stderr, done.stderr
    assert done.stdout == ''


@pytest.mark.parametrize('text, says', [
    ('grace = 5s\nlisen = x\n', ':2: there is no key lisen'),
    ('# good\n\ngrace 5s\n', ':3: a line is `key = value`'),
    ('grace = 5s\ngrace = 6s\n', ':2: grace is said twice'),
    ('idle_time = never\n', ':1: idle_time must be a duration'),
    ('max_instances = -1\n', ':1: max_instances must be a number'),
])
def test_a_wrong_line_of_the_file_is_named_with_its_number(tmp_path, text, says):
    file = tmp_path / 'mayfly.conf'
    file.write_text(text)
    done = daemon_run('--check', '--config', file)
    assert done.returncode == 2
    assert f'{file}{says}' in done.stderr, done.stderr


def test_a_flag_beats_the_environment_and_that_the_file(tmp_path):
    file = tmp_path / 'mayfly.conf'
    file.write_text('log_level = wrong-in-file\n')
    # Every value is judged, so that a file is right whatever stands before it.
    done = daemon_run('--check', '--config', file, '--log-level', 'info')
    assert done.returncode == 2 and 'wrong-in-file' in done.stderr
    file.write_text('log_level = warn\n')
    done = daemon_run('--check', '--config', file, env={'MAYFLY_LOG_LEVEL': 'loud'})
    assert done.returncode == 2 and 'MAYFLY_LOG_LEVEL' in done.stderr
    done = daemon_run('--check', '--config', file, env={'MAYFLY_LOG_LEVEL': 'info'})
    assert done.returncode == 0, done.stderr


def test_the_example_file_is_good_and_names_every_key_with_its_default(tmp_path):
    example = mayfly.HOUSE / 'packaging' / 'mayfly.conf.example'
    assert daemon_run('--check', '--config', example).returncode == 0
    text = example.read_text()
    rows = dict(re.findall(r'^#?([a-z_]+) = ?(.*)$', text, re.M))
    keys = keys_of_help()
    assert list(rows) == list(keys)
    for key, default in keys.items():
        assert rows[key] == default, key
    file = tmp_path / 'all.conf'
    file.write_text(re.sub(r'^#([a-z_]+ = .+)$', r'\1', text, flags=re.M))
    done = daemon_run('--check', '--config', file)
    assert done.returncode == 0, done.stderr


def keys_of_help():
    """{key: default} as --help says it."""
    found = re.findall(r'^  --([a-z-]+) .*\n +default ([^,;\n]*)', daemon_run('--help').stdout, re.M)
    return {flag.replace('-', '_'): '' if value == 'none' else value for flag, value in found}


def test_the_documentation_has_every_key_with_its_default():
    text = (mayfly.HOUSE / 'docs' / 'configuration.md').read_text()
    rows = re.findall(r'^\| `([a-z_]+)` \| ([^|]*) \|', text, re.M)
    said = {key: value.strip().strip('`') for key, value in rows}
    assert said == keys_of_help()


# ---- rights ----

def status_of(pid):
    lines = open(f'/proc/{pid}/status').read().splitlines()
    return dict(line.split(':\t', 1) for line in lines if ':\t' in line)


@pytest.mark.skipif(os.geteuid() != 0, reason='has nothing to give up')
def test_the_process_that_reads_the_network_has_no_privilege(daemon):
    for task in os.listdir(f'/proc/{daemon.process.pid}/task'):
        status = status_of(f'{daemon.process.pid}/task/{task}')
        assert set(status['Uid'].split()) == set(status['Uid'].split()[:1]) != {'0'}
        assert '0' not in status['Gid'].split() and status['Groups'].split() in ([], ['0'][:0])
        for capabilities in ('CapInh', 'CapPrm', 'CapEff', 'CapBnd', 'CapAmb'):
            assert int(status[capabilities], 16) == 0, capabilities
        assert status['NoNewPrivs'] == '1' and status['Seccomp'] == '2'


@pytest.mark.skipif(os.geteuid() != 0, reason='the files belong to one user')
def test_what_root_made_cannot_be_replaced_by_the_daemon(daemon):
    folder = daemon.data_dir.stat()
    assert folder.st_uid == 0 and folder.st_mode & 0o7777 == 0o1770
    for name in ('roots', 'trees'):
        there = (daemon.data_dir / name).stat()
        assert there.st_uid == 0 and not there.st_mode & 0o022, name


def test_secrets_are_in_one_file_for_one_user_and_in_no_log(daemon, org):
    token = daemon.data_dir / 'bootstrap-token'
    assert token.stat().st_mode & 0o777 == 0o600
    org.deploy('f', HELLO, environment={'PASSWORD': 'correct-horse-battery'})
    org.call('f', {'secret': 'staple-in-the-body'}).expect(200)
    org.route('GET', 'f?key=staple-in-the-query').expect(200)
    daemon.client('mf_' + 'w' * 43).get('/v1/orgs').expect(401)
    log = daemon.log()
    for secret in (daemon.token(), org.client.token, 'correct-horse', 'staple', 'w' * 43):
        assert secret not in log, secret
    database = b''.join(path.read_bytes() for path in daemon.data_dir.glob('mayfly.db*'))
    for secret in (daemon.token(), org.client.token):
        assert secret.encode() not in database


@pytest.mark.skipif(os.geteuid() != 0, reason='changes the user')
def test_without_root_it_runs_and_says_what_is_missing(new_daemon):
    one = new_daemon(user=65534)
    assert set(status_of(one.process.pid)['Uid'].split()) == {'65534'}
    assert status_of(one.process.pid)['NoNewPrivs'] == '1'
    assert one.log_lines('limit.unavailable')
    org = one.new_org()
    org.deploy('f', HELLO)
    assert org.route('GET', 'f').expect(200).text == 'hello'


@pytest.mark.skipif(os.geteuid() != 0, reason='takes rights away from root')
def test_the_rights_that_the_unit_leaves_are_enough(new_daemon):
    unit = (mayfly.HOUSE / 'packaging' / 'mayfly.service').read_text().replace('\\\n', '')
    names = re.search(r'^CapabilityBoundingSet=(.*)$', unit, re.M)[1].lower().split()
    bounds = ','.join(['-all', *('+' + name.removeprefix('cap_') for name in names)])
    one = new_daemon(prefix=['setpriv', '--bounding-set', bounds])
    org = one.new_org()
    org.deploy('f', HELLO)
    assert org.call('f').expect(200).json() == 'hello'


def test_the_bootstrap_token_is_written_once(new_daemon):
    one = new_daemon()
    token = one.token()
    assert one.provider().get('/v1/orgs').json()['orgs'][0]['name'] == 'default'
    assert one.stop() == 0
    one.start()
    assert one.token() == token
    one.provider().get('/v1/orgs').expect(200)
    (one.data_dir / 'bootstrap-token').unlink()
    assert one.stop() == 0
    one.start()
    assert not (one.data_dir / 'bootstrap-token').exists()
    one.client(token).get('/v1/orgs').expect(200)


# ---- signals and ends ----

def in_flight(org, name, event):
    """Starts a call in a thread and waits until the function says that it began."""
    answers = []
    client = org.daemon.client(org.client.token)

    def ask():
        try:
            answers.append(client.post(f'{org.path}/functions/{name}/calls', event))
        except Exception as problem:  # what became of the connection is for the test to judge
            answers.append(problem)
    connection, response = org.client.open('GET', f'{org.path}/functions/{name}/logs?follow=true')
    thread = threading.Thread(target=ask)
    thread.start()
    while b'begun' not in response.readline():
        pass
    connection.close()
    return thread, answers


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_calls_in_flight_finish_and_takes_no_new_ones(new_daemon, number):
    one = new_daemon()
    org = one.new_org()
    org.deploy('slow', SLOW)
    thread, answers = in_flight(org, 'slow', {'ms': 1500})
    one.process.send_signal(number)
    mayfly.wait_until(lambda: one.log_lines('daemon.stopping'), 'it says that it stops')
    with pytest.raises(OSError):
        socket.create_connection(one.address.split(':'), 5).close()
    assert one.wait() == 0
    thread.join()
    assert answers[0].status == 200 and answers[0].json() == 'done'
    assert one.log_lines('daemon.stopped')
    assert not one.log_lines('keeper.failed')
    one.check_nothing_left()
    one.start()
    record = org_record(one, org, answers[0].call_id)
    assert record['code'] == 'ok'


def org_record(daemon, org, call_id):
    path = f'/v1/orgs/{org.name}/calls/{call_id}'
    return daemon.provider().get(path).expect(200).json()


def test_readiness_ends_before_the_listeners_do(new_daemon):
    one = new_daemon('--drain', '1500ms')
    client = one.client()
    client.get('/readyz').expect(200)
    one.process.send_signal(signal.SIGTERM)
    mayfly.wait_until(lambda: one.log_lines('daemon.stopping'), 'it says that it stops')
    answer = one.client().get('/readyz').expect(503)
    assert answer.json()['message'] == 'stopping' and answer.headers['retry-after']
    one.client().get('/healthz').expect(200)
    assert one.wait() == 0


def test_calls_that_outlast_the_grace_are_cut(new_daemon):
    one = new_daemon('--grace', '500ms')
    org = one.new_org()
    org.deploy('slow', SLOW)
    thread, answers = in_flight(org, 'slow', {'ms': 20000})
    started = time.monotonic()
    assert one.stop() == 0
    assert time.monotonic() - started < 15
    thread.join()
    assert not isinstance(answers[0], mayfly.Answer) or answers[0].status in (499, 503)


def test_a_second_signal_ends_it_at_once(new_daemon):
    one = new_daemon()
    org = one.new_org()
    org.deploy('slow', SLOW)
    thread, _ = in_flight(org, 'slow', {'ms': 25000})
    one.process.send_signal(signal.SIGTERM)
    mayfly.wait_until(lambda: one.log_lines('daemon.stopping'), 'it says that it stops')
    one.process.send_signal(signal.SIGTERM)
    assert one.wait() == 1
    thread.join()
    one.check_nothing_left()


def test_followers_and_waits_do_not_hold_a_stop(new_daemon):
    one = new_daemon()
    org = one.new_org()
    org.deploy('f', HELLO)
    connection, response = org.client.open('GET', f'{org.path}/functions/f/logs?follow=true')
    started = time.monotonic()
    assert one.stop() == 0
    assert time.monotonic() - started < 15
    while response.readline():
        pass
    connection.close()


def test_a_killed_daemon_leaves_nothing_and_starts_again_with_its_functions(new_daemon):
    one = new_daemon()
    org = one.new_org()
    org.deploy('f', HELLO)
    org.call('f').expect(200)
    one.kill()
    one.start()
    answer = one.client(org.client.token).post(f'{org.path}/functions/f/calls')
    assert answer.expect(200).json() == 'hello'


def test_the_loss_of_the_spawner_ends_the_daemon_with_an_error(new_daemon):
    one = new_daemon()
    org = one.new_org()
    org.deploy('slow', SLOW)
    thread, answers = in_flight(org, 'slow', {'ms': 20000})
    spawner = [pid for pid, line in leaks.processes(one.tag, [one.folder])
               if 'mayfly-spawner' in line and parent_of(pid) == one.process.pid]
    assert len(spawner) == 1
    os.kill(spawner[0], signal.SIGKILL)
    assert one.wait() == 1
    thread.join()
    assert one.log_lines('daemon.spawner_lost')
    assert answers[0].status == 503 and answers[0].code == 'unavailable'
    one.start()
    assert one.client(org.client.token).post(f'{org.path}/functions/slow/calls',
                                             {'ms': 1}).expect(200).json() == 'done'


def parent_of(pid):
    return int(status_of(pid)['PPid'])


def test_two_daemons_do_not_share_a_folder(new_daemon):
    one = new_daemon()
    second = new_daemon(data_dir=one.data_dir, is_started=False)
    process, ready = second.spawn()
    os.close(ready)
    assert process.wait(60) == 5
    assert f'another daemon (pid {one.process.pid})' in second.log()
    one.client().get('/readyz').expect(200)


def test_an_address_that_is_taken_is_named_and_nothing_is_left(new_daemon):
    one = new_daemon()
    second = new_daemon('--listen', one.address, is_started=False)
    process, ready = second.spawn()
    os.close(ready)
    assert process.wait(60) == 1
    assert one.address in second.log() and 'daemon.failed' in second.log()
    second.check_nothing_left()


# ---- telling others ----

def test_systemd_is_told_when_it_is_ready_and_when_it_stops(new_daemon, tmp_path):
    path = tmp_path / 'notify'
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        os.chmod(tmp_path, 0o711)
        for folder in tmp_path.parents:
            if str(folder).startswith('/tmp/pytest'):
                os.chmod(folder, 0o711)
        os.chmod(path, 0o777)
        manager.settimeout(60)
        one = new_daemon(env={'NOTIFY_SOCKET': str(path)})
        assert b'READY=1' in manager.recv(1000)
        one.stop()
        assert b'STOPPING=1' in manager.recv(1000)


def test_several_addresses_and_json_lines(new_daemon):
    one = new_daemon('--listen', '[::1]:0', '--log-format', 'json')
    addresses = one.address.split(',')
    assert len(addresses) == 2 and addresses[1].startswith('[::1]:')
    for line in one.log().splitlines():
        assert {'level', 'event'} <= set(json.loads(line)), line
    with socket.create_connection(('::1', int(addresses[1].rsplit(':', 1)[1])), 5) as raw:
        raw.sendall(b'GET /healthz HTTP/1.0\r\nHost: x\r\n\r\n')
        assert raw.recv(1000).startswith(b'HTTP/1.')


def certificate(folder, name):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', f'/CN={name}',
                    '-keyout', str(folder / 'key.pem'), '-out', str(folder / 'certificate.pem')],
                   check=True, capture_output=True)
    for file in ('key.pem', 'certificate.pem'):
        (folder / file).chmod(0o644)


def subject(address):
    host, port = address.rsplit(':', 1)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, int(port)), 10) as raw:
        with context.wrap_socket(raw) as wrapped:
            der = wrapped.getpeercert(binary_form=True)
            wrapped.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
            assert b'200 OK' in wrapped.recv(1000)
    return der


def test_tls_is_spoken_and_the_certificate_read_again_on_sighup(new_daemon):
    one = new_daemon('--tls-listen', '127.0.0.1:0', is_started=False)
    certificate(one.folder, 'first')
    one.args += ['--tls-certificate', str(one.folder / 'certificate.pem'),
                 '--tls-key', str(one.folder / 'key.pem')]
    one.start()
    first = subject(one.tls_address)
    assert b'first' in first
    certificate(one.folder, 'second')
    one.process.send_signal(signal.SIGHUP)
    mayfly.wait_until(lambda: one.log_lines('tls.reloaded'), 'it is read again')
    assert b'second' in subject(one.tls_address)
    (one.folder / 'key.pem').write_text('nothing')
    one.process.send_signal(signal.SIGHUP)
    mayfly.wait_until(lambda: one.log_lines('tls.reload_failed'), 'the broken one is refused')
    assert b'second' in subject(one.tls_address)


# ---- the doctor ----

def test_the_doctor_needs_no_daemon_and_agrees_with_itself():
    done = daemon_run('--doctor', '--json')
    findings = json.loads(done.stdout)
    is_good = all(one['available'] for one in findings if one['needed'])
    assert done.returncode == (0 if is_good else 1)
    text = daemon_run('--doctor').stdout
    for one in findings:
        assert re.search(rf'^  {"yes" if one["available"] else "no"} +{re.escape(one["name"])} ',
                         text, re.M | re.I), one


def test_what_is_missing_is_said_at_start(daemon):
    findings = daemon.provider().get('/v1/doctor').expect(200).json()['findings']
    for one in findings:
        lines = [line for line in daemon.log_lines(f'{one["group"]}.unavailable')
                 if f'name={one["name"]} ' in line]
        assert bool(lines) == (not one['available']), one
