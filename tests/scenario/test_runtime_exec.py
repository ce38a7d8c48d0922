# SPDX-License-Identifier: Apache-2.0
"""mayfly-exec: a process per call (docs/runtimes.md)."""
import os
import pathlib
import resource
import signal
import subprocess
import time

import pytest

import frames
import mayfly

SH = '#!/bin/sh\n'


@pytest.fixture
def start(tmp_path):
    made = []

    def run(files, handler='', is_ready=True, environment=None, modes=None, **init):
        code = tmp_path / f'code{len(made)}'
        code.mkdir()
        for name, text in ({'handler.sh': SH + files} if isinstance(files, str) else files).items():
            (code / name).write_text(text)
            (code / name).chmod((modes or {}).get(name, 0o755))
        one = frames.Runtime([str(mayfly.BIN / 'mayfly-exec'), str(code)], environment, handler=handler, **init)
        made.append(one)
        return one.ready() if is_ready else one
    yield run
    for one in made:
        one.stop()


def failure(runtime):
    with pytest.raises(frames.Failed) as caught:
        runtime.ready()
    assert caught.value.type == 'Runtime.InvalidEntrypoint'
    return caught.value.message


# ---- finding the program ----

@pytest.mark.parametrize('files, handler, modes', [
    ({'bootstrap': SH + 'echo 1', 'other': SH}, '', {}),
    ({'handler.sh': SH + 'echo 1', 'other': SH}, '', {}),
    ({'only': SH + 'echo 1', 'data.txt': 'x'}, '', {'data.txt': 0o644}),
    ({'a': SH + 'echo 1', 'b': SH}, 'a', {}),
])
def test_the_program_is_named_or_found(start, files, handler, modes):
    assert start(files, handler=handler, modes=modes).direct() == 1


@pytest.mark.parametrize('files, handler, modes, words', [
    ({'data': 'x'}, '', {'data': 0o644}, 'nothing in the code can be executed: the code has data'),
    ({'a': SH, 'b': SH}, '', {}, 'several files can be executed'),
    ({'a': SH}, 'b', {}, 'there is no file b: the code has a'),
    ({'a': SH}, 'a', {'a': 0o644}, 'a cannot be executed: chmod +x a'),
    ({'a': 'echo'}, 'a', {}, "a is neither a program nor a script: its first line must be '#!'"),
    ({'a': '#!/no/such/shell -x\n'}, 'a', {}, "a asks for '/no/such/shell' in its first line"),
])
def test_a_program_that_cannot_run_is_told_why(start, files, handler, modes, words):
    assert words in failure(start(files, handler=handler, modes=modes, is_ready=False))


def test_a_program_for_another_machine_is_told(start, tmp_path):
    elf = bytearray(pathlib.Path('/bin/true').read_bytes()[:64])
    elf[18:20] = (0x28).to_bytes(2, 'little')  # EM_ARM
    runtime = start({'placeholder': SH}, handler='arm', is_ready=False)
    runtime.stop()
    code = tmp_path / 'arm'
    code.mkdir()
    (code / 'arm').write_bytes(elf)
    (code / 'arm').chmod(0o755)
    with frames.Runtime([str(mayfly.BIN / 'mayfly-exec'), str(code)], handler='arm') as one:
        assert 'another kind of machine (ELF machine 40)' in failure(one)


# ---- the call ----

def test_the_body_is_stdin_and_stdout_the_answer(start):
    data = os.urandom(3_000_000)
    answer = start('exec cat').call(frames.event('POST'), data)
    assert answer.body == data and answer.header('content-type') == 'application/octet-stream'


def test_text_is_answered_as_text(start):
    answer = start('echo grüß').call()
    assert (answer.status, answer.header('content-type')) == (200, 'text/plain; charset=utf-8')
    assert answer.body.decode() == 'grüß\n'


def test_the_request_stands_in_the_environment(start):
    runtime = start('''printf '%s|' "$MAYFLY_METHOD" "$MAYFLY_PATH" "$MAYFLY_QUERY" "$MAYFLY_HEADER_X_A_B" \\
        "$CONTENT_TYPE" "$CONTENT_LENGTH" "$MAYFLY_CALL_ID" "$MINE" "$MAYFLY_COMMAND_0" ''',
                    environment={'MINE': 'x', 'MAYFLY_COMMAND_0': 'hidden'})
    head = frames.event('PUT', '/a/b', 'c=d', {'x-a-b': 'e', 'content-type': 'text/css'})
    answer = runtime.call(head, b'12345')
    assert answer.body == b'PUT|/a/b|c=d|e|text/css|5|01J00000000000000000000000|x||'


def test_a_header_cannot_take_the_name_of_another_variable(start):
    runtime = start('env')
    answer = runtime.call(frames.event(headers={'x=y': 'a', 'a b': 'c', 'ld_preload': 'x'}))
    text = answer.body.decode()
    assert 'LD_PRELOAD=x' not in text.split('\n') and 'X=Y' not in text


def test_each_call_is_a_process_of_its_own(start):
    runtime = start('echo $$; echo x >>"$0.calls"; wc -l <"$0.calls"')
    first, second = runtime.call().body.split(), runtime.call().body.split()
    assert first[0] != second[0] and second[1] == b'2'


