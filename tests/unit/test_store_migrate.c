/* SPDX-License-Identifier: Apache-2.0 */
#include "store_unit.h"

#include <string.h>

static const char *const steps[] = {
	"CREATE TABLE parent (id PRIMARY KEY); CREATE TABLE child (parent REFERENCES parent);",
	"INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1);",
	"CREATE TABLE third (a); INSERT INTO nowhere VALUES (1);",
	"CREATE TABLE fourth (a); INSERT INTO child VALUES (99);",
};

struct bare {
	sqlite3 *sqlite;
	struct err err;
};

static struct bare
bare_open(void)
{
	struct bare bare = {NULL};

	assert_int_equal(sqlite3_open(":memory:", &bare.sqlite), SQLITE_OK);
	return bare;
}

static void
own_bare(struct bare *bare)
{
	sqlite3_close(bare->sqlite);
}

static int64_t
ask(sqlite3 *sqlite, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(store_sqlite_number(sqlite, sql, &n, NULL), 0);
	return n;
}

static void
steps_run_once_each_and_in_order(void **state)
{
	OWN(bare) struct bare bare = bare_open();

	assert_int_equal(store_migrate(bare.sqlite, steps, 1, &bare.err), 0);
	assert_int_equal(ask(bare.sqlite, "PRAGMA user_version"), 1);
	assert_int_equal(store_migrate(bare.sqlite, steps, 2, &bare.err), 0);
	assert_int_equal(store_migrate(bare.sqlite, steps, 2, &bare.err), 0);
	assert_int_equal(ask(bare.sqlite, "PRAGMA user_version"), 2);
	assert_int_equal(ask(bare.sqlite, "SELECT count(*) FROM child"), 1);
}

static void
a_step_that_fails_leaves_the_version_before_it(void **state)
{
	OWN(bare) struct bare bare = bare_open();

	assert_true(store_migrate(bare.sqlite, steps, 3, &bare.err) < 0);
	assert_non_null(strstr(bare.err.text, "bringing the schema to version 3"));
	assert_non_null(strstr(bare.err.text, "nowhere"));
	assert_int_equal(ask(bare.sqlite, "PRAGMA user_version"), 2);
	assert_int_equal(
		ask(bare.sqlite, "SELECT count(*) FROM sqlite_schema WHERE name = 'third'"), 0);
	assert_int_equal(ask(bare.sqlite, "SELECT count(*) FROM child"), 1);
}

static void
a_step_that_leaves_rows_pointing_nowhere_is_undone(void **state)
{
	OWN(bare) struct bare bare = bare_open();
	const char *const dangling[] = {steps[0], steps[1], steps[3]};

	assert_int_equal(store_migrate(bare.sqlite, dangling, 3, &bare.err), ERR_INTERNAL);
	assert_non_null(strstr(bare.err.text, "1 rows would point nowhere"));
	assert_int_equal(ask(bare.sqlite, "PRAGMA user_version"), 2);
}

static void
a_newer_schema_is_refused_with_both_numbers(void **state)
{
	OWN(bare) struct bare bare = bare_open();

	assert_int_equal(store_migrate(bare.sqlite, steps, 2, &bare.err), 0);
	assert_int_equal(store_migrate(bare.sqlite, steps, 1, &bare.err), ERR_SYSTEM);
	assert_non_null(strstr(bare.err.text, "version 2"));
	assert_non_null(strstr(bare.err.text, "up to 1"));
}

