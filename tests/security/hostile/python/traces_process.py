# SPDX-License-Identifier: Apache-2.0
"""Traces in the attributes of the process, its signals and timers."""
import ctypes
import os
import resource
import signal
import socket
import struct

from tools import MARK, call, check, libc, prctl, status, trace
from traces_memory import PAGES_AT


@trace
class a_variable:
    def leave():
        os.environ['LEFT'] = MARK

    def look():
        return os.environ.get('LEFT')


@trace
class a_variable_of_libc:
    def leave():
        libc.setenv(b'LEFT', b'x', 1)

    def look():
        libc.getenv.restype = ctypes.c_char_p
        return libc.getenv(b'LEFT') is not None


@trace
class a_folder:
    def leave():
        os.chdir('/tmp')

    def look():
        return os.getcwd()


@trace
class a_mask_of_modes:
    def leave():
        os.umask(0o077)

    def look():
        return status('Umask')


@trace
class soft_limits:
    def leave():
        for kind in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE, resource.RLIMIT_STACK):
            soft, hard = resource.getrlimit(kind)
            resource.setrlimit(kind, (100, hard) if hard != 0 else (0, 0))

    def look():
        return [resource.getrlimit(kind) for kind in range(16)]


@trace
class hard_limits:
    def leave():
        resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))

    def look():
        return resource.getrlimit(resource.RLIMIT_NOFILE)


@trace
class a_priority:
    def leave():
        os.nice(7)

    def look():
        return os.getpriority(os.PRIO_PROCESS, 0)


@trace
class a_priority_of_input_and_output:
    def leave():
        call(251, 1, 0, 3 << 13)

    def look():
        return call(252, 1, 0)


@trace
class a_scheduler:
    def leave():
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))

    def look():
        return os.sched_getscheduler(0)


@trace
class an_affinity:
    def leave():
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

    def look():
        return sorted(os.sched_getaffinity(0))


def attribute_of_the_first(name, work):
    """Of the process that the platform started, which may be another than the one that serves."""
    class made:
        def leave():
            work(2)

        def look():
            return [os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0), call(252, 1, 0),
                    sorted(os.sched_getaffinity(0)), resource.getrlimit(resource.RLIMIT_NOFILE),
                    status('SigPnd', 'ShdPnd')]
    made.__name__ = f'{name}_of_the_first_process'
    trace(made)


attribute_of_the_first('a_priority', lambda pid: os.setpriority(os.PRIO_PROCESS, pid, 17))
attribute_of_the_first('a_scheduler', lambda pid: os.sched_setscheduler(
    pid, os.SCHED_IDLE, os.sched_param(0)))
attribute_of_the_first('a_priority_of_io', lambda pid: call(251, 1, pid, 3 << 13))
attribute_of_the_first('an_affinity', lambda pid: os.sched_setaffinity(
    pid, {min(os.sched_getaffinity(0))}))
