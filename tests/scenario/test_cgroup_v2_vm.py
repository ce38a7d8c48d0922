# SPDX-License-Identifier: Apache-2.0
"""The cgroup, sandbox and keeper tests on cgroup v2 and a stock kernel, in a virtual machine.

Boots Debian's newest cloud kernel under qemu (TCG: no hardware help is needed) with an initramfs
of busybox, the spawner and the test programs, and reads their TAP from the serial console.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('MAYFLY_BIN', HOUSE / 'build' / 'bin')).resolve().parent
KEPT = BUILD / 'vm'  # the kernel's package stays here
META_PACKAGE = 'linux-image-cloud-amd64'

INIT = '''#!/bin/busybox sh
# The first root of a kernel cannot be pivoted away from: go on in a second one.
if [ ! -e /second ]; then
    /bin/busybox mkdir -p /new
    /bin/busybox mount -t tmpfs tmpfs /new
    for folder in bin etc lib lib64 usr mayfly; do
        [ -e /$folder ] && /bin/busybox cp -a /$folder /new/
    done
    /bin/busybox cp /init /new/
    /bin/busybox touch /new/second
    exec /bin/busybox switch_root /new /init
fi
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /tmp
ip link set lo up
echo "kernel $(uname -r)"
export CMOCKA_MESSAGE_OUTPUT=TAP MAYFLY_CGROUP=v2
export MAYFLY_LIBEXEC=/mayfly MAYFLY_PROBE=/mayfly/sandbox_probe
export MAYFLY_KEEPER_PROBE=/mayfly/keeper_probe
export MAYFLY_KEEPER=/mayfly/mayfly-keeper MAYFLY_SUBJECT=/mayfly/keeper_subject
for name in @TESTS@; do
    echo "begin $name"
    case $name in
    *_forked) MAYFLY_KIT_TEMPLATE=1 /mayfly/${name%_forked} ;;
    *) /mayfly/$name ;;
    esac
    echo "end $name $?"
done
poweroff -f
'''


def kernel():
    """The kernel image of the package that the meta package depends on now."""
    KEPT.mkdir(parents=True, exist_ok=True)
    for attempt in range(2):
        told = subprocess.run(['apt-cache', 'depends', META_PACKAGE], capture_output=True, text=True)
        found = re.search(r'Depends: (linux-image-\S+)', told.stdout)
        if found:
            name = found[1]
            if not list(KEPT.glob(f'{name}_*.deb')):
                subprocess.run(['apt-get', 'download', name], cwd=KEPT, check=False)
            packages = sorted(KEPT.glob(f'{name}_*.deb'))
            if packages:
                subprocess.run(['dpkg-deb', '-x', packages[-1], KEPT / 'image'], check=True)
                return next((KEPT / 'image' / 'boot').glob(f'vmlinuz-{name[len("linux-image-"):]}'))
        if attempt == 0:
            subprocess.run(['apt-get', 'update'], check=False)
    pytest.fail(f'no kernel of {META_PACKAGE} can be downloaded')


def libraries(program):
    """What ldd(1) names, by the paths that the program will look for."""
    told = subprocess.run(['ldd', program], capture_output=True, text=True).stdout
    return set(re.findall(r'(/\S+) \(0x', told))


def initramfs(folder, tests):
    """An initramfs in newc format; its path."""
    root = folder / 'root'
    mine = root / 'mayfly'
    mine.mkdir(parents=True)
    (root / 'bin').mkdir()
    (root / 'etc').mkdir()
    (root / 'etc' / 'hostname').write_text('vm\n')
    shutil.copy(shutil.which('busybox'), root / 'bin' / 'busybox')
    programs = [BUILD / 'src' / 'sandbox' / 'mayfly-spawner', BUILD / 'src' / 'sandbox' / 'mayfly-init',
                BUILD / 'src' / 'keeper' / 'mayfly-keeper',
                BUILD / 'tests' / 'unit' / 'sandbox_probe',
                BUILD / 'tests' / 'unit' / 'keeper_probe',
                BUILD / 'tests' / 'unit' / 'keeper_subject',
                *(BUILD / 'tests' / 'unit' / name.removesuffix('_forked') for name in tests)]
    for program in programs:
        assert program.exists(), f'{program} is not built'
        shutil.copy(program, mine / program.name)
        for library in libraries(program):
            to = root / library.lstrip('/')
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, to)
    init = root / 'init'
    init.write_text(INIT.replace('@TESTS@', ' '.join(tests)))
    init.chmod(0o755)
    names = '\0'.join(str(path.relative_to(root)) for path in root.rglob('*'))
    packed = folder / 'initramfs'
    with open(packed, 'wb') as out:
        subprocess.run(['cpio', '--null', '--create', '--format=newc', '--quiet'], cwd=root,
                       input=names.encode(), stdout=out, check=True)
    return packed


def boot(folder, tests, timeout_s):
    """The console's text, until the machine is off."""
    command = ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-smp', '2', '-m', '1024',
               '-display', 'none', '-serial', 'stdio', '-monitor', 'none', '-nic', 'none',
               '-no-reboot', '-kernel', str(kernel()), '-initrd', str(initramfs(folder, tests)),
               '-append', 'console=ttyS0 quiet panic=-1 cgroup_no_v1=all']
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout_s)
        text = done.stdout
    except subprocess.TimeoutExpired as late:
        text = (late.stdout or b'') + b'\n(the machine did not come to an end)\n'
    return text.decode('utf-8', 'replace').replace('\r', '')


def run_all(folder, tests):
    """What the console tells of them, which have all run and gone well."""
    console = boot(folder, tests, 280)
    print(console)
    assert 'kernel ' in console
    for name in tests:
        part = console.partition(f'begin {name}\n')[2].partition(f'end {name} ')
        assert part[1], f'{name} did not end'
        assert part[2].startswith('0\n'), f'{name} failed'
        assert re.search(r'^ok \d+', part[0], re.M)
        assert not re.search(r'^not ok|# SKIP', part[0], re.M)
    return console


@pytest.mark.timeout(300)
def test_cgroups_and_sandboxes_hold_on_v2(tmp_path):
    run_all(tmp_path, ['test_cgroup', 'test_sandbox', 'test_spawner'])


@pytest.mark.timeout(300)
def test_forks_of_templates_are_in_their_sandboxes_on_v2(tmp_path):
    run_all(tmp_path, ['test_sandbox_forked', 'test_template'])


@pytest.mark.timeout(300)
def test_calls_are_undone_with_the_soft_dirty_pages_of_debians_kernel(tmp_path):
    console = run_all(tmp_path, ['test_keeper'])
    assert 'tracker soft_dirty' in console
