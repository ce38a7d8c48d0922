# SPDX-License-Identifier: Apache-2.0
"""mayfly - what a scenario test holds in its hands: a daemon of its own, and clients that ask it.

    with Daemon() as daemon:
        org = daemon.new_org()
        org.deploy('hello', 'exports.handler = async () => "hi"', runtime='node')
        assert org.route('GET', 'hello').text == 'hi'

A Daemon listens on a free port, keeps everything in a folder, a cgroup and a range of user ids of
its own, and when it is stopped proves that nothing of it is left: no process, no cgroup, no mount.
The programs are taken from $MAYFLY_BIN, build/bin by default. Every answer of the control plane is
checked against openapi.yaml, whatever the test looks at.
"""
import base64
import http.client
import io
import itertools
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import urllib.parse

import contract
import leaks

HOUSE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get('MAYFLY_BIN', HOUSE / 'build' / 'bin')).resolve()
READY_S = 120
_numbers = itertools.count(1)


class Answer:
    """Status, headers (lower case; several of one name joined by ', ') and body of one answer."""

    def __init__(self, status, headers, body):
        self.status = status
        self.header_list = [(name.lower(), value) for name, value in headers]
        self.headers = {}
        for name, value in self.header_list:
            self.headers[name] = f'{self.headers[name]}, {value}' if name in self.headers else value
        self.body = body

    @property
    def text(self):
        return self.body.decode()

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        """The word of an error ("not_found")."""
        return self.json()['code']

    @property
    def call_id(self):
        return self.headers.get('x-call-id')

    def expect(self, status):
        assert self.status == status, f'{self.status} instead of {status}: {self.body[:2000]!r}'
        return self

    def __repr__(self):
        return f'<Answer {self.status} {self.body[:200]!r}>'


class Client:
    """Speaks HTTP/1.1 to one address, over one connection that is kept; not for two threads."""

    def __init__(self, address, token=None, timeout=60):
        self.address, self.token, self.timeout = address, token, timeout
        self._connection = None

    def _connect(self):
        host, port = self.address.rsplit(':', 1)
        return http.client.HTTPConnection(host, int(port), timeout=self.timeout)

    def close(self):
        if self._connection:
            self._connection.close()
        self._connection = None

    def open(self, method, path, body=None, headers=None):
        """Sends on a connection of its own and gives (connection, response) unread: for streams."""
        connection = self._connect()
        connection.request(method, path, body=body, headers=self._headers(headers))
        return connection, connection.getresponse()

    def _headers(self, headers):
        out = {'Authorization': f'Bearer {self.token}'} if self.token else {}
        out.update(headers or {})
        return out

    def send(self, method, path, body=None, headers=None, json_body=None, is_checked=True):
        headers = self._headers(headers)
        if json_body is not None:
            body = json.dumps(json_body).encode()
            headers.setdefault('Content-Type', 'application/json')
        for attempt in (1, 2):
            is_fresh = self._connection is None
            self._connection = self._connection or self._connect()
            try:
                self._connection.request(method, path, body=body, headers=headers)
                response = self._connection.getresponse()
                break
            except (http.client.BadStatusLine, ConnectionError):
                # A kept connection that the server closed meanwhile; a fresh one is an answer.
                self.close()
                if is_fresh or attempt == 2:
                    raise
        answer = Answer(response.status, response.getheaders(), response.read())
        if response.will_close:
            self.close()
        if is_checked and not path.startswith('/api/'):
            contract.check(method, path, answer)
        return answer

    def get(self, path, **kwargs):
        return self.send('GET', path, **kwargs)

    def post(self, path, json_body=None, **kwargs):
        return self.send('POST', path, json_body=json_body, **kwargs)

    def put(self, path, json_body=None, **kwargs):
        return self.send('PUT', path, json_body=json_body, **kwargs)

    def delete(self, path, **kwargs):
        return self.send('DELETE', path, **kwargs)


