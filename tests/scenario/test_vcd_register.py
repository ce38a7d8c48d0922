# SPDX-License-Identifier: Apache-2.0
"""`mayfly vcd` against a cell that is played (vcd_cell.py, vcd_admin.py), over HTTP and HTTPS."""
import http.client
import json
import os
import pty
import re
import ssl
import subprocess
import uuid

import pytest

import mayfly
import rabbitmq
import vcd_admin
import vcd_cell

USER, PASSWORD = 'administrator@System', 'a "secret": <ü&>'
UUID = str(uuid.uuid4())
ECHO = '''exports.handler = async (event) => ({ statusCode: 201, body: event.rawPath })'''
NAMESPACE = 'org.mayfly.faas'


@pytest.fixture(scope='module')
def broker():
    with rabbitmq.Broker() as one:
        yield one


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp('cell')


@pytest.fixture(scope='module')
def cells(broker, folder):
    _, server = vcd_admin.certificate(folder)
    with vcd_cell.Cell(broker, 30) as plain, vcd_cell.Cell(broker, 30, server) as secure:
        for cell in (plain, secure):
            cell.context['org'] = f'urn:vcloud:org:{UUID}'
        yield {'http': plain, 'https': secure}


def fresh(cell):
    """The cell as if nobody had been there."""
    cell.admin, base = vcd_admin.Admin(), cell.admin.base
    cell.admin.base, cell.admin.users[USER] = base, PASSWORD
    return cell


@pytest.fixture
def cell(cells):
    return fresh(cells['http'])


@pytest.fixture(scope='module')
def front(broker, cells):
    """A daemon behind the cells, and an org `acme` in it."""
    config = '\n'.join([
        f'amqp_url = {broker.url}', f'amqp_password_file = {broker.password_file}',
        'vcd_exchange = vcdext', f'vcd_orgs = {UUID}=acme, PSCoE=acme', ''])
    with mayfly.Daemon(config=config) as daemon:
        org = daemon.new_org('acme')
        org.deploy('echo', ECHO)
        org.deploy('meta', ECHO, route='metadata/mine')
        vcd_cell.wait_for_consumer(broker, 'mayfly')
        yield org


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / 'password'
    path.write_text(PASSWORD + '\r\nnot this line\n')
    return path


@pytest.fixture
def vcd(cell, password_file, folder):
    """vcd('register', '--function', …): the command, as the administrator of the cell."""
    def run(*args, expect=0, url=None, user=USER, env=None, password=password_file, **kwargs):
        more = ['--password-file', password] if password else []
        done = mayfly.run('mayfly', 'vcd', *args, '--url', url or cell.url, '--user', user,
                          '--ca', folder / 'ca.pem', *more, env=env, **kwargs)
        assert done.returncode == expect, (done.returncode, done.stdout, done.stderr)
        for text in (done.stdout, done.stderr):
            assert PASSWORD not in text
        return done
    return run


def ask(cell, path, method='GET'):
    if cell.url.startswith('https'):
        context = ssl._create_unverified_context()
        connection = http.client.HTTPSConnection('localhost', cell.port, context=context)
    else:
        connection = http.client.HTTPConnection('127.0.0.1', cell.port, timeout=60)
    connection.request(method, path)
    response = connection.getresponse()
    answer = mayfly.Answer(response.status, response.getheaders(), response.read())
    connection.close()
    return answer


def only(cell):
    assert len(cell.admin.services) == 1
    return cell.admin.services[0]


# ---- from nothing to an answered request ----

