# SPDX-License-Identifier: Apache-2.0
"""The command line, typed as its users type it, against a real daemon."""
import json
import os
import pty
import signal
import subprocess
import zipfile

import pytest

import mayfly


@pytest.fixture
def shell(daemon, org, tmp_path):
    """shell('deploy', 'hello', …) in an empty folder, as a developer of a new org."""
    env = {'MAYFLY_URL': f'http://{daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}

    def run(*args, expect=0, env_more=None, **kwargs):
        done = mayfly.run('mayfly', *args, env={**env, **(env_more or {})}, cwd=tmp_path,
                          **kwargs)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        return done
    run.env, run.folder = env, tmp_path
    return run


def test_the_first_three_commands_work_as_the_readme_types_them(shell):
    shell('init', '--runtime', 'node', 'hello')
    deployed = shell('deploy', 'hello')
    assert f"/api/org/{shell.env['MAYFLY_ORG']}/hello" in deployed.stdout
    called = shell('call', 'hello', '-d', '{"name":"Ada"}')
    assert json.loads(called.stdout) == {'hello': 'Ada'}


@pytest.mark.parametrize('runtime', ['node', 'python', 'exec'])
def test_every_starter_deploys_and_answers(shell, runtime):
    shell('init', '-r', runtime, 'first')
    shell('deploy', 'first')
    assert 'hello' in shell('call', 'first', '-d', '{"name":"Ada"}').stdout


def test_init_keeps_what_is_there(shell):
    shell('init', 'hello')
    again = shell('init', 'hello', expect=5)
    assert 'there already' in again.stderr


def test_init_names_the_rule_of_a_name(shell):
    assert 'name' in shell('init', 'No_Good', expect=2).stderr


def test_a_single_file_an_archive_and_a_folder_deploy_alike(shell):
    source = "exports.handler = async () => 'same';\n"
    (shell.folder / 'one.js').write_text(source)
    with zipfile.ZipFile(shell.folder / 'two.zip', 'w') as out:
        out.writestr('index.js', source)
    (shell.folder / 'three').mkdir()
    (shell.folder / 'three' / 'index.js').write_text(source)
    shell('deploy', '--runtime', 'node', 'one.js')
    shell('deploy', '--runtime', 'node', 'two.zip')
    shell('deploy', '--runtime', 'node', 'three')
    for name in ('one', 'two', 'three'):
        assert json.loads(shell('call', name).stdout) == 'same'


def test_flags_win_over_the_manifest(shell):
    folder = shell.folder / 'job'
    folder.mkdir()
    (folder / 'index.js').write_text('exports.handler = async () => process.env;\n')
    (folder / 'mayfly.json').write_text(json.dumps(
        {'name': 'job', 'runtime': 'node', 'environment': {'A': '1', 'B': '2'},
         'limits': {'memory_mib': 128}}))
    shell('deploy', '--env', 'B=3', '--limit', 'timeout_ms=5000', 'job')
    environment = json.loads(shell('call', 'job').stdout)
    assert (environment['A'], environment['B']) == ('1', '3')
    shown = json.loads(shell('show', 'job', '--json').stdout)
    assert shown['limits']['memory_mib'] == 128 and shown['limits']['timeout_ms'] == 5000


def test_a_failed_deploy_says_file_and_line_and_exits_7(shell):
    (shell.folder / 'broken.js').write_text('exports.handler = async () => {\n  return (;\n};\n')
    failed = shell('deploy', 'broken.js', expect=7)
    assert 'broken.js:2' in failed.stderr and 'SyntaxError' in failed.stderr


def test_a_failed_update_leaves_the_old_version_serving(shell):
    (shell.folder / 'f.js').write_text("exports.handler = async () => 'old';\n")
    shell('deploy', 'f.js')
    (shell.folder / 'f.js').write_text('exports.nothing = 1;\n')
    assert 'handler' in shell('deploy', 'f.js', expect=7).stderr
    assert json.loads(shell('call', 'f').stdout) == 'old'


def test_update_and_rollback(shell):
    for text in ('one', 'two'):
        (shell.folder / 'f.js').write_text(f"exports.handler = async () => '{text}';\n")
        shell('deploy', 'f.js')
    assert json.loads(shell('call', 'f').stdout) == 'two'
    assert 'version 1' in shell('rollback', 'f').stdout
    assert json.loads(shell('call', 'f').stdout) == 'one'
    shell('rollback', 'f', '2')
    assert json.loads(shell('call', 'f').stdout) == 'two'
    assert shell('rollback', 'f', '9', expect=4).stderr


def test_a_failing_call_exits_7_with_the_functions_words(shell):
    (shell.folder / 'bad.js').write_text(
        "exports.handler = async () => { throw new Error('my own words'); };\n")
    shell('deploy', 'bad.js')
    failed = shell('call', 'bad', expect=7)
    assert 'my own words' in failed.stderr and failed.stdout == ''


def test_an_answer_of_500_that_the_function_chose_is_an_answer(shell):
    (shell.folder / 'chose.js').write_text(
        "exports.handler = async () => ({ statusCode: 500, body: 'chosen' });\n")
    shell('deploy', 'chose.js')
    assert 'chosen' in shell('call', '-X', 'GET', 'chose').stdout


def test_call_verbose_tells_what_it_used(shell):
    shell('init', 'hello')
    shell('deploy', 'hello')
    told = shell('call', '-v', 'hello').stderr
    assert 'wall' in told and 'CPU' in told and 'call 01' in told


def test_logs_show_what_was_printed_and_follow_goes_on(shell):
    (shell.folder / 'loud.js').write_text(
        "exports.handler = async (event) => { console.log('said ' + event); };\n")
    shell('deploy', 'loud.js')
    shell('call', 'loud', '-d', '"first"')
    assert 'said first' in shell('logs', 'loud').stdout
    follower = subprocess.Popen([str(mayfly.BIN / 'mayfly'), 'logs', '-f', 'loud'],
                                env={**os.environ, **shell.env}, stdout=subprocess.PIPE, text=True)
    try:
        assert 'said first' in follower.stdout.readline()
        shell('call', 'loud', '-d', '"second"')
        assert 'said second' in follower.stdout.readline()
    finally:
        follower.send_signal(signal.SIGINT)
        follower.wait(10)


def test_calls_lists_shows_and_filters(shell):
    (shell.folder / 'mixed.js').write_text(
        "exports.handler = async (event) => { if (event) throw new Error('x'); return 1; };\n")
    shell('deploy', 'mixed.js')
    shell('call', 'mixed')
    shell('call', 'mixed', '-d', 'true', expect=7)
    every = json.loads(shell('calls', 'mixed', '--json').stdout)
    failed = json.loads(shell('calls', 'mixed', '--failed', '--json').stdout)
    assert len(every) == 2 and len(failed) == 1
    assert failed[0]['code'] == 'function_error'
    assert 'Error: x' in shell('calls', 'show', failed[0]['id']).stdout
    assert 'function_error' in shell('calls', '--code', 'function_error', 'mixed').stdout


def test_calls_finds_one_that_runs_and_cancels_it(shell):
    (shell.folder / 'stuck.js').write_text("exports.handler = () => new Promise(() => {});\n")
    shell('deploy', 'stuck.js')
    caller = subprocess.Popen([str(mayfly.BIN / 'mayfly'), 'call', 'stuck'], env=shell.env,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    row = mayfly.wait_until(lambda: shell('calls', 'stuck').stdout.splitlines()[1:],
                            'the call to be listed')[0].split()
    call_id = row[0]
    assert row[1] == 'stuck' and row[3] == 'direct' and row[4] in ('running', 'waiting'), row
    assert call_id in shell('calls', 'show', call_id).stdout
    shell('calls', 'cancel', call_id)
    assert 'cancelled' in caller.communicate(timeout=30)[1]
    assert caller.returncode == 1
    mayfly.wait_until(lambda: 'cancelled' in shell('calls', 'stuck').stdout, 'its record')


def test_a_durable_call_is_made_waited_for_and_cancelled(shell):
    (shell.folder / 'gives.js').write_text("exports.handler = async (event) => ({ got: event });\n")
    shell('deploy', 'gives.js')
    done = shell('call', 'gives', '--async', '--wait', '30s', '-d', '{"a":1}', '--order-key', 'k',
                 '--idempotency-key', 'x')
    assert json.loads(done.stdout) == {'got': {'a': 1}}
    call_id = shell('call', 'gives', '--async', '--idempotency-key', 'x').stdout.strip()
    assert f'durable call {call_id}: done' in shell('calls', 'show', call_id).stdout
    late = shell('call', 'gives', '--async', '--delay', '600').stdout.strip()
    row = next(line.split() for line in shell('queue').stdout.splitlines() if 'gives' in line)
    assert row[:4] == ['gives', '1', '0', '0'], row
    shell('calls', 'cancel', late)
    for flags in (['--wait', 'soon'], ['--callback', 'ftp://x/'], ['--delay', '-1']):
        shell('call', 'gives', '--async', *flags, expect=2)
    asked = json.loads(shell('call', 'gives', '--async', '--json').stdout)
    assert asked['state'] == 'queued' and len(asked['id']) == 26
    assert len(shell('org', 'callback-key').stdout.strip()) == 64


def test_dead_letters_on_the_command_line(shell):
    (shell.folder / 'dies.js').write_text(
        "exports.handler = async () => { console.log('hm'); throw new Error('no') };\n")
    (shell.folder / 'mayfly.json').write_text(json.dumps(
        {'name': 'dies', 'runtime': 'node', 'handler': 'dies.handler', 'queue': {'attempts': 1}}))
    shell('deploy', '.')
    for data in ('1', '2'):
        shell('call', 'dies', '--async', '--wait', '30s', '-d', data, expect=7)
    ids = [one['id'] for one in json.loads(shell('dead', 'ls', '--json').stdout)]
    assert len(ids) == 2 and ids[0] in shell('dead', 'dies').stdout
    shown = shell('dead', 'show', ids[0]).stdout
    assert 'attempt 1' in shown and 'out hm' in shown and 'payload: 2' in shown
    again = shell('dead', 'redrive', ids[0]).stdout.strip()
    assert again != ids[0]
    assert shell('dead', 'redrive', '--all', '--version', '1').stdout.split()[0] in ('1', '2')
    shell('dead', 'redrive', expect=2)
    shell('dead', 'show', ids[0], expect=4)
    mayfly.wait_until(lambda: len(json.loads(shell('dead', 'ls', '--json').stdout)) == 2,
                      'they are dead again', 30)
    left = json.loads(shell('dead', 'ls', '--json').stdout)[0]['id']
    shell('dead', 'purge', left)
    assert shell('dead', 'purge', '--all').stdout == '1 deleted\n'


def on_terminal(shell, *args):
    """What a terminal gets that is stdout and stderr of a command."""
    ours, its = pty.openpty()
    env = {'PATH': os.environ['PATH'], **shell.env}
    with subprocess.Popen([str(mayfly.BIN / 'mayfly'), *args], env=env, cwd=shell.folder,
                          stdin=subprocess.DEVNULL, stdout=its, stderr=its):
        os.close(its)
        shown = b''
        try:
            while more := os.read(ours, 65536):
                shown += more
        except OSError:  # its last holder has closed it
            pass
        finally:
            os.close(ours)
    return shown.decode().replace('\r\n', '\n')


def in_a_pipe(shell, *args):
    done = subprocess.run([str(mayfly.BIN / 'mayfly'), *args], stdin=subprocess.DEVNULL,
                          env={'PATH': os.environ['PATH'], **shell.env}, cwd=shell.folder,
                          capture_output=True, timeout=60)
    return (done.stdout + done.stderr).decode()


NASTY = '\x1b]0;owned\x07\r\x9b31m\u202eend'
SHOWN = r'\x1b]0;owned\x07\x0d\u009b31m\u202eend'


def test_what_tenants_wrote_does_not_move_an_operators_terminal(shell):
    (shell.folder / 'nasty.js').write_text(
        f'const said = {json.dumps(NASTY)};\n'
        'exports.handler = async () => { console.log(said); throw new Error(said) };\n')
    (shell.folder / 'mayfly.json').write_text(json.dumps(
        {'name': 'nasty', 'runtime': 'node', 'handler': 'nasty.handler', 'queue': {'attempts': 1}}))
    shell('deploy', '.')
    shell('call', 'nasty', '--async', '--wait', '30s', '-d', json.dumps(NASTY), expect=7)
    dead = json.loads(shell('dead', 'ls', '--json').stdout)[0]
    commands = [('dead', 'show', dead['id']), ('calls', 'show', dead['id']), ('logs', 'nasty'),
                ('call', 'nasty')]
    for command in commands:
        shown = on_terminal(shell, *command)
        assert SHOWN in shown, (command, shown)
        assert not set(shown) & set('\x1b\x07\r\x9b\u202e'), (command, shown)
        assert '\x9b31m\u202eend' in in_a_pipe(shell, *command), command
    assert '\x9b31m\u202eend' in on_terminal(shell, 'dead', 'show', dead['id'], '--json')


def test_what_callers_wrote_does_not_either(shell):
    (shell.folder / 'echo.js').write_text('exports.handler = async (event) => event;\n')
    shell('deploy', 'echo.js')
    call = ('call', 'echo', '-d', json.dumps(NASTY + ' µs 日本 ' * 3000))
    piped = in_a_pipe(shell, *call)
    assert '\x9b31m\u202eend' + ' µs 日本 ' * 3000 in piped
    shown = piped.replace('\x9b', r'\u009b').replace('\u202e', r'\u202e')
    assert on_terminal(shell, *call).strip() == shown.strip()
    shown = on_terminal(shell, 'x\x1b[2J')
    assert r"'x\x1b[2J'" in shown and '\x1b' not in shown


def test_ls_rm_and_not_found(shell):
    shell('init', 'hello')
    shell('deploy', 'hello')
    assert shell('ls', '--names').stdout == 'hello\n'
    assert 'ready' in shell('ls').stdout
    shell('rm', 'hello')
    assert shell('ls', '--names').stdout == ''
    shell('show', 'hello', expect=4)
    shell('call', 'hello', expect=4)


def test_tokens_are_made_used_and_revoked(shell):
    made = shell('token', 'create', '--role', 'viewer', 'eyes')
    secret = made.stdout.strip()
    assert secret.startswith('mf_')
    shell('ls', env_more={'MAYFLY_TOKEN': secret})
    shell('init', 'hello')
    shell('deploy', 'hello', expect=3, env_more={'MAYFLY_TOKEN': secret})
    listed = shell('token').stdout
    assert 'eyes' in listed and secret not in listed
    token = [one for one in json.loads(shell('token', '--json').stdout) if one['name'] == 'eyes']
    shell('token', 'rm', token[0]['id'])
    shell('ls', expect=3, env_more={'MAYFLY_TOKEN': secret})


def test_orgs_are_the_providers(shell, daemon):
    provider = {'MAYFLY_TOKEN': daemon.token()}
    shell('org', 'create', 'cli-made', env_more=provider)
    assert 'cli-made' in shell('org', env_more=provider).stdout
    shell('org', 'create', 'cli-made', expect=5, env_more=provider)
    shell('org', 'create', 'another', expect=3)
    shell('org', 'rm', 'cli-made', env_more=provider)


def test_runtimes_and_version(shell):
    names = [one['name'] for one in json.loads(shell('runtimes', '--json').stdout)]
    assert any(name.startswith('node') for name in names)
    assert any(name.startswith('python3.') for name in names)
    assert {'exec', 'native'} <= set(names)
    version = json.loads(shell('version', '--json').stdout)
    assert version['version'] == version['daemon']


def test_every_command_has_help_and_every_json_is_one_document(shell):
    overview = shell('help').stdout.partition('Options of every command')[0]
    commands = [line.split()[0] for line in overview.splitlines() if line.startswith('  ')]
    assert {'serve', 'init', 'deploy', 'ls', 'show', 'call', 'logs', 'calls', 'rollback', 'rm',
            'org', 'token', 'runtimes', 'doctor', 'version', 'completion'} <= set(commands)
    for command in commands:
        assert f'usage: mayfly {command}' in shell('help', command).stdout, command
    for command in ('ls', 'runtimes', 'version', 'token', 'calls'):
        json.loads(shell(command, '--json').stdout)


def test_wrong_use_is_2_and_names_the_way_out(shell):
    assert '--help' in shell('deploy', expect=2).stderr
    assert '--help' in shell('deploy', '--bogus', 'x', expect=2).stderr
    assert 'help' in shell('nonsense', expect=2).stderr


def test_no_daemon_is_said_with_its_address(shell):
    away = shell('ls', expect=6, env_more={'MAYFLY_URL': 'http://127.0.0.1:9'})
    assert '127.0.0.1:9' in away.stderr


def test_a_token_of_this_machine_stays_on_it(shell, daemon):
    """The bootstrap token is used for a daemon on this machine only."""
    env = {'MAYFLY_TOKEN': '', 'MAYFLY_DATA_DIR': str(daemon.data_dir)}
    shell('ls', env_more=env)
    shell('ls', expect=3, env_more={**env, 'MAYFLY_DATA_DIR': '/nonexistent'})


@pytest.mark.parametrize('name', ['bash', 'zsh', 'fish'])
def test_completion_is_a_script_of_that_shell(shell, name):
    script = shell('completion', name).stdout
    assert 'deploy' in script and 'mayfly ls --names' in script
    if name == 'bash':
        checked = subprocess.run(['bash', '-c', script + '\nCOMP_WORDS=(mayfly dep) COMP_CWORD=1\n'
                                  '_mayfly; echo "${COMPREPLY[@]}"'],
                                 capture_output=True, text=True)
        assert checked.stdout.split() == ['deploy'], checked


def test_the_doctor_speaks_without_a_daemon(shell):
    findings = json.loads(mayfly.run('mayfly', 'doctor', '--json').stdout)
    assert all(finding['why'] for finding in findings)
    assert {'seccomp', 'namespace.user'} <= {finding['name'] for finding in findings}
