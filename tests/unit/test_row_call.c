/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of rows.h must do with call records. */
#include "store_unit.h"

#include <string.h>

static void
add_coded(struct rows *rows, const char *function, unsigned number, const char *code) ON_STORE
{
	struct row_call call = call_of("acme", function, number);

	snprintf(call.code, sizeof(call.code), "%s", code);
	ok(rows, row_call_insert(&rows->db, &call, &rows->err));
}

/* What a list gave: the numbers joined by spaces. */
struct seen {
	char text[512];
	unsigned n, n_wanted; /* 0 wants all */
};

static bool
see_call(const struct row_call *row, void *arg)
{
	struct seen *seen = arg;
	size_t len = strlen(seen->text);

	snprintf(seen->text + len, sizeof(seen->text) - len, "%s%u", len ? " " : "",
		(unsigned)row->started_ms);
	return ++seen->n != seen->n_wanted;
}

static void
expect(struct rows *rows, struct row_call_query query, const char *numbers) ON_STORE
{
	struct seen seen = {""};

	query.org = "acme";
	query.n = query.n ? query.n : 100;
	ok(rows, row_call_list(&rows->db, &query, see_call, &seen, &rows->err));
	assert_string_equal(seen.text, numbers);
}

static struct row_call
full_call(void)
{
	return (struct row_call){
		.id = "01JABCDEFGHJKMNPQRSTVWXYZ0",
		.org = "acme",
		.function = "hello",
		.version = 4000000000u,
		.trigger = "direct",
		.method = "PATCH",
		.path = "/a/ü",
		.status = 502,
		.code = "memory_exceeded",
		.message = "more than 64 MiB",
		.started_ms = 1700000000000,
		.queue_us = 1,
		.wall_us = 2,
		.cpu_us = 3,
		.memory_peak_bytes = 1ull << 40,
		.bytes_in = 5,
		.bytes_out = 6,
		.is_cold = true,
		.is_log_truncated = true,
		.log = "{\"t\":1,\"s\":\"out\",\"m\":\"hi\"}\n",
	};
}

static void
check_full(const struct row_call *row, void *arg)
{
	struct row_call want = full_call();
	unsigned *n = arg;

	++*n;
	assert_string_equal(row->id, want.id);
	assert_string_equal(row->org, want.org);
	assert_string_equal(row->function, want.function);
	assert_int_equal(row->version, want.version);
	assert_string_equal(row->trigger, want.trigger);
	assert_string_equal(row->method, want.method);
	assert_string_equal(row->path, want.path);
	assert_int_equal(row->status, want.status);
	assert_string_equal(row->code, want.code);
	assert_string_equal(row->message, want.message);
	assert_int_equal(row->started_ms, want.started_ms);
	assert_int_equal(row->queue_us, want.queue_us);
	assert_int_equal(row->wall_us, want.wall_us);
	assert_int_equal(row->cpu_us, want.cpu_us);
	assert_true(row->memory_peak_bytes == want.memory_peak_bytes);
	assert_int_equal(row->bytes_in, want.bytes_in);
	assert_int_equal(row->bytes_out, want.bytes_out);
	assert_true(row->is_cold);
	assert_true(row->is_log_truncated);
	assert_string_equal(row->log, want.log);
}

static void
a_call_is_found_whole_with_its_log(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call call = full_call();
	unsigned n = 0;

	ok(rows, row_call_insert(&rows->db, &call, &rows->err));
	ok(rows, row_call_find(&rows->db, "acme", call.id, check_full, &n, &rows->err));
	assert_int_equal(n, 1);
}

static void
a_call_is_not_found_by_another_org(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call call = full_call();
	unsigned n = 0;

	add_org(rows, "bee");
	ok(rows, row_call_insert(&rows->db, &call, &rows->err));
	assert_int_equal(row_call_find(&rows->db, "bee", call.id, check_full, &n, &rows->err),
		ERR_NOT_FOUND);
	assert_int_equal(n, 0);
}

