# SPDX-License-Identifier: Apache-2.0
"""Isolation of a function: what the next call finds, by which mechanism, and who is told."""
import json
import re
import sqlite3
import threading
import time

import pytest

import mayfly

COUNTERS = {
    'node': 'let n = 0;\nexports.handler = async () => ++n;\n',
    'python': 'n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n',
}

UNUSED = {'renewed': 0, 'discarded': {}, 'last_spoilt': ''}


def counts(org, name, times=5):
    return [org.call(name).expect(200).json() for _ in range(times)]


def shown(org, name):
    return org.client.get(f'{org.path}/functions/{name}').expect(200).json()


def available(org, runtime, mechanism):
    runtimes = org.client.get('/v1/runtimes').expect(200).json()['runtimes']
    family = next(one for one in runtimes if one['family'] == runtime)
    return next(one for one in family['mechanisms'] if one['name'] == mechanism)


def refused(org, field, **config):
    answer = org.put('wrong', COUNTERS['node'], **config).expect(400)
    assert answer.json()['field'] == field, answer
    return answer.json()['message']


# ---- the promise ----

@pytest.mark.parametrize('runtime', COUNTERS)
def test_who_says_nothing_gets_every_call_from_the_same_state(org, runtime):
    function = org.deploy('counter', COUNTERS[runtime], runtime)
    assert (function['isolation'], function['mechanism']) == ('call', 'auto')
    assert function['mechanism_in_use'] in ('rollback', 'fork', 'once')
    assert counts(org, 'counter') == [1] * 5


@pytest.mark.parametrize('runtime', COUNTERS)
def test_isolation_instance_keeps_what_a_call_leaves(org, runtime):
    function = org.deploy('counter', COUNTERS[runtime], runtime, isolation='instance')
    assert (function['isolation'], function['mechanism_in_use']) == ('instance', None)
    assert counts(org, 'counter') == [1, 2, 3, 4, 5]
    assert shown(org, 'counter')['renewals'] == UNUSED


@pytest.mark.parametrize('mechanism', ['rollback', 'fork', 'once'])
@pytest.mark.parametrize('runtime', COUNTERS)
def test_each_mechanism_serves_where_it_is_offered(daemon, org, runtime, mechanism):
    offer = available(org, runtime, mechanism)
    if not offer['available']:
        answer = org.put('counter', COUNTERS[runtime], runtime, mechanism=mechanism).expect(400)
        assert answer.json()['field'] == 'mechanism' and offer['why'] in answer.json()['message']
        return
    function = org.deploy('counter', COUNTERS[runtime], runtime, mechanism=mechanism)
    assert counts(org, 'counter') == [1] * 5
    function = shown(org, 'counter')
    assert function['mechanism_in_use'] == mechanism, function['mechanism_reason']
    assert function['mechanism_reason'] == ''

    def is_counted():
        wanted = {'discarded': {'once': 5}} if mechanism == 'once' else {'renewed': 5}
        return shown(org, 'counter')['renewals'] == {**UNUSED, **wanted}
    mayfly.wait_until(is_counted, 'all calls to be counted')
    labels = f'org="{org.name}",function="counter"'
    figures = daemon.metrics()
    if mechanism == 'once':
        assert figures[f'mayfly_instance_discards_total{{{labels},cause="once"}}'] == 5
    else:
        assert figures[f'mayfly_instance_renewals_total{{{labels}}}'] == 5
        assert figures['mayfly_instance_renewal_seconds_count'] >= 5


def test_files_and_environment_are_as_they_were(org):
    org.deploy('litter', '''
const fs = require('fs');
exports.handler = async () => {
  const found = [fs.readdirSync('/tmp').length, process.env.LEFT ?? null, process.cwd()];
  fs.writeFileSync('/tmp/left', 'x');
  process.env.LEFT = 'x';
  process.chdir('/tmp');
  return found;
};
''')
    found = [org.call('litter').expect(200).json() for _ in range(4)]
    assert found == [found[0]] * 4 and found[0][:2] == [0, None]


def test_what_is_printed_behind_an_answer_reaches_no_other_call(org):
    org.deploy('late', '''
exports.handler = async (event) => {
  console.log('in', event.n);
  setTimeout(() => console.log('late', event.n), 1);
  return event.n;
};
''')
    ids = []
    for n in range(5):
        ids.append(org.call('late', {'n': n}).expect(200).call_id)
        time.sleep(0.02)
    for n, call_id in enumerate(ids):
        lines = org.logs_of(call_id).splitlines()
        assert lines[0] == f'in {n}' and set(lines) <= {f'in {n}', f'late {n}'}, lines


