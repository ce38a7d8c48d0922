# SPDX-License-Identifier: Apache-2.0
"""What a stranger may upload: mayfly-unpack makes a tree of it, or refuses it with a named reason.

The program runs outside of a sandbox here, on a folder of the test: what the sandbox would stop
besides must not be needed.
"""
import gzip
import io
import os
import pathlib
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / 'scenario'))
import mayfly  # noqa: E402

UNPACK, PACK = str(mayfly.BIN / 'mayfly-unpack'), str(mayfly.BIN / 'mayfly-pack')
MIB = 1024 * 1024


@pytest.fixture
def unpack(tmp_path):
    out = tmp_path / 'around' / 'out'

    def run(data, *limits, is_pipe=False):
        out.mkdir(parents=True)
        (tmp_path / 'archive').write_bytes(data)
        command = ['bash', '-c', 'exec 3<&0 </dev/null; exec "$@"', 'bash', UNPACK, *map(str, limits)]
        env = {'MAYFLY_UNPACK_OUT': str(out), 'PATH': os.environ['PATH']}
        if is_pipe:
            done = subprocess.run(command, env=env, input=data, capture_output=True, timeout=60)
        else:
            with open(tmp_path / 'archive', 'rb') as file:
                done = subprocess.run(command, env=env, stdin=file, capture_output=True, timeout=60)
        assert sorted(os.listdir(tmp_path)) == ['archive', 'around']
        assert os.listdir(tmp_path / 'around') == ['out'], 'something was made outside of the tree'
        return out, done.returncode, done.stderr.decode()
    return run


def tar(*entries, mode='w', kind=tarfile.PAX_FORMAT):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode, format=kind) as archive:
        for entry in entries:
            name, what = entry[0], entry[1]
            info = tarfile.TarInfo(name)
            info.mode = entry[2] if len(entry) > 2 else 0o644
            content = b''
            if isinstance(what, bytes):
                content, info.size = what, len(what)
            else:
                info.type, info.linkname = what
            archive.addfile(info, io.BytesIO(content))
    return data.getvalue()


def zipped(*entries):
    data = io.BytesIO()
    with zipfile.ZipFile(data, 'w', zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            info = zipfile.ZipInfo(entry[0])
            info.external_attr = (entry[2] if len(entry) > 2 else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, entry[1])
    return data.getvalue()


def link(target):
    return (tarfile.SYMTYPE, target)


# ---- what is taken ----

@pytest.mark.parametrize('data', [
    zipped(('index.js', b'1'), ('lib/a.js', b'2', 0o100755)),
    tar(('index.js', b'1'), ('lib/a.js', b'2', 0o755)),
    tar(('./index.js', b'1'), ('./lib', (tarfile.DIRTYPE, ''), 0o700), ('./lib/a.js', b'2', 0o711)),
    tar(('index.js', b'1'), ('lib/a.js', b'2', 0o4755), mode='w:gz'),
    tar(('index.js', b'1'), ('lib/a.js', b'2', 0o755), kind=tarfile.GNU_FORMAT),
], ids=['zip', 'tar', 'tar with folders', 'tar.gz with a set-user-ID bit', 'GNU tar'])
@pytest.mark.parametrize('is_pipe', [False, True])
def test_an_archive_becomes_a_tree_with_plain_modes(unpack, data, is_pipe):
    out, code, text = unpack(data, is_pipe=is_pipe)
    assert code == 0, text
    assert (out / 'index.js').read_bytes() == b'1' and (out / 'lib/a.js').read_bytes() == b'2'
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in out.rglob('*')}
    assert modes == {'index.js': 0o644, 'lib': 0o755, 'a.js': 0o755}


def test_one_source_file_gets_the_name_before_it(unpack):
    out, code, text = unpack(b'mayfly-source src/index.js\nexports.a = 1\n')
    assert code == 0, text
    assert (out / 'src/index.js').read_bytes() == b'exports.a = 1\n'


