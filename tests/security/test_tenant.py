# SPDX-License-Identifier: Apache-2.0
"""What a tenant's function might try against the machine, the daemon and its neighbours.

Each attempt runs as a real function and reports what it got; what it must get is said beside it.
The walls themselves are proved from inside by tests/unit/test_sandbox.c.
"""
import http.client

import pytest

PREFACE = """
import ctypes, errno, os, socket, subprocess
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    got = libc.syscall(number, *arguments)
    return 'ok' if got >= 0 else errno.errorcode[ctypes.get_errno()]

def tried(attempt):
    try:
        return attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))

def handler(event, context):
    return {name: tried(attempt) for name, attempt in ATTEMPTS.items()}
"""


def attempts(org, name, text):
    """Deploys a function with these ATTEMPTS and gives what each got."""
    org.deploy(name, f'{PREFACE}\nATTEMPTS = {{{text}}}\n', 'python')
    return org.call(name).expect(200).json()


def test_the_host_cannot_be_read(org):
    got = attempts(org, 'reader', """
        'shadow': lambda: open('/etc/shadow').read(),
        'init root': lambda: os.listdir('/proc/1/root/'),
        'init environment': lambda: open('/proc/1/environ').read(),
        'init memory': lambda: open('/proc/1/mem', 'rb').read(1),
        'kernel': lambda: open('/proc/kcore', 'rb').read(1),
        'sysctl': lambda: open('/proc/sys/kernel/hostname').read(),
        'sysrq': lambda: open('/proc/sysrq-trigger', 'w').write('h'),
        'sys': lambda: os.listdir('/sys'),
        'data': lambda: os.listdir('/var/lib/mayfly'),
        'disk': lambda: open('/dev/vda', 'rb').read(1),
        'mem': lambda: open('/dev/mem', 'rb').read(1),
        'kmsg': lambda: open('/dev/kmsg').read(1),
        'cgroups': lambda: os.listdir('/sys/fs/cgroup'),
        'home': lambda: os.listdir('/root'),
    """)
    assert set(got.values()) <= {'ENOENT', 'EACCES', 'EPERM'}, got


def test_the_machine_cannot_be_changed(org):
    got = attempts(org, 'changer', """
        'mount': lambda: call(165, b'none', b'/tmp', b'tmpfs', 0, None),
        'umount': lambda: call(166, b'/code', 2),
        'pivot_root': lambda: call(155, b'/', b'/tmp'),
        'chroot': lambda: call(161, b'/tmp'),
        'reboot': lambda: call(169, 0xfee1dead, 672274793, 0, None),
        'sethostname': lambda: call(170, b'x', 1),
        'settimeofday': lambda: call(164, None, None),
        'init_module': lambda: call(175, None, 0, b''),
        'kexec_load': lambda: call(246, 0, 0, None, 0),
        'swapon': lambda: call(167, b'/tmp/x', 0),
        'bpf': lambda: call(321, 0, None, 0),
        'perf_event_open': lambda: call(298, None, 0, -1, -1, 0),
        'keyctl': lambda: call(250, 0, 0, 0, 0, 0),
        'add_key': lambda: call(248, b'user', b'a', b'b', 1, -3),
        'userfaultfd': lambda: call(323, 0),
        'io_uring_setup': lambda: call(425, 1, None),
        'ptrace init': lambda: call(101, 16, 1, 0, 0),
        'read init': lambda: call(310, 1, None, 0, None, 0, 0),
        'setuid root': lambda: call(105, 0),
        'setns': lambda: call(308, 0, 0),
        'unshare user': lambda: call(272, 0x10000000),
        'unshare net': lambda: call(272, 0x40000000),
        'clone user': lambda: call(56, 0x10000000 | 17, 0, 0, 0, 0),
        'clone3': lambda: call(435, None, 0),
        'mknod': lambda: call(133, b'/tmp/disk', 0o60600, 0xfe00),
        'write code': lambda: open('/code/main.py', 'a'),
        'write runtime': lambda: open('/runtime/shim.py', 'a'),
        'write libc': lambda: open('/usr/lib/x86_64-linux-gnu/libc.so.6', 'a'),
    """)
    assert not [name for name, what in got.items() if what == 'ok'], got
    assert set(got.values()) <= {'EPERM', 'ENOSYS', 'EACCES', 'EROFS', 'ENOENT', 'EINVAL'}, got


