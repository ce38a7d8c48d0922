/* SPDX-License-Identifier: Apache-2.0 */
#include "call_kit.h"

#include <string.h>

#include "base/clock.h"
#include "store_kit.h"

/* Records stand on the row of their org. */
static int
kit_insert(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.settings = "{}"};
	struct row_function row = {0};
	const struct function *function = arg;
	int rc;

	thread_on_store();
	memcpy(org.name, function->org->name, sizeof(org.name));
	memcpy(row.org, function->org->name, sizeof(row.org));
	memcpy(row.name, function->name, sizeof(row.name));
	memcpy(row.route, function->route, sizeof(row.route));
	rc = row_org_insert(db, &org, err);
	return rc < 0 && rc != ERR_CONFLICT ? rc : row_function_insert(db, &row, err);
}

/* ---- life ---- */

static const struct root_plan kit_plan = {.name = "test"};
static const struct root kit_root = {.name = "test"};
static const char *const kit_command[] = {"/bin/test", "x", NULL};
static const struct language kit_language = {
	.name = "test1", .family = "test", .command = kit_command, .root = &kit_plan};

struct version *
kit_version(struct kit *kit, const char *name)
{
	return kit_version_of(kit, kit->org->name, name);
}

struct version *
kit_version_of(struct kit *kit, const char *org_name, const char *name)
{
	struct org *org = org_find(&kit->domain, str_of(org_name));
	struct function *function;
	struct version *version;

	thread_on_loop();
	if (!org)
		org = org_add(&kit->domain, org_name, 1);
	function = function_find(org, str_of(name));
	if (!function) {
		function = function_add(org, name, name);
		assert_int_equal(store_ask_and_wait(kit->store, kit_insert, function, NULL), 0);
	}
	version = version_new(function, ++function->last_version);
	version_config_default(&kit->domain, &version->config);
	version->config.max_instances = 4;
	version->language = &kit_language;
	memcpy(version->runtime, "test1", sizeof("test1"));
	version->state = VERSION_READY;
	version->pool = pool_new(version);
	function->active = version;
	return version;
}

struct kit *
kit_new(void)
{
	struct kit *kit = mem_new(sizeof(*kit));
	struct store_config config = {.post = store_kit_post};
	struct err err = {0};

	thread_on_loop();
	kit->folder = unit_folder();
	kit->spawner = fake_spawner_new();
	kit->spawner->behaviour = FAKE_ANSWERS;
	assert_int_equal(loop_new(&kit->loop, &err), 0);
	config.data_dir = kit->folder;
	config.arg = kit->loop;
	assert_int_equal(store_open(&config, &kit->store, &err), 0);
	domain_config_default(&kit->domain.config);
	kit->domain.loop = kit->loop;
	kit->domain.store = kit->store;
	kit->domain.spawner = kit->spawner;
	kit->domain.roots = &kit_root;
	kit->domain.n_roots = 1;
	assert_int_equal(domain_open(&kit->domain, &err), 0);
	kit->org = org_add(&kit->domain, "acme", 1);
	kit->version = kit_version(kit, "hello");
	kit->function = kit->version->function;
	return kit;
}

static void
kit_on_stopped(void *arg)
{
	*(bool *)arg = true;
}

void
kit_free(struct kit *kit)
{
	bool is_stopped = false;

	thread_on_loop();
	if (kit->spawner->behaviour == FAKE_BY_HAND)
		kit->spawner->behaviour = FAKE_HOLDS;
	domain_stop(&kit->domain, 0, kit_on_stopped, &is_stopped);
	kit_until(kit, &is_stopped);
	assert_int_equal(kit->domain.calls.len, 0);
	assert_int_equal(kit->domain.n_instances, 0);
	assert_int_equal(kit->domain.queue_bytes, 0);
	store_close(kit->store);
	kit_turn(kit);
	domain_free(&kit->domain);
	loop_free(kit->loop);
	fake_spawner_free(kit->spawner);
	own_folder(&kit->folder);
	free(kit);
}

/* ---- time ---- */

/* Enough for what is under way to end, however few of them fit into a wait on a busy machine. */
enum { KIT_TURNS = 20 };

void
kit_turn(struct kit *kit)
{
	uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
	fake_play(kit->spawner);
	uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
}

void
kit_until(struct kit *kit, const bool *flag)
{
	uint64_t until_us = clock_mono_us() + 60000000;

	while (!*flag) {
		assert_true(clock_mono_us() < until_us);
		kit_turn(kit);
	}
}

void
kit_wait_ms(struct kit *kit, uint64_t ms)
{
	uint64_t until_us = clock_mono_us() + ms * 1000;

	for (int i = 0; i < KIT_TURNS || clock_mono_us() < until_us; i++)
		kit_turn(kit);
}

/* ---- questions ---- */

struct pool_stats
kit_stats(struct version *version)
{
	struct pool_stats stats;

	pool_stats(version->pool, &stats);
	return stats;
}

struct kit_answer {
	json_t *json;
	bool is_there;
};

static void
kit_on_records(int code, const json_t *json, const struct err *err, void *arg)
{
	struct kit_answer *answer = arg;

	assert_int_equal(code, 0);
	answer->json = json_deep_copy(json);
	answer->is_there = true;
}

json_t *
kit_records(struct kit *kit)
{
	struct row_call_query query = {
		.org = "acme", .function = "hello", .is_with_log = true, .n = 1000};
	struct kit_answer answer = {0};

	thread_on_loop();
	record_list(kit->domain.records, &query, kit_on_records, &answer);
	kit_until(kit, &answer.is_there);
	return answer.json;
}
