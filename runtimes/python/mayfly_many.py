# SPDX-License-Identifier: Apache-2.0
"""many - several calls at one time: threads for plain handlers, asyncio for `async def`, and the
output of each told apart by a context variable."""
import asyncio
import contextvars
import io
import os
import queue
import socket
import sys
import threading

import mayfly_answer as answers
import mayfly_channel as channel_of
from mayfly_call import Call, give_error, settle

STDOUT, STDERR = 1, 2
PIECE_SIZE = 256 * 1024
running = contextvars.ContextVar("mayfly_call")


class Output(io.RawIOBase):
    """Bytes that are written become LOG frames of the call that runs."""

    def __init__(self, channel, flag):
        self.channel = channel
        self.flag = flag

    def writable(self):
        return True

    def fileno(self):
        return self.flag

    def write(self, data):
        number = running.get(0)
        for at in range(0, len(data), PIECE_SIZE):
            self.channel.send(channel_of.LOG, number, bytes(data[at:at + PIECE_SIZE]), self.flag)
        self.channel.flush()
        return len(data)


class Text(io.TextIOBase):
    """Gathers what one call writes until a line is whole, so that calls do not cut each other."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, channel, flag):
        self.buffer = Output(channel, flag)
        self.pending = {}

    def writable(self):
        return True

    def fileno(self):
        return self.buffer.fileno()

    def write(self, text):
        number = running.get(0)
        whole = self.pending.pop(number, "") + text
        cut = whole.rfind("\n") + 1
        if cut:
            self.buffer.write(whole[:cut].encode("utf-8", self.errors))
        if cut < len(whole):
            self.pending[number] = whole[cut:]
        return len(text)

    def flush(self):
        rest = self.pending.pop(running.get(0), "")
        if rest:
            self.buffer.write(rest.encode("utf-8", self.errors))


def capture(channel):
    sys.stdout = sys.__stdout__ = Text(channel, STDOUT)
    sys.stderr = sys.__stderr__ = Text(channel, STDERR)


def flush_output():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass


def run_one(call, view, handler):
    running.set(call.number)
    try:
        event, context = call.begin(view)
        result = handler(event, context)
    except SystemExit as ending:
        end_process(ending)
    except Exception as error:  # noqa: BLE001
        flush_output()
        give_error(call, error)
    else:
        flush_output()
        settle(call, result)
        flush_output()
    call.channel.flush()


def end_process(ending):
    """sys.exit() in a handler ends the instance, in whatever thread it was said."""
    flush_output()
    status = ending.code
    os._exit(status if isinstance(status, int) else 0 if status is None else 1)


def serve_threads(channel, handler, concurrency):
    """Each call on one of at most `concurrency` threads, started when they are needed. Where the
    function's process limit allows no more, calls wait for the threads that there are."""
    work = queue.SimpleQueue()
    calls = {}
    idle = threading.Semaphore(0)
    n_threads, most = 0, concurrency

    def loop():
        while True:
            idle.release()
            call, view = work.get()
            contextvars.copy_context().run(run_one, call, view, handler)
            calls.pop(call.number, None)

    for kind, number, view in channel.frames():
        if kind == channel_of.CALL:
            call = calls[number] = Call(channel, number)
            work.put((call, bytes(view)))
            if idle.acquire(blocking=False) or n_threads >= most:
                continue
            try:
                threading.Thread(target=loop, daemon=True).start()
            except RuntimeError:  # the interpreter's word for EAGAIN
                if n_threads == 0:
                    raise
                most = n_threads
                continue
            n_threads += 1
            idle.acquire()
        elif kind == channel_of.CANCEL and number in calls:
            calls[number].is_cancelled = True


async def run_async(call, event, context, handler, restore):
    running.set(call.number)
    try:
        if restore is not None:
            restored = restore()
            if hasattr(restored, "__await__"):
                await restored
        result = handler(event, context)
        if not hasattr(result, "__aiter__"):
            result = await result
        flush_output()
        await settle_async(call, result)
    except SystemExit as ending:
        end_process(ending)
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
        flush_output()
        give_error(call, error)
    flush_output()
    call.channel.flush()


async def settle_async(call, result):
    channel, number = call.channel, call.number
    if not hasattr(result, "__aiter__") and not call.is_http:
        settle(call, result)
        return
    if not call.is_http:
        channel.answer(number, *answers.collected([answers.piece(one) async for one in result]))
        return
    head, body = answers.http(result)
    if not hasattr(body, "__aiter__"):
        settle(call, result)
        return
    channel.send(channel_of.ANSWER_HEAD, number, head)
    async for value in body:
        data = answers.piece(value)
        if data:
            channel.send(channel_of.ANSWER_BODY, number, data)
            channel.flush()
    channel.send(channel_of.ANSWER_END, number, b"")


def new_loop():
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


def serve_async(channel, handler, loop, restore=None):
    """Each call is a task; CANCEL cancels it."""
    frames = channel.frames(socket.MSG_DONTWAIT)
    tasks = {}

    def begin(number, view):
        call = Call(channel, number)
        try:
            event, context = call.begin(view)
        except Exception as error:  # noqa: BLE001 - what the caller sent is not JSON
            give_error(call, error)
            channel.flush()
            return
        task = tasks[number] = loop.create_task(run_async(call, event, context, handler, restore))
        task.add_done_callback(lambda _: tasks.pop(number, None))

    def on_readable():
        for frame in frames:
            if frame is None:
                return
            kind, number, view = frame
            if kind == channel_of.CALL:
                begin(number, view)
            elif kind == channel_of.CANCEL and number in tasks:
                tasks[number].cancel()
        loop.stop()

    loop.add_reader(channel.socket.fileno(), on_readable)
    loop.run_forever()
