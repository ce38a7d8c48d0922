# SPDX-License-Identifier: Apache-2.0
"""vCloud Director's front door over MQTT: a real RabbitMQ that speaks MQTT in WebSocket, and a cell
that is played (vcd_cell_mqtt.py)."""
import base64
import contextlib
import hashlib
import json
import os
import pathlib
import signal
import socket
import tempfile
import threading

import pytest

import mayfly
import rabbitmq
import vcd_cell_mqtt
from vcd_cases import *  # noqa: F403  what is owed over each transport
from vcd_cases import FUNCTIONS, PATTERNS, SETTINGS, UUID, ask


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker(tls=True, mqtt=True) as one:
        vcd_cell_mqtt.allow(one)
        yield one


@contextlib.contextmanager
def played(broker):
    with vcd_cell_mqtt.Cell(broker, 30) as one:
        one.add_service('mayfly', '', PATTERNS)
        one.context['org'] = f'urn:vcloud:org:{UUID}'
        yield one


@pytest.fixture(scope='module')
def cell(broker):
    with played(broker) as one:
        yield one


@pytest.fixture(scope='module')
def authority(broker):
    """Whom nobody belongs to must be able to read it."""
    with tempfile.NamedTemporaryFile(prefix='mayfly-ca-', suffix='.pem') as file:
        file.write((broker.folder / 'ca.pem').read_bytes())
        file.flush()
        os.chmod(file.name, 0o644)
        yield file.name


@contextlib.contextmanager
def daemon_at(url, authority=None, token=vcd_cell_mqtt.TOKEN):
    daemon = mayfly.Daemon(log_level='info', config='\n'.join([
        f'vcd_mqtt_url = {url}', f'vcd_mqtt_name = {vcd_cell_mqtt.NAME}',
        *([f'vcd_mqtt_ca_file = {authority}'] if authority else []), *SETTINGS, '']))
    path = daemon.folder / 'token'
    path.write_text(token + '\n')
    path.chmod(0o600)   # root's alone: it is read before the rights go
    daemon.args += ['--vcd-mqtt-token-file', str(path)]
    with daemon:
        yield daemon


@pytest.fixture(scope='module')
def daemon(broker, authority):
    url = f'wss://localhost:{broker.wss_port}/messaging/mqtt'
    with daemon_at(url, authority) as one:
        yield one


@pytest.fixture(scope='module')
def front(daemon, cell):
    """The org `acme` behind the cell."""
    org = daemon.new_org('acme')
    for name, source in FUNCTIONS.items():
        org.deploy(name, source)
    wait_for(daemon, 'vcd.link_up')
    return org


def wait_for(daemon, event, n=1):
    """Until it is in the log n times: its lines."""
    return mayfly.wait_until(
        lambda: len(daemon.log_lines(event)) >= n and daemon.log_lines(event), event, 60)


def processes_of(daemon):
    """{pid: its status} of mayfly-mqtt."""
    found = {}
    for status in pathlib.Path('/proc').glob('[0-9]*/status'):
        with contextlib.suppress(OSError):
            text = status.read_text()
            if text.startswith('Name:\tmayfly-mqtt\n') and \
                    daemon.tag in (status.parent / 'environ').read_text():
                found[int(status.parent.name)] = dict(
                    line.split(':\t', 1) for line in text.splitlines() if ':\t' in line)
    return found


def test_neither_token_is_told(cell, front, daemon):
    answer = ask(cell, 'GET', '/api/org/acme/echo').expect(201)
    assert vcd_cell_mqtt.ACCESS_TOKEN not in answer.text
    assert vcd_cell_mqtt.ACCESS_TOKEN not in daemon.log()
    assert vcd_cell_mqtt.TOKEN not in daemon.log()


def test_what_is_large_goes_there_and_back(cell, front):
    body = b'x' * 1_500_000
    answer = ask(cell, 'POST', '/api/org/acme/echo', body, {'Content-Type': 'text/plain'})
    assert answer.expect(201).json()['body'] == body.decode()


