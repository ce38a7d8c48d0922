# SPDX-License-Identifier: Apache-2.0
"""What the HTTP edge accepts, refuses and survives: against http_echo, a server that has the edge
and nothing behind it.

With MAYFLY_EDGE_URL the matrix alone runs, against a path of any server that answers a GET and a
POST of a few bytes with 200: MAYFLY_EDGE_URL=http://127.0.0.1:8080/api/org/o/f pytest -k matrix
"""
import os
import shutil
import signal
import socket
import struct
import subprocess
import urllib.parse

import pytest

from http_edge import PATIENCE_S, Answers, Echo, connect
from http_matrix import CLOSED, MAIN, ROWS

EDGE_URL = os.environ.get('MAYFLY_EDGE_URL')
BODY_BYTES = 6 * 1024 * 1024
GET = b'GET %s HTTP/1.1\r\nHost: a\r\n\r\n'


def make_certificate(folder):
    paths = str(folder / 'cert.pem'), str(folder / 'key.pem')
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                    'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj',
                    '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost',
                    '-out', paths[0], '-keyout', paths[1]], check=True, capture_output=True)
    return paths


@pytest.fixture(scope='module')
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp('tls'))


@pytest.fixture(scope='module')
def echo(certificate):
    with Echo(certificate, body_bytes=8 * 1024 * 1024) as running:
        yield running


@pytest.fixture(scope='module')
def edge(request):
    """Where the matrix is pointed at: how to connect, and the path."""
    if EDGE_URL:
        url = urllib.parse.urlsplit(EDGE_URL)
        is_tls = url.scheme == 'https'
        port = url.port or (443 if is_tls else 80)
        return (lambda tls: connect(url.hostname, port, is_tls)), url.path.encode()
    return request.getfixturevalue('echo').connect, b'/hello'


# ---- the matrix ----

def run_row(sock, row, path):
    """Sends the row with a request behind it; that one closes the connection, so that everything
    that comes back is read, and nothing is waited for that does not come."""
    name, data, expected, end = row
    behind = b'GET PATH HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'
    if end == CLOSED:
        behind = b'GET OTHER HTTP/1.1\r\nHost: a\r\n\r\n'
    data = (data + behind).replace(b'PATH', path).replace(b'OTHER', path + b'/other')
    try:
        sock.sendall(data)
    except ConnectionError:
        pass
    answers = Answers(sock)
    found = [answer.status for answer in answers.read_all()]
    wanted = ['200' if status == 'ok' else status for status in expected]
    if end != CLOSED:
        wanted.append('200')
    assert found == wanted, f'{name}: {found}, not {wanted}'
    assert not answers.reset, f'{name}: the connection was reset before its end was read'


@pytest.mark.parametrize('row', ROWS, ids=[row[0] for row in ROWS])
def test_the_matrix_is_answered_as_written(edge, row):
    opened, path = edge
    with opened(False) as sock:
        run_row(sock, row, path)


@pytest.mark.parametrize('row', [row for row in ROWS if row[0] in MAIN],
                         ids=[row[0] for row in ROWS if row[0] in MAIN])
def test_the_main_rows_are_answered_alike_through_tls(echo, row):
    with echo.connect(is_tls=True) as sock:
        run_row(sock, row, b'/hello')


@pytest.mark.parametrize('row', ROWS, ids=[row[0] for row in ROWS])
def test_the_matrix_is_answered_alike_byte_by_byte(edge, row):
    opened, path = edge
    with opened(False) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        run_row(Dribbler(sock), row, path)


class Dribbler:
    """A socket that sends the first 512 bytes of what it is given one at a time."""

    def __init__(self, sock):
        self.sock = sock

    def sendall(self, data):
        for at in range(min(len(data), 512)):
            self.sock.sendall(data[at:at + 1])
        self.sock.sendall(data[512:])

    def recv(self, size):
        return self.sock.recv(size)


# ---- exchanges ----

