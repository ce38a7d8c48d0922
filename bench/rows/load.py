# SPDX-License-Identifier: Apache-2.0
"""load - what makes requests, and what is made of the figures."""
import json
import re
import statistics
import subprocess

from mayfly import BIN

CONNECTIONS = 64


def program(name):
    return next(path for path in (BIN.parent / 'bench' / name, BIN / name) if path.exists())


def to_us(text):
    number, unit = re.fullmatch(r'([\d.]+)(us|ms|s)', text).groups()
    return float(number) * {'us': 1, 'ms': 1e3, 's': 1e6}[unit]


def wrk(url, connections, seconds):
    """Closed loop; gives {'req_s', 'p50_us', 'p99_us'}; an error answer ends the row."""
    out = subprocess.run(['wrk', '-t1', f'-c{connections}', f'-d{seconds}s', '--latency', url],
                         capture_output=True, text=True, check=True).stdout
    if 'Non-2xx' in out or 'Socket errors' in out:
        raise RuntimeError(f'{url} answered with errors: {" ".join(out.split())}')
    return {'req_s': float(re.search(r'Requests/sec:\s*([\d.]+)', out)[1]),
            'p50_us': to_us(re.search(r'^ +50% +(\S+)', out, re.M)[1]),
            'p99_us': to_us(re.search(r'^ +99% +(\S+)', out, re.M)[1])}


def start_pace(url, rate, seconds):
    """Open loop, in the background; end_pace() gives its figures."""
    host, port, path = re.fullmatch(r'http://([^:]+):(\d+)(/.*)', url).groups()
    return subprocess.Popen([str(program('pace')), host, port, path, str(rate), str(seconds)],
                            stdout=subprocess.PIPE, text=True)


def end_pace(child):
    figures = json.loads(child.communicate()[0])
    if figures['errors']:
        raise RuntimeError(f'answered with errors: {figures}')
    return figures


def pace(url, rate, seconds):
    return end_pace(start_pace(url, rate, seconds))


def alternate(rounds, *sides):
    """Runs each side once a round, in turn; gives the list of results of each."""
    results = [[] for _ in sides]
    for _ in range(rounds):
        for i, side in enumerate(sides):
            results[i].append(side())
    return results


def median(results, key=None):
    return statistics.median(result[key] if key else result for result in results)


def share(values, part):
    """The value below which this part of them lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]
