# SPDX-License-Identifier: Apache-2.0
"""vcd_cell_mqtt - the cell of vcd_cell.py that sends its requests over MQTT, as 10.2 and later do.

    with rabbitmq.Broker(mqtt=True) as broker, vcd_cell_mqtt.Cell(broker) as cell:
        cell.add_service('mayfly', '', patterns=['/api/org/.*/hello'])

A real cell has its broker in it; here it is a RabbitMQ that speaks MQTT in WebSocket at the same
path. Requests go to the monitor topic of the extension NAME, answers are awaited on its respond
topic. RabbitMQ does not do quality 2, and breaks off a client that publishes with it: this one uses 1.
A wrong token it answers by closing the WebSocket with 1002.
"""
import base64
import json
import threading
import uuid

import paho.mqtt.client

import vcd_cell

NAME, TOKEN = 'acme/mayfly/1.0.0', 'an extension token/' + uuid.uuid4().hex
MONITOR, RESPOND = f'topic/extension/{NAME}/ext', f'topic/extension/{NAME}/vcd'
ACCESS_TOKEN = 'access-' + uuid.uuid4().hex


def allow(broker):
    """The extension, as an administrator registers it."""
    broker.control('add_user', NAME, TOKEN)
    broker.control('set_permissions', NAME, '.*', '.*', '.*')


class Cell(vcd_cell.Cell):
    def __enter__(self):
        self._subscribed = threading.Event()
        self._client = client = paho.mqtt.client.Client(transport='websockets')
        client.username_pw_set(self.broker.user, self.broker.password)
        client.ws_set_options(path='/messaging/mqtt')
        client.on_connect = lambda *_: client.subscribe(RESPOND, 1)
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_answer
        client.connect('127.0.0.1', self.broker.ws_port)
        client.loop_start()
        assert self._subscribed.wait(30)
        self._threads = [threading.Thread(target=self._http.serve_forever, daemon=True)]
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        self._client.disconnect()
        self._client.loop_stop()

    def envelope(self, message):
        inner = {'message': message[0],
                 'securityContext': dict(message[1], apiAccessToken=ACCESS_TOKEN, parameters={}),
                 'context': {}}
        return {'type': 'API_REQUEST',
                'headers': {'requestId': message[0]['id'],
                            'context': dict(message[1], apiAccessToken=ACCESS_TOKEN)},
                'httpRequest': base64.b64encode(json.dumps(inner).encode()).decode(),
                'linkApiBaseUrl': 'https://127.0.0.1/api'}

    def exchange(self, service, message, correlation=None):
        """What is asked again has the same requestId: its answer is the latest asker's."""
        waiting = {'event': threading.Event(), 'answers': []}
        self._waiting[correlation] = self._waiting[message[0]['id']] = waiting
        self.send(json.dumps(self.envelope(message)).encode())
        if not waiting['event'].wait(self.timeout_s):
            return 504, {}, b'no answer'
        answer = waiting['answers'][0]
        assert answer['type'] == 'API_RESPONSE'
        response = answer['httpResponse']
        decoded = base64.b64decode(response['body'])
        assert int(response['headers']['Content-Length']) == len(decoded)
        return response['statusCode'], response['headers'], decoded

    def send(self, payload):
        """Any bytes."""
        self._client.publish(MONITOR, payload, qos=1).wait_for_publish(30)

    def send_large(self, payload):
        """Over AMQP, which RabbitMQ gives on: a client in Python takes minutes to mask it."""
        connection = self._connect()
        connection.channel().basic_publish('amq.topic', MONITOR.replace('/', '.'), payload)
        connection.close()

    def _on_answer(self, _client, _arg, message):
        answer = json.loads(message.payload)
        waiting = self._waiting.get(answer['headers']['requestId'])
        if waiting:
            waiting['answers'].append(answer)
            waiting['event'].set()
