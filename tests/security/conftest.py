# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the scenario tests serve here too."""
import importlib.util
import pathlib
import sys

SCENARIO = pathlib.Path(__file__).resolve().parents[1] / 'scenario'
sys.path.insert(0, str(SCENARIO))
spec = importlib.util.spec_from_file_location('scenario_conftest', SCENARIO / 'conftest.py')
scenario = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scenario)

daemon, new_daemon, org, provider = (scenario.daemon, scenario.new_daemon, scenario.org,
                                     scenario.provider)
pytest_sessionstart = scenario.pytest_sessionstart
pytest_runtest_makereport = scenario.pytest_runtest_makereport