@pytest.mark.parametrize('ends', ['\\r\\n', '\\n'])
def test_output_that_begins_with_a_status_is_a_header_block(start, ends):
    answer = start(f"printf 'Status: 404 Not Found{ends}X-A: b{ends}Content-Type: text/css{ends}{ends}body'").call()
    assert answer.status == 404 and answer.body == b'body'
    assert answer.headers == [('X-A', 'b'), ('Content-Type', 'text/css')]


@pytest.mark.parametrize('output, words', [
    ('Status: 99\\n\\n', 'is not 200 to 599'), ('Status: 200\\nno header\\n\\n', 'is no header'),
    ('Status: 200\\na b: c\\n\\n', 'is no header'),
])
def test_a_broken_header_block_is_an_error(start, output, words):
    with pytest.raises(frames.Failed) as caught:
        start(f"printf '{output}'").call()
    assert caught.value.type == 'InvalidAnswer' and words in caught.value.message


def test_a_status_without_a_body_is_an_answer(start):
    answer = start("printf 'Status: 204'").call()
    assert (answer.status, answer.body, answer.headers) == (204, b'', [])


def test_long_output_is_streamed(start):
    runtime = start('printf one; sleep 0.2; printf two')
    assert runtime.call().pieces == [b'one', b'two']
    assert start('head -c 5000000 /dev/zero').call().body == bytes(5_000_000)


@pytest.mark.parametrize('output, value', [
    ('{"a":1}', {'a': 1}), ('plain\\n', 'plain'), ('', None), ('\\377', '/w=='), ('[1]\\n', [1]),
])
def test_a_direct_call_is_answered_with_json(start, output, value):
    assert start(f"printf '{output}'").direct({'x': 1}) == value


def test_a_direct_call_gives_its_json_on_stdin(start):
    assert start('cat').direct({'a': [1]}) == {'a': [1]}


# ---- errors and leftovers ----

def test_an_exit_status_is_an_error_with_the_last_lines_of_stderr(start):
    runtime = start('echo out; echo first >&2; echo last >&2; exit 3')
    with pytest.raises(frames.Failed) as caught:
        runtime.call()
    assert caught.value.type == 'ExitError'
    assert caught.value.message == 'the program ended with status 3: first\nlast'
    runtime.stop()
    assert runtime.errors == b'first\nlast\n'


def test_a_signal_is_an_error(start):
    with pytest.raises(frames.Failed) as caught:
        start('kill -SEGV $$').call()
    assert 'ended by signal 11' in caught.value.message


def test_only_the_end_of_a_long_stderr_is_told(start):
    with pytest.raises(frames.Failed) as caught:
        start('seq 9000 >&2; exit 1').call()
    assert caught.value.message.endswith('9000') and len(caught.value.message) < 2200


def test_an_input_that_is_not_read_harms_nobody(start):
    runtime = start('exec 0<&-; echo done')
    assert runtime.call(frames.event('POST'), bytes(1_000_000)).body == b'done\n'


@pytest.mark.parametrize('leave', [
    'sleep 987 &', '(sleep 987 &) &', 'setsid sleep 987 >/dev/null 2>&1 </dev/null &',
    'nohup setsid sh -c "sleep 987 & sleep 987 & wait" >/dev/null 2>&1 &',
])
def test_what_a_call_leaves_running_is_killed_before_its_answer_ends(start, leave):
    runtime = start(f'{leave}\necho done')
    start_s = time.monotonic()
    assert runtime.call().body == b'done\n'
    assert time.monotonic() - start_s < 20
    found = subprocess.run(['pgrep', '-P', str(runtime.process.pid)], capture_output=True)
    assert found.stdout == b''
    assert runtime.call().body == b'done\n'


def test_the_program_has_no_descriptors_of_the_platform(start):
    assert start('ls /proc/self/fd | tr "\\n" " "').call().body.split()[:3] == [b'0', b'1', b'2']
    assert start('[ -e /proc/$$/fd/3 ] && echo yes || echo no').call().body == b'no\n'


# ---- between calls ----

@pytest.mark.parametrize('script', [
    'echo done', 'exit 3', 'sleep 987 & echo done', 'kill -9 $$', 'exec 0<&- 1>&- 2>&-; sleep 0.1',
    'setsid sh -c "trap : TERM; while :; do sleep 1; done" & echo', 'kill -STOP $PPID & echo',
])
def test_it_rests_between_calls(start, script):
    runtime = start(script).rest()
    for _ in range(3):
        number = runtime.send(frames.event('POST'), bytes(200_000))
        time.sleep(0.05)
        runtime.process.send_signal(signal.SIGCONT)
        try:
            runtime.answer(number)
        except frames.Failed:
            pass
        runtime.rest()


def test_it_rests_when_the_program_cannot_be_started(start):
    runtime = start('echo done').rest()
    resource.prlimit(runtime.process.pid, resource.RLIMIT_NOFILE, (6, 6))
    for _ in range(3):
        with pytest.raises(frames.Failed) as caught:
            runtime.call()
        assert caught.value.type == 'EMFILE'
        runtime.rest()
