# SPDX-License-Identifier: Apache-2.0
"""What a function with a network reaches, by name and by address, and what it costs."""
import hashlib
import json
import socket
import threading
import time

import pytest

import mayfly
import outside
from outside import HOST, egress

FETCH = '''
exports.handler = async (event) => {
  try {
    const answer = await fetch(event.url, event.options);
    return {ok: true, status: answer.status, body: await answer.text()};
  } catch (error) {
    return {ok: false, error: error.cause ? error.cause.code || String(error.cause) : String(error)};
  }
};
'''
URLLIB = '''
import urllib.error, urllib.request

def handler(event, context):
    try:
        with urllib.request.urlopen(event['url'], timeout=10) as answer:
            return {'ok': True, 'status': answer.status, 'body': answer.read().decode()}
    except urllib.error.URLError as error:
        return {'ok': False, 'error': type(error.reason).__name__ + ' ' + str(error.reason)}
    except OSError as error:
        return {'ok': False, 'error': type(error).__name__}
'''
# Runs the body of a function: event['code'] with everything of socket at hand.
PYTHON = '''
import errno, hashlib, os, socket, struct, threading, time, urllib.request
kept = {}

def handler(event, context):
    scope = {**globals(), 'event': event, 'out': None}
    try:
        exec(event['code'], scope)
        return scope['out']
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)
'''


@pytest.fixture(scope='module')
def resolver():
    resolver = outside.Resolver()
    yield resolver
    resolver.close()


@pytest.fixture(scope='module')
def place(resolver):
    """An org on a daemon whose provider lists HOST."""
    with outside.daemon_with(resolver, 'egress_connections = 16', 'egress_idle_time = 2s') as daemon:
        yield daemon.new_org()


@pytest.fixture
def web():
    with outside.Web() as web:
        yield web
        web.shutdown()


@pytest.fixture
def listener():
    opened = []

    def start(on_connection):
        opened.append(outside.Listener(on_connection))
        return opened[-1]
    yield start
    for server in opened:
        server.shutdown()
        server.server_close()


def run(org, name, code, **event):
    """(what `code` left in `out`, the call record)."""
    answer = org.call(name, {'code': code, **event}).expect(200)
    return answer.json(), org.record(answer.call_id)


@pytest.mark.parametrize('runtime, source', [('node', FETCH), ('python', URLLIB)])
def test_a_listed_address_is_reached_and_another_port_is_not(place, web, runtime, source):
    place.deploy('get', source, runtime=runtime, network=egress(f'{HOST}:{web.port}'))
    answer = place.call('get', {'url': f'http://{HOST}:{web.port}/a'}).expect(200).json()
    assert answer == {'ok': True, 'status': 200, 'body': 'hello /a'}
    answer = place.call('get', {'url': f'http://{HOST}:{web.port + 1}/'}).expect(200).json()
    assert not answer['ok'] and 'refused' in answer['error'].lower()


@pytest.mark.parametrize('runtime, source', [('node', FETCH), ('python', URLLIB)])
def test_a_listed_name_is_resolved_and_another_is_not(place, resolver, web, runtime, source):
    resolver.zone.update({'api.test': [HOST], 'www.deep.wild.test': [HOST], 'no.test': [HOST]})
    place.deploy('get', source, runtime=runtime,
                 network=egress(f'api.test:{web.port}', f'*.wild.test:{web.port}'))
    for name in 'api.test', 'API.Test', 'www.deep.wild.test':
        answer = place.call('get', {'url': f'http://{name}:{web.port}/x'}).expect(200).json()
        assert answer == {'ok': True, 'status': 200, 'body': 'hello /x'}, name
    resolver.asked.clear()
    for name in 'no.test', 'wild.test', 'xapi.test':
        call = place.call('get', {'url': f'http://{name}:{web.port}/x'}).expect(200)
        assert not call.json()['ok'], name
        assert f'{name} is not resolved' in place.logs_of(call.call_id)
    assert resolver.asked == []     # the question itself does not leave either


