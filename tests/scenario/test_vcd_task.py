# SPDX-License-Identifier: Apache-2.0
"""Blocking tasks of vCloud Director that functions decide: a real RabbitMQ, a cell that is played."""
import itertools
import json
import pathlib
import re
import tempfile
import threading
import time
import uuid

import pytest

import mayfly
import rabbitmq
import vcd_admin
import vcd_cell

TYPE = 'com.vmware.vcloud.event.blockingtask.create'
UUID, OTHER, THIRD = (str(uuid.uuid4()) for _ in range(3))
USER = 'administrator@System'
# Says what the notification wishes, and all that it knows.
DECIDE = '''exports.handler = async (event) => {
  console.log(JSON.stringify(event), JSON.stringify(process.env))
  if (event.data?.wish === 'throw') throw new Error('out of <order>')
  return event.data?.wish }'''
_numbers = itertools.count(1)


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker() as one:
        yield one


@pytest.fixture(scope='module')
def folder():
    with tempfile.TemporaryDirectory(prefix='mayfly-vcd-') as path:
        pathlib.Path(path).chmod(0o755)
        yield pathlib.Path(path)


@pytest.fixture(scope='module')
def cell(broker, folder):
    authority, server = vcd_admin.certificate(folder)
    authority.chmod(0o644)
    with vcd_cell.Cell(broker, 30, server) as one:
        yield one


@pytest.fixture(scope='module')
def daemon(broker, cell, folder):
    password = folder / 'vcd-password'
    password.write_text(cell.admin.users[USER] + '\n')
    password.chmod(0o600)
    config = '\n'.join([
        f'amqp_url = {broker.url}', f'amqp_password_file = {broker.password_file}',
        'vcd_notifications = vcd.notifications20', f'vcd_orgs = {UUID}=acme, {OTHER}=other, {THIRD}=third',
        f'vcd_url = {cell.url}', f'vcd_user = {USER}', f'vcd_password_file = {password}',
        f'vcd_ca_file = {folder / "ca.pem"}', 'vcd_api_version = 33.0', ''])
    with mayfly.Daemon(config=config) as one:
        yield one


@pytest.fixture(scope='module')
def front(broker, daemon):
    """The org `acme`, whose function `decide` decides."""
    org = daemon.new_org('acme')
    org.deploy('decide', DECIDE)
    put_trigger(org, 'on-task', on_success=['vcd:task'], on_failure=['vcd:task:abort'])
    vcd_cell.wait_for_consumer(broker, 'mayfly.notifications')
    yield org


@pytest.fixture(autouse=True)
def as_it_was(cell):
    yield
    cell.admin.instead = None


def put_trigger(org, name, function='decide', kind=TYPE, **queue):
    return org.client.put(f'{org.path}/triggers/{name}', {
        'function': function, 'filter': [{'exact': {'type': kind}}],
        'queue': {'attempts': 1, **queue}})


def notification(task, wish=None, org=UUID, kind='blockingtask/create'):
    return {'eventId': f'event-{next(_numbers)}', 'type': f'com/vmware/vcloud/event/{kind}',
            'timestamp': '2026-06-18T14:33:27.787+03:00', 'operationSuccess': True,
            'user': 'urn:vcloud:user:44', 'org': f'urn:vcloud:org:{org}', 'entity': task.urn,
            'task': 'urn:vcloud:task:34', 'taskOwner': 'urn:vcloud:vapp:26', 'wish': wish}


def decided(task, wait_s=60):
    """(status, message) that the task came to."""
    mayfly.wait_until(lambda: task.status != 'activeTask', 'the task is over', wait_s)
    return task.status, task.message


def posts(org, task):
    """What is put to answer the task, newest first."""
    answer = org.client.get(f'{org.path}/deliveries?n=100').expect(200).json()
    return [one for one in answer['deliveries'] if one['path'].startswith(f'vcd-task:{task.id}/')]


def ended_post(org, task, state='done', wait_s=90):
    found = mayfly.wait_until(
        lambda: [one for one in posts(org, task) if one['state'] == state], f'a post is {state}',
        wait_s)
    return (found or posts(org, task))[0]


