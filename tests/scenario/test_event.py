# SPDX-License-Identifier: Apache-2.0
"""Events over HTTP: what is accepted, refused, known already, followed; and they reach functions.

The client of some tests is the CloudEvents SDK for JavaScript, from npm.
"""
import base64
import json
import pathlib
import subprocess

import pytest

import mayfly
from test_post import PRIVATE, Receiver

PRINTS = "exports.handler = async (event) => { console.log(JSON.stringify(event)); return 'ok'; };"
BINARY = {'ce-specversion': '1.0', 'ce-id': '1', 'ce-source': '/shop', 'ce-type': 'order.created'}
STRUCTURED = {'Content-Type': 'application/cloudevents+json'}
BATCH = {'Content-Type': 'application/cloudevents-batch+json'}


def event(number, **more):
    return {'specversion': '1.0', 'id': str(number), 'source': '/shop', 'type': 'order.created',
            **more}


def send(org, body, headers=None, query='', client=None):
    body = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (client or org.client).send('POST', f'{org.path}/events{query}', body=body,
                                       headers=headers or STRUCTURED)


def put_trigger(org, name, function, filter=None, **more):
    body = {'function': function, 'filter': filter or [], **more}
    answer = org.client.put(f'{org.path}/triggers/{name}', body)
    assert answer.status in (200, 201), answer
    return answer.json()


def printed(org, function, n):
    """The events that a function printed, once there are n of them."""
    def look():
        lines = org.client.get(f'{org.path}/functions/{function}/logs?n=500').json()['lines']
        return lines if len(lines) >= n else None
    lines = mayfly.wait_until(look, f'{n} events reach {function}', 30)
    return [json.loads(line['text']) for line in lines]


@pytest.fixture
def printing(org):
    """An org whose function prints each event that the org accepts."""
    org.deploy('print', PRINTS)
    put_trigger(org, 'all', 'print')
    return org


# ---- in ----

def test_an_event_in_each_mode_reaches_the_function_in_the_json_format(printing):
    org = printing
    headers = {**BINARY, 'ce-subject': 'Euro%20%E2%82%AC', 'Content-Type': 'application/json'}
    accepted = send(org, b'{"total": 12.50}', headers).expect(202).json()
    assert accepted == {'accepted': 1, 'known': 0, 'deliveries': 1}
    send(org, event(2, n=5, data={'x': [1]})).expect(202)
    send(org, [event(3), event(4, data_base64='AAE=')], BATCH).expect(202)
    text = {**BINARY, 'ce-id': '5', 'Content-Type': 'text/plain'}
    send(org, b'plain', text).expect(202)
    got = {one['id']: one for one in printed(org, 'print', 5)}
    assert got['1'] == event(1, subject='Euro €', datacontenttype='application/json',
                             data={'total': 12.5})
    assert got['2'] == event(2, n=5, data={'x': [1]})
    assert got['3'] == event(3)
    assert got['4'] == event(4, data_base64='AAE=')
    assert got['5'] == event(5, datacontenttype='text/plain', data='plain')


def test_an_event_that_was_accepted_is_known_and_not_delivered_again(printing):
    org = printing
    send(org, event(1)).expect(202)
    assert send(org, event(1)).json() == {'accepted': 0, 'known': 1, 'deliveries': 0}
    assert send(org, [event(1), event(2), event(2)], BATCH).json() == \
        {'accepted': 1, 'known': 2, 'deliveries': 1}
    other = {**event(1), 'source': '/other'}
    assert send(org, other).json()['accepted'] == 1
    assert sorted(one['id'] for one in printed(org, 'print', 3)) == ['1', '1', '2']


