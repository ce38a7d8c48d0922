# SPDX-License-Identifier: Apache-2.0
"""vCloud Director's front door over AMQP: a real RabbitMQ, and a cell that is played (vcd_cell.py)."""
import json
import re
import time

import pytest

import mayfly
import rabbitmq
import vcd_cell
from vcd_cases import *  # noqa: F403  what is owed over each transport
from vcd_cases import FUNCTIONS, KEEP, PATTERNS, SETTINGS, UUID, ask


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker() as one:
        yield one


@pytest.fixture(scope='module')
def cell(broker):
    with vcd_cell.Cell(broker, 30) as one:
        one.add_service('mayfly', 'mayfly', PATTERNS)
        one.context['org'] = f'urn:vcloud:org:{UUID}'
        yield one


@pytest.fixture(scope='module')
def daemon(broker, cell):
    """One behind the cell."""
    config = '\n'.join([
        f'amqp_url = {broker.url}', f'amqp_password_file = {broker.password_file}',
        'vcd_exchange = vcdext', 'vcd_notifications = vcd.notifications20 systemExchange',
        'vcd_source = urn:vcloud:cell:1', *SETTINGS, ''])
    with mayfly.Daemon(config=config) as one:
        yield one


@pytest.fixture(scope='module')
def front(broker, daemon):
    """The org `acme` in it."""
    org = daemon.new_org('acme')
    for name, source in FUNCTIONS.items():
        org.deploy(name, source)
    vcd_cell.wait_for_consumer(broker, 'mayfly')
    vcd_cell.wait_for_consumer(broker, 'mayfly.notifications')
    yield org


def test_what_is_malformed_harms_nobody(cell, front):
    for body in (b'', b'{', b'[]', b'[1, 2]', b'\xff' * 100, b'[{"id": "x"}, {}]'):
        cell.publish('vcdext', 'mayfly', body)
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)


@pytest.mark.parametrize('exchange, key', [
    ('mayfly', 'acme.echo'), ('mayfly.delay.1000', 'acme.echo'), ('', 'mayfly.acme.echo')])
def test_an_answer_is_never_put_where_durable_calls_are(cell, front, exchange, key):
    """Else who may ask a function could call any other with what the first says."""
    with cell.watch('mayfly', 'mayfly.delay.1000', queue='mayfly.acme.echo') as came:
        message = cell.message('GET', '/api/org/acme/echo', None, {}, b'')
        cell.publish('vcdext', 'mayfly', json.dumps(message).encode(), vcd_cell.pika.BasicProperties(
            correlation_id='x', reply_to=key, headers={'replyToExchange': exchange}))
        ask(cell, 'GET', '/api/org/acme/echo').expect(201)
        time.sleep(0.5)
        assert came() == 0


def test_only_the_cell_says_who_asks(cell, front):
    names = ('X-VCloud-User', 'X-VCloud-Org', 'X-VCloud-Rights')
    answer = front.route('GET', 'echo', headers={name: 'an administrator' for name in names}).expect(201)
    assert not set(answer.json()) & {'user', 'org', 'rights'}
    assert ask(cell, 'GET', '/api/org/acme/echo').expect(201).json()['user']


def notification(number, org=f'urn:vcloud:org:{UUID}', kind='vm/create'):
    return {'eventId': f'event-{number}', 'type': f'com/vmware/vcloud/event/{kind}',
            'timestamp': '2026-06-18T14:33:27.787+03:00', 'operationSuccess': True,
            'user': 'urn:vcloud:user:44', 'org': org, 'entity': 'urn:vcloud:vm:25'}


def test_a_notification_runs_the_functions_of_its_org(cell, front):
    front.client.put(f'{front.path}/triggers/on-vm', {
        'function': 'keep', 'filter': [{'exact': {'type': 'com.vmware.vcloud.event.vm.create'}}],
    }).expect(201)
    for number in range(3):
        cell.notify(notification(number))
    cell.notify(notification(0))                                # once more: known
    cell.notify(notification(7, kind='vm/delete'))              # another type
    cell.notify(notification(8, org='urn:vcloud:org:nobody'))   # nobody's

    def calls():
        answer = front.client.get(f'{front.path}/calls?function=keep&n=100').json()
        return [call for call in answer['calls'] if call.get('code') == 'ok']
    mayfly.wait_until(lambda: len(calls()) >= 3, 'three calls', 60)
    time.sleep(2)
    assert len(calls()) == 3
    lines = front.client.get(f'{front.path}/functions/keep/logs').expect(200).text
    assert 'urn:vcloud:vm:25' in lines and 'operationsuccess' in lines


XML = '''<?xml version="1.0" encoding="UTF-8"?>
<vmext:Notification xmlns:vmext="http://www.vmware.com/vcloud/extension/v1.5"
    xmlns:vcloud="http://www.vmware.com/vcloud/v1.5"
    type="com/vmware/vcloud/event/vm/deploy" eventId="{event}">
  <vmext:Link rel="entityResolver" href="https://vcd.example/api/entity/"/>
  <vmext:EntityLink rel="entity" type="vcloud:vm" name="web &amp; co" id="urn:vcloud:vm:5"/>
  <vmext:EntityLink rel="down" type="vcloud:user" name="ada" id="urn:vcloud:user:44"/>
  <vmext:EntityLink rel="up" type="vcloud:org" name="PSCoE" id="urn:vcloud:org:{org}"/>
  <vmext:Timestamp>2026-06-18T14:33:27.787+03:00</vmext:Timestamp>
  <vmext:OperationSuccess>true</vmext:OperationSuccess>
</vmext:Notification>'''


