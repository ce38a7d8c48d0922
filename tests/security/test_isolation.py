# SPDX-License-Identifier: Apache-2.0
"""The promise of isolation `call`: nothing of a call reaches the next one, and the next one is served.

One test for every mechanism and runtime. The functions in hostile/ know traces: ways to leave
something, and to look whether it is there. First every trace proves itself with isolation
`instance`, where it must be found (or be denied by the platform); then none may be found with
isolation `call`, whatever a call does to its instance or to who brings it back.
"""
import pathlib
import subprocess
import time

import mayfly
import pytest

HOSTILE = pathlib.Path(__file__).parent / 'hostile'
RUNTIMES = ('python', 'node', 'native', 'exec')
MECHANISMS = ('rollback', 'fork', 'once')
LIMITS = {'processes': 60, 'timeout_ms': 10000, 'memory_mib': 192, 'tmp_mib': 16, 'cpu_ms': 10000}
# A call after a hostile one may take this many times what the same call takes, in the same moments,
# where it waits for a start of the same program that nobody brings back.
PATIENCE = 10
AGAIN = 3  # so often in a row it must be late, where the machine is busy with something else
OFTEN = {'rollback': 400, 'fork': 400, 'once': 40}
HONEST = "exports.handler = async () => 'well';\n"


def library():
    return next(path for place in (mayfly.BIN, mayfly.BIN.parent) for path in place.rglob('libmayfly.a'))


@pytest.fixture(scope='module')
def sources(tmp_path_factory):
    program = tmp_path_factory.mktemp('native') / 'bootstrap'
    subprocess.run(['cc', '-O1', '-static', f'-I{mayfly.HOUSE / "include"}', '-o', str(program),
                    str(HOSTILE / 'hostile.c'), str(library()), '-lpthread', '-lm'], check=True)
    return {
        'python': {path.name: path.read_text() for path in (HOSTILE / 'python').glob('*.py')},
        'node': {'index.js': (HOSTILE / 'index.js').read_text(), 'other.js': 'exports.a = 1;\n'},
        'native': {'bootstrap': (program.read_bytes(), 0o755)},
        'exec': {'handler.py': ((HOSTILE / 'handler.py').read_text(), 0o755)},
    }


@pytest.fixture(scope='module')
def org(daemon):
    return daemon.new_org()


@pytest.fixture(scope='module')
def neighbour(daemon):
    """Somebody else's function."""
    org = daemon.new_org()
    org.deploy('honest', HONEST, isolation='instance')
    return org


def mechanisms_of(org, runtime):
    """What the platform says that it can do for a runtime here: {name: why not}."""
    for one in org.client.get('/v1/runtimes').expect(200).json()['runtimes']:
        if one['family'] == runtime:
            return {each['name']: each['why'] for each in one['mechanisms'] if not each['available']}
    pytest.skip(f'{runtime} is not on this machine')


class Hostile:
    """One hostile function, on one instance at a time."""

    def __init__(self, org, name, source, runtime, **config):
        self.org, self.name, self.n_calls = org, name, 0
        config.setdefault('limits', LIMITS)
        org.deploy(name, source, runtime, max_instances=1, **config)

    def ask(self, do, what=None):
        self.n_calls += 1
        return self.org.call(self.name, {'do': do, 'what': what})

    def get(self, do, what=None):
        return self.ask(do, what).expect(200).json()

    def look(self, what):
        """What it sees; and how long that took."""
        start = time.monotonic()
        return self.get('look', what), time.monotonic() - start

    def start_s(self, what):
        """Seconds of a call that waits for a start from its beginning."""
        def cold():
            self.ask('end')
            start = time.monotonic()
            answer = self.ask('look', what)
            took_s = time.monotonic() - start
            return self.org.record(answer.expect(200).call_id)['cold'] and took_s
        # Where calls end it again and again one is ready, which the next call takes.
        return mayfly.wait_until(cold, f'a cold start of {self.name}')

    def function(self):
        return self.org.client.get(f'{self.org.path}/functions/{self.name}').expect(200).json()

    def n_discarded(self):
        return sum(self.function()['renewals']['discarded'].values())

    def renewals(self):
        """{'renewed': n, cause: n, …} when every call so far has become one of them."""
        def counted():
            got = self.function()['renewals']
            all_of_them = {'renewed': got['renewed'], **got['discarded']}
            return all_of_them if sum(all_of_them.values()) >= self.n_calls else None
        return mayfly.wait_until(counted, f'{self.n_calls} calls are counted')


