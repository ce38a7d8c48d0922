# SPDX-License-Identifier: Apache-2.0
"""The runtime native: programs with libmayfly, and Lambda's Runtime API for any bootstrap."""
import pathlib
import subprocess

import pytest

import frames
import mayfly

LAMBDA = str(mayfly.BIN / 'mayfly-lambda')

C_FUNCTION = r'''
#include <mayfly.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int
serve(struct mf_request *request, struct mf_answer *answer, void *arg)
{
	const char *what = mf_query(request, "do");
	size_t size;
	const char *body = mf_body(request, &size);
	char name[32];

	printf("call %s\n", mf_call_id(request));
	if (mf_is_direct(request)) {
		mf_json_text(mf_json_get(mf_event(request), "name"), name, sizeof(name));
		mf_print(answer, "{\"name\":");
		mf_print_json(answer, name);
		mf_print(answer, "}");
		return 0;
	}
	if (!what) {
		mf_status(answer, 201);
		mf_set_header(answer, "x-bad", "a\nb");
		mf_set_header(answer, "x-arg", arg);
		mf_printf(answer, "%s %s %s %s %s %d", mf_method(request), mf_path(request),
			mf_query_string(request), mf_query(request, "a b"), mf_header(request, "X-Y"),
			mf_remaining_ms(request) > 0);
	} else if (strcmp(what, "echo") == 0) {
		mf_write(answer, body, size);
	} else if (strcmp(what, "stream") == 0) {
		mf_print(answer, "one");
		mf_flush(answer);
		mf_print(answer, "two");
	} else if (strcmp(what, "error") == 0) {
		return mf_error(answer, "NotFound", "no %s", "thing");
	} else if (strcmp(what, "five") == 0) {
		return 5;
	} else if (strcmp(what, "abort") == 0) {
		abort();
	}
	return 0;
}

int
main(void)
{
	if (getenv("BROKEN"))
		mf_fail("no table: %d", 7);
	return mf_serve(serve, "given");
}
'''

PYTHON_BOOTSTRAP = r'''#!/usr/bin/python3
import base64, http.client, json, os
api = http.client.HTTPConnection(os.environ['AWS_LAMBDA_RUNTIME_API'])
BASE = '/2018-06-01/runtime/'
def ask(method, path, body=None, headers={}, **more):
    api.request(method, BASE + path, body, headers, **more)
    answer = api.getresponse()
    return answer, answer.read()
if os.environ.get('BROKEN'):
    ask('POST', 'init/error', json.dumps({'errorMessage': 'no table', 'errorType': 'InitError'}),
        {'Lambda-Runtime-Function-Error-Type': 'Runtime.NoTable'})
    raise SystemExit(1)
while True:
    head, data = ask('GET', 'invocation/next')
    event, number = json.loads(data), head.headers['Lambda-Runtime-Aws-Request-Id']
    call = 'invocation/' + number + '/'
    streamed = {'Lambda-Runtime-Function-Response-Mode': 'streaming', 'Transfer-Encoding': 'chunked'}
    what = event.get('rawQueryString', '') if isinstance(event, dict) else ''
    if what == 'error':
        ask('POST', call + 'error', json.dumps(
            {'errorMessage': 'no thing', 'errorType': 'NotFound', 'stackTrace': ['a', 'b']}))
    elif what == 'stream':
        streamed['Content-Type'] = 'application/vnd.awslambda.http-integration-response'
        prelude = json.dumps({'statusCode': 202, 'headers': {'x': 'y'}, 'cookies': ['a=1']}).encode()
        ask('POST', call + 'response', iter([prelude[:5], prelude[5:] + bytes(8) + b'one', b'two']),
            streamed, encode_chunked=True)
    elif what == 'plainstream':
        streamed['Content-Type'] = 'text/css'
        ask('POST', call + 'response', iter([b'one', b'two']), streamed, encode_chunked=True)
    elif what == 'cut':
        api.putrequest('POST', BASE + call + 'response')
        for name, value in streamed.items(): api.putheader(name, value)
        api.endheaders()
        error = base64.b64encode(json.dumps({'errorMessage': 'cut', 'errorType': 'T'}).encode()).decode()
        api.send(b'3\r\none\r\n0\r\nLambda-Runtime-Function-Error-Type: T\r\n'
                 b'Lambda-Runtime-Function-Error-Body: ' + error.encode() + b'\r\n\r\n')
        api.getresponse().read()
    elif what == 'wrong':
        refused, text = ask('POST', 'invocation/nobody/response', '{}')
        missing, _ = ask('GET', 'nowhere')
        ask('POST', call + 'response', json.dumps([refused.status, json.loads(text)['errorType'], missing.status]))
    elif what == 'env':
        names = ['_HANDLER', 'LAMBDA_TASK_ROOT', 'AWS_LAMBDA_FUNCTION_NAME', 'AWS_LAMBDA_FUNCTION_VERSION',
                 'AWS_LAMBDA_FUNCTION_MEMORY_SIZE', 'AWS_LAMBDA_LOG_GROUP_NAME']
        ask('POST', call + 'response', json.dumps([os.environ[name] for name in names]))
    elif what == 'raw':
        ask('POST', call + 'response', b'no json \xc3\xa4')
    elif what == 'string':
        ask('POST', call + 'response', json.dumps('a string'))
    elif what == 'bad':
        ask('POST', call + 'response', json.dumps({'statusCode': 7}))
    elif what == 'base64':
        ask('POST', call + 'response', json.dumps({'statusCode': 200, 'body': 'AP8=', 'isBase64Encoded': True}))
    elif what == 'exit':
        os._exit(4)
    elif isinstance(event, dict) and 'requestContext' in event:
        ask('POST', call + 'response', json.dumps({'statusCode': 201, 'headers': {'X-A': 'b', 'X-N': 5},
            'cookies': ['a=1'], 'body': json.dumps(event)}))
    else:
        ask('POST', call + 'response', data)
'''

