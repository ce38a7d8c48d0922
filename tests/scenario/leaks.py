# SPDX-License-Identifier: Apache-2.0
"""leaks - what a daemon left behind: processes, cgroups, mounts.

A process belongs to a daemon when its cgroup, its environment or its command line says so: the
daemon runs with a tag of its own in all three. Whoever loses its parent becomes our child, so an
orphan that hides from all of these is found by `orphans()` at the end of the session.
"""
import ctypes
import os
import pathlib
import time

PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans():
    """From here on, descendants that lose their parent become children of this process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'prctl')


def _read(path):
    try:
        return pathlib.Path(path).read_bytes().decode(errors='replace')
    except OSError:
        return ''


def _state(pid):
    return _read(f'/proc/{pid}/stat').rpartition(')')[2].split()[:2] or ['Z', '0']


def _pids():
    return [int(name) for name in os.listdir('/proc') if name.isdigit()]


def processes(tag, folders):
    """Living processes of a daemon, as (pid, command line)."""
    signs = [tag, *map(str, folders)]
    found = []
    for pid in _pids():
        if pid == os.getpid():
            continue
        texts = [_read(f'/proc/{pid}/{name}') for name in ('cgroup', 'environ', 'cmdline')]
        is_ours = any(sign in text for text in texts for sign in signs)
        if is_ours and _state(pid)[0] != 'Z':
            found.append((pid, texts[2].replace('\0', ' ') or _read(f'/proc/{pid}/comm')))
    return found


def cgroups(tag):
    """Groups that a daemon made below the parent that its settings name, in every hierarchy."""
    return [folder for folder, _, _ in os.walk('/sys/fs/cgroup') if f'{tag}/' in folder]


def remove_parents(tag):
    """The parents themselves: what an operator names is nobody's to remove but ours."""
    for folder, _, _ in os.walk('/sys/fs/cgroup'):
        if folder.endswith(f'/{tag}'):
            os.rmdir(folder)


def mounts(folders):
    return [line for line in _read('/proc/self/mountinfo').splitlines()
            if any(str(folder) in line for folder in folders)]


def _bury(pid):
    """Whoever adopts must wait for the dead: a namespace's init ends only behind all its own."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def orphans():
    """Children of this process that live in another pid namespace or are programs of mayfly."""
    found = []
    for pid in _pids():
        state, parent = _state(pid)
        if parent != str(os.getpid()):
            continue
        if state == 'Z':
            _bury(pid)
            continue
        if _namespace(pid) != _namespace('self') or _read(f'/proc/{pid}/comm').startswith('mayfly'):
            found.append((pid, _read(f'/proc/{pid}/cmdline').replace('\0', ' ')))
    return found


def check_no_orphans(wait_s):
    """Fails unless whoever is about to die is gone within wait_s."""
    end = time.monotonic() + wait_s
    while orphans() and time.monotonic() < end:
        time.sleep(0.05)
    assert not orphans(), orphans()


def _namespace(pid):
    try:
        return os.readlink(f'/proc/{pid}/ns/pid')
    except OSError:
        return None


def check(tag, folders, wait_s):
    """Fails unless everything of the daemon is gone within wait_s."""
    end = time.monotonic() + wait_s
    while True:
        left = {'processes': processes(tag, folders), 'cgroups': cgroups(tag),
                'mounts': mounts(folders)}
        if not any(left.values()):
            break
        assert time.monotonic() < end, f'left behind by the daemon: {left}'
        time.sleep(0.05)
    remove_parents(tag)
