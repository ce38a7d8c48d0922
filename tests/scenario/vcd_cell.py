# SPDX-License-Identifier: Apache-2.0
"""vcd_cell - a cell of vCloud Director, played: no simulator of the real one exists.

It is written from VMware's documents and from what public clients of the real one do, and knows
nothing of mayfly. What it shows is that mayfly keeps to these; not that a real cell would be content.

    with vcd_cell.Cell(broker) as cell:
        cell.add_service('mayfly', routing_key='mayfly', patterns=['/api/org/.*/hello'])
        http.client.HTTPConnection('127.0.0.1', cell.port).request('GET', '/api/org/acme/hello')
        cell.notify({'eventId': …, 'type': 'com/vmware/vcloud/event/vm/create', …})

A request over HTTP whose path fits a service's pattern goes as a JSON array to the service's
exchange, with correlation_id, reply_to and the header replyToExchange; the cell waits for the answer
with that correlation id on a queue of its own, ten seconds at most, and gives it back. 504 when none
came, 500 when the exchange is not there, 404 when no pattern fits. Its own /api/org/{id} it answers
itself where no service takes it.

What a system administrator does (sessions, services, blocking tasks) is in vcd_admin.py; it listens
for HTTP, or with `certificate`, a file with a certificate and its key, for HTTPS.
"""
import base64
import contextlib
import http.server
import json
import re
import ssl
import threading
import time
import uuid

import pika

import vcd_admin

REPLIES = 'vcd.replies'
NOTIFICATIONS = 'vcd.notifications20'
XML_NOTIFICATIONS = 'systemExchange'


class Service:
    priority = 50

    def __init__(self, routing_key, patterns, exchange='vcdext'):
        self.routing_key, self.exchange = routing_key, exchange
        self.patterns = [re.compile(pattern) for pattern in patterns]

    def fits(self, path):
        return any(pattern.fullmatch(path) for pattern in self.patterns)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def log_message(self, *_):
        pass

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        path, _, query = self.path.partition('?')
        cell = self.server.cell
        if cell.admin.is_asked(path):
            status, headers, answer = cell.admin.handle(self.command, self.path,
                                                        dict(self.headers), body)
        else:
            status, headers, answer = cell.forward(self.command, path, query or None,
                                                   dict(self.headers), body, self.client_address)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() != 'content-length':
                self.send_header(name, str(value))
        if status != 204:
            self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass                    # a client that does not trust the certificate leaves


