# SPDX-License-Identifier: Apache-2.0
"""The Python shim: its contract with the daemon (frames) and with the developer (docs/runtimes.md)."""
import base64
import os
import subprocess
import sys
import time

import pytest

import frames
import mayfly
import registry

SHIM = mayfly.HOUSE / 'runtimes' / 'python' / 'shim.py'
PYTHON = os.environ.get('MAYFLY_TEST_PYTHON', sys.executable)


@pytest.fixture
def start(tmp_path):
    made = []

    def run(files, handler='main.handler', is_ready=True, environment=None, **init):
        code, deps = tmp_path / f'code{len(made)}', tmp_path / f'deps{len(made)}'
        code.mkdir()
        for name, text in ({'main.py': files} if isinstance(files, str) else files).items():
            file = deps / name[5:] if name.startswith('deps/') else code / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        one = frames.Runtime([PYTHON, '-s', '-B', str(SHIM), str(code), str(deps)], environment,
                             handler=handler, **init)
        made.append(one)
        return one.ready() if is_ready else one
    yield run
    for one in made:
        one.stop()


def failure(runtime):
    with pytest.raises(frames.Failed) as caught:
        runtime.ready()
    return caught.value


def body(text):
    return 'def handler(event, context):\n    ' + text.replace('\n', '\n    ') + '\n'


# ---- loading ----

@pytest.mark.parametrize('files, handler', [
    ({'main.py': 'def handler(event, context): return 1'}, 'main.handler'),
    ({'main.py': 'async def handler(event, context): return 1'}, 'main.handler'),
    ({'main.py': 'class H:\n    def __call__(self, event, context): return 1\nhandler = H()'}, 'main.handler'),
    ({'main.py': 'class H:\n    async def __call__(self, event, context): return 1\nhandler = H()'},
     'main.handler'),
    ({'pkg/__init__.py': '', 'pkg/mod.py': 'from . import other\ndef run(e, c): return other.ONE',
      'pkg/other.py': 'ONE = 1'}, 'pkg/mod.run'),
    ({'pkg/mod.py': 'def run(e, c): return 1'}, 'pkg.mod.run'),
    ({'main.py': 'import functools\ndef f(one, event, context): return one\nhandler = functools.partial(f, 1)'},
     'main.handler'),
])
def test_a_handler_is_found_wherever_it_is_defined(start, files, handler):
    assert start(files, handler=handler).direct() == 1


def test_a_syntax_error_is_named_with_file_and_line(start):
    error = failure(start('a = 1\ndef b(:\n', is_ready=False))
    assert error.type == 'Runtime.UserCodeSyntaxError'
    assert error.message.startswith('main.py:2: ')
    assert 'shim.py' not in error.trace


def test_a_missing_module_is_named_with_who_needs_it(start):
    error = failure(start({'main.py': 'import lib', 'lib.py': '\nimport nowhere'}, is_ready=False))
    assert error.type == 'Runtime.ImportModuleError'
    assert error.message.startswith("lib.py:2 needs the module 'nowhere'")
    assert 'requirements.txt' in error.message


def test_a_missing_name_in_a_module_is_told(start):
    error = failure(start('from json import nothing', is_ready=False))
    assert error.type == 'Runtime.ImportModuleError' and "cannot import name 'nothing'" in error.message


def test_a_missing_handler_file_tells_what_is_there(start):
    error = failure(start({'app.py': ''}, is_ready=False))
    assert 'no main.py' in error.message and 'app.py' in error.message


def test_a_missing_handler_tells_which_functions_there_are(start):
    error = failure(start('def main(e, c): pass\ndef other(): pass', is_ready=False))
    assert error.type == 'Runtime.HandlerNotFound'
    assert "does not define 'handler': its functions are main, other" in error.message


def test_a_handler_that_is_no_function_is_refused(start):
    error = failure(start('handler = 5', is_ready=False))
    assert error.type == 'Runtime.HandlerNotFound' and 'int' in error.message


