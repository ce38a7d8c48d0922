# SPDX-License-Identifier: Apache-2.0
"""The Node shim: its contract with the daemon (frames) and with the developer (docs/runtimes.md)."""
import base64
import os
import subprocess
import time

import pytest

import frames
import mayfly

SHIM = mayfly.HOUSE / 'runtimes' / 'node' / 'shim.js'
NODE = os.environ.get('MAYFLY_TEST_NODE', 'node')


@pytest.fixture
def start(tmp_path):
    made = []

    def run(files, handler='index.handler', is_ready=True, environment=None, **init):
        code = tmp_path / f'code{len(made)}'
        code.mkdir()
        for name, text in ({'index.js': files} if isinstance(files, str) else files).items():
            (code / name).parent.mkdir(parents=True, exist_ok=True)
            (code / name).write_text(text)
        one = frames.Runtime([NODE, str(SHIM), str(code)], environment, handler=handler, **init)
        made.append(one)
        return one.ready() if is_ready else one
    yield run
    for one in made:
        one.stop()


def failure(runtime):
    with pytest.raises(frames.Failed) as caught:
        runtime.ready()
    return caught.value


# ---- loading ----

@pytest.mark.parametrize('source', [
    'exports.handler = async () => 1',
    'module.exports = async () => 1',
    'module.exports = { handler: () => 1 }',
    'exports.handler = (event, context, callback) => setTimeout(callback, 1, null, 1)',
    'exports.handler = () => Promise.resolve(1)',
    'exports.handler = () => 1',
])
def test_a_handler_is_found_however_it_is_exported(start, source):
    assert start(source).direct() == 1


@pytest.mark.parametrize('files', [
    {'index.mjs': 'export const handler = async () => 1'},
    {'index.mjs': 'export default async () => 1'},
    {'index.mjs': 'const one = await Promise.resolve(1); export const handler = () => one'},
    {'index.js': 'export const handler = () => 1', 'package.json': '{"type": "module"}'},
    {'index.cjs': 'exports.handler = () => 1'},
    {'index.mjs': 'export default { handler: () => 1 }'},
])
def test_modules_of_both_kinds_are_loaded(start, files):
    assert start(files).direct() == 1


def test_a_handler_may_stand_in_a_folder_and_in_an_object(start):
    files = {'src/app.js': 'exports.on = { call: () => 7 }'}
    assert start(files, handler='src/app.on.call').direct() == 7


def test_a_syntax_error_is_named_with_file_and_line(start):
    error = failure(start('const a = 1;\nconst b = ;\n', is_ready=False))
    assert error.type == 'Runtime.UserCodeSyntaxError'
    assert error.message.startswith('index.js:2: ') and "Unexpected token ';'" in error.message


def test_a_syntax_error_of_a_module_is_named_with_file_and_line(start):
    error = failure(start({'index.mjs': 'const a = 1;\nconst b = ;\n'}, is_ready=False))
    assert error.type == 'Runtime.UserCodeSyntaxError'
    assert error.message.startswith('index.mjs:2: ')


@pytest.mark.parametrize('files', [
    {'index.js': "require('nowhere')"}, {'index.mjs': "import 'nowhere'"},
])
def test_a_missing_module_is_named(start, files):
    error = failure(start(files, is_ready=False))
    assert error.type == 'Runtime.ImportModuleError'
    assert "needs the module 'nowhere'" in error.message and 'package.json' in error.message
    assert error.message.startswith('index.')


def test_a_missing_file_of_the_code_is_named(start):
    error = failure(start("require('./lib/away')", is_ready=False))
    assert "the file './lib/away'" in error.message


def test_a_missing_handler_file_tells_what_is_there(start):
    error = failure(start({'main.js': ''}, is_ready=False))
    assert 'no index.js' in error.message and 'main.js' in error.message


