/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many instances a pool wants. Three reasons, of which the largest counts: what waits would
 * wait too long for those that are there; min_instances; spares for those that are used up.
 */
#include "base/clock.h"
#include "domain/pool_inside.h"

#define PATIENCE_US      (POOL_PATIENCE_MS * 1000ull)
#define PATIENCE_BUSY_US (POOL_PATIENCE_BUSY_MS * 1000ull)
#define OFTEN_US         2000000 /* used up at shorter intervals, spares are kept beside the rest */
#define GAP_MOST_US      60000000 /* what was longer ago says nothing about the next */
#define LATE_WHOLE       65536u
#define LATE_MUCH        (LATE_WHOLE / 8)

enum { PAST = 7, LATE_PAST = 15, QUICK_OF = 64, ENOUGH_PER_CPU = 2, SPARES_MOST = 4096 };

bool
pool_is_in_backoff(const struct pool *pool, uint64_t now_us)
{
	return now_us < pool->backoff_until_us;
}

bool
pool_is_urgent(const struct pool *pool)
{
	return pool->n_waiting > 0 || pool->probe;
}

/* ---- what the past tells ---- */

static uint64_t
scale_mean(uint64_t mean, uint64_t now)
{
	return ((mean ? mean : now) * PAST + now) / (PAST + 1) + 1;
}

void
pool_learn_service(struct pool *pool, uint64_t us)
{
	pool->service_us = scale_mean(pool->service_us, us);
}

void
pool_learn_renewal(struct pool *pool, uint64_t us)
{
	pool->renewal_us = scale_mean(pool->renewal_us, us);
}

/* The quickest of some tells what a call takes when it does not wait for a processor. */
void
pool_learn_call(struct pool *pool, uint64_t us, uint64_t cpu_us)
{
	pool->cpu_us = scale_mean(pool->cpu_us, cpu_us);
	if (pool->n_timed == 0 || us < pool->quick_now_us)
		pool->quick_now_us = us;
	if (pool->quick_us == 0 || us < pool->quick_us)
		pool->quick_us = us;
	if (++pool->n_timed < QUICK_OF)
		return;
	pool->quick_us = pool->quick_now_us;
	pool->n_timed = 0;
}

void
pool_learn_start(struct pool *pool, uint64_t us)
{
	pool->start_us = scale_mean(pool->start_us, us);
}

void
pool_learn_spent(struct pool *pool, uint64_t now_us)
{
	uint64_t gap_us = now_us - pool->spent_us;

	if (pool->spent_us > 0 && gap_us < GAP_MOST_US)
		pool->spent_gap_us = scale_mean(pool->spent_gap_us, gap_us);
	else
		pool->spent_gap_us = 0;
	pool->spent_us = now_us;
}

void
pool_learn_late(struct pool *pool, bool is_late)
{
	pool->late_share =
		(pool->late_share * LATE_PAST + (is_late ? LATE_WHOLE : 0)) / (LATE_PAST + 1);
}

/* Until what waits now is at work, as far as the calls before tell. */
uint64_t
pool_expected_wait_us(const struct pool *pool)
{
	uint64_t n = pool_n(pool);

	if (n == 0)
		return 0;
	return pool->n_waiting * pool->service_us / (n * pool->version->config.concurrency);
}

/* ---- what is ready whatever waits ---- */

unsigned
pool_n_kept(const struct pool *pool)
{
	const struct version_config *config;

	if (!pool->is_serving || !pool->version || pool->domain->is_stopping)
		return 0;
	config = &pool->version->config;
	return config->min_instances < config->max_instances ? config->min_instances
							     : config->max_instances;
}

/* As many as are used up while another starts, and one. */
static unsigned
scale_n_used_up(const struct pool *pool, uint64_t now_us)
{
	uint64_t since_us = now_us - pool->spent_us;
	uint64_t gap_us = since_us > pool->spent_gap_us ? since_us : pool->spent_gap_us;
	uint64_t n = pool->spent_gap_us ? 1 + pool->start_us / (gap_us + 1) : 1;

	return n < SPARES_MOST ? (unsigned)n : SPARES_MOST;
}

/* Those beside what is at work; none when the function is idle. Where not each call uses one up,
 * one that a call took with it must be the second, and where it is rare the one that was lost is
 * replaced, no more. */
static unsigned
scale_n_spares(const struct pool *pool, uint64_t now_us)
{
	uint64_t idle_us = pool->version->config.idle_ms * 1000ull;

	if (pool->spent_us == 0 || now_us - pool->spent_us >= idle_us || pool->is_retired)
		return 0;
	if (!pool->is_once && pool->spent_gap_us == 0)
		return pool->is_spoilt;
	if (!pool->is_once && pool->spent_gap_us > OFTEN_US)
		return 1;
	return scale_n_used_up(pool, now_us) + pool->n_ready - pool->n_idle;
}

