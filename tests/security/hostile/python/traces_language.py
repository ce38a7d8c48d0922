# SPDX-License-Identifier: Apache-2.0
"""Traces in the memory of Python: modules, classes, settings of the interpreter."""
import builtins
import ctypes
import decimal
import functools
import gc
import json
import logging
import os
import socket
import sys
import threading
import time
import warnings

from tools import MARK, libc, trace

LIST, DEFAULTS = [], {}


class Thing:
    pass


def counting():
    n = 0

    def count():
        nonlocal n
        n += 1
        return n
    return count, lambda: n


COUNT, COUNTED = counting()


@functools.lru_cache
def cached(key):
    return key


@trace
class a_global:
    def leave():
        globals()['LEFT'] = MARK

    def look():
        return 'LEFT' in globals()


@trace
class a_list_that_grew:
    def leave():
        LIST.append(MARK)

    def look():
        return LIST


@trace
class a_class_attribute:
    def leave():
        Thing.left = MARK

    def look():
        return hasattr(Thing, 'left')


@trace
class a_closure:
    leave, look = COUNT, COUNTED


@trace
class a_default_argument:
    def leave(kept=DEFAULTS):
        kept['left'] = MARK

    def look():
        return DEFAULTS


@trace
class a_cache:
    def leave():
        cached(MARK)

    def look():
        return cached.cache_info().currsize


@trace
class an_interned_string:
    def leave():
        LIST.append(sys.intern(''.join(['in', 'terned', MARK])))
        LIST.pop()
        builtins.__dict__.setdefault('_kept', []).append(sys.intern(''.join(['in', 'terned', MARK])))

    def look():
        fresh = ''.join(['in', 'terned', MARK])
        return sys.intern(fresh) is fresh


@trace
class a_builtin:
    def leave():
        builtins.sorted = lambda values: [MARK]

    def look():
        return sorted([2, 1])


@trace
class a_patched_function:
    def leave():
        real = json.dumps
        json.dumps = lambda *args, **kwargs: real(*args, **kwargs)

    def look():
        return json.dumps.__name__


@trace
class a_module_that_was_loaded:
    def leave():
        import colorsys
        colorsys.left = MARK

    def look():
        return 'colorsys' in sys.modules


@trace
class a_module_that_was_forged:
    def leave():
        sys.modules['forged'] = Thing()

    def look():
        return 'forged' in sys.modules


@trace
class a_folder_to_import_from:
    def leave():
        sys.path.insert(0, '/tmp')

    def look():
        return sys.path


@trace
class settings_of_the_interpreter:
    def leave():
        sys.setrecursionlimit(4321)
        sys.setswitchinterval(0.5)
        gc.set_threshold(123, 4, 5)
        gc.disable()

    def look():
        return [sys.getrecursionlimit(), sys.getswitchinterval(), gc.get_threshold(), gc.isenabled()]


@trace
class hooks_of_the_interpreter:
    def leave():
        sys.excepthook = print
        sys.displayhook = print
        threading.settrace(lambda *args: None)
        gc.callbacks.append(lambda *args: None)

    def look():
        return [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__,
                threading.gettrace() is None, len(gc.callbacks)]


@trace
class a_stream_that_was_replaced:
    def leave():
        import io
        sys.stderr = io.StringIO()

    def look():
        return type(sys.stderr).__name__


@trace
class settings_of_modules:
    def leave():
        decimal.getcontext().prec = 3
        logging.getLogger().addHandler(logging.NullHandler())
        logging.getLogger('left').setLevel(7)
        warnings.simplefilter('error')
        socket.setdefaulttimeout(12)

    def look():
        return [decimal.getcontext().prec, len(logging.getLogger().handlers), len(warnings.filters),
                'left' in logging.getLogger().manager.loggerDict, socket.getdefaulttimeout()]


@trace
class a_time_zone:
    def leave():
        os.environ['TZ'] = 'XYZ-5'
        time.tzset()

    def look():
        return time.tzname


@trace
class freed_memory:
    SIZE, OFFSET = 3000, 1024

    def leave():
        blocks = [libc.malloc(freed_memory.SIZE) for _ in range(64)]
        for block in blocks:
            ctypes.memset(block + freed_memory.OFFSET, 0x5a, 512)
        for block in blocks:
            libc.free(block)

    def look():
        blocks = [libc.malloc(freed_memory.SIZE) for _ in range(64)]
        found = any(b'\x5a' * 64 in ctypes.string_at(block + freed_memory.OFFSET, 512) for block in blocks)
        for block in blocks:
            libc.free(block)
        return found
