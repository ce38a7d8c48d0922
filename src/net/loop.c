/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <stdlib.h>

#include "base/mem.h"

/* Rounds of flush hooks that may add each other before the loop looks at its descriptors again. */
#define LOOP_FLUSH_ROUNDS 4

struct loop {
	uv_loop_t uv;
	uv_async_t door;
	uv_prepare_t prepare; /* runs the flush hooks just before the loop would wait */
	uv_idle_t busy;       /* started while hooks are left over: the loop does not wait */
	struct list hooks;    /* struct loop_flush */
	pthread_mutex_t lock;
	struct list messages; /* struct loop_message; under lock */
};

/* ---- the door ---- */

static bool
loop_take_messages(struct loop *loop, struct list *ret)
{
	bool any;

	list_init(ret);
	pthread_mutex_lock(&loop->lock);
	any = !list_is_empty(&loop->messages);
	if (any) {
		list_insert_(ret, loop->messages.prev, loop->messages.next);
		list_init(&loop->messages);
	}
	pthread_mutex_unlock(&loop->lock);
	return any;
}

static bool
loop_run_messages(struct loop *loop)
{
	struct list taken;
	bool any = loop_take_messages(loop, &taken);

	while (!list_is_empty(&taken)) {
		struct loop_message *message = list_first(&taken, struct loop_message, link);

		list_remove(&message->link);
		message->run(message);
	}
	return any;
}

static void
loop_on_door(uv_async_t *door)
{
	loop_run_messages(door->data);
}

void
loop_post(struct loop *loop, struct loop_message *message)
{
	bool was_empty;

	pthread_mutex_lock(&loop->lock);
	was_empty = list_is_empty(&loop->messages);
	list_push_back(&loop->messages, &message->link);
	pthread_mutex_unlock(&loop->lock);
	if (was_empty)
		must(uv_async_send(&loop->door) == 0);
}

/* ---- flush hooks ---- */

static void
loop_on_busy(uv_idle_t *busy)
{
}

/* Hooks added by hooks run in the next round; what the last round leaves waits until the loop has
 * looked at its descriptors without waiting, so that no pair of hooks can starve them. */
static void
loop_on_prepare(uv_prepare_t *prepare)
{
	struct loop *loop = prepare->data;

	for (int round = 0; round < LOOP_FLUSH_ROUNDS && !list_is_empty(&loop->hooks); round++) {
		struct list taken;

		list_insert_(&taken, loop->hooks.prev, loop->hooks.next);
		list_init(&loop->hooks);
		while (!list_is_empty(&taken)) {
			struct loop_flush *flush = list_first(&taken, struct loop_flush, link);

			list_remove(&flush->link);
			flush->run(flush);
		}
	}
	if (list_is_empty(&loop->hooks))
		uv_idle_stop(&loop->busy);
	else
		uv_idle_start(&loop->busy, loop_on_busy);
}

void
loop_flush_soon(struct loop *loop, struct loop_flush *flush)
{
	if (list_is_empty(&flush->link))
		list_push_back(&loop->hooks, &flush->link);
}

/* ---- the loop ---- */

