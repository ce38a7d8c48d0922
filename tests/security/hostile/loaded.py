# SPDX-License-Identifier: Apache-2.0
"""A function in Python that makes something when it is loaded, before its state is kept, of the kind
that $LOADED names; then {"do": "leave"} changes it, and {"do": "look"} says how it is."""
import ctypes
import fcntl
import mmap
import os
import queue
import re
import select
import signal
import socket
import struct
import termios
import threading

MARK = b'left-behind'
KINDS = {}


def kind(made):
    KINDS[made.__name__] = made
    return made


def fdinfo(fd):
    """Without what numbers differ from one sandbox to another."""
    return re.sub('(ino|mnt_id|sdev):\\S*\\s*[0-9a-f]*', '', open(f'/proc/self/fdinfo/{fd}').read())


def unread(fd):
    return struct.unpack('i', fcntl.ioctl(fd, termios.FIONREAD, b'\0' * 4))[0]


@kind
class memory_file:
    def __init__(self):
        self.fd = os.memfd_create('loaded')
        os.write(self.fd, b'x' * 100)

    def leave(self):
        os.pwrite(self.fd, MARK, 0)

    def look(self):
        return os.pread(self.fd, 20, 0).decode()


@kind
class file_in_tmp:
    def __init__(self):
        with open('/tmp/loaded', 'w') as out:
            out.write('x' * 100)

    def leave(self):
        with open('/tmp/loaded', 'r+b') as out:
            out.write(MARK)

    def look(self):
        return open('/tmp/loaded').read(20)


@kind
class deleted_file(memory_file):
    def __init__(self):
        self.fd = os.open('/tmp/deleted', os.O_RDWR | os.O_CREAT)
        os.write(self.fd, b'x' * 100)
        os.unlink('/tmp/deleted')


@kind
class shared_mapping:
    def __init__(self):
        self.bytes = mmap.mmap(-1, 8192)

    def leave(self):
        self.bytes[5000:5000 + len(MARK)] = MARK

    def look(self):
        return self.bytes[5000]


@kind
class mapped_file(shared_mapping):
    def __init__(self):
        fd = os.open('/tmp/mapped', os.O_RDWR | os.O_CREAT)
        os.ftruncate(fd, 8192)
        self.bytes = mmap.mmap(fd, 8192)
        os.close(fd)


@kind
class folder_in_tmp:
    def __init__(self):
        os.mkdir('/tmp/loaded')
        self.fd = os.open('/tmp/loaded', os.O_RDONLY)

    def leave(self):
        open('/tmp/loaded/file', 'w').close()

    def look(self):
        return os.listdir('/tmp/loaded')


@kind
class pipe:
    def __init__(self):
        self.out, self.into = os.pipe()

    def leave(self):
        os.write(self.into, MARK)

    def look(self):
        return unread(self.out)


@kind
class pair_of_sockets(pipe):
    def __init__(self):
        self.kept = socket.socketpair()
        self.out, self.into = (end.fileno() for end in self.kept)


@kind
class listening_socket:
    def __init__(self):
        self.server = socket.create_server(('127.0.0.1', 5555))
        self.server.setblocking(False)

    def leave(self):
        self.client = socket.create_connection(('127.0.0.1', 5555))
        self.client.send(MARK)

    def look(self):
        return len(select.select([self.server], [], [], 0)[0])


@kind
class connection:
    def __init__(self):
        server = socket.create_server(('127.0.0.1', 5555))
        self.client = socket.create_connection(('127.0.0.1', 5555))
        self.accepted, _ = server.accept()
        server.close()

    def leave(self):
        self.client.send(MARK)

    def look(self):
        return unread(self.accepted.fileno())


@kind
class event:
    def __init__(self):
        self.libc = ctypes.CDLL(None)
        self.fd = self.libc.eventfd(0, 0o4000)

    def leave(self):
        os.write(self.fd, struct.pack('<Q', 7))

    def look(self):
        return fdinfo(self.fd)


@kind
class poll:
    def __init__(self):
        self.poll, self.ends = select.epoll(), os.pipe()
        self.poll.register(self.ends[0], select.EPOLLIN)

    def leave(self):
        self.poll.modify(self.ends[0], select.EPOLLET)

    def look(self):
        return fdinfo(self.poll.fileno())


@kind
class watch_on_files:
    def __init__(self):
        libc = ctypes.CDLL(None)
        self.fd = libc.inotify_init1(0o4000)
        libc.inotify_add_watch(self.fd, b'/tmp', 0xfff)

    def leave(self):
        open('/tmp/seen', 'w').close()
        os.unlink('/tmp/seen')

    def look(self):
        return unread(self.fd)


@kind
class timer:
    def __init__(self):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        signal.setitimer(signal.ITIMER_REAL, 900, 0)

    def leave(self):
        signal.setitimer(signal.ITIMER_REAL, 90000, 7)

    def look(self):
        return signal.getitimer(signal.ITIMER_REAL)[0] > 1000


@kind
class thread:
    def __init__(self):
        self.tasks, self.done = queue.Queue(), 0
        threading.Thread(target=self.work, daemon=True).start()

    def work(self):
        while True:
            self.tasks.get()
            self.done += 1

    def leave(self):
        self.tasks.put(1)

    def look(self):
        self.tasks.put(1)
        while not self.tasks.empty():
            pass
        for _ in range(1000):
            if self.done:
                break
            threading.Event().wait(0.001)
        return [self.done, threading.active_count()]


@kind
class process:
    def __init__(self):
        self.here, there = socket.socketpair()
        if os.fork() == 0:
            self.here.close()
            n = 0
            while there.recv(1):
                n += 1
                there.send(bytes([n]))
            os._exit(0)
        there.close()

    def ask(self):
        self.here.send(b'x')
        return self.here.recv(1)[0]

    leave = look = ask


LOADED = KINDS[os.environ.get('LOADED', 'event')]()


def handler(event, context):
    if event['do'] == 'leave':
        LOADED.leave()
        return 'left'
    if event['do'] == 'look':
        return LOADED.look()
    os._exit(1)