def test_a_hundred_pipelined_requests_are_answered_in_order(echo):
    paths = [b'/head?%d' % n for n in range(100)]
    with echo.connect() as sock:
        sock.sendall(b''.join(GET % path for path in paths))
        answers = Answers(sock)
        for path in paths:
            assert b'target=' + path + b'\n' in answers.read().body


def test_pipelined_requests_wait_for_the_one_that_runs(echo):
    with echo.connect() as sock:
        sock.sendall(GET % b'/slow' + GET % b'/head?behind')
        echo.wait_for('waiting', 1)
        echo.ask('/release')
        answers = Answers(sock)
        assert answers.read().body == b'late'
        assert b'target=/head?behind' in answers.read().body


def chunked(body, size):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b''.join(b'%x\r\n%s\r\n' % (len(piece), piece) for piece in pieces) + b'0\r\n\r\n'


@pytest.mark.parametrize('is_tls', [False, True], ids=['clear', 'tls'])
@pytest.mark.parametrize('is_chunked', [False, True], ids=['length', 'chunked'])
def test_six_mebibytes_of_any_bytes_come_back_as_they_were(echo, is_chunked, is_tls):
    body = os.urandom(BODY_BYTES)
    head = b'POST /echo HTTP/1.1\r\nHost: a\r\n'
    if is_chunked:
        data = head + b'Transfer-Encoding: chunked\r\n\r\n' + chunked(body, 100_001)
    else:
        data = head + b'Content-Length: %d\r\n\r\n' % len(body) + body
    with echo.connect(is_tls) as sock:
        sock.sendall(data)
        assert Answers(sock).read().body == body
    echo.wait_for('body_memory', 0)


@pytest.mark.parametrize('is_tls', [False, True], ids=['clear', 'tls'])
def test_a_streamed_answer_comes_whole_in_chunks(echo, is_tls):
    with echo.connect(is_tls) as sock:
        sock.sendall(GET % b'/stream?6291456' + GET % b'/hello')
        answers = Answers(sock)
        streamed = answers.read()
        assert streamed.headers['transfer-encoding'] == 'chunked'
        assert streamed.body == bytes(BODY_BYTES)
        assert answers.read().body == b'Hello, world!'


def test_a_streamed_answer_to_http_1_0_ends_with_the_connection(echo):
    with echo.connect() as sock:
        sock.sendall(b'GET /stream?1000000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n')
        streamed = Answers(sock).read()
        assert 'transfer-encoding' not in streamed.headers
        assert streamed.headers['connection'] == 'close'
        assert streamed.body == bytes(1000000)


def test_an_answer_that_is_cut_has_no_last_chunk(echo):
    with echo.connect() as sock:
        sock.sendall(GET % b'/cut')
        data = b''
        while piece := sock.recv(65536):
            data += piece
    assert data.endswith(b'a\r\nhalf of it\r\n')


def test_head_says_the_length_and_sends_no_body(echo):
    with echo.connect() as sock:
        sock.sendall(b'HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n' + GET % b'/hello')
        answers = Answers(sock)
        assert answers.read(has_body=False).headers['content-length'] == '13'
        assert answers.read().body == b'Hello, world!'


def test_100_continue_comes_before_the_body_is_sent(echo):
    with echo.connect() as sock:
        sock.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n'
                     b'Content-Length: 3\r\n\r\n')
        answers = Answers(sock)
        assert answers.read().status == '100'
        sock.sendall(b'abc')
        assert answers.read().body == b'abc'


@pytest.mark.parametrize('path,status', [(b'/refuse', '403'), (b'/echo', '413')])
def test_a_refusal_comes_instead_of_100_continue(echo, path, status):
    with echo.connect() as sock:
        sock.sendall(b'POST %s HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n'
                     b'Content-Length: 99999999\r\n\r\n' % path)
        assert [answer.status for answer in Answers(sock).read_all()] == [status]


def test_a_refused_upload_is_told_so_although_it_goes_on_sending(echo):
    with echo.connect() as sock:
        sock.sendall(b'POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 4000000\r\n\r\n')
        sock.sendall(bytes(2_000_000))
        answers = Answers(sock)
        assert [answer.body for answer in answers.read_all()] == [b'refused']
        assert not answers.reset