def malformed():
    """(name, payload, what is in the log)"""
    def envelope(**changes):
        return json.dumps({'type': 'API_REQUEST', 'headers': {'requestId': 'r'},
                           'httpRequest': '', **changes}).encode()

    def inner(value):
        return base64.b64encode(json.dumps(value).encode()).decode()
    yield b'', 'not an object of JSON'
    yield b'\xff' * 100, 'not an object of JSON'
    yield b'[]', 'not an object of JSON'
    yield b'{}', 'type is needed'
    yield envelope(type='BEHAVIOR_INVOCATION'), 'another type than API_REQUEST'
    yield envelope(headers={}), 'requestId is needed'
    yield envelope(headers={'requestId': 'r' * 200}), 'requestId'
    yield envelope(httpRequest='*'), 'not base64'
    yield envelope(httpRequest=inner([1])), 'httpRequest is not an object of JSON'
    yield envelope(httpRequest=base64.b64encode(b'{"apiAccessToken": secret').decode()), \
        'httpRequest is not an object of JSON'
    yield envelope(httpRequest=inner({'message': {}})), 'securityContext is needed'
    yield envelope(httpRequest=inner({'message': {}, 'securityContext': {}})), 'method is needed'


def test_what_is_malformed_harms_nobody(cell, front, daemon):
    for payload, why in malformed():
        before = len(daemon.log_lines('vcd.malformed'))
        cell.send(payload)
        line = wait_for(daemon, 'vcd.malformed', before + 1)[-1]
        assert why in line, (payload, line)
        assert 'secret' not in line
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)


def test_a_message_that_is_too_large_is_passed_over(cell, front, daemon):
    before = len(daemon.log_lines('vcd.malformed'))
    downs = len(daemon.log_lines('vcd.link_down'))
    cell.send_large(b'x' * (17 << 20))
    assert 'more than 16777216 bytes' in wait_for(daemon, 'vcd.malformed', before + 1)[-1]
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)
    assert len(daemon.log_lines('vcd.link_down')) == downs


def test_the_doctor_readyz_and_figures_say_how_the_connection_is(cell, front, daemon):
    assert daemon.client().get('/readyz').expect(200).json()['connections'] == {'mqtt': True}
    finding = daemon.provider().get('/v1/doctor').expect(200).json()['findings'][-1]
    assert finding['name'] == 'connection.mqtt' and finding['available']
    text = daemon.provider().get('/metrics').expect(200).text
    assert 'mayfly_connection_up{to="mqtt"} 1\n' in text
    [answered] = [line for line in text.splitlines()
                  if line.startswith('mayfly_vcd_requests_total{outcome="answered"}')]
    assert int(answered.split()[-1]) > 0


def test_its_processes_are_nobodys(front, daemon):
    found = list(processes_of(daemon).values())
    assert len(found) == 2, found
    uids = {one['Uid'].split('\t')[0] for one in found}
    daemon_uid = str(pathlib.Path(f'/proc/{daemon.process.pid}').stat().st_uid)
    assert len(uids) == 1 and not uids & {'0', daemon_uid}, uids
    assert {one['CapEff'] for one in found} == {'0' * 16}
    assert {one['NoNewPrivs'] for one in found} == {'1'}
    assert sorted(one['Seccomp'] for one in found) == ['0', '2']


def test_a_process_that_is_killed_is_started_again(cell, front, daemon):
    ups = len(daemon.log_lines('vcd.link_up'))
    [child] = [pid for pid, one in processes_of(daemon).items() if one['Seccomp'] == '2']
    os.kill(child, signal.SIGKILL)
    wait_for(daemon, 'vcd.link_up', ups + 1)
    assert 'mayfly-mqtt ended' in daemon.log_lines('vcd.link_down')[-1]
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)


def test_a_wrong_token_is_told_and_not_shown(broker):
    url = f'ws://127.0.0.1:{broker.ws_port}/messaging/mqtt'
    with daemon_at(url, token='not this one') as daemon:
        line = wait_for(daemon, 'vcd.link_down')[0]
        assert 'closed the WebSocket (1002)' in line
        assert daemon.client().get('/readyz').json()['connections'] == {'mqtt': False}
        assert 'not this one' not in daemon.log()
        assert 'without TLS' in daemon.log_lines('vcd.link_clear')[0]


