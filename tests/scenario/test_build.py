# SPDX-License-Identifier: Apache-2.0
"""Dependencies: installed in a sandboxed build, from the configured registries only, and cached.

npm's packages come from the real registry; Python's from a small index of the test (registry.py).
"""
import json

import pytest

import registry

NODE = "exports.handler = async () => require('is-number')('7');\n"
PACKAGE = json.dumps({'name': 'f', 'version': '1.0.0', 'dependencies': {'is-number': '7.0.0'}})
NOUN = registry.wheel('mynoun', '1.2.0', {'mynoun/__init__.py': "WORD = 'installed'\n"})
PYTHON = 'import mynoun\ndef handler(event, context):\n    return mynoun.WORD\n'


@pytest.fixture(scope='module')
def index():
    with registry.Index({'mynoun': [NOUN]}) as one:
        yield one


@pytest.fixture
def with_index(new_daemon, index):
    return new_daemon('--pip-index', index.url)


def test_npm_dependencies_are_installed(org):
    org.deploy('npm', {'index.js': NODE, 'package.json': PACKAGE})
    assert org.call('npm').expect(200).json() is True


def test_pip_dependencies_are_installed_and_cached_by_their_list(with_index, index):
    org = with_index.new_org()
    files = {'main.py': PYTHON, 'requirements.txt': 'mynoun==1.2.0\n'}
    org.deploy('pip', files, 'python')
    assert org.call('pip').expect(200).json() == 'installed'
    n_asked = len(index.asked)
    assert n_asked > 0
    org.deploy('pip', {**files, 'main.py': PYTHON + '# another version\n'}, 'python')
    assert len(index.asked) == n_asked, 'the same requirements were installed again'
    other = with_index.new_org()
    other.deploy('pip', files, 'python')
    assert len(index.asked) > n_asked, 'a cache was shared between organisations'


def test_a_dependency_that_is_not_there_fails_with_the_installers_words(with_index):
    org = with_index.new_org()
    function = org.deploy('none', {'main.py': PYTHON, 'requirements.txt': 'no-such-noun==9\n'},
                          'python', is_ready=False)
    latest = function['latest']
    assert latest['state'] == 'failed'
    assert 'no-such-noun' in latest['build_log'] + latest['reason']


def test_a_dependency_that_npm_does_not_know_fails_with_its_words(org):
    package = json.dumps({'dependencies': {'is-number': '999.0.0'}})
    function = org.deploy('npm-none', {'index.js': NODE, 'package.json': package}, is_ready=False)
    latest = function['latest']
    assert latest['state'] == 'failed'
    assert '999.0.0' in latest['build_log'] + latest['reason']


def test_a_build_reaches_nothing_but_the_registries(new_daemon, index):
    with registry.Index({}) as elsewhere:
        daemon = new_daemon('--pip-index', index.url)
        org = daemon.new_org()
        requirements = f'--extra-index-url {elsewhere.url}\nmynoun==1.2.0\nother==1\n'
        function = org.deploy('away', {'main.py': PYTHON, 'requirements.txt': requirements},
                              'python', is_ready=False)
        assert function['latest']['state'] == 'failed'
        assert elsewhere.asked == []
        host = elsewhere.url.split('/')[2]
        assert host in function['latest']['reason'] + function['latest']['build_log']


SCRIPT = json.dumps({'name': 'f', 'version': '1.0.0', 'dependencies': {'is-number': '7.0.0'},
                     'scripts': {'install': 'node mischief.js'}})


def build_with_script(org, name, mischief):
    files = {'index.js': NODE, 'package.json': SCRIPT, 'mischief.js': mischief}
    return org.deploy(name, files, is_ready=False)['latest']


def test_an_install_script_runs_in_a_sandbox(org):
    spy = """
const fs = require('fs'), http = require('http');
const seen = { shadow: fs.existsSync('/etc/shadow'), uid: process.getuid(),
  caps: /CapEff:\\s*(\\w+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1],
  pids: fs.readdirSync('/proc').filter((name) => /^[0-9]+$/.test(name)).length };
const got = http.get('http://169.254.169.254/', () => { seen.net = true; report(); });
got.on('error', (error) => { seen.net = error.code; report(); });
function report() { console.error('SEEN ' + JSON.stringify(seen)); process.exit(1); }
"""
    latest = build_with_script(org, 'spy', spy)
    line = next(line for line in latest['build_log'].splitlines() if 'SEEN {' in line)
    seen = json.loads(line[line.index('{'):])
    assert seen['shadow'] is False and seen['uid'] != 0 and int(seen['caps'], 16) == 0
    assert seen['pids'] < 20 and seen['net'] is not True


def test_a_build_that_hangs_is_ended_in_its_time(new_daemon):
    daemon = new_daemon('--build-time', '8s')
    latest = build_with_script(daemon.new_org(), 'hang', 'setInterval(() => {}, 1000);\n')
    assert latest['state'] == 'failed' and 'time' in latest['reason'] or '8 s' in latest['reason']


def test_a_build_that_fills_its_disk_fails_and_says_so(new_daemon):
    daemon = new_daemon('--build-bytes', '64MiB')
    fill = "const fs = require('fs'); const fd = fs.openSync('fill', 'w'); " \
           "for (;;) fs.writeSync(fd, Buffer.alloc(1 << 20, 1));\n"
    latest = build_with_script(daemon.new_org(), 'fill', fill)
    assert latest['state'] == 'failed'
    assert 'ENOSPC' in latest['build_log'] + latest['reason'] or 'space' in latest['reason']


def test_a_build_that_eats_memory_fails_and_says_so(new_daemon):
    daemon = new_daemon('--build-memory', '300MiB')
    eat = 'const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));\n'
    latest = build_with_script(daemon.new_org(), 'eat', eat)
    assert latest['state'] == 'failed' and 'MiB' in latest['reason']


def test_a_source_that_brings_its_modules_needs_no_build(org):
    files = {'index.js': NODE, 'package.json': PACKAGE,
             'node_modules/is-number/index.js': "module.exports = () => 'brought along';\n",
             'node_modules/is-number/package.json': '{"name":"is-number","version":"7.0.0"}'}
    org.deploy('brought', files)
    assert org.call('brought').expect(200).json() == 'brought along'
