# SPDX-License-Identifier: Apache-2.0
"""words - errors of the function as its developer should read them.

Paths are shown as in the source folder, without frames of this shim or of the importer, and an
OSError that met a limit of the platform has the name of its errno.
"""
import errno

MAX_MESSAGE = 8 * 1024
MAX_TRACE = 16 * 1024
LIMITS = {errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EAGAIN, errno.ENOMEM}

_prefixes = []
_own = "/runtime"


def setup(code, deps, own):
    """Folders whose files are shown by their names inside, and the shim's own."""
    global _own
    _prefixes[:] = [(code.rstrip("/") + "/", ""), (deps.rstrip("/") + "/", "")]
    _own = own


def shown(text):
    for prefix, name in _prefixes:
        text = text.replace(prefix, name)
    return text


def type_of(error):
    if isinstance(error, OSError) and error.errno in LIMITS:
        return errno.errorcode[error.errno]
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return "EAGAIN"
    return type(error).__name__


def message_of(error):
    try:
        return shown(str(error))[:MAX_MESSAGE]
    except Exception:  # noqa: BLE001 - __str__ is the function's own
        return "an error that cannot be shown"


def is_foreign(frame):
    name = frame.f_code.co_filename
    return name.startswith(_own) or name.startswith("<frozen importlib") or "/importlib/" in name


def strip(error, seen):
    """Cuts the frames of the shim and of the importer from the start of each traceback."""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        trace = error.__traceback__
        while trace is not None and is_foreign(trace.tb_frame):
            trace = trace.tb_next
        error.__traceback__ = trace
        strip(error.__cause__, seen)
        error = error.__context__


def trace_of(error):
    try:
        import traceback  # takes long to load, and most functions never need it
        strip(error, set())
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        return shown("".join(lines))[:MAX_TRACE]
    except Exception:  # noqa: BLE001
        return ""


def payload(kind, message, trace):
    """type NUL message NUL trace, as ERROR and FAIL carry it."""
    parts = (part.replace("\0", " ") for part in (kind, message, trace))
    return "\0".join(parts).encode("utf-8", "replace")