def wished(org, runtime, mechanism):
    why = mechanisms_of(org, runtime).get(mechanism)
    if why is not None:
        pytest.skip(f'{mechanism} does not serve {runtime} here: {why}')


@pytest.fixture(scope='module')
def hostile(org, sources):
    """hostile(runtime, mechanism) deploys it once for all tests."""
    made = {}

    def get(runtime, mechanism):
        wished(org, runtime, mechanism)
        name = f'{runtime}-{mechanism}'
        if name not in made:
            made[name] = Hostile(org, name, sources[runtime], runtime, mechanism=mechanism)
        assert made[name].function()['mechanism_in_use'] == mechanism, made[name].function()
        return made[name]
    return get


@pytest.fixture(scope='module')
def starts(neighbour, sources):
    """starts(runtime): the same program as somebody else's, to be ended and started."""
    made = {}

    def get(runtime):
        if runtime not in made:
            made[runtime] = Hostile(neighbour, f'starts-{runtime}', sources[runtime], runtime,
                                    isolation='instance')
        return made[runtime]
    return get


# The threads of Node do not come along in a fork.
BOTH = [(runtime, mechanism) for runtime in RUNTIMES for mechanism in MECHANISMS
        if (runtime, mechanism) != ('node', 'fork')]


def for_all(test):
    return pytest.mark.parametrize('runtime, mechanism', BOTH)(test)


# ---- the control ----

@pytest.mark.timeout(300)
@pytest.mark.parametrize('runtime', RUNTIMES)
def test_every_trace_is_found_where_state_is_kept(org, sources, runtime):
    mechanisms_of(org, runtime)
    kept = Hostile(org, f'{runtime}-kept', sources[runtime], runtime, isolation='instance')
    unseen = []
    for what in kept.get('names')['traces']:
        before = kept.get('look', what)
        how = kept.get('leave', what)
        if how != 'denied' and kept.get('look', what) == before:
            unseen.append(what)
        kept.ask('end')
    assert not unseen


# ---- the promise ----

@pytest.mark.timeout(600)
@for_all
def test_nothing_of_a_call_reaches_the_next(hostile, starts, runtime, mechanism):
    one, fresh = hostile(runtime, mechanism), starts(runtime)
    found, late = {}, {}
    names = one.get('names')['traces']
    start_s = fresh.start_s(names[0])
    for what in names if mechanism != 'once' else names[::5]:
        before = one.get('look', what)
        late[what] = []  # (what the call took, what it may take), one for each time in a row
        for _ in range(AGAIN):
            one.get('leave', what)
            after, took_s = one.look(what)
            if after != before:
                found[what] = (before, after)
            if took_s > PATIENCE * start_s:
                start_s = fresh.start_s(what)
            if took_s <= PATIENCE * start_s:
                break
            late[what].append((took_s, PATIENCE * start_s))
    always = {what: each for what, each in late.items() if len(each) == AGAIN}
    n_again = sum(len(each) for each in late.values())
    assert not found and not always, (found, always, one.function()['renewals'])
    assert n_again <= len(names) // 5, {what: each for what, each in late.items() if each}


SPOIL = ('no_input', 'a_lock_on_the_code', 'a_priority_of_the_first_process', 'hard_limits')


@pytest.mark.parametrize('mechanism', MECHANISMS)
def test_what_is_discarded_is_replaced_before_the_next_call(org, sources, mechanism):
    wished(org, 'python', mechanism)
    one = Hostile(org, f'replaced-{mechanism}', sources['python'], 'python', mechanism=mechanism)
    for what in SPOIL:
        one.get('leave', what)
        one.renewals()
        if one.n_discarded() > 0:
            break
    assert one.n_discarded() == 1
    mayfly.wait_until(lambda: one.function()['instances']['idle'] == 1, 'another is ready')
    answer = one.ask('look', SPOIL[0]).expect(200)
    assert not org.record(answer.call_id)['cold']