def test_one_script_can_be_executed(unpack):
    out, code, _ = unpack(b'mayfly-source handler.sh\n#!/bin/sh\n')
    assert code == 0 and os.access(out / 'handler.sh', os.X_OK)


def test_links_inside_the_tree_are_kept(unpack):
    data = tar(('a/b/file', b'x'), ('a/link', link('b/file')), ('a/b/up', link('../../a/b/file')),
               ('same', (tarfile.LNKTYPE, 'a/b/file')))
    out, code, text = unpack(data)
    assert code == 0, text
    assert {(out / name).read_bytes() for name in ('a/link', 'a/b/up', 'same')} == {b'x'}


def test_names_of_every_script_are_kept(unpack):
    out, code, _ = unpack(tar(('grüß/мир/世界.py', b'x')))
    assert code == 0 and (out / 'grüß/мир/世界.py').exists()


def test_a_report_names_the_manifests(unpack, tmp_path):
    (tmp_path / 'a').mkdir()
    data = zipped(('package.json', b'{"name":"a"}'), ('node_modules/x/index.js', b''))
    (tmp_path / 'a.zip').write_bytes(data)
    done = subprocess.run(['bash', '-c', f'exec 3<"{tmp_path}/a.zip"; exec "{UNPACK}"'], capture_output=True,
                          env={'MAYFLY_UNPACK_OUT': str(tmp_path / 'a')})
    lines = done.stdout.decode().split('\n')
    assert lines[0].startswith('file package.json ') and lines[1:3] == ['text package.json 12', '{"name":"a"}']
    assert lines[3] == 'folder node_modules'


# ---- what is refused ----

@pytest.mark.parametrize('name, words', [
    ('/etc/cron.d/x', 'the path is absolute'), ('../x', "the path has '..'"), ('a/../../x', "the path has '..'"),
    ('a/..', "the path has '..'"), ('a\nb', 'control characters'), ('a\x1b[2Jb', 'control characters'),
    ('x/' * 33 + 'y', 'too deep'), ('n' * 256, 'a name in the path is too long'),
    ('/'.join(['n' * 200] * 6), 'the path is too long'),
])
@pytest.mark.parametrize('make', [tar, zipped])
def test_a_path_that_leaves_or_lies_is_refused(unpack, make, name, words):
    _, code, text = unpack(make((name, b'x')))
    assert code == 1 and words in text
    assert '\x1b' not in text and text.count('\n') == 1


def test_a_name_that_is_not_utf8_is_refused(unpack):
    data = bytearray(tar(('abcdef', b'x'), kind=tarfile.USTAR_FORMAT))
    data[0:2] = b'\xff\xfe'
    data[148:156] = b' ' * 8
    data[148:156] = b'%06o\0 ' % sum(data[:512])
    _, code, text = unpack(bytes(data))
    assert code == 1 and 'not UTF-8' in text


@pytest.mark.parametrize('path, target, words', [
    ('l', '/etc/passwd', 'absolute'), ('l', '../x', 'leaves the tree'), ('l', '..', 'leaves the tree'),
    ('a/l', '../../x', 'leaves the tree'), ('a/l', './../..', 'leaves the tree'),
    ('l', 'a/../../x', "'..' behind a name"), ('l', 'a/..', "'..' behind a name"), ('l', 'a\nb', 'control'),
])
def test_a_link_that_leaves_the_tree_is_refused(unpack, path, target, words):
    _, code, text = unpack(tar((path, link(target))))
    assert code == 1 and words in text


def test_a_link_of_a_zip_is_checked_too(unpack):
    _, code, text = unpack(zipped(('l', b'../../x', 0o120777)))
    assert code == 1 and 'leaves the tree' in text


@pytest.mark.parametrize('entries', [
    [('d', link('.')), ('d/x', b'x')], [('t', (tarfile.DIRTYPE, '')), ('d', link('t')), ('d/x', b'x')],
    [('f', b'x'), ('f/x', b'y')], [('f', b'x'), ('f', (tarfile.DIRTYPE, ''))],
])
def test_nothing_is_written_through_a_link_or_a_file(unpack, entries):
    _, code, text = unpack(tar(*entries))
    assert code == 1 and ('not a folder' in text or 'twice' in text)


