# SPDX-License-Identifier: Apache-2.0
"""Every example is deployed as it is, with the command line, and answers what its README says."""
import json
import shutil
import subprocess

import pytest

import mayfly
import registry
import registry

EXAMPLES = mayfly.HOUSE / 'examples'


def deploy_by_cli(org, tmp_path, name):
    env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
           'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}
    done = mayfly.run('mayfly', 'deploy', str(tmp_path / name), env=env, timeout=180)
    assert done.returncode == 0, done.stderr
    return org


@pytest.fixture
def deploy(org, tmp_path):
    def run(name):
        folder = tmp_path / name
        shutil.copytree(EXAMPLES / name, folder)
        if (folder / 'Makefile').exists():
            library = next(mayfly.BIN.parent.rglob('libmayfly.a')).parent
            subprocess.run(['make', '-C', str(folder), f'CPPFLAGS=-I{mayfly.HOUSE / "include"}',
                            f'LDFLAGS=-L{library}'], check=True, capture_output=True)
        return deploy_by_cli(org, tmp_path, name)
    return run


@pytest.mark.parametrize('name', ['hello-node', 'hello-python', 'hello-native'])
def test_hello_answers_at_its_route(deploy, name):
    answer = deploy(name).route('GET', f'{name}?name=Ada').expect(200)
    assert 'Ada' in answer.text


def test_hello_exec_answers_with_what_it_read(deploy):
    assert 'Ada' in deploy('hello-exec').route('POST', 'hello-exec', b'Ada').expect(200).text


def test_greet_npm_uses_its_dependency(deploy):
    deploy('greet-npm').route('GET', 'greet-npm').expect(200)


def test_greet_pip_uses_its_dependency(new_daemon, tmp_path):
    """The index is the test's own, and so is the package: only its interface is the real one's."""
    idna = registry.wheel('idna', '3.10', {
        'idna/__init__.py': "def encode(text):\n    return text.encode('idna')\n\n\n"
                            "def decode(text):\n    return text\n"})
    shutil.copytree(EXAMPLES / 'greet-pip', tmp_path / 'greet-pip')
    with registry.Index({'idna': [idna]}) as index:
        org = deploy_by_cli(new_daemon('--pip-index', index.url).new_org(), tmp_path, 'greet-pip')
        org.route('GET', 'greet-pip').expect(200)


def test_greet_pip_uses_its_dependency(new_daemon, tmp_path):
    idna = registry.wheel('idna', '3.10', {
        'idna/__init__.py': "def encode(name):\n    return name.encode('punycode')\n"})
    with registry.Index({'idna': [idna]}) as index:
        daemon = new_daemon('--pip-index', index.url)
        org = daemon.new_org()
        env = {'MAYFLY_URL': f'http://{daemon.address}', 'MAYFLY_ORG': org.name,
               'MAYFLY_TOKEN': org.client.token, 'HOME': str(tmp_path)}
        done = mayfly.run('mayfly', 'deploy', str(EXAMPLES / 'greet-pip'), env=env, timeout=180)
        assert done.returncode == 0, done.stderr
        assert org.route('GET', 'greet-pip').expect(200).json()['on_the_wire']


def test_stream_node_streams(deploy):
    answer = deploy('stream-node').route('GET', 'stream-node').expect(200)
    assert 'content-length' not in answer.headers and answer.body


def test_binary_python_gives_bytes(deploy):
    answer = deploy('binary-python').route('GET', 'binary-python').expect(200)
    assert answer.body[:1] not in (b'{', b'"')


def test_tag_vm_reacts_to_the_events_of_its_trigger(deploy, org, tmp_path):
    deploy('tag-vm')
    path = f'{org.path}/triggers/on-vm-created'
    wish = json.loads((tmp_path / 'tag-vm' / 'trigger.json').read_text())
    org.client.put(path, wish).expect(201)
    for type_, source in (('com.acme.vm.created', '/cloud'), ('com.acme.vm.deleted', '/cloud'),
                          ('com.acme.vm.created', '/test/1')):
        event = {'specversion': '1.0', 'id': type_, 'source': source, 'type': type_,
                 'subject': 'vm-1', 'data': {'name': 'vm-1', 'owner': 'ada', 'tags': ['a']}}
        org.client.post(f'{org.path}/events', event, headers={
            'Content-Type': 'application/cloudevents+json'}).expect(202)

    def tagged():
        events = org.client.get(f'{org.path}/events').json()['events']
        return [one for one in events if one['type'] == 'com.acme.vm.tagged']
    event = mayfly.wait_until(tagged, 'the machine is tagged', 30)[0]
    assert event['source'] == '/functions/tag-vm'
    assert 'owner:ada' in json.dumps(event['data'])
    assert org.client.get(path).json()['figures']['matched'] == 1


def test_every_example_has_a_manifest_and_a_readme():
    for folder in EXAMPLES.iterdir():
        manifest = json.loads((folder / 'mayfly.json').read_text())
        assert manifest['name'] == folder.name
        assert (folder / 'README.md').read_text().startswith('# ')
