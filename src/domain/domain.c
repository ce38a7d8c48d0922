/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/domain.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/build.h"
#include "domain/call.h"
#include "domain/domain_load.h"
#include "domain/event_known.h"
#include "domain/function.h"
#include "domain/pool.h"
#include "domain/record.h"
#include "domain/schedule.h"
#include "domain/shelf.h"
#include "domain/token.h"
#include "store/blob.h"
#include "store/rows.h"

#define UPKEEP_EVERY_MS   600000
#define UPKEEP_FIRST_MS   60000
#define BLOB_AGE_S        3600                   /* an upload waits so long for its function */
#define BUILD_AGE_MS      (30 * 86400 * 1000ull) /* a cached build that nobody uses */
#define STOP_LOOK_MS      10
#define STOP_INSTANCES_MS 5000

void
domain_config_default(struct domain_config *ret)
{
	static const char *const hosts[] = {"files.pythonhosted.org:443", NULL};

	*ret = (struct domain_config){
		.data_dir = "/var/lib/mayfly",
		.max_instances = 1000,
		.max_instances_total = 2000,
		.max_concurrency = 1000,
		.idle_ms = 60000,
		.boot_ms = 10000,
		.starts = 0,
		.queue_calls = 1000,
		.queue_ms = 30000,
		.queue_bytes = 512ull << 20,
		.source_bytes = 64ull << 20,
		.build_memory_bytes = 1ull << 30,
		.build_bytes = 512ull << 20,
		.build_ms = 300000,
		.n_builds = 2,
		.npm_registry = "https://registry.npmjs.org/",
		.pip_index = "https://pypi.org/simple/",
		.build_hosts = hosts,
		.keep_calls = 10000,
		.keep_days = 7,
		.keep_versions = 50,
	};
}

const struct root *
domain_root(const struct domain *domain, const struct root_plan *plan)
{
	for (size_t i = 0; i < domain->n_roots; i++)
		if (strcmp(domain->roots[i].name, plan->name) == 0)
			return &domain->roots[i];
	return NULL;
}

/* ---- every version, once ---- */

static void
each_version(struct domain *domain, void (*each)(struct version *version))
{
	map_each (&domain->orgs, org_entry) {
		struct org *org = org_entry->value;

		map_each (&org->functions, entry) {
			struct function *function = entry->value;
			struct version *version;

			list_each (&function->versions, version, link)
				each(version);
		}
	}
}

/* ---- upkeep: what nobody uses any more leaves the store ---- */

struct domain_upkeep {
	struct loop_timer timer;
	struct domain *domain; /* borrowed */
	struct store_message message;
	bool is_asking, is_over;
};

static int
upkeep_work(struct store_db *db, struct store_message *message, struct err *err)
{
	unsigned n_builds = 0, n_blobs = 0;
	int rc;

	thread_on_store();
	rc = row_build_trim(db, clock_unix_ms() - BUILD_AGE_MS, &n_builds, err);
	if (rc >= 0)
		rc = blob_sweep(db, BLOB_AGE_S, &n_blobs, err);
	if (rc >= 0 && n_builds + n_blobs)
		log_info("store.swept", "builds=%u blobs=%u", n_builds, n_blobs);
	return rc;
}

static void
upkeep_freed(struct loop_timer *timer)
{
	free(list_owner(timer, struct domain_upkeep, timer));
}

static void upkeep_ask(struct loop_timer *timer);

static void
upkeep_done(struct store_message *message)
{
	struct domain_upkeep *upkeep = list_owner(message, struct domain_upkeep, message);

	thread_on_loop();
	upkeep->is_asking = false;
	if (upkeep->is_over) {
		loop_timer_close(&upkeep->timer, upkeep_freed);
		return;
	}
	if (message->code < 0)
		log_warn("store.sweep_failed", "reason=%s", log_q(message->err.text));
	loop_timer_start(upkeep->domain->loop, &upkeep->timer, UPKEEP_EVERY_MS, upkeep_ask);
}

static void
upkeep_ask(struct loop_timer *timer)
{
	struct domain_upkeep *upkeep = list_owner(timer, struct domain_upkeep, timer);

	thread_on_loop();
	upkeep->is_asking = true;
	upkeep->message = (struct store_message){
		.work = upkeep_work,
		.done = upkeep_done,
		.is_lazy = true,
	};
	store_ask(upkeep->domain->store, &upkeep->message);
}

static void
upkeep_start(struct domain *domain) ON_LOOP
{
	struct domain_upkeep *upkeep = mem_new(sizeof(*upkeep));

	upkeep->domain = domain;
	domain->upkeep = upkeep;
	loop_timer_start(domain->loop, &upkeep->timer, UPKEEP_FIRST_MS, upkeep_ask);
}

static void
upkeep_stop(struct domain *domain) ON_LOOP
{
	struct domain_upkeep *upkeep = domain->upkeep;

	domain->upkeep = NULL;
	if (!upkeep)
		return;
	upkeep->is_over = true;
	if (!upkeep->is_asking)
		loop_timer_close(&upkeep->timer, upkeep_freed);
}

/* ---- open ---- */