def test_a_missing_export_tells_what_is_exported(start):
    error = failure(start('exports.main = () => 1; exports.other = 2', is_ready=False))
    assert error.type == 'Runtime.HandlerNotFound'
    assert "does not export 'handler': it exports main, other" in error.message


def test_an_export_that_is_no_function_is_refused(start):
    error = failure(start('exports.handler = 5', is_ready=False))
    assert error.type == 'Runtime.HandlerNotFound' and 'a number' in error.message


def test_a_handler_name_without_a_dot_is_refused(start):
    assert failure(start('', handler='index', is_ready=False)).type == 'Runtime.MalformedHandlerName'


def test_an_error_while_loading_has_its_own_text_and_place(start):
    error = failure(start("\nthrow new RangeError('no table')", is_ready=False))
    assert error.type == 'RangeError' and 'no table' in error.message
    assert 'index.js:2' in error.trace and 'shim.js' not in error.trace


def test_dependencies_are_found_in_node_modules(start):
    files = {'index.js': "exports.handler = () => require('dep')",
             'node_modules/dep/index.js': 'module.exports = 5'}
    assert start(files).direct() == 5


# ---- events ----

ECHO = 'exports.handler = async (event) => event'


def test_an_http_event_has_its_body_as_text(start):
    event = start(ECHO).call(frames.event('POST', headers={'content-type': 'application/json'}),
                             '{"ä":1}'.encode()).json()
    assert event['body'] == '{"ä":1}' and event['isBase64Encoded'] is False
    assert event['requestContext']['http']['method'] == 'POST'


@pytest.mark.parametrize('kind, body', [
    ('image/png', b'abc'), ('text/plain', b'\xff\xfe'), ('application/octet-stream', b'a'),
])
def test_a_body_that_is_no_text_comes_as_base64(start, kind, body):
    event = start(ECHO).call(frames.event('POST', headers={'content-type': kind}), body).json()
    assert event['isBase64Encoded'] is True and base64.b64decode(event['body']) == body


@pytest.mark.parametrize('kind', ['text/html; charset=utf-8', 'application/vnd.a+json',
                                  'application/x-www-form-urlencoded', 'application/xml'])
def test_text_types_come_as_text(start, kind):
    event = start(ECHO).call(frames.event('POST', headers={'content-type': kind}), b'a=b').json()
    assert event['body'] == 'a=b'


def test_an_http_event_without_a_body_has_none(start):
    event = start(ECHO).call().json()
    assert 'body' not in event and event['isBase64Encoded'] is False


def test_a_direct_call_gets_and_gives_json(start):
    runtime = start(ECHO)
    assert runtime.direct({'a': [1, None, 'ü']}) == {'a': [1, None, 'ü']}
    assert runtime.direct() is None


def test_a_direct_call_that_is_no_json_is_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        start(ECHO).call(None, b'{', trigger=frames.DIRECT)
    assert caught.value.type == 'SyntaxError'


def test_the_context_is_that_of_lambda(start):
    context = start('''exports.handler = (event, c) => ({ ...c, left: c.getRemainingTimeInMillis() })
    ''').direct()
    assert context['awsRequestId'] == '01J00000000000000000000000'
    assert context['functionName'] == 'hello' and context['functionVersion'] == '3'
    assert context['memoryLimitInMB'] == '128'
    assert 0 < context['left'] <= 3000


def test_the_command_of_the_sandbox_is_not_in_the_environment(start):
    runtime = start('exports.handler = () => process.env', environment={'MAYFLY_COMMAND_0': 'x', 'MINE': '1'})
    env = runtime.direct()
    assert 'MAYFLY_COMMAND_0' not in env and env['MINE'] == '1'


# ---- answers ----

def answer_of(start, expression):
    return start(f'exports.handler = async () => ({expression})').call()