def test_there_is_no_network(daemon, org):
    host, port = daemon.address.rsplit(':', 1)
    got = attempts(org, 'caller', f"""
        'daemon': lambda: socket.create_connection(('{host}', {port}), 2) and 'ok',
        'metadata': lambda: socket.create_connection(('169.254.169.254', 80), 2) and 'ok',
        'public': lambda: socket.create_connection(('203.0.113.1', 443), 2) and 'ok',
        'ipv6': lambda: socket.create_connection(('2001:db8::1', 443), 2) and 'ok',
        'raw': lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1) and 'ok',
        'packet': lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW) and 'ok',
        'netlink': lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) and 'ok',
        'vsock': lambda: socket.socket(40, socket.SOCK_STREAM) and 'ok',
    """)
    assert 'ok' not in got.values(), got


def test_others_cannot_be_seen_or_signalled(org):
    other = "import os, time\ndef handler(event, context):\n    return os.getpid()\n"
    org.deploy('victim', other, 'python')
    org.call('victim').expect(200)
    got = attempts(org, 'watcher', """
        'processes': lambda: sorted(int(pid) for pid in os.listdir('/proc') if pid.isdigit()),
        'kill init': lambda: os.kill(1, 9) or 'sent',
        'mounts': lambda: len(open('/proc/self/mounts').read().splitlines()),
        'user': lambda: [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()],
        'capabilities': lambda: [line.split()[1] for line in open('/proc/self/status')
                                 if line.startswith('Cap')],
        'host name': lambda: os.uname().nodename,
    """)
    assert len(got['processes']) <= 3, got
    assert got['user'] == [1000, 1000, 1000, []], got
    assert set(got['capabilities']) == {'0' * 16}, got
    assert got['host name'] == 'mayfly', got
    assert got['mounts'] < 12, got
    org.call('victim').expect(200)
    org.call('watcher').expect(200)  # its own pid 1 took no harm either


def test_a_setuid_program_gives_nothing(org):
    got = attempts(org, 'climber', """
        'setuid file': lambda: (open('/tmp/x', 'w').close(), os.chmod('/tmp/x', 0o4755),
                                os.stat('/tmp/x').st_uid)[2],
        'su': lambda: subprocess.run(['/bin/su'], capture_output=True).returncode,
        'no new privileges': lambda: [line.split()[1] for line in open('/proc/self/status')
                                      if line.startswith('NoNewPrivs')][0],
    """)
    assert got['setuid file'] == 1000 and got['su'] == 'ENOENT', got
    assert got['no new privileges'] == '1', got


FIRST_CALL = 1 << 10  # number of the first call on a channel; an answer by hand proves it below


def liar(attempt):
    return f"""
import os, struct, time
EVIL = b'200\\nset-cookie: a\\r\\nx-call-id: forged\\n'
FIRST = {FIRST_CALL}
HEAD, WHOLE = b'200\\na:b\\n', struct.pack('<I', 4) + b'200\\n' + b'body'

def lie(*frames):
    for kind, payload in zip(frames[::2], frames[1::2]):
        os.write(3, struct.pack('<IBBHQ', len(payload), kind, 0, 0, FIRST) + payload)

def handler(event, context):
    if event and event.get('lie'):
        {attempt}
        time.sleep(0.5)
    return 'honest'
"""


