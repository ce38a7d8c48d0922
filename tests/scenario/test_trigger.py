# SPDX-License-Identifier: Apache-2.0
"""Triggers: which functions an event calls, how often, in which order, and what is left of it."""
import http.client
import json
import subprocess
import threading

import mayfly
from test_event import PRINTS, event, printed, put_trigger, send

FAILS = "exports.handler = async (event) => { throw new Error('no ' + event.id); };"


def trigger(org, name):
    return org.client.get(f'{org.path}/triggers/{name}').expect(200).json()


def wait_for_figures(org, name, **wanted):
    def look():
        figures = trigger(org, name)['figures']
        return all(figures[key] == value for key, value in wanted.items()) and figures
    return mayfly.wait_until(look, f'{name} has {wanted}', 30)


def dead_letters(org, n=1):
    def look():
        listed = org.client.get(f'{org.path}/dead-letters').expect(200).json()
        found = next(value for value in listed.values() if isinstance(value, list))
        return found if len(found) >= n else None
    return mayfly.wait_until(look, f'{n} dead letters', 30)


# ---- documents ----

def test_a_trigger_is_put_shown_listed_replaced_and_deleted(org):
    org.deploy('print', PRINTS)
    path = f'{org.path}/triggers/on-vm'
    wish = {'name': 'on-vm', 'function': 'print', 'filter': [{'exact': {'type': 'a'}}],
            'order_key': 'subject', 'queue': {'attempts': 3, 'max_age_s': 60}}
    made = org.client.put(path, wish).expect(201).json()
    assert {key: made[key] for key in wish} == wish
    assert made['enabled'] and made['failure'] is None
    assert made['figures'] == {'matched': 0, 'delivered': 0, 'failed': 0, 'waiting': 0, 'lag_ms': 0}
    assert trigger(org, 'on-vm') == made
    replaced = org.client.put(path, {'function': 'print', 'enabled': False}).expect(200).json()
    assert (replaced['filter'], replaced['queue'], replaced['enabled']) == ([], None, False)
    assert replaced['created_at'] == made['created_at']
    put_trigger(org, 'another', 'print')
    listed = org.client.get(f'{org.path}/triggers').expect(200).json()['triggers']
    assert [one['name'] for one in listed] == ['another', 'on-vm']
    org.client.delete(path).expect(204)
    org.client.get(path).expect(404)
    org.client.delete(path).expect(404)


WRONG = [
    ('function', {}),
    ('function', {'function': 'none'}),
    ('name', {'function': 'print', 'name': 'other'}),
    ('unknown', {'function': 'print', 'unknown': 1}),
    ('filter[0]', {'function': 'print', 'filter': [{'sql': 'true'}]}),
    ('filter[0].exact.type', {'function': 'print', 'filter': [{'exact': {'type': {}}}]}),
    ('filter[0].range.data.size', {'function': 'print', 'filter': [{'range': {'data.size': 5}}]}),
    ('order_key', {'function': 'print', 'order_key': '-'}),
    ('queue.attempts', {'function': 'print', 'queue': {'attempts': 0}}),
    ('queue.concurrency', {'function': 'print', 'queue': {'concurrency': 1}}),
]


def test_a_wrong_trigger_names_the_field_and_leaves_nothing(org):
    org.deploy('print', PRINTS)
    for field, body in WRONG:
        answer = org.client.put(f'{org.path}/triggers/t', body).expect(400)
        assert answer.json()['field'] == field, answer
    org.client.put(f'{org.path}/triggers/T', {'function': 'print'}).expect(400)
    big = [{'exact': {'type': 'x' * 300}} for _ in range(60)]
    org.client.put(f'{org.path}/triggers/t', {'function': 'print', 'filter': big}).expect(413)
    assert org.client.get(f'{org.path}/triggers').json() == {'triggers': []}


def test_a_trigger_goes_with_its_function(org):
    org.deploy('print', PRINTS)
    put_trigger(org, 't', 'print')
    org.client.delete(f'{org.path}/functions/print').expect(204)
    org.client.get(f'{org.path}/triggers/t').expect(404)
    assert send(org, event(1)).json()['deliveries'] == 0


# ---- matching ----

def test_an_event_calls_several_functions_and_one_function_by_several_triggers(org):
    for name in ('first', 'second'):
        org.deploy(name, PRINTS)
    put_trigger(org, 'a', 'first', [{'prefix': {'type': 'order.'}}])
    put_trigger(org, 'b', 'first', [{'range': {'data.total': {'gte': 10}}}])
    put_trigger(org, 'c', 'second', [{'topic': {'type': '*.created'}}])
    put_trigger(org, 'd', 'second', [{'exact': {'subject': 'nobody'}}])
    put_trigger(org, 'off', 'second', enabled=False)
    assert send(org, event(1, data={'total': 10})).json()['deliveries'] == 3
    assert send(org, event(2, data={'total': 9})).json()['deliveries'] == 2
    assert sorted(one['id'] for one in printed(org, 'first', 3)) == ['1', '1', '2']
    assert sorted(one['id'] for one in printed(org, 'second', 2)) == ['1', '2']
    wait_for_figures(org, 'a', matched=2, delivered=2, failed=0, waiting=0, lag_ms=0)
    wait_for_figures(org, 'b', matched=1, delivered=1)
    wait_for_figures(org, 'd', matched=0, delivered=0)


