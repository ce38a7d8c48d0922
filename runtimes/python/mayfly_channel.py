# SPDX-License-Identifier: Apache-2.0
"""channel - frames on descriptor 3 (src/runtime/frame.h).

Reads land in one buffer that is used again and again; a frame is handed over as a view into it,
valid until the next one is asked for. Writes are gathered and leave by one send(2) at flush().

The modules `socket` and `threading` take longer to load than all of this shim; what they stand on
is enough here.
"""
import _socket
import _thread
import struct

INIT, READY, FAIL, CALL, ANSWER, ANSWER_HEAD, ANSWER_BODY, ANSWER_END, ERROR, LOG, CANCEL = range(1, 12)

HEAD = struct.Struct("<IBBHQ")
ANSWER_START = struct.Struct("<IBBHQI")
HEAD_SIZE = HEAD.size
IN_SIZE = 128 * 1024
OUT_SIZE = 64 * 1024

_spares = []  # buffers made ahead: see template.py


class Channel:
    def __init__(self, fd):
        self.socket = _socket.socket(fileno=fd)
        self.socket.setblocking(True)
        self.lock = _thread.allocate_lock()
        self.out = []
        self.out_size = 0

    def frames(self, flags=0):
        """Every frame that comes, as (kind, call, view), until the other side is gone. With
        MSG_DONTWAIT gives None where it would wait."""
        buffer = _spares.pop() if _spares else bytearray(IN_SIZE)
        view = memoryview(buffer)
        receive = self.socket.recv_into
        unpack = HEAD.unpack_from
        start = end = 0
        while True:
            while end - start >= HEAD_SIZE:
                size, kind, _, _, number = unpack(buffer, start)
                stop = start + HEAD_SIZE + size
                if stop > end:
                    break
                yield kind, number, view[start + HEAD_SIZE:stop]
                start = stop
            if start == end:
                if flags:
                    yield None
                start = end = 0
                if len(buffer) > IN_SIZE:
                    buffer = bytearray(IN_SIZE)
                    view = memoryview(buffer)
            else:
                buffer, view = self.make_room(buffer, view, start, end)
                start, end = 0, end - start
            try:
                n = receive(view[end:] if end else view, 0, flags)
            except BlockingIOError:
                yield None
                continue
            if n == 0:
                return
            end += n

    @staticmethod
    def make_room(buffer, view, start, end):
        """Brings a frame that is not whole to the front of a buffer that can hold it."""
        size = IN_SIZE
        if end - start >= HEAD_SIZE:
            size = max(IN_SIZE, HEAD_SIZE + HEAD.unpack_from(buffer, start)[0])
        if size > len(buffer):
            larger = bytearray(size)
            larger[:end - start] = view[start:end]
            return larger, memoryview(larger)
        view[:end - start] = bytes(view[start:end])
        return buffer, view

    def answer(self, number, head, body):
        """ANSWER with the bytes of its head and of its body."""
        size = len(head)
        start = ANSWER_START.pack(4 + size + len(body), ANSWER, 0, 0, number, size)
        if len(body) < OUT_SIZE:
            self.put(start + head + body)
        else:
            self.put(start + head, body)

    def send(self, kind, number, payload, flags=0):
        self.put(HEAD.pack(len(payload), kind, flags, 0, number), payload)

    def put(self, *parts):
        """Parts of one call of put() stay together, whatever other threads put."""
        with self.lock:
            self.out.extend(parts)
            self.out_size += sum(map(len, parts))
            if self.out_size >= OUT_SIZE:
                self.write()

    def flush(self):
        with self.lock:
            if self.out:
                self.write()

    def write(self):
        out, self.out, self.out_size = self.out, [], 0
        self.socket.sendall(out[0] if len(out) == 1 else b"".join(out))
