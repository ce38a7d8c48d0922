# SPDX-License-Identifier: Apache-2.0
"""Every route of the REST API with each role, without a token, and of another org."""
import re

import pytest

import contract

ULID = '01J9ZZ3N9V0M0Q4T7Y1C2B3D4E'
ROLES = ['viewer', 'invoker', 'developer', 'admin']


RIGHTS = {'read': 0, 'call': 1, 'write': 2, 'tokens': 3, 'provider': 9}


def right_of(operation):
    return re.search(r'Right: (\w+)', operation.get('description', '') or '')[1]


GUARDED = [(method, path, right_of(operation)) for method, path, operation in contract.operations()
           if operation.get('security') != []]


def fill(path, org):
    names = {'org': org, 'function': 'f', 'version': '1',
             'trigger': 't', 'schedule': 's', 'call': ULID, 'token': ULID}
    return re.sub(r'{(\w+)}', lambda found: names[found[1]], path)


@pytest.fixture(scope='module')
def two_orgs(daemon):
    first, second = daemon.new_org(), daemon.new_org()
    clients = {role: first.client_of(role) for role in ROLES}
    yield first, second, clients
    first.delete()
    second.delete()


@pytest.mark.parametrize('method, path, right', GUARDED)
def test_a_route_without_a_token_is_401(daemon, two_orgs, method, path, right):
    daemon.client().send(method, fill(path, two_orgs[0].name)).expect(401)


@pytest.mark.parametrize('method, path, right',
                         [row for row in GUARDED if '{org}' in row[1]])
def test_a_route_of_another_org_is_404_for_every_role(two_orgs, method, path, right):
    first, second, clients = two_orgs
    for role in ROLES:
        there = clients[role].send(method, fill(path, second.name)).expect(404)
        nowhere = clients[role].send(method, fill(path, 'no-such-org')).expect(404)
        assert there.json()['message'].replace(second.name, '') == \
            nowhere.json()['message'].replace('no-such-org', ''), 'they can be told apart'


@pytest.mark.parametrize('method, path, right', GUARDED)
def test_a_route_is_open_to_the_roles_that_have_its_right(two_orgs, method, path, right):
    first, _, clients = two_orgs
    for level, role in enumerate(ROLES):
        answer = clients[role].send(method, fill(path, first.name))
        is_allowed = level >= RIGHTS[right]
        assert (answer.status == 403) == (not is_allowed), f'{role}: {answer}'
        if not is_allowed:
            assert answer.code == 'forbidden'