@pytest.mark.parametrize('name', ['main', '.handler', 'ma-in.handler'])
def test_a_handler_name_that_is_none_is_refused(start, name):
    assert failure(start('', handler=name, is_ready=False)).type == 'Runtime.MalformedHandlerName'


def test_a_file_named_as_a_module_of_python_is_told(start):
    error = failure(start({'json.py': 'def handler(e, c): pass'}, handler='json.handler', is_ready=False))
    assert 'json.py has the name of a module of Python' in error.message


def test_an_error_while_loading_has_its_own_text_and_place(start):
    error = failure(start("\nraise KeyError('no table')", is_ready=False))
    assert error.type == 'KeyError' and 'no table' in error.message
    assert 'File "main.py", line 2' in error.trace and 'importlib' not in error.trace


def test_an_exit_while_loading_is_told(start):
    assert failure(start('import sys; sys.exit(3)', is_ready=False)).type == 'Runtime.ExitError'


def test_dependencies_are_found_behind_the_code(start):
    files = {'main.py': 'import dep, own\ndef handler(e, c): return [dep.WHO, own.WHO]',
             'own.py': 'WHO = "code"', 'deps/own.py': 'WHO = "deps"', 'deps/dep.py': 'WHO = "deps"',
             'deps/more.pth': 'import sys; sys.from_pth = 1\n'}
    assert start(files).direct() == ['deps', 'code']
    files['main.py'] = 'import sys\ndef handler(e, c): return sys.from_pth'
    assert start(files).direct() == 1


# ---- events ----

ECHO = 'def handler(event, context): return event'
ECHO_ASYNC = 'async def handler(event, context): return event'


@pytest.mark.parametrize('source', [ECHO, ECHO_ASYNC])
def test_an_http_event_has_its_body_as_text(start, source):
    event = start(source).call(frames.event('POST', headers={'content-type': 'application/json'}),
                               '{"ä":1}'.encode()).json()
    assert event['body'] == '{"ä":1}' and event['isBase64Encoded'] is False


@pytest.mark.parametrize('kind, data', [
    ('image/png', b'abc'), ('text/plain', b'\xff\xfe'), ('application/octet-stream', b'a'),
])
def test_a_body_that_is_no_text_comes_as_base64(start, kind, data):
    event = start(ECHO).call(frames.event('POST', headers={'content-type': kind}), data).json()
    assert event['isBase64Encoded'] is True and base64.b64decode(event['body']) == data


def test_an_http_event_without_a_body_has_none(start):
    event = start(ECHO).call().json()
    assert 'body' not in event and event['isBase64Encoded'] is False


@pytest.mark.parametrize('source, concurrency', [(ECHO, 1), (ECHO, 4), (ECHO_ASYNC, 1), (ECHO_ASYNC, 4)])
def test_a_direct_call_gets_and_gives_json(start, source, concurrency):
    runtime = start(source, concurrency=concurrency)
    assert runtime.direct({'a': [1, None, 'ü']}) == {'a': [1, None, 'ü']}
    assert runtime.direct() is None


@pytest.mark.parametrize('source, concurrency', [(ECHO, 1), (ECHO, 4), (ECHO_ASYNC, 1)])
def test_a_direct_call_that_is_no_json_is_an_error(start, source, concurrency):
    runtime = start(source, concurrency=concurrency)
    with pytest.raises(frames.Failed) as caught:
        runtime.call(None, b'{', trigger=frames.DIRECT)
    assert caught.value.type == 'JSONDecodeError'
    assert runtime.direct(1) == 1


def test_the_context_is_that_of_lambda(start):
    context = start(body('''return {"id": context.aws_request_id, "name": context.function_name,
    "version": context.function_version, "memory": context.memory_limit_in_mb,
    "left": context.get_remaining_time_in_millis()}''')).direct()
    left = context.pop('left')
    assert context == {'id': '01J00000000000000000000000', 'name': 'hello', 'version': '3', 'memory': '128'}
    assert 0 < left <= 3000