@pytest.mark.parametrize('scheme', ['http', 'https'])
@pytest.mark.parametrize('version', ['31.0', '36.3'])
def test_a_registered_function_answers_and_an_unregistered_one_does_not(
        cells, front, vcd, scheme, version):
    cell = fresh(cells[scheme])
    cell.admin.versions = (version,)
    ask(cell, '/api/org/pscoe/echo').expect(404)
    made = vcd('register', '--function', 'pscoe/echo', '--function', f'{UUID}/echo', url=cell.url)
    assert 'registered mayfly' in made.stdout and '/api/org/pscoe/echo(/.*)?: added' in made.stdout
    assert ask(cell, '/api/org/pscoe/echo').expect(201).text == '/api/org/pscoe/echo'
    assert ask(cell, f'/api/org/{UUID}/echo/more', 'POST').expect(201)
    assert ask(cell, f'/api/org/{UUID}').expect(200).text == '<Org/>'
    ask(cell, '/api/org/pscoe/echoes').expect(404)
    shown = json.loads(vcd('status', '--json', url=cell.url).stdout)
    assert shown == {
        'name': 'mayfly', 'namespace': NAMESPACE, 'enabled': True, 'authorization': False,
        'exchange': 'vcdext', 'routing_key': 'mayfly', 'priority': 50,
        'filters': ['/api/org/pscoe/echo(/.*)?', f'/api/org/{UUID}/echo(/.*)?']}
    assert 'unregistered mayfly' in vcd('unregister', url=cell.url).stdout
    ask(cell, '/api/org/pscoe/echo').expect(404)
    assert cell.admin.services == [] and cell.admin.sessions == {}
    vcd('status', url=cell.url, expect=4)
    vcd('unregister', url=cell.url, expect=4)
    assert cell.admin.sessions == {}


def test_all_functions_of_an_org_are_taken_from_the_daemon(cell, front, vcd):
    env = {'MAYFLY_URL': f'http://{front.daemon.address}', 'MAYFLY_TOKEN': front.client.token}
    done = vcd('register', '--functions', '--org', 'acme', env=env)
    assert only(cell).patterns == ['/api/org/[^/]+/echo(/.*)?']
    assert 'meta is left out' in done.stderr
    for org in ('acme', 'PSCoE', UUID, f'urn:vcloud:org:{UUID}'):
        ask(cell, f'/api/org/{org}/echo').expect(201)
    ask(cell, f'/api/org/{UUID}').expect(200)


# ---- again ----

def test_registering_again_changes_nothing(cell, vcd):
    vcd('register', '--function', 'acme/a', '--filter', '/api/x')
    before = dict(only(cell).filters)
    again = vcd('register', '--function', 'acme/a', '--filter', '/api/x')
    assert again.stdout.count('there already') == 2 and 'added' not in again.stdout
    assert only(cell).filters == before
    asked = [method for method, *_ in cell.admin.seen]
    assert 'PUT' not in asked
    assert asked.count('POST') == 3      # two logins and the service


def test_what_is_missing_is_added_and_what_is_not_named_is_kept(cell, vcd):
    vcd('register', '--function', 'acme/a')
    done = json.loads(vcd('register', '--function', 'acme/b', '--json').stdout)
    assert done['created'] is False and done['changed'] == []
    assert done['added'] == ['/api/org/acme/b(/.*)?']
    assert done['kept'] == ['/api/org/acme/a(/.*)?'] and done['removed'] == []
    assert sorted(only(cell).patterns) == ['/api/org/acme/a(/.*)?', '/api/org/acme/b(/.*)?']


def test_prune_removes_what_is_not_named(cell, vcd):
    vcd('register', '--function', 'acme/a', '--function', 'acme/b')
    assert '--prune' in vcd('register', '--function', 'acme/b').stdout
    done = vcd('register', '--function', 'acme/b', '--prune')
    assert '/api/org/acme/a(/.*)?: removed' in done.stdout
    assert only(cell).patterns == ['/api/org/acme/b(/.*)?']


def test_a_service_that_was_changed_becomes_as_wished(cell, vcd):
    vcd('register', '--function', 'acme/a')
    only(cell).is_enabled = False
    filters = dict(only(cell).filters)
    done = json.loads(vcd('register', '--function', 'acme/a', '--exchange', 'other',
                          '--routing-key', 'key', '--priority', '100', '--authorization',
                          '--json').stdout)
    assert done['changed'] == ['enabled', 'authorization', 'exchange', 'routing_key', 'priority']
    service = only(cell)
    assert (service.is_enabled, service.is_authorized, service.exchange, service.routing_key,
            service.priority, service.filters) == (True, True, 'other', 'key', 100, filters)


