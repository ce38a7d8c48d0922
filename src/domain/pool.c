/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/pool.h"

#include <stdlib.h>

#include "base/clock.h"
#include "domain/pool_inside.h"

static void pool_on_timer(struct loop_timer *timer) ON_LOOP;

void
pool_setup(struct domain *domain)
{
	pool_share_setup(domain);
}

void
pool_room_freed(struct domain *domain)
{
	pool_share_run(domain);
}

/* ---- where an instance stands ---- */

static void
pool_leave_idle(struct pool_instance *member)
{
	if (list_is_empty(&member->idle_link))
		return;
	list_remove(&member->idle_link);
	member->pool->n_idle--;
}

void
pool_set_ending(struct pool_instance *member)
{
	struct pool *pool = member->pool;

	must(!member->is_ending);
	member->is_ending = true;
	pool_leave_idle(member);
	list_remove(&member->link);
	list_push_back(&pool->ending, &member->link);
	if (member->was_ready)
		pool->n_ready--;
	else
		pool->n_starting--;
	pool_share_leaving(member);
}

void
pool_set_idle(struct pool_instance *member, uint64_t now_us)
{
	struct pool *pool = member->pool;

	if (pool->is_retired) {
		pool_end_instance(member);
		return;
	}
	member->idle_since_us = now_us;
	list_remove(&member->link);
	list_push_front(&pool->idle, &member->link);
	list_push_back(&pool->share->idle, &member->idle_link);
	pool->n_idle++;
	pool_arm(pool, now_us + pool->version->config.idle_ms * 1000ull, now_us);
	pool_share_run(pool->domain);
}

/* What has room again is full but for one call, so it goes to the front: those behind it are left
 * to become idle. */
void
pool_set_busy(struct pool_instance *member)
{
	struct pool *pool = member->pool;
	bool is_full = member->is_renewing || member->n_calls >= pool->version->config.concurrency;

	pool_leave_idle(member);
	list_remove(&member->link);
	list_push_front(is_full ? &pool->full : &pool->partial, &member->link);
}

/* The last used, so that the others can end. Of those that serve one call the oldest, so that each
 * is used before it is idle for too long. */
static struct pool_instance *
pool_next_of(const struct pool *pool, const struct list *members)
{
	return pool->is_once ? list_last(members, struct pool_instance, link)
			     : list_first(members, struct pool_instance, link);
}

/* One with room, or NULL. What died since it was last looked at is put aside. */
static struct pool_instance *
pool_find_room(struct pool *pool)
{
	struct list *lists[] = {&pool->partial, &pool->idle};

	for (size_t i = 0; i < 2; i++) {
		while (!list_is_empty(lists[i])) {
			struct pool_instance *member = pool_next_of(pool, lists[i]);

			if (instance_has_room(member->instance))
				return member;
			pool_set_ending(member);
		}
	}
	return NULL;
}

/* ---- places ---- */

static void
pool_put(struct pool_instance *member, struct pool_place *place, uint64_t now_us)
{
	place->on = member;
	place->instance = member->instance;
	place->is_cold = member->ready_us > place->since_us;
	place->since_us = member->busy_since_us = now_us;
	member->n_calls++;
	member->pool->n_running++;
	pool_set_busy(member);
	if (member->pool->is_once)
		pool_learn_spent(member->pool, now_us);
}

static void
pool_enter_queue(struct pool *pool, struct pool_place *place)
{
	list_push_back(&pool->waiting, &place->link);
	pool->n_waiting++;
	pool->domain->queue_bytes += place->body_len;
}

static void
pool_leave_queue(struct pool_place *place)
{
	list_remove(&place->link);
	place->pool->n_waiting--;
	place->pool->domain->queue_bytes -= place->body_len;
}

void
pool_feed(struct pool *pool, uint64_t now_us)
{
	struct pool_instance *member;

	while (pool->n_waiting > 0 && (member = pool_find_room(pool))) {
		struct pool_place *place = list_first(&pool->waiting, struct pool_place, link);

		pool_leave_queue(place);
		pool_put(member, place, now_us);
		place->on_placed(place);
	}
}

static void
pool_refuse_all(struct pool *pool)
{
	struct err reason = *pool->boot_reason;

	while (pool->n_waiting > 0) {
		struct pool_place *place = list_first(&pool->waiting, struct pool_place, link);

		pool_leave_queue(place);
		place->pool = NULL;
		place->on_refused(place, &reason);
	}
}

static int
pool_check_queue(
	const struct pool *pool, const struct pool_place *place, uint64_t now_us, struct err *err)
{
	const struct domain *domain = pool->domain;

	if (pool_n(pool) == 0 && pool_is_in_backoff(pool, now_us)) {
		*err = *pool->boot_reason;
		return err->code;
	}
	if (pool->n_waiting >= domain->config.queue_calls)
		return err_set(err, ERR_RATE, "%u calls of the function are waiting already",
			pool->n_waiting);
	if (domain->queue_bytes + place->body_len > domain->config.queue_bytes)
		return err_set(err, ERR_RATE,
			"the bodies of waiting calls take all the memory that they may have");
	return 0;
}

