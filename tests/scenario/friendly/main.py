# SPDX-License-Identifier: Apache-2.0
"""What handlers in Python really do. Each deed gives the same value in every call."""
import asyncio
import concurrent.futures
import hashlib
import http.client
import http.server
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib

ROWS = [{'id': i, 'name': f'name {i}', 'tags': ['a', 'b'], 'even': i % 2 == 0} for i in range(10000)]


class Served(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'served')

    def log_message(self, *_):
        pass


def request():
    server = http.server.HTTPServer(('127.0.0.1', 0), Served)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    client = http.client.HTTPConnection('127.0.0.1', server.server_port)
    client.request('GET', '/')
    text = client.getresponse().read().decode()
    client.close()
    thread.join()
    server.server_close()
    return text


def files():
    with tempfile.NamedTemporaryFile() as out:
        out.write(b'x' * 100000)
        out.flush()
        with open(out.name, 'rb') as back, open('/tmp/kept', 'wb') as kept:
            kept.write(back.read())
    return 'well'


def threads():
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda n: len(hashlib.pbkdf2_hmac('sha256', b'a', b'b', 500)), range(8)))


def left_thread():
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    return 'well'


async def several():
    async def one(n):
        await asyncio.sleep(0.001)
        return n
    return sum(await asyncio.gather(*(one(n) for n in range(10))))


async def in_loop_process():
    child = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(6 * 7)', stdout=-1)
    return (await child.communicate())[0].decode().strip()


def database():
    with sqlite3.connect(':memory:') as db:
        db.execute('CREATE TABLE a (b)')
        db.executemany('INSERT INTO a VALUES (?)', [(n,) for n in range(1000)])
        return db.execute('SELECT sum(b) FROM a').fetchone()[0]


def lines():
    for n in range(20):
        print('line', n, {'of': 'a log'})
    return 'well'


DEEDS = {
    'nothing': lambda: 'well',
    'a short sleep': lambda: time.sleep(0.002) or 'well',
    'file reads': lambda: len({len(open('/code/main.py').read()) for _ in range(8)}),
    'files in /tmp': files,
    'http to a local server': request,
    'crypto': lambda: hashlib.pbkdf2_hmac('sha256', b'word', b'salt', 2000).hex(),
    'JSON of 1 MB': lambda: len(json.loads(json.dumps(ROWS))),
    '50 MB': lambda: bytearray(b'x' * (50 << 20))[-1],
    'zlib': lambda: len(zlib.decompress(zlib.compress(b'abc' * 300000))),
    'subprocess': lambda: subprocess.run([sys.executable, '-c', 'print(6 * 7)'], capture_output=True,
                                         text=True).stdout.strip(),
    'a thread pool': threads,
    'a thread that is left': left_thread,
    'asyncio': lambda: asyncio.run(several()),
    'asyncio with a subprocess': lambda: asyncio.run(in_loop_process()),
    'sqlite3 in memory': database,
    'lines of a log': lines,
}


def handler(event, context):
    return DEEDS[event['do']]() if event.get('do') else list(DEEDS)