def test_an_answer_has_status_headers_and_cookies(start):
    answer = answer_of(start, '''{ statusCode: 201, headers: { 'X-A': 'b', 'X-N': 5, 'X-M': ['1', '2'] },
        cookies: ['a=1', 'b=2'], body: 'made' }''')
    assert answer.status == 201 and answer.body == b'made'
    assert [value for name, value in answer.headers if name == 'X-M'] == ['1', '2']
    assert [value for name, value in answer.headers if name == 'set-cookie'] == ['a=1', 'b=2']
    assert answer.header('x-n') == '5'


@pytest.mark.parametrize('expression, kind, body', [
    ("'plain ü'", 'text/plain; charset=utf-8', 'plain ü'.encode()),
    ('[1, 2]', 'application/json', b'[1,2]'),
    ('null', 'application/json', b'null'),
    ('undefined', 'application/json', b'null'),
    ('5', 'application/json', b'5'),
    ("Buffer.from([0, 255])", 'application/octet-stream', b'\0\xff'),
    ("new Uint8Array([1, 2]).buffer", 'application/octet-stream', b'\1\2'),
])
def test_bare_values_are_answers(start, expression, kind, body):
    answer = answer_of(start, expression)
    assert (answer.status, answer.header('content-type'), answer.body) == (200, kind, body)


def test_base64_and_bytes_are_sent_as_bytes(start):
    assert answer_of(start, "{ statusCode: 200, body: 'AP8=', isBase64Encoded: true }").body == b'\0\xff'
    assert answer_of(start, "{ statusCode: 200, body: new Uint8Array([0, 255]) }").body == b'\0\xff'


def test_an_object_as_the_body_becomes_json(start):
    answer = answer_of(start, '{ statusCode: 200, body: { a: 1 } }')
    assert answer.body == b'{"a":1}' and answer.header('content-type') == 'application/json'


@pytest.mark.parametrize('expression', [
    '{ statusCode: 99 }', "{ statusCode: 'x' }", '{ statusCode: 200.5 }',
    "{ statusCode: 200, headers: { 'a b': 'c' } }", "{ statusCode: 200, headers: { a: 'b\\nc: d' } }",
    "{ statusCode: 200, cookies: ['a\\r\\nb'] }",
])
def test_an_answer_that_cannot_be_sent_is_an_error(start, expression):
    with pytest.raises(frames.Failed) as caught:
        answer_of(start, expression)
    assert caught.value.type == 'InvalidAnswer'


@pytest.mark.parametrize('size', [70_000, 300_000, 6 * 1024 * 1024])
def test_large_bodies_go_both_ways(start, size):
    runtime = start('''exports.handler = async (event) =>
        ({ statusCode: 200, body: Buffer.from(event.body, 'base64') })''')
    body = os.urandom(size)
    assert runtime.call(frames.event('POST', headers={'content-type': 'image/png'}), body).body == body


def test_many_calls_in_one_write_are_all_answered(start):
    runtime = start(ECHO, concurrency=50)
    numbers = [runtime.send(frames.event(path=f'/{i}')) for i in range(200)]
    assert [runtime.answer(n).json()['rawPath'] for n in numbers] == [f'/{i}' for i in range(200)]


# ---- streams ----

@pytest.mark.parametrize('expression', [
    '(async function* () { yield "a"; yield Buffer.from("b"); })()',
    '(function* () { yield "a"; yield "b"; })()',
    'require("stream").Readable.from(["a", "b"])',
    'new ReadableStream({ start(c) { c.enqueue(new Uint8Array([97])); c.enqueue(new Uint8Array([98])); c.close(); } })',
])
def test_streams_are_sent_piece_by_piece(start, expression):
    answer = start(f'exports.handler = async () => ({{ statusCode: 202, body: {expression} }})').call()
    assert answer.status == 202 and answer.pieces == [b'a', b'b']
    assert answer_of(start, expression).pieces == [b'a', b'b']


def test_a_response_of_fetch_is_an_answer(start):
    answer = answer_of(start, "new Response('hi', { status: 203, headers: { 'x-a': 'b' } })")
    assert (answer.status, answer.body, answer.header('x-a')) == (203, b'hi', 'b')