def test_a_dry_run_says_why_and_delivers_nothing(org):
    org.deploy('print', PRINTS)
    put_trigger(org, 'fits', 'print', [{'exact': {'type': 'order.created'}}])
    put_trigger(org, 'not', 'print', [{'not': {'prefix': {'source': '/shop'}}}])
    put_trigger(org, 'off', 'print', enabled=False)
    answer = send(org, event(1), query='?dry_run=true').expect(200).json()['events'][0]
    assert [(one['name'], one['matches'], one['why']) for one in answer['triggers']] == [
        ('fits', True, 'type is exactly "order.created"'),
        ('not', False, 'source "/shop" begins with "/shop", which must not be'),
        ('off', False, 'it is not enabled')]
    assert org.client.get(f'{org.path}/events').json() == {'events': []}
    assert send(org, event(1)).json() == {'accepted': 1, 'known': 0, 'deliveries': 1}


# ---- delivering ----

def test_a_trigger_has_attempts_of_its_own_and_its_name_stands_in_the_dead_letter(org):
    org.deploy('fails', FAILS)
    put_trigger(org, 'twice', 'fails', queue={'attempts': 2, 'backoff_ms': 10})
    send(org, event(7)).expect(202)
    letter = dead_letters(org)[0]
    assert (letter['origin'], letter['source'], letter['function']) == ('event', 'twice', 'fails')
    shown = org.client.get(f'{org.path}/dead-letters/{letter["id"]}').expect(200).json()
    assert len(shown['attempts']) == 2
    assert 'no 7' in json.dumps(shown)
    wait_for_figures(org, 'twice', matched=1, delivered=0, failed=1, waiting=0)


def test_events_of_one_order_key_run_one_after_the_other(org):
    """Each holds the second for a while; were they side by side, begin and end would mix."""
    source = ("exports.handler = async (event) => {\n"
              "  console.log(JSON.stringify({id: event.id, at: 'begin', t: Date.now()}));\n"
              "  await new Promise((done) => setTimeout(done, 50));\n"
              "  console.log(JSON.stringify({id: event.id, at: 'end', t: Date.now()}));\n"
              "};\n")
    org.deploy('slow', source)
    put_trigger(org, 'ordered', 'slow', order_key='subject')
    sent = [event(n, subject='one') for n in range(6)]
    send(org, sent, {'Content-Type': 'application/cloudevents-batch+json'}).expect(202)
    lines = sorted(printed(org, 'slow', 12), key=lambda one: (one['t'], one['at'] == 'begin'))
    assert [one['id'] for one in lines[::2]] == [str(n) for n in range(6)]
    assert [one['at'] for one in lines] == ['begin', 'end'] * 6


def test_what_a_function_could_not_take_is_sent_on_as_an_event(org):
    org.deploy('fails', FAILS)
    org.deploy('print', PRINTS)
    put_trigger(org, 'first', 'fails', [{'exact': {'type': 'order.created'}}],
                queue={'attempts': 1, 'on_failure': ['event:order.failed']})
    put_trigger(org, 'second', 'print', [{'exact': {'source': '/functions/fails'}}])
    send(org, event(1)).expect(202)
    got = printed(org, 'print', 1)[0]
    assert (got['type'], got['source']) == ('order.failed', '/functions/fails')


