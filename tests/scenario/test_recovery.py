# SPDX-License-Identifier: Apache-2.0
"""What was acknowledged is there after kill -9 at any moment, and nothing of the dead stays."""
import os
import random
import signal
import threading
import time

import pytest

NODE = "exports.handler = async () => '%s';\n"


def same_data(new_daemon, before):
    return new_daemon(data_dir=before.data_dir)


@pytest.fixture
def first(new_daemon):
    return new_daemon()


def reopen(daemon, org):
    """The same org, with the token that it had, on the daemon that came after."""
    org.daemon = daemon
    org.client = daemon.client(org.client.token)
    return org


def test_a_restart_brings_every_function_back_to_its_state(first, new_daemon):
    org = first.new_org()
    org.deploy('ready', NODE % 'back')
    org.deploy('python', "def handler(event, context):\n    return 'snake'\n", 'python')
    org.deploy('failed', "throw new Error('why');\n", is_ready=False)
    org.deploy('rolled', NODE % 'one')
    org.deploy('rolled', NODE % 'two')
    org.client.post(f'{org.path}/functions/rolled/rollback', {'version': 1}).expect(200)

    def functions():
        """Without what is of the process that serves them, and not of the store."""
        found = org.client.get(f'{org.path}/functions').json()['functions']
        return [{key: value for key, value in function.items()
                 if key not in ('instances', 'renewals', 'start_failure')} for function in found]
    before = functions()
    assert first.stop() == 0
    org = reopen(same_data(new_daemon, first), org)
    assert before == functions()
    assert org.route('GET', 'ready').expect(200).text == 'back'
    assert org.route('GET', 'python').expect(200).text == 'snake'
    assert org.route('GET', 'rolled').expect(200).text == 'one'
    assert 'why' in org.route('GET', 'failed').expect(502).json()['message']


def test_calls_and_logs_of_before_are_there_after_a_stop(first, new_daemon):
    org = first.new_org()
    org.deploy('loud', "exports.handler = async () => console.log('kept words');\n")
    call_id = org.route('GET', 'loud').expect(200).call_id
    first.stop()
    org = reopen(same_data(new_daemon, first), org)
    assert org.record(call_id)['code'] == 'ok'
    assert 'kept words' in org.logs_of(call_id)


def test_a_version_that_was_being_made_ready_is_made_ready_again(first, new_daemon):
    org = first.new_org()
    slow = "const end = Date.now() + 1500; while (Date.now() < end);\n" + NODE % 'in the end'
    org.put('slow', slow).expect(201)
    time.sleep(0.3)
    first.kill()
    org = reopen(same_data(new_daemon, first), org)
    assert org.settle('slow')['state'] == 'ready'
    assert org.route('GET', 'slow').expect(200).text == 'in the end'


def test_kill_9_at_random_moments_loses_nothing_that_was_acknowledged(new_daemon):
    daemon = new_daemon()
    org = daemon.new_org()
    acknowledged, deleted = {}, set()
    chance = random.Random(7)
    for turn in range(6):
        stop_at = time.monotonic() + chance.uniform(0.05, 0.8)
        killer = threading.Timer(stop_at - time.monotonic(), daemon.process.kill)
        killer.start()
        n = 0
        try:
            while True:
                name = f'f{turn}-{n}'
                answer = org.put(name, NODE % name)
                if answer.status == 201:
                    acknowledged[name] = NODE % name
                if n % 5 == 4:
                    victim = f'f{turn}-{n - 1}'
                    # From here on it may be gone or there: it is neither until it is answered.
                    acknowledged.pop(victim, None)
                    if org.client.delete(f'{org.path}/functions/{victim}').status == 204:
                        deleted.add(victim)
                n += 1
        except OSError:
            pass
        except Exception as error:  # http.client breaks off in several ways
            assert 'RemoteDisconnected' in repr(error) or 'BadStatus' in repr(error) \
                or 'Incomplete' in repr(error), error
        killer.join()
        daemon.process.wait(30)
        daemon.check_nothing_left()
        daemon = same_data(new_daemon, daemon)
        org = reopen(daemon, org)
        names = {one['name'] for one in
                 org.client.get(f'{org.path}/functions').expect(200).json()['functions']}
        assert set(acknowledged) <= names
        assert not deleted & names
    assert len(acknowledged) > 5
    for name in chance.sample(sorted(acknowledged), 3):
        assert org.settle(name)['state'] == 'ready'
        assert org.route('GET', name).expect(200).text == name


def test_kill_9_of_the_daemon_leaves_no_process_cgroup_or_mount(first):
    org = first.new_org()
    org.deploy('busy', "exports.handler = () => new Promise(() => {});\n")
    callers = [threading.Thread(target=lambda: quiet(org.route, 'GET', 'busy')) for _ in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(0.5)
    first.kill()
    for caller in callers:
        caller.join()


def quiet(call, *args):
    try:
        call(*args)
    except Exception:  # the daemon is killed under this call on purpose
        pass


def test_loss_of_the_spawner_ends_the_daemon_and_the_next_start_sweeps(first, new_daemon):
    org = first.new_org()
    org.deploy('f', NODE % 'x')
    children = open(f'/proc/{first.process.pid}/task/{first.process.pid}/children').read().split()
    spawners = [int(pid) for pid in children
                if 'mayfly-spawner' in open(f'/proc/{pid}/cmdline').read()]
    assert len(spawners) == 1, children

    os.kill(spawners[0], signal.SIGKILL)
    assert first.wait(30) != 0
    assert 'spawner' in first.log()
    # What only the dead spawner could remove is removed by the next one of the same cgroup parent.
    again = new_daemon(data_dir=first.data_dir, is_started=False)
    again.tag = first.tag
    assert again.start().stop() == 0


def test_a_graceful_stop_lets_calls_finish(first):
    org = first.new_org()
    org.deploy('slow', "exports.handler = async () => { await new Promise((ok) => "
               "setTimeout(ok, 1200)); return 'finished'; };\n")
    got = {}
    caller = threading.Thread(target=lambda: got.update(answer=org.route('GET', 'slow')))
    caller.start()
    time.sleep(0.4)
    assert first.stop() == 0
    caller.join()
    assert got['answer'].expect(200).text == 'finished'