static void
a_call_is_refused_twice_and_without_its_org(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call call = call_of("acme", "hello", 1);
	struct row_call homeless = call_of("none", "hello", 1);

	add_call(rows, "acme", "hello", 1);
	assert_int_equal(row_call_insert(&rows->db, &call, &rows->err), ERR_CONFLICT);
	assert_string_equal(rows->err.field, "id");
	assert_int_equal(row_call_insert(&rows->db, &homeless, &rows->err), ERR_NOT_FOUND);
}

static void
calls_are_listed_newest_first_for_their_org_alone(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	add_org(rows, "bee");
	add_call(rows, "bee", "hello", 9);
	add_call(rows, "acme", "hello", 2);
	add_call(rows, "acme", "other", 3);
	add_call(rows, "acme", "hello", 1);
	expect(rows, (struct row_call_query){.n = 100}, "3 2 1");
	expect(rows, (struct row_call_query){.function = "hello"}, "2 1");
	expect(rows, (struct row_call_query){.function = "none"}, "");
}

static void
calls_are_paged_from_both_sides(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call two = call_of("acme", "a", 2), five = call_of("acme", "a", 5);

	for (unsigned i = 1; i <= 6; i++)
		add_call(rows, "acme", i % 2 ? "a" : "b", i);
	expect(rows, (struct row_call_query){.n = 2}, "6 5");
	expect(rows, (struct row_call_query){.n = 2, .before = five.id}, "4 3");
	expect(rows, (struct row_call_query){.after = two.id}, "6 5 4 3");
	expect(rows, (struct row_call_query){.before = five.id, .after = two.id}, "4 3");
	expect(rows, (struct row_call_query){.before = five.id, .function = "a"}, "3 1");
	expect(rows, (struct row_call_query){.after = five.id, .function = "b", .n = 1}, "6");
}

static void
calls_are_filtered_by_what_became_of_them(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	add_coded(rows, "a", 1, "ok");
	add_coded(rows, "a", 2, "timeout");
	add_coded(rows, "b", 3, "timeout");
	add_coded(rows, "a", 4, "memory_exceeded");
	add_coded(rows, "b", 5, "ok");
	expect(rows, (struct row_call_query){.is_failed_only = true}, "4 3 2");
	expect(rows, (struct row_call_query){.is_failed_only = true, .function = "a"}, "4 2");
	expect(rows, (struct row_call_query){.code = "timeout"}, "3 2");
	expect(rows, (struct row_call_query){.code = "timeout", .function = "a"}, "2");
	expect(rows, (struct row_call_query){.code = "timeout", .is_failed_only = true}, "3 2");
	expect(rows, (struct row_call_query){.code = "ok"}, "5 1");
	expect(rows, (struct row_call_query){.code = "ok", .function = "b"}, "5");
	expect(rows, (struct row_call_query){.code = "ok", .is_failed_only = true}, "");
}

static bool
see_log(const struct row_call *row, void *arg)
{
	*(char **)arg = row->log ? str_dup(str_of(row->log)) : NULL;
	return true;
}

static void
a_list_gives_logs_only_when_asked(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call call = full_call();
	struct row_call_query query = {.org = "acme", .n = 1};
	OWN(mem) char *without = str_dup(STR("untouched"));
	OWN(mem) char *with = NULL;

	free(take_ptr(&without));
	ok(rows, row_call_insert(&rows->db, &call, &rows->err));
	ok(rows, row_call_list(&rows->db, &query, see_log, &without, &rows->err));
	assert_null(without);
	query.is_with_log = true;
	ok(rows, row_call_list(&rows->db, &query, see_log, &with, &rows->err));
	assert_string_equal(with, call.log);
}

