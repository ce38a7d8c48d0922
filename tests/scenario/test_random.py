# SPDX-License-Identifier: Apache-2.0
"""No two calls draw the same random values, and the hooks around what is kept of a function."""
import os

import pytest

import frames
import mayfly

RUNTIMES = mayfly.HOUSE / 'runtimes'
NODE = os.environ.get('MAYFLY_TEST_NODE', 'node')
PYTHON = os.environ.get('MAYFLY_TEST_PYTHON', '/usr/bin/python3')
SEED = bytes(range(32))
OTHER = bytes(range(1, 33))


@pytest.fixture
def start(tmp_path):
    made = []

    def run(name, text, isolation='call', **init):
        code = tmp_path / f'code{len(made)}'
        code.mkdir()
        (code / name).write_text(text)
        if name.endswith('.py'):
            command = [PYTHON, str(RUNTIMES / 'python' / 'shim.py'), str(code), '/nowhere']
            init = {'handler': 'main.handler', **init}
        else:
            command = [NODE, str(node_runtime(tmp_path) / 'shim.js'), str(code)]
            init = {'handler': 'index.handler', **init}
        one = frames.Runtime(command, isolation=isolation, **init)
        made.append(one)
        return one
    yield run
    for one in made:
        one.stop()


def node_runtime(tmp_path):
    """The shim with its addon beside it, as in /runtime."""
    place = tmp_path / 'runtime'
    if not place.exists():
        place.mkdir()
        for file in (RUNTIMES / 'node').glob('*.js'):
            (place / file.name).symlink_to(file)
        (place / 'mayfly-node.node').symlink_to(mayfly.BIN / 'mayfly-node.node')
        # Node finds what a link points to, and the addon is not there.
        for file in place.glob('*.js'):
            text = file.read_bytes()
            file.unlink()
            file.write_bytes(text)
    return place


DRAWS = {
    'random.random': ('main.py', 'import random\ndef handler(e, c): return random.random()'),
    'random, taken by name': (
        'main.py', 'from random import random, getrandbits\n'
                   'def handler(e, c): return [random(), getrandbits(64)]'),
    'random.gauss': ('main.py', 'import random\ndef handler(e, c): return random.gauss(0, 1)'),
    'random.choice, async': (
        'main.py', 'import random\nasync def handler(e, c): return random.choices(range(9), k=20)'),
    'Math.random': ('index.js', 'exports.handler = async () => Math.random()'),
    'Math.random of a context': (
        'index.js', "const vm = require('vm'); const old = vm.createContext({});\n"
                    "exports.handler = () => [vm.runInContext('Math.random()', old),\n"
                    "  vm.runInNewContext('Math.random()'), vm.runInNewContext('Math.random()', {}),\n"
                    "  new vm.Script('Math.random()').runInNewContext()]"),
}


@pytest.mark.parametrize('what', DRAWS)
def test_what_a_call_draws_comes_from_the_bytes_of_the_call(start, what):
    one = start(*DRAWS[what]).ready()
    first = one.direct(random=SEED)
    assert one.direct(random=OTHER) != first
    assert one.direct(random=SEED) == first
    values = {str(one.direct()) for _ in range(50)}
    assert len(values) == 50


def test_numpy_draws_from_the_bytes_of_the_call(start):
    one = start('main.py', 'import numpy\ndef handler(e, c): return float(numpy.random.rand())')
    try:
        one.ready()
    except frames.Failed as failure:
        pytest.skip(str(failure))
    first = one.direct(random=SEED)
    assert one.direct(random=OTHER) != first
    assert one.direct(random=SEED) == first


def test_a_seed_of_the_function_holds_within_its_call(start):
    one = start('main.py', 'import random\n'
                           'def handler(e, c):\n'
                           '    random.seed(42)\n'
                           '    first = random.random()\n'
                           '    random.setstate(random.getstate())\n'
                           '    random.seed(42)\n'
                           '    return first == random.random() == 0.6394267984578837\n').ready()
    assert one.direct() is True
    assert one.direct() is True


