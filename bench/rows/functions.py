# SPDX-License-Identifier: Apache-2.0
"""functions - what is measured, and how it is deployed."""
import subprocess
import tempfile
import time

import mayfly
from mayfly import BIN, HOUSE

NODE = "exports.handler = async () => ({ statusCode: 200, body: 'hello, world\\n' });\n"
PYTHON = "def handler(event, context):\n    return {'statusCode': 200, 'body': 'hello, world\\n'}\n"
NATIVE = """
#include <mayfly.h>
static int hello(struct mf_request *request, struct mf_answer *answer, void *arg)
{
	(void)request, (void)arg;
	mf_print(answer, "hello, world\\n");
	return 0;
}
int main(void) { return mf_serve(hello, NULL); }
"""
WARM = {'isolation': 'instance', 'max_instances': 1}


def native():
    library = next(path for place in (BIN, BIN.parent) for path in place.rglob('libmayfly.a'))
    with tempfile.TemporaryDirectory() as folder:
        (mayfly.pathlib.Path(folder) / 'hello.c').write_text(NATIVE)
        subprocess.run(['cc', '-O2', '-static', f'-I{HOUSE / "include"}', '-o', f'{folder}/bootstrap',
                        f'{folder}/hello.c', str(library)], check=True)
        return {'bootstrap': ((mayfly.pathlib.Path(folder) / 'bootstrap').read_bytes(), 0o755)}


def source(runtime):
    return {'node': NODE, 'python': PYTHON}.get(runtime) or native()


def url_of(daemon, org, name):
    return f'http://{daemon.address}/api/org/{org.name}/{name}'


def function_of(org, name):
    return org.client.get(f'{org.path}/functions/{name}').expect(200).json()


def n_instances(daemon):
    return sum(value for key, value in daemon.metrics().items() if key.startswith('mayfly_instances{'))


def wait_for_none(daemon, wait_s=120):
    """Until no function has an instance."""
    end = time.monotonic() + wait_s
    while n_instances(daemon):
        if time.monotonic() > end:
            raise RuntimeError('instances do not end')
        time.sleep(0.05)


def timed_call(org, name):
    """Microseconds of one call by route, over a connection that is there already."""
    start = time.perf_counter()
    org.client.send('GET', f'/api/org/{org.name}/{name}').expect(200)
    return (time.perf_counter() - start) * 1e6
