# SPDX-License-Identifier: Apache-2.0
"""http_edge - an echo server on the HTTP edge, and a client that sends bytes as they are.

Echo starts tests/scenario/http_echo, of $MAYFLY_HTTP_ECHO or of the build whose programs are
tested. Answers reads what comes back on a socket, message by message, whatever was sent.
"""
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time

HOUSE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('MAYFLY_BIN', HOUSE / 'build' / 'bin')).resolve()
ECHO = os.environ.get('MAYFLY_HTTP_ECHO', str(BIN.parent / 'tests' / 'scenario' / 'http_echo'))
PATIENCE_S = 20


class Echo:
    """A running http_echo; limits by name, as in struct http_limits."""

    def __init__(self, certificate=None, grace_ms=5000, **limits):
        command = [ECHO, '--grace-ms', str(grace_ms)]
        if certificate:
            command += ['--listen-tls', '127.0.0.1:0', '--cert', certificate[0],
                        '--key', certificate[1]]
        for name, value in limits.items():
            command += ['--limit', f'{name}={value}']
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = self._port()
        self.tls_port = self._port() if certificate else None

    def _port(self):
        line = self.process.stdout.readline()
        assert line.startswith('listening '), f'http_echo said {line!r}'
        return int(line.split()[1])

    def __enter__(self):
        return self

    def __exit__(self, failure, *_):
        """It must end well: a sanitizer has its say then."""
        self.process.terminate()
        try:
            code = self.process.wait(PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        assert failure or code == 0, f'http_echo ended with {code}'

    def connect(self, is_tls=False, alpn=('http/1.1',)):
        port = self.tls_port if is_tls else self.port
        return connect('127.0.0.1', port, is_tls, alpn)

    def ask(self, path):
        """A GET on a connection of its own; gives the body."""
        with self.connect() as sock:
            sock.sendall(b'GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' % path.encode())
            return Answers(sock).read().body

    def stats(self):
        return json.loads(self.ask('/stats'))

    def wait_for(self, name, value):
        """Until a counter has a value; the number of asking is bounded, not the result's time."""
        deadline = time.monotonic() + PATIENCE_S
        while self.stats()[name] != value:
            assert time.monotonic() < deadline, f'{name} never became {value}: {self.stats()}'
            time.sleep(0.01)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.stdout.readline() == 'stopping\n'


def connect(host, port, is_tls=False, alpn=('http/1.1',)):
    sock = socket.create_connection((host, port), PATIENCE_S)
    if not is_tls:
        return sock
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname='localhost')


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body


class Answers:
    """The messages on a socket, in order; read() gives None at a clean end of the connection.
    reset is True when the connection ended otherwise."""

    def __init__(self, sock):
        self.sock = sock
        self.held = b''
        self.reset = False

    def _more(self):
        try:
            data = self.sock.recv(65536)
        except (ConnectionResetError, BrokenPipeError, ssl.SSLError):
            self.reset = True
            data = b''
        self.held += data
        return bool(data)

    def _until(self, mark):
        while mark not in self.held:
            if not self._more():
                return None
        text, self.held = self.held.split(mark, 1)
        return text

    def _exactly(self, size):
        while len(self.held) < size:
            assert self._more(), f'the answer ends {size - len(self.held)} bytes early'
        data, self.held = self.held[:size], self.held[size:]
        return data

    def _chunks(self):
        body = b''
        while True:
            size = int(self._until(b'\r\n'), 16)
            body += self._exactly(size)
            assert self._exactly(2) == b'\r\n'
            if size == 0:
                return body

    def read(self, has_body=True):
        head = self._until(b'\r\n\r\n')
        if head is None:
            assert self.held == b'', f'half an answer: {self.held[:200]!r}'
            return None
        lines = head.decode('latin-1').split('\r\n')
        headers = dict(text.split(': ', 1) for text in lines[1:])
        status = lines[0].split(' ')[1]
        body = b''
        if not has_body or status.startswith('1') or status in ('204', '304'):
            pass
        elif headers.get('transfer-encoding') == 'chunked':
            body = self._chunks()
        elif 'content-length' in headers:
            body = self._exactly(int(headers['content-length']))
        else:
            while self._more():
                pass
            body, self.held = self.held, b''
        return Answer(status, headers, body)

    def read_all(self):
        found = []
        while (answer := self.read()) is not None:
            found.append(answer)
        return found