@pytest.mark.parametrize('runtime', COUNTERS)
def test_a_timeout_costs_one_call(org, runtime):
    source = {'node': 'let n = 0;\nexports.handler = (event) => event.hang ? new Promise(() => {})'
                      ' : ++n;\n',
              'python': 'import time\nn = 0\ndef handler(event, context):\n    global n\n'
                        '    n += 1\n    if event.get("hang"):\n        time.sleep(60)\n'
                        '    return n\n'}[runtime]
    org.deploy('hangs', source, runtime, limits={'timeout_ms': 300})
    for _ in range(3):
        assert org.call('hangs', {}).expect(200).json() == 1
        assert org.call('hangs', {'hang': True}).expect(504).code == 'timeout'
    assert org.call('hangs', {}).expect(200).json() == 1
    assert shown(org, 'hangs')['renewals']['discarded']['call'] == 3


def test_the_record_of_a_call_has_this_call_alone(org):
    org.deploy('work', '''
def handler(event, context):
    data = bytearray(event['mib'] << 20)
    n = 0
    while n < event['loops']:
        n += 1
    return len(data)
''', 'python', limits={'memory_mib': 256})
    small = {'mib': 1, 'loops': 1}
    org.call('work', small).expect(200)
    records = [org.record(org.call('work', event).expect(200).call_id) for event in (
        small, {'mib': 100, 'loops': 3000000}, small)]
    assert records[1]['memory_peak_bytes'] > records[0]['memory_peak_bytes'] + (90 << 20)
    assert records[2]['memory_peak_bytes'] < records[1]['memory_peak_bytes'] - (80 << 20)
    assert records[1]['cpu_us'] > 4 * records[0]['cpu_us']
    assert records[1]['cpu_us'] > 4 * records[2]['cpu_us']


def test_a_function_knows_its_isolation(org):
    source = 'exports.handler = async () => process.env.MAYFLY_ISOLATION;\n'
    org.deploy('knows', source)
    assert org.call('knows').json() == 'call'
    org.deploy('knows', source, isolation='instance')
    assert org.call('knows').json() == 'instance'


# ---- isolation instance, several calls at once ----

# Each waits until all eight are there, so that one at a time would never end.
TOGETHER = {
    'node': '''
const { setTimeout: later } = require('timers/promises');
const fs = require('fs');
let inside = 0, open;
const all = new Promise((resolve) => { open = resolve; });
exports.handler = async (event) => {
  console.log('first', event.n);
  if (++inside === 8) open();
  await all;
  console.error('second', event.n);
  await Promise.all([later(event.n * 2), new Promise((done) => fs.stat('/', () => {
    console.log('third', event.n);
    done();
  }))]);
  process.stdout.write(`fourth ${event.n}\\n`);
  return event.n;
};
''',
    'python': '''
import sys, threading, time
barrier = threading.Barrier(8)
def handler(event, context):
    print("first", event["n"])
    barrier.wait(30)
    print("second", event["n"], file=sys.stderr)
    time.sleep(event["n"] / 500)
    print("third", event["n"])
    sys.stdout.write(f"fourth {event['n']}\\n")
    return event["n"]
''',
    'python async': '''
import asyncio, sys
inside = 0
async def speak(event):
    await asyncio.sleep(event["n"] / 500)
    print("third", event["n"])
async def handler(event, context):
    global inside
    print("first", event["n"])
    inside += 1
    while inside < 8:
        await asyncio.sleep(0.001)
    print("second", event["n"], file=sys.stderr)
    await asyncio.create_task(speak(event))
    sys.stdout.write(f"fourth {event['n']}\\n")
    return event["n"]
''',
}