def test_the_first_piece_comes_before_the_last_is_made(start):
    runtime = start('''exports.handler = async () => (async function* () {
        yield 'now'; await new Promise(() => {}); })()''')
    number = runtime.send()
    assert runtime.next_of(number)[0] == frames.ANSWER_HEAD
    assert runtime.next_of(number) == (frames.ANSWER_BODY, b'now')


def test_a_stream_that_breaks_ends_with_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        answer_of(start, '(async function* () { yield "a"; throw new TypeError("cut"); })()')
    assert caught.value.type == 'TypeError'


def test_a_stream_of_a_direct_call_is_collected(start):
    assert start('exports.handler = () => (function* () { yield "a"; yield "b"; })()').direct() == 'ab'


def test_a_slow_reader_slows_the_stream_and_loses_nothing(start):
    runtime = start('''exports.handler = async () => (async function* () {
        for (let i = 0; i < 64; i++) yield Buffer.alloc(100000, i); })()''')
    number = runtime.send()
    time.sleep(0.3)
    answer = runtime.answer(number)
    assert answer.body == b''.join(bytes([i]) * 100000 for i in range(64))


def test_cancel_aborts_the_signal_of_the_context(start):
    runtime = start('''exports.handler = (event, context) => new Promise((resolve) =>
        context.signal.addEventListener('abort', () => resolve('aborted')))''')
    number = runtime.send(trigger=frames.DIRECT)
    time.sleep(0.1)
    runtime.cancel(number)
    assert runtime.answer(number).json() == 'aborted'


# ---- errors ----

def test_an_error_has_type_message_and_a_trace_of_the_code_alone(start):
    with pytest.raises(frames.Failed) as caught:
        start("\nexports.handler = async () => { throw new RangeError('too far') }").call()
    error = caught.value
    assert (error.type, error.message) == ('RangeError', 'too far')
    assert 'index.js:2' in error.trace
    assert 'shim.js' not in error.trace and 'node:internal' not in error.trace
    assert '/code' not in error.trace


def test_the_cause_of_an_error_is_in_its_trace(start):
    with pytest.raises(frames.Failed) as caught:
        start("exports.handler = async () => { throw new Error('a', { cause: new Error('b') }) }").call()
    assert 'Caused by: Error: b' in caught.value.trace


@pytest.mark.parametrize('source, kind, message', [
    ("throw 'text'", 'string', 'text'), ('throw null', 'null', 'null'),
    ("throw { a: 1 }", 'object', '{"a":1}'), ('return Promise.reject(new TypeError("t"))', 'TypeError', 't'),
    ("require('fs').readFileSync('/nowhere')", 'ENOENT', 'ENOENT: no such file'),
    ("const e = new Error('x'); e.code = 'EMFILE'; throw e", 'EMFILE', 'x'),
    ("const e = new TypeError('x'); e.code = 'ERR_X'; throw e", 'TypeError', 'x'),
])
def test_whatever_is_thrown_has_a_type(start, source, kind, message):
    with pytest.raises(frames.Failed) as caught:
        start(f'exports.handler = () => {{ {source} }}').call()
    assert caught.value.type == kind and caught.value.message.startswith(message)


def test_a_callback_may_give_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        start("exports.handler = (event, context, callback) => callback(new Error('no'))").call()
    assert caught.value.message == 'no'


def test_after_an_error_the_next_call_is_served(start):
    runtime = start('exports.handler = (event) => { if (event) throw new Error("once"); return 1 }')
    with pytest.raises(frames.Failed):
        runtime.direct({'a': 1})
    assert runtime.direct() == 1


