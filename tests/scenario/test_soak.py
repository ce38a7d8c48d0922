# SPDX-License-Identifier: Apache-2.0
"""The soak in small: no call of a mix is wrong, on any runtime and mechanism, and nothing stays.

`bench/soak.py --calls 200000` is the same at length.
"""
import json
import subprocess
import sys

import pytest

import mayfly

CALLS = {'rollback': 200, 'fork': 150, 'once': 30}
# AddressSanitizer keeps what was freed for a while.
GROWTH_KIB = 4096 if b'libasan.so' not in (mayfly.BIN / 'mayfly-daemon').read_bytes() else 65536
IMPOSSIBLE = {('node', 'fork')}  # its threads do not come along


@pytest.mark.timeout(300)
@pytest.mark.parametrize('mechanism', list(CALLS))
@pytest.mark.parametrize('runtime', ['node', 'python', 'native', 'exec'])
def test_no_call_is_wrong_and_nothing_stays(runtime, mechanism):
    done = subprocess.run(
        [sys.executable, '-B', str(mayfly.HOUSE / 'bench' / 'soak.py'), '--json',
         '--calls', str(CALLS[mechanism]), '--only', f'{runtime}/{mechanism}'],
        stdout=subprocess.PIPE, text=True)
    row, = json.loads(done.stdout)
    if (runtime, mechanism) in IMPOSSIBLE:
        assert row['calls'] == 0 and 'threads' in row['why']
        return
    assert row['calls'] == CALLS[mechanism], row
    assert row['wrong'] == 0, row
    discarded = row['renewals']['discarded']
    if mechanism == 'once':
        assert discarded['once'] >= CALLS[mechanism]
    else:
        assert row['renewals']['renewed'] >= CALLS[mechanism] * 0.9, row
    for name, before in row['before'].items():
        assert row['after'][name]['private_kib'] < before['private_kib'] + GROWTH_KIB, row
