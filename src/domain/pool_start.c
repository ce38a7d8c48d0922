/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "domain/pool_inside.h"

#define POOL_PATIENCE_US (POOL_PATIENCE_MS * 1000ull)

bool
pool_is_in_backoff(const struct pool *pool, uint64_t now_us)
{
	return now_us < pool->backoff_until_us;
}

/* Until what waits now is at work, as far as the calls before tell. */
uint64_t
pool_expected_wait_us(const struct pool *pool)
{
	uint64_t n = pool->n_starting + pool->n_ready;

	if (n == 0)
		return 0;
	return pool->n_waiting * pool->service_us / (n * pool->version->config.concurrency);
}

/* ---- what an instance is told ---- */

static void
pool_add_init(struct buf *init, const char *key, const char *value)
{
	buf_add_text(init, key);
	buf_add_char(init, '=');
	buf_add_text(init, value);
	buf_add_char(init, '\0');
}

static void
pool_add_init_u64(struct buf *init, const char *key, uint64_t value)
{
	buf_add_text(init, key);
	buf_add_char(init, '=');
	buf_add_u64(init, value);
	buf_add_char(init, '\0');
}

static void
pool_write_init(const struct version *version, struct buf *init)
{
	const struct version_config *config = &version->config;
	const char *const *command = version->language->command;

	pool_add_init(init, "MAYFLY_HANDLER", version->handler);
	pool_add_init(init, "MAYFLY_ORG", version->function->org->name);
	pool_add_init(init, "MAYFLY_FUNCTION", version->function->name);
	pool_add_init_u64(init, "MAYFLY_VERSION", version->number);
	pool_add_init_u64(init, "MAYFLY_MEMORY_MIB", config->limits.memory_mib);
	pool_add_init_u64(init, "MAYFLY_TIMEOUT_MS", config->limits.timeout_ms);
	pool_add_init_u64(init, "MAYFLY_CONCURRENCY", config->concurrency);
	pool_add_init(
		init, "MAYFLY_ISOLATION", version_isolation_word(version->config.isolation));
	pool_add_init(init, "MAYFLY_RUNTIME", version->runtime);
	for (size_t i = 0; command && command[i]; i++) {
		char key[40];

		snprintf(key, sizeof(key), "MAYFLY_COMMAND_%zu", i);
		pool_add_init(init, key, command[i]);
	}
	for (size_t i = 0; i < config->n_environment; i++)
		pool_add_init(init, config->environment[i].key, config->environment[i].value);
}

/* A file meets the end of /tmp before it meets the limit of a file's size, so that a function
 * learns of a full disk and is not killed. */
static void
pool_write_limits(const struct limits *limits, struct sandbox_limits *ret)
{
	*ret = (struct sandbox_limits){
		.memory_bytes = limits->memory_mib << 20,
		.cpu_weight = (uint32_t)limits->cpu_weight,
		.cpu_percent = (uint32_t)limits->cpu_percent,
		.processes = (uint32_t)limits->processes,
		.open_files = (uint32_t)limits->open_files,
		.tmp_bytes = limits->tmp_mib << 20,
		.file_bytes = (limits->tmp_mib + limits->memory_mib) << 20,
	};
}

static int
pool_write_spec(
	const struct pool *pool, struct buf *init, struct instance_spec *ret, struct err *err)
{
	const struct version *version = pool->version;
	const struct root *root;

	if (!version->language)
		return err_set(err, ERR_NOT_READY, "the runtime %s is not on this machine any more",
			version->runtime);
	root = domain_root(pool->domain, version->language->root);
	if (!root)
		return err_set(err, ERR_NOT_READY, "the runtime %s could not be prepared",
			version->runtime);
	pool_write_init(version, init);
	*ret = (struct instance_spec){
		.root = root,
		.init = buf_str(init),
		.concurrency = version->config.concurrency,
		.boot_ms = pool->domain->config.boot_ms,
		.answer_bytes = version->config.limits.answer_bytes,
		.log_bytes = version->config.limits.log_bytes,
		.mechanism = version->mechanism,
		.wants_template = true,
		.tally = version->function->renewals,
	};
	memcpy(ret->tree, version->tree, sizeof(ret->tree));
	memcpy(ret->deps, version->deps, sizeof(ret->deps));
	pool_write_limits(&version->config.limits, &ret->limits);
	return 0;
}

