# SPDX-License-Identifier: Apache-2.0
"""A callback URL is made to ask for what its tenant may not reach: each way to write it, each way
to get there. The daemon asks, without a sandbox around it, so what holds is where it looks."""
import json
import re
import socket

import pytest

import mayfly
import outside
from outside import HOST, OTHER
from test_request_forgery import METADATA, forms_of

ECHO = 'exports.handler = async (event) => event'


@pytest.fixture(scope='module')
def resolver():
    resolver = outside.Resolver()
    yield resolver
    resolver.close()


@pytest.fixture(scope='module')
def victim():
    with outside.Web(OTHER) as web:
        yield web
        web.shutdown()


@pytest.fixture(scope='module')
def friend(victim):
    """What the provider lists, on the victim's port."""
    with outside.Web(HOST, victim.port) as web:
        yield web
        web.shutdown()


@pytest.fixture(scope='module')
def place(resolver):
    with mayfly.Daemon(config=f'callback_private = {HOST}\n',
                       prefix=outside.resolving_by(resolver)) as daemon:
        org = daemon.new_org()
        org.deploy('echo', ECHO)
        yield org


def dead_post(org, call_id):
    """The dead letter that became of what the call told a URL."""
    def found():
        dead = org.client.get(f'{org.path}/dead-letters?function=@posts&n=1000').expect(200).json()
        return [one for one in dead['deliveries'] if call_id in one['idempotency_key']]
    [post] = mayfly.wait_until(found, f'the dead letter of {call_id}', 60)
    return post


def call_back(org, url):
    """Gives the dead letter, or 'refused' where the URL itself was."""
    answer = org.client.post(f'{org.path}/functions/echo/calls?mode=async', {},
                             headers={'X-Callback-Url': url})
    if answer.status == 400:
        return 'refused'
    return dead_post(org, answer.expect(202).call_id)


def test_a_callback_reaches_what_the_provider_lists(place, friend):
    friend.seen.clear()
    place.client.post(f'{place.path}/functions/echo/calls?mode=async', {},
                      headers={'X-Callback-Url': f'http://{HOST}:{friend.port}/back'}).expect(202)
    mayfly.wait_until(lambda: friend.seen == ['/back'], 'the callback', 30)


@pytest.mark.parametrize('address', [METADATA, '127.0.0.1', OTHER, '10.0.0.1', '0.0.0.0'])
def test_no_form_of_a_refused_address_is_reached(place, victim, address):
    victim.seen.clear()
    for form in forms_of(address):
        host = f'[{form}]' if ':' in form else form
        post = call_back(place, f'http://{host}:{victim.port}/x')
        assert post == 'refused' or (
            post['attempt_count'] == 1 and 'may not be reached' in post['message']), post
    assert not victim.seen


def test_a_name_leads_nowhere_else(place, resolver, victim, friend):
    resolver.zone['inside.test'] = [OTHER]
    resolver.zone['alias.test'] = [('CNAME', 'inside.test')]
    resolver.zone['meta.test'] = [METADATA]
    resolver.zone['six.test'] = ['::1']
    resolver.zone['mapped.test'] = ['::ffff:127.0.2.2']
    victim.seen.clear()
    for name in ('inside.test', 'alias.test', 'meta.test', 'six.test', 'mapped.test', 'localhost',
                 socket.gethostname()):
        post = call_back(place, f'http://{name}:{victim.port}/x')
        assert post['status'] is None and post['code'] == 'forbidden', post
        # Nor is it told which address a name of the provider's network has.
        assert not re.search(r'[0-9]+\.[0-9]+\.[0-9]+|::', post['message']), post
    assert not victim.seen


