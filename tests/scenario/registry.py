# SPDX-License-Identifier: Apache-2.0
"""registry - a small Python package index on loopback (PEP 503), with the wheels it is given.

No public Python index can be reached from where the tests run, so this is a mock of one: static
pages and files, as a private index would serve them.
"""
import base64
import hashlib
import http.server
import io
import threading
import zipfile


def wheel(name, version, files):
    """A pure Python wheel (PEP 427) with these {path: text}; gives (file name, bytes)."""
    info = f'{name}-{version}.dist-info'
    members = dict(files)
    members[f'{info}/METADATA'] = f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n'
    members[f'{info}/WHEEL'] = ('Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n'
                                'Tag: py3-none-any\n')
    rows = []
    for path, text in members.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=')
        rows.append(f'{path},sha256={digest.decode()},{len(text.encode())}\n')
    members[f'{info}/RECORD'] = ''.join(rows) + f'{info}/RECORD,,\n'
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for path, text in members.items():
            archive.writestr(path, text)
    return f'{name}-{version}-py3-none-any.whl', out.getvalue()


class Index:
    """with Index({'mynoun': [wheel(…)]}) as index: index.url, index.asked (paths so far)"""

    def __init__(self, packages):
        self.packages, self.asked = packages, []

    def __enter__(self):
        index = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                index.asked.append(self.path)
                index.answer(self)

            def log_message(self, *_):
                pass
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.url = f'http://127.0.0.1:{self.server.server_port}/simple/'
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        parts = handler.path.strip('/').split('/')
        wheels = self.packages.get(parts[1] if len(parts) > 1 else '', [])
        if parts[0] == 'simple' and wheels:
            links = ''.join(f'<a href="/files/{parts[1]}/{name}">{name}</a>' for name, _ in wheels)
            self.send(handler, 200, 'text/html', f'<html><body>{links}</body></html>'.encode())
            return
        for name, data in wheels:
            if parts[0] == 'files' and parts[2] == name:
                self.send(handler, 200, 'application/octet-stream', data)
                return
        self.send(handler, 404, 'text/plain', b'not here')

    @staticmethod
    def send(handler, status, kind, data):
        handler.send_response(status)
        handler.send_header('Content-Type', kind)
        handler.send_header('Content-Length', str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)