@pytest.mark.timeout(600)
@for_all
def test_what_a_call_does_behind_its_answer_harms_nobody(hostile, neighbour, runtime, mechanism):
    one = hostile(runtime, mechanism)
    trace, bad = one.get('names')['traces'][0], {}
    clean, _ = one.look(trace)
    for what in one.get('names')['harm']:
        for pause_s in (0, 0.03):
            # Whether it is answered itself is its own affair; what was not has no time behind it.
            is_answered = one.ask('harm', what).status == 200
            time.sleep(pause_s)
            answer = one.ask('look', trace)
            if answer.status != 200 or answer.json() != clean:
                bad[what] = answer
            elif 'late-line' in one.org.logs_of(answer.call_id):
                bad[what] = 'its line is in the log of the next call'
            if neighbour.call('honest').status != 200:
                bad[what] = 'the neighbour is not served'
            if not is_answered:
                break
    assert not bad, (bad, one.function()['renewals'])


@pytest.mark.timeout(600)
@for_all
def test_no_random_value_comes_twice(hostile, runtime, mechanism):
    one = hostile(runtime, mechanism)
    # A start for each call takes longer, and has its randomness from the kernel.
    n = OFTEN['once' if runtime == 'exec' else mechanism]
    one.renewals()
    n_discarded = one.n_discarded()
    calls = [one.get('fresh') for _ in range(n)]
    for values in zip(*calls):
        assert len(set(values)) == n, sorted(values)[:4]
    # Calls that do no harm cost no instance, but by rare chance.
    if mechanism != 'once':
        assert one.n_discarded() - n_discarded <= n // 20, one.function()['renewals']


@for_all
def test_every_call_is_counted_as_renewed_or_discarded(daemon, hostile, runtime, mechanism):
    one = hostile(runtime, mechanism)
    for what in one.get('names')['traces'][:5]:
        one.get('leave', what)
    counts = one.renewals()
    assert sum(counts.values()) == one.n_calls, (counts, one.n_calls)
    metrics = daemon.metrics()
    label = f'org="{one.org.name}",function="{one.name}"'
    shown = {key: value for key, value in metrics.items() if label in key and (
        'renewals_total' in key or 'discards_total' in key)}
    assert sum(shown.values()) == one.n_calls, (shown, counts)


# ---- who brings it back ----

@pytest.mark.parametrize('mechanism', MECHANISMS)
def test_others_are_out_of_reach(hostile, mechanism):
    got = hostile('python', mechanism).get('others')
    tracer = got.pop('tracer')
    assert tracer == '0', 'a call runs untraced'
    assert set(got.values()) <= {'EPERM', 'EACCES', 'ESRCH', 'ENOENT', 'EINVAL', 'ENOSYS'}, got


# ---- what was there before the state was kept ----

LOADED = ('memory_file', 'file_in_tmp', 'deleted_file', 'shared_mapping', 'mapped_file', 'folder_in_tmp',
          'pipe', 'pair_of_sockets', 'listening_socket', 'connection', 'event', 'poll', 'watch_on_files',
          'timer', 'thread', 'process')


@pytest.mark.parametrize('what', LOADED)
@pytest.mark.parametrize('isolation', ['instance', 'call'])
def test_what_loading_made_is_as_loading_made_it(org, what, isolation):
    one = Hostile(org, f'loaded-{isolation}', {'main.py': (HOSTILE / 'loaded.py').read_text()}, 'python',
                  isolation=isolation, environment={'LOADED': what})
    one.get('look')  # who kept the state has opened /tmp for it, which a watch on it sees once
    before = one.get('look')
    for _ in range(3):
        one.get('leave')
        is_same = one.get('look') == before
        assert is_same == (isolation == 'call'), (what, one.function().get('mechanism_reason'))