def asked(cell, task):
    return [path for _, path, _ in cell.admin.seen if task.id in path]


def logins(cell):
    return sum('/sessions' in path for _, path, _ in cell.admin.seen)


# ---- what is decided ----

@pytest.mark.parametrize('wish, status, message', [
    ({'task': 'resume', 'message': '<ok> & "ä"'}, 'resumed', '<ok> & "ä"'),
    ({'task': 'abort', 'message': 'too large'}, 'aborted', 'too large'),
    ({'task': 'fail'}, 'failed', 'decided by the function decide'),
    (None, 'resumed', 'decided by the function decide'),
    ({'pages': 4}, 'resumed', 'decided by the function decide'),
    ({'task': 'delete'}, 'failed', 'task must be'),
    ('abort', 'failed', 'task must be'),
    ('throw', 'aborted', 'out of <order>'),
])
def test_the_function_s_answer_decides(cell, front, wish, status, message):
    task = cell.add_blocking_task()
    cell.notify(notification(task, wish))
    found, said = decided(task)
    assert found == status and message in said
    assert len(task.actions) == 1
    post = ended_post(front, task)
    assert post['origin'] == 'task' and post['source'] == 'decide'


def test_a_trigger_may_decide_whatever_the_function_answers(cell, front):
    kind = 'com.vmware.vcloud.event.blockingtask.fixed'
    front.client.delete(f'{front.path}/triggers/fixed')
    put_trigger(front, 'fixed', kind=kind, on_success=['vcd:task:fail']).expect(201)
    task = cell.add_blocking_task()
    cell.notify(notification(task, {'task': 'resume'}, kind='blockingtask/fixed'))
    assert decided(task)[0] == 'failed'


def test_what_cannot_be_a_destination_is_refused_with_its_name(cell, front):
    for word, rule in (('vcd:task', '"vcd:task:resume"'), ('vcd:task:delete', '"vcd:task:resume"'),
                       ('vcd:tasks', '"vcd:task:resume"')):
        answer = put_trigger(front, 'wrong', on_failure=[word]).expect(400).json()
        assert answer['field'] == 'queue.on_failure' and rule in answer['message']
    for word in ('vcd:task', 'vcd:task:resume'):
        answer = front.put('other', DECIDE, queue={'on_success': [word]}).expect(400).json()
        assert 'on_success' in answer['field'] and 'only a trigger' in answer['message']
        answer = front.client.put(f'{front.path}/schedules/wrong', {
            'function': 'decide', 'cron': '0 0 * * *', 'queue': {'on_failure': [word]}})
        answer = answer.expect(400).json()
        assert 'on_failure' in answer['field'] and 'only a trigger' in answer['message']


