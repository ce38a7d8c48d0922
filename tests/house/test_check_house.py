# SPDX-License-Identifier: Apache-2.0
"""check_house finds out a tree that breaks a rule, and says where; a good tree passes."""
import pathlib
import subprocess
import sys

import pytest

TOOL = pathlib.Path(__file__).resolve().parents[2] / 'tools' / 'check_house.py'
SPDX = '/* SPDX-License-Identifier: Apache-2.0 */\n'

GOOD = {
    'src/base/buf.h': SPDX + '/*\n * buf - bytes.\n */\nvoid buf_add(void);\n',
    'src/base/buf.c': SPDX + '#include "base/buf.h"\n\nvoid\nbuf_add(void)\n{\n}\n',
    'src/base/thread.c': SPDX + '\nvoid\nthread_start(void)\n{\n\tpthread_create();\n}\n',
    'src/net/http_parse.h': SPDX + '/*\n * http_parse - heads. Fuzzed by fuzz_http.\n */\n',
    'src/net/http_parse.c': SPDX + '#include "base/buf.h"\n#include "net/http_parse.h"\n'
                            '/* mount(2) and sprintf(3) are only named here */\n'
                            'static const char text[] = "system(popen)";\n\n'
                            'int\nhttp_parse(void)\n{\n}\n\nint\nhttp_answer(void)\n{\n}\n',
    'src/sandbox/root.c': SPDX + '\nvoid\nroot_make(void)\n{\n\tmount(0);\n}\n',
    'src/store/row.c': SPDX + '\nvoid\nrow_put(void)\n{\n\tsqlite3_step(0);\n}\n',
    'src/api/api_routes.c': SPDX + 'ROUTE("GET", "/v1/orgs/{org}", org_get)\n'
                            'ROUTE(POST,\n\t"/v1/orgs", org_new)\n',
    'src/api/openapi.yaml': '# SPDX-License-Identifier: Apache-2.0\npaths:\n  /v1/orgs/{org}:\n'
                            '    get:\n      x: y\n  /v1/orgs:\n    post:\n      x: y\n'
                            'components:\n  /none:\n',
    'cli/cmd_ls.c': SPDX + '#include "net/http_parse.h"\n\nint\ncmd_ls(void)\n{\n}\n',
    'examples/hello/index.js': 'exports.handler = () => 1;\n',
    'tests/scenario/test_hello.py': '# SPDX-License-Identifier: Apache-2.0\nNAME = "hello"\n',
    'tests/unit/meson.build': "# SPDX-License-Identifier: Apache-2.0\n'test_buf'\n",
    'tests/unit/test_buf.c': SPDX + '\nstatic void\nit_adds(void **state)\n{\n}\n'
                             '\nUNIT_TESTS(it(it_adds))\n',
    'tests/fuzz/meson.build': "# SPDX-License-Identifier: Apache-2.0\n'http'\n",
    'tests/fuzz/fuzz_http.c': SPDX,
    'tests/fuzz/corpus/http/one': 'GET / HTTP/1.1 \r\n',
    'README.md': '# mayfly\n`src/base/*.c`, `tests/` and [tests](tests/scenario/)\n',
    'docs/page.md': '[home](../README.md#start), [elsewhere](https://example.org/)\n',
}

LONG = 'int\nbuf_long(void)\n{\n' + '\tx();\n' * 100 + '}\n'