def archive(files):
    """A tar.gz of {path: text or bytes, or (text or bytes, mode)}."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w:gz') as tar:
        for path, content in files.items():
            content, mode = content if isinstance(content, tuple) else (content, 0o644)
            data = content.encode() if isinstance(content, str) else content
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data))
    return out.getvalue()


def code_of(source, filename=None):
    """The `code` member for a text (inline), a {path: content} (archive) or archive bytes."""
    if isinstance(source, dict):
        source = archive(source)
    key, value = ('inline', source) if isinstance(source, str) else (
        'archive', base64.b64encode(source).decode())
    return {key: value, **({'filename': filename} if filename else {})}


class Org:
    """An org with the token of its admin, and what a developer does in it."""

    def __init__(self, daemon, name, client):
        self.daemon, self.name, self.client = daemon, name, client
        self.path = f'/v1/orgs/{name}'

    def client_of(self, role):
        """A client with a new token of that role: viewer, invoker, developer or admin."""
        body = {'name': f'{role} of a test', 'role': role}
        answer = self.client.post(f'{self.path}/tokens', body).expect(201)
        return self.daemon.client(answer.json()['secret'])

    def put(self, name, source, runtime='node', filename=None, **config):
        """Creates or updates without waiting; gives the Answer."""
        body = {'runtime': runtime, 'code': code_of(source, filename), **config}
        return self.client.put(f'{self.path}/functions/{name}', body)

    def settle(self, name, wait_s=60):
        """Waits until the function is neither initializing nor updating; gives it."""
        path = f'{self.path}/functions/{name}?for=settled&wait='
        end = time.monotonic() + wait_s
        while True:
            left_s = max(1, min(30, int(end - time.monotonic())))
            function = self.client.get(f'{path}{left_s}s').expect(200).json()
            if function['state'] not in ('initializing', 'updating'):
                return function
            assert time.monotonic() < end, f'{name} is still {function["state"]}'

    def deploy(self, name, source, runtime='node', filename=None, is_ready=True, **config):
        """Creates or updates and waits; gives the function as JSON. With is_ready it must have
        become ready with this version; else look at `state` and `latest` yourself."""
        answer = self.put(name, source, runtime=runtime, filename=filename, **config)
        assert answer.status in (200, 201), answer
        function = self.settle(name)
        if is_ready:
            assert function['state'] == 'ready', function
            assert function['latest']['state'] == 'ready', function['latest']
        return function

    def call(self, name, event=None, headers=None):
        """A direct call: `event` is any JSON value."""
        return self.client.send('POST', f'{self.path}/functions/{name}/calls', headers=headers,
                                json_body=event, body=b'' if event is None else None)

    def route(self, method, route, body=None, headers=None):
        """A call by the tenant's route, without a token: route('GET', 'hello/sub?x=1')."""
        client = self.daemon.client()
        try:
            return client.send(method, f'/api/org/{self.name}/{route}', body=body, headers=headers)
        finally:
            client.close()

    def record(self, call_id, wait_s=10):
        """The call record; waits for it, since it is made after the answer."""
        end = time.monotonic() + wait_s
        while True:
            answer = self.client.get(f'{self.path}/calls/{call_id}')
            if answer.status == 200 and answer.json().get('state', 'done') == 'done':
                return answer.json()
            assert time.monotonic() < end, answer
            time.sleep(0.05)

    def logs_of(self, call_id):
        """The lines of a call, joined."""
        self.record(call_id)
        answer = self.client.get(f'{self.path}/calls/{call_id}/logs').expect(200)
        return '\n'.join(line['text'] for line in answer.json()['lines'])

    def delete(self):
        self.daemon.provider().delete(self.path).expect(204)