@pytest.mark.parametrize('source', [
    "setTimeout(() => { throw new Error('later') }, 1)", "Promise.reject(new Error('later'))",
])
def test_an_error_nobody_caught_fails_the_call_and_ends_the_process(start, source):
    runtime = start(f'exports.handler = () => {{ {source}; return new Promise(() => {{}}) }}')
    with pytest.raises(frames.Failed) as caught:
        runtime.call()
    assert caught.value.message == 'later'
    assert runtime.process.wait(10) == 1


def test_process_exit_ends_the_channel(start):
    runtime = start('exports.handler = () => process.exit(3)')
    with pytest.raises(frames.Gone):
        runtime.call()
    assert runtime.process.wait(10) == 3


def test_the_process_ends_when_the_daemon_is_gone(start):
    runtime = start(ECHO)
    runtime.socket.close()
    assert runtime.process.wait(10) == 0


# ---- output ----

def test_output_goes_to_its_descriptors_before_the_answer(start):
    runtime = start("exports.handler = () => { console.log('out'); console.error('err'); return 1 }")
    assert runtime.direct() == 1
    runtime.stop()
    assert (runtime.output, runtime.errors) == (b'out\n', b'err\n')


@pytest.mark.parametrize('concurrency', [1, 2])
def test_who_prints_faster_than_the_log_is_read_waits(start, concurrency):
    runtime = start("exports.handler = () => { for (let i = 0; i < 3e5; i++) console.log('x'.repeat(999)) }",
                    concurrency=concurrency)
    runtime.send()
    time.sleep(1.5)
    status = open(f'/proc/{runtime.process.pid}/status').read()
    resident_kib = int(status.split('VmRSS:')[1].split()[0])
    runtime.process.kill()
    assert resident_kib < 200 * 1024


def test_output_of_calls_at_the_same_time_is_told_apart(start):
    runtime = start('''exports.handler = async (event) => {
        console.log('start', event.rawPath);
        await new Promise((resolve) => setTimeout(resolve, 20));
        console.error('end', event.rawPath);
        process.stdout.write('raw');
    }''', concurrency=10)
    numbers = {runtime.send(frames.event(path=f'/{i}')): i for i in range(10)}
    for number in numbers:
        runtime.answer(number)
    for number, i in numbers.items():
        mine = [(flag, text) for call, flag, text in runtime.logs if call == number]
        assert mine == [(frames.STDOUT, f'start /{i}\n'.encode()), (frames.STDERR, f'end /{i}\n'.encode()),
                        (frames.STDOUT, b'raw')]


def test_calls_run_at_the_same_time(start):
    runtime = start('''let waiting = []; exports.handler = () => new Promise((resolve) => {
        waiting.push(resolve); if (waiting.length === 5) waiting.forEach((one) => one(5)) })''',
                    concurrency=5)
    numbers = [runtime.send(trigger=frames.DIRECT) for _ in range(5)]
    assert [runtime.answer(number).json() for number in numbers] == [5] * 5


# ---- builds ----

def test_a_build_without_dependencies_packs_an_empty_folder(tmp_path):
    source, build = tmp_path / 'source', tmp_path / 'build'
    source.mkdir()
    (source / 'package.json').write_text('{"name": "f"}')
    done = build_node(source, build, tmp_path / 'deps.tar')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'deps.tar').read_bytes() == bytes(1024)


def test_a_package_that_is_no_json_is_refused(tmp_path):
    (tmp_path / 'package.json').write_text('{')
    done = build_node(tmp_path, tmp_path / 'build', tmp_path / 'deps.tar')
    assert done.returncode == 1 and b'package.json is not JSON' in done.stderr


def build_node(source, build, tar):
    env = {'PATH': os.environ['PATH'], 'MAYFLY_PROXY': '', 'MAYFLY_PACK': str(mayfly.BIN / 'mayfly-pack')}
    script = 'exec 4>"$1"; shift; exec "$@"'
    return subprocess.run(['bash', '-c', script, 'bash', str(tar), NODE, str(SHIM.parent / 'build.js'),
                           'npm-cli.js', str(source), str(build)], env=env, capture_output=True, timeout=60)


