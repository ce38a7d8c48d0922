# SPDX-License-Identifier: Apache-2.0
"""template - a Python that is booted once, and forked for each instance (src/sandbox/template.h).

    python3 /runtime/template.py

Loads what most functions load, takes the way of a call with a handler of its own, and waits for
forks. A fork is inside its sandbox, reads the INIT frame that a booted instance's environment is
made of, and goes on in shim.py. Where a fork would not be what a boot is, it boots: it becomes a
new Python in its place.
"""
import gc
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
BOOTED = set(sys.modules)

import mayfly_fork  # noqa: E402

mayfly_fork.prepare()

import shim  # noqa: E402

LOADED = """base64 bisect collections.abc concurrent.futures.thread contextlib copy csv dataclasses
    datetime decimal enum functools glob gzip hashlib heapq hmac importlib inspect io itertools json
    logging math operator os.path pathlib queue random re secrets select selectors shutil socket string
    struct subprocess tempfile textwrap threading time traceback types typing unicodedata urllib.parse
    uuid zlib""".split()

# Variables that an interpreter, libc or a library looks at when it begins.
AT_BOOT = ("PYTHON", "LD_", "LC_", "LANG", "LANGUAGE", "MALLOC_", "GLIBC_TUNABLES", "OPENSSL_")

BASE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/tmp", "TMPDIR": "/tmp",
        "LANG": "C.UTF-8", "TZ": "UTC"}
COMMAND = "MAYFLY_COMMAND_"
WARM = 24  # turns, after which Python has settled what it makes of code


def load():
    for name in LOADED:
        try:
            __import__(name)
        except ImportError:
            pass  # this Python is built without it


def warm_call(json, socket):
    """A call and its answer, by a handler of ours."""
    def handler(event, context):
        context.get_remaining_time_in_millis()
        return {"statusCode": 200, "headers": {"a": "b"}, "body": json.dumps(event)}

    here, there = socket.socketpair()
    channel = shim.channel_of.Channel(there.detach())
    head = b'{"headers":{"content-type":"application/json"},"rawPath":"/"}'
    call = shim.call_of.START.pack(bytes(32), b"0" * 26, shim.call_of.HTTP, 0, len(head))
    for payload in (call + head, call + head + b"{}"):
        here.sendall(shim.channel_of.HEAD.pack(len(payload), shim.channel_of.CALL, 0, 0, 1) + payload)
    here.shutdown(socket.SHUT_WR)
    shim.serve_plainly(channel, handler, None)
    here.close()
    channel.socket.close()


def warm_start(loader, path):
    """What a fork does before its first call."""
    environment, _ = parse_init(b"MAYFLY_HANDLER=main.handler\0MAYFLY_COMMAND_0=a\0B=c\0")
    must_boot(environment, {"none"})
    os.environ.clear()
    os.environ.update(environment)
    os.environ.clear()
    os.environ.update(BASE)
    source = loader("mayfly_warm", os.path.join(HERE, "mayfly_load.py"))
    exec(source.source_to_code(source.get_data(source.path), source.path), {"__name__": "mayfly_warm"})
    shim.load.function("mayfly_warm.handler", HERE, shim.DEPS)
    del sys.modules["mayfly_warm"]
    sys.path[:] = path
    os.chdir("/")


def warm():
    """An interpreter writes into what it runs: counts, and faster forms of what runs often. What is
    written here is not copied in each fork."""
    import _socket
    import json
    from importlib.machinery import SourceFileLoader

    path = list(sys.path)
    for _ in range(WARM):
        warm_call(json, _socket)
        warm_start(SourceFileLoader, path)
    shim.channel_of._spares.append(bytearray(shim.channel_of.IN_SIZE))


def read_init():
    """The payload of the first frame."""
    def read(size):
        data = bytearray()
        while len(data) < size:
            try:
                got = os.read(3, size - len(data))
            except BlockingIOError:
                import select
                select.select([3], [], [])
                continue
            if not got:
                os._exit(0)  # the daemon does not want this sandbox any more
            data += got
        return bytes(data)

    size, kind, _, _, _ = shim.channel_of.HEAD.unpack(read(shim.channel_of.HEAD_SIZE))
    if kind != shim.channel_of.INIT:
        os.write(2, b"mayfly: the first frame is not INIT\n")
        os._exit(127)
    return read(size)


def parse_init(payload):
    """Gives (environment, command) as mayfly-init makes them."""
    environment, command = dict(BASE), {}
    for variable in payload.split(b"\0"):
        name, equals, value = variable.partition(b"=")
        if not name or not equals:
            continue
        name, value = os.fsdecode(name), os.fsdecode(value)
        if name.startswith(COMMAND):
            command[int(name[len(COMMAND):])] = value
        else:
            environment[name] = value
    return environment, [command[n] for n in sorted(command)]


def names_of(folder):
    try:
        return {name.partition(".")[0] for name in os.listdir(folder)}
    except OSError:
        return set()


def must_boot(environment, loaded):
    """Whether a Python of its own would begin in another way, or find other modules first than
    those that are loaded here."""
    for name, value in environment.items():
        if name.startswith(AT_BOOT) and BASE.get(name) != value:
            return True
    return not loaded.isdisjoint(names_of(shim.CODE) | names_of(shim.DEPS))


def become(environment):
    """The process that it would be with this environment from the start."""
    os.environ.clear()
    os.environ.update(environment)
    if environment["TZ"] != BASE["TZ"]:
        import time
        time.tzset()
    shim.random.renew_from_kernel()


def main():
    load()
    warm()
    loaded = {name.partition(".")[0] for name in set(sys.modules) - BOOTED}
    loaded = {name for name in loaded if not name.startswith("mayfly_") and name != "shim"}
    shim.random.prepare()
    del sys.argv[1:]
    gc.collect()
    gc.freeze()
    if mayfly_fork.serve() == 0:
        os._exit(0)
    environment, command = parse_init(read_init())
    if must_boot(environment, loaded):
        os.execve(command[0], command, environment)
    become(environment)
    shim.run()


if __name__ == "__main__":
    main()
