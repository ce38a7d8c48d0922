/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of rows.h must do, noun by noun; calls have test_row_call.c. */
#include "store_unit.h"

#include <string.h>

/* What a list function gave: the names joined by spaces. */
struct seen {
	char text[512];
	unsigned n, n_wanted; /* 0 wants all */
};

static bool
seen_add(struct seen *seen, const char *name)
{
	size_t len = strlen(seen->text);

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s%s", len ? " " : "", name);
	return ++seen->n != seen->n_wanted;
}

static bool
see_org(const struct row_org *row, void *arg)
{
	return seen_add(arg, row->name);
}

static bool
see_token(const struct row_token *row, void *arg)
{
	return seen_add(arg, row->name);
}

static bool
see_function(const struct row_function *row, void *arg)
{
	char name[160];

	snprintf(name, sizeof(name), "%s/%s", row->org, row->name);
	return seen_add(arg, name);
}

static bool
see_version(const struct row_version *row, void *arg)
{
	char name[160];

	snprintf(name, sizeof(name), "%s/%s:%u", row->org, row->function, row->number);
	return seen_add(arg, name);
}

/* ---- org ---- */

static void
orgs_are_listed_by_name(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_org(rows, "zebra");
	add_org(rows, "bee");
	ok(rows, row_org_list(&rows->db, see_org, &seen, &rows->err));
	assert_string_equal(seen.text, "acme bee zebra");
}

static void
a_list_ends_when_each_gives_false(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {.n_wanted = 1}, all = {""};

	add_org(rows, "bee");
	ok(rows, row_org_list(&rows->db, see_org, &seen, &rows->err));
	assert_string_equal(seen.text, "acme");
	ok(rows, row_org_list(&rows->db, see_org, &all, &rows->err));
	assert_string_equal(all.text, "acme bee");
}

static void
a_second_org_of_a_name_is_a_conflict_that_harms_nothing(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_org org = org_named("acme");
	struct seen seen = {""};

	assert_int_equal(row_org_insert(&rows->db, &org, &rows->err), ERR_CONFLICT);
	assert_int_equal(rows->err.code, ERR_CONFLICT);
	assert_string_equal(rows->err.field, "name");
	assert_string_equal(rows->err.text, "this name is taken by another org");
	add_org(rows, "bee");
	ok(rows, row_org_list(&rows->db, see_org, &seen, &rows->err));
	assert_string_equal(seen.text, "acme bee");
}

static bool
copy_settings(const struct row_org *row, void *arg)
{
	snprintf(arg, 128, "%s %s %u", row->name, row->settings, (unsigned)row->created_ms);
	return true;
}

static void
an_org_is_updated(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_org org = {.name = "acme", .created_ms = 7, .settings = "{\"q\":2}"};
	char text[128];

	ok(rows, row_org_update(&rows->db, &org, &rows->err));
	ok(rows, row_org_list(&rows->db, copy_settings, text, &rows->err));
	assert_string_equal(text, "acme {\"q\":2} 7");
}

static void
an_absent_org_is_neither_updated_nor_deleted(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_org org = org_named("nobody");

	assert_int_equal(row_org_update(&rows->db, &org, &rows->err), ERR_NOT_FOUND);
	assert_string_equal(rows->err.text, "there is no such org");
	assert_int_equal(row_org_delete(&rows->db, "nobody", &rows->err), ERR_NOT_FOUND);
}

/* ---- token ---- */

static struct row_token
token_of(const char *id, const char *org, const char *name)
{
	struct row_token token = {.role = "admin", .prefix = "mf_abc", .created_ms = 5};

	snprintf(token.id, sizeof(token.id), "%s", id);
	snprintf(token.org, sizeof(token.org), "%s", org);
	snprintf(token.name, sizeof(token.name), "%s", name);
	snprintf(token.secret_sha256, sizeof(token.secret_sha256), "secret of %s", id);
	return token;
}