def test_a_name_opens_its_addresses_for_its_ports_only(place, resolver, web):
    resolver.zone['one.test'] = [HOST]
    with outside.Web() as second:
        place.deploy('raw', PYTHON, runtime='python',
                     network=egress(f'one.test:{web.port}', f'10.0.0.0/8:{second.port}'))
        code = '''
out = []
for first in (False, True):
    if first:
        socket.getaddrinfo('one.test', 80)
    for port in event['ports']:
        with socket.socket() as s:
            s.settimeout(5)
            try:
                s.connect((event['host'], port))
                s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
                out.append(bool(s.recv(1)))
            except OSError as error:
                out.append(errno.errorcode[error.errno])
'''
        out, record = run(place, 'raw', code, host=HOST, ports=[web.port, second.port])
        # Before it was resolved nothing is open; then one port is.
        assert out == ['ECONNRESET', 'ECONNRESET', True, 'ECONNRESET'], record['log']
        second.shutdown()


def test_without_a_network_there_is_nothing(place, web):
    place.deploy('none', PYTHON, runtime='python')
    code = '''
out = []
for family, host in ((socket.AF_INET, event['host']), (socket.AF_INET, '8.8.8.8'),
                     (socket.AF_INET6, '2606:4700::1111')):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(family, kind) as s:
            try:
                s.connect((host, event['port']))
                s.send(b'x')
                time.sleep(0.05)
                s.send(b'x')
                out.append('sent')
            except OSError as error:
                out.append(errno.errorcode[error.errno])
try:
    socket.getaddrinfo('api.test', 80)
    out.append('resolved')
except socket.gaierror:
    out.append('gaierror')
'''
    out, record = run(place, 'none', code, host=HOST, port=web.port)
    # 127/8 is its own loopback, where nobody listens.
    assert out[:2] == ['ECONNREFUSED', 'ECONNREFUSED'], out
    assert out[2:] == ['ENETUNREACH'] * 4 + ['gaierror'], out
    assert record['egress_bytes_in'] == record['egress_bytes_out'] == 0
    assert web.seen == []