/* ---- the life of an instance ---- */

void
pool_end_instance(struct pool_instance *member)
{
	pool_set_ending(member);
	instance_stop(member->instance);
}

/* What waits is refused in the next turn, when there is nothing else that could serve it. */
static void ON_LOOP
pool_boot_failed(struct pool *pool, const struct err *reason, uint64_t now_us)
{
	pool->n_boot_failures++;
	pool->is_renewing = false;
	pool->boot_reason = *reason;
	pool->backoff_ms = pool->backoff_ms * 2;
	if (pool->backoff_ms < POOL_BACKOFF_MIN_MS)
		pool->backoff_ms = POOL_BACKOFF_MIN_MS;
	if (pool->backoff_ms > POOL_BACKOFF_MAX_MS)
		pool->backoff_ms = POOL_BACKOFF_MAX_MS;
	pool->backoff_until_us = now_us + pool->backoff_ms * 1000;
	pool_arm(pool, now_us, now_us);
}

static void ON_LOOP
pool_end_old(struct list *members)
{
	struct pool_instance *member;

	list_each (members, member, link) {
		if (instance_n_served(member->instance) < POOL_RENEW_CALLS)
			continue;
		instance_retire(member->instance);
		pool_set_ending(member);
	}
}

static void
pool_on_ready(struct instance *instance, void *arg)
{
	struct pool_instance *member = arg;
	struct pool *pool = member->pool;
	uint64_t now_us = clock_mono_us();
	struct err fine = {0};

	thread_on_loop();
	if (member->is_ending)
		return;
	member->was_ready = true;
	member->ready_us = now_us;
	pool->n_starting--;
	pool->n_ready++;
	pool->backoff_ms = pool->backoff_until_us = 0;
	if (pool->is_renewing) {
		pool->is_renewing = false;
		pool_end_old(&pool->idle);
		pool_end_old(&pool->partial);
		pool_end_old(&pool->full);
	}
	if (pool->n_waiting > 0) {
		pool_set_busy(member);
		pool_feed(pool, now_us);
	} else {
		pool_set_idle(member, now_us);
	}
	pool_answer_probe(pool, &fine, STR_NONE);
}

static void
pool_on_room(struct instance *instance, void *arg)
{
	struct pool_instance *member = arg;
	struct pool *pool = member->pool;
	uint64_t now_us = clock_mono_us();

	thread_on_loop();
	if (member->is_ending)
		return;
	if (pool->n_waiting == 0) {
		pool_set_idle(member, now_us);
		return;
	}
	pool_set_busy(member);
	pool_feed(pool, now_us);
}

/* The next one starts with what serves the version then. */
static void
pool_on_unable(struct instance *instance, enum mechanism tried, enum renewal_cause cause,
	const char *why, void *arg)
{
	struct pool_instance *member = arg;

	thread_on_loop();
	if (member->pool->version)
		version_mechanism_failed(member->pool->version, tried, cause, why);
}

static void
pool_on_gone(struct instance *instance, const struct err *reason, struct str log, void *arg)
{
	struct pool_instance *member = arg;
	struct pool *pool = member->pool;
	struct domain *domain = pool->domain;
	uint64_t now_us = clock_mono_us();
	bool is_failed = !member->was_ready && reason->code < 0 && pool->version;

	thread_on_loop();
	must(member->n_calls == 0);
	if (!member->is_ending)
		pool_set_ending(member);
	list_remove(&member->link);
	domain->n_instances--;
	free(member);
	if (is_failed) {
		pool_boot_failed(pool, reason, now_us);
		pool_answer_probe(pool, reason, log);
	}
	if (pool->n_waiting > 0 || pool->probe)
		pool_arm(pool, now_us, now_us);
	pool_room_freed(domain);
	pool_unref(pool);
}

/* ---- starting ---- */

/* The machine is full. One that is idle longest ends for this pool, which starts in its turn. */
static void ON_LOOP
pool_starve(struct pool *pool)
{
	struct domain *domain = pool->domain;
	struct pool_instance *idle =
		list_first(&domain->idle_instances, struct pool_instance, idle_link);

	if (!list_is_empty(&pool->starved_link))
		return;
	list_push_back(&domain->starved_pools, &pool->starved_link);
	if (idle)
		pool_end_instance(idle);
}

