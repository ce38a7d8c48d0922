# SPDX-License-Identifier: Apache-2.0
"""Triggers: which functions an event calls, how often, in which order, and what is left of it."""
import json

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