class Cell:
    """`context` is whom the cell takes every caller for; a real one knows it from the session."""

    def __init__(self, broker, timeout_s=10, certificate=None):
        self.broker, self.timeout_s = broker, timeout_s
        self.services, self.admin = [], vcd_admin.Admin()
        self.context = {'user': f'urn:vcloud:user:{uuid.uuid4()}',
                        'org': f'urn:vcloud:org:{uuid.uuid4()}',
                        'rights': [f'urn:vcloud:right:{uuid.uuid4()}' for _ in range(2)]}
        self.reply_key = f'cell-{uuid.uuid4()}'
        self._waiting, self._lock, self._is_over = {}, threading.Lock(), False
        self._http = Server(('127.0.0.1', 0), Handler)
        self._http.cell = self
        self.port = self._http.server_port
        self.url = self.admin.base = f'http://127.0.0.1:{self.port}'
        if certificate:
            self._wrap(certificate)

    def _wrap(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        # In the thread of the connection, not in the one that accepts.
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True,
                                                do_handshake_on_connect=False)
        self.url = self.admin.base = f'https://localhost:{self.port}'

    def _connect(self):
        credentials = pika.PlainCredentials(self.broker.user, self.broker.password)
        return pika.BlockingConnection(pika.ConnectionParameters(
            '127.0.0.1', self.broker.port, credentials=credentials, heartbeat=0))

    # ---- its life ----

    def __enter__(self):
        self._publisher = self._connect()
        self._channel = self._publisher.channel()
        for exchange, kind in (('vcdext', 'direct'), (REPLIES, 'direct'), (NOTIFICATIONS, 'topic'),
                               (XML_NOTIFICATIONS, 'topic')):
            self._channel.exchange_declare(exchange, kind, durable=True)
        self._replies = self._connect()
        replies = self._replies.channel()
        queue = replies.queue_declare('', exclusive=True).method.queue
        replies.queue_bind(queue, REPLIES, self.reply_key)
        replies.basic_consume(queue, self._on_reply, auto_ack=True)
        self._threads = [threading.Thread(target=self._consume, daemon=True),
                         threading.Thread(target=self._http.serve_forever, daemon=True)]
        for thread in self._threads:
            thread.start()
        return self

    def _consume(self):
        with contextlib.suppress(pika.exceptions.AMQPError):
            while not self._is_over:
                self._replies.process_data_events(time_limit=0.2)

    def __exit__(self, *_):
        self._is_over = True
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(10)
        for connection in (self._replies, self._publisher):
            with contextlib.suppress(pika.exceptions.AMQPError):
                connection.close()

    # ---- the API extension ----

    def add_service(self, name, routing_key, patterns, exchange='vcdext'):
        self.services.append(Service(routing_key, patterns, exchange))

    def message(self, method, path, query, headers, body, peer=('127.0.0.1', 1)):
        return [{'id': str(uuid.uuid4()), 'request': True, 'method': method, 'requestUri': path,
                 'queryString': query, 'protocol': 'HTTP/1.1', 'scheme': 'https',
                 'remoteAddr': peer[0], 'remotePort': peer[1], 'localAddr': '127.0.0.1',
                 'localPort': 443, 'headers': headers,
                 'body': base64.b64encode(body).decode(), 'statusCode': 0}, self.context]

    def add_blocking_task(self, **kwargs):
        """operation=, timeout_s=, timeout_action= ('abort', 'resume', 'fail')."""
        return self.admin.add_task(**kwargs)

    def service_for(self, path):
        services = sorted([*self.services, *self.admin.services], key=lambda one: -one.priority)
        return next((one for one in services if one.fits(path)), None)

    def forward(self, method, path, query, headers, body, peer):
        service = self.service_for(path)
        if not service and path == f'/api/org/{self.context["org"].rpartition(":")[2]}':
            return 200, {'Content-Type': 'application/vnd.vmware.vcloud.org+xml'}, b'<Org/>'
        if not service:
            return 404, {}, b'no service'
        message = self.message(method, path, query, headers, body, peer)
        return self.exchange(service, message)

    def exchange(self, service, message, correlation=None):
        """(status, headers, body) of the answer."""
        correlation = correlation or str(uuid.uuid4())
        waiting = {'event': threading.Event(), 'answers': []}
        self._waiting[correlation] = waiting
        self.publish(service.exchange, service.routing_key, json.dumps(message).encode(),
                     pika.BasicProperties(correlation_id=correlation, reply_to=self.reply_key,
                                          headers={'replyToExchange': REPLIES,
                                                   'messageType': 'ProcessHttpRequest'}))
        if not waiting['event'].wait(self.timeout_s):
            return 504, {}, b'no answer'
        answer = json.loads(waiting['answers'][0])
        assert answer['id'] == message[0]['id'] and answer['request'] is False
        decoded = base64.b64decode(answer.get('body') or '')
        assert int(answer['headers']['Content-Length']) == len(decoded)
        return answer['statusCode'], answer['headers'], decoded

    def answers_to(self, correlation):
        """How many came for it."""
        return len(self._waiting[correlation]['answers'])

    def _on_reply(self, _channel, _method, properties, body):
        waiting = self._waiting.get(properties.correlation_id)
        if waiting:
            waiting['answers'].append(body)
            waiting['event'].set()

    def publish(self, exchange, key, body, properties=None):
        with self._lock:
            self._channel.basic_publish(exchange, key, body, properties)

    @contextlib.contextmanager
    def watch(self, *exchanges, queue):
        """Gives what tells how many messages came to the queue, which is bound to all of them."""
        connection = self._connect()
        channel = connection.channel()
        channel.queue_declare(queue, exclusive=True)
        for exchange in exchanges:
            channel.exchange_declare(exchange, 'topic')
            channel.queue_bind(queue, exchange, '#')
        try:
            yield lambda: channel.queue_declare(queue, passive=True).method.message_count
        finally:
            for exchange in exchanges:
                channel.exchange_delete(exchange)
            connection.close()

    # ---- notifications ----

    def notify(self, notification, exchange=NOTIFICATIONS):
        """JSON; or XML, as text, to systemExchange."""
        if isinstance(notification, str):
            self.publish(XML_NOTIFICATIONS, 'true.entity.org.user.any', notification.encode())
            return
        ids = [notification[key].rsplit(':', 1)[-1] for key in ('entity', 'org', 'user')]
        succeeded = str(notification['operationSuccess']).lower()
        key = '.'.join([succeeded, *ids, notification['type'].replace('/', '.')])
        self.publish(exchange, key, json.dumps(notification).encode())


def wait_for_consumer(broker, queue, wait_s=30):
    """Until somebody takes from the queue."""
    credentials = pika.PlainCredentials(broker.user, broker.password)
    parameters = pika.ConnectionParameters('127.0.0.1', broker.port, credentials=credentials)
    end = time.monotonic() + wait_s
    while True:
        connection = pika.BlockingConnection(parameters)
        try:
            channel = connection.channel()
            if channel.queue_declare(queue, passive=True).method.consumer_count:
                return
        except pika.exceptions.ChannelClosedByBroker:
            pass
        finally:
            if connection.is_open:
                connection.close()
        assert time.monotonic() < end, f'nobody takes from {queue}'
        time.sleep(0.2)
