# SPDX-License-Identifier: Apache-2.0
"""The malformed matrix once more, at the route of a function on the real daemon."""
import os
import pathlib
import subprocess
import sys


def test_the_whole_matrix_holds_at_the_route_of_a_function(daemon, org):
    org.deploy('edge', "exports.handler = async () => 'here';\n", concurrency=16,
               isolation='instance')
    edge = pathlib.Path(__file__).with_name('test_http_edge.py')
    url = f'http://{daemon.address}/api/org/{org.name}/edge'
    done = subprocess.run([sys.executable, '-B', '-m', 'pytest', '-p', 'no:cacheprovider', '-q',
                           '-k', 'matrix', '--tb=line', str(edge)],
                          env={**os.environ, 'MAYFLY_EDGE_URL': url}, capture_output=True,
                          text=True, timeout=150)
    assert done.returncode == 0, done.stdout[-4000:]
    assert ' passed' in done.stdout and 'skipped' not in done.stdout, done.stdout[-500:]
    org.route('GET', 'edge').expect(200)