static unsigned
scale_n_floor(const struct pool *pool, uint64_t now_us)
{
	unsigned kept = pool_n_kept(pool), spares = scale_n_spares(pool, now_us);
	unsigned floor = kept > spares ? kept : spares;
	unsigned max = pool->version->config.max_instances;

	return floor < max ? floor : max;
}

/* ---- what waits ---- */

static bool
scale_is_enough_for_cpus(const struct pool *pool)
{
	return pool_n(pool) >= ENOUGH_PER_CPU * pool->domain->shares.n_cpus;
}

/* Where calls spend most of their time on a processor, more instances take it from each other. */
static uint64_t
scale_patience_us(const struct pool *pool)
{
	bool is_computing =
		pool->version->config.concurrency == 1 &&
		2 * (pool->cpu_us + pool->renewal_us) >= pool->quick_us + pool->renewal_us;

	return is_computing && scale_is_enough_for_cpus(pool) ? PATIENCE_BUSY_US : PATIENCE_US;
}

/* Whether those that are there need too long for what waits. While the first boots, the time that
 * a call has waited says nothing about it. */
static bool
scale_is_too_slow(const struct pool *pool, uint64_t now_us)
{
	const struct pool_place *oldest = list_first(&pool->waiting, struct pool_place, link);
	uint64_t patience_us = scale_patience_us(pool);
	bool is_late = oldest && now_us - oldest->since_us >= patience_us;

	if (pool->service_us == 0)
		return is_late;
	return pool_expected_wait_us(pool) > patience_us || (is_late && pool->n_starting == 0);
}

/* Calls that often meet an instance that is being brought back are better off with a second. */
static bool
scale_is_often_late(const struct pool *pool)
{
	return pool->is_rewound && pool->n_starting == 0 && pool->late_share > LATE_MUCH &&
	       !scale_is_enough_for_cpus(pool);
}

/* Each wait of PATIENCE_US at most doubles them. */
static unsigned
scale_n_demanded(const struct pool *pool, uint64_t now_us)
{
	unsigned n = pool_n(pool);
	unsigned concurrency = pool->version->config.concurrency;
	unsigned wanted;

	if (pool->is_once && pool->n_waiting > 0)
		return pool->n_waiting > pool->n_starting ? pool->n_waiting - pool->n_starting : 0;
	if (n == 0)
		return pool_is_urgent(pool);
	if (now_us - pool->scaled_us < PATIENCE_US ||
		pool->n_starting * concurrency >= pool->n_waiting)
		return 0;
	if (!scale_is_too_slow(pool, now_us))
		return scale_is_often_late(pool);
	wanted = (pool->n_waiting + concurrency - 1) / concurrency - pool->n_starting;
	return wanted < n ? wanted : n;
}

/* ---- asking ---- */

static void
scale_ask(struct pool *pool, unsigned wanted, uint64_t now_us)
{
	unsigned n = pool_n(pool), max = pool->version->config.max_instances;

	if (n >= max)
		return;
	if (wanted > max - n)
		wanted = max - n;
	if (wanted > pool->n_due)
		pool->n_due = wanted;
	if (pool->n_due > 0)
		pool_share_ask(pool);
}

/* When to look again, though nothing happens meanwhile. */
static void ON_LOOP
scale_arm(struct pool *pool, uint64_t now_us)
{
	if (pool_is_in_backoff(pool, now_us)) {
		if (pool->n_waiting > 0 || pool_n(pool) < pool_n_kept(pool))
			pool_arm(pool, pool->backoff_until_us, now_us);
		return;
	}
	if (pool->n_due > 0)
		pool_arm(pool, now_us + POOL_LOOK_MS * 1000ull, now_us);
	else if (pool->n_waiting > 0 && pool_n(pool) < pool->version->config.max_instances)
		pool_arm(pool, now_us + PATIENCE_US, now_us);
}

void
pool_scale(struct pool *pool, uint64_t now_us)
{
	unsigned floor, demanded;

	if (!pool->version)
		return;
	if (!pool_is_in_backoff(pool, now_us)) {
		floor = scale_n_floor(pool, now_us);
		demanded = scale_n_demanded(pool, now_us);
		if (demanded > 0) {
			pool->scaled_us = now_us;
			pool->late_share = 0;
		}
		scale_ask(pool, demanded, now_us);
		if (floor > pool_n(pool))
			scale_ask(pool, floor - pool_n(pool), now_us);
	}
	pool_share_run(pool->domain);
	if (pool->version)
		scale_arm(pool, now_us);
}

bool
pool_is_due(const struct pool *pool, uint64_t now_us)
{
	unsigned n = pool_n(pool);
	unsigned concurrency;

	if (!pool->version || pool->n_due == 0 || pool_is_in_backoff(pool, now_us) ||
		n >= pool->version->config.max_instances)
		return false;
	if (n == 0 && pool_is_urgent(pool))
		return true;
	concurrency = pool->version->config.concurrency;
	return n < scale_n_floor(pool, now_us) || pool->n_starting * concurrency < pool->n_waiting;
}