def test_an_absolute_target_replaces_host(echo):
    with echo.connect() as sock:
        sock.sendall(b'GET http://real:81/head?x HTTP/1.1\r\nHost: other\r\n\r\n')
        body = Answers(sock).read().body
    assert b'authority=real:81\n' in body and b'target=/head?x\n' in body


def test_names_of_headers_are_lower_case_and_values_trimmed(echo):
    with echo.connect() as sock:
        sock.sendall(b'GET /head HTTP/1.1\r\nHost: a\r\nX-MiXed:  \t v w \t\r\n\r\n')
        assert b'\nx-mixed: v w\n' in Answers(sock).read().body


# ---- slow clients ----

def test_a_head_that_dribbles_is_cut_at_its_deadline():
    with Echo(header_ms=300) as slow, slow.connect() as sock:
        sock.settimeout(0.05)
        statuses = dribble(sock, b'GET / HTTP/1.1\r\nX: ', b'y')
        assert statuses == ['408']
        assert slow.stats()['slow_cut'] == 1


def dribble(sock, first, more):
    """Sends a byte every 50 ms until an answer comes; gives the statuses."""
    sock.sendall(first)
    data = b''
    for _ in range(PATIENCE_S * 20):
        try:
            data += sock.recv(65536)
            break
        except TimeoutError:
            sock.sendall(more)
    sock.settimeout(PATIENCE_S)
    answers = Answers(sock)
    answers.held = data
    return [answer.status for answer in answers.read_all()]