# rule: (file, what stands in it, or is added to a good file behind a '+', line of the violation)
BAD = [
    ('floors', 'src/base/up.c', SPDX + '#include "net/http_parse.h"\n', 2),
    ('floors', 'src/net/aside.c', SPDX + '#include "store/row.h"\n', 2),
    ('floors', 'cli/deep.c', SPDX + '#include "base/buf.h"\n#include "domain/call.h"\n', 3),
    ('floors', 'src/attic/box.c', SPDX, 1),
    ('names', 'src/base/map.c', SPDX + '\nstatic int\nany(void)\n{\n}\n\nint\nfind_map(void)\n{\n}\n',
     9),
    ('unique', 'src/net/buf.h', SPDX + '/*\n * buf - another.\n */\n', 1),
    ('sizes', 'src/base/long.py', '# SPDX-License-Identifier: Apache-2.0\n' + 'x = 1\n' * 1000, 1001),
    ('sizes', 'src/base/buf_long.c', SPDX + LONG, 3),
    ('homes', 'src/net/escape.c', SPDX + '\nint\nescape(void)\n{\n\treturn setns(1, 2);\n}\n', 6),
    ('homes', 'src/domain/sql.c', SPDX + 'static sqlite3_stmt *row;\n', 2),
    ('homes', 'src/net/thread_pool.c', SPDX + '\nint\nthread_pool(void)\n{\n\tpthread_create(1);\n}\n',
     6),
    ('banned', 'tests/unit/unsafe.c', SPDX + '\nint\nf(void)\n{\n\tstrcpy(a, b);\n}\n', 6),
    ('spdx', 'tools/bare.py', 'import os\n', 1),
    ('spdx', 'tests/bare', '#!/bin/sh\n', 1),
    ('leftovers', 'README.md', '# mayfly\n\nTO' 'DO: say more\n', 3),
    ('spaces', 'README.md', '# mayfly\ntext \n', 2),
    ('spaces', 'README.md', '# mayfly', 1),
    ('heads', 'src/base/str.h', SPDX + '/* views */\n', 1),
    ('routes', 'src/api/api_more.c', SPDX + '\nROUTE("PUT", "/v1/orgs", org_put)\n', 3),
    ('routes', 'src/api/api_routes.c', SPDX + 'ROUTE("POST", "/v1/orgs", org_new)\n', 4),
    ('examples', 'examples/unseen/index.js', 'exports.handler = () => 2;\n', 1),
    ('docs', 'docs/page.md', 'text\n[gone](../NOWHERE.md)\n', 2),
    ('docs', 'README.md', '`src/base/none.c`\n', 1),
    ('fuzz', 'src/net/target.h', SPDX + '/*\n * target - x. Fuzzed by fuzz_target.\n */\n', 3),
    ('fuzz', 'src/net/uri_parse.h', SPDX + '/*\n * uri_parse - x.\n */\n', 1),
    ('fuzz', 'tests/fuzz/meson.build', '# SPDX-License-Identifier: Apache-2.0\n', 1),
    ('fuzz', 'tests/fuzz/corpus/http/one', None, 1),
    ('tests', 'tests/unit/test_map.c', SPDX, 1),
    ('tests', 'tests/unit/test_buf.c', SPDX + '\nstatic void\nit_adds(void **state)\n{\n}\n', 4),
]


def plant(folder, files):
    for name, text in files.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)


def check(folder, *rules):
    return subprocess.run([sys.executable, TOOL, '--root', folder, *rules], capture_output=True,
                          text=True)


def test_a_good_tree_passes(tmp_path):
    plant(tmp_path, GOOD)
    done = check(tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


@pytest.mark.parametrize('rule, name, text, line', BAD,
                         ids=[f'{rule}-{name.replace("/", ".")}' for rule, name, _, _ in BAD])
def test_a_violation_is_found_where_it_stands(tmp_path, rule, name, text, line):
    plant(tmp_path, {**GOOD, name: text})
    done = check(tmp_path)
    found = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert len(found) == 1 and f':{line}: {rule}: ' in found[0], done.stdout
    if not name.startswith('tests/fuzz') and rule != 'routes':
        assert found[0].startswith(f'{name}:{line}: ')


def test_every_rule_has_a_violation_that_is_found():
    sys.path.insert(0, str(TOOL.parent))
    import check_house
    assert {rule for rule, _, _, _ in BAD} == set(check_house.RULES)


def test_a_waiver_lets_through_and_is_found_when_nothing_needs_it(tmp_path, monkeypatch):
    sys.path.insert(0, str(TOOL.parent))
    import check_house
    plant(tmp_path, {**GOOD, 'README.md': 'a \n'})
    monkeypatch.setattr(check_house, 'WAIVERS', {('spaces', 'README.md'): 'a test'})
    assert check_house.check(tmp_path) == []
    plant(tmp_path, GOOD)
    assert [found[:3] for found in check_house.check(tmp_path)] == [('README.md', 1, 'spaces')]


def test_one_rule_can_be_asked_alone(tmp_path):
    plant(tmp_path, {**GOOD, 'README.md': 'a \n'})
    assert check(tmp_path, 'spdx').returncode == 0
    assert check(tmp_path, 'spaces').returncode == 1
    assert check(tmp_path, 'nonsense').returncode == 2
