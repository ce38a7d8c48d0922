/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/pool_inside.h"

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
	pool_add_init(init, "MAYFLY_ISOLATION", version_isolation_word(version->config.isolation));
	pool_add_init(init, "MAYFLY_RUNTIME", version->runtime);
	/* Where its TLS library looks by itself is the business of whoever built it. */
	if (config->network.has_egress)
		pool_add_init(init, "SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
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

/* False for a version that has no network. */
static bool
pool_write_network(const struct pool *pool, struct instance_network *ret)
{
	const struct version *version = pool->version;
	const struct network *network = &version->config.network;

	*ret = (struct instance_network){
		.host = pool->domain->egress,
		.rules = network->rules,
		.n_rules = network->n_rules,
		.owner = version->function->org->name,
	};
	ret->n_ports = network_ports(network, ret->ports);
	return network->has_egress;
}

static int
pool_write_spec(
	const struct pool *pool, struct buf *init, struct instance_spec *ret, struct err *err)
{
	struct version *version = pool->version;
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
		.mechanism = version_mechanism(version),
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

void
pool_drain_instance(struct pool_instance *member)
{
	instance_retire(member->instance);
	member->is_draining = true;
	pool_set_ending(member);
}

static void
pool_set_backoff(struct pool *pool, uint64_t now_us)
{
	pool->backoff_ms = pool->backoff_ms * 2;
	if (pool->backoff_ms < POOL_BACKOFF_MIN_MS)
		pool->backoff_ms = POOL_BACKOFF_MIN_MS;
	if (pool->backoff_ms > POOL_BACKOFF_MAX_MS)
		pool->backoff_ms = POOL_BACKOFF_MAX_MS;
	pool->backoff_until_us = now_us + pool->backoff_ms * 1000;
	pool->failed_us = now_us;
	pool->n_failed++;
}

/* A version that was loaded before and is not in time now may have met a machine that had no time
 * for it: once, what waits goes on waiting for the next, as long as it may wait at all. Those that
 * were started together are late together. */
static bool
pool_is_excused(struct pool *pool, const struct err *reason, uint64_t started_us, uint64_t now_us)
{
	const struct version *version = pool->version;

	if (reason->code != ERR_TIMEOUT || pool->start_us == 0)
		return false;
	if (pool->excused_us == 0) {
		pool->excused_us = now_us;
		log_warn("instance.boot_late", "org=%s function=%s version=%" PRIu32 " reason=%s",
			version->function->org->name, version->function->name, version->number,
			log_q(reason->text));
	}
	return started_us <= pool->excused_us;
}

/* What waits is refused in the next turn, when there is nothing else that could serve it. Those
 * that were started together fail together, as one. */
static void ON_LOOP
pool_boot_failed(struct pool *pool, const struct err *reason, uint64_t started_us, uint64_t now_us)
{
	const struct version *version = pool->version;

	pool->n_boot_failures++;
	version->function->n_boot_failures++;
	pool->is_replacing = false;
	if (!pool->boot_reason)
		pool->boot_reason = mem_new(sizeof(*pool->boot_reason));
	*pool->boot_reason = *reason;
	if (pool_is_excused(pool, reason, started_us, now_us))
		return;
	pool_arm(pool, now_us, now_us);
	if (pool->n_failed > 0 && started_us <= pool->failed_us)
		return;
	pool_set_backoff(pool, now_us);
	log_warn("instance.boot_failed",
		"org=%s function=%s version=%" PRIu32 " n=%u next_ms=%" PRIu64 " code=%s reason=%s",
		version->function->org->name, version->function->name, version->number,
		pool->n_failed, pool->backoff_ms, err_word(reason->code), log_q(reason->text));
}

static void ON_LOOP
pool_end_old(struct list *members, uint64_t now_us)
{
	struct pool_instance *member;

	list_each (members, member, link)
		if (pool_is_old(member, now_us))
			pool_drain_instance(member);
}

static void
pool_learn_mechanism(struct pool *pool, enum mechanism mechanism)
{
	pool->is_once = mechanism == MECHANISM_ONCE;
	pool->is_rewound = mechanism == MECHANISM_ROLLBACK || mechanism == MECHANISM_FORK;
}

static void
pool_on_ready(struct instance *instance, void *arg)
{
	struct pool_instance *member = arg;
	struct pool *pool = member->pool;
	struct domain *domain = pool->domain;
	uint64_t now_us = clock_mono_us();
	struct err fine = {0};

	thread_on_loop();
	if (member->is_ending)
		return;
	member->was_ready = true;
	member->ready_us = now_us;
	pool->excused_us = 0;
	pool->n_starting--;
	pool->n_ready++;
	pool->n_failed = 0;
	pool->backoff_ms = pool->backoff_until_us = 0;
	pool_learn_mechanism(pool, instance_mechanism(instance));
	pool_learn_start(pool, now_us - member->started_us);
	pool_share_ready(member);
	if (pool->is_replacing) {
		pool->is_replacing = false;
		pool_end_old(&pool->idle, now_us);
		pool_end_old(&pool->partial, now_us);
		pool_end_old(&pool->full, now_us);
	}
	if (pool->n_waiting > 0) {
		pool_set_busy(member);
		pool_feed(pool, now_us);
	} else {
		pool_set_idle(member, now_us);
	}
	pool_answer_probe(pool, &fine, STR_NONE);
	pool_share_run(domain);
}

static void
pool_on_room(struct instance *instance, void *arg)
{
	struct pool_instance *member = arg;
	uint64_t now_us = clock_mono_us();

	thread_on_loop();
	if (member->is_ending)
		return;
	member->is_renewing = false;
	pool_learn_service(member->pool, now_us - member->busy_since_us);
	pool_learn_renewal(member->pool, now_us - member->over_us);
	pool_room_again(member, now_us);
}

/* Its calls were served: what they left behind is no reason to let the next one wait. */
static void ON_LOOP
pool_spoil(struct pool_instance *member, uint64_t now_us)
{
	pool_learn_spent(member->pool, now_us);
	member->pool->is_spoilt = true;
}

static void
pool_on_discarded(struct instance *instance, void *arg)
{
	struct pool_instance *member = arg;
	uint64_t now_us = clock_mono_us();

	thread_on_loop();
	if (member->is_ending)
		return;
	if (member->was_ready)
		pool_spoil(member, now_us);
	pool_set_ending(member);
	pool_scale(member->pool, now_us);
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
	if (!member->is_ending) {
		if (member->is_renewing)
			pool_spoil(member, now_us);
		pool_set_ending(member);
	}
	list_remove(&member->link);
	pool_share_gone(member);
	if (is_failed) {
		pool_boot_failed(pool, reason, member->started_us, now_us);
		pool_answer_probe(pool, reason, log);
	}
	free(member);
	pool_scale(pool, now_us);
	pool_share_run(domain);
	pool_unref(pool);
}

/* ---- starting ---- */

static int ON_LOOP
pool_start_member(struct pool *pool, struct err *err)
{
	const struct instance_events events = {.on_ready = pool_on_ready,
		.on_room = pool_on_room,
		.on_discarded = pool_on_discarded,
		.on_unable = pool_on_unable,
		.on_gone = pool_on_gone};
	OWN(buf) struct buf init = BUF_INIT;
	OWN(mem) struct pool_instance *member = mem_new(sizeof(*member));
	struct instance_events mine = events;
	struct instance_network network;
	struct instance_spec spec;
	int rc = pool_write_spec(pool, &init, &spec, err);

	if (rc < 0)
		return rc;
	mine.arg = member;
	if (pool_write_network(pool, &network))
		spec.network = &network;
	rc = instance_start(
		pool->domain->loop, pool->domain->spawner, &spec, &mine, &member->instance, err);
	if (rc < 0)
		return rc;
	member->pool = pool;
	list_init(&member->idle_link);
	list_init(&member->slot_link);
	list_push_back(&pool->starting, &member->link);
	take_ptr(&member);
	return 0;
}

void
pool_start(struct pool *pool, uint64_t now_us)
{
	struct err err = {0};

	if (pool_start_member(pool, &err) < 0) {
		pool_boot_failed(pool, &err, now_us, now_us);
		return;
	}
	pool->n_refs++;
	pool->n_starting++;
	pool->n_started++;
	pool->version->function->n_starts++;
	pool_share_started(list_last(&pool->starting, struct pool_instance, link), now_us);
}

void
pool_replace(struct pool *pool, uint64_t now_us)
{
	if (pool->is_replacing || pool->is_retired || pool_is_in_backoff(pool, now_us) ||
		pool->domain->n_instances >= pool->domain->config.max_instances_total)
		return;
	pool->is_replacing = true;
	pool_start(pool, now_us);
}
