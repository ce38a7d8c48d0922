# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the scenario tests.

daemon       one for the session, shared: for tests that harm only what they made in their org
new_daemon   new_daemon('--grace', '1s', config='…') starts one for this test, with what it needs
org          a new org on the shared daemon, deleted behind the test
provider     a client of the shared daemon that may do everything
"""
import pytest

import leaks
import mayfly


def pytest_sessionstart(session):
    leaks.adopt_orphans()


@pytest.fixture(scope='session')
def daemon():
    shared = mayfly.Daemon()
    try:
        yield shared.start()
    finally:
        shared.close()
        leaks.check_no_orphans(5)


@pytest.fixture
def new_daemon(request):
    made = []

    def make(*args, is_started=True, **kwargs):
        one = mayfly.Daemon(*args, **kwargs)
        made.append(one)
        return one.start() if is_started else one
    yield make
    report = getattr(request.node, 'report_of_call', None)
    for one in made:
        if report is None or report.failed:
            one.show_log()
        one.close()


@pytest.fixture
def org(request, daemon):
    made = daemon.new_org()
    yield made
    report = getattr(request.node, 'report_of_call', None)
    if report is None or report.failed:
        daemon.show_log()
    if daemon.process.poll() is None:
        made.delete()


@pytest.fixture
def provider(daemon):
    return daemon.provider()


@pytest.hookimpl(tryfirst=True, hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == 'call':
        item.report_of_call = outcome.get_result()
