#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""rabbitmq - a RabbitMQ of a test's own: node, ports, folders and epmd, all ended by pid.

    with rabbitmq.Broker() as broker:       # takes 5 to 15 s
        broker.url                          # amqp://mayfly@127.0.0.1:PORT/
        broker.ws_port, broker.wss_port     # with mqtt=True (and tls=True): MQTT in WebSocket
        broker.kill(); broker.start()       # its data stays
        broker.alarm(); broker.no_alarm()   # as if the disk were full

As a program it is the kit of tests in C: `rabbitmq.py PROGRAM ARGUMENT...` runs PROGRAM beside a
broker, with MAYFLY_TEST_AMQP_PORT, _TLS_PORT, _CA, _PASSWORD and two descriptors named in
MAYFLY_TEST_AMQP_CONTROL ("in,out"): a line `kill`, `start`, `settle`, `alarm`, `no_alarm`, `pause`,
`resume` or `control ARGUMENT...` is done and answered with `ok`.
"""
import contextlib
import os
import pathlib
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'
START_SECONDS = 120


def free_port():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        return taken.getsockname()[1]


class Broker:
    """One node. Its user is `mayfly`, and guest with the password guest."""

    def __init__(self, tls=False, mqtt=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='mayfly-rabbitmq-'))
        self.port, self.dist_port, self.epmd_port = free_port(), free_port(), free_port()
        self.node = f'mayfly{os.getpid()}@localhost'
        self.user, self.password = 'mayfly', secrets.token_urlsafe(12)
        self.process = self.epmd = None
        self.tls_port = free_port() if tls else None
        self.ws_port = free_port() if mqtt else None
        self.wss_port = free_port() if mqtt and tls else None
        if tls:
            self._make_certificates()
        self._write_config()

    def _make_certificates(self):
        """An authority `ca.pem` and a certificate for the name localhost, not for 127.0.0.1."""
        def openssl(*arguments):
            subprocess.run(['openssl', *arguments], cwd=self.folder, check=True,
                           capture_output=True)
        openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj',
                '/CN=test authority', '-keyout', 'ca.key', '-out', 'ca.pem')
        openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-keyout',
                'server.key', '-out', 'server.csr')
        (self.folder / 'names').write_text('subjectAltName=DNS:localhost\n')
        openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key',
                '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'server.pem')

    def _write_config(self):
        lines = [f'listeners.tcp.1 = 127.0.0.1:{self.port}', f'default_user = {self.user}',
                 f'default_pass = {self.password}', 'default_permissions.configure = .*',
                 'default_permissions.read = .*', 'default_permissions.write = .*',
                 'disk_free_limit.absolute = 1MB', 'log.console.level = warning',
                 f'max_message_size = {(64 if self.ws_port else 16) << 20}',
                 'log.file.level = info', 'heartbeat = 10', 'loopback_users = none']
        if self.tls_port:
            lines += [f'listeners.ssl.1 = 127.0.0.1:{self.tls_port}',
                      f'ssl_options.cacertfile = {self.folder}/ca.pem',
                      f'ssl_options.certfile = {self.folder}/server.pem',
                      f'ssl_options.keyfile = {self.folder}/server.key',
                      'ssl_options.verify = verify_none']
        lines += self._mqtt_lines() if self.ws_port else []
        (self.folder / 'rabbitmq.conf').write_text('\n'.join(lines) + '\n')
        plugins = 'rabbitmq_web_mqtt' if self.ws_port else ''
        (self.folder / 'enabled_plugins').write_text(f'[{plugins}].\n')
        (self.folder / 'password').write_text(self.password + '\n')
        (self.folder / 'home').mkdir()

    def _mqtt_lines(self):
        """MQTT in WebSocket alone, at the path where vCloud Director has it."""
        lines = ['mqtt.listeners.tcp = none', 'mqtt.allow_anonymous = false',
                 'web_mqtt.tcp.ip = 127.0.0.1', f'web_mqtt.tcp.port = {self.ws_port}',
                 'web_mqtt.ws_path = /messaging/mqtt']
        if self.wss_port:
            lines += ['web_mqtt.ssl.ip = 127.0.0.1', f'web_mqtt.ssl.port = {self.wss_port}',
                      f'web_mqtt.ssl.cacertfile = {self.folder}/ca.pem',
                      f'web_mqtt.ssl.certfile = {self.folder}/server.pem',
                      f'web_mqtt.ssl.keyfile = {self.folder}/server.key']
        return lines

    @property
    def environment(self):
        folder = str(self.folder)
        return {
            'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'LANG': 'C.UTF-8', 'HOME': f'{folder}/home',
            'RABBITMQ_NODENAME': self.node, 'RABBITMQ_NODE_IP_ADDRESS': '127.0.0.1',
            'RABBITMQ_NODE_PORT': str(self.port), 'RABBITMQ_DIST_PORT': str(self.dist_port),
            'RABBITMQ_MNESIA_BASE': f'{folder}/mnesia', 'RABBITMQ_LOG_BASE': f'{folder}/log',
            'RABBITMQ_CONFIG_FILE': f'{folder}/rabbitmq.conf',
            'RABBITMQ_ENABLED_PLUGINS_FILE': f'{folder}/enabled_plugins',
            'RABBITMQ_PID_FILE': f'{folder}/pid',
            'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS':
                '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none',
            'ERL_EPMD_ADDRESS': '127.0.0.1', 'ERL_EPMD_PORT': str(self.epmd_port),
        }

    @property
    def url(self):
        return f'amqp://{self.user}@127.0.0.1:{self.port}/'

    @property
    def password_file(self):
        return str(self.folder / 'password')

    def _start_epmd(self):
        """Ours, so that its pid is known; the node would start one that stays."""
        self.epmd = subprocess.Popen(['epmd', '-address', '127.0.0.1', '-port',
                                      str(self.epmd_port)], env=self.environment,
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _log(self):
        return ''.join(path.read_text(errors='replace')[-4000:]
                       for path in (self.folder / 'log').glob('*.log'))

    def start(self):
        if not self.epmd:
            self._start_epmd()
        out = open(self.folder / 'console', 'ab')
        self.process = subprocess.Popen([SERVER], env=self.environment, stdout=out, stderr=out,
                                        stdin=subprocess.DEVNULL, start_new_session=True)
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                console = (self.folder / 'console').read_text(errors='replace')[-4000:]
                raise RuntimeError(f'RabbitMQ did not start: {console}\n{self._log()}')
            time.sleep(0.1)

    def answers(self):
        """Says Connection.Start to who asks for AMQP 0-9-1."""
        with contextlib.suppress(OSError), \
                socket.create_connection(('127.0.0.1', self.port), 2) as peer:
            peer.settimeout(2)
            peer.sendall(b'AMQP\x00\x00\x09\x01')
            return peer.recv(1) == b'\x01'
        return False

    def _members(self):
        """The processes of its session: the node, and what Erlang started for it."""
        found = []
        for entry in pathlib.Path('/proc').iterdir():
            with contextlib.suppress(OSError, ValueError):
                fields = (entry / 'stat').read_text().rsplit(')', 1)[1].split()
                if int(fields[3]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def kill(self):
        """As a crash: kill -9."""
        for pid in [self.process.pid, *self._members()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def pause(self):
        """It is there and says nothing."""
        for pid in self._members():
            os.kill(pid, signal.SIGSTOP)

    def resume(self):
        for pid in self._members():
            os.kill(pid, signal.SIGCONT)

    def control(self, *arguments):
        """rabbitmqctl; takes seconds."""
        done = subprocess.run(['/usr/lib/rabbitmq/bin/rabbitmqctl', *arguments],
                              env=self.environment, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def settle(self):
        """RabbitMQ writes the list of its quorum queues every three minutes: one that is younger
        may not come back from a kill -9. Writes it now."""
        self.control('eval', '[dets:sync(T) || T <- dets:all()].')

    def alarm(self):
        self.control('set_disk_free_limit', '900GB')

    def no_alarm(self):
        self.control('set_disk_free_limit', '1MB')

    def stop(self):
        if self.process and self.process.poll() is None:
            self.kill()
        if self.epmd:
            self.epmd.kill()
            self.epmd.wait()
            self.epmd = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()


def main(command):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with Broker(tls=True) as broker:
        to_kit, from_test = os.pipe()[::-1], os.pipe()
        child_in, child_out = to_kit[1], from_test[1]
        environment = dict(os.environ, MAYFLY_TEST_AMQP_PORT=str(broker.port),
                           MAYFLY_TEST_AMQP_PASSWORD=broker.password,
                           MAYFLY_TEST_AMQP_TLS_PORT=str(broker.tls_port),
                           MAYFLY_TEST_AMQP_CA=str(broker.folder / 'ca.pem'),
                           MAYFLY_TEST_AMQP_CONTROL=f'{child_in},{child_out}')
        child = subprocess.Popen(command, env=environment, pass_fds=(child_in, child_out))
        os.close(child_in)
        os.close(child_out)
        with os.fdopen(from_test[0]) as orders:
            for order in orders:
                word, *arguments = shlex.split(order)
                {'kill': broker.kill, 'start': broker.start, 'alarm': broker.alarm,
                 'no_alarm': broker.no_alarm, 'settle': broker.settle, 'pause': broker.pause,
                 'resume': broker.resume, 'control': broker.control}[word](*arguments)
                os.write(to_kit[0], b'ok\n')
        return child.wait()


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
