# SPDX-License-Identifier: Apache-2.0
"""Traces in the memory of the process: its mappings, and what is said of them."""
import ctypes
import errno
import fcntl
import mmap
import os
import resource
import struct

from tools import MARK, call, check, libc, prctl, status, trace

PAGES = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
PAGES[:] = b'\1' * len(PAGES)
PAGES_AT = ctypes.addressof(ctypes.c_char.from_buffer(PAGES))


def map_of(address):
    """The mapping that has it, as maps tells, and its flags but those that a keeper sets."""
    lines, flags = None, None
    for line in open('/proc/self/smaps'):
        words = line.split()
        if '-' in words[0] and ':' not in words[0]:
            start, end = (int(part, 16) for part in words[0].split('-'))
            lines = words if start <= address < end else None
        elif words[0] == 'VmFlags:' and lines:
            flags = [word for word in words[1:] if word not in ('uw', 'um', 'ui', 'sd')]
            return [lines[1], *lines[3:5], *flags]
    return None


@trace
class bytes_in_every_page:
    def leave():
        for at in range(0, len(PAGES), 4096):
            PAGES[at] = 7

    def look():
        return sum(PAGES[at] == 7 for at in range(0, len(PAGES), 4096))


@trace
class bytes_in_pages_that_were_dropped_first:
    def leave():
        PAGES.madvise(mmap.MADV_DONTNEED)
        PAGES[5000:5000 + len(MARK)] = MARK.encode()

    def look():
        return [PAGES[0], PAGES[5000], PAGES[9000]]


@trace
class pages_that_were_dropped:
    def leave():
        PAGES.madvise(mmap.MADV_DONTNEED)

    def look():
        return [PAGES[0], PAGES[4096 * 7], PAGES[-1]]


@trace
class bytes_behind_a_cleared_tracker:
    """Soft-dirty bits are the program's own to clear, where it can write to clear_refs."""

    def leave():
        PAGES[100] = 9
        open('/proc/self/clear_refs', 'w').write('4')

    def look():
        return PAGES[100]


@trace
class bytes_behind_a_scan:
    """PAGEMAP_SCAN with PM_SCAN_WP_MATCHING makes a page that was written look as if it were not."""

    def leave():
        PAGES[200] = 9
        fd = os.open('/proc/self/pagemap', os.O_RDONLY)
        room = (ctypes.c_uint64 * 300)()
        written = 1 << 1  # PAGE_IS_WRITTEN
        scan = bytearray(struct.pack('<12Q', 96, 3, PAGES_AT, PAGES_AT + len(PAGES), 0,
                                     ctypes.addressof(room), 100, 0, 0, written, 0, written))
        try:
            fcntl.ioctl(fd, 0xC0606610, scan)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL, errno.ENOTTY):
                raise
        os.close(fd)

    def look():
        return PAGES[200]


@trace
class bytes_of_the_program_text:
    """/proc/self/mem writes where no page can be written."""

    def leave():
        with open('/proc/self/mem', 'r+b', buffering=0) as memory:
            memory.seek(bytes_of_the_program_text.address())
            memory.write(b'\xcc')

    def look():
        return ctypes.string_at(bytes_of_the_program_text.address(), 1)[0]

    def address():
        return ctypes.cast(libc.ether_ntohost, ctypes.c_void_p).value


@trace
class a_protection:
    def leave():
        check(libc.mprotect(ctypes.c_void_p(PAGES_AT + 8192), 4096, 5))

    def look():
        return map_of(PAGES_AT + 8192)[0]


@trace
class a_new_mapping:
    AT = 0x100000000000  # where neither the heap nor a library ever is

    def leave():
        at = libc.mmap(ctypes.c_void_p(a_new_mapping.AT), 8192, 3, 0x100022, -1, 0)
        assert at == a_new_mapping.AT
        ctypes.memmove(at, MARK.encode(), len(MARK))

    def look():
        return map_of(a_new_mapping.AT)


@trace
class a_new_shared_mapping:
    def leave():
        at = libc.mmap(ctypes.c_void_p(a_new_mapping.AT), 8192, 3, 0x100021, -1, 0)
        ctypes.memmove(at, MARK.encode(), len(MARK))

    def look():
        return map_of(a_new_mapping.AT)