@pytest.mark.parametrize('kind', TOGETHER)
def test_calls_that_share_an_instance_run_at_once_and_have_logs_of_their_own(daemon, org, kind):
    org.deploy('together', TOGETHER[kind], kind.split()[0], isolation='instance', concurrency=8,
               max_instances=1)
    answers = {}

    def call(n):
        client = daemon.client(org.client.token)
        answers[n] = client.post(f'{org.path}/functions/together/calls', {'n': n})
    callers = [threading.Thread(target=call, args=(n,)) for n in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for n, answer in answers.items():
        assert answer.expect(200).json() == n
        assert sorted(org.logs_of(answer.call_id).splitlines()) == [
            f'first {n}', f'fourth {n}', f'second {n}', f'third {n}']
    assert shown(org, 'together')['renewals'] == UNUSED


# ---- what is refused ----

def test_what_does_not_go_together_is_refused_by_name(org):
    assert refused(org, 'concurrency', concurrency=2) == 'concurrency must be 1 with isolation call'
    assert 'isolation call only' in refused(
        org, 'mechanism', isolation='instance', mechanism='once')
    assert '"once"' in refused(org, 'mechanism', mechanism='magic')
    assert '"call" or "instance"' in refused(org, 'isolation', isolation='process')
    assert 'max_instances (2)' in refused(org, 'min_instances', min_instances=3, max_instances=2)
    refused(org, 'min_instances', min_instances=-1)
    refused(org, 'network.mode', network={'mode': 'everything'})


def test_a_mechanism_that_the_language_cannot_have_is_refused_with_the_reason(org):
    assert 'threads' in refused(org, 'mechanism', mechanism='fork')


# ---- versions ----

def test_a_version_keeps_its_isolation_over_updates_rollbacks_and_restarts(new_daemon):
    one = new_daemon()
    org = one.new_org('acme')
    org.deploy('counter', COUNTERS['node'], isolation='instance', concurrency=4)
    org.deploy('counter', COUNTERS['node'], mechanism='once', min_instances=1)
    assert counts(org, 'counter', 3) == [1, 1, 1]
    one.stop()
    one.start()
    org = mayfly.Org(one, 'acme', one.provider())
    function = shown(org, 'counter')
    assert (function['isolation'], function['mechanism'], function['mechanism_in_use'],
            function['min_instances']) == ('call', 'once', 'once', 1)
    assert counts(org, 'counter', 3) == [1, 1, 1]
    org.client.post(f'{org.path}/functions/counter/rollback', {}).expect(200)
    function = shown(org, 'counter')
    assert (function['isolation'], function['concurrency']) == ('instance', 4)
    assert counts(org, 'counter', 3) == [1, 2, 3]


def test_what_was_deployed_before_there_was_a_choice_stays_as_it_was(new_daemon):
    one = new_daemon()
    org = one.new_org('acme')
    org.deploy('counter', COUNTERS['node'], isolation='instance', concurrency=4)
    one.stop()
    with sqlite3.connect(one.data_dir / 'mayfly.db') as database:
        (table, column), = [
            (table, row[1])
            for table, in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for row in database.execute(f'PRAGMA table_info({table})') if row[1] == 'config']
        (text,), = database.execute(f'SELECT {column} FROM {table}')
        config = json.loads(text)
        for member in ('isolation', 'mechanism', 'min_instances', 'network'):
            del config[member]
        database.execute(f'UPDATE {table} SET {column} = ?', (json.dumps(config),))
    one.start()
    org = mayfly.Org(one, 'acme', one.provider())
    assert (shown(org, 'counter')['isolation'], shown(org, 'counter')['concurrency']) == (
        'instance', 4)
    assert counts(org, 'counter', 3) == [1, 2, 3]


# ---- who is told ----

@pytest.fixture
def shell(daemon, org, tmp_path):
    env = {'MAYFLY_URL': f'http://{daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}

    def run(*args, expect=0):
        done = mayfly.run('mayfly', *args, env=env, cwd=tmp_path)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done.stdout if expect == 0 else done.stderr
    (tmp_path / 'counter.js').write_text(COUNTERS['node'])
    return run


def test_the_command_line_deploys_and_shows_it(shell):
    shell('deploy', '--mechanism', 'once', '--min-instances', '1', 'counter.js')
    assert [shell('call', 'counter').strip() for _ in range(2)] == ['1', '1']
    text = shell('show', 'counter')
    for line in (r'isolation +call', r'mechanism +once', r'mechanism_in_use +once',
                 r'min_instances +1', r'renewals', r'  discarded +[0-9]+ \(once\)',
                 r'  mode +none'):
        assert re.search(f'^{line}$', text, re.M), (line, text)
    shell('deploy', '--isolation', 'instance', '--concurrency', '8', 'counter.js')
    assert [shell('call', 'counter').strip() for _ in range(2)] == ['1', '2']
    assert re.search('^isolation +instance$', shell('show', 'counter'), re.M)
    assert 'concurrency must be 1 with isolation call' in shell(
        'deploy', '--concurrency', '8', 'counter.js', expect=2)


def test_runtimes_and_doctor_say_what_serves_and_what_does_not(org, shell):
    runtimes = json.loads(shell('runtimes', '--json'))
    for runtime in runtimes:
        names = [one['name'] for one in runtime['mechanisms']]
        assert names == ['rollback', 'fork', 'once']
        assert all(bool(one['why']) != one['available'] for one in runtime['mechanisms'])
        assert runtime['mechanisms'][2]['available']
    best = next(one['name'] for one in runtimes[0]['mechanisms'] if one['available'])
    assert re.search(rf"^{runtimes[0]['name']} .* {best} ", shell('runtimes'), re.M)
    doctor = mayfly.run('mayfly', 'doctor').stdout
    assert re.search(rf'^  yes  isolation\.node +{best}', doctor, re.M), doctor
    assert re.search(r'isolation\.node .*no fork: Node', doctor), doctor
