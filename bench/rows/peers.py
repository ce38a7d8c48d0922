# SPDX-License-Identifier: Apache-2.0
"""peers - servers of others, each started on a free port and ended behind its row.

Each says hello, as the functions that it is compared with do. One that is not installed is told as
such in the table (`packaging/install-deps.sh --bench` installs those of Debian; those of npm are
fetched into the build folder when they are first wanted).
"""
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

from mayfly import BIN

NPM = BIN.parent / 'bench-peers'
HELLO = "(q, r) => { r.setHeader('content-type', 'text/plain'); r.end('hello, world\\n'); }"
RAW_NODE = f"require('http').createServer({HELLO}).listen(+process.argv[1], '127.0.0.1');"
ASGI = """
async def app(scope, receive, send):
    if scope['type'] != 'http':
        return
    await send({'type': 'http.response.start', 'status': 200,
                'headers': [(b'content-type', b'text/plain')]})
    await send({'type': 'http.response.body', 'body': b'hello, world\\n'})

def wsgi(environ, start):
    start('200 OK', [('content-type', 'text/plain'), ('content-length', '13')])
    return [b'hello, world\\n']
"""
NGINX = """
daemon off; worker_processes auto; pid %(folder)s/pid; error_log /dev/null;
events {}
http { access_log off; keepalive_requests 100000000;
  client_body_temp_path %(folder)s; proxy_temp_path %(folder)s; fastcgi_temp_path %(folder)s;
  uwsgi_temp_path %(folder)s; scgi_temp_path %(folder)s;
  server { listen 127.0.0.1:%(port)d; location / { default_type text/plain; return 200 'hello, world\\n'; } } }
"""
WORKERD = """
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .hello)],
  sockets = [(name = "http", address = "127.0.0.1:%(port)d", http = (), service = "main")]);
const hello :Workerd.Worker = (serviceWorkerScript =
  "addEventListener('fetch', (e) => e.respondWith(new Response('hello, world\\\\n')));",
  compatibilityDate = "2023-02-28");
"""


class Missing(Exception):
    """The peer is not on this machine."""


def free_port():
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def process(port, *command, env=None, cwd=None):
    """Ready when its port takes connections; a process group of its own, ended as one."""
    clean = {key: value for key, value in os.environ.items() if key != 'NODE_EXTRA_CA_CERTS'}
    child = subprocess.Popen([str(word) for word in command], env={**clean, **(env or {})}, cwd=cwd,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                             start_new_session=True)
    try:
        for _ in range(400):
            with contextlib.suppress(OSError):
                socket.create_connection(('127.0.0.1', port), 1).close()
                break
            if child.poll() is not None:
                raise Missing(f'{command[0]} ended with {child.returncode}')
            time.sleep(0.05)
        else:
            raise Missing(f'{command[0]} did not start')
        yield f'http://127.0.0.1:{port}/'
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, 9)
        child.wait()


def installed(name):
    path = shutil.which(name)
    if not path:
        raise Missing(f'{name} is not installed')
    return path


def from_npm(package, program):
    """The program of an npm package, installed when it is first wanted."""
    path = NPM / 'node_modules' / '.bin' / program
    if not path.exists():
        NPM.mkdir(exist_ok=True)
        done = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--prefix', str(NPM), package],
                              capture_output=True, text=True)
        if done.returncode or not path.exists():
            raise Missing(f'npm does not give {package}')
    return path


@contextlib.contextmanager
def raw_node(folder):
    port = free_port()
    with process(port, installed('node'), '-e', RAW_NODE, port) as url:
        yield url


@contextlib.contextmanager
def uvicorn(folder):
    port = free_port()
    (folder / 'app.py').write_text(ASGI)
    with process(port, '/usr/bin/python3', '-m', 'uvicorn', '--no-access-log', '--log-level', 'error', '--port',
                 port, 'app:app', env={'PYTHONPATH': str(folder)}) as url:
        yield url


@contextlib.contextmanager
def gunicorn(folder):
    port = free_port()
    (folder / 'app.py').write_text(ASGI)
    with process(port, installed('gunicorn'), '-w', os.cpu_count(), '-b', f'127.0.0.1:{port}', 'app:wsgi',
                 cwd=folder) as url:
        yield url


@contextlib.contextmanager
def nginx(folder):
    port = free_port()
    (folder / 'nginx.conf').write_text(NGINX % {'folder': folder, 'port': port})
    with process(port, shutil.which('nginx') or installed('/usr/sbin/nginx'), '-c',
                 folder / 'nginx.conf') as url:
        yield url


@contextlib.contextmanager
def functions_framework(folder):
    port = free_port()
    program = from_npm('@google-cloud/functions-framework', 'functions-framework')
    (folder / 'package.json').write_text('{"main": "index.js"}')
    (folder / 'index.js').write_text(f'exports.hello = {HELLO};')
    with process(port, program, '--target=hello', f'--port={port}', cwd=folder) as url:
        yield url


@contextlib.contextmanager
def workerd(folder):
    port = free_port()
    program = from_npm('workerd', 'workerd')
    (folder / 'config.capnp').write_text(WORKERD % {'port': port})
    with process(port, program, 'serve', folder / 'config.capnp') as url:
        yield url


OTHERS = {'nginx': nginx, 'gunicorn': gunicorn, 'functions-framework': functions_framework, 'workerd': workerd}


@contextlib.contextmanager
def started(peer):
    """With a folder of its own, in which it may write."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix='mayfly-bench-'))
    folder.chmod(0o755)
    try:
        with peer(folder) as url:
            yield url
    finally:
        shutil.rmtree(folder, ignore_errors=True)