int
pool_place(struct pool *pool, struct pool_place *place, struct err *err)
{
	struct pool_instance *member = pool_find_room(pool);
	uint64_t now_us = clock_mono_us();
	int rc;

	list_init(&place->link);
	place->pool = NULL;
	place->on = NULL;
	place->instance = NULL;
	place->is_cold = false;
	place->since_us = now_us;
	pool_learn_late(pool, !member);
	if (member) {
		place->pool = pool;
		pool_put(member, place, now_us);
		if (pool->is_once)
			pool_scale(pool, now_us);
		return 1;
	}
	rc = pool_check_queue(pool, place, now_us, err);
	if (rc < 0)
		return rc;
	place->pool = pool;
	pool_enter_queue(pool, place);
	pool_scale(pool, now_us);
	return 0;
}

/* The call is over and the instance has room for another. */
void
pool_room_again(struct pool_instance *member, uint64_t now_us)
{
	struct pool *pool = member->pool;

	if (pool_is_old(member, now_us))
		pool_replace(pool, now_us);
	if (pool_share_is_owed(pool, member->n_calls > 0)) {
		if (member->n_calls > 0)
			pool_drain_instance(member);
		else
			pool_end_instance(member);
		pool_scale(pool, now_us);
	} else if (member->n_calls == 0 && pool->n_waiting == 0) {
		pool_set_idle(member, now_us);
	} else {
		pool_set_busy(member);
		pool_feed(pool, now_us);
	}
}

/* What is brought back for nobody ends at once. */
static void ON_LOOP
pool_begin_renewal(struct pool_instance *member, uint64_t now_us)
{
	struct pool *pool = member->pool;

	if (pool->is_retired || pool_share_is_owed(pool, false)) {
		pool_end_instance(member);
		pool_scale(pool, now_us);
		return;
	}
	member->is_renewing = true;
	member->over_us = now_us;
	pool_set_busy(member);
}

static void ON_LOOP
pool_leave_instance(struct pool_place *place)
{
	struct pool *pool = place->pool;
	struct pool_instance *member = take_ptr(&place->on);
	uint64_t now_us = clock_mono_us();

	place->instance = NULL;
	pool->n_running--;
	member->n_calls--;
	pool_learn_call(pool, now_us - place->since_us, place->cpu_us);
	if (member->is_ending)
		return;
	if (instance_state(member->instance) == INSTANCE_RENEWING) {
		pool_begin_renewal(member, now_us);
		return;
	}
	pool_learn_service(pool, now_us - place->since_us);
	if (instance_has_room(member->instance)) {
		pool_room_again(member, now_us);
		return;
	}
	if (!pool->is_once)
		pool_learn_spent(pool, now_us);
	pool->is_spoilt = false;
	pool_set_ending(member);
	pool_scale(pool, now_us);
}

void
pool_give_back(struct pool_place *place)
{
	if (!place->pool)
		return;
	if (place->on)
		pool_leave_instance(place);
	else
		pool_leave_queue(place);
	place->pool = NULL;
}

/* ---- time ---- */

void
pool_arm(struct pool *pool, uint64_t at_us, uint64_t now_us)
{
	uint64_t after_ms = at_us > now_us ? (at_us - now_us) / 1000 + 1 : 0;

	if (!pool->version || (pool->timer_us != 0 && pool->timer_us <= at_us))
		return;
	pool->timer_us = at_us;
	loop_timer_start(pool->domain->loop, &pool->timer, after_ms, pool_on_timer);
}

/* To end one takes a processor about as long as to start one: while others start it waits. */
static uint64_t
pool_ends_at(const struct pool *pool, const struct pool_instance *member, uint64_t now_us)
{
	uint64_t idle_us = pool->version->config.idle_ms * 1000ull;
	uint64_t due_us = member->idle_since_us + idle_us;

	if (due_us > now_us || !pool_share_is_starting(pool->domain))
		return due_us;
	due_us += POOL_END_LATE_MS * 1000ull;
	return due_us < now_us + POOL_LOOK_MS * 1000ull ? due_us : now_us + POOL_LOOK_MS * 1000ull;
}

static void ON_LOOP
pool_end_idle(struct pool *pool, uint64_t now_us)
{
	struct pool_instance *member;
	uint64_t end_us;

	while (pool_n(pool) > pool_n_kept(pool) &&
		(member = list_last(&pool->idle, struct pool_instance, link))) {
		end_us = pool_ends_at(pool, member, now_us);
		if (end_us > now_us) {
			pool_arm(pool, end_us, now_us);
			return;
		}
		pool_end_instance(member);
	}
}