SH_BOOTSTRAP = r'''#!/bin/sh
set -eu
while true; do
	head=$(mktemp)
	event=$(curl -sS -LD "$head" "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/next")
	id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$head" | tr -d '[:space:]' | cut -d: -f2)
	rm -f "$head"
	curl -sS -o /dev/null "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation/$id/response" \
		-d "echo: $event"
done
'''


@pytest.fixture(scope='module')
def c_function(tmp_path_factory):
    folder = tmp_path_factory.mktemp('c')
    (folder / 'function.c').write_text(C_FUNCTION)
    library = next(path for place in (mayfly.BIN, mayfly.BIN.parent) for path in place.rglob('libmayfly.a'))
    subprocess.run(['cc', '-Wall', '-Wextra', '-Werror', '-static', f'-I{mayfly.HOUSE / "include"}', '-o',
                    str(folder / 'bootstrap'), str(folder / 'function.c'), str(library)], check=True)
    return folder


@pytest.fixture
def start(tmp_path):
    made = []

    def run(code, handler='bootstrap', is_ready=True, environment=None, **init):
        if not isinstance(code, pathlib.Path):
            text, code = code, tmp_path / f'code{len(made)}'
            code.mkdir()
            (code / 'bootstrap').write_text(text)
            (code / 'bootstrap').chmod(0o755)
        one = frames.Runtime([LAMBDA, str(code)], environment, handler=handler, **init)
        made.append(one)
        return one.ready() if is_ready else one
    yield run
    for one in made:
        one.stop()


def failure(runtime):
    with pytest.raises(frames.Failed) as caught:
        runtime.ready()
    return caught.value


# ---- libmayfly ----

def test_a_program_in_c_reads_its_request_and_answers(start, c_function):
    runtime = start(c_function)
    answer = runtime.call(frames.event('PUT', '/p', 'x=1&a+b=c%20d', {'x-y': 'z'}))
    assert answer.status == 201 and answer.body == b'PUT /p x=1&a+b=c%20d c d z 1'
    assert answer.headers == [('x-arg', 'given'), ('content-type', 'text/plain; charset=utf-8')]
    runtime.stop()
    assert runtime.output == b'call 01J00000000000000000000000\n'