HOSTILE_FRAMES = {
    'rubbish': "os.write(3, b'\\xff' * 64)",
    'a huge size': "os.write(3, struct.pack('<IBBHQ', 0xffffffff, 5, 0, 0, 1))",
    'an unknown kind': "os.write(3, struct.pack('<IBBHQ', 0, 200, 0, 0, 1))",
    'an answer to nobody': "os.write(3, struct.pack('<IBBHQ', 8, 5, 0, 0, 999) + b'\\0' * 8)",
    'a second READY': "os.write(3, struct.pack('<IBBHQ', 0, 2, 0, 0, 0))",
    'an evil head': "os.write(3, struct.pack('<IBBHQ', 4 + len(EVIL), 5, 0, 0, 1) + "
                    "struct.pack('<I', len(EVIL)) + EVIL)",
    'a closed channel': 'os.close(3)',
    'two heads': 'lie(6, HEAD, 6, HEAD)',
    'a body before its head': "lie(7, b'x')",
    'an end before its head': "lie(8, b'')",
    'an answer twice': 'lie(5, WHOLE, 5, WHOLE)',
    'an error behind a head': "lie(6, HEAD, 9, b'A\\0b\\0c')",
    'an answer behind a head': 'lie(6, HEAD, 5, WHOLE)',
    'an end twice': "lie(6, HEAD, 8, b'', 8, b'')",
    'an error without its parts': "lie(9, b'')",
    'a head of another size than said': "lie(5, struct.pack('<I', 500) + b'200')",
    'an empty answer': "lie(5, b'')",
    'an end with a body': "lie(6, HEAD, 8, b'x')",
    'a failure while it runs': "lie(3, b'')",
    'a log of nobody': "os.write(3, struct.pack('<IBBHQ', 1, 10, 1, 0, 999) + b'x')",
    'a log on a third stream': "lie(10, b'x')",
    'frames of the daemon': "lie(4, b'x' * 80, 1, b'A=b', 11, b'')",
    'many headers': "lie(6, b'200\\n' + b'a:b\\n' * 200)",
    'a status of 000': "lie(6, b'000\\n')",
    'a status of 101': "lie(6, b'101\\n')",
}


@pytest.mark.parametrize('what', HOSTILE_FRAMES)
def test_lies_on_the_channel_end_the_instance_and_nothing_else(daemon, org, what):
    org.deploy('liar', liar(HOSTILE_FRAMES[what]), 'python', limits={'timeout_ms': 5000})
    try:
        answer = org.call('liar', {'lie': True})
        assert answer.status in (200, 502, 503, 504), answer
        assert 'forged' not in str(answer.header_list)
    except http.client.IncompleteRead:
        org.client.close()  # the head was out: the answer is cut, so that the caller can tell
    assert org.call('liar', {}).expect(200).json() == 'honest'
    assert daemon.process.poll() is None


def test_an_honest_answer_by_hand_reaches_the_caller(org):
    org.deploy('hand', liar('lie(5, WHOLE)'), 'python')
    assert org.call('hand', {'lie': True}).expect(200).text == 'body'


def test_headers_that_a_function_may_not_say_do_not_get_out(org):
    org.deploy('forger', """exports.handler = async () => ({ statusCode: 200, body: 'x', headers: {
        'x-call-id': 'forged', 'x-mayfly-error': 'timeout', 'connection': 'upgrade',
        'transfer-encoding': 'chunked', 'content-length': '100' } });\n""")
    answer = org.route('GET', 'forger')
    assert 'forged' not in str(answer.header_list) and 'upgrade' not in str(answer.header_list)
    assert answer.headers.get('x-mayfly-error') != 'timeout'


def test_a_header_with_a_line_break_is_refused(org):
    org.deploy('splitter', "exports.handler = async () => ({ statusCode: 200, body: '', "
               "headers: { 'x-a': 'b\\r\\nset-cookie: stolen=1' } });\n")
    answer = org.route('GET', 'splitter')
    assert 'set-cookie' not in answer.headers
    assert answer.status == 502, answer


def test_the_daemon_has_no_privileges(daemon):
    status = dict(line.split(':\t', 1) for line in
                  open(f'/proc/{daemon.process.pid}/status').read().splitlines())
    for name in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb'):
        assert int(status[name], 16) == 0, (name, status[name])
    assert status['NoNewPrivs'] == '1'
    assert '0' not in status['Uid'].split()


def test_no_secret_is_in_the_log_or_a_listing(daemon, org):
    made = org.client.post(f'{org.path}/tokens', {'name': 'planted', 'role': 'viewer'}).expect(201)
    secret = made.json()['secret']
    daemon.client(secret).get(f'{org.path}/functions').expect(200)
    daemon.client(secret[:-1] + ('a' if secret[-1] != 'a' else 'b')).get(
        f'{org.path}/functions').expect(401)
    listed = org.client.get(f'{org.path}/tokens').expect(200).text
    assert secret not in listed and secret[:20] not in listed
    assert secret not in daemon.log() and daemon.token() not in daemon.log()
    database = b''.join(path.read_bytes() for path in daemon.data_dir.glob('mayfly.db*'))
    assert secret.encode() not in database
