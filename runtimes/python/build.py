# SPDX-License-Identifier: Apache-2.0
"""build - installs a function's Python dependencies, in a sandbox of its own.

    python3 /runtime/build.py <folder that has pip> [source [build]]

The source is read-only at /source; pip installs into /build/deps, through the proxy that reaches
the configured index only; /runtime/mayfly-pack writes the result as a tar to descriptor 4. What
pip says goes to stderr, and its exit status is ours.
"""
import compileall
import os
import py_compile
import subprocess
import sys

PROXY = os.environ.get("MAYFLY_PROXY", "http://127.0.0.1:3128")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
PIP = "import runpy, sys; sys.path.append(sys.argv.pop(1)); sys.argv[0] = 'pip'; " \
      "runpy.run_module('pip', run_name='__main__')"


def environment():
    env = {
        "PATH": os.path.dirname(sys.executable) + ":/usr/local/bin:/usr/bin:/bin",
        "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "CI": "1",
        "HTTP_PROXY": PROXY, "HTTPS_PROXY": PROXY, "http_proxy": PROXY, "https_proxy": PROXY,
        "PIP_CACHE_DIR": "/tmp/pip", "PIP_CONFIG_FILE": os.devnull, "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_PROGRESS_BAR": "off", "PIP_NO_COLOR": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
    }
    if os.path.exists(CERTIFICATES):
        env["PIP_CERT"] = CERTIFICATES
    index = os.environ.get("MAYFLY_INDEX")
    if index:
        env["PIP_INDEX_URL"] = index
        if index.startswith("http://"):
            env["PIP_TRUSTED_HOST"] = index.split("/")[2].rpartition("@")[2]
    return {name: value for name, value in env.items() if value}


def run(command, **more):
    status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False, **more).returncode
    if status < 0:
        sys.stderr.write("%s was ended by signal %d\n" % (os.path.basename(command[0]), -status))
    if status:
        sys.exit(status if status > 0 else 1)


def compile_all(folder):
    """Compiled files that are taken without a look at times, which a tar does not keep."""
    compileall.compile_dir(folder, quiet=2, workers=1,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


def main():
    given = sys.argv[1:]
    pip, source, build = given + ["/source", "/build"][len(given) - 1:]
    deps = os.path.join(build, "deps")
    requirements = os.path.join(source, "requirements.txt")
    os.makedirs(deps, exist_ok=True)
    if os.path.exists(requirements):
        run([sys.executable, "-s", "-c", PIP, pip, "install", "--target", deps, "--no-compile",
             "--no-warn-script-location", "--quiet", "-r", requirements],
            cwd=source, env=environment())
    compile_all(deps)
    here = os.path.dirname(os.path.abspath(__file__))
    run([os.environ.get("MAYFLY_PACK") or os.path.join(here, "mayfly-pack"), deps],
        env={}, pass_fds=(4,))


if __name__ == "__main__":
    main()