static void
a_list_ends_at_the_n_asked_for_at_a_thousand_or_when_each_gives_false(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_call_query query = {.org = "acme", .n = 5000};
	struct seen all = {""}, none = {""}, two = {.n_wanted = 2};

	for (unsigned i = 1; i <= 1001; i++)
		add_call(rows, "acme", "a", i);
	ok(rows, row_call_list(&rows->db, &query, see_call, &all, &rows->err));
	assert_int_equal(all.n, 1000);
	ok(rows, row_call_list(&rows->db, &query, see_call, &two, &rows->err));
	assert_string_equal(two.text, "1001 1000");
	query.n = 0;
	ok(rows, row_call_list(&rows->db, &query, see_call, &none, &rows->err));
	assert_int_equal(none.n, 0);
}

/* ---- trim ---- */

static void
trim(struct rows *rows, uint64_t before_ms, unsigned keep, unsigned n, unsigned want) ON_STORE
{
	unsigned n_removed = 12345;

	ok(rows, row_call_trim(&rows->db, before_ms, keep, n, &n_removed, &rows->err));
	assert_int_equal(n_removed, want);
}

static void
calls_that_are_too_old_are_trimmed_oldest_first(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	for (unsigned i = 1; i <= 6; i++)
		add_call(rows, "acme", "a", i);
	trim(rows, 4, 100, 2, 2);
	expect(rows, (struct row_call_query){.n = 100}, "6 5 4 3");
	trim(rows, 4, 100, 2, 1);
	trim(rows, 4, 100, 2, 0);
	expect(rows, (struct row_call_query){.n = 100}, "6 5 4");
}

static void
the_newest_calls_of_each_function_are_kept(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	for (unsigned i = 1; i <= 9; i++)
		add_call(rows, "acme", i % 3 ? "busy" : "quiet", i);
	trim(rows, 0, 4, 100, 2);
	expect(rows, (struct row_call_query){.function = "busy"}, "8 7 5 4");
	expect(rows, (struct row_call_query){.function = "quiet"}, "9 6 3");
	trim(rows, 0, 1, 100, 5);
	expect(rows, (struct row_call_query){.n = 100}, "9 8");
	trim(rows, 0, 0, 100, 2);
	expect(rows, (struct row_call_query){.n = 100}, "");
}

static void
one_turn_of_trimming_is_bounded_over_functions_and_the_next_goes_on(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	for (unsigned i = 1; i <= 12; i++)
		add_call(rows, "acme", i % 2 ? "a" : "b", i);
	trim(rows, 0, 2, 5, 5);
	trim(rows, 0, 2, 5, 3);
	trim(rows, 0, 2, 5, 0);
	expect(rows, (struct row_call_query){.n = 100}, "12 11 10 9");
}

static void
calls_are_counted_through_inserts_trims_and_undone_work(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	for (unsigned i = 1; i <= 5; i++)
		add_call(rows, "acme", "a", i);
	rows_commit(rows);
	ok(rows, store_sqlite_savepoint(&rows->db, &rows->err));
	add_call(rows, "acme", "a", 6);
	store_sqlite_undo(&rows->db);
	trim(rows, 2, 100, 100, 1);
	assert_int_equal(rows_count(rows, "SELECT n FROM call_count"), 4);
	trim(rows, 100, 100, 100, 4);
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM call_count"), 0);
}

UNIT_TESTS(it(a_call_is_found_whole_with_its_log), it(a_call_is_not_found_by_another_org),
	it(a_call_is_refused_twice_and_without_its_org),
	it(calls_are_listed_newest_first_for_their_org_alone), it(calls_are_paged_from_both_sides),
	it(calls_are_filtered_by_what_became_of_them), it(a_list_gives_logs_only_when_asked),
	it(a_list_ends_at_the_n_asked_for_at_a_thousand_or_when_each_gives_false),
	it(calls_that_are_too_old_are_trimmed_oldest_first),
	it(the_newest_calls_of_each_function_are_kept),
	it(one_turn_of_trimming_is_bounded_over_functions_and_the_next_goes_on),
	it(calls_are_counted_through_inserts_trims_and_undone_work))