attribute_of_the_first('a_soft_limit', lambda pid: resource.prlimit(
    pid, resource.RLIMIT_NOFILE, (55, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
attribute_of_the_first('a_limit', lambda pid: resource.prlimit(pid, resource.RLIMIT_NOFILE, (55, 55)))
attribute_of_the_first('a_signal', lambda pid: (
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}), os.kill(pid, signal.SIGUSR1)))


def attribute(name, get, put, value, by_pointer=False):
    class made:
        def leave():
            prctl(put, value)

        def look():
            word = ctypes.c_int(0)
            try:
                got = prctl(get, ctypes.addressof(word) if by_pointer else 0)
            except OSError as error:
                return error.errno
            return word.value if by_pointer else got
    made.__name__ = name
    trace(made)


attribute('not_dumpable', 3, 4, 0)
attribute('a_subreaper', 37, 36, 1, by_pointer=True)
attribute('a_slack_of_timers', 30, 29, 123456)
attribute('a_signal_at_the_death_of_the_parent', 2, 1, 10, by_pointer=True)
attribute('no_huge_pages', 42, 41, 1)
attribute('no_writing_and_executing', 66, 65, 1)
attribute('a_policy_of_machine_checks', 34, 33, 1)
attribute('kept_capabilities', 7, 8, 1)


@trace
class a_name:
    def leave():
        open('/proc/self/comm', 'w').write('left')

    def look():
        return open('/proc/self/comm').read()


@trace
class a_score_for_the_killer:
    def leave():
        open('/proc/self/oom_score_adj', 'w').write('999')

    def look():
        return open('/proc/self/oom_score_adj').read()


@trace
class a_filter_of_dumps:
    def leave():
        open('/proc/self/coredump_filter', 'w').write('0x7f')

    def look():
        return open('/proc/self/coredump_filter').read()


@trace
class a_group_of_processes:
    def leave():
        try:
            os.setsid()
        except PermissionError:
            os.setpgid(0, 0)

    def look():
        return [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()]


@trace
class a_filter_of_system_calls:
    """getppid() fails from here on."""

    def leave():
        code = struct.pack('<HBBIHBBIHBBIHBBI', 0x20, 0, 0, 0, 0x15, 0, 1, 110, 6, 0, 0, 0x50001,
                           6, 0, 0, 0x7fff0000)
        room = ctypes.create_string_buffer(code, len(code))
        program = struct.pack('<HxxxxxxQ', 4, ctypes.addressof(room))
        call(317, 1, 0, ctypes.create_string_buffer(program, len(program)))

    def look():
        return libc.getppid() < 0


@trace
class a_landlock:
    """Nothing can be made in /tmp from here on."""

    def leave():
        rules = ctypes.create_string_buffer(struct.pack('<Q', 1 << 8), 8)
        fd = call(444, rules, 8, 0)
        call(446, fd, 0)
        os.close(fd)

    def look():
        try:
            open('/tmp/probe', 'w').close()
            os.unlink('/tmp/probe')
            return 'may write'
        except OSError as error:
            return error.errno


# ---- signals and timers ----

@trace
class a_handler_of_a_signal:
    def leave():
        signal.signal(signal.SIGUSR1, lambda *args: None)

    def look():
        return status('SigCgt')


@trace
class a_signal_that_is_ignored:
    def leave():
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    def look():
        return status('SigIgn')


@trace
class a_mask_of_signals:
    def leave():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGTERM})

    def look():
        return status('SigBlk')


@trace
class a_pending_signal:
    def leave():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
        os.kill(os.getpid(), signal.SIGUSR2)

    def look():
        return status('SigPnd', 'ShdPnd')


@trace
class a_stack_for_signals:
    def leave():
        stack = struct.pack('<QixxxxQ', PAGES_AT, 0, 1 << 16)
        check(libc.sigaltstack(ctypes.create_string_buffer(stack, 24), None))

    def look():
        old = ctypes.create_string_buffer(24)
        check(libc.sigaltstack(None, old))
        return struct.unpack('<QixxxxQ', old.raw)[2]


@trace
class a_descriptor_that_wakes:
    def leave():
        one, other = socket.socketpair()
        for end in (one, other):
            end.setblocking(False)
        signal.set_wakeup_fd(other.fileno())
        one.detach(), other.detach()

    def look():
        fd = signal.set_wakeup_fd(-1)
        if fd != -1:
            signal.set_wakeup_fd(fd)
        return fd


def interval(name, which):
    class made:
        def leave():
            signal.signal([signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF][which], signal.SIG_IGN)
            signal.setitimer(which, 900, 1)

        def look():
            return signal.getitimer(which)[0] > 0
    made.__name__ = name
    trace(made)


for which, interval_name in enumerate(('a_timer_of_the_clock', 'a_timer_of_its_time',
                                       'a_timer_of_all_its_time')):
    interval(interval_name, which)


@trace
class an_alarm_that_kills:
    def leave():
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(1000)

    def look():
        return signal.getitimer(signal.ITIMER_REAL)[0] > 0


@trace
class a_posix_timer:
    def leave():
        made = ctypes.c_int()
        event = ctypes.create_string_buffer(struct.pack('<Qii', 0, 10, 1), 64)
        call(222, 1, event, ctypes.addressof(made))

    def look():
        number = ctypes.create_string_buffer(32)
        try:
            call(224, 0, number)
            return 'there'
        except OSError as error:
            return error.errno