int
loop_new(struct loop **ret, struct err *err)
{
	struct loop *loop = mem_new(sizeof(*loop));
	int rc = uv_loop_init(&loop->uv);

	if (rc < 0) {
		free(loop);
		return err_set(err, ERR_SYSTEM, "making the event loop: %s", uv_strerror(rc));
	}
	rc = uv_async_init(&loop->uv, &loop->door, loop_on_door);
	if (rc < 0) {
		must(uv_loop_close(&loop->uv) == 0);
		free(loop);
		return err_set(err, ERR_SYSTEM, "making the loop's door: %s", uv_strerror(rc));
	}
	list_init(&loop->hooks);
	list_init(&loop->messages);
	must(pthread_mutex_init(&loop->lock, NULL) == 0);
	must(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
	must(uv_idle_init(&loop->uv, &loop->busy) == 0);
	loop->uv.data = loop->door.data = loop->prepare.data = loop;
	uv_prepare_start(&loop->prepare, loop_on_prepare);
	uv_unref((uv_handle_t *)&loop->prepare);
	*ret = loop;
	return 0;
}

/* Messages posted before the stop are owned by the loop: they run, whatever stopped it. */
void
loop_run(struct loop *loop)
{
	thread_on_loop();
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	while (loop_run_messages(loop))
		;
}

void
loop_stop(struct loop *loop)
{
	uv_stop(&loop->uv);
}

static void
loop_close_handle(uv_handle_t *handle, void *arg)
{
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void
loop_free(struct loop *loop)
{
	if (!loop)
		return;
	uv_walk(&loop->uv, loop_close_handle, NULL);
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	must(uv_loop_close(&loop->uv) == 0);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

uv_loop_t *
loop_uv(struct loop *loop)
{
	return &loop->uv;
}

/* ---- timers ---- */

static void
loop_on_timer(uv_timer_t *uv)
{
	struct loop_timer *timer = uv->data;

	timer->run(timer);
}

void
loop_timer_start(struct loop *loop, struct loop_timer *timer, uint64_t after_ms,
	void (*run)(struct loop_timer *))
{
	if (!timer->is_open) {
		must(uv_timer_init(&loop->uv, &timer->uv) == 0);
		timer->uv.data = timer;
		timer->loop = loop;
		timer->is_open = true;
	}
	timer->run = run;
	must(uv_timer_start(&timer->uv, loop_on_timer, after_ms, 0) == 0);
}

void
loop_timer_stop(struct loop_timer *timer)
{
	if (timer->is_open)
		uv_timer_stop(&timer->uv);
}

static void
loop_on_timer_closed(uv_handle_t *handle)
{
	struct loop_timer *timer = handle->data;
	void (*closed)(struct loop_timer *) = timer->run;

	timer->is_open = false;
	if (closed)
		closed(timer);
}

void
loop_timer_close(struct loop_timer *timer, void (*closed)(struct loop_timer *))
{
	if (!timer->is_open) {
		if (closed)
			closed(timer);
		return;
	}
	timer->run = closed;
	uv_close((uv_handle_t *)&timer->uv, loop_on_timer_closed);
}

/* ---- descriptors ---- */

struct loop_watch {
	uv_poll_t uv;
	loop_watch_fn *run;
	void *arg;  /* borrowed */
	int wanted; /* uv events asked for */
};

static void
loop_on_watch(uv_poll_t *uv, int status, int events)
{
	struct loop_watch *watch = (struct loop_watch *)uv;

	/* libuv stops a handle whose descriptor reports an error; the owner learns the error from
	 * the read or write that it does now. */
	if (status < 0) {
		events = watch->wanted;
		must(uv_poll_start(uv, watch->wanted, loop_on_watch) == 0);
	}
	watch->run(watch, events, watch->arg);
}

int
loop_watch_new(struct loop *loop, int fd, loop_watch_fn *run, void *arg, struct loop_watch **ret,
	struct err *err)
{
	struct loop_watch *watch = mem_new(sizeof(*watch));
	int rc = uv_poll_init(&loop->uv, &watch->uv, fd);

	if (rc < 0) {
		free(watch);
		return err_set(err, ERR_SYSTEM, "watching a descriptor: %s", uv_strerror(rc));
	}
	watch->run = run;
	watch->arg = arg;
	*ret = watch;
	return 0;
}

void
loop_watch_want(struct loop_watch *watch, int uv_events)
{
	if (watch->wanted == uv_events)
		return;
	watch->wanted = uv_events;
	if (uv_events)
		must(uv_poll_start(&watch->uv, uv_events, loop_on_watch) == 0);
	else
		uv_poll_stop(&watch->uv);
}

static void
loop_on_watch_closed(uv_handle_t *handle)
{
	free(handle);
}

void
loop_watch_free(struct loop_watch *watch)
{
	if (!watch)
		return;
	uv_poll_stop(&watch->uv);
	uv_close((uv_handle_t *)&watch->uv, loop_on_watch_closed);
}
