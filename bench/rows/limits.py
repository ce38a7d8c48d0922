# SPDX-License-Identifier: Apache-2.0
"""P16: what limits and metering cost. Nothing switches them off, so the other side is a daemon that
finds no cgroups: /sys/fs/cgroup is empty where it runs."""
from mayfly import Daemon

from rows import functions, load
from rows.table import profile_of

WITHOUT = ('unshare', '--mount', 'sh', '-c', 'mount -t tmpfs none /sys/fs/cgroup && exec "$@"', 'sh')


def run(bench):
    if not bench.is_wanted('P16'):
        return
    with Daemon(log_level='error') as metered, Daemon(log_level='error', prefix=WITHOUT) as bare:
        urls = []
        for daemon in (metered, bare):
            org = daemon.new_org()
            made = org.deploy('hello', functions.NODE, 'node', **functions.WARM)
            urls.append(functions.url_of(daemon, org, 'hello'))
            load.wrk(urls[-1], 1, 1)
        ours, theirs = load.alternate(2 * bench.rounds + 1, *[
            lambda url=url: load.wrk(url, 1, bench.seconds) for url in urls])
    bench.table.compare('P16', 'limits and metering by cgroups, against a machine without, p50',
                        load.median(ours, 'p50_us'), load.median(theirs, 'p50_us'), 'us', profile_of(made),
                        '<= 1.05', at_most=1.05)