def test_the_command_of_the_sandbox_is_not_in_the_environment(start):
    runtime = start('import os\ndef handler(e, c): return dict(os.environ)',
                    environment={'MAYFLY_COMMAND_0': 'x', 'MINE': '1'})
    env = runtime.direct()
    assert 'MAYFLY_COMMAND_0' not in env and env['MINE'] == '1'


def test_random_numbers_come_from_the_bytes_of_the_call(start):
    runtime = start('import random\ndef handler(e, c): return random.random()')
    first = runtime.direct(random=b'a' * 32)
    assert runtime.direct(random=b'b' * 32) != first
    assert runtime.direct(random=b'a' * 32) == first


# ---- answers ----

def test_an_answer_has_status_headers_and_cookies(start):
    answer = start(body('''return {"statusCode": 201, "headers": {"X-A": "b", "X-N": 5, "X-M": ["1", "2"]},
    "cookies": ["a=1", "b=2"], "body": "made"}''')).call()
    assert answer.status == 201 and answer.body == b'made'
    assert [value for name, value in answer.headers if name == 'X-M'] == ['1', '2']
    assert [value for name, value in answer.headers if name == 'set-cookie'] == ['a=1', 'b=2']
    assert answer.header('x-n') == '5'


@pytest.mark.parametrize('expression, kind, data', [
    ("'plain ü'", 'text/plain; charset=utf-8', 'plain ü'.encode()),
    ('[1, 2]', 'application/json', b'[1,2]'), ('None', 'application/json', b'null'),
    ('5', 'application/json', b'5'), ("b'\\x00\\xff'", 'application/octet-stream', b'\0\xff'),
    ('{"a": 1}', 'application/json', b'{"a":1}'),
])
@pytest.mark.parametrize('prefix', ['', 'async '])
def test_bare_values_are_answers(start, prefix, expression, kind, data):
    answer = start(prefix + body(f'return {expression}')).call()
    assert (answer.status, answer.header('content-type'), answer.body) == (200, kind, data)


def test_base64_and_bytes_are_sent_as_bytes(start):
    assert start(body('return {"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}')).call().body == b'\0\xff'
    assert start(body('return {"statusCode": 200, "body": b"\\x00\\xff"}')).call().body == b'\0\xff'


@pytest.mark.parametrize('expression', [
    '{"statusCode": 99}', '{"statusCode": "x"}', '{"statusCode": 200, "headers": {"a b": "c"}}',
    '{"statusCode": 200, "headers": {"a": "b\\nc: d"}}', '{"statusCode": 200, "cookies": ["a\\r\\nb"]}',
])
def test_an_answer_that_cannot_be_sent_is_an_error(start, expression):
    with pytest.raises(frames.Failed) as caught:
        start(body(f'return {expression}')).call()
    assert caught.value.type == 'InvalidAnswer'


def test_a_value_that_json_does_not_know_is_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        start(body('return {1, 2}')).direct()
    assert caught.value.type == 'TypeError' and 'not JSON serializable' in caught.value.message


@pytest.mark.parametrize('size', [70_000, 300_000, 6 * 1024 * 1024])
def test_large_bodies_go_both_ways(start, size):
    runtime = start('import base64\n' + body('return base64.b64decode(event["body"])'))
    data = os.urandom(size)
    assert runtime.call(frames.event('POST', headers={'content-type': 'image/png'}), data).body == data


@pytest.mark.parametrize('source', [ECHO, ECHO_ASYNC])
@pytest.mark.parametrize('concurrency', [1, 50])
def test_many_calls_in_one_write_are_all_answered(start, source, concurrency):
    runtime = start(source, concurrency=concurrency)
    numbers = [runtime.send(frames.event(path=f'/{i}')) for i in range(200)]
    assert [runtime.answer(n).json()['rawPath'] for n in numbers] == [f'/{i}' for i in range(200)]


# ---- streams ----

@pytest.mark.parametrize('source', [
    'def handler(e, c):\n    yield "a"\n    yield b"b"\n',
    'async def handler(e, c):\n    yield "a"\n    yield b"b"\n',
    'def handler(e, c): return iter(["a", "b"])\n',
])
def test_iterators_are_sent_piece_by_piece(start, source):
    runtime = start(source)
    assert runtime.call().pieces == [b'a', b'b']
    assert runtime.direct() == 'ab'


