# SPDX-License-Identifier: Apache-2.0
"""frames - plays the daemon for a runtime: the protocol of src/runtime/frame.h over a socketpair.

The runtime is started as a plain child, without a sandbox: what is tested is its contract with the
daemon on descriptor 3 and with the developer, not its isolation.
"""
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import time

INIT, READY, FAIL, CALL, ANSWER, ANSWER_HEAD, ANSWER_BODY, ANSWER_END, ERROR, LOG, CANCEL = range(1, 12)
DIRECT, HTTP = 0, 1
STDOUT, STDERR = 1, 2
HEAD = struct.Struct("<IBBHQ")
CALL_HEAD = struct.Struct("<32s26sB5xQI4x")
DEADLINE_S = 30


class Failed(Exception):
    """FAIL or ERROR: what the runtime says went wrong."""

    def __init__(self, payload):
        parts = payload.decode("utf-8").split("\0")
        assert len(parts) == 3, payload
        self.type, self.message, self.trace = parts
        super().__init__(f"{self.type}: {self.message}\n{self.trace}")


class Gone(Exception):
    """The runtime closed its descriptor 3."""


class Answer:
    def __init__(self, head, body, pieces):
        lines = head.decode("utf-8").split("\n")
        assert lines[-1] == "", head
        self.status = int(lines[0])
        assert len(lines[0]) == 3
        self.headers = [tuple(line.split(":", 1)) for line in lines[1:-1]]
        self.body = body
        self.pieces = pieces

    def header(self, name):
        found = [value for key, value in self.headers if key.lower() == name]
        return found[0] if found else None

    def json(self):
        return json.loads(self.body)


def event(method="GET", path="/", query="", headers=None, **more):
    """The head of a CALL as the daemon writes it: payload format 2.0 without its body."""
    head = {
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": headers or {},
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1",
                                    "sourceIp": "127.0.0.1", "userAgent": "frames"}},
    }
    if query:
        head["queryStringParameters"] = dict(p.split("=", 1) for p in query.split("&"))
    head.update(more)
    return head


class Runtime:
    """A started runtime. Use as a context; `output` and `errors` are what it printed on 1 and 2."""

    def __init__(self, command, environment=None, cwd=None, **init):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        env = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "MAYFLY_ORG": "acme", "MAYFLY_FUNCTION": "hello",
            "MAYFLY_VERSION": "3", "MAYFLY_MEMORY_MIB": "128", "MAYFLY_TIMEOUT_MS": "3000",
            "MAYFLY_CONCURRENCY": "1", "MAYFLY_RUNTIME": "test",
        }
        env.update({f"MAYFLY_{name.upper()}": str(value) for name, value in init.items()})
        env.update(environment or {})
        fd = theirs.fileno()
        close = "" if fd == 3 else f" {fd}<&-"
        script = f'exec 3<&{fd}{close}; exec "$@"'
        # A shell's redirections name descriptors of one digit only; bash takes longer ones.
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command], env=env, cwd=cwd, pass_fds=(fd,),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        theirs.close()
        self.socket = ours
        self.socket.settimeout(DEADLINE_S)
        self.number = 0
        self.logs = []
        self.early = []
        self.output = self.errors = None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        self.socket.close()
        if self.output is not None:
            return
        try:
            self.output, self.errors = self.process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGKILL)
            self.output, self.errors = self.process.communicate()

    def what_is_awake(self):
        """What keeps the main program from being at rest, as a keeper finds it; {} if nothing does:
        one thread in a read of descriptor 3, no child, no timer, descriptors 0 to 3."""
        proc = pathlib.Path("/proc", str(self.process.pid))
        found = {
            "threads": os.listdir(proc / "task") != [proc.name],
            "descriptors": sorted(os.listdir(proc / "fd")) != ["0", "1", "2", "3"],
            "children": (proc / "task" / proc.name / "children").read_text() != "",
            "timers": (proc / "timers").read_text() != "",
            "call": (proc / "syscall").read_text().split()[:2] != ["0", "0x3"],
        }
        return {key: value for key, value in found.items() if value}

    def rest(self):
        """Waits until the main program is at rest, which takes no time but that of a busy machine."""
        end = time.monotonic() + DEADLINE_S
        while self.what_is_awake():
            assert time.monotonic() < end, self.what_is_awake()
            time.sleep(0.002)
        return self

    def receive(self, size):
        data = b""
        while len(data) < size:
            more = self.socket.recv(size - len(data))
            if not more:
                raise Gone()
            data += more
        return data

    def frame(self):
        """The next frame: (kind, call, payload); LOG frames are put aside."""
        while True:
            size, kind, flags, zero, call = HEAD.unpack(self.receive(HEAD.size))
            assert zero == 0 and (flags == 0 or kind == LOG)
            payload = self.receive(size)
            if kind != LOG:
                return kind, call, payload
            self.logs.append((call, flags, payload))

    def ready(self):
        kind, call, payload = self.frame()
        assert call == 0
        if kind == FAIL:
            raise Failed(payload)
        assert kind == READY and payload == b""
        return self

    def send(self, head=None, body=b"", trigger=HTTP, random=None, call_id="01J00000000000000000000000",
             deadline_ms=None):
        """Sends CALL and gives its number."""
        self.number += 1
        text = json.dumps(head if head is not None else event()).encode() if trigger == HTTP else b""
        deadline = deadline_ms or int(time.time() * 1000) + 3000
        start = CALL_HEAD.pack(random or os.urandom(32), call_id.encode(), trigger, deadline, len(text))
        payload = start + text + body
        self.socket.sendall(HEAD.pack(len(payload), CALL, 0, 0, self.number) + payload)
        return self.number

    def cancel(self, number):
        self.socket.sendall(HEAD.pack(0, CANCEL, 0, 0, number))

    def next_of(self, number):
        for i, (kind, call, payload) in enumerate(self.early):
            if call == number:
                del self.early[i]
                return kind, payload
        while True:
            kind, call, payload = self.frame()
            if kind == FAIL:  # the runtime cannot go on: of every call
                raise Failed(payload)
            if call == number:
                return kind, payload
            self.early.append((kind, call, payload))

    def answer(self, number):
        """The whole answer of a call; raises Failed for ERROR."""
        kind, payload = self.next_of(number)
        if kind == ERROR:
            raise Failed(payload)
        if kind == ANSWER:
            size = struct.unpack_from("<I", payload)[0]
            return Answer(payload[4:4 + size], payload[4 + size:], None)
        assert kind == ANSWER_HEAD
        head, pieces = payload, []
        while True:
            kind, payload = self.next_of(number)
            if kind == ERROR:
                raise Failed(payload)
            if kind == ANSWER_END:
                assert payload == b""
                return Answer(head, b"".join(pieces), pieces)
            assert kind == ANSWER_BODY
            pieces.append(payload)

    def call(self, head=None, body=b"", **more):
        return self.answer(self.send(head, body, **more))

    def direct(self, value=None, **more):
        body = b"" if value is None else json.dumps(value).encode()
        return self.answer(self.send(None, body, trigger=DIRECT, **more)).json()
