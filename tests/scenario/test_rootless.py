# SPDX-License-Identifier: Apache-2.0
"""A daemon of an ordinary user: everything works in a user namespace, and what nobody can hold for
such a user is said at start."""
import os
import subprocess
import threading

import pytest

import mayfly
import outside

NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason='becomes another user')


@pytest.fixture(scope='module')
def rootless():
    one = mayfly.Daemon(user=NOBODY, config=f'egress_private = {outside.HOST}\n')
    try:
        yield one.start()
    finally:
        one.close()


@pytest.fixture(scope='module')
def org(rootless):
    return rootless.new_org()


def test_every_limit_that_nobody_holds_is_warned_of(rootless):
    findings = rootless.provider().get('/v1/doctor').expect(200).json()['findings']
    missing = {one['name'] for one in findings
               if one['group'] == 'limit' and not one['available']}
    assert {'limit.memory', 'limit.processes', 'limit.cpu_time'} <= missing
    said = [line for line in rootless.log_lines('limit.unavailable') if ' process=daemon ' in line]
    assert all(' warn limit.unavailable ' in line for line in said)
    assert {line.split(' name=')[1].split()[0] for line in said} == missing


@pytest.mark.parametrize('runtime', ['node', 'python', 'exec'])
def test_a_starter_is_deployed_and_called(rootless, org, runtime, tmp_path):
    env = {'MAYFLY_URL': f'http://{rootless.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}
    for args in (['init', '-r', runtime, f'hello-{runtime}'], ['deploy', f'hello-{runtime}']):
        done = mayfly.run('mayfly', *args, env=env, cwd=tmp_path)
        assert done.returncode == 0, done
    called = mayfly.run('mayfly', 'call', f'hello-{runtime}', '-d', '{"name":"Ada"}', env=env)
    assert 'hello' in called.stdout, called
    assert org.route('GET', f'hello-{runtime}').expect(200).body


def test_a_tenant_is_no_more_than_that_user_and_sees_nobody_else(org):
    org.deploy('who', 'import os\ndef handler(event, context):\n'
               '    return [os.getuid(), sorted(p for p in os.listdir("/proc") if p.isdigit()),\n'
               '            open("/proc/self/status").read()]\n', 'python')
    uid, pids, status = org.call('who').expect(200).json()
    assert uid != 0 and len(pids) <= 3
    assert 'CapEff:\t0000000000000000' in status and 'Seccomp:\t2' in status


def test_a_network_leads_where_it_may_and_nowhere_else(org):
    with outside.Web() as web:
        org.deploy('get', '''
import urllib.request

def handler(event, context):
    try:
        return urllib.request.urlopen(event, timeout=10).read().decode()
    except OSError as error:
        return type(error).__name__
''', 'python', network=outside.egress(f'{outside.HOST}:{web.port}', '169.254.169.254:80'))
        got = org.call('get', f'http://{outside.HOST}:{web.port}/a').expect(200)
        assert got.json() == 'hello /a'
        assert org.record(got.call_id)['egress_bytes_in'] > 0
        assert org.call('get', 'http://169.254.169.254/').expect(200).json() in ('URLError', 'ConnectionResetError')
        web.shutdown()


def test_what_cannot_be_measured_is_not_said_to_be_zero(org):
    org.deploy('plain', "exports.handler = async () => 'done';\n")
    record = org.record(org.call('plain').expect(200).call_id)
    assert record['cpu_us'] is None and record['memory_peak_bytes'] is None, record
    assert record['wall_us'] > 0


def test_wall_time_and_the_number_of_processes_are_held(org):
    org.deploy('spin', 'exports.handler = () => { for (;;); };', limits={'timeout_ms': 500})
    assert org.call('spin').expect(504).code == 'timeout'
    org.deploy('forks', 'import os, time\ndef handler(event, context):\n    n = 0\n    try:\n'
               '        while n < 500:\n            if os.fork() == 0:\n'
               '                time.sleep(30)\n            n += 1\n'
               '    except BlockingIOError:\n        pass\n    return n\n', 'python',
               limits={'processes': 32})
    assert org.call('forks').expect(200).json() < 500


def test_it_stops_cleanly_with_a_call_in_flight_and_starts_again(rootless, org):
    org.deploy('slow', 'exports.handler = () => new Promise((ok) => setTimeout(ok, 500, "late"));')
    got = {}
    caller = threading.Thread(target=lambda: got.update(answer=org.route('GET', 'slow')))
    caller.start()
    mayfly.wait_until(lambda: org.client.get(f'{org.path}/calls').json()['calls'][0]['state']
                      == 'running', 'the call to run')
    assert rootless.stop() == 0
    caller.join()
    assert got['answer'].expect(200).text == 'late'
    rootless.start()
    again = mayfly.Org(rootless, org.name, rootless.client(org.client.token))
    again.settle('slow')
    assert again.route('GET', 'slow').expect(200).text == 'late'


def test_mayfly_serve_is_the_same_program(rootless):
    done = subprocess.run([rootless.bin / 'mayfly', 'serve', '--check', '--config',
                           rootless.config], user=NOBODY, group=NOBODY, extra_groups=[],
                          capture_output=True, text=True)
    assert done.returncode == 0, done