@pytest.mark.parametrize('source', [
    'def handler(e, c): return {"statusCode": 202, "body": (x for x in "ab")}',
    'async def g():\n    yield "a"\n    yield "b"\nasync def handler(e, c): return {"statusCode": 202, "body": g()}',
])
def test_a_body_may_be_an_iterator(start, source):
    answer = start(source).call()
    assert answer.status == 202 and answer.pieces == [b'a', b'b']


def test_the_first_piece_comes_before_the_last_is_made(start):
    runtime = start('import time\ndef handler(e, c):\n    yield "now"\n    time.sleep(60)\n')
    number = runtime.send()
    assert runtime.next_of(number)[0] == frames.ANSWER_HEAD
    assert runtime.next_of(number) == (frames.ANSWER_BODY, b'now')
    runtime.process.kill()


def test_a_stream_that_breaks_ends_with_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        start('def handler(e, c):\n    yield "a"\n    raise ValueError("cut")\n').call()
    assert (caught.value.type, caught.value.message) == ('ValueError', 'cut')


def test_cancel_cancels_the_task_of_the_call(start):
    runtime = start('import asyncio\nasync def handler(e, c):\n    await asyncio.sleep(60)\n', concurrency=2)
    number = runtime.send()
    time.sleep(0.1)
    runtime.cancel(number)
    with pytest.raises(frames.Failed) as caught:
        runtime.answer(number)
    assert caught.value.type == 'CancelledError'


# ---- errors ----

@pytest.mark.parametrize('prefix, concurrency', [('', 1), ('', 3), ('async ', 1)])
def test_an_error_has_type_message_and_a_trace_of_the_code_alone(start, prefix, concurrency):
    runtime = start(prefix + body('raise ValueError("too far")'), concurrency=concurrency)
    with pytest.raises(frames.Failed) as caught:
        runtime.call()
    error = caught.value
    assert (error.type, error.message) == ('ValueError', 'too far')
    assert 'File "main.py", line 2, in handler' in error.trace
    assert 'mayfly' not in error.trace and 'shim.py' not in error.trace


def test_the_cause_of_an_error_is_in_its_trace(start):
    with pytest.raises(frames.Failed) as caught:
        start(body('try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError("a") from e')).call()
    assert 'ZeroDivisionError' in caught.value.trace and 'direct cause' in caught.value.trace


@pytest.mark.parametrize('source, kind', [
    ('open("/nowhere")', 'FileNotFoundError'), ('raise OSError(24, "many")', 'EMFILE'),
    ('raise OSError(28, "full")', 'ENOSPC'), ('raise BlockingIOError(11, "again")', 'EAGAIN'),
    ('raise MemoryError()', 'MemoryError'), ('raise RuntimeError("can\'t start new thread")', 'EAGAIN'),
])
def test_an_error_that_met_a_limit_has_the_name_of_its_errno(start, source, kind):
    with pytest.raises(frames.Failed) as caught:
        start(body(source)).call()
    assert caught.value.type == kind


@pytest.mark.parametrize('source, concurrency', [
    (body('sys.exit(3)'), 1), (body('sys.exit(3)'), 4), ('async ' + body('sys.exit(3)'), 1),
    (body('os._exit(3)'), 1),
])
def test_an_exit_ends_the_channel_and_the_process(start, source, concurrency):
    runtime = start('import os, sys\n' + source, concurrency=concurrency)
    with pytest.raises((frames.Gone, ConnectionError)):
        runtime.call()
    assert runtime.process.wait(10) == 3


@pytest.mark.parametrize('source, concurrency', [(ECHO, 1), (ECHO, 4), (ECHO_ASYNC, 1)])
def test_the_process_ends_when_the_daemon_is_gone(start, source, concurrency):
    runtime = start(source, concurrency=concurrency)
    runtime.socket.close()
    assert runtime.process.wait(10) == 0


# ---- output ----

