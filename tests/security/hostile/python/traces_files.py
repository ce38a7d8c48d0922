# SPDX-License-Identifier: Apache-2.0
"""Traces in files."""
import fcntl
import os
import stat
import struct

from tools import MARK, descriptors, tmp, trace


def made_file(name, make):
    class made:
        leave = make

        def look():
            return tmp()
    made.__name__ = name
    trace(made)


def write(path, content=MARK):
    with open(path, 'w') as out:
        out.write(content)


def deep():
    path = '/tmp'
    for _ in range(200):
        path += '/deeper'
        os.mkdir(path)
    write(f'{path}/file')


def closed_folder():
    os.mkdir('/tmp/closed')
    write('/tmp/closed/file')
    os.chmod('/tmp/closed', 0)


made_file('a_file', lambda: write('/tmp/file'))
made_file('a_hidden_file', lambda: write('/tmp/.hidden'))
made_file('a_deep_file', deep)
made_file('a_file_with_an_odd_name', lambda: write('/tmp/a\nb\x01 \udcff'))
made_file('a_link', lambda: os.symlink('/code', '/tmp/link'))
made_file('a_pipe_file', lambda: os.mkfifo('/tmp/fifo'))
made_file('a_folder_that_is_closed', closed_folder)
made_file('many_files', lambda: [write(f'/tmp/{n}', '') for n in range(700)] and None)
made_file('a_file_in_shared_memory', lambda: write('/dev/shm/file'))
made_file('a_file_that_cannot_be_written', lambda: (write('/tmp/fixed'), os.chmod('/tmp/fixed', 0)) and None)


@trace
class bytes_of_tmp:
    def leave():
        write('/tmp/large', 'x' * (1 << 20))

    def look():
        at = os.statvfs('/tmp')
        return [at.f_blocks - at.f_bfree, at.f_files - at.f_ffree]


@trace
class the_mode_of_tmp:
    def leave():
        os.chmod('/tmp', 0o700)

    def look():
        return stat.S_IMODE(os.stat('/tmp').st_mode)


@trace
class the_time_of_tmp:
    def leave():
        os.utime('/tmp', (1234567, 1234567))

    def look():
        return os.stat('/tmp').st_mtime == 1234567 or os.stat('/tmp').st_atime == 1234567


@trace
class an_attribute_of_tmp:
    def leave():
        os.setxattr('/tmp', 'user.left', MARK.encode())

    def look():
        return os.listxattr('/tmp')


@trace
class a_right_in_tmp:
    """What is made in it gets an access control list from now on."""

    def leave():
        entries = b''.join(struct.pack('<HHI', kind, 7, 0xffffffff) for kind in (1, 4, 0x20))
        os.setxattr('/tmp', 'system.posix_acl_default', struct.pack('<I', 2) + entries)

    def look():
        return os.listxattr('/tmp')


@trace
class a_watch_on_a_folder:
    def leave():
        fd = os.open('/tmp', os.O_RDONLY)
        fcntl.fcntl(fd, fcntl.F_NOTIFY, 0x8000001f & 0x7fffffff | 0x1f)

    def look():
        return descriptors()
