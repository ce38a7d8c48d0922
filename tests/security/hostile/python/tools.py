# SPDX-License-Identifier: Apache-2.0
"""What traces are made with."""
import ctypes
import os
import re
import threading


libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
libc.mmap.restype = libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
MARK = 'left-' + 'behind'
TRACES = {}
KEPT = []  # what would else be closed when nobody has it any more


def trace(made):
    TRACES[made.__name__] = made
    return made


def check(result):
    """As the kernel says it: an OSError for -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def call(number, *arguments):
    return check(libc.syscall(ctypes.c_long(number), *[
        ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]))


def prctl(*arguments):
    return check(libc.prctl(*[ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:5]]))


def status(*names):
    lines = dict(line.rstrip('\n').split(':\t', 1) for line in open('/proc/self/status') if ':\t' in line)
    return {name: lines.get(name) for name in names}


def descriptors():
    """What is open, but for the folder that is read for it."""
    found = {}
    for name in os.listdir('/proc/self/fd'):
        try:
            found[name] = os.readlink(f'/proc/self/fd/{name}').split(':')[0]
        except OSError:
            pass
    return found


def fdinfo(fd):
    """Without what numbers differ from one sandbox to another."""
    return re.sub('(ino|mnt_id|sdev):\\S*\\s*[0-9a-f]*', '', open(f'/proc/self/fdinfo/{fd}').read())


def tmp():
    return sorted(name for name in os.listdir('/tmp'))


def processes():
    return len([name for name in os.listdir('/proc') if name.isdigit()])


def threads():
    return len(os.listdir('/proc/self/task'))


def in_thread(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def in_child(work):
    """Runs it in a process that never comes back."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid
