# SPDX-License-Identifier: Apache-2.0
"""Handlers that people really write are answered right with isolation `call`, and nearly all of
their instances are brought back instead of started anew."""
import pytest

import friendly

CALLS = 20
# What leaves a process or a thread behind may now and then not be gone in time on a busy machine.
SHARE_DISCARDED = 0.1


@pytest.mark.timeout(300)
@pytest.mark.parametrize('runtime', friendly.SOURCES)
def test_handlers_that_people_write_are_renewed(org, runtime):
    results = friendly.run(org, runtime, CALLS)
    wrong = {deed: values for deed, _, _, values in results if values}
    assert not wrong
    discarded = {deed: causes for deed, _, causes, _ in results
                 if sum(causes.values()) > SHARE_DISCARDED * CALLS}
    assert not discarded