static void
add_token(struct rows *rows, const char *id, const char *org, const char *name) ON_STORE
{
	struct row_token token = token_of(id, org, name);

	ok(rows, row_token_insert(&rows->db, &token, &rows->err));
}

static bool
copy_token(const struct row_token *row, void *arg)
{
	*(struct row_token *)arg = *row;
	return true;
}

static void
tokens_are_listed_by_id(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_token(rows, "2", "acme", "second");
	add_token(rows, "1", "", "first");
	ok(rows, row_token_list(&rows->db, see_token, &seen, &rows->err));
	assert_string_equal(seen.text, "first second");
}

static void
a_token_of_the_provider_comes_back_as_it_was(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_token token = token_of("1", "", "mine"), back;

	token.expires_ms = 99;
	memset(&back, 0xff, sizeof(back));
	ok(rows, row_token_insert(&rows->db, &token, &rows->err));
	ok(rows, row_token_list(&rows->db, copy_token, &back, &rows->err));
	assert_string_equal(back.id, "1");
	assert_string_equal(back.org, "");
	assert_string_equal(back.role, "admin");
	assert_string_equal(back.name, "mine");
	assert_string_equal(back.prefix, "mf_abc");
	assert_string_equal(back.secret_sha256, token.secret_sha256);
	assert_int_equal(back.created_ms, 5);
	assert_int_equal(back.expires_ms, 99);
	assert_int_equal(back.last_used_ms, 0);
}