def test_a_body_that_dribbles_is_cut_below_the_rate():
    with Echo(body_rate_bytes_s=1000, body_window_ms=300) as slow, slow.connect() as sock:
        sock.settimeout(0.05)
        statuses = dribble(
            sock, b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n', b'y')
        assert statuses == ['408']
        assert slow.stats()['slow_cut'] == 1


def test_a_body_above_the_rate_may_take_many_windows():
    with Echo(body_rate_bytes_s=100, body_window_ms=100) as slow, slow.connect() as sock:
        sock.settimeout(0.02)
        sock.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n')
        for _ in range(19):
            sock.sendall(bytes(50))
            with pytest.raises(TimeoutError):
                sock.recv(1)
        sock.sendall(bytes(50))
        sock.settimeout(PATIENCE_S)
        assert Answers(sock).read().body == bytes(1000)


@pytest.mark.parametrize('path', [b'/large?60000000', b'/stream?60000000'])
def test_a_client_that_does_not_take_its_answer_is_cut(path):
    with Echo(write_ms=300) as slow, slow.connect() as sock:
        sock.sendall(GET % path)
        slow.wait_for('slow_cut', 1)
        slow.wait_for('open', 1)


def test_a_silent_connection_is_closed():
    with Echo(header_ms=200, idle_ms=200) as slow:
        with slow.connect() as silent:
            assert silent.recv(1) == b''
        with slow.connect() as idle:
            idle.sendall(GET % b'/hello')
            assert [answer.body for answer in Answers(idle).read_all()] == [b'Hello, world!']


def test_a_tls_handshake_has_a_deadline(certificate):
    with Echo(certificate, header_ms=200) as slow:
        with socket.create_connection(('127.0.0.1', slow.tls_port), PATIENCE_S) as sock:
            sock.sendall(b'\x16\x03\x01')
            assert sock.recv(1) == b''


# ---- TLS ----

def test_tls_1_1_is_refused_and_1_2_and_1_3_are_spoken(echo):
    for version, is_spoken in [('1.1', False), ('1.2', True), ('1.3', True)]:
        done = curl(f'--tlsv{version}', '--tls-max', version, '--ciphers', 'DEFAULT@SECLEVEL=0',
                    f'https://127.0.0.1:{echo.tls_port}/hello')
        assert (done.returncode == 0) == is_spoken, f'TLS {version}: {done.stderr}'


@pytest.mark.parametrize('offered,chosen', [
    (('h2', 'http/1.1'), 'h2'), (('http/1.1', 'h2'), 'h2'), (('http/1.1',), 'http/1.1'),
    (('spdy/3',), None)])
def test_alpn_prefers_http_2(echo, offered, chosen):
    with echo.connect(is_tls=True, alpn=offered) as sock:
        assert sock.selected_alpn_protocol() == chosen


def test_a_reload_serves_the_new_certificate_and_keeps_the_old_when_it_is_broken(tmp_path):
    paths = make_certificate(tmp_path)

    def served():
        with running.connect(is_tls=True) as sock:
            return sock.getpeercert(binary_form=True)

    def reload():
        running.process.send_signal(signal.SIGHUP)
        return running.process.stdout.readline()

    with Echo(paths) as running, running.connect(is_tls=True) as open_before:
        first = served()
        make_certificate(tmp_path)
        assert reload() == 'reloaded\n'
        second = served()
        assert second != first
        with open(paths[0], 'w', encoding='ascii') as file:
            file.write('no certificate')
        assert reload().startswith('not reloaded: reading the certificate ')
        assert served() == second
        open_before.sendall(GET % b'/hello')
        assert Answers(open_before).read().body == b'Hello, world!'


# ---- limits ----

def test_bodies_together_have_a_limit():
    with Echo(body_bytes=1 << 20, body_memory_bytes=100_000) as small, small.connect() as sock:
        sock.sendall(b'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n')
        sock.sendall(bytes(200_000))
        assert [answer.status for answer in Answers(sock).read_all()] == ['503']
        small.wait_for('body_memory', 0)


def test_a_connection_too_many_is_told_so():
    with Echo(n_connections=2) as small:
        held = [small.connect() for _ in range(2)]
        for sock in held:
            sock.sendall(GET % b'/hello')
            assert Answers(sock).read().status == '200'
        with small.connect() as one_more:
            assert [answer.status for answer in Answers(one_more).read_all()] == ['503']
        for sock in held:
            sock.close()


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def test_bytes_behind_a_running_request_are_taken_up_to_a_limit():
    with Echo(read_ahead_bytes=4096) as small, small.connect() as sock:
        sock.sendall(GET % b'/slow')
        small.wait_for('waiting', 1)
        before = small.stats()['bytes_in']
        sock.setblocking(False)
        try:
            while True:
                sock.send(bytes(65536))
        except BlockingIOError:
            pass
        assert small.stats()['bytes_in'] - before < 200_000
        reset(sock)
        small.wait_for('aborted', 1)


# ---- ends ----

@pytest.mark.parametrize('is_tls', [False, True], ids=['clear', 'tls'])
def test_a_client_that_goes_away_aborts_its_call(certificate, is_tls):
    with Echo(certificate) as running:
        sock = running.connect(is_tls)
        sock.sendall(GET % b'/slow')
        running.wait_for('waiting', 1)
        sock.close()
        running.wait_for('aborted', 1)
        assert running.stats()['waiting'] == 0


def test_a_client_that_resets_aborts_its_call():
    with Echo() as running:
        sock = running.connect()
        sock.sendall(GET % b'/slow')
        running.wait_for('waiting', 1)
        reset(sock)
        running.wait_for('aborted', 1)


def test_a_graceful_stop_lets_the_exchange_in_flight_end():
    with Echo() as running:
        idle, busy = running.connect(), running.connect()
        idle.sendall(GET % b'/hello')
        assert Answers(idle).read().status == '200'
        busy.sendall(GET % b'/slow')
        running.wait_for('waiting', 1)
        running.stop()
        assert idle.recv(1) == b''
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        running.process.send_signal(signal.SIGUSR1)
        answers = Answers(busy).read_all()
        assert [answer.body for answer in answers] == [b'late']
        assert answers[0].headers['connection'] == 'close'
        idle.close()
        busy.close()
        assert running.process.wait(PATIENCE_S) == 0


def test_a_graceful_stop_cuts_what_is_left_after_its_grace():
    with Echo(grace_ms=100) as running, running.connect() as sock:
        sock.sendall(GET % b'/slow')
        running.wait_for('waiting', 1)
        running.stop()
        assert Answers(sock).read_all() == []
        assert running.process.wait(PATIENCE_S) == 0


# ---- HTTP/2 ----

def curl(*arguments):
    done = subprocess.run(['curl', '-sS', '-k', '-m', str(PATIENCE_S), *arguments],
                          capture_output=True)
    return done


def h2(echo, is_tls):
    if is_tls:
        return ['--http2', f'https://127.0.0.1:{echo.tls_port}']
    return ['--http2-prior-knowledge', f'http://127.0.0.1:{echo.port}']


@pytest.mark.parametrize('is_tls', [False, True], ids=['clear', 'tls'])
def test_http_2_carries_a_request_and_its_answer(echo, is_tls):
    *options, url = h2(echo, is_tls)
    done = curl(*options, url + '/head?x=1', '-H', 'X-Mixed: v', '-w', '%{http_version}')
    assert done.returncode == 0 and done.stdout.endswith(b'2')
    assert b'version=HTTP/2\n' in done.stdout and b'target=/head?x=1\n' in done.stdout
    assert b'\nx-mixed: v\n' in done.stdout
    assert b'scheme=%s\n' % (b'https' if is_tls else b'http') in done.stdout


@pytest.mark.parametrize('is_tls', [False, True], ids=['clear', 'tls'])
def test_http_2_carries_six_mebibytes_both_ways(echo, tmp_path, is_tls):
    *options, url = h2(echo, is_tls)
    body = tmp_path / 'body'
    body.write_bytes(os.urandom(BODY_BYTES))
    done = curl(*options, url + '/echo', '--data-binary', f'@{body}')
    assert done.returncode == 0 and done.stdout == body.read_bytes()
    echo.wait_for('body_memory', 0)


def test_http_2_streams_an_answer(echo):
    *options, url = h2(echo, False)
    assert curl(*options, url + '/stream?6291456').stdout == bytes(BODY_BYTES)


def test_http_2_tells_that_an_answer_was_cut(echo):
    *options, url = h2(echo, False)
    assert curl(*options, url + '/cut').returncode == 92


def test_http_2_refuses_a_body_that_is_too_large(echo, tmp_path):
    *options, url = h2(echo, False)
    body = tmp_path / 'body'
    body.write_bytes(bytes(9 * 1024 * 1024))
    done = curl(*options, url + '/echo', '--data-binary', f'@{body}', '-w', '%{http_code}')
    assert done.stdout.endswith(b'413')


def test_http_2_aborts_a_call_whose_client_goes_away():
    with Echo() as running:
        *options, url = h2(running, False)
        client = subprocess.Popen(['curl', '-s', *options, url + '/slow'])
        running.wait_for('waiting', 1)
        client.kill()
        client.wait()
        running.wait_for('aborted', 1)


def test_http_2_lets_the_exchange_in_flight_end_at_a_graceful_stop():
    with Echo() as running:
        *options, url = h2(running, False)
        client = subprocess.Popen(['curl', '-s', *options, url + '/slow'], stdout=subprocess.PIPE)
        running.wait_for('waiting', 1)
        running.stop()
        running.process.send_signal(signal.SIGUSR1)
        assert client.communicate(timeout=PATIENCE_S)[0] == b'late'
        assert running.process.wait(PATIENCE_S) == 0


@pytest.mark.skipif(not shutil.which('nghttp'), reason='nghttp is not installed')
def test_http_2_answers_many_streams_of_one_connection(echo):
    urls = [f'http://127.0.0.1:{echo.port}/head?{n}' for n in range(100)]
    done = subprocess.run(['nghttp', '-t', str(PATIENCE_S), *urls], capture_output=True)
    assert done.returncode == 0
    assert sorted(line for line in done.stdout.splitlines() if line.startswith(b'target=')) == \
        sorted(b'target=/head?%d' % n for n in range(100))
