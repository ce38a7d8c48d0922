/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop - the event loop: a libuv loop with a door for other threads.
 *
 * Whoever needs the loop receives `struct loop *`; everything marked ON_LOOP runs on the thread
 * that is in loop_run(). Timers are libuv's (a heap), good for tens of thousands.
 * Knows nothing of HTTP.
 */
#ifndef MAYFLY_NET_LOOP_H
#define MAYFLY_NET_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/err.h"
#include "base/list.h"
#include "base/thread.h"

struct loop;

int loop_new(struct loop **ret, struct err *err);
void loop_run(struct loop *loop); /* until loop_stop(); then runs what was posted before it */
void loop_stop(struct loop *loop) ON_LOOP;
void loop_free(struct loop *loop); /* closes what is left; not while it runs */
uv_loop_t *loop_uv(struct loop *loop);

/* The door: run(message) will be called on the loop, in the order posted. The message is owned by
 * the loop until then, by run() after. */
struct loop_message {
	struct list link;
	void (*run)(struct loop_message *message);
};
void loop_post(struct loop *loop, struct loop_message *message) ANY_THREAD;

/* Runs flush(arg) once at the end of the present turn of the loop, before it waits again: the
 * place where bytes gathered in this turn are written in one system call. A hook that is already
 * waiting is not added twice. The struct stands inside its owner. */
struct loop_flush {
	struct list link; /* list_init() before first use */
	void (*run)(struct loop_flush *flush);
};
void loop_flush_soon(struct loop *loop, struct loop_flush *flush) ON_LOOP;

/* One-shot timers inside their owner. */
struct loop_timer {
	uv_timer_t uv; /* private */
	void (*run)(struct loop_timer *timer);
	struct loop *loop; /* borrowed */
	bool is_open;      /* private */
};
void loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ms,
	void (*run)(struct loop_timer *)) ON_LOOP;      /* starting again moves it */
void loop_timer_stop(struct loop_timer *timer) ON_LOOP; /* harmless when it is not running */
/* uv handles close later: the owner is freed in `closed`, called exactly once; at once for a timer
 * that was never started. */
void loop_timer_close(struct loop_timer *timer, void (*closed)(struct loop_timer *)) ON_LOOP;

/* Tells when a descriptor is readable, writable or hung up (level-triggered). An error on it is
 * told as all the events wanted: the read or write that follows meets it. */
struct loop_watch;
typedef void loop_watch_fn(struct loop_watch *watch, int uv_events, void *arg);
int loop_watch_new(struct loop *loop, int fd /* borrowed */, loop_watch_fn *run, void *arg,
	struct loop_watch **ret, struct err *err) ON_LOOP;
void loop_watch_want(struct loop_watch *watch, int uv_events) ON_LOOP; /* 0 pauses */
/* The watch is dead at once; the descriptor may be closed right after. */
void loop_watch_free(struct loop_watch *watch) ON_LOOP;

#endif
