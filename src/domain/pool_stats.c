/* SPDX-License-Identifier: Apache-2.0 */
/* What a pool tells: to callers whom it refuses, and to whoever looks at it. */
#include "base/clock.h"
#include "domain/pool_inside.h"

unsigned
pool_retry_after_s(const struct pool *pool)
{
	uint64_t now_us = clock_mono_us();
	uint64_t wait_us = pool_is_in_backoff(pool, now_us) ? pool->backoff_until_us - now_us
							    : pool_expected_wait_us(pool);
	uint64_t wait_s = wait_us / 1000000 + 1;

	return wait_s < 60 ? (unsigned)wait_s : 60;
}

bool
pool_is_why(const struct pool *pool, int code)
{
	return code == ERR_RATE || code == ERR_UNAVAILABLE ||
	       (pool_n(pool) == 0 && pool_is_in_backoff(pool, clock_mono_us()));
}

void
pool_explain_wait(const struct pool *pool, uint64_t waited_us, struct err *err)
{
	unsigned long long ms = waited_us / 1000;

	if (pool->n_ready >= pool->version->config.max_instances)
		err_set(err, ERR_RATE,
			"all %u instances that the function may have were busy for %llu ms",
			pool->n_ready, ms);
	else if (pool->n_starting > 0 && pool->n_ready == 0)
		err_set(err, ERR_UNAVAILABLE,
			"no instance of the function was ready within %llu ms", ms);
	else
		err_set(err, ERR_UNAVAILABLE,
			"the machine had no place for another instance for %llu ms", ms);
}

void
pool_stats(const struct pool *pool, struct pool_stats *ret)
{
	uint64_t now_us = clock_mono_us();

	*ret = (struct pool_stats){
		.n_starting = pool->n_starting,
		.n_ready = pool->n_ready,
		.n_idle = pool->n_idle,
		.n_waiting = pool->n_waiting,
		.n_running = pool->n_running,
		.n_failed = pool->n_failed,
		.retry_ms = pool_is_in_backoff(pool, now_us)
				    ? (pool->backoff_until_us - now_us) / 1000 + 1
				    : 0,
		.boot_reason = pool->n_failed ? pool->boot_reason : NULL,
		.n_started = pool->n_started,
		.n_boot_failures = pool->n_boot_failures,
	};
}
