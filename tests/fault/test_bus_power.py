# SPDX-License-Identifier: Apache-2.0
"""The power is cut: a disk has what was synced, and of what was written since then any part, in
sectors, in any order. The embedded bus still has all that it acknowledged.

bus_driver records what it does to its files and what it acknowledges; here the disk is made as it
may be after each of many cuts, and the driver looks at it."""
import collections
import random
import struct
import time

import pytest

from test_bus_kill import DRIVER, subprocess

OPENED, WROTE, TRUNCATED, SYNCED, NOTED, REMOVED = range(6)
HEAD = struct.Struct('=IIQQ')
SECTOR = 512
CUTS = 40

Record = collections.namedtuple('Record', 'kind fd at data')


def read(journal):
    records, bytes_, at = [], journal.read_bytes(), 0
    while at < len(bytes_):
        kind, fd, offset, n = HEAD.unpack_from(bytes_, at)
        at += HEAD.size
        records.append(Record(kind, fd, offset, bytes_[at:at + n]))
        at += n
    return records


def write_at(content, at, data):
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at:at + len(data)] = data


def resize(content, size):
    del content[size:]
    content.extend(bytes(size - len(content)))


class Disk:
    """What is on it for certain, and what may be, of each file. Names come and go at once."""

    def __init__(self, is_honest=True):
        self.is_honest = is_honest
        self.names, self.notes = {}, []
        self.certain, self.perhaps = collections.defaultdict(bytearray), collections.defaultdict(list)

    def add(self, record):
        name = self.names.get(record.fd)
        if record.kind == OPENED:
            self.names[record.fd] = record.data.decode()
            self.certain[record.data.decode()]  # pylint: disable=pointless-statement
        elif record.kind == NOTED:
            self.notes.append(record.data.decode())
        elif record.kind == REMOVED:
            self.certain.pop(record.data.decode(), None)
            self.perhaps.pop(record.data.decode(), None)
        elif record.kind != SYNCED:
            self.perhaps[name].append(record)
        elif self.is_honest:
            for one in self.perhaps.pop(name, []):
                self._apply(self.certain[name], one, lambda: True)

    @staticmethod
    def _apply(content, record, is_kept):
        if record.kind == TRUNCATED:
            if is_kept():
                resize(content, record.at)
            return
        for start in range(0, len(record.data), SECTOR):
            if is_kept():
                write_at(content, record.at + start, record.data[start:start + SECTOR])

    def after_a_cut(self, folder, chance):
        """Writes the files as they may be; gives what was acknowledged before."""
        share = chance.choice((0, 0, 0.5, 0.9, 1))
        folder.mkdir()
        for name, certain in self.certain.items():
            content = bytearray(certain)
            for record in self.perhaps[name]:
                self._apply(content, record, lambda: chance.random() < share)
            (folder / name.rpartition('/')[2]).write_bytes(content)
        return ''.join(self.notes)


def check(folder, notes):
    return subprocess.run([DRIVER, 'check', folder], input=notes, text=True, timeout=150,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    folder = tmp_path_factory.mktemp('power')
    subprocess.run([DRIVER, 'record', folder / 'data', folder / 'journal'], check=True, timeout=150,
                   stdout=subprocess.DEVNULL)
    return read(folder / 'journal')


def test_a_power_cut_loses_nothing_acknowledged(tmp_path, records):
    seed = time.time_ns()
    print(f'seed {seed}')
    chance = random.Random(seed)
    # Half of them right before something is synced, where most of all is at stake.
    syncs = [i for i, record in enumerate(records) if record.kind == SYNCED]
    cuts = sorted(chance.sample(syncs, CUTS // 2) + chance.sample(range(len(records)), CUTS // 2))
    disk, done, n_told = Disk(), 0, 0
    for i, cut in enumerate(cuts):
        for record in records[done:cut]:
            disk.add(record)
        done = cut
        notes = disk.after_a_cut(tmp_path / str(i), chance)
        checked = check(tmp_path / str(i), notes)
        assert checked.returncode == 0, (cut, checked.stdout[-2000:])
        n_told += notes.count('\n')
    assert n_told > 1000


def test_a_disk_that_only_says_that_it_synced_would_be_noticed(tmp_path, records):
    disk, chance = Disk(is_honest=False), random.Random(1)
    for record in records:
        disk.add(record)
    checked = [check(tmp_path / str(i), disk.after_a_cut(tmp_path / str(i), chance)) for i in range(5)]
    assert any(one.returncode == 1 and 'an acknowledged message is gone' in one.stdout for one in checked)