static int ON_LOOP
pool_start_member(struct pool *pool, struct err *err)
{
	const struct instance_events events = {.on_ready = pool_on_ready,
		.on_room = pool_on_room,
		.on_unable = pool_on_unable,
		.on_gone = pool_on_gone};
	OWN(buf) struct buf init = BUF_INIT;
	OWN(mem) struct pool_instance *member = mem_new(sizeof(*member));
	struct instance_events mine = events;
	struct instance_spec spec;
	int rc = pool_write_spec(pool, &init, &spec, err);

	if (rc < 0)
		return rc;
	mine.arg = member;
	rc = instance_start(
		pool->domain->loop, pool->domain->spawner, &spec, &mine, &member->instance, err);
	if (rc < 0)
		return rc;
	member->pool = pool;
	list_init(&member->idle_link);
	list_push_back(&pool->starting, &member->link);
	take_ptr(&member);
	return 0;
}

static bool ON_LOOP
pool_start(struct pool *pool, uint64_t now_us)
{
	struct err err = {0};

	if (pool->domain->n_instances >= pool->domain->config.max_instances_total) {
		pool_starve(pool);
		return false;
	}
	if (pool_start_member(pool, &err) < 0) {
		pool_boot_failed(pool, &err, now_us);
		return false;
	}
	pool->n_refs++;
	pool->n_starting++;
	pool->n_started++;
	pool->domain->n_instances++;
	return true;
}

void
pool_renew(struct pool *pool, uint64_t now_us)
{
	if (pool->is_renewing || pool->is_retired || pool_is_in_backoff(pool, now_us) ||
		pool->domain->n_instances >= pool->domain->config.max_instances_total)
		return;
	pool->is_renewing = pool_start(pool, now_us);
}

/* Whether those that are there need too long for what waits. While the first boots, the time that
 * a call has waited says nothing about it. */
static bool
pool_is_too_slow(const struct pool *pool, uint64_t now_us)
{
	const struct pool_place *oldest = list_first(&pool->waiting, struct pool_place, link);
	bool is_late = oldest && now_us - oldest->since_us >= POOL_PATIENCE_US;

	if (pool->service_us == 0)
		return is_late;
	return pool_expected_wait_us(pool) > POOL_PATIENCE_US || (is_late && pool->n_starting == 0);
}

static unsigned
pool_n_wanted(const struct pool *pool, uint64_t now_us)
{
	unsigned n = pool->n_starting + pool->n_ready;
	unsigned concurrency = pool->version->config.concurrency;
	unsigned max = pool->version->config.max_instances;
	unsigned wanted;

	if (pool_is_in_backoff(pool, now_us))
		return 0;
	if (n == 0)
		return pool->n_waiting > 0 || pool->probe ? 1 : 0;
	if (n >= max || now_us - pool->scaled_us < POOL_PATIENCE_US ||
		pool->n_starting * concurrency >= pool->n_waiting ||
		!pool_is_too_slow(pool, now_us))
		return 0;
	wanted = (pool->n_waiting + concurrency - 1) / concurrency - pool->n_starting;
	if (wanted > n)
		wanted = n;
	return wanted < max - n ? wanted : max - n;
}

void
pool_scale(struct pool *pool, uint64_t now_us)
{
	unsigned wanted = pool_n_wanted(pool, now_us);

	if (wanted > 0)
		pool->scaled_us = now_us;
	while (wanted > 0 && pool_start(pool, now_us))
		wanted--;
	if (pool->n_waiting > 0 &&
		pool->n_starting + pool->n_ready < pool->version->config.max_instances)
		pool_arm(pool, now_us + POOL_PATIENCE_US, now_us);
}

void
pool_room_freed(struct domain *domain)
{
	uint64_t now_us = clock_mono_us();
	struct pool *pool;

	while (domain->n_instances < domain->config.max_instances_total &&
		(pool = list_first(&domain->starved_pools, struct pool, starved_link))) {
		list_remove(&pool->starved_link);
		pool_scale(pool, now_us);
	}
}
