#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""friendly - handlers that people really write, and what becomes of their instances.

    tests/scenario/friendly.py [calls of each]       prints the table of docs/isolation.md

Each deed of friendly/ is called again and again with isolation `call`; after each call its instance
is renewed, or discarded for a cause that is counted.
"""
import pathlib
import sys

import mayfly

HERE = pathlib.Path(__file__).parent / 'friendly'
SOURCES = {'node': HERE / 'index.js', 'python': HERE / 'main.py'}
LIMITS = {'memory_mib': 384, 'processes': 100, 'timeout_ms': 10000, 'tmp_mib': 32}


def deploy(org, runtime, mechanism='rollback'):
    """A function of them all; gives its name and its deeds."""
    name = f'friendly-{runtime}'
    org.deploy(name, {SOURCES[runtime].name: SOURCES[runtime].read_text()}, runtime, max_instances=1,
               mechanism=mechanism, limits=LIMITS)
    return name, org.call(name, {}).expect(200).json()


def renewals(org, name, n_calls):
    """(renewed, {cause: discarded}) when all calls so far are counted."""
    def counted():
        got = org.client.get(f'{org.path}/functions/{name}').expect(200).json()['renewals']
        return got if got['renewed'] + sum(got['discarded'].values()) >= n_calls else None
    got = mayfly.wait_until(counted, f'{n_calls} calls are counted', wait_s=30)
    return got['renewed'], dict(got['discarded'])


def call(org, name, deed):
    answer = org.call(name, {'do': deed})
    assert answer.status == 200, (deed, answer)
    return answer.json()


def run(org, runtime, n):
    """For each deed (name, renewed, {cause: discarded}, values that were not the first)."""
    name, deeds = deploy(org, runtime)
    n_calls, results = 1, []
    before = renewals(org, name, n_calls)
    for deed in deeds:
        values = [call(org, name, deed) for _ in range(n)]
        n_calls += n
        after = renewals(org, name, n_calls)
        causes = {cause: count - before[1].get(cause, 0) for cause, count in after[1].items()}
        results.append((deed, after[0] - before[0], {c: k for c, k in causes.items() if k},
                        [value for value in values if value != values[0]]))
        before = after
    return results


def main():
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print('| runtime | what the handler does | renewed | discarded | because |\n|---|---|---|---|---|')
    with mayfly.Daemon(log_level='warn') as daemon:
        for runtime in SOURCES:
            for deed, renewed, causes, wrong in run(daemon.new_org(), runtime, n):
                because = ', '.join(f'{cause} {count}' for cause, count in sorted(causes.items()))
                print(f'| {runtime} | {deed} | {renewed} | {sum(causes.values())} | {because} |'
                      + (f' {len(wrong)} WRONG' if wrong else ''), flush=True)


if __name__ == '__main__':
    main()
