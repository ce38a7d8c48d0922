# SPDX-License-Identifier: Apache-2.0
"""The house keeps its own rules, each a test of its own name."""
import pathlib
import subprocess
import sys

import pytest

HOUSE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(HOUSE / 'tools'))
import check_house  # noqa: E402


@pytest.mark.parametrize('rule', check_house.RULES)
def test_the_house_keeps_rule(rule):
    found = [f'{path}:{line}: {text}' for path, line, _, text in check_house.check(HOUSE, [rule])]
    assert not found, '\n' + '\n'.join(found)


def test_c_files_are_formatted():
    names = [str(file.path) for file in check_house.Tree(HOUSE).c_files('')]
    done = subprocess.run(['clang-format', '--dry-run', '--Werror', *names], cwd=HOUSE,
                          capture_output=True, text=True)
    wrong = sorted({line.split(':')[0] for line in done.stderr.splitlines() if 'error:' in line})
    assert done.returncode == 0, f'make format is due for {" ".join(wrong)}'