@pytest.mark.parametrize('size', [0, 1, 100_000, 6 * 1024 * 1024])
def test_a_program_in_c_gets_and_gives_bytes(start, c_function, size):
    data = bytes(i * 7 & 255 for i in range(1000)) * (size // 1000 + 1)
    assert start(c_function).call(frames.event('POST', query='do=echo'), data[:size]).body == data[:size]


def test_a_program_in_c_streams(start, c_function):
    assert start(c_function).call(frames.event(query='do=stream')).pieces == [b'one', b'two']


@pytest.mark.parametrize('name', ['Ada', 'ü"\\\n', '\U0001f98b'])
def test_a_program_in_c_reads_and_writes_json(start, c_function, name):
    assert start(c_function).direct({'other': [1, {'name': 'x'}], 'name': name}) == {'name': name}


@pytest.mark.parametrize('what, kind, message', [
    ('error', 'NotFound', 'no thing'), ('five', 'Error', 'the handler gave 5'),
])
def test_a_program_in_c_fails_with_its_words(start, c_function, what, kind, message):
    runtime = start(c_function)
    with pytest.raises(frames.Failed) as caught:
        runtime.call(frames.event(query=f'do={what}'))
    assert (caught.value.type, caught.value.message) == (kind, message)
    assert runtime.call().status == 201


def test_a_program_in_c_that_cannot_serve_says_why(start, c_function):
    error = failure(start(c_function, environment={'BROKEN': '1'}, is_ready=False))
    assert (error.type, error.message) == ('InitError', 'no table: 7')


def test_a_program_in_c_that_crashes_ends_the_instance(start, c_function):
    runtime = start(c_function)
    with pytest.raises((frames.Gone, ConnectionError)):
        runtime.call(frames.event(query='do=abort'))
    assert runtime.process.wait(10) == 128 + 6


def test_a_program_in_c_started_by_hand_says_what_it_is(c_function):
    done = subprocess.run([str(c_function / 'bootstrap')], capture_output=True, text=True)
    assert done.returncode == 1 and 'mayfly deploy' in done.stderr


def test_the_program_ends_when_the_daemon_is_gone(start, c_function):
    for code in (c_function, PYTHON_BOOTSTRAP):
        runtime = start(code)
        runtime.socket.close()
        assert runtime.process.wait(10) == 0


# ---- Lambda's Runtime API ----

def test_a_bootstrap_gets_the_http_event_and_answers_in_format_2(start):
    runtime = start(PYTHON_BOOTSTRAP)
    answer = runtime.call(frames.event('POST', '/a', headers={'content-type': 'text/plain'}), 'bö"'.encode())
    event = answer.json()
    assert answer.status == 201 and event['body'] == 'bö"' and event['isBase64Encoded'] is False
    assert answer.headers[:3] == [('X-A', 'b'), ('X-N', '5'), ('set-cookie', 'a=1')]


def test_a_body_that_is_no_text_comes_to_a_bootstrap_as_base64(start):
    event = start(PYTHON_BOOTSTRAP).call(frames.event('POST'), b'\0\xff').json()
    assert event['body'] == 'AP8=' and event['isBase64Encoded'] is True


def test_a_direct_call_goes_through_as_it_is(start):
    runtime = start(PYTHON_BOOTSTRAP)
    assert runtime.direct([1, {'a': None}]) == [1, {'a': None}]
    assert runtime.direct() is None


def test_a_bootstrap_streams_with_a_prelude_and_without(start):
    runtime = start(PYTHON_BOOTSTRAP)
    answer = runtime.call(dict(frames.event(), rawQueryString='stream'))
    assert answer.status == 202 and answer.body == b'onetwo' and answer.pieces
    assert ('x', 'y') in answer.headers and ('set-cookie', 'a=1') in answer.headers
    answer = runtime.call(dict(frames.event(), rawQueryString='plainstream'))
    assert answer.body == b'onetwo' and answer.header('content-type') == 'text/css' and answer.pieces


@pytest.mark.parametrize('what, kind, message, trace', [
    ('error', 'NotFound', 'no thing', 'a\nb'), ('cut', 'T', 'cut', ''),
    ('bad', 'InvalidAnswer', 'statusCode is not 200 to 599', ''),
])
def test_an_error_of_a_bootstrap_is_the_error_of_the_call(start, what, kind, message, trace):
    runtime = start(PYTHON_BOOTSTRAP)
    with pytest.raises(frames.Failed) as caught:
        runtime.call(dict(frames.event(), rawQueryString=what))
    assert (caught.value.type, caught.value.message, caught.value.trace) == (kind, message, trace)
    assert runtime.call().status == 201


@pytest.mark.parametrize('what, kind, body', [
    ('raw', 'text/plain; charset=utf-8', 'no json ä'.encode()),
    ('string', 'text/plain; charset=utf-8', b'a string'),
    ('base64', 'application/octet-stream', b'\0\xff'),
])
def test_a_bootstrap_may_answer_with_less_than_format_2(start, what, kind, body):
    answer = start(PYTHON_BOOTSTRAP).call(dict(frames.event(), rawQueryString=what))
    assert (answer.status, answer.header('content-type'), answer.body) == (200, kind, body)


def test_a_wrong_id_and_a_wrong_path_are_refused(start):
    answer = start(PYTHON_BOOTSTRAP).call(dict(frames.event(), rawQueryString='wrong'))
    assert answer.json() == [400, 'InvalidRequestID', 404]


def test_a_bootstrap_finds_the_environment_of_lambda(start):
    values = start(PYTHON_BOOTSTRAP, handler='app.main').call(dict(frames.event(), rawQueryString='env')).json()
    assert values[0] == 'app.main' and values[2:] == ['hello', '3', '128', '/mayfly/acme/hello']


def test_a_bootstrap_that_cannot_serve_says_why(start):
    error = failure(start(PYTHON_BOOTSTRAP, environment={'BROKEN': '1'}, is_ready=False))
    assert (error.type, error.message) == ('InitError', 'no table')


def test_the_exit_of_a_bootstrap_is_that_of_the_instance(start):
    runtime = start(PYTHON_BOOTSTRAP)
    with pytest.raises((frames.Gone, ConnectionError)):
        runtime.call(dict(frames.event(), rawQueryString='exit'))
    assert runtime.process.wait(10) == 4


def test_a_bootstrap_of_sh_and_curl_serves(start):
    runtime = start(SH_BOOTSTRAP)
    assert runtime.call().body.startswith(b'echo: {')
    assert runtime.direct({'a': 1}) == 'echo: {"a": 1}'


def test_a_code_without_a_bootstrap_is_told(start, tmp_path):
    (tmp_path / 'other').write_text('')
    error = failure(start(tmp_path, is_ready=False))
    assert error.type == 'Runtime.InvalidEntrypoint' and 'there is no file bootstrap' in error.message


# ---- isolation call ----

@pytest.fixture
def start_for_calls(start):
    def run(code, **more):
        return start(code, isolation='call', **more)
    return run


def test_a_program_in_c_is_the_adapters_process_and_rests(start_for_calls, c_function):
    runtime = start_for_calls(c_function).rest()
    for _ in range(3):
        assert runtime.call(frames.event(query='do=stream')).body == b'onetwo'
        runtime.rest()
    pid = runtime.process.pid
    assert pathlib.Path(f'/proc/{pid}/exe').resolve() == (c_function / 'bootstrap').resolve()
    assert b'AWS_LAMBDA_RUNTIME_API' not in pathlib.Path(f'/proc/{pid}/environ').read_bytes()


def test_a_shell_may_lead_to_a_program_in_c(start_for_calls, c_function):
    runtime = start_for_calls(f'#!/bin/sh\nexec {c_function}/bootstrap\n').rest()
    assert runtime.call(frames.event('PUT', '/p')).status == 201


COUNTING = PYTHON_BOOTSTRAP.replace(
    "    what = event", "    if event == 'pid': ask('POST', call + 'response', str(os.getpid())); "
    "continue\n    what = event")


def test_a_bootstrap_is_started_anew_for_each_call(start_for_calls):
    runtime = start_for_calls(COUNTING).rest()
    pids = set()
    for _ in range(3):
        pids.add(runtime.direct('pid'))
        runtime.rest()
    assert len(pids) == 3 and all(not pathlib.Path(f'/proc/{pid}').exists() for pid in pids)


@pytest.mark.parametrize('what, status', [
    ('stream', 202), ('plainstream', 200), ('raw', 200), ('base64', 200), ('', 201),
])
def test_a_bootstrap_rests_after_each_kind_of_answer(start_for_calls, what, status):
    runtime = start_for_calls(PYTHON_BOOTSTRAP)
    for _ in range(2):
        assert runtime.call(dict(frames.event(), rawQueryString=what)).status == status
        runtime.rest()


@pytest.mark.parametrize('what, kind, message', [
    ('error', 'NotFound', 'no thing'), ('cut', 'T', 'cut'),
    ('exit', 'Runtime.ExitError', 'the program ended with status 4'),
])
def test_an_error_of_a_bootstrap_costs_one_call(start_for_calls, what, kind, message):
    runtime = start_for_calls(PYTHON_BOOTSTRAP)
    for _ in range(2):
        with pytest.raises(frames.Failed) as caught:
            runtime.call(dict(frames.event(), rawQueryString=what))
        assert (caught.value.type, caught.value.message) == (kind, message)
        runtime.rest()
    assert runtime.call().status == 201


LEAVING = r'''#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
next() { curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\r' |
	sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p'; }
post() { curl -sS -o /dev/null "$api/$1" -d "$2"; }
id=$(next)
%s
'''


@pytest.mark.parametrize('rest, body', [
    ('sleep 987 & setsid sleep 987 & post invocation/$id/response well', b'well'),
    ('post invocation/$id/response well; sleep 987', b'well'),
    ('post invocation/$id/response well; next; post invocation/$id/response twice', b'well'),
    ('post invocation/$id/response well; exit 1', b'well'),
    ('trap "" TERM HUP; post invocation/$id/response well; while :; do sleep 1; done', b'well'),
])
def test_what_a_bootstrap_leaves_running_ends_with_its_call(start_for_calls, rest, body):
    runtime = start_for_calls(LEAVING % rest)
    for _ in range(2):
        assert runtime.call().body == body
        runtime.rest()


@pytest.mark.parametrize('rest, words', [
    ('next', 'the program asked for the next event instead'),
    ('kill -SEGV $$', 'the program was ended by signal 11'),
    (':', 'the program ended with status 0'),
])
def test_a_bootstrap_that_does_not_answer_is_told(start_for_calls, rest, words):
    runtime = start_for_calls(LEAVING % rest)
    for _ in range(2):
        with pytest.raises(frames.Failed) as caught:
            runtime.call()
        assert caught.value.type == 'Runtime.ExitError' and words in caught.value.message
        runtime.rest()


def test_a_bootstrap_that_fails_on_trial_says_why(start_for_calls):
    error = failure(start_for_calls(PYTHON_BOOTSTRAP, environment={'BROKEN': '1'}, is_ready=False))
    assert (error.type, error.message) == ('InitError', 'no table')


def test_a_program_in_c_that_fails_on_trial_says_why(start_for_calls, c_function):
    error = failure(start_for_calls(c_function, environment={'BROKEN': '1'}, is_ready=False))
    assert (error.type, error.message) == ('InitError', 'no table: 7')


def test_a_bootstrap_that_ends_on_trial_ends_the_instance(start_for_calls):
    runtime = start_for_calls('#!/bin/sh\nexit 7\n', is_ready=False)
    assert runtime.process.wait(10) == 7


def test_the_adapter_ends_when_the_daemon_is_gone(start_for_calls):
    idle = start_for_calls(PYTHON_BOOTSTRAP).rest()
    idle.socket.close()
    assert idle.process.wait(10) == 0
    busy = start_for_calls(LEAVING % 'sleep 987')
    busy.send()
    busy.socket.close()
    assert busy.process.wait(10) is not None


# ---- SnapStart ----

RESTORED = r'''#!/bin/sh
api=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime
[ "$AWS_LAMBDA_INITIALIZATION_TYPE" = on-demand ] || exit 5
code=$(curl -sS -o /dev/null -w '%{http_code}' "$api/restore/next")
[ "$code" = "${EXPECTED:-200}" ] || {
	curl -sS -o /dev/null "$api/restore/error" -d '{"errorType":"Hook","errorMessage":"no hook"}'
	exit 6
}
while :; do
	id=$(curl -sS -D - -o /dev/null "$api/invocation/next" | tr -d '\r' |
		sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
	curl -sS -o /dev/null "$api/invocation/$id/response" -d restored
done
'''


@pytest.mark.parametrize('isolation', ['call', 'instance'])
def test_who_waits_to_be_restored_is_so_at_once(start, isolation):
    runtime = start(RESTORED, isolation=isolation)
    assert [runtime.call().body for _ in range(2)] == [b'restored'] * 2


@pytest.mark.parametrize('isolation', ['call', 'instance'])
def test_a_hook_that_fails_when_it_is_restored_says_why(start, isolation):
    error = failure(start(RESTORED, isolation=isolation, environment={'EXPECTED': '0'},
                          is_ready=False))
    assert (error.type, error.message) == ('Hook', 'no hook')