/* All that makes up a schema, as one text. */
static char *
schema_of(sqlite3 *sqlite)
{
	sqlite3_stmt *stmt;
	char *text;

	assert_int_equal(sqlite3_prepare_v2(sqlite,
				 "SELECT group_concat(type || name || coalesce(sql, ''), ';')"
				 " FROM (SELECT * FROM sqlite_schema ORDER BY type, name)",
				 -1, &stmt, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	text = str_dup(str_of((const char *)sqlite3_column_text(stmt, 0)));
	sqlite3_finalize(stmt);
	return text;
}

static void
every_earlier_version_becomes_the_newest(void **state)
{
	OWN(rows) struct rows *newest = rows_open();
	OWN(mem) char *want = schema_of(newest->db.sqlite);

	for (int from = 0; from <= store_migrate_n_steps; from++) {
		OWN(bare) struct bare bare = bare_open();
		OWN(mem) char *got = NULL;

		assert_int_equal(
			store_migrate(bare.sqlite, store_migrate_steps, from, &bare.err), 0);
		assert_int_equal(store_migrate(bare.sqlite, store_migrate_steps,
					 store_migrate_n_steps, &bare.err),
			0);
		assert_int_equal(ask(bare.sqlite, "PRAGMA user_version"), store_migrate_n_steps);
		got = schema_of(bare.sqlite);
		assert_string_equal(got, want);
	}
	assert_non_null(strstr(want, "CREATE TABLE meter"));
}

static void
what_version_2_held_is_there_in_version_3(void **state)
{
	static const char rows_of_2[] =
		"INSERT INTO org VALUES ('acme', 1, '{}');"
		"INSERT INTO function VALUES ('acme', 'a', 'a', 1, 1, 1, 1);"
		"INSERT INTO call VALUES ('01', 'acme', 'a', 1, 'http', 'GET', '/', 200, 'ok', '',"
		" 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 'log');";
	OWN(bare) struct bare bare = bare_open();

	assert_int_equal(store_migrate(bare.sqlite, store_migrate_steps, 2, &bare.err), 0);
	assert_int_equal(store_sqlite_exec(bare.sqlite, rows_of_2, &bare.err), 0);
	assert_int_equal(store_migrate(bare.sqlite, store_migrate_steps, 3, &bare.err), 0);
	assert_int_equal(ask(bare.sqlite, "SELECT count(*) FROM call, function, org"), 1);
	assert_int_equal(ask(bare.sqlite, "SELECT egress_out FROM call WHERE id = '01'"), 9);
	assert_int_equal(
		ask(bare.sqlite,
			"SELECT (SELECT count(*) FROM delivery) + (SELECT count(*) FROM attempt)"
			" + (SELECT count(*) FROM event) + (SELECT count(*) FROM trigger)"
			" + (SELECT count(*) FROM schedule)"),
		0);
}

static void
triggers_and_deliveries_of_version_3_are_there_in_version_4(void **state)
{
	static const char rows_of_3[] =
		"INSERT INTO org VALUES ('acme', 1, '{}');"
		"INSERT INTO function VALUES ('acme', 'a', 'a', 1, 1, 1, 1);"
		"INSERT INTO trigger VALUES ('acme', 't', 'a', '{}', 1, 2, 3);"
		"INSERT INTO delivery VALUES ('01', 'acme', 'a', 0, 0, 'async', '', 0, 0, 1, 1, 1, "
		"0,"
		" '', '', '', '', '', 0, '', '', '', x'', x'0102', x'');"
		"INSERT INTO attempt VALUES ('01', 1, '02', 1, 1, 1, 200, 'ok', '', '');";
	OWN(bare) struct bare bare = bare_open();

	assert_int_equal(store_migrate(bare.sqlite, store_migrate_steps, 3, &bare.err), 0);
	assert_int_equal(store_sqlite_exec(bare.sqlite, rows_of_3, &bare.err), 0);
	assert_int_equal(store_migrate(bare.sqlite, store_migrate_steps, 4, &bare.err), 0);
	assert_int_equal(
		ask(bare.sqlite,
			"SELECT count(*) FROM trigger, delivery, attempt WHERE hops = 0 AND"
			" trigger.function = 'a' AND body = x'0102'"),
		1);
	assert_int_equal(store_sqlite_exec(bare.sqlite,
				 "PRAGMA foreign_keys = ON; INSERT INTO trigger VALUES ('acme', "
				 "'u', NULL, '{}', 1, 2, 3);"
				 "DELETE FROM function",
				 &bare.err),
		0);
	assert_int_equal(ask(bare.sqlite, "SELECT count(*) FROM trigger WHERE name = 'u'"), 1);
	assert_int_equal(ask(bare.sqlite, "SELECT count(*) FROM trigger"), 1);
	assert_int_equal(store_sqlite_exec(bare.sqlite, "DELETE FROM org", &bare.err), 0);
	assert_int_equal(ask(bare.sqlite, "SELECT (SELECT count(*) FROM trigger)"
					  " + (SELECT count(*) FROM delivery)"),
		0);
}

UNIT_TESTS(it(steps_run_once_each_and_in_order), it(a_step_that_fails_leaves_the_version_before_it),
	it(a_step_that_leaves_rows_pointing_nowhere_is_undone),
	it(a_newer_schema_is_refused_with_both_numbers),
	it(every_earlier_version_becomes_the_newest), it(what_version_2_held_is_there_in_version_3),
	it(triggers_and_deliveries_of_version_3_are_there_in_version_4))