def test_bytes_are_counted_to_the_call_that_moved_them(place, listener):
    def talk(connection):
        size = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), 'big')
        left = int.from_bytes(connection.recv(4, socket.MSG_WAITALL), 'big')
        while left:
            left -= len(connection.recv(min(left, 65536)))
        connection.sendall(b'x' * size)
    server = listener(talk)
    place.deploy('move', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'))
    code = '''
s = socket.create_connection((event['host'], event['port']))
s.sendall(event['down'].to_bytes(4, 'big') + event['up'].to_bytes(4, 'big') + b'y' * event['up'])
out = 0
while True:
    piece = s.recv(65536)
    if not piece:
        break
    out += len(piece)
'''
    total = {'in': 0, 'out': 0}
    for up, down in ((0, 0), (1, 1000), (300000, 7), (5, 2000000)):
        out, record = run(place, 'move', code, host=HOST, port=server.port, up=up, down=down)
        assert out == down
        assert (record['egress_bytes_out'], record['egress_bytes_in']) == (up + 8, down)
        total['in'] += down
        total['out'] += up + 8
    out, record = run(place, 'move', 'out = 1')
    assert (record['egress_bytes_out'], record['egress_bytes_in']) == (0, 0)
    metrics = place.daemon.metrics()
    for direction, n in total.items():
        name = (f'mayfly_egress_bytes_total{{org="{place.name}",function="move",'
                f'direction="{direction}"}}')
        assert metrics[name] == n


def test_large_bodies_pass_both_ways_at_once(place, listener):
    """16 MiB each way, whoever is slower: a side that does not read holds the other."""
    def echo(connection):
        while piece := connection.recv(65536):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
    server = listener(echo)
    place.deploy('echo', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'))
    code = '''
s = socket.create_connection((event['host'], event['port']))
piece = os.urandom(1 << 16)
sent, got = hashlib.sha256(), hashlib.sha256()
def send():
    for _ in range(256):
        s.sendall(piece)
        sent.update(piece)
    s.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send)
thread.start()
n = 0
while True:
    read = s.recv(65536)
    if not read:
        break
    got.update(read)
    n += len(read)
thread.join()
out = [n, sent.hexdigest() == got.hexdigest()]
'''
    out, record = run(place, 'echo', code, host=HOST, port=server.port)
    assert out == [16 << 20, True]
    assert record['egress_bytes_in'] == record['egress_bytes_out'] == 16 << 20


def test_fetch_sends_and_takes_megabytes(place, web):
    place.deploy('big', '''
const {createHash} = require('crypto');
exports.handler = async (event) => {
  const body = Buffer.alloc(5000000, 'mayfly');
  const digest = await (await fetch(event.url + '/up', {method: 'POST', body})).text();
  const got = await (await fetch(event.url + '/bytes/' + (8 << 20))).arrayBuffer();
  return {ok: digest === createHash('sha256').update(body).digest('hex'), n: got.byteLength};
};
''', network=egress(f'{HOST}:{web.port}'))
    for _ in range(3):
        answer = place.call('big', {'url': f'http://{HOST}:{web.port}'}).expect(200).json()
        assert answer == {'ok': True, 'n': 8 << 20}


def test_one_direction_may_end_before_the_other(place, listener):
    def answer_at_the_end(connection):
        question = b''
        while piece := connection.recv(100):
            question += piece
        connection.sendall(b'got ' + question)
    server = listener(answer_at_the_end)
    place.deploy('half', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'))
    code = '''
s = socket.create_connection((event['host'], event['port']))
s.sendall(b'question')
s.shutdown(socket.SHUT_WR)
out = b''
while True:
    piece = s.recv(100)
    if not piece:
        break
    out += piece
out = out.decode()
'''
    assert run(place, 'half', code, host=HOST, port=server.port)[0] == 'got question'


def test_a_server_that_resets_is_a_reset(place, listener):
    def reset(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        connection.close()
    server = listener(reset)
    place.deploy('reset', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'))
    code = '''
s = socket.create_connection((event['host'], event['port']))
s.sendall(b'x')
s.recv(1)
out = 'read'
'''
    assert run(place, 'reset', code, host=HOST, port=server.port)[0] == 'ECONNRESET'


def test_more_connections_than_allowed_wait_for_their_turn(place, listener):
    """16 at one time; 60 threads each get their answer."""
    lock, now, most = threading.Lock(), [0], [0]

    def slowly(connection):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        connection.recv(1)
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        connection.sendall(b'y')
    server = listener(slowly)
    place.deploy('many', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'),
                 limits={'processes': 128})
    code = '''
got = []
def one():
    with socket.create_connection((event['host'], event['port']), timeout=30) as s:
        s.sendall(b'x')
        got.append(s.recv(1) == b'y')
threads = [threading.Thread(target=one) for _ in range(60)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for _ in range(100):
    one()
out = [len(got), all(got)]
'''
    assert run(place, 'many', code, host=HOST, port=server.port)[0] == [160, True]
    assert 1 < most[0] <= 16


def test_a_connection_without_a_byte_ends(place, listener):
    ended = threading.Event()

    def wait(connection):
        try:
            connection.recv(1)
        except ConnectionResetError:
            pass
        ended.set()
    server = listener(wait)
    place.deploy('idle', PYTHON, runtime='python', network=egress(f'{HOST}:{server.port}'))
    code = '''
s = socket.create_connection((event['host'], event['port']))
s.recv(1)
'''
    assert run(place, 'idle', code, host=HOST, port=server.port)[0] == 'ECONNRESET'
    assert ended.wait(10)


@pytest.mark.parametrize('isolation', ['call', 'instance'])
def test_a_connection_ends_with_its_call_unless_calls_share(place, listener, isolation):
    ended, heard = threading.Event(), []

    def hold(connection):
        connection.settimeout(1)
        try:
            while piece := connection.recv(100):
                heard.append(piece)
                connection.sendall(piece)
        except OSError:
            pass
        ended.set()
    server = listener(hold)
    place.deploy(f'keep-{isolation}', PYTHON, runtime='python', isolation=isolation,
                 max_instances=1, network=egress(f'{HOST}:{server.port}'))
    first = '''
kept['s'] = socket.create_connection((event['host'], event['port']))
kept['s'].sendall(b'first')
out = kept['s'].recv(5).decode()
'''
    second = '''
kept['s'].sendall(b'second')
out = kept['s'].recv(6).decode()
''' if isolation == 'instance' else "out = 's' in kept"
    name = f'keep-{isolation}'
    assert run(place, name, first, host=HOST, port=server.port)[0] == 'first'
    if isolation == 'call':
        assert ended.wait(10)
    out, record = run(place, name, second)
    assert out == ('second' if isolation == 'instance' else False)
    assert heard == ([b'first', b'second'] if isolation == 'instance' else [b'first'])
    expected = 6 if isolation == 'instance' else 0
    assert record['egress_bytes_out'] == record['egress_bytes_in'] == expected


def test_what_was_resolved_in_a_call_is_not_open_in_the_next(place, resolver, web):
    resolver.zone['fresh.test'] = [HOST]
    place.deploy('fresh', PYTHON, runtime='python', max_instances=1,
                 network=egress(f'fresh.test:{web.port}'))
    code = '''
if event['resolve']:
    socket.getaddrinfo('fresh.test', 80)
s = socket.create_connection((event['host'], event['port']))
s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
out = s.recv(4).decode()
'''
    for resolve, expected in ((True, 'HTTP'), (False, 'ECONNRESET'), (True, 'HTTP')):
        out, record = run(place, 'fresh', code, host=HOST, port=web.port, resolve=resolve)
        assert out == expected, record['log']


def test_a_function_may_fetch_while_it_loads(place, resolver, web):
    resolver.zone['boot.test'] = [HOST]
    place.deploy('boot', f'''
import urllib.request
LOADED = urllib.request.urlopen('http://boot.test:{web.port}/boot').read().decode()
def handler(event, context):
    return LOADED
''', runtime='python', network=egress(f'boot.test:{web.port}'))
    assert place.call('boot', {}).expect(200).json() == 'hello /boot'


@pytest.mark.parametrize('isolation', ['call', 'instance'])
def test_the_certificates_of_the_host_are_found(place, isolation):
    place.deploy('tls', PYTHON, runtime='python', isolation=isolation, network=egress('a.test'))
    code = "import ssl; out = ssl.create_default_context().cert_store_stats()['x509_ca']"
    assert run(place, 'tls', code)[0] > 10


def test_what_was_fetched_while_it_loaded_is_there_in_every_call(place, web):
    """The client keeps its connection, which ends when the function has loaded."""
    place.deploy('top', f'''
const boot = await (await fetch('http://{HOST}:{web.port}/boot')).text();
export const handler = async () => boot + ' ' +
  await (await fetch('http://{HOST}:{web.port}/call')).text();
''', filename='index.mjs', network=egress(f'{HOST}:{web.port}'))
    figures = set()
    for _ in range(4):
        call = place.call('top', {}).expect(200)
        assert call.json() == 'hello /boot hello /call'
        record = place.record(call.call_id)
        figures.add((record['egress_bytes_in'], record['egress_bytes_out']))
    assert len(figures) == 1    # each call has its own bytes and no more
    assert web.seen.count('/call') == 4


def test_every_address_answers_dns_and_other_datagrams_do_not_leave(place, resolver):
    resolver.zone['dns.test'] = [HOST, '2001:db8::1']
    heard = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    heard.bind((HOST, 0))
    heard.settimeout(0.5)
    place.deploy('udp', PYTHON, runtime='python', network=egress('dns.test', f'{HOST}:{1234}'))
    code = '''
question = (b'\\0\\7\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\3dns\\4test\\0\\0\\1\\0\\1')
out = []
for family, host in ((socket.AF_INET, '8.8.8.8'), (socket.AF_INET, '127.0.0.1'),
                     (socket.AF_INET6, '2001:4860:4860::8888'), (socket.AF_INET6, '::1')):
    with socket.socket(family, socket.SOCK_DGRAM) as s:
        s.settimeout(5)
        s.connect((host, 53))       # a connected socket takes answers from there only
        s.send(question)
        out.append(list(s.recv(512)[-4:]))
with socket.create_connection(('8.8.4.4', 53), timeout=5) as s:
    for _ in range(2):
        s.sendall(len(question).to_bytes(2, 'big') + question)
        size = int.from_bytes(s.recv(2, socket.MSG_WAITALL), 'big')
        out.append(list(s.recv(size, socket.MSG_WAITALL)[-4:]))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.sendto(b'out', (event['host'], event['port']))
'''
    out, _ = run(place, 'udp', code, host=HOST, port=heard.getsockname()[1])
    assert out == [[127, 0, 1, 1]] * 6
    with pytest.raises(socket.timeout):
        heard.recv(10)
    heard.close()


def test_many_names_and_questions_at_once_are_answered(place, resolver):
    for i in range(200):
        resolver.zone[f'n{i}.many.test'] = [HOST]
    place.deploy('names', PYTHON, runtime='python', network=egress('*.many.test'),
                 limits={'processes': 128})
    code = '''
got = []
def one(i):
    got.append(socket.getaddrinfo(f'n{i}.many.test', 80, socket.AF_INET)[0][4][0])
for start in range(0, 200, 10):
    threads = [threading.Thread(target=one, args=(start + i,)) for i in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
out = [len(got), sorted(set(got))]
'''
    assert run(place, 'names', code)[0] == [200, [HOST]]


def test_what_cannot_be_connected_says_why_in_the_log(place):
    with socket.socket() as nobody:
        nobody.bind((HOST, 0))
        port = nobody.getsockname()[1]
        place.deploy('dead', PYTHON, runtime='python', network=egress(f'{HOST}:{port}'))
        code = '''
s = socket.create_connection((event['host'], event['port']))
s.recv(1)
'''
        out, record = run(place, 'dead', code, host=HOST, port=port)
        assert out == 'ECONNRESET'
        assert any(f'connecting to {HOST} port {port}: Connection refused' in line['m']
                   for line in record['log']), record['log']


@pytest.mark.parametrize('network, field, words', [
    ({'mode': 'all'}, 'network.mode', 'must be "none" or "egress"'),
    ({'mode': 'egress'}, 'network.allow', 'must list'),
    (egress('a.test', 'b.test', 'c.test', 'http://d.test'), 'network.allow[3]', ''),
    (egress('a.test:53'), 'network.allow[0]', 'port 53'),
    (egress('2130706433'), 'network.allow[0]', 'a number and no name'),
    (egress('10.0.0.1/8'), 'network.allow[0]', 'behind its prefix'),
    (egress(*[f'h{i}.test:443' for i in range(65)]), 'network.allow', 'more than 64'),
    (egress(*[f'h.test:{i}' for i in range(100, 117)]), 'network.allow', 'more than 16'),
])
def test_a_network_that_cannot_be_is_refused_with_its_place(org, network, field, words):
    answer = org.put('bad', 'exports.handler = () => 1', network=network).expect(400).json()
    assert answer['code'] == 'invalid_argument' and answer['field'] == field
    assert words in answer['message']


def test_the_network_is_shown_in_the_form_that_it_has(org):
    source = 'exports.handler = () => 1'
    shown = org.deploy('shown', source, network=egress('API.test.', '10.1.0.0/16:5432'))
    assert shown['network'] == egress('api.test', '10.1.0.0/16:5432')
    assert org.deploy('shown', source + ';', network={'mode': 'none'})['network'] == {
        'mode': 'none'}


def test_the_command_line_deploys_and_shows_a_network(place, resolver, web, tmp_path):
    resolver.zone['cli.test'] = [HOST]
    env = {'MAYFLY_URL': f'http://{place.daemon.address}', 'MAYFLY_ORG': place.name,
           'MAYFLY_TOKEN': place.client.token, 'HOME': str(tmp_path)}

    def shell(*args, expect=0):
        done = mayfly.run('mayfly', *args, env=env, cwd=tmp_path)
        assert done.returncode == expect, done
        return done.stdout + done.stderr
    (tmp_path / 'get.js').write_text(FETCH)
    shell('deploy', '--network', 'egress', '--allow', f'cli.test:{web.port}', '--allow',
          '*.cli.test', 'get.js')
    assert f'cli.test:{web.port}' in shell('show', 'get')
    called = shell('call', '--json', 'get', '-d',
                   json.dumps({'url': f'http://cli.test:{web.port}/cli'}))
    call_id = json.loads(called)['call']['id'] if 'call' in json.loads(called) else \
        place.client.get(f'{place.path}/calls').expect(200).json()['calls'][0]['id']
    place.record(call_id)
    assert 'network in' in shell('calls', 'show', call_id)
    shell('deploy', '--network', 'none', 'get.js')
    assert place.settle('get')['network'] == {'mode': 'none'}
    assert 'allow[0]' in shell('deploy', '--allow', 'a:b', 'get.js', expect=2)


def test_the_doctor_knows_the_way_out(provider):
    findings = provider.get('/v1/doctor').expect(200).json()['findings']
    found = [finding for finding in findings if finding['name'] == 'network.egress']
    assert len(found) == 1 and found[0]['available'] and 'local routes' in found[0]['why']
