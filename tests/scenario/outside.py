# SPDX-License-Identifier: Apache-2.0
"""outside - what a function finds beyond its sandbox in a test: servers, and a resolver that lies.

Everything is on this machine's loopback, on addresses of which a provider lists one (HOST), so that
the others stand for all that must not be reached.
"""
import hashlib
import http.server
import os
import pathlib
import socket
import socketserver
import struct
import tempfile
import threading

import mayfly

HOST = '127.0.1.1'        # what egress_private lists
OTHER = '127.0.2.2'       # a neighbour that it does not list
A, AAAA, CNAME = 1, 28, 5


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {'content-length': len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.server.seen.append(self.path)
        if self.path.startswith('/to?'):
            self.answer(302, b'', location=self.path[4:])
        elif self.path.startswith('/bytes/'):
            self.answer(200, os.urandom(1 << 16) * (int(self.path[7:]) >> 16))
        else:
            self.answer(200, b'hello ' + self.path.encode())

    def do_POST(self):
        self.server.seen.append(self.path)
        digest, left = hashlib.sha256(), int(self.headers['content-length'])
        while left:
            piece = self.rfile.read(min(left, 1 << 16))
            digest.update(piece)
            left -= len(piece)
        self.answer(200, digest.hexdigest().encode())

    def log_message(self, *_):
        pass


class Web(http.server.ThreadingHTTPServer):
    """Answers GET with its path, /bytes/N with N bytes, /to?URL with a redirect; POST with the
    digest of its body. `seen` has every path."""
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address=HOST, port=0):
        super().__init__((address, port), _Handler)
        self.seen = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass                    # clients that reset are what is tested


class Listener(socketserver.ThreadingTCPServer):
    """Hands each connection to on_connection(socket); counts them."""
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, on_connection, address=HOST):
        outer = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                outer.n_connections += 1
                on_connection(self.request)
        self.n_connections = 0
        super().__init__((address, 0), Handler)
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, *_):
        pass


def _name_at(message, at):
    labels = []
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]])
        at += 1 + message[at]
    return b'.'.join(labels).decode().lower(), at + 1


def _wire(name):
    return b''.join(bytes([len(label)]) + label for label in name.encode().split(b'.')) + b'\0'


def _record(name, kind, data):
    return _wire(name) + struct.pack('>HHIH', kind, 1, 0, len(data)) + data


class Resolver:
    """A name server whose answers a test makes: zone[name] is a list of addresses and ('CNAME',
    name), or a function of the number of the question that gives one. Others do not exist."""

    def __init__(self):
        number = os.getpid()
        self.address = f'127.53.{number >> 8 & 255}.{number & 255 or 1}'
        self.zone, self.asked = {}, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((self.address, 53))
        self.socket.settimeout(0.1)
        self.is_over = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.is_over:
            try:
                message, client = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            self.socket.sendto(self._answer(message), client)

    def _answer(self, message):
        name, behind = _name_at(message, 12)
        kind = struct.unpack('>H', message[behind:behind + 2])[0]
        question = message[12:behind + 4]
        self.asked.append((name, kind))
        entries = self.zone.get(name)
        if callable(entries):
            entries = entries(sum(1 for asked in self.asked if asked == (name, kind)))
        records = self._records(name, kind, entries or [])
        code = 0 if entries is not None else 3
        return (message[:2] + struct.pack('>HHHHH', 0x8180 | code, 1, len(records), 0, 0) +
                question + b''.join(records))

    def _records(self, name, kind, entries):
        records = []
        for entry in entries:
            if isinstance(entry, tuple):
                records.append(_record(name, CNAME, _wire(entry[1])))
                records += self._records(entry[1], kind, self.zone.get(entry[1], []))
            elif (':' in entry) == (kind == AAAA) and kind in (A, AAAA):
                family = socket.AF_INET6 if kind == AAAA else socket.AF_INET
                records.append(_record(name, kind, socket.inet_pton(family, entry)))
        return records

    def close(self):
        """The address is free again: who waits in a closed socket would hold it."""
        self.is_over = True
        self.thread.join()
        self.socket.close()


def resolving_by(resolver):
    """The `prefix` of a Daemon that has this resolver and no other: a mount namespace of its
    own."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='mayfly-resolver-'))
    conf = folder / 'resolv.conf'
    conf.write_text(f'nameserver {resolver.address}\noptions timeout:1 attempts:1\n')
    return ['unshare', '--mount', 'sh', '-c',
            f'mount --bind {conf} /etc/resolv.conf && exec "$@"', 'sh']


def daemon_with(resolver, *more, **kwargs):
    """A Daemon whose provider lists HOST, and whose names come from this resolver."""
    config = '\n'.join([f'egress_private = {HOST}', *more, ''])
    return mayfly.Daemon(config=config, prefix=resolving_by(resolver), **kwargs)


def egress(*allow):
    """The `network` of a function that may reach these."""
    return {'mode': 'egress', 'allow': list(allow)}