int
domain_open(struct domain *domain, struct err *err)
{
	int rc;

	domain->orgs = domain->tokens = domain->shelf = domain->calls = MAP_INIT;
	list_init(&domain->leaving);
	domain->renewals = renewal_tally_new(NULL);
	pool_setup(domain);
	domain->builds = build_queue_new(domain);
	domain->events_known = event_known_new(domain);
	domain->event_turns = event_turns_new(domain->loop);
	rc = schedule_clock_new(domain, &domain->schedules, err);
	if (rc >= 0)
		rc = record_log_new(domain, &domain->records, err);
	return rc < 0 ? rc : domain_load(domain, err);
}

static void
hold_trees(struct version *version)
{
	struct domain *domain = version->function->org->domain;

	thread_on_loop();
	version->pool = pool_new(version);
	shelf_hold(domain, version->tree);
	shelf_hold(domain, version->deps);
}

/* Versions that are ready and serve nothing are looked after when somebody rolls back to them. */
static void
resume_version(struct version *version)
{
	struct function *function = version->function;
	struct domain *domain = function->org->domain;

	thread_on_loop();
	if (version->state == VERSION_READY && version->number == function->wanted) {
		if (shelf_has(domain, version->tree) && shelf_has(domain, version->deps)) {
			function->active = version;
			function->wanted = 0;
			pool_serve(version->pool);
			return;
		}
		version->state = VERSION_INITIALIZING;
	}
	if (version->state == VERSION_INITIALIZING)
		build_start(version);
}

void
domain_resume(struct domain *domain)
{
	each_version(domain, hold_trees);
	each_version(domain, resume_version);
	shelf_sweep(domain);
	event_known_load(domain->events_known);
	upkeep_start(domain);
}

/* ---- stop ---- */

struct domain_stopping {
	struct loop_timer timer;
	struct domain *domain;           /* borrowed */
	uint64_t grace_us, instances_us; /* until when what is in flight may take, monotonic */
	void (*done)(void *arg);
	void *arg; /* borrowed */
};

static void
stop_free(struct loop_timer *timer)
{
	free(list_owner(timer, struct domain_stopping, timer));
}

static void
stop_done(void *arg)
{
	struct domain_stopping *stopping = arg;

	thread_on_loop();
	stopping->done(stopping->arg);
	loop_timer_close(&stopping->timer, stop_free);
}

static void
stop_pool(struct version *version)
{
	thread_on_loop();
	pool_free(take_ptr(&version->pool));
}

static void
stop_leaving_pools(struct domain *domain) ON_LOOP
{
	struct function *function;
	struct version *version;

	list_each (&domain->leaving, function, link)
		list_each (&function->dropped, version, link)
			stop_pool(version);
}

static void
stop_look_at_instances(struct loop_timer *timer)
{
	struct domain_stopping *stopping = list_owner(timer, struct domain_stopping, timer);
	struct domain *domain = stopping->domain;

	thread_on_loop();
	if (domain->n_instances && clock_mono_us() < stopping->instances_us) {
		loop_timer_start(domain->loop, timer, STOP_LOOK_MS, stop_look_at_instances);
		return;
	}
	if (domain->n_instances)
		log_warn("stop.instances_left", "n=%u", domain->n_instances);
	record_flush(domain->records, stop_done, stopping);
}

/* A call that ends may free the function that it was the last to hold. */
static void
stop_end_calls(struct domain *domain) ON_LOOP
{
	struct map_entry *entry;

	if (domain->calls.len)
		log_warn("stop.calls_cut", "n=%zu", domain->calls.len);
	while ((entry = map_next(&domain->calls, NULL)))
		call_cancel(entry->value);
}

static void
stop_look_at_calls(struct loop_timer *timer)
{
	struct domain_stopping *stopping = list_owner(timer, struct domain_stopping, timer);
	struct domain *domain = stopping->domain;

	thread_on_loop();
	if (domain->calls.len && clock_mono_us() < stopping->grace_us) {
		loop_timer_start(domain->loop, timer, STOP_LOOK_MS, stop_look_at_calls);
		return;
	}
	stop_end_calls(domain);
	each_version(domain, stop_pool);
	stop_leaving_pools(domain);
	stopping->instances_us = clock_mono_us() + STOP_INSTANCES_MS * 1000;
	stop_look_at_instances(timer);
}

void
domain_stop(struct domain *domain, unsigned grace_ms, void (*done)(void *arg), void *arg)
{
	struct domain_stopping *stopping = mem_new(sizeof(*stopping));

	domain->is_stopping = true;
	stopping->domain = domain;
	stopping->grace_us = clock_mono_us() + grace_ms * 1000ull;
	stopping->done = done;
	stopping->arg = arg;
	schedule_clock_stop(domain->schedules);
	upkeep_stop(domain);
	build_cancel_all(domain->builds);
	loop_timer_start(domain->loop, &stopping->timer, 0, stop_look_at_calls);
}

void
domain_free(struct domain *domain)
{
	struct function *function;

	list_each (&domain->leaving, function, link) {
		struct org *org = function->org;

		function_free(function);
		if (--org->n_leaving == 0 && org->is_deleting)
			org_free(org);
	}
	map_each (&domain->orgs, entry)
		org_free(entry->value);
	map_done(&domain->orgs);
	token_free_all(domain);
	shelf_free(domain);
	map_done(&domain->calls);
	build_queue_free(domain->builds);
	event_known_free(domain->events_known);
	event_turns_free(domain->event_turns);
	record_log_free(domain->records);
	schedule_clock_free(domain->schedules);
	renewal_tally_release(domain->renewals);
}