class Daemon:
    """One mayfly-daemon with everything of its own. start() waits until it is ready.

    `prefix` is a command that starts it (setpriv …); with `user`, a number, it runs without root.
    """

    def __init__(self, *args, env=None, data_dir=None, config='', prefix=(), user=None,
                 log_level='debug'):
        self.number = next(_numbers)
        self.tag = f'mayfly-test-{os.getpid()}-{self.number:04d}'
        self.args, self.env, self.log_level = list(args), dict(env or {}), log_level
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f'{self.tag}-', dir='/tmp'))
        self.folder.chmod(0o755)
        self.data_dir = pathlib.Path(data_dir) if data_dir else self.folder / 'data'
        self.config = self.folder / 'mayfly.conf'
        self.config.write_text(config)
        self.log_path = self.folder / 'daemon.log'
        self.bin, self.prefix, self.user = BIN, list(prefix), user
        if user is not None:
            # Where the tree is may be closed to that user.
            self.bin = pathlib.Path(shutil.copytree(BIN, self.folder / 'bin'))
            os.chown(self.folder, user, user)
        self.process = None
        self.address = self.tls_address = None
        self._clients = []

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, *_):
        if kind:
            self.show_log()
        self.close()

    def command(self):
        """The command line."""
        uid_base = 200000 + 10000 * (self.number % 200)
        return [*self.prefix, str(self.bin / 'mayfly-daemon'), '--config', str(self.config),
                '--data-dir', str(self.data_dir), '--listen', '127.0.0.1:0',
                '--cgroup-parent', self.tag, '--uid-base', str(uid_base),
                '--log-level', self.log_level, *self.args]

    def spawn(self, *more, **kwargs):
        """Starts the program without waiting; gives (process, read end of the ready pipe)."""
        ready, ready_in = os.pipe()
        env = {'PATH': os.environ.get('PATH', '/usr/bin:/bin'), 'MAYFLY_TEST_TAG': self.tag}
        env.update({key: os.environ[key] for key in os.environ if key.endswith('SAN_OPTIONS')})
        env.update(self.env)
        if self.user is not None:
            kwargs.update(user=self.user, group=self.user, extra_groups=[])
        with open(self.log_path, 'ab') as log:
            process = subprocess.Popen(
                [*self.command(), '--ready-fd', str(ready_in), *more], env=env, stdout=log,
                stderr=log, stdin=subprocess.DEVNULL, pass_fds=(ready_in,), **kwargs)
        os.close(ready_in)
        return process, ready

    def start(self):
        self.process, ready = self.spawn()
        try:
            line = self._read_ready(ready)
        finally:
            os.close(ready)
        words = dict(word.split('=', 1) for word in line.split() if '=' in word)
        self.address, self.tls_address = words['listen'], words.get('tls_listen')
        return self

    def _read_ready(self, fd):
        line, end = b'', time.monotonic() + READY_S
        while not line.endswith(b'\n'):
            readable, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
            part = os.read(fd, 4096) if readable else b''
            if not part:
                self.show_log()
                why = 'ended' if readable else f'was not ready in {READY_S} s'
                raise AssertionError(f'the daemon {why}: {self.log()[-2000:]}')
            line += part
        return line.decode()

    # ---- asking ----

    def client(self, token=None, **kwargs):
        client = Client(self.address, token, **kwargs)
        self._clients.append(client)
        return client

    def token(self):
        return (self.data_dir / 'bootstrap-token').read_text().strip()

    def provider(self, **kwargs):
        """A client that may do everything."""
        return self.client(self.token(), **kwargs)

    def new_org(self, name=None):
        name = name or f'org-{next(_numbers)}'
        provider = self.provider()
        provider.post('/v1/orgs', {'name': name}).expect(201)
        body = {'name': 'admin of a test', 'role': 'admin'}
        secret = provider.post(f'/v1/orgs/{name}/tokens', body).expect(201).json()['secret']
        return Org(self, name, self.client(secret))

    def metrics(self):
        """{'name{label="x"}': value} of /metrics."""
        out = {}
        for line in self.provider().get('/metrics').expect(200).text.splitlines():
            if line and not line.startswith('#'):
                key, value = line.rsplit(' ', 1)
                out[key] = float(value)
        return out

    # ---- its log ----

    def log(self):
        return self.log_path.read_text(errors='replace') if self.log_path.exists() else ''

    def log_lines(self, event):
        """The lines of one event: log_lines('daemon.ready')."""
        return [line for line in self.log().splitlines() if f' {event} ' in f'{line} ']

    def show_log(self):
        print(f'---- log of the daemon {self.tag} ----')
        print('\n'.join(self.log().splitlines()[-60:]))

    # ---- ending ----

    def wait(self, timeout=60):
        return self.process.wait(timeout)

    def stop(self, timeout=60):
        """SIGTERM; gives the exit code, after proving that nothing is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        self.check_nothing_left()
        return code

    def kill(self):
        """SIGKILL to the daemon alone; the spawner must clean up after it."""
        self.process.kill()
        self.process.wait(60)
        self.check_nothing_left()

    def check_nothing_left(self, wait_s=20):
        leaks.check(self.tag, [self.data_dir, self.folder], wait_s)

    def close(self):
        """Ends it however it stands, and removes its folder; for the end of a test."""
        for client in self._clients:
            client.close()
        try:
            if self.process and self.process.poll() is None:
                code = self.stop()
                assert code == 0, f'the daemon ended with {code}: {self.log()[-2000:]}'
            for sign in ('AddressSanitizer', 'LeakSanitizer', 'runtime error:', ' broken promise'):
                assert sign not in self.log(), self.log()[-8000:]
        finally:
            if self.process and self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            if not os.environ.get('MAYFLY_KEEP'):
                shutil.rmtree(self.folder, ignore_errors=True)


def run(program, *args, env=None, timeout=60, **kwargs):
    """Runs a program of the product; gives the CompletedProcess with text."""
    base = {'PATH': os.environ.get('PATH', '/usr/bin:/bin'), 'HOME': os.environ.get('HOME', '/')}
    return subprocess.run([str(BIN / program), *map(str, args)], env={**base, **(env or {})},
                          capture_output=True, text=True, timeout=timeout, **kwargs)


def quote(text):
    return urllib.parse.quote(text, safe='')


def wait_until(is_done, what, wait_s=10):
    """Asks is_done() until it gives something true, and gives that."""
    end = time.monotonic() + wait_s
    while True:
        answer = is_done()
        if answer:
            return answer
        assert time.monotonic() < end, f'not within {wait_s} s: {what}'
        time.sleep(0.02)