def command(org, *args):
    env = {'MAYFLY_URL': f'http://{org.client.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token}
    done = mayfly.run('mayfly', *args, env=env, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_approves_what_its_list_has(cell, front, daemon):
    example = mayfly.HOUSE / 'examples' / 'approve-task'
    third = daemon.new_org('third')
    command(third, 'deploy', str(example))
    command(third, 'trigger', 'put', 'approve', '-f', str(example / 'trigger.json'))
    tried = command(third, 'trigger', 'test', 'approve', '--type', TYPE)
    assert 'reaches approve' in tried and 'blocking task' in tried
    for user, status, message in (('44', 'resumed', 'approved'),
                                  ('99', 'aborted', 'urn:vcloud:user:99 may not do this')):
        task = cell.add_blocking_task()
        cell.notify({**notification(task, org=THIRD), 'user': f'urn:vcloud:user:{user}'})
        found, said = decided(task)
        assert found == status and message in said


def test_the_command_line_puts_such_a_trigger(cell, front):
    kind = 'com.vmware.vcloud.event.blockingtask.line'
    command(front, 'trigger', 'put', 'line', '--function', 'decide', '--type', kind, '--attempts',
            '1', '--on-success', 'vcd:task', '--on-failure', 'vcd:task:abort')
    shown = front.client.get(f'{front.path}/triggers/line').expect(200).json()
    assert shown['queue'] == {'attempts': 1, 'on_success': ['vcd:task'],
                              'on_failure': ['vcd:task:abort']}
    task = cell.add_blocking_task()
    cell.notify(notification(task, 'throw', kind='blockingtask/line'))
    assert decided(task)[0] == 'aborted'


# ---- what must not be decided ----

def forged(task, **more):
    return {'specversion': '1.0', 'id': f'forged-{next(_numbers)}', 'source': 'urn:vcloud:cell',
            'type': TYPE, 'subject': task.urn, 'orgid': f'urn:vcloud:org:{UUID}',
            'datacontenttype': 'application/json',
            'data': {'wish': {'task': 'abort'}, 'entity': task.urn}, **more}


def test_an_event_that_did_not_come_from_vcd_decides_nothing(cell, front):
    task = cell.add_blocking_task()
    path, kind = f'{front.path}/events', {'Content-Type': 'application/cloudevents+json'}
    front.client.post(path, forged(task), headers=kind).expect(202)
    front.client.post(path, forged(task, mayflyvia='vcd'), headers=kind).expect(400)
    front.client.send('POST', path, b'{}', headers={
        'Content-Type': 'application/json', 'ce-specversion': '1.0', 'ce-id': 'b', 'ce-source': 'x',
        'ce-type': TYPE, 'ce-subject': task.urn, 'ce-mayflyvia': 'vcd'}).expect(400)
    body = forged(task, mayflyvia='vcd')
    answer = front.client.post(f'{front.path}/functions/decide/calls?mode=async', body).expect(202)
    front.client.get(f'{front.path}/calls/{answer.json()["id"]}?wait=30s').expect(200)
    # By a function's own destination, as an event of the same type.
    front.deploy('emit', DECIDE, queue={'on_success': [f'event:{TYPE}'], 'attempts': 1})
    answer = front.client.post(f'{front.path}/functions/emit/calls?mode=async', body).expect(202)
    front.client.get(f'{front.path}/calls/{answer.json()["id"]}?wait=30s').expect(200)
    mayfly.wait_until(lambda: 'delivery.destination_lost' in front.daemon.log(), 'it is said', 30)
    settle(cell, front)
    assert not asked(cell, task) and not posts(front, task) and task.status == 'activeTask'


def settle(cell, front):
    """What came before is through: a task behind it is decided."""
    last = cell.add_blocking_task()
    cell.notify(notification(last, {'task': 'resume'}))
    assert decided(last)[0] == 'resumed'
    ended_post(front, last)


def test_a_redriven_delivery_decides_nothing(cell, front):
    kind = 'com.vmware.vcloud.event.blockingtask.dead'
    front.deploy('never', 'exports.handler = async () => { throw new Error("no") }')
    put_trigger(front, 'dead', function='never', kind=kind, on_success=['vcd:task']).expect(201)
    task = cell.add_blocking_task()
    cell.notify(notification(task, {'task': 'abort'}, kind='blockingtask/dead'))
    letters = mayfly.wait_until(lambda: front.client.get(
        f'{front.path}/dead-letters?function=never').expect(200).json()['deliveries'],
        'a dead letter', 60)
    answer = front.client.post(f'{front.path}/dead-letters/{letters[0]["id"]}/redrive',
                               {'function': 'decide'}).expect(202).json()
    call = front.client.get(f'{front.path}/calls/{answer["id"]}?wait=30s').expect(200).json()
    assert call['delivery']['state'] == 'done'
    settle(cell, front)
    assert not asked(cell, task) and task.status == 'activeTask'


def test_an_event_that_is_of_no_task_decides_nothing(cell, front):
    kind = 'com.vmware.vcloud.event.vm.create'
    put_trigger(front, 'vm', kind=kind, on_success=['vcd:task']).expect(201)
    task = cell.add_blocking_task()
    note = notification(task, {'task': 'abort'}, kind='vm/create')
    note['entity'] = 'urn:vcloud:vm:25'
    cell.notify(note)
    settle(cell, front)
    assert not asked(cell, task)


def test_a_task_of_another_org_is_decided_by_its_functions_alone(cell, front, daemon):
    task = cell.add_blocking_task()
    other = daemon.new_org('other')
    other.deploy('decide', DECIDE)
    put_trigger(other, 'on-task', on_success=['vcd:task:fail']).expect(201)
    cell.notify(notification(task, {'task': 'resume'}, org=OTHER))
    assert decided(task)[0] == 'failed' and len(task.actions) == 1 and not posts(front, task)


# ---- what goes wrong ----

def test_a_task_that_is_over_is_done_with_a_note(cell, front):
    task, gone = cell.add_blocking_task(), cell.add_blocking_task()
    task.status, task.message = 'aborted', 'timeout'
    del cell.admin.tasks[gone.id]
    for one, note in ((task, 'aborted'), (gone, 'it is not there')):
        cell.notify(notification(one, {'task': 'resume'}))
        post = ended_post(front, one)
        assert f'the task was over already: {note}' in post['message'] and not one.actions
        assert post['attempt_count'] == 1


def test_a_session_that_is_over_is_made_anew_once(cell, front):
    settle(cell, front)
    before = logins(cell)
    cell.admin.sessions.clear()
    tasks = [cell.add_blocking_task() for _ in range(3)]
    for task in tasks:
        cell.notify(notification(task, {'task': 'resume'}))
    for task in tasks:
        assert decided(task)[0] == 'resumed' and ended_post(front, task)['attempt_count'] == 1
    assert logins(cell) == before + 1


def test_vcd_s_being_away_is_waited_for(cell, front):
    task = cell.add_blocking_task()
    cell.admin.instead = lambda *_: (503, {}, b'')
    cell.notify(notification(task, {'task': 'abort', 'message': 'late'}))
    mayfly.wait_until(lambda: len(asked(cell, task)) >= 2, 'it is tried again', 60)
    assert 'vCloud Director answered 503' in posts(front, task)[0]['message']
    cell.admin.instead = None
    assert decided(task) == ('aborted', 'late')
    assert ended_post(front, task)['attempt_count'] >= 3


def test_a_refusal_is_a_dead_letter_that_can_be_sent_again(cell, front):
    task = cell.add_blocking_task()
    cell.admin.powerful.clear()
    try:
        cell.notify(notification(task, {'task': 'resume'}))
        post = ended_post(front, task, 'dead')
        assert 'refuses to resume' in post['message'] and '(403)' in post['message']
    finally:
        cell.admin.powerful.add(USER)
    front.client.post(f'{front.path}/dead-letters/{post["id"]}/redrive').expect(202)
    assert decided(task)[0] == 'resumed'


def again(front):
    """The org's client, of the daemon that was started anew."""
    front.client = front.daemon.client(front.client.token)


def test_a_death_between_the_answer_and_vcd_s_decides_once(broker, cell, front, daemon):
    task = cell.add_blocking_task()
    arrived, is_dead = threading.Event(), threading.Event()

    def instead(method, path):
        if method == 'POST' and task.id in path and not arrived.is_set():
            arrived.set()
            is_dead.wait(60)
    cell.admin.instead = instead
    cell.notify(notification(task, {'task': 'resume', 'message': 'once'}))
    assert arrived.wait(60)
    daemon.kill()
    is_dead.set()
    assert decided(task) == ('resumed', 'once')
    daemon.start()
    again(front)
    assert 'over already: resumed' in ended_post(front, task)['message']
    assert len(task.actions) == 1


def test_a_death_before_vcd_is_asked_loses_nothing(broker, cell, front, daemon):
    task = cell.add_blocking_task()
    cell.admin.instead = lambda *_: (503, {}, b'')
    cell.notify(notification(task, {'task': 'abort', 'message': 'kept'}))
    mayfly.wait_until(lambda: asked(cell, task), 'it is tried', 60)
    daemon.kill()
    cell.admin.instead = None
    daemon.start()
    again(front)
    assert decided(task) == ('aborted', 'kept') and len(task.actions) == 1


# ---- what is seen ----

def test_the_figures_count_them(cell, front, daemon):
    def figure(action, outcome):
        text = daemon.provider().get('/metrics').expect(200).text
        name = f'mayfly_vcd_tasks_total{{action="{action}",outcome="{outcome}"}}'
        return int(re.search(rf'^{re.escape(name)} (\d+)$', text, re.M)[1])
    before = figure('resume', 'answered'), figure('abort', 'over')
    settle(cell, front)
    task = cell.add_blocking_task()
    task.status = 'failed'
    cell.notify(notification(task, {'task': 'abort'}))
    ended_post(front, task)
    assert (figure('resume', 'answered'), figure('abort', 'over')) == (before[0] + 1, before[1] + 1)


def doctor(daemon):
    """What a doctor of one's own and the daemon's say of the session."""
    lines = dict(line.split(' = ') for line in daemon.config.read_text().splitlines())
    done = mayfly.run('mayfly', 'doctor', '--json',
                      env={f'MAYFLY_{key.upper()}': value for key, value in lines.items()})
    its = daemon.provider().get('/v1/doctor').expect(200).json()['findings']
    assert USER not in done.stdout
    return [found for found in (json.loads(done.stdout)[-1], its[-1])
            if found['name'] == 'connection.vcd']


def test_the_doctor_says_whether_vcd_takes_the_credentials(cell, front, daemon):
    found = doctor(daemon)
    assert [one['available'] for one in found] == [True, True], found
    ready = daemon.client().get('/readyz').expect(200).json()
    assert ready['connections'] == {'broker': True, 'vcd': True}


def test_nobody_sees_password_or_token(cell, front, daemon):
    settle(cell, front)
    secrets = {cell.admin.users[USER], *cell.admin.sessions}
    secrets |= {headers['authorization'].split()[1] for _, _, headers in cell.admin.seen
                if 'authorization' in headers}
    assert len(secrets) >= 3
    texts = [daemon.log(), front.client.get(f'{front.path}/functions/decide/logs').text,
             front.client.get(f'{front.path}/deliveries?n=100').text,
             daemon.provider().get('/metrics').text]
    texts += [front.client.get(f'{front.path}/calls/{post["id"]}').text
              for post in posts(front, last_task(cell))]
    texts += [path.read_text(errors='replace') for path in
              pathlib.Path(f'/proc/{daemon.process.pid}').glob('cmdline')]
    for secret in secrets:
        assert not [text for text in texts if secret in text]


def last_task(cell):
    return list(cell.admin.tasks.values())[-1]


def test_the_older_api_has_a_session_of_its_own(cell, front, daemon):
    daemon.stop()
    text = daemon.config.read_text()
    daemon.config.write_text(text.replace('vcd_api_version = 33.0', 'vcd_api_version = 31.0'))
    cell.admin.seen.clear()
    daemon.start()
    again(front)
    settle(cell, front)
    assert '/api/sessions' in [path for _, path, _ in cell.admin.seen]
    assert all('x-vcloud-authorization' in headers for _, path, headers in cell.admin.seen
               if 'blockingTask' in path)


def test_a_password_that_is_refused_is_not_tried_again_and_again(cell, front, daemon):
    daemon.stop()
    password, cell.admin.users[USER] = cell.admin.users[USER], 'changed'
    cell.admin.sessions.clear()
    cell.admin.seen.clear()
    try:
        daemon.start()
        again(front)
        task = cell.add_blocking_task()
        cell.notify(notification(task, {'task': 'resume'}))
        mayfly.wait_until(lambda: [one for one in posts(front, task) if one['attempt_count'] >= 2],
                          'two attempts', 60)
        time.sleep(1)
        assert logins(cell) == 1 and not asked(cell, task)
        assert 'refuses the user or the password (401)' in posts(front, task)[0]['message']
        for found in doctor(daemon):
            assert not found['available'] and 'refuses' in found['why'], found
        assert password not in daemon.log()
    finally:
        cell.admin.users[USER] = password
