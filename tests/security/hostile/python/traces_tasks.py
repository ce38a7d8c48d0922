# SPDX-License-Identifier: Apache-2.0
"""Traces in processes and threads."""
import asyncio
import os
import signal
import subprocess
import sys
import threading
import time

from tools import KEPT, descriptors, in_child, in_thread, processes, threads, trace


def process(name, work):
    class made:
        leave = work

        def look():
            return processes()
    made.__name__ = name
    trace(made)


def twice():
    if os.fork() == 0:
        os.setsid()
        in_child(lambda: time.sleep(900))
        os._exit(0)
    os.wait()


def deaf():
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    time.sleep(900)


def forker():
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            if os.fork() != 0:
                os._exit(0)
        except OSError:
            pass


def stopped():
    pid = in_child(lambda: time.sleep(900))
    os.kill(pid, signal.SIGSTOP)


def busy():
    while True:
        pass


process('a_child', lambda: in_child(lambda: time.sleep(900)))
process('a_child_in_its_own_session', twice)
process('a_child_that_is_stopped', stopped)
process('a_child_that_ignores_signals', lambda: in_child(deaf))
process('a_child_that_forks_for_ever', lambda: in_child(forker))
process('a_child_that_burns', lambda: in_child(busy))
process('a_zombie', lambda: in_child(lambda: None) and time.sleep(0.05))
process('a_program', lambda: KEPT.append(
    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(900)'])))


def thread(name, work):
    class made:
        def leave():
            in_thread(work)
            time.sleep(0.02)

        def look():
            return [threads(), threading.active_count(), TOUCHED]
    made.__name__ = name
    trace(made)


TOUCHED = [0]
VICTIM = bytearray(1 << 20)


def toucher():
    while True:
        TOUCHED[0] = 1
        for at in range(0, len(VICTIM), 4096):
            VICTIM[at] = 1


def eater():
    kept = []
    while True:
        kept.append(bytearray(b'x' * 65536))
        if len(kept) > 200:
            kept.clear()


thread('a_thread', lambda: time.sleep(900))
thread('a_thread_that_spins', busy)
thread('a_thread_that_writes_all_the_time', toucher)
thread('a_thread_that_takes_memory', eater)
thread('a_thread_that_reads', lambda: os.read(os.pipe()[0], 1))
thread('a_thread_that_waits_for_children', lambda: os.waitpid(in_child(lambda: time.sleep(900)), 0))


@trace
class a_timer_of_threading:
    def leave():
        threading.Timer(900, print).start()

    def look():
        return threads()


@trace
class a_loop_of_events:
    def leave():

        async def for_ever():
            while True:
                TOUCHED[0] += 1
                await asyncio.sleep(0.001)
        in_thread(lambda: asyncio.run(for_ever()))
        time.sleep(0.05)

    def look():
        return [TOUCHED, threads(), len(descriptors())]