@trace
class a_mapped_file:
    def leave():
        fd = os.open('/code/main.py', os.O_RDONLY)
        libc.mmap(ctypes.c_void_p(a_new_mapping.AT), 4096, 1, 0x100002, fd, 0)
        os.close(fd)

    def look():
        return map_of(a_new_mapping.AT)


@trace
class a_deleted_file_that_is_mapped:
    def leave():
        fd = os.open('/tmp/mapped', os.O_RDWR | os.O_CREAT)
        os.write(fd, MARK.encode() * 1000)
        libc.mmap(ctypes.c_void_p(a_new_mapping.AT), 4096, 3, 0x100001, fd, 0)
        os.close(fd)
        os.unlink('/tmp/mapped')

    def look():
        return map_of(a_new_mapping.AT)


@trace
class a_sealed_mapping:
    def leave():
        at = libc.mmap(ctypes.c_void_p(a_new_mapping.AT), 4096, 3, 0x100022, -1, 0)
        ctypes.memmove(at, MARK.encode(), len(MARK))
        call(462, at, 4096, 0)

    def look():
        return map_of(a_new_mapping.AT)


@trace
class a_mapping_that_was_replaced:
    """Same place, same protection, other memory, which nobody watches."""

    def leave():
        libc.mmap(ctypes.c_void_p(PAGES_AT), len(PAGES), 3, 0x32, -1, 0)
        ctypes.memmove(PAGES_AT + 300, MARK.encode(), len(MARK))

    def look():
        return [PAGES[0], PAGES[300], PAGES[-1]]


@trace
class a_mapping_that_is_gone:
    SPARE = mmap.mmap(-1, 1 << 16, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    AT = ctypes.addressof(ctypes.c_char.from_buffer(SPARE))

    def leave():
        check(libc.munmap(ctypes.c_void_p(a_mapping_that_is_gone.AT), 1 << 16))

    def look():
        return map_of(a_mapping_that_is_gone.AT) is None


@trace
class a_mapping_that_moved_and_came_back:
    def leave():
        move = libc.mremap
        move.restype = ctypes.c_void_p
        there = ctypes.c_void_p(0x200000000000)
        assert move(ctypes.c_void_p(PAGES_AT), 1 << 20, 1 << 20, 3, there) == 0x200000000000
        assert move(there, 1 << 20, 1 << 20, 3, ctypes.c_void_p(PAGES_AT)) == PAGES_AT
        PAGES[400] = 9

    def look():
        return PAGES[400]


def advice(name, number):
    class made:
        def leave():
            check(libc.madvise(ctypes.c_void_p(PAGES_AT), len(PAGES), number))

        def look():
            return map_of(PAGES_AT)
    made.__name__ = name
    trace(made)


for advice_name, advice_number in {'dontfork': 10, 'mergeable': 12, 'hugepage': 14, 'nohugepage': 15,
                                   'dontdump': 16, 'wipeonfork': 18, 'random': 1}.items():
    advice(f'the_advice_{advice_name}', advice_number)


@trace
class locked_memory:
    def leave():
        check(libc.mlock(ctypes.c_void_p(PAGES_AT), 4096))

    def look():
        return [status('VmLck'), map_of(PAGES_AT)]


@trace
class a_lock_on_all_memory_to_come:
    def leave():
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.getrlimit(resource.RLIMIT_MEMLOCK)[1],) * 2)
        check(libc.mlockall(2 | 4))

    def look():
        probe = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        flags = map_of(ctypes.addressof(ctypes.c_char.from_buffer(probe)))
        return 'lo' in flags


@trace
class a_program_break:
    def leave():
        at = libc.sbrk(1 << 20)
        ctypes.memmove(at, MARK.encode(), len(MARK))

    def look():
        return libc.sbrk(0) - a_program_break.START >> 20

    START = libc.sbrk(0)


@trace
class a_name_of_memory:
    def leave():
        prctl(0x53564d41, 0, PAGES_AT, len(PAGES), ctypes.addressof(a_name_of_memory.NAME))

    def look():
        return MARK in open('/proc/self/maps').read()

    NAME = ctypes.create_string_buffer(MARK.encode())