def test_what_is_known_is_known_after_a_restart_and_after_a_kill(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('print', PRINTS)
    put_trigger(org, 'all', 'print')
    assert send(org, event(1)).json()['accepted'] == 1
    printed(org, 'print', 1)
    daemon.kill()
    daemon.start()
    org.client = daemon.client(org.client.token)
    assert send(org, event(1)).json() == {'accepted': 0, 'known': 1, 'deliveries': 0}
    assert send(org, event(2)).json() == {'accepted': 1, 'known': 0, 'deliveries': 1}
    assert daemon.stop() == 0
    daemon.start()
    org.client = daemon.client(org.client.token)
    assert send(org, event(2)).json()['known'] == 1


def test_an_event_without_a_trigger_is_accepted(org):
    assert send(org, event(1)).expect(202).json() == {'accepted': 1, 'known': 0, 'deliveries': 0}
    assert send(org, [], BATCH).expect(202).json() == {'accepted': 0, 'known': 0, 'deliveries': 0}


def without(key):
    return {k: v for k, v in event(1).items() if k != key}


WRONG = [
    ('source', without('source'), STRUCTURED, 400),
    ('type', event(1) | {'type': ''}, STRUCTURED, 400),
    ('specversion', event(1) | {'specversion': '0.3'}, STRUCTURED, 400),
    ('time', event(1, time='now'), STRUCTURED, 400),
    ('Extra', event(1, Extra='x'), STRUCTURED, 400),
    ('data_base64', event(1, data_base64='?'), STRUCTURED, 400),
    ('id', [event(1), event(2) | {'id': ''}], BATCH, 400),
    (None, {}, BATCH, 400),
    (None, b'{', STRUCTURED, 400),
    ('subject', b'', {**BINARY, 'ce-subject': '%'}, 400),
    ('specversion', b'{}', {'Content-Type': 'application/json'}, 400),
    (None, b'<a/>', {'Content-Type': 'application/cloudevents+xml'}, 415),
    (None, event(1, data='x' * (256 << 10)), STRUCTURED, 413),
    (None, [event(n) for n in range(101)], BATCH, 413),
]


@pytest.mark.parametrize('field, body, headers, status', WRONG)
def test_what_is_wrong_is_refused_whole_and_named(org, field, body, headers, status):
    answer = send(org, body, headers).expect(status)
    assert answer.json().get('field') == field, answer
    assert org.client.get(f'{org.path}/events').expect(200).json() == {'events': []}


def test_a_batch_above_four_mebibytes_is_refused_before_it_is_read(org):
    assert send(org, b' ' * (4 << 20) + b'[]', BATCH).expect(413).code == 'request_too_large'


# ---- following ----

def follow(org, query='', headers=None):
    """(connection, next): next() gives (id, event) of the stream; heartbeats are passed over."""
    connection, response = org.client.open(
        'GET', f'{org.path}/events?follow=true{query}', headers=headers)
    assert response.status == 200
    assert response.headers['content-type'] == 'text/event-stream'

    def next_event():
        fields = {}
        while True:
            line = response.readline().decode().rstrip('\n')
            if not line and 'data' in fields:
                return fields['id'], json.loads(fields['data'])
            name, _, value = line.partition(': ')
            if name:
                fields[name] = value
    return connection, next_event


def test_events_are_followed_from_the_past_on_and_resumed_where_it_broke_off(org):
    send(org, [event(n) for n in range(1, 4)], BATCH).expect(202)
    connection, following = follow(org, '&n=2')
    assert [following()[1]['id'] for _ in range(2)] == ['2', '3']
    send(org, event(4, data='a\nb')).expect(202)
    last, got = following()
    assert got == event(4, data='a\nb')
    connection.close()
    send(org, b'{\n "specversion": "1.0", "id": "5",\r\n "source": "/s", "type": "t" }').expect(202)
    send(org, event(6)).expect(202)
    connection, following = follow(org, '&n=0', {'Last-Event-ID': last})
    assert [following()[1]['id'] for _ in range(2)] == ['5', '6']
    connection.close()
    listed = org.client.get(f'{org.path}/events?n=3').expect(200).json()['events']
    assert [one['id'] for one in listed] == ['4', '5', '6']


def test_an_org_follows_only_its_own(daemon, org):
    other = daemon.new_org()
    connection, following = follow(org)
    send(other, event(1)).expect(202)
    send(org, event(2)).expect(202)
    assert following()[1]['id'] == '2'
    connection.close()
    other.delete()


def rest_of(response):
    """What a stream says until the daemon ends it, but for its beats and where it begins."""
    return [line for line in response.read().splitlines() if line[:3] not in (b'', b':', b'id:')]


def test_who_may_not_look_any_more_sees_no_more(daemon, org):
    """Not until the stream is ended either: a token that is revoked; an org that is deleted, when
    another has its name."""
    viewer = org.client_of('viewer')
    _, revoked = viewer.open('GET', f'{org.path}/events?follow=true')
    mine = viewer.get('/v1/token').json()['id']
    org.client.delete(f'{org.path}/tokens/{mine}').expect(204)
    send(org, event(1)).expect(202)
    gone = daemon.new_org()
    gone.deploy('f', PRINTS)
    _, logs = gone.client.open('GET', f'{gone.path}/functions/f/logs?follow=true')
    gone.delete()
    heir = daemon.new_org(gone.name)
    heir.deploy('f', PRINTS)
    heir.call('f', {'secret': 'of the heir'})
    assert rest_of(revoked) == rest_of(logs) == []
    heir.delete()


def test_a_stop_ends_those_who_follow(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    connection, _ = follow(org)
    assert daemon.stop() == 0
    connection.close()


# ---- roles ----

def test_an_invoker_sends_a_viewer_looks_and_another_org_is_nowhere(daemon, org):
    viewer, invoker = org.client_of('viewer'), org.client_of('invoker')
    send(org, event(1), client=viewer).expect(403)
    send(org, event(1), client=invoker).expect(202)
    invoker.put(f'{org.path}/triggers/t', {'function': 'f'}).expect(403)
    assert len(viewer.get(f'{org.path}/events').expect(200).json()['events']) == 1
    other = daemon.new_org()
    for path in ('events', 'triggers', 'triggers/t'):
        other.client.get(f'{org.path}/{path}').expect(404)
    send(org, event(1), client=other.client).expect(404)
    other.delete()


# ---- with the SDK ----

SENDS = """
const {CloudEvent, HTTP} = require('cloudevents');
const [url, token] = process.argv.slice(2);
const post = async (message) => {
  const headers = {...message.headers, authorization: `Bearer ${token}`};
  const answer = await fetch(url, {method: 'POST', headers, body: message.body});
  if (answer.status !== 202) throw new Error(`${answer.status} ${await answer.text()}`);
};
const of = (id, more) => new CloudEvent({id, source: '/sdk', type: 'com.acme.sdk', ...more});
(async () => {
  await post(HTTP.binary(of('binary', {subject: 'one', data: {x: 1.5}, myext: 'e'})));
  await post(HTTP.structured(of('structured', {data: {y: [true, null]}})));
  await post(HTTP.binary(of('text', {datacontenttype: 'text/plain', data: 'words'})));
  await post(HTTP.binary(of('bytes', {datacontenttype: 'application/octet-stream',
                                      data: Buffer.from([0, 255])})));
})();
"""


@pytest.fixture(scope='module')
def sdk(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sdk')
    done = subprocess.run(['npm', 'install', '--no-audit', '--no-fund', '--ignore-scripts',
                           'cloudevents@8.0.3'], cwd=folder, capture_output=True, text=True,
                          timeout=180)
    assert done.returncode == 0, done.stderr
    (folder / 'sends.js').write_text(SENDS)
    return folder


def test_what_the_sdk_emits_is_what_a_function_gets(printing, sdk: pathlib.Path):
    org = printing
    url = f'http://{org.daemon.address}{org.path}/events'
    done = subprocess.run(['node', 'sends.js', url, org.client.token], cwd=sdk,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    got = {one['id']: one for one in printed(org, 'print', 4)}
    assert all(one['source'] == '/sdk' and one['type'] == 'com.acme.sdk' and one['time']
               for one in got.values())
    assert got['binary']['data'] == {'x': 1.5} and got['binary']['myext'] == 'e'
    assert got['binary']['subject'] == 'one'
    assert got['structured']['data'] == {'y': [True, None]}
    assert got['text']['data'] == 'words'
    assert got['bytes']['data_base64'] == 'AP8='


READS = """
const {HTTP} = require('cloudevents');
for (const {headers, body} of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
  const one = HTTP.toEvent({headers, body: Buffer.from(body, 'base64').toString()});
  one.validate();
  console.log(JSON.stringify({...one.toJSON(), mayfly: Object.keys(one).filter(
    (name) => name.startsWith('mayfly'))}));
}
"""


def test_what_goes_to_a_url_the_sdk_reads_in_both_modes(sdk: pathlib.Path):
    (sdk / 'reads.js').write_text(READS)
    with mayfly.Daemon(config=PRIVATE) as daemon, Receiver() as receiver:
        org = daemon.new_org()
        for mode in ('binary', 'structured'):
            org.client.put(f'{org.path}/triggers/{mode}',
                           {'url': receiver.url(f'/{mode}'), 'mode': mode}).expect(201)
        wanted = [event(1, data={'x': 1.5}, subject='vm-1', myext='e'),
                  event(2, datacontenttype='text/plain', data='words'),
                  event(3, time='2026-01-01T00:00:00Z')]
        send(org, wanted, BATCH).expect(202)
        mayfly.wait_until(lambda: len(receiver.posts) == 6, 'the posts', 30)
    posts = [{'headers': {name.lower(): value for name, value in headers.items()},
              'body': base64.b64encode(body).decode()} for _, headers, body in receiver.posts]
    done = subprocess.run(['node', 'reads.js'], cwd=sdk, input=json.dumps(posts),
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    read = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(read) == 6
    for one in wanted:
        twice = [{key: each.get(key) for key in one if key != 'time'} for each in read
                 if each['id'] == one['id']]
        assert twice == [{key: one[key] for key in one if key != 'time'}] * 2
    assert not [one for one in read if one['mayfly']]


def test_what_a_function_gets_the_sdk_understands(org, sdk: pathlib.Path):
    """The SDK runs inside: its strict validation takes the event as the function gets it."""
    package = json.dumps({'name': 'f', 'version': '1.0.0',
                          'dependencies': {'cloudevents': '8.0.3'}})
    source = ("const {CloudEvent} = require('cloudevents');\n"
              "exports.handler = async (event) => {\n"
              "  const one = new CloudEvent(event);\n"
              "  console.log(JSON.stringify({valid: one.validate(), id: one.id, data: one.data}));\n"
              "};\n")
    org.deploy('sdk', {'index.js': source, 'package.json': package})
    put_trigger(org, 'all', 'sdk')
    send(org, event(1, data={'x': 1}, time='2026-01-01T00:00:00Z')).expect(202)
    assert printed(org, 'sdk', 1) == [{'valid': True, 'id': '1', 'data': {'x': 1}}]
