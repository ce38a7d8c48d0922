# SPDX-License-Identifier: Apache-2.0
"""`mayfly event tail` and `mayfly logs -f` over a daemon that is killed and comes back."""
import json
import queue
import socket
import subprocess
import threading

import pytest

import mayfly

STRUCTURED = {'Content-Type': 'application/cloudevents+json'}
LOUD = "exports.handler = async (event) => { console.log('said ' + event); };\n"


class Follower:
    """A command that follows; its lines as they come."""

    def __init__(self, org, home, *args):
        env = {'MAYFLY_URL': f'http://{org.daemon.address}', 'MAYFLY_ORG': org.name,
               'MAYFLY_TOKEN': org.client.token, 'HOME': str(home)}
        self.process = subprocess.Popen([str(mayfly.BIN / 'mayfly'), *args], env=env, text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines, self.said = queue.Queue(), []
        for pipe, take in ((self.process.stdout, self.lines.put),
                           (self.process.stderr, self.said.append)):
            threading.Thread(target=self._read, args=(pipe, take), daemon=True).start()

    @staticmethod
    def _read(pipe, take):
        for line in pipe:
            take(line.rstrip('\n'))

    def line(self):
        return self.lines.get(timeout=60)

    def wait_said(self, text):
        return mayfly.wait_until(lambda: [line for line in self.said if text in line], text, 60)

    def close(self):
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def fixed(new_daemon):
    """A daemon that comes back where it was."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    daemon = new_daemon('--listen', f'127.0.0.1:{port}')
    daemon.address = daemon.fixed = f'127.0.0.1:{port}'
    return daemon


@pytest.fixture
def followers(tmp_path):
    made = []

    def follow(org, *args):
        made.append(Follower(org, tmp_path, *args))
        return made[-1]
    yield follow
    for follower in made:
        follower.close()


def again(org):
    org.daemon.start().address = org.daemon.fixed
    org.client = org.daemon.client(org.client.token)


def send(org, number):
    body = json.dumps({'specversion': '1.0', 'id': str(number), 'source': '/s', 'type': 't'})
    org.client.send('POST', f'{org.path}/events', body=body.encode(), headers=STRUCTURED).expect(202)


def test_a_tail_goes_on_where_it_was_when_the_daemon_comes_back(fixed, followers):
    org = fixed.new_org()
    send(org, 1)
    first = followers(org, 'event', 'tail', '--json')
    second = followers(org, 'event', 'tail', '--json', '-n', '1')
    for follower in (first, second):
        assert json.loads(follower.line())['id'] == '1'
    send(org, 2)
    for follower in (first, second):
        assert json.loads(follower.line())['id'] == '2'
    fixed.kill()
    first.wait_said('the connection was lost')
    again(org)
    for number in (3, 4):
        send(org, number)
    for follower in (first, second):
        assert [json.loads(follower.line())['id'] for _ in range(2)] == ['3', '4']
        follower.wait_said('connected again')
        assert follower.lines.empty()


def test_a_stream_begins_with_the_place_to_go_on_from(org):
    connection, response = org.client.open('GET', f'{org.path}/events?follow=true')
    lines = iter(lambda: response.readline().decode(), '')
    position = next(line for line in lines if line.startswith('id: '))[4:].strip()
    connection.close()
    send(org, 1)
    connection, response = org.client.open('GET', f'{org.path}/events?follow=true&n=0',
                                           headers={'Last-Event-ID': position})
    lines = iter(lambda: response.readline().decode(), '')
    data = next(line for line in lines if line.startswith('data: '))[6:]
    assert json.loads(data)['id'] == '1'
    connection.close()


def test_followed_logs_go_on_with_what_was_printed_meanwhile(fixed, followers):
    org = fixed.new_org()
    org.deploy('loud', LOUD)
    path = f'{org.path}/functions/loud/calls'
    for number in (1, 2):
        org.client.post(path, number).expect(200)
    follower = followers(org, 'logs', '-f', '-n', '1', 'loud')
    assert follower.line().endswith('said 2')
    org.client.post(path, 3).expect(200)
    assert follower.line().endswith('said 3')
    fixed.stop()
    follower.wait_said('the connection was lost')
    again(org)
    org.settle('loud')
    org.client.post(path, 4).expect(200)
    assert follower.line().endswith('said 4')
    follower.wait_said('connected again')
    org.client.post(path, 5).expect(200)
    assert follower.line().endswith('said 5')
    assert follower.lines.empty()


def test_who_may_not_follow_any_more_is_told_and_ends(fixed, followers):
    org = fixed.new_org()
    send(org, 1)
    tail = followers(org, 'event', 'tail')
    tail.line()
    fixed.provider().delete(org.path).expect(204)
    fixed.kill()
    again(org)
    assert tail.process.wait(60) in (3, 4)
    assert any('error' in line or 'no org' in line or 'token' in line for line in tail.said), tail.said


@pytest.mark.parametrize('args', [('event', 'tail'), ('logs', '-f', 'missing')])
def test_a_first_connection_that_is_refused_is_not_tried_again(daemon, org, followers, args):
    wrong = mayfly.Org(daemon, org.name, daemon.client('mf_' + 43 * 'x'))
    assert followers(wrong, *args).process.wait(20) == 3
    if args[0] == 'logs':
        assert followers(org, *args).process.wait(20) == 4


def test_a_daemon_that_was_never_there_is_said_at_once(org, followers):
    class Away:
        address = '127.0.0.1:1'
    away = followers(mayfly.Org(Away, org.name, org.client), 'event', 'tail')
    assert away.process.wait(20) == 6
    assert not any('again' in line for line in away.said)