def test_a_name_that_changes_its_mind_is_looked_at_each_time(place, resolver, victim, friend):
    """The first answer is one that may be reached and does not listen; the second is not."""
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    with outside.Web(OTHER, port) as hidden:
        resolver.zone['both.test'] = [HOST, OTHER]
        resolver.zone['turns.test'] = lambda n: [HOST] if n == 1 else [OTHER]
        post = call_back(place, f'http://both.test:{port}/x')
        assert post['status'] is None and post['code'] == 'forbidden', post
        # What was resolved is believed for a minute: the attempts of that time find nobody.
        call_id = place.client.post(
            f'{place.path}/functions/echo/calls?mode=async', {},
            headers={'X-Callback-Url': f'http://turns.test:{port}/x'}).expect(202).call_id

        def tried():
            path = f'{place.path}/deliveries?function=@posts&n=1000'
            posts = place.client.get(path).expect(200).json()['deliveries']
            return [one for one in posts if call_id in one['idempotency_key'] and
                    (one['attempt_count'] >= 4 or one['state'] == 'dead')]
        [post] = mayfly.wait_until(tried, 'the callback is tried', 60)
        assert post['status'] is None and post['code'] in ('unavailable', 'forbidden'), post
        assert not hidden.seen
        hidden.shutdown()
    assert not victim.seen or '/x' not in victim.seen


def test_nobody_has_the_org_sign_what_he_wrote(place):
    """By route anybody has the function answer, to whom he likes: the key stands for it nowhere."""
    heads = []

    def keep(connection):
        heads.append(connection.recv(65536).decode('latin-1').lower())
        connection.sendall(b'HTTP/1.1 204 Good\r\nconnection: close\r\n\r\n')
        connection.close()
    with outside.Listener(keep) as listener:
        url = f'http://{HOST}:{listener.port}/hook'
        for headers in ({}, {'X-Mayfly-Signature': 't=1,v1=forged'}):
            place.route('POST', 'echo', body=b'{"pay": "me"}', headers={
                'X-Mayfly-Mode': 'async', 'X-Callback-Url': url, **headers}).expect(202)
        mayfly.wait_until(lambda: len(heads) == 2, 'the callbacks', 30)
        assert not [head for head in heads if '\r\nx-mayfly-signature:' in head]
        place.client.post(f'{place.path}/functions/echo/calls?mode=async', {},
                          headers={'X-Callback-Url': url}).expect(202)
        mayfly.wait_until(lambda: len(heads) == 3, 'the callback of a call with a token', 30)
        assert '\r\nx-mayfly-signature: t=' in heads[2]
        listener.shutdown()


def test_a_redirect_is_not_followed(place, victim):
    """POST is answered with a redirect to the victim."""
    def redirect(connection):
        connection.recv(65536)
        connection.sendall(f'HTTP/1.1 307 Go\r\nlocation: http://{OTHER}:{victim.port}/x\r\n'
                           'content-length: 0\r\nconnection: close\r\n\r\n'.encode())
        connection.close()
    victim.seen.clear()
    with outside.Listener(redirect) as listener:
        post = call_back(place, f'http://{HOST}:{listener.port}/')
        assert post['status'] == 307 and post['attempt_count'] == 1, post
        listener.shutdown()
    assert not victim.seen


def test_a_destination_is_held_to_the_same(place, victim):
    victim.seen.clear()
    place.deploy('tells', ECHO, queue={'on_success': [f'http://{OTHER}:{victim.port}/told']})
    answer = place.client.post(f'{place.path}/functions/tells/calls?mode=async', {}).expect(202)
    assert 'may not be reached' in dead_post(place, answer.call_id)['message']
    assert not victim.seen


def test_a_trigger_is_held_to_the_same(place, resolver, victim):
    victim.seen.clear()
    resolver.zone['inside.test'] = [OTHER]
    for n, host in enumerate((METADATA, OTHER, 'inside.test', 'localhost')):
        path = f'{place.path}/triggers/out{n}'
        place.client.put(path, {'url': f'http://{host}:{victim.port}/x'}).expect(201)
        event = {'specversion': '1.0', 'id': str(n), 'source': '/a', 'type': 'a'}
        place.client.send('POST', f'{place.path}/events', body=json.dumps(event).encode(),
                          headers={'Content-Type': 'application/cloudevents+json'}).expect(202)

        def refused():
            dead = place.client.get(f'{place.path}/dead-letters?function=@posts&n=1000').json()
            return [one for one in dead['deliveries'] if one['source'] == f'out{n}']
        [post] = mayfly.wait_until(refused, f'{host} is refused', 60)
        assert post['attempt_count'] == 1 and post['code'] == 'forbidden', post
        place.client.delete(path).expect(204)
    place.client.put(f'{place.path}/triggers/out', {'url': 'file:///etc/passwd'}).expect(400)
    place.client.put(f'{place.path}/triggers/out', {'url': 'http://u:p@a/'}).expect(400)
    assert not victim.seen