def test_more_filters_than_a_page_holds_are_all_known(cell, vcd):
    named = [part for number in range(300) for part in ('--function', f'acme/f{number}')]
    vcd('register', *named)
    done = json.loads(vcd('register', *named, '--json').stdout)
    assert len(done['there']) == 300 and done['added'] == done['kept'] == []
    assert len(json.loads(vcd('status', '--json').stdout)['filters']) == 300


# ---- what belongs to others ----

def test_the_service_of_somebody_else_is_not_touched(cell, vcd):
    vcd('register', '--name', 'theirs', '--function', 'acme/a')
    vcd('register', '--namespace', 'org.other', '--function', 'acme/z')
    before = [dict(one.__dict__, filters=dict(one.filters)) for one in cell.admin.services]
    for done in (vcd('register', '--function', 'acme/b', '--prune', expect=5),
                 vcd('unregister', expect=5)):
        assert "'theirs'" in done.stderr and NAMESPACE in done.stderr
    assert [one.__dict__ for one in cell.admin.services] == before
    vcd('unregister', '--name', 'theirs')
    assert only(cell).namespace == 'org.other'
    assert cell.admin.sessions == {}


def test_what_vcloud_director_has_itself_is_taken_by_a_filter_only(cell, vcd):
    refused = vcd('register', '--function', '*/metadata', expect=5)
    assert '/api/org/{id}/metadata' in refused.stderr and cell.admin.seen == []
    vcd('register', '--filter', '/api/org/[^/]+/metadata')


# ---- what is put into XML ----

def test_names_may_hold_what_means_something_in_xml(cell, vcd):
    name, exchange, key = 'a<b>&amp;"c\'', ']]>&x;', '<!-- ü 🦋'
    pattern = '/api/(a|<b>)&"\'[^/]{1,2}\\.'
    vcd('register', '--name', name, '--exchange', exchange, '--routing-key', key,
        '--filter', pattern)
    service = only(cell)
    assert (service.name, service.exchange, service.routing_key) == (name, exchange, key)
    assert service.patterns == [pattern]
    shown = json.loads(vcd('status', '--json').stdout)
    assert (shown['name'], shown['exchange'], shown['routing_key']) == (name, exchange, key)
    assert shown['filters'] == [pattern]
    assert 'there already' in vcd('register', '--name', name, '--exchange', exchange,
                                  '--routing-key', key, '--filter', pattern).stdout
    vcd('unregister', '--name', name)


@pytest.mark.parametrize('flags, field', [
    (['--namespace', 'a b'], '--namespace'), (['--namespace', '1a'], '--namespace'),
    (['--namespace', 'a..b'], '--namespace'), (['--name', ''], '--name'),
    (['--name', 'a\x01'], '--name'), (['--priority', '101'], '--priority'),
    (['--priority', '-1'], '--priority'), (['--exchange', 'x' * 256], '--exchange'),
    (['--filter', ''], '--filter'), (['--filter', 'a\nb'], '--filter'),
    (['--filter', 'x' * 1025], '--filter'), (['--function', 'hello'], '--function'),
    (['--function', 'a/.*'], '--function'), (['--version', '36'], '--version'),
    (['--user', 'administrator'], '--user'), (['--url', 'vcd.example'], '--url'),
    (['--url', 'http://vcd.example'], '--url'), (['--url', 'http://127.evil.example'], '--url'),
    (['--url', 'https://vcd.example/api'], '--url'), (['--url', 'https://a:b@vcd'], '--url')])
def test_what_breaks_a_rule_is_named_and_nothing_is_asked(cell, password_file, flags, field):
    done = mayfly.run('mayfly', 'vcd', 'register', '--url', cell.url, '--user', USER,
                      '--password-file', password_file, '--function', 'acme/a', *flags)
    assert done.returncode == 2 and field in done.stderr, done
    assert cell.admin.seen == []


def test_without_a_filter_nothing_is_registered(cell, vcd):
    assert '--function' in vcd('register', expect=2).stderr
    vcd('register', '--functions', expect=6, env={'MAYFLY_URL': 'http://127.0.0.1:1'})
    vcd('nonsense', expect=2)
    assert cell.admin.seen == []