def test_a_certificate_must_be_of_the_name_and_signed(broker, authority):
    with daemon_at(f'wss://localhost:{broker.wss_port}/messaging/mqtt') as daemon:
        assert 'certificate' in wait_for(daemon, 'vcd.link_down')[0]
    with daemon_at(f'wss://127.0.0.1:{broker.wss_port}/messaging/mqtt', authority) as daemon:
        assert 'mismatch' in wait_for(daemon, 'vcd.link_down')[0]


@pytest.mark.parametrize('settings, why', [
    (['vcd_mqtt_url = https://cell.example/'], 'vcd_mqtt_url'),
    (['vcd_mqtt_url = wss://cell.example/messaging/mqtt'], 'vcd_mqtt_token_file'),
    (['vcd_mqtt_url = wss://cell.example/messaging/mqtt', 'vcd_mqtt_token_file = /dev/null',
      'vcd_mqtt_name = acme/mayfly/#'], 'vcd_mqtt_name'),
])
def test_settings_that_are_wrong_end_the_start(settings, why):
    daemon = mayfly.Daemon(config='\n'.join([*settings, '']))
    try:
        with pytest.raises(AssertionError, match='the daemon ended'):
            daemon.start()
        assert daemon.wait() == 2
        assert why in daemon.log_lines('daemon.failed')[0]
    finally:
        daemon.close()


def upgrade(peer):
    """As a server of WebSocket; gives what came behind the request."""
    asked = b''
    while b'\r\n\r\n' not in asked:
        asked += peer.recv(4096)
    key = next(line.split(b': ')[1] for line in asked.split(b'\r\n')
               if line.lower().startswith(b'sec-websocket-key'))
    accept = base64.b64encode(
        hashlib.sha1(key + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest())
    peer.sendall(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n'
                 b'Connection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n'
                 b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')


HOSTILE = {
    'speaks no HTTP': (lambda peer: peer.sendall(b'220 mail.example ESMTP\r\n\r\n'), 'HTTP'),
    'refuses': (lambda peer: peer.sendall(b'HTTP/1.1 403 No\r\n\r\n'), '403'),
    'has a head without end': (lambda peer: peer.sendall(b'HTTP/1.1 101 \r\n' + b'A: b\r\n' * 9999),
                               'the head of'),
    'masks': (lambda peer: (upgrade(peer), peer.sendall(b'\x82\x84\0\0\0\0\x20\x02\0\0')), 'masked'),
    'greets twice': (lambda peer: (upgrade(peer), peer.sendall(b'\x82\x08' + b'\x20\x02\0\0' * 2)),
                     'not expected'),
    'ends': (lambda peer: (upgrade(peer), peer.shutdown(socket.SHUT_RDWR)), 'ended the connection'),
}


@pytest.mark.parametrize('name', HOSTILE)
def test_a_server_that_is_none_is_left_and_tried_again(name):
    behave, why = HOSTILE[name]
    with socket.create_server(('127.0.0.1', 0)) as server:
        def serve():
            with contextlib.suppress(OSError):
                while True:
                    peer, _ = server.accept()
                    with peer, contextlib.suppress(OSError):
                        behave(peer)
                        peer.settimeout(5)
                        while peer.recv(65536):
                            pass
        threading.Thread(target=serve, daemon=True).start()
        with daemon_at(f'ws://127.0.0.1:{server.getsockname()[1]}/messaging/mqtt') as daemon:
            assert why in wait_for(daemon, 'vcd.link_down')[0]
            daemon.client().get('/readyz').expect(200)
            assert len(processes_of(daemon)) == 2


def test_after_a_death_of_the_broker_requests_are_taken_again(broker, cell, front, daemon):
    ups = len(daemon.log_lines('vcd.link_up'))
    broker.kill()
    wait_for(daemon, 'vcd.link_down')
    broker.start()
    wait_for(daemon, 'vcd.link_up', ups + 1)
    with played(broker) as another:
        ask(another, 'GET', '/api/org/acme/echo').expect(201)