@pytest.mark.parametrize('entries', [
    [('a', b'1'), ('a', b'2')], [('a', b'1'), ('./a', b'2')], [('l', link('x')), ('l', b'2')],
    [('a', b'1'), ('a', link('b'))],
])
def test_an_entry_that_comes_twice_is_refused(unpack, entries):
    out, code, text = unpack(tar(*entries))
    assert code == 1 and 'the archive has it twice' in text


@pytest.mark.parametrize('kind', [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_and_pipes_are_refused(unpack, kind):
    _, code, text = unpack(tar(('d', (kind, ''))))
    assert code == 1 and 'neither a file nor a folder nor a link' in text


@pytest.mark.parametrize('target, words', [
    ('/etc/passwd', 'absolute'), ('../archive', "'..'"), ('missing', 'no file before it'), ('.', 'no file before it'),
    ('dir', 'no file before it'), ('sym', 'no file before it'),
])
def test_a_hard_link_to_anything_but_a_file_before_it_is_refused(unpack, target, words):
    data = tar(('dir', (tarfile.DIRTYPE, '')), ('sym', link('dir')), ('h', (tarfile.LNKTYPE, target)))
    _, code, text = unpack(data)
    assert code == 1 and words in text


def test_a_bomb_is_refused_by_its_ratio(unpack):
    _, code, text = unpack(zipped(('zeros', bytes(64 * MIB))))
    assert code == 1 and 'times as large unpacked' in text


def test_a_bomb_of_gzip_is_refused_by_its_ratio(unpack):
    _, code, text = unpack(gzip.compress(tar(('zeros', bytes(64 * MIB)))))
    assert code == 1 and 'times as large unpacked' in text


def test_more_bytes_than_allowed_are_refused(unpack):
    _, code, text = unpack(tar(('a', bytes(MIB)), ('b', bytes(MIB))), MIB + 5)
    assert code == 1 and 'larger than 1 MiB unpacked' in text


def test_more_entries_than_allowed_are_refused(unpack):
    _, code, text = unpack(tar(*((f'f{i}', b'') for i in range(11))), MIB, 10)
    assert code == 1 and 'more than 10 files and folders' in text


def test_a_sparse_file_counts_with_its_holes(unpack, tmp_path):
    (tmp_path / 'around').mkdir()
    sparse = tmp_path / 'around' / 'sparse'
    with open(sparse, 'wb') as file:
        file.truncate(700 * MIB)
    data = subprocess.run(['tar', '-C', str(sparse.parent), '--sparse', '-cf', '-', 'sparse'],
                          capture_output=True, check=True).stdout
    sparse.unlink()
    sparse.parent.rmdir()
    _, code, text = unpack(data)
    assert code == 1 and 'larger than 512 MiB unpacked' in text


@pytest.mark.parametrize('data', [
    b'', b'hello', b'\x7fELF' + bytes(100), bytes(1024), b'Rar!\x1a\x07\0', b'7z\xbc\xaf\x27\x1c',
    b'!<arch>\n', b'\xfd7zXZ\0', b'BZh9', b'070701', b'#mtree\n/etc type=file\n',
])
def test_what_is_no_archive_is_refused(unpack, data):
    _, code, text = unpack(data)
    assert code == 1 and 'neither a zip nor a tar' in text


@pytest.mark.parametrize('data', [
    zipped(('a', b'x' * 100))[:60], tar(('a', bytes(5000)))[:2000], tar(('a', b'x'), mode='w:gz')[:40],
    b'PK\x03\x04' + bytes(100), b'\x1f\x8b' + bytes(50), gzip.compress(b'no tar' * 1000),
    gzip.compress(zipped(('a', b'x'))),
])
def test_a_broken_archive_is_refused(unpack, data):
    _, code, text = unpack(data)
    assert code == 1 and 'broken' in text


def test_a_zip_is_read_by_its_directory_alone(unpack):
    hidden = zipped(('hidden', b'x'))
    data = hidden + zipped(('shown', b'y'))
    out, code, _ = unpack(data)
    assert code in (0, 1) and not (out / 'hidden').exists()


def test_an_encrypted_zip_is_refused(unpack):
    data = bytearray(zipped(('a', b'x' * 50)))
    data[6] |= 1
    at = data.index(b'PK\x01\x02')
    data[at + 8] |= 1
    _, code, text = unpack(bytes(data))
    assert code == 1 and 'encrypted' in text


def test_a_wrong_checksum_in_a_zip_is_refused(unpack):
    data = bytearray(zipped(('a', b'x' * 50)))
    crc = struct.pack('<I', 0xdeadbeef)
    at = data.index(b'PK\x01\x02')
    data[14:18] = data[at + 16:at + 20] = crc
    _, code, text = unpack(bytes(data))
    assert code == 1 and 'broken' in text


@pytest.mark.parametrize('name', ['/etc/x', '../x', 'a/../../x', '', 'x' * 600])
def test_the_name_of_one_source_file_is_checked(unpack, name):
    _, code, _ = unpack(f'mayfly-source {name}\nbody'.encode())
    assert code == 1


# ---- packing ----

def pack(folder, tar_path, *limits):
    return subprocess.run(['bash', '-c', 'exec 4>"$1"; shift; exec "$@"', 'bash', str(tar_path), PACK, str(folder),
                           *map(str, limits)], capture_output=True, timeout=60)


def make_tree(folder):
    (folder / 'b/c').mkdir(parents=True)
    (folder / 'a').write_bytes(b'1')
    (folder / 'b/c/run').write_bytes(b'2' * 1000)
    (folder / 'b/c/run').chmod(0o711)
    (folder / 'b/link').symlink_to('c/run')
    long = folder / ('n' * 120) / ('m' * 120)
    long.mkdir(parents=True)
    (long / 'file').write_bytes(b'')
    (long / 'link').symlink_to('../../b/' + 'q' * 150)


def test_what_is_packed_is_unpacked_the_same(unpack, tmp_path, tmp_path_factory):
    source, box = tmp_path_factory.mktemp('tree'), tmp_path_factory.mktemp('tar')
    make_tree(source)
    done = pack(source, box / 'a.tar')
    assert done.returncode == 0, done.stderr
    with tarfile.open(box / 'a.tar') as archive:
        assert all(info.mtime == 0 and info.uid == 0 for info in archive)
    out, code, text = unpack((box / 'a.tar').read_bytes())
    assert code == 0, text
    assert subprocess.run(['diff', '-r', '--no-dereference', str(source), str(out)]).returncode == 0


def test_the_same_tree_gives_the_same_bytes(tmp_path):
    tars = []
    for name in ('one', 'two'):
        make_tree(tmp_path / name)
        os.utime(tmp_path / name / 'a', (len(name), 5 + len(tars)))
        assert pack(tmp_path / name, tmp_path / f'{name}.tar').returncode == 0
        tars.append((tmp_path / f'{name}.tar').read_bytes())
    assert tars[0] == tars[1]


def test_what_unpack_would_refuse_is_refused_when_it_is_packed(tmp_path):
    (tmp_path / 'tree').mkdir()
    (tmp_path / 'tree/link').symlink_to('/etc/passwd')
    done = pack(tmp_path / 'tree', tmp_path / 'a.tar')
    assert done.returncode == 1 and b'absolute' in done.stderr
    (tmp_path / 'tree/link').unlink()
    os.mkfifo(tmp_path / 'tree/pipe')
    done = pack(tmp_path / 'tree', tmp_path / 'a.tar')
    assert done.returncode == 1 and b'pipe is no file' in done.stderr


def test_packing_has_limits(tmp_path):
    make_tree(tmp_path / 'tree')
    assert b'larger than' in pack(tmp_path / 'tree', tmp_path / 'a.tar', 100).stderr
    assert b'more than 3 files' in pack(tmp_path / 'tree', tmp_path / 'a.tar', MIB, 3).stderr
