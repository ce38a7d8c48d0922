/* SPDX-License-Identifier: Apache-2.0 */
/*
 * daemon - the one place that knows everybody: makes the rooms in order and ends them in order.
 *
 *	 as root      lock ─▶ machine examined ─▶ runtime roots ─▶ listeners, TLS ─▶ spawner
 *	 unprivileged loop ─▶ store ─▶ domain ─▶ api ─▶ http server ─▶ ready
 *
 *	 READY ──SIGTERM, SIGINT──▶ DRAINING ──▶ STOPPING ──calls in flight answered, or grace
 *over──▶ │   /readyz 503            listeners closed        records flushed ──▶ ended, exit code 0
 *	   ├──spawner lost──▶ STOPPING, exit code 1
 *	   └──a second signal──▶ ended at once, exit code 1 (the spawner cleans up)
 *
 * SIGHUP reads the TLS certificate again. The loop thread is the main thread.
 */
#ifndef MAYFLY_DAEMON_DAEMON_H
#define MAYFLY_DAEMON_DAEMON_H

#include "daemon/config.h"

/* Runs until it is stopped; gives the exit code. The error is logged. */
int daemon_main(const struct config *config);

#endif
