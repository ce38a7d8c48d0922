# SPDX-License-Identifier: Apache-2.0
"""Traces in descriptors and sockets."""
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct

from tools import KEPT, MARK, check, descriptors, fdinfo, libc, tmp, trace

OPENED = open('/code/main.py', 'rb', buffering=0)
LOADED_EPOLL, LOADED_EVENT = select.epoll(), libc.eventfd(0, 0)


@trace
class an_open_file:
    def leave():
        os.open('/code/main.py', os.O_RDONLY)

    def look():
        return descriptors()


@trace
class a_deleted_file_that_is_open:
    def leave():
        fd = os.open('/tmp/deleted', os.O_RDWR | os.O_CREAT)
        os.write(fd, MARK.encode())
        os.unlink('/tmp/deleted')

    def look():
        return descriptors()


@trace
class a_copy_of_the_channel:
    def leave():
        os.dup2(3, 77)

    def look():
        return descriptors()


@trace
class a_pipe_with_bytes:
    def leave():
        _, into = os.pipe()
        os.write(into, MARK.encode())

    def look():
        return descriptors()


@trace
class descriptors_in_flight:
    def leave():
        one, other = socket.socketpair()
        socket.send_fds(one, [b'x'], [os.open('/code/main.py', os.O_RDONLY)])
        one.detach(), other.detach()

    def look():
        return descriptors()


def opened(name, make):
    class made:
        leave = make

        def look():
            return descriptors()
    made.__name__ = name
    trace(made)


opened('an_event_descriptor', lambda: libc.eventfd(5, 0))
opened('a_timer_descriptor', lambda: libc.timerfd_create(1, 0))
opened('a_memory_file', lambda: os.write(os.memfd_create('left'), MARK.encode()))
opened('a_watch_on_files', lambda: libc.inotify_add_watch(libc.inotify_init(), b'/tmp', 0xfff))
opened('a_process_descriptor', lambda: os.pidfd_open(os.getpid()) and None)
opened('a_signal_descriptor', lambda: check(libc.signalfd(-1, ctypes.create_string_buffer(
    b'\xff' * 8, 128), 0)))
opened('a_poll_on_the_channel', lambda: KEPT.append(select.epoll()) or KEPT[-1].register(3, 1))
opened('many_descriptors', lambda: [os.open('/dev/null', 0) for _ in range(100)] and None)
opened('no_input', lambda: os.close(0))
opened('no_output', lambda: os.close(1))
opened('another_output', lambda: os.dup2(os.open('/tmp/output', os.O_WRONLY | os.O_CREAT), 1) and None)


@trace
class a_place_in_a_file:
    def leave():
        OPENED.read(100)

    def look():
        return OPENED.tell()


@trace
class a_watch_in_a_poll_that_was_there:
    def leave():
        LOADED_EPOLL.register(3, select.EPOLLIN)

    def look():
        return fdinfo(LOADED_EPOLL.fileno())


@trace
class a_count_of_an_event_that_was_there:
    def leave():
        os.write(LOADED_EVENT, struct.pack('<Q', 5))

    def look():
        return fdinfo(LOADED_EVENT)


@trace
class flags_of_a_descriptor:
    def leave():
        fcntl.fcntl(0, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        fcntl.fcntl(1, fcntl.F_SETFL, fcntl.fcntl(1, fcntl.F_GETFL) | os.O_APPEND)

    def look():
        return [fdinfo(0), fdinfo(1)]


@trace
class an_owner_of_a_descriptor:
    def leave():
        fcntl.fcntl(3, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(3, fcntl.F_SETSIG, signal.SIGUSR1)

    def look():
        return [fcntl.fcntl(3, fcntl.F_GETOWN), fcntl.fcntl(3, fcntl.F_GETSIG)]


@trace
class options_of_the_channel:
    def leave():
        channel = socket.socket(fileno=os.dup(3))
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
        channel.close()

    def look():
        channel = socket.socket(fileno=os.dup(3))
        found = [channel.getsockopt(socket.SOL_SOCKET, option) for option in (
            socket.SO_PASSCRED, socket.SO_SNDBUF, socket.SO_RCVBUF, socket.SO_RCVLOWAT)]
        channel.close()
        return found


@trace
class the_size_of_a_pipe:
    def leave():
        fcntl.fcntl(1, 1031, 4096)

    def look():
        return fcntl.fcntl(1, 1032)


@trace
class a_lock_on_a_file:
    def leave():
        fd = os.open('/tmp/locked', os.O_RDWR | os.O_CREAT)
        fcntl.flock(fd, fcntl.LOCK_EX)
        fcntl.lockf(fd, fcntl.LOCK_EX)

    def look():
        return [descriptors(), tmp()]


@trace
class a_lock_on_the_code:
    def leave():
        fcntl.flock(OPENED.fileno(), fcntl.LOCK_SH)

    def look():
        other = os.open('/code/main.py', os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return 'free'
        except OSError as error:
            return error.errno
        finally:
            os.close(other)


# ---- sockets ----

def reach(family, address):
    with socket.socket(family) as probe:
        try:
            probe.connect(address)
            return 'reached'
        except OSError as error:
            return error.errno


@trace
class a_listening_port:
    def leave():
        server = socket.create_server(('127.0.0.1', 5555))
        server.detach()

    def look():
        return reach(socket.AF_INET, ('127.0.0.1', 5555))


@trace
class an_abstract_socket:
    def leave():
        server = socket.socket(socket.AF_UNIX)
        server.bind('\0left')
        server.listen()
        server.detach()

    def look():
        return reach(socket.AF_UNIX, '\0left')


@trace
class a_socket_file:
    def leave():
        server = socket.socket(socket.AF_UNIX)
        server.bind('/tmp/socket')
        server.listen()
        server.detach()

    def look():
        return tmp()


@trace
class a_port_that_waits:
    """TIME_WAIT: the end that closed first."""

    def leave():
        server = socket.socket()
        server.bind(('127.0.0.1', 5556))
        server.listen()
        client = socket.create_connection(('127.0.0.1', 5556))
        accepted, _ = server.accept()
        accepted.close()
        client.recv(1)
        client.close()
        server.close()
        if a_port_that_waits.look() == 'free':
            raise PermissionError(errno.EPERM, 'no port waits here')

    def look():
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', 5556))
                return 'free'
            except OSError as error:
                return error.errno