def test_triggers_and_what_waits_for_them_are_there_after_a_kill(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('fails', FAILS)
    put_trigger(org, 'later', 'fails', [{'exact': {'type': 'order.created'}}],
                queue={'attempts': 2, 'backoff_ms': 4000, 'backoff_max_ms': 4000})
    send(org, event(1)).expect(202)
    waiting = wait_for_figures(org, 'later', matched=1, waiting=1)
    daemon.kill()
    daemon.start()
    org.client = daemon.client(org.client.token)
    figures = trigger(org, 'later')['figures']
    assert figures['waiting'] == 1 and figures['lag_ms'] > waiting['lag_ms']
    metrics = daemon.metrics()
    labels = f'org="{org.name}",trigger="later"'
    assert metrics[f'mayfly_trigger_waiting{{{labels}}}'] == 1
    assert metrics[f'mayfly_trigger_lag_seconds{{{labels}}}'] > 0
    letter = dead_letters(org)[0]
    assert letter['source'] == 'later'
    wait_for_figures(org, 'later', failed=1, waiting=0, lag_ms=0)
    assert daemon.metrics()[f'mayfly_trigger_failed_total{{{labels}}}'] == 1


# ---- on the command line ----

def cli(org, *args, **kwargs):
    env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': '/nonexistent'}
    return mayfly.run('mayfly', *args, env=env, **kwargs)


def ok(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_line_puts_tests_and_shows_triggers_and_sends_events(org, tmp_path):
    org.deploy('print', PRINTS)
    ok(cli(org, 'trigger', 'put', 'on-order', '--function', 'print', '--type', 'order.*',
           '--filter', '{"range": {"data.total": {"gt": 10}}}', '--order-key', 'subject',
           '--attempts', '2'))
    made = json.loads(ok(cli(org, 'trigger', 'show', 'on-order')))
    assert made['filter'] == [{'topic': {'type': 'order.*'}},
                              {'range': {'data.total': {'gt': 10}}}]
    assert made['queue'] == {'attempts': 2} and made['order_key'] == 'subject'
    of = ['--type', 'order.created', '--subject', 'a', '-a', 'priority=high']
    said = ok(cli(org, 'trigger', 'test', 'on-order', *of, '--data', '{"total": 9}'))
    assert 'passes on-order: data.total 9 is not > 10' in said
    said = ok(cli(org, 'trigger', 'test', *of, '--data', '{"total": 11}'))
    assert 'reaches on-order' in said
    assert cli(org, 'trigger', 'test', 'none', *of).returncode == 4
    said = ok(cli(org, 'event', 'send', *of, '--data', '{"total": 11}'))
    assert said == 'accepted 1, known 0, deliveries 1\n'
    got = printed(org, 'print', 1)[0]
    assert (got['subject'], got['priority'], got['data']) == ('a', 'high', {'total': 11})
    batch = tmp_path / 'events.json'
    batch.write_text(json.dumps([event(1, data={'total': 20}), event(1)]))
    assert ok(cli(org, 'event', 'send', '-f', batch)) == 'accepted 1, known 1, deliveries 1\n'
    said = ok(cli(org, 'event', 'send', '--stdin', '--json', input=json.dumps(event(2))))
    assert json.loads(said) == {'accepted': 1, 'known': 0, 'deliveries': 0}
    wait_for_figures(org, 'on-order', matched=2, delivered=2)
    row = ok(cli(org, 'trigger')).splitlines()[1].split()
    assert row == ['on-order', 'print', 'yes', '2', '2', '0', '0']
    listed = json.loads(ok(cli(org, 'event', 'ls', '--json', '-n', '2')))
    assert [one['id'] for one in listed] == ['1', '2']
    document = tmp_path / 'trigger.json'
    document.write_text('{"function": "print", "enabled": false}')
    ok(cli(org, 'trigger', 'put', 'off', '-f', document))
    ok(cli(org, 'trigger', 'rm', 'on-order'))
    assert [one['name'] for one in json.loads(ok(cli(org, 'trigger', 'ls', '--json')))] == ['off']
    assert cli(org, 'event', 'send').returncode == 2
    assert cli(org, 'event', 'send', '--type', 'x', '--source', 'a b').returncode == 2


def test_the_command_line_follows_events_as_they_come(org):
    env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': '/nonexistent', 'PATH': '/usr/bin:/bin'}
    send(org, event(1)).expect(202)
    tail = subprocess.Popen([str(mayfly.BIN / 'mayfly'), 'event', 'tail', '--json', '-n', '1'],
                            env=env, stdout=subprocess.PIPE, text=True)
    try:
        assert json.loads(tail.stdout.readline()) == event(1)
        send(org, event(2, data=['live'])).expect(202)
        assert json.loads(tail.stdout.readline()) == event(2, data=['live'])
    finally:
        tail.kill()
        tail.wait()
        tail.stdout.close()


def test_no_event_is_lost_when_the_daemon_is_killed_while_they_come(new_daemon):
    """The sender hears an answer, or sends again: each event is then with the function, and what was
    acknowledged is known."""
    daemon = new_daemon()
    org = daemon.new_org()
    org.deploy('print', PRINTS, isolation='instance')
    put_trigger(org, 'all', 'print')
    acknowledged, n = set(), 0
    for kill_at in (7, 23, 40):
        killer = threading.Timer(0.01 * kill_at, daemon.process.kill)
        killer.start()
        try:
            while True:
                n += 1
                if send(org, event(n)).status == 202:
                    acknowledged.add(n)
        except (OSError, http.client.HTTPException):
            pass
        killer.join()
        daemon.kill()
        daemon.start()
        org.client = daemon.client(org.client.token)
    assert acknowledged and len(acknowledged) < n
    for number in range(1, n + 1):
        answer = send(org, event(number)).expect(202).json()
        assert number not in acknowledged or answer['known'] == 1, number

    def all_done():
        seen = set()
        listed = org.client.get(f'{org.path}/deliveries?n=1000').json()['deliveries']
        for call in listed:
            assert call['state'] in ('queued', 'running', 'done'), call
            if call['state'] == 'done':
                seen.add(call['id'])
        return seen if len(seen) == n else None
    mayfly.wait_until(all_done, f'{n} deliveries are done', 60)


def test_a_task_of_a_cloud_is_no_destination_where_there_is_no_cloud(org):
    org.deploy('f', 'exports.handler = async () => 1')
    for key, word in (('on_success', 'vcd:task'), ('on_failure', 'vcd:task:abort')):
        answer = org.client.put(f'{org.path}/triggers/t', {
            'function': 'f', 'queue': {key: [word]}}).expect(400).json()
        assert answer['field'] == 'queue' and 'vcd_url' in answer['message']