void
pool_answer_probe(struct pool *pool, const struct err *reason, struct str log)
{
	pool_probe_fn *probe = take_ptr(&pool->probe);

	if (probe)
		probe(reason->code, reason, log, pool->probe_arg);
}

static void
pool_on_timer(struct loop_timer *timer)
{
	struct pool *pool = list_owner(timer, struct pool, timer);
	uint64_t now_us = clock_mono_us();
	struct err fine = {0};
	bool is_hopeless;

	thread_on_loop();
	pool->timer_us = 0;
	is_hopeless = pool_n(pool) == 0 && pool_is_in_backoff(pool, now_us);
	if (is_hopeless)
		pool_answer_probe(pool, pool->boot_reason, STR_NONE);
	else if (pool->n_ready > 0)
		pool_answer_probe(pool, &fine, STR_NONE);
	if (is_hopeless && pool->version)
		pool_refuse_all(pool);
	if (!pool->version)
		return;
	pool_end_idle(pool, now_us);
	pool_scale(pool, now_us);
}

/* ---- limits of a call ---- */

/* A function with a ceiling of CPU use is not looked at earlier than that lets it run. */
static unsigned
pool_n_cpus(const struct pool *pool)
{
	uint64_t allowed = (pool->version->config.limits.cpu_percent + 99) / 100;
	unsigned n = pool->domain->shares.n_cpus;

	return allowed > 0 && allowed < n ? (unsigned)allowed : n;
}

static void
pool_set_watchdog(struct pool *pool)
{
	const struct limits *limits = &pool->version->config.limits;
	const struct watchdog_limits ours = {
		.wait_us = pool->domain->config.queue_ms * 1000ull,
		.deadline_us = limits->timeout_ms * 1000,
		.cpu_us = limits->cpu_ms * 1000,
		.n_cpus = pool_n_cpus(pool),
	};

	watchdog_limit(&pool->watchdog, &ours);
}

struct watchdog *
pool_watchdog(struct pool *pool)
{
	if (pool->watchdog.limits.deadline_us == 0)
		pool_set_watchdog(pool);
	return &pool->watchdog;
}

/* ---- life ---- */

struct pool *
pool_new(struct version *version)
{
	struct pool *pool = mem_new(sizeof(*pool));
	struct list *lists[] = {&pool->starting, &pool->idle, &pool->partial, &pool->full,
		&pool->ending, &pool->waiting, &pool->want_link};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		list_init(lists[i]);
	pool->version = version;
	pool->domain = version->function->org->domain;
	pool->share = pool_share_hold(pool->domain, version->function->org->name);
	pool->n_refs = 3;
	watchdog_init(&pool->watchdog, pool->domain->loop);
	return pool;
}

void
pool_unref(struct pool *pool)
{
	must(pool->n_refs > 0);
	if (--pool->n_refs > 0)
		return;
	pool_share_release(pool->share);
	free(pool->boot_reason);
	free(pool);
}

static void
pool_on_timer_closed(struct loop_timer *timer)
{
	pool_unref(list_owner(timer, struct pool, timer));
}

static void
pool_on_watchdog_closed(struct loop_timer *timer)
{
	pool_unref(list_owner(timer, struct pool, watchdog.timer));
}

static void ON_LOOP
pool_end_all(struct list *members)
{
	struct pool_instance *member;

	while ((member = list_first(members, struct pool_instance, link)))
		pool_end_instance(member);
}

void
pool_free(struct pool *pool)
{
	if (!pool)
		return;
	must(pool->n_waiting == 0 && pool->n_running == 0);
	pool->version = NULL;
	pool->probe = NULL;
	pool_share_withdraw(pool);
	pool_end_all(&pool->starting);
	pool_end_all(&pool->idle);
	pool_end_all(&pool->partial);
	pool_end_all(&pool->full); /* what is renewed: nothing runs */
	watchdog_close(&pool->watchdog, pool_on_watchdog_closed);
	loop_timer_close(&pool->timer, pool_on_timer_closed);
	pool_unref(pool);
}

void
pool_retire(struct pool *pool)
{
	pool->is_retired = true;
	pool->is_serving = false;
	pool_end_all(&pool->idle);
}

void
pool_serve(struct pool *pool)
{
	uint64_t now_us = clock_mono_us();

	pool->is_retired = false;
	pool->is_serving = true;
	if (pool_n_kept(pool) > 0)
		pool_arm(pool, now_us, now_us);
}

void
pool_probe(struct pool *pool, pool_probe_fn *done, void *arg)
{
	uint64_t now_us = clock_mono_us();

	must(!pool->probe);
	pool->probe = done;
	pool->probe_arg = arg;
	pool->backoff_until_us = 0;
	pool_arm(pool, now_us, now_us);
}
