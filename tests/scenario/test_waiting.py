# SPDX-License-Identifier: Apache-2.0
"""How many clients may follow something, how many requests may wait: what is too much is refused,
named, and harms nobody; what ended gives its place back."""
import json
import threading
import time

import pytest

import mayfly

SLOW = "exports.handler = async () => { await new Promise((done) => setTimeout(done, 20000)); };\n"


@pytest.fixture(scope='module')
def narrow():
    config = 'followers = 5\nfollowers_org = 3\nwaits = 5\nwaits_org = 3\n'
    with mayfly.Daemon(config=config) as daemon:
        yield daemon


def follow(org, what='events'):
    return org.client.open('GET', f'{org.path}/{what}?follow=true')


def refused(org, path):
    answer = org.client.get(f'{org.path}/{path}').expect(429)
    assert answer.code == 'too_many_requests' and int(answer.headers['retry-after']) > 0
    return answer.json()['message']


def test_followers_of_an_org_and_of_all_have_a_most(narrow):
    org, other = narrow.new_org(), narrow.new_org()
    org.deploy('f', SLOW)
    held = [follow(org), follow(org), follow(org, 'functions/f/logs')]
    for path in ('events?follow=true', 'functions/f/logs?follow=true'):
        assert refused(org, path) == f'3 clients follow things of {org.name} already (followers_org)'
    held += [follow(other), follow(other)]
    assert all(response.status == 200 for _, response in held)
    assert refused(other, 'events?follow=true').endswith('(followers)')
    assert org.client.get(f'{org.path}/events').expect(200).json() == {'events': []}
    for connection, _ in held:
        connection.close()

    def has_room():
        connection, response = follow(org)
        connection.close()
        return response.status == 200
    mayfly.wait_until(has_room, 'places are given back')
    org.delete()
    other.delete()


def test_requests_that_wait_have_a_most_and_others_do_not_count(narrow):
    org = narrow.new_org()
    org.deploy('slow', SLOW)
    call = org.client.post(f'{org.path}/functions/slow/calls?mode=async', {}).expect(202).json()['id']
    answers = []

    # The questions below take a place too, while they are answered.
    def wait():
        client = narrow.client(org.client.token)
        answer = client.get(f'{org.path}/calls/{call}?wait=30s')
        while answer.status == 429:
            answer = client.get(f'{org.path}/calls/{call}?wait=30s')
        answers.append(answer)
    waiting = [threading.Thread(target=wait) for _ in range(3)]
    for thread in waiting:
        thread.start()

    def is_full():
        return org.client.get(f'{org.path}/calls/{call}?wait=1ms').status == 429
    mayfly.wait_until(is_full, 'three requests wait')
    assert refused(org, f'calls/{call}?wait=1s') == \
        f'3 requests wait for things of {org.name} already (waits_org)'
    for _ in range(10):
        org.client.get(f'{org.path}/calls/{call}').expect(200)
    org.client.delete(f'{org.path}/calls/{call}').expect(200)
    for thread in waiting:
        thread.join(30)
    assert [answer.json()['delivery']['state'] for answer in answers] == 3 * ['cancelled']
    org.client.get(f'{org.path}/calls/{call}?wait=1s').expect(200)
    org.delete()


def test_a_stream_ends_when_its_token_or_its_org_is_gone(narrow):
    org = narrow.new_org()
    body = {'name': 'short', 'role': 'viewer'}
    token = org.client.post(f'{org.path}/tokens', body).expect(201).json()
    mine, first = follow(org)
    theirs, second = narrow.client(token['secret']).open('GET', f'{org.path}/events?follow=true')
    org.client.delete(f"{org.path}/tokens/{token['id']}").expect(204)
    begin = time.monotonic()
    while second.readline():
        assert time.monotonic() - begin < 60
    event = {'specversion': '1.0', 'id': '1', 'source': '/s', 'type': 't'}
    org.client.send('POST', f'{org.path}/events', body=json.dumps(event).encode(),
                    headers={'Content-Type': 'application/cloudevents+json'}).expect(202)
    lines = iter(first.readline, b'')
    assert any(line.startswith(b'data: ') for line in lines)
    org.delete()
    while first.readline():
        assert time.monotonic() - begin < 120
    mine.close()
    theirs.close()