def test_bytes_that_node_keeps_ahead_do_not_outlive_a_call(start):
    """What is left of the bytes of a call is not used by the next: drawn values are not those that
    the same process would have drawn without a call between them."""
    one = start('index.js', '''
const crypto = require('crypto');
const { randomFillSync } = crypto;
exports.handler = ({ n }) => {
    const all = [];
    for (let i = 0; i < n; i++) {
        all.push(crypto.randomUUID(), globalThis.crypto?.randomUUID() ?? crypto.randomUUID());
        all.push(crypto.randomUUID({ disableEntropyCache: false }), String(crypto.randomInt(2 ** 47)));
    }
    return all;
};''').ready()
    seen = [value for n in (1, 3, 100, 2) for value in one.direct({'n': n})]
    assert len(set(seen)) == len(seen) == 4 * 106
    uuids = [value for value in seen if '-' in value]
    assert all(len(one) == 36 and one[14] == '4' and one[19] in '89ab' for one in uuids)


def test_random_integers_of_node_are_as_its_own(start):
    one = start('index.js', '''
const { randomInt } = require('crypto');
const error = (work) => { try { work(); return null; } catch (e) { return e.code; } };
exports.handler = async () => {
    const drawn = new Set();
    for (let i = 0; i < 500; i++) drawn.add(randomInt(3)).add(randomInt(-2, 0));
    const later = await new Promise((done) => randomInt(7, 8, (e, value) => done([e, value])));
    return {
        drawn: [...drawn].sort((a, b) => a - b), later: later[1],
        errors: [() => randomInt(5, 5), () => randomInt('1'), () => randomInt(1, 2, 3),
            () => randomInt(2 ** 53), () => require('crypto').randomUUID(7)].map(error),
    };
};''').ready()
    assert one.direct() == {
        'drawn': [-2, -1, 0, 1, 2], 'later': 7,
        'errors': ['ERR_OUT_OF_RANGE', 'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE',
                   'ERR_INVALID_ARG_TYPE', 'ERR_INVALID_ARG_TYPE']}


def test_a_worker_that_was_there_before_begins_anew_with_each_call(start):
    one = start('index.js', '''
const { Worker } = require('worker_threads');
const worker = new Worker(`const { parentPort } = require('worker_threads');
parentPort.on('message', () => parentPort.postMessage(
    [Math.random(), require('crypto').randomUUID(), require('crypto').randomInt(2 ** 47)]));`,
    { eval: true });
worker.unref();
exports.beforeSnapshot = () => exports.handler();
exports.handler = () => new Promise((done) => {
    worker.ref();
    worker.once('message', (drawn) => { worker.unref(); done(drawn); });
    worker.postMessage(1);
});''').ready()
    seen = [value for _ in range(20) for value in one.direct()]
    assert len(set(seen)) == len(seen) == 60


def test_node_without_its_addon_serves_no_isolation_call(start, tmp_path):
    (node_runtime(tmp_path) / 'mayfly-node.node').unlink()
    with pytest.raises(frames.Failed) as caught:
        start('index.js', 'exports.handler = () => 1').ready()
    assert caught.value.type == 'Runtime.Unsupported'
    assert 'mayfly-node.node' in caught.value.message
    assert start('index.js', 'exports.handler = () => 1', isolation='instance').ready().direct() == 1


# ---- in a sandbox ----

# Drawn while the code is loaded too, so that each generator has a state that would be kept.
NODE_DRAWS = '''
const crypto = require('crypto');
const vm = require('vm');
const { promisify } = require('util');
const key = () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    .export({ type: 'spki', format: 'der' }).toString('hex');
const draw = async () => [Math.random(), vm.runInNewContext('Math.random()'), crypto.randomUUID(),
    crypto.webcrypto.randomUUID(), crypto.randomBytes(16).toString('hex'),
    (await promisify(crypto.randomBytes)(16)).toString('hex'), crypto.randomInt(2 ** 47),
    Buffer.from(crypto.webcrypto.getRandomValues(new Uint8Array(16))).toString('hex'), key()];
exports.beforeSnapshot = draw;
exports.handler = draw;
'''
PYTHON_DRAWS = '''
import os, random, secrets, ssl, tempfile, uuid
def handler(event, context):
    return [random.random(), random.getrandbits(64), random.gauss(0, 1), str(uuid.uuid4()),
            secrets.token_hex(16), os.urandom(16).hex(), ssl.RAND_bytes(16).hex(),
            os.path.basename(tempfile.mktemp()), random.SystemRandom().random()]
handler(None, None)
'''
SOURCES = {'node': NODE_DRAWS, 'python': PYTHON_DRAWS}