static void
a_token_is_refused_with_a_known_secret_or_an_unknown_org(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_token same = token_of("2", "acme", "b"), homeless = token_of("3", "none", "c");

	add_token(rows, "1", "acme", "a");
	memcpy(same.secret_sha256, "secret of 1", sizeof("secret of 1"));
	assert_int_equal(row_token_insert(&rows->db, &same, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "secret_sha256");
	assert_int_equal(row_token_insert(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
}

static void
the_latest_use_of_a_token_is_kept(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_token back;

	add_token(rows, "1", "acme", "a");
	ok(rows, row_token_used(&rows->db, "1", 50, &rows->err));
	ok(rows, row_token_used(&rows->db, "1", 40, &rows->err));
	ok(rows, row_token_list(&rows->db, copy_token, &back, &rows->err));
	assert_int_equal(back.last_used_ms, 50);
	assert_int_equal(row_token_used(&rows->db, "2", 60, &rows->err), ERR_NOT_FOUND);
}

static void
a_token_is_deleted_once(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	add_token(rows, "1", "acme", "a");
	ok(rows, row_token_delete(&rows->db, "1", &rows->err));
	assert_int_equal(row_token_delete(&rows->db, "1", &rows->err), ERR_NOT_FOUND);
}

/* ---- function ---- */

static void
functions_are_listed_by_org_and_name(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_org(rows, "aaa");
	add_function(rows, "acme", "z");
	add_function(rows, "acme", "b");
	add_function(rows, "aaa", "y");
	ok(rows, row_function_list(&rows->db, see_function, &seen, &rows->err));
	assert_string_equal(seen.text, "aaa/y acme/b acme/z");
}

static bool
copy_function(const struct row_function *row, void *arg)
{
	*(struct row_function *)arg = *row;
	return true;
}

static void
a_function_comes_back_as_it_was_updated(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_function function = function_named("acme", "hello"), back;

	add_function(rows, "acme", "hello");
	memcpy(function.route, "shop/v1", sizeof("shop/v1"));
	function.active_version = 3;
	function.last_version = UINT32_MAX;
	function.updated_ms = 77;
	ok(rows, row_function_update(&rows->db, &function, &rows->err));
	ok(rows, row_function_list(&rows->db, copy_function, &back, &rows->err));
	assert_string_equal(back.route, "shop/v1");
	assert_int_equal(back.active_version, 3);
	assert_int_equal(back.last_version, UINT32_MAX);
	assert_int_equal(back.created_ms, 1);
	assert_int_equal(back.updated_ms, 77);
}

static void
a_route_belongs_to_one_function_of_an_org(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_function other = function_named("acme", "other");

	add_org(rows, "bee");
	add_function(rows, "acme", "hello");
	add_function(rows, "bee", "hello");
	memcpy(other.route, "hello", sizeof("hello"));
	assert_int_equal(row_function_insert(&rows->db, &other, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "route");
	add_function(rows, "acme", "other");
	assert_int_equal(row_function_update(&rows->db, &other, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "route");
}

static void
a_function_is_refused_twice_and_without_its_org(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_function twice = function_named("acme", "hello");
	struct row_function homeless = function_named("none", "hello");

	add_function(rows, "acme", "hello");
	memcpy(twice.route, "elsewhere", sizeof("elsewhere"));
	assert_int_equal(row_function_insert(&rows->db, &twice, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "name");
	assert_int_equal(row_function_insert(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_function_update(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
}

static void
a_function_goes_with_its_versions_and_its_calls_stay(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_function(rows, "acme", "hello");
	add_function(rows, "acme", "kept");
	add_version(rows, "acme", "hello", 1);
	add_version(rows, "acme", "kept", 1);
	add_call(rows, "acme", "hello", 1);
	ok(rows, row_function_delete(&rows->db, "acme", "hello", &rows->err));
	ok(rows, row_version_list(&rows->db, see_version, &seen, &rows->err));
	assert_string_equal(seen.text, "acme/kept:1");
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM call"), 1);
	assert_int_equal(
		row_function_delete(&rows->db, "acme", "hello", &rows->err), ERR_NOT_FOUND);
}

/* ---- version ---- */

static void
versions_are_listed_by_number_and_not_by_its_digits(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_function(rows, "acme", "hello");
	add_version(rows, "acme", "hello", 10);
	add_version(rows, "acme", "hello", 9);
	ok(rows, row_version_list(&rows->db, see_version, &seen, &rows->err));
	assert_string_equal(seen.text, "acme/hello:9 acme/hello:10");
}

static bool
check_version(const struct row_version *row, void *arg)
{
	unsigned *n = arg;

	++*n;
	assert_string_equal(row->state, "failed");
	assert_string_equal(row->runtime, "python3.11");
	assert_string_equal(row->handler, "main.run");
	assert_string_equal(row->source, HASH_B);
	assert_string_equal(row->filename, "main.py");
	assert_string_equal(row->tree, HASH_A);
	assert_string_equal(row->deps, HASH_A);
	assert_string_equal(row->config, "{\"ünï\":[]}");
	assert_string_equal(row->reason, "SyntaxError: main.py:3");
	assert_string_equal(row->build_log, "line\nline");
	assert_int_equal(row->created_ms, 11);
	assert_int_equal(row->ready_ms, 22);
	return true;
}

static void
a_version_comes_back_as_it_was_updated(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version version = {
		.org = "acme",
		.function = "hello",
		.number = 1,
		.state = "failed",
		.runtime = "python3.11",
		.handler = "main.run",
		.source = HASH_B,
		.filename = "main.py",
		.tree = HASH_A,
		.deps = HASH_A,
		.config = "{\"ünï\":[]}",
		.reason = "SyntaxError: main.py:3",
		.build_log = "line\nline",
		.created_ms = 11,
		.ready_ms = 22,
	};
	unsigned n = 0;

	add_function(rows, "acme", "hello");
	add_version(rows, "acme", "hello", 1);
	ok(rows, row_version_update(&rows->db, &version, &rows->err));
	ok(rows, row_version_list(&rows->db, check_version, &n, &rows->err));
	assert_int_equal(n, 1);
}

static void
a_text_that_is_absent_is_kept_as_empty(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version version = version_of("acme", "hello", 1);

	version.reason = version.build_log = NULL;
	add_function(rows, "acme", "hello");
	ok(rows, row_version_insert(&rows->db, &version, &rows->err));
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM version WHERE reason = ''"), 1);
}

static void
a_version_is_refused_twice_and_without_its_function(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version twice = version_of("acme", "hello", 1);
	struct row_version homeless = version_of("acme", "none", 1);

	add_function(rows, "acme", "hello");
	add_version(rows, "acme", "hello", 1);
	assert_int_equal(row_version_insert(&rows->db, &twice, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "number");
	assert_int_equal(row_version_insert(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_version_update(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
	ok(rows, row_version_delete(&rows->db, "acme", "hello", 1, &rows->err));
	assert_int_equal(
		row_version_delete(&rows->db, "acme", "hello", 1, &rows->err), ERR_NOT_FOUND);
}

/* ---- build ---- */

static void
a_build_is_found_as_it_was_last_put(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char deps[ID_SHA256_SIZE] = "untouched";

	assert_int_equal(row_build_find(&rows->db, "key", deps, &rows->err), ERR_NOT_FOUND);
	assert_string_equal(deps, "untouched");
	ok(rows, row_build_put(&rows->db, "key", "acme", HASH_A, 1, &rows->err));
	ok(rows, row_build_put(&rows->db, "key", "acme", HASH_B, 2, &rows->err));
	ok(rows, row_build_find(&rows->db, "key", deps, &rows->err));
	assert_string_equal(deps, HASH_B);
	assert_int_equal(
		row_build_put(&rows->db, "key", "none", HASH_B, 2, &rows->err), ERR_NOT_FOUND);
}

static void
old_builds_that_no_version_uses_are_forgotten(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_version version = version_of("acme", "hello", 1);
	char deps[ID_SHA256_SIZE];
	unsigned n_removed;

	memcpy(version.deps, HASH_B, ID_SHA256_SIZE);
	add_function(rows, "acme", "hello");
	ok(rows, row_version_insert(&rows->db, &version, &rows->err));
	ok(rows, row_build_put(&rows->db, "old", "acme", HASH_A, 10, &rows->err));
	ok(rows, row_build_put(&rows->db, "used", "acme", HASH_B, 10, &rows->err));
	ok(rows, row_build_put(&rows->db, "young", "acme", HASH_A, 20, &rows->err));
	ok(rows, row_build_trim(&rows->db, 20, &n_removed, &rows->err));
	assert_int_equal(n_removed, 1);
	assert_int_equal(row_build_find(&rows->db, "old", deps, &rows->err), ERR_NOT_FOUND);
	ok(rows, row_build_find(&rows->db, "used", deps, &rows->err));
	ok(rows, row_build_find(&rows->db, "young", deps, &rows->err));
}

/* ---- meter ---- */

static struct row_meter
meter_of(const char *org, const char *function, uint64_t hour_ms)
{
	struct row_meter meter = {
		.hour_ms = hour_ms,
		.n_calls = 2,
		.n_errors = 1,
		.wall_us = 300,
		.cpu_us = 100,
		.bytes_in = 10,
		.bytes_out = 20,
		.memory_mib_us = 1ull << 52,
	};

	snprintf(meter.org, sizeof(meter.org), "%s", org);
	snprintf(meter.function, sizeof(meter.function), "%s", function);
	return meter;
}

static void
add_meter(struct rows *rows, const char *org, const char *function, uint64_t hour_ms) ON_STORE
{
	struct row_meter meter = meter_of(org, function, hour_ms);

	ok(rows, row_meter_add(&rows->db, &meter, &rows->err));
}

static bool
copy_meter(const struct row_meter *row, void *arg)
{
	*(struct row_meter *)arg = *row;
	return true;
}

static bool
see_meter(const struct row_meter *row, void *arg)
{
	char name[100];

	snprintf(name, sizeof(name), "%s@%u", row->function, (unsigned)row->hour_ms);
	return seen_add(arg, name);
}

static void
what_a_meter_counts_is_added_up(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_meter sum;

	add_meter(rows, "acme", "hello", 0);
	add_meter(rows, "acme", "hello", 0);
	ok(rows, row_meter_list(&rows->db, "acme", 0, 1, copy_meter, &sum, &rows->err));
	assert_int_equal(sum.n_calls, 4);
	assert_int_equal(sum.n_errors, 2);
	assert_int_equal(sum.wall_us, 600);
	assert_int_equal(sum.cpu_us, 200);
	assert_int_equal(sum.bytes_in, 20);
	assert_int_equal(sum.bytes_out, 40);
	assert_true(sum.memory_mib_us == 1ull << 53);
}

static void
meters_are_listed_by_hour_and_function_within_the_hours_asked_for(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct seen seen = {""};

	add_org(rows, "bee");
	add_meter(rows, "acme", "z", 100);
	add_meter(rows, "acme", "a", 200);
	add_meter(rows, "acme", "b", 100);
	add_meter(rows, "acme", "late", 300);
	add_meter(rows, "acme", "early", 99);
	add_meter(rows, "bee", "foreign", 100);
	ok(rows, row_meter_list(&rows->db, "acme", 100, 300, see_meter, &seen, &rows->err));
	assert_string_equal(seen.text, "b@100 z@100 a@200");
}

static void
a_meter_of_an_absent_org_is_refused(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_meter meter = meter_of("none", "hello", 0);

	assert_int_equal(row_meter_add(&rows->db, &meter, &rows->err), ERR_NOT_FOUND);
}

/* ---- all of it ---- */

static void
an_org_goes_with_all_that_is_its_own_and_nothing_else(void **state)
{
	static const char *const tables[] = {
		"token", "function", "version", "build", "call", "call_count", "meter"};
	OWN(rows) struct rows *rows = rows_open();

	add_org(rows, "bee");
	for (int i = 0; i < 2; i++) {
		const char *org = i ? "bee" : "acme";

		add_token(rows, org, org, "token");
		add_function(rows, org, "hello");
		add_version(rows, org, "hello", 1);
		ok(rows, row_build_put(&rows->db, org, org, HASH_A, 1, &rows->err));
		add_call(rows, org, "hello", 1);
		add_meter(rows, org, "hello", 0);
	}
	add_token(rows, "p", "", "of the provider");
	ok(rows, row_org_delete(&rows->db, "acme", &rows->err));
	for (unsigned i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		OWN(mem) char *all = mem_printf("SELECT count(*) FROM %s", tables[i]);
		OWN(mem) char *bees = mem_printf("%s WHERE org = 'bee'", all);

		assert_int_equal(rows_count(rows, bees), 1);
		assert_int_equal(rows_count(rows, all), strcmp(tables[i], "token") ? 1 : 2);
	}
}

UNIT_TESTS(it(orgs_are_listed_by_name), it(a_list_ends_when_each_gives_false),
	it(a_second_org_of_a_name_is_a_conflict_that_harms_nothing), it(an_org_is_updated),
	it(an_absent_org_is_neither_updated_nor_deleted), it(tokens_are_listed_by_id),
	it(a_token_of_the_provider_comes_back_as_it_was),
	it(a_token_is_refused_with_a_known_secret_or_an_unknown_org),
	it(the_latest_use_of_a_token_is_kept), it(a_token_is_deleted_once),
	it(functions_are_listed_by_org_and_name), it(a_function_comes_back_as_it_was_updated),
	it(a_route_belongs_to_one_function_of_an_org),
	it(a_function_is_refused_twice_and_without_its_org),
	it(a_function_goes_with_its_versions_and_its_calls_stay),
	it(versions_are_listed_by_number_and_not_by_its_digits),
	it(a_version_comes_back_as_it_was_updated), it(a_text_that_is_absent_is_kept_as_empty),
	it(a_version_is_refused_twice_and_without_its_function),
	it(a_build_is_found_as_it_was_last_put), it(old_builds_that_no_version_uses_are_forgotten),
	it(what_a_meter_counts_is_added_up),
	it(meters_are_listed_by_hour_and_function_within_the_hours_asked_for),
	it(a_meter_of_an_absent_org_is_refused),
	it(an_org_goes_with_all_that_is_its_own_and_nothing_else))