@pytest.mark.parametrize('prefix', ['', 'async '])
def test_output_goes_to_its_descriptors_before_the_answer(start, prefix):
    runtime = start('import sys\n' + prefix + body('print("out", end="")\nprint("err", file=sys.stderr)\nreturn 1'))
    assert runtime.direct() == 1
    runtime.process.kill()
    runtime.stop()
    assert (runtime.output, runtime.errors) == (b'out', b'err\n')


@pytest.mark.parametrize('source', [
    'import sys, time\n' + body('print("start", event["rawPath"])\ntime.sleep(0.02)\n'
                                'print("end", event["rawPath"], file=sys.stderr)\nprint("rest", end="")'),
    'import asyncio, sys\nasync ' + body('print("start", event["rawPath"])\nawait asyncio.sleep(0.02)\n'
                                         'print("end", event["rawPath"], file=sys.stderr)\nprint("rest", end="")'),
])
def test_output_of_calls_at_the_same_time_is_told_apart(start, source):
    runtime = start(source, concurrency=10)
    numbers = {runtime.send(frames.event(path=f'/{i}')): i for i in range(10)}
    for number in numbers:
        runtime.answer(number)
    for number, i in numbers.items():
        mine = [(flag, text) for call, flag, text in runtime.logs if call == number]
        assert mine == [(frames.STDOUT, f'start /{i}\n'.encode()), (frames.STDERR, f'end /{i}\n'.encode()),
                        (frames.STDOUT, b'rest')]


@pytest.mark.parametrize('source', [
    'import threading\nbarrier = threading.Barrier(5)\ndef handler(e, c):\n    barrier.wait(20)\n    return 5',
    'import asyncio\nn = 0\nasync def handler(e, c):\n    global n\n    n += 1\n'
    '    while n < 5: await asyncio.sleep(0)\n    return 5',
])
def test_calls_run_at_the_same_time(start, source):
    runtime = start(source, concurrency=5)
    numbers = [runtime.send(trigger=frames.DIRECT) for _ in range(5)]
    assert [runtime.answer(number).json() for number in numbers] == [5] * 5


# ---- builds ----

NOUN = registry.wheel('mynoun', '1.2.0', {'mynoun/__init__.py': "WORD = 'installed'\n"})


def build(source, folder, tar, **variables):
    pip = subprocess.run([sys.executable, '-c', 'import os, pip; print(os.path.dirname(os.path.dirname(pip.__file__)))'],
                         capture_output=True, text=True, check=True).stdout.strip()
    env = {'PATH': os.environ['PATH'], 'MAYFLY_PROXY': '', 'MAYFLY_PACK': str(mayfly.BIN / 'mayfly-pack'), **variables}
    script = 'exec 4>"$1"; shift; exec "$@"'
    return subprocess.run(['bash', '-c', script, 'bash', str(tar), sys.executable, '-s', str(SHIM.parent / 'build.py'),
                           pip, str(source), str(folder)], env=env, capture_output=True, timeout=120)


def test_a_build_packs_what_pip_installed(tmp_path):
    (tmp_path / 'requirements.txt').write_text('mynoun==1.2.0\n')
    with registry.Index({'mynoun': [NOUN]}) as index:
        done = build(tmp_path, tmp_path / 'build', tmp_path / 'deps.tar', MAYFLY_INDEX=index.url)
    assert done.returncode == 0, done.stderr
    names = subprocess.run(['tar', 'tf', str(tmp_path / 'deps.tar')], capture_output=True, text=True).stdout.split()
    assert 'mynoun/__init__.py' in names and any(name.endswith('.pyc') for name in names)


def test_a_build_that_fails_has_the_words_of_pip(tmp_path):
    (tmp_path / 'requirements.txt').write_text('no-such-noun==9\n')
    with registry.Index({'mynoun': [NOUN]}) as index:
        done = build(tmp_path, tmp_path / 'build', tmp_path / 'deps.tar', MAYFLY_INDEX=index.url)
    assert done.returncode != 0 and b'no-such-noun' in done.stderr