def test_a_notification_in_xml_runs_them_too_and_is_the_same_event_as_in_json(cell, front):
    front.deploy('deployed', KEEP)
    front.client.put(f'{front.path}/triggers/on-deploy', {
        'function': 'deployed',
        'filter': [{'exact': {'type': 'com.vmware.vcloud.event.vm.deploy'}}]}).expect(201)
    cell.notify(XML.format(event='both', org=UUID))
    cell.notify(XML.replace('Notification>', 'Notice>').format(event='none', org=UUID))
    def calls():
        answer = front.client.get(f'{front.path}/calls?function=deployed&n=100').json()
        return [call for call in answer['calls'] if call.get('code') == 'ok']
    mayfly.wait_until(calls, 'a call', 60)
    cell.notify({**notification(0, kind='vm/deploy'), 'eventId': 'both'})
    cell.notify(XML.format(event='last', org=UUID))
    mayfly.wait_until(lambda: len(calls()) >= 2, 'two calls', 60)
    assert len(calls()) == 2
    lines = front.client.get(f'{front.path}/functions/deployed/logs').expect(200).text
    assert 'urn:vcloud:vm:5' in lines and 'web & co' in lines and 'mayflyvia' in lines


def outcomes(daemon):
    text = daemon.provider().get('/metrics').expect(200).text
    return {name: float(value) for name, value in
            re.findall(r'^mayfly_vcd_notifications_total\{outcome="(\w+)"\} (\S+)$', text, re.M)}


def test_a_notification_that_no_function_can_take_does_not_come_for_ever(daemon, broker, cell, front):
    front.deploy('tiny', KEEP, limits={'request_bytes': 10})
    front.client.put(f'{front.path}/triggers/on-suspend', {
        'function': 'tiny',
        'filter': [{'exact': {'type': 'com.vmware.vcloud.event.vm.suspend'}}]}).expect(201)
    before = outcomes(daemon)
    cell.notify(notification('large', kind='vm/suspend'))
    mayfly.wait_until(lambda: outcomes(daemon)['dropped'] > before['dropped'], 'it is dropped', 30)
    time.sleep(3)
    after = outcomes(daemon)
    assert after['dropped'] == before['dropped'] + 1
    assert after['again'] == before['again']
    front.client.delete(f'{front.path}/triggers/on-suspend')


def test_the_figures_say_what_became_of_requests_and_notifications(daemon, cell, front):
    def figures():
        text = daemon.provider().get('/metrics').expect(200).text
        return {name: float(value) for name, value in
                re.findall(r'^(mayfly_(?:vcd|connection)\S+) (\S+)$', text, re.M)}
    def requests(found, outcome):
        return found[f'mayfly_vcd_requests_total{{outcome="{outcome}"}}']
    def notes(found, outcome):
        return found[f'mayfly_vcd_notifications_total{{outcome="{outcome}"}}']
    before = figures()
    assert before['mayfly_connection_up{to="broker"}'] == 1
    ask(cell, 'GET', '/api/org/acme/echo').expect(201)
    ask(cell, 'GET', '/api/org/acme/none').expect(404)
    cell.publish('vcdext', 'mayfly', b'{')
    cell.notify(notification('f1'))
    cell.notify(notification('f2', org='urn:vcloud:org:nobody'))
    cell.publish('vcd.notifications20', 'any', b'{}')
    mayfly.wait_until(lambda: notes(figures(), 'accepted') > notes(before, 'accepted') and
                      notes(figures(), 'malformed') > notes(before, 'malformed'), 'figures', 60)
    after = figures()
    assert requests(after, 'answered') == requests(before, 'answered') + 1
    assert requests(after, 'refused') == requests(before, 'refused') + 1
    assert requests(after, 'malformed') == requests(before, 'malformed') + 1
    assert notes(after, 'accepted') == notes(before, 'accepted') + 1
    assert notes(after, 'dropped') == notes(before, 'dropped') + 1
    assert after['mayfly_vcd_calls'] == 0
    assert 'mayfly_vcd' not in front.client.get('/metrics').expect(200).text


def test_the_doctor_and_readyz_say_whether_the_broker_answers(daemon, broker, front):
    found = daemon.provider().get('/v1/doctor').expect(200).json()['findings'][-1]
    assert found['name'] == 'connection.broker' and found['group'] == 'connection'
    assert found['available'] and 'mayfly@' not in found['why']
    assert daemon.client().get('/readyz').expect(200).json()['connections'] == {'broker': True}
    for port, answers in ((broker.port, True), (rabbitmq.free_port(), False)):
        done = mayfly.run('mayfly', 'doctor', '--json', env={
            'MAYFLY_AMQP_URL': f'amqp://mayfly@127.0.0.1:{port}/',
            'MAYFLY_AMQP_PASSWORD_FILE': broker.password_file})
        found = json.loads(done.stdout)[-1]
        assert found['name'] == 'connection.broker' and found['available'] is answers, found
        assert found['why'] and broker.password not in done.stdout + done.stderr


def test_after_a_death_of_the_broker_requests_are_taken_again(broker, cell, front):
    broker.kill()
    broker.start()
    with vcd_cell.Cell(broker, 30) as another:
        another.add_service('mayfly', 'mayfly', [r'/api/org/[^/]+/echo'])
        vcd_cell.wait_for_consumer(broker, 'mayfly', 60)
        # What answers has a connection of its own, which may be back later.
        mayfly.wait_until(lambda: ask(another, 'GET', '/api/org/acme/echo').status == 201,
                          'requests are answered again', 90)
