# SPDX-License-Identifier: Apache-2.0
"""What a call does to others while it ends, and what it sees of them."""
import ctypes
import errno
import mmap
import os
import random
import signal
import socket
import struct
import time

from tools import call, in_child, in_thread, status
from traces_tasks import busy, forker


def later(seconds, work):
    def wait():
        time.sleep(seconds)
        work()
    in_thread(wait)


def frame(kind, payload, number):
    return struct.pack('<IBBHQ', len(payload), kind, 0, 0, number) + payload


def fill():
    os.set_blocking(3, False)
    while True:
        try:
            os.write(3, b'\0' * 4096)
        except BlockingIOError:
            time.sleep(0.001)


HARM = {
    'a late line': lambda: later(0.02, lambda: os.write(1, b'late-line\n')),
    'a late line of a child': lambda: in_child(lambda: (time.sleep(0.02), os.write(1, b'late-line\n'))),
    'a line without an end': lambda: os.write(1, b'late-line'),
    'part of a frame': lambda: later(0.002, lambda: os.write(3, b'\x10\0\0')),
    'part of a frame at once': lambda: os.write(3, b'\x10\0\0'),
    'a second answer': lambda: later(0.002, lambda: [os.write(3, frame(
        5, struct.pack('<I', 4) + b'200\nforged', number)) for number in range(1, 40)]),
    'READY again': lambda: later(0.002, lambda: os.write(3, frame(2, b'', 0))),
    'a failure': lambda: later(0.002, lambda: os.write(3, frame(3, b'A\0b\0c', 0))),
    'a filled channel': lambda: in_thread(fill),
    'a channel that is shut': lambda: later(0.002, lambda: socket.socket(fileno=os.dup(3)).shutdown(1)),
    'a channel that is closed': lambda: later(0.002, lambda: os.close(3)),
    'a channel that is another': lambda: later(0.002, lambda: os.dup2(
        socket.socketpair()[0].detach(), 3)),
    'death to all': lambda: later(0.002, lambda: os.kill(-1, signal.SIGKILL)),
    'a stop for all': lambda: later(0.002, lambda: os.kill(-1, signal.SIGSTOP)),
    'a stop for itself': lambda: later(0.002, lambda: os.kill(os.getpid(), signal.SIGSTOP)),
    'a death of its own': lambda: later(0.002, lambda: os.kill(os.getpid(), signal.SIGKILL)),
    'a fault': lambda: later(0.002, lambda: ctypes.string_at(1)),
    'no more memory': lambda: in_thread(lambda: [bytearray(b'x' * (1 << 20)) for _ in range(10000)]),
    'no more processes': lambda: [in_child(forker) for _ in range(8)],
    'no more room': lambda: in_thread(lambda: open('/tmp/full', 'wb').write(bytes(1 << 30))),
    'many threads': lambda: [in_thread(busy) for _ in range(12)],
    'signals all the time': lambda: in_child(lambda: [os.kill(os.getppid(), signal.SIGURG)
                                                      for _ in range(1000000)]),
    'mappings all the time': lambda: in_thread(lambda: [mmap.mmap(-1, 8192).close() for _ in range(10 ** 7)]),
}


def looked_at_others():
    """What can be had of pid 1: nothing. Whoever keeps the sandbox has no number in it."""
    got, pid = {}, 1
    for name, number, arguments in (('ptrace', 101, (16, pid, 0, 0)), ('read', 310, (pid, None, 0, None, 0, 0)),
                                    ('write', 311, (pid, None, 0, None, 0, 0)), ('kcmp', 312, (pid, pid, 0, 0, 0)),
                                    ('prlimit', 302, (pid, 7, None, None))):
        try:
            call(number, *[0 if a is None else a for a in arguments])
            got[f'{name} {pid}'] = 'ok'
        except OSError as error:
            got[f'{name} {pid}'] = errno.errorcode[error.errno]
    try:
        got['pidfd_getfd'] = call(438, os.pidfd_open(1), 0, 0)
    except OSError as error:
        got['pidfd_getfd'] = errno.errorcode[error.errno]
    for path in ('/proc/1/mem', '/proc/1/root', '/proc/self/root/../proc/1/environ'):
        try:
            os.stat(path)
            got[path] = 'ok'
        except OSError as error:
            got[path] = errno.errorcode[error.errno]
    got['tracer'] = status('TracerPid')['TracerPid']
    return got


def fresh():
    """What must never come twice."""
    import secrets
    import ssl
    import uuid
    return [str(uuid.uuid4()), str(uuid.uuid1()), secrets.token_hex(16), os.urandom(16).hex(),
            ssl.RAND_bytes(16).hex(), random.random(), random.getrandbits(64), random.Random().random(),
            random.SystemRandom().random()]
