# SPDX-License-Identifier: Apache-2.0
"""One handler that does what handlers of Python do, one thing per call, and looks itself whether it
went right: handler({'do': name}) gives the name, or raises. Without a name it gives all names.

Modules that take long to import are imported where they are used: with the mechanism `once` every
call loads this file.
"""
import hashlib
import json
import os
import queue
import random
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zlib

CALLS = []
DEEDS = {}


def deed(work):
    DEEDS[work.__name__] = work
    return work


@deed
def files():
    with tempfile.TemporaryDirectory() as folder:
        for n in range(8):
            with open(f'{folder}/{n}', 'w') as file:
                file.write('x' * 100000)
        assert sum(os.path.getsize(f'{folder}/{n}') for n in range(8)) == 800000


@deed
def files_left():
    assert os.listdir('/tmp') == []
    with open(f'/tmp/{uuid.uuid4()}', 'w') as file:
        file.write('left')


@deed
def sleeps():
    before = time.monotonic()
    time.sleep(0.005)
    assert time.monotonic() - before >= 0.005


@deed
def threads():
    import concurrent.futures
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(lambda n: n * n, range(50))) == 40425


@deed
def thread_left():
    threading.Thread(target=time.sleep, args=(30,), daemon=True).start()


@deed
def tasks():
    import asyncio
    async def part(n):
        await asyncio.sleep(0.002)
        return n

    async def whole():
        return sum(await asyncio.gather(*map(part, range(20))))
    assert asyncio.run(whole()) == 190


@deed
def http():
    import urllib.request
    with socket.create_server(('127.0.0.1', 0)) as server:
        def serve():
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi')
        thread = threading.Thread(target=serve)
        thread.start()
        url = f'http://127.0.0.1:{server.getsockname()[1]}/'
        assert urllib.request.urlopen(url, timeout=20).read() == b'hi'
        thread.join()


@deed
def children():
    done = subprocess.run([sys.executable, '-S', '-c', 'print(6 * 7)'], capture_output=True, text=True)
    assert done.stdout == '42\n', done


@deed
def child_left():
    subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'], start_new_session=True)


@deed
def large_json():
    rows = [{'id': n, 'name': f'name {n}', 'half': n / 2} for n in range(20000)]
    text = json.dumps(rows)
    assert len(text) > 800000 and json.loads(text)[19999]['id'] == 19999


@deed
def memory():
    blocks = [bytearray(10 << 20) for _ in range(5)]
    for n, block in enumerate(blocks):
        block[::4096] = bytes([n]) * len(block[::4096])
    assert sum(block[4096] for block in blocks) == 10


@deed
def compress():
    data = os.urandom(1000) * 500
    assert zlib.decompress(zlib.compress(data, 6)) == data


@deed
def digest():
    assert len(hashlib.pbkdf2_hmac('sha256', b'a', b'b', 2000)) == 32


@deed
def database():
    import sqlite3
    rows = sqlite3.connect(':memory:')
    rows.execute('create table t (n integer)')
    rows.executemany('insert into t values (?)', ((n,) for n in range(500)))
    assert rows.execute('select sum(n) from t').fetchone() == (124750,)


@deed
def numbers():
    import decimal
    decimal.getcontext().prec = 60
    assert str(decimal.Decimal(2).sqrt()).startswith('1.41421356237309504880')
    assert len({random.random() for _ in range(100)}) == 100


@deed
def text():
    assert len(re.findall(r'\b\w+a\w*\b', 'banana apple cat dog ' * 200)) == 400


@deed
def messages():
    line = queue.Queue()
    thread = threading.Thread(target=lambda: [line.put(n) for n in range(100)])
    thread.start()
    assert sum(line.get(timeout=20) for _ in range(100)) == 4950
    thread.join()


@deed
def state():
    """Brought back, it is the only one."""
    CALLS.append(len(CALLS))
    os.environ['LEFT'] = '1'
    os.umask(0o077)
    os.chdir('/tmp')


def handler(event, context):
    name = (event or {}).get('do')
    if name is None:
        return sorted(DEEDS)
    if os.environ['MAYFLY_ISOLATION'] == 'call' and (CALLS or 'LEFT' in os.environ):
        raise RuntimeError('something of another call is here')
    if name != 'hello':
        DEEDS[name]()
    return name
