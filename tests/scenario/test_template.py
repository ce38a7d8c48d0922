# SPDX-License-Identifier: Apache-2.0
"""Instances that are forked from a template: as a function sees it, they are what a boot makes."""
import time

import pytest

import mayfly

LOOK = '''
import os, random, sys, uuid
FIRST = random.random(), str(uuid.uuid4()), os.urandom(4).hex()

def handler(event, context):
    return {"argv": sys.orig_argv[-1], "env": dict(os.environ), "pid": os.getpid(), "cwd": os.getcwd(),
            "path": sys.path, "flags": str(sys.flags), "fds": sorted(os.listdir("/proc/self/fd")),
            "first": FIRST, "name": context.function_name, "version": context.function_version,
            "modules": sorted(sys.modules), "stdout": [sys.stdout.encoding, sys.stdout.errors,
            sys.stdout.line_buffering], "main": sys.argv}
'''


@pytest.fixture(scope='module')
def with_template():
    """A daemon whose template of Python is ready."""
    with mayfly.Daemon() as daemon:
        for _ in range(200):
            if 'template.ready process=spawner root=python' in daemon.log_path.read_text():
                break
            time.sleep(0.1)
        yield daemon


@pytest.fixture
def org(with_template):
    made = with_template.new_org()
    yield made
    made.delete()


def look(org, name, source=LOOK, **config):
    org.deploy(name, source, 'python', filename=None if isinstance(source, dict) else 'main.py', **config)
    return org.call(name, {}).expect(200).json()


def test_a_fork_is_what_a_boot_is(org):
    forked = look(org, 'one', isolation='instance')
    booted = look(org, 'two', isolation='instance', environment={'PYTHONNOUSERSITE': '1'})
    assert forked['argv'] == '/runtime/template.py'
    assert booted['argv'] == '/runtime/shim.py'
    assert booted['env'].pop('PYTHONNOUSERSITE') == '1'
    for env in (forked['env'], booted['env']):
        env.pop('MAYFLY_FUNCTION')
    for what in ('env', 'pid', 'cwd', 'path', 'flags', 'fds', 'version', 'stdout', 'main'):
        assert forked[what] == booted[what], what
    assert forked['name'] == 'one'


DATA = '''
with open("/proc/self/maps") as maps:
    FILES = [line.split()[-1] for line in maps if " rw-p " in line and "/" in line]

def handler(event, context):
    return FILES
'''


def test_the_data_of_a_fork_is_memory_of_no_file(org):
    forked = look(org, 'one', DATA, isolation='instance')
    booted = look(org, 'two', DATA, isolation='instance', environment={'PYTHONNOUSERSITE': '1'})
    assert any('python' in name for name in booted)
    assert not any('python3' in name and '/lib' not in name for name in forked), forked


def test_no_two_forks_begin_with_the_same_random_values(org):
    drawn = [look(org, f'one{i}', isolation='instance')['first'] for i in range(4)]
    for values in zip(*drawn):
        assert len(set(values)) == len(drawn)


@pytest.mark.parametrize('variable', ['PYTHONHASHSEED', 'LANG', 'MALLOC_ARENA_MAX', 'LD_LIBRARY_PATH'])
def test_what_counts_when_an_interpreter_begins_makes_it_boot(org, variable):
    seen = look(org, 'one', isolation='instance', environment={variable: '1'})
    assert seen['argv'] == '/runtime/shim.py'
    assert seen['env'][variable] == '1'


def test_a_time_zone_is_the_functions_own(org):
    source = 'import time\ndef handler(event, context): return time.tzname'
    assert look(org, 'one', source, environment={'TZ': 'Europe/Berlin'}) == ['CET', 'CEST']


@pytest.mark.parametrize('name', ['decimal', 'uuid', 'queue'])
def test_a_module_of_the_code_is_not_the_one_that_was_loaded_before(org, name):
    files = {'main.py': f'import {name}\ndef handler(event, context): return {name}.MINE',
             f'{name}.py': 'MINE = 1'}
    assert look(org, 'one', files) == 1


def test_threads_children_and_pools_work_in_a_fork(org):
    source = '''
import concurrent.futures, multiprocessing, subprocess, sys, threading

def square(n): return n * n

def handler(event, context):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        a = list(pool.map(square, range(4)))
    with multiprocessing.get_context("fork").Pool(2) as pool:
        b = pool.map(square, range(4))
    c = subprocess.run([sys.executable, "-c", "print(7)"], capture_output=True, text=True).stdout
    return [a, b, c, threading.main_thread() is threading.current_thread()]
'''
    assert look(org, 'one', source) == [[0, 1, 4, 9], [0, 1, 4, 9], '7\n', True]


def test_an_async_handler_runs_in_a_fork(org):
    source = '''
import asyncio
async def handler(event, context):
    await asyncio.sleep(0.01)
    return 3
'''
    assert look(org, 'one', source) == 3


def test_the_end_of_a_fork_is_told_with_its_status(org):
    org.deploy('one', 'import os\ndef handler(event, context): os._exit(9)', 'python', filename='main.py')
    answer = org.call('one', {})
    assert answer.code == 'function_exited' and 'status 9' in answer.text


def test_a_fork_that_takes_too_much_memory_is_killed_and_the_reason_known(org):
    org.deploy('one', 'def handler(event, context): return len(bytearray(500 << 20))', 'python',
               filename='main.py', limits={'memory_mib': 64})
    assert org.call('one', {}).code == 'memory_exceeded'
