#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A program of the runtime exec that leaves something behind, and one that looks for it: as the
one in Python beside it, whose words it uses. Its parent is the adapter, which starts the program of the next
call."""
import ctypes
import errno
import json
import os
import resource
import signal
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
PARENT = os.getppid()


def status(pid, name):
    lines = dict(line.rstrip('\n').split(':\t', 1) for line in open(f'/proc/{pid}/status') if ':\t' in line)
    return lines.get(name)


def write(path, content='left'):
    with open(path, 'w') as out:
        out.write(content)


def tmp():
    return sorted(os.listdir('/tmp'))


def processes():
    return len([name for name in os.listdir('/proc') if name.isdigit()])


def child(work):
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    return pid


def sleeper():
    for fd in (0, 1, 2):
        os.close(fd)
    time.sleep(900)


def escapes():
    def inner():
        os.setsid()
        child(sleeper)
    child(inner)


def deaf():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    sleeper()


def forker():
    for fd in (0, 1, 2):
        os.close(fd)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            pass


def memory_of_the_parent():
    with open(f'/proc/{PARENT}/mem', 'r+b', buffering=0) as memory:
        memory.seek(int(open(f'/proc/{PARENT}/maps').readline().split('-')[0], 16))
        memory.write(b'\0')


def deep():
    path = '/tmp'
    for _ in range(100):
        path += '/deeper'
        os.mkdir(path)


def closed():
    os.mkdir('/tmp/closed')
    write('/tmp/closed/file')
    os.chmod('/tmp/closed', 0)


TRACES = {
    'a_file': (lambda: write('/tmp/file'), tmp),
    'a_hidden_file': (lambda: write('/tmp/.hidden'), tmp),
    'a_deep_file': (deep, tmp),
    'a_folder_that_is_closed': (closed, tmp),
    'a_link': (lambda: os.symlink('/code', '/tmp/link'), tmp),
    'the_mode_of_tmp': (lambda: os.chmod('/tmp', 0o700), lambda: os.stat('/tmp').st_mode),
    'a_priority_of_the_parent': (lambda: os.setpriority(os.PRIO_PROCESS, PARENT, 17),
                                 lambda: os.getpriority(os.PRIO_PROCESS, 0)),
    'an_affinity_of_the_parent': (
        lambda: os.sched_setaffinity(PARENT, {min(os.sched_getaffinity(0))}),
        lambda: sorted(os.sched_getaffinity(0))),
    'a_scheduler_of_the_parent': (
        lambda: os.sched_setscheduler(PARENT, os.SCHED_BATCH, os.sched_param(0)),
        lambda: os.sched_getscheduler(0)),
    'a_limit_of_the_parent': (
        lambda: resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (50, 50)),
        lambda: resource.getrlimit(resource.RLIMIT_NOFILE)),
    'memory_of_the_parent': (
        memory_of_the_parent, lambda: open(f'/proc/{PARENT}/mem', 'rb').read(0).hex()),
}
HARM = {
    'a child': lambda: child(sleeper),
    'a child in its own session': escapes,
    'a child that ignores signals': lambda: child(deaf),
    'a child that forks for ever': lambda: child(forker),
    'a stop for the parent': lambda: os.kill(PARENT, signal.SIGSTOP),
    'death to the parent': lambda: os.kill(PARENT, signal.SIGKILL),
    'death to all': lambda: os.kill(-1, signal.SIGKILL),
    'a late line': lambda: child(lambda: (time.sleep(0.02), os.write(2, b'late-line\n'))),
    'a line without an end': lambda: os.write(2, b'late-line'),
}


def main(event):
    do, what = event['do'], event.get('what')
    if do == 'leave':
        try:
            TRACES[what][0]()
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
                return 'denied'
            raise
        return 'left'
    if do == 'look':
        return TRACES[what][1]()
    if do == 'harm':
        HARM[what]()
        return 'done'
    if do == 'names':
        return {'traces': list(TRACES), 'harm': list(HARM)}
    if do == 'fresh':
        import random
        import uuid
        return [str(uuid.uuid4()), random.random(), os.urandom(16).hex()]
    os.kill(PARENT, signal.SIGKILL)


print(json.dumps(main(json.load(sys.stdin))))