# ---- who may ----

def test_a_wrong_password_names_the_user(cell, vcd, tmp_path):
    (tmp_path / 'wrong').write_text('not the one')
    for version in ('31.0', '36.3'):
        done = vcd('status', '--version', version, password=tmp_path / 'wrong', expect=3)
        assert USER in done.stderr and 'not the one' not in done.stderr
    assert cell.admin.sessions == {}


@pytest.mark.parametrize('user', ['auditor@System', 'ada@acme'])
def test_a_user_without_the_right_is_told(cell, vcd, tmp_path, user):
    (tmp_path / 'theirs').write_text(cell.admin.users[user])
    done = vcd('register', '--function', 'a/b', '--version', '31.0', user=user,
               password=tmp_path / 'theirs', expect=3)
    assert f'{user} may not' in done.stderr
    assert cell.admin.services == [] and cell.admin.sessions == {}


def test_the_password_comes_from_the_environment_too(cell, vcd):
    vcd('register', '--function', 'a/b', password=None, env={'MAYFLY_VCD_PASSWORD': PASSWORD})
    only(cell)


def test_the_password_is_typed_without_echo(cell):
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [mayfly.BIN / 'mayfly', 'vcd', 'register', '--url', cell.url, '--user', USER,
         '--function', 'a/b'], stdin=inside, stdout=inside, stderr=inside,
        env={'PATH': '/usr/bin:/bin', 'HOME': '/nonexistent'})
    os.close(inside)
    seen = b''
    while b'password of administrator@System: ' not in seen:
        seen += os.read(terminal, 4096)
    os.write(terminal, PASSWORD.encode() + b'\n')
    while b'added' not in seen:
        seen += os.read(terminal, 4096)
    assert process.wait(30) == 0
    os.close(terminal)
    assert b'secret' not in seen
    only(cell)


def test_without_a_password_it_says_where_it_looks(cell, vcd, tmp_path):
    done = vcd('status', password=None, expect=2, stdin=subprocess.DEVNULL)
    assert 'MAYFLY_VCD_PASSWORD' in done.stderr
    (tmp_path / 'empty').write_text('\n')
    assert 'no password' in vcd('status', password=tmp_path / 'empty', expect=2).stderr
    vcd('status', password=tmp_path / 'absent', expect=4)


# ---- which version ----

@pytest.mark.parametrize('offered, spoken', [
    (('31.0', '32.0'), '32.0'), (('36.3', '37.2'), '37.2'), (('38.1', '39.0'), '38.1'),
    (('39.1', '40.0'), '39.1')])
def test_the_version_is_one_that_is_offered(cell, vcd, offered, spoken):
    cell.admin.versions = offered
    vcd('register', '--function', 'a/b')
    accepts = {headers['accept'].rpartition('=')[2] for _, path, headers in cell.admin.seen
               if path != '/api/versions'}
    assert accepts == {spoken}
    legacy = any('x-vcloud-authorization' in headers for *_, headers in cell.admin.seen)
    assert legacy == (spoken == '32.0') and cell.admin.sessions == {}


def test_a_version_that_is_not_offered_is_named(cell, vcd):
    done = vcd('status', '--version', '99.0', expect=2)
    assert 'version 99.0' in done.stderr and '--version' in done.stderr


# ---- hosts and certificates ----

def test_a_certificate_that_is_not_trusted_is_refused(cells, password_file, folder):
    cell = fresh(cells['https'])

    def status(*flags, url=cell.url):
        return mayfly.run('mayfly', 'vcd', 'status', '--url', url, '--user', USER,
                          '--password-file', password_file, *flags)
    assert status('--ca', folder / 'ca.pem').returncode == 4
    asked = len(cell.admin.seen)
    for done in (status(), status('--ca', folder / 'ca.pem',
                                  url=f'https://127.0.0.1:{cell.port}')):
        assert done.returncode == 1 and 'certificate is not trusted' in done.stderr, done
    done = status('--ca', '/nonexistent')
    assert done.returncode == 2 and '/nonexistent' in done.stderr, done
    assert len(cell.admin.seen) == asked