@pytest.mark.parametrize('runtime, n, config', [
    ('node', 1000, {'isolation': 'call'}),
    ('node', 1000, {'isolation': 'instance'}),
    ('node', 20, {'isolation': 'call', 'mechanism': 'once'}),
    ('python', 1000, {'isolation': 'call'}),
    ('python', 1000, {'isolation': 'call', 'mechanism': 'fork'}),
    ('python', 1000, {'isolation': 'instance'}),
    ('python', 20, {'isolation': 'call', 'mechanism': 'once'}),
])
def test_no_two_calls_draw_the_same(org, runtime, n, config):
    org.deploy('draw', SOURCES[runtime], runtime, **config)
    seen = [value for _ in range(n) for value in org.call('draw').expect(200).json()]
    assert len(seen) == 9 * n
    assert len(set(seen)) == len(seen)


# ---- hooks ----

HOOKS = {
    'plain Python': ('main.py', '''
n = [0, 0]
def before_snapshot(): n[0] += 1
def after_restore(): n[1] += 1
def handler(event, context): return n
'''),
    'async Python': ('main.py', '''
import asyncio
n = [0, 0]
async def before_snapshot():
    await asyncio.sleep(0)
    n[0] += 1
async def after_restore():
    await asyncio.sleep(0)
    n[1] += 1
async def handler(event, context): return n
'''),
    'plain Node': ('index.js', '''
const n = [0, 0];
exports.beforeSnapshot = () => { n[0]++; };
exports.afterRestore = () => { n[1]++; };
exports.handler = () => n;
'''),
    'async Node': ('index.mjs', '''
const n = [0, 0];
const pause = () => new Promise((done) => setTimeout(done, 1));
export const beforeSnapshot = async () => { await pause(); n[0]++; };
export const afterRestore = async () => { await pause(); n[1]++; };
export const handler = async () => n;
'''),
}


@pytest.mark.parametrize('kind', HOOKS)
def test_hooks_run_before_the_snapshot_and_before_each_call(start, kind):
    one = start(*HOOKS[kind]).ready()
    assert one.direct() == [1, 1]
    assert one.direct() == [1, 2]


@pytest.mark.parametrize('kind', HOOKS)
def test_a_warm_instance_is_not_restored(start, kind):
    one = start(*HOOKS[kind], isolation='instance').ready()
    assert one.direct() == [1, 0]
    assert one.direct() == [1, 0]


@pytest.mark.parametrize('name, text', [
    ('main.py', 'def before_snapshot(): raise ValueError("no table")\ndef handler(e, c): pass'),
    ('index.js', 'exports.beforeSnapshot = () => { const e = new Error("no table");'
                 ' e.name = "ValueError"; throw e; }; exports.handler = () => 1'),
])
def test_a_function_whose_before_hook_fails_does_not_load(start, name, text):
    with pytest.raises(frames.Failed) as caught:
        start(name, text).ready()
    assert caught.value.type == 'ValueError'
    assert 'no table' in caught.value.message


@pytest.mark.parametrize('name, text', [
    ('main.py', 'def after_restore(): raise ValueError("no table")\ndef handler(e, c): pass'),
    ('index.js', 'exports.afterRestore = async () => { const e = new Error("no table");'
                 ' e.name = "ValueError"; throw e; }; exports.handler = () => 1'),
])
def test_a_call_whose_restore_hook_fails_fails_with_its_error(start, name, text):
    one = start(name, text).ready()
    for _ in range(2):
        with pytest.raises(frames.Failed) as caught:
            one.direct()
        assert (caught.value.type, caught.value.message) == ('ValueError', 'no table')


@pytest.mark.parametrize('name, text', [
    ('main.py', 'after_restore = 1\ndef handler(e, c): pass'),
    ('main.py', 'async def after_restore(): pass\ndef handler(e, c): pass'),
    ('index.js', 'exports.afterRestore = 1; exports.handler = () => 1'),
])
def test_a_hook_that_cannot_be_run_is_refused_when_the_function_is_loaded(start, name, text):
    with pytest.raises(frames.Failed) as caught:
        start(name, text).ready()
    assert caught.value.type == 'Runtime.HandlerNotFound'