def test_a_password_goes_to_no_proxy_in_the_clear(vcd):
    vcd('status', env={'http_proxy': 'http://127.0.0.1:1'}, expect=4)


def test_a_host_that_is_not_there_is_named(vcd):
    done = vcd('status', url='http://127.0.0.1:1', expect=6)
    assert 'http://127.0.0.1:1' in done.stderr


# ---- answers that are not vCloud Director's ----

ENTITY = '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>'
RESULT = f'<QueryResultRecords xmlns="{vcd_admin.VCLOUD}" total="%s">%s</QueryResultRecords>'
RECORD = f'<AdminServiceRecord name="mayfly" namespace="{NAMESPACE}" %s/>'
HOSTILE = {
    'huge': ('x' * (5 << 20), 1), 'empty': ('', 1), 'html': ('<html>hello</html>', 1),
    'broken': ('<QueryResultRecords', 1), 'entity': (ENTITY + RESULT % (0, '&b;'), 1),
    'no total': (RESULT % ('', ''), 1), 'negative': (RESULT % (-1, ''), 1),
    'deep': ('<a>' * 5000 + '</a>' * 5000, 1), 'latin1': ('<a>\xff</a>', 1),
    'endless': (RESULT % (10 ** 18, ''), 4), 'json': ('{"total": 1}', 1),
    'no address': (RESULT % (1, RECORD % ''), 1),
    'climbing': (RESULT % (1, RECORD % 'href="/api/../../etc/passwd"'), 1),
}


@pytest.mark.parametrize('what', HOSTILE)
def test_an_answer_that_is_none_is_refused_and_the_session_ended(cell, vcd, what):
    body, code = HOSTILE[what]

    def instead(_method, path):
        return (200, {}, body.encode('latin-1')) if path.endswith('/query') else None
    cell.admin.instead = instead
    done = vcd('unregister', expect=code)
    assert len(done.stderr) < 400 and 'root:' not in done.stderr
    assert cell.admin.sessions == {}


@pytest.mark.parametrize('status, code', [(302, 1), (400, 2), (409, 5), (429, 6), (500, 6)])
def test_an_error_is_told_without_what_moves_a_cursor(cell, vcd, status, code):
    says = f'<Error xmlns="{vcd_admin.VCLOUD}" message="over there &#155;[2J {"x" * 500}"/>'

    def instead(_method, path):
        return (status, {'Location': 'http://127.0.0.1:1/'}, says.encode()) \
            if path.endswith('/query') else None
    cell.admin.instead = instead
    done = vcd('status', expect=code)
    assert f'status {status}: over there  [2J xxx' in done.stderr and len(done.stderr) < 400
    assert cell.admin.sessions == {}


def test_an_address_elsewhere_is_not_followed(cell, vcd):
    vcd('register', '--function', 'a/b')
    cell.admin.base = 'http://127.0.0.1:1'
    vcd('status')
    vcd('unregister')
    assert cell.admin.services == []


@pytest.mark.parametrize('answer', [
    (200, {}, b''), (200, {}, b'{"id": 7}'), (404, {}, b'<html>'), (500, {}, b'\xff' * 1000)])
def test_a_login_that_gives_no_token_fails(cell, vcd, answer):
    cell.admin.instead = lambda _, path: answer if 'session' in path else None
    done = vcd('status', expect={404: 4, 500: 6}.get(answer[0], 1))
    assert 'logging in' in done.stderr


def test_a_session_that_cannot_be_ended_is_said_and_no_more(cell, vcd):
    vcd('register', '--function', 'a/b')
    cell.admin.instead = lambda method, path: \
        (500, {}, b'') if method == 'DELETE' and '/sessions/' in path else None
    assert 'session was not ended' in vcd('status').stderr


def test_versions_that_are_none_are_refused(cell, vcd):
    for body in (b'', b'<a/>', b'x' * (5 << 20)):
        cell.admin.instead = lambda _, path, body=body: (200, {}, body)
        assert re.search('versions|more than', vcd('status', expect=1).stderr)
    assert cell.admin.sessions == {}
