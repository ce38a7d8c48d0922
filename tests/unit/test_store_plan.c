/* SPDX-License-Identifier: Apache-2.0 */
/* How SQLite answers each question: by search in an index and in the order of an index. Every
 * statement in the cache is looked at, and every function of rows.h is called to bring it there. */
#include "store_unit.h"

#include <string.h>

#include "store/blob.h"

static bool
ignore_org(const struct row_org *row, void *arg)
{
	return true;
}

static bool
ignore_token(const struct row_token *row, void *arg)
{
	return true;
}

static bool
ignore_function(const struct row_function *row, void *arg)
{
	return true;
}

static bool
ignore_version(const struct row_version *row, void *arg)
{
	return true;
}

static bool
ignore_call(const struct row_call *row, void *arg)
{
	return true;
}

static void
ignore_found(const struct row_call *row, void *arg)
{
}

static bool
ignore_meter(const struct row_meter *row, void *arg)
{
	return true;
}

static void
ask_small_nouns(struct rows *rows) ON_STORE
{
	struct store_db *db = &rows->db;
	struct row_org org = org_named("acme");
	struct row_token token = {.id = "1"};
	struct row_function function = function_named("acme", "b");
	struct row_version version = version_of("acme", "a", 2);

	row_org_update(db, &org, NULL);
	row_org_delete(db, "none", NULL);
	row_org_list(db, ignore_org, NULL, NULL);
	row_token_insert(db, &token, NULL);
	row_token_used(db, "1", 1, NULL);
	row_token_list(db, ignore_token, NULL, NULL);
	row_token_delete(db, "1", NULL);
	row_function_insert(db, &function, NULL);
	row_function_update(db, &function, NULL);
	row_function_list(db, ignore_function, NULL, NULL);
	row_function_delete(db, "acme", "b", NULL);
	row_version_insert(db, &version, NULL);
	row_version_update(db, &version, NULL);
	row_version_list(db, ignore_version, NULL, NULL);
	row_version_delete(db, "acme", "a", 2, NULL);
}

static void
ask_calls(struct rows *rows) ON_STORE
{
	static const char *const codes[] = {NULL, "ok", "timeout"};
	struct store_db *db = &rows->db;
	struct row_call_query query = {.org = "acme", .n = 10};
	unsigned n;

	row_call_find(db, "acme", "1", ignore_found, NULL, NULL);
	for (unsigned i = 0; i < 12; i++) {
		query.function = i % 2 ? "a" : NULL;
		query.is_failed_only = i / 2 % 2;
		query.code = codes[i / 4];
		row_call_list(db, &query, ignore_call, NULL, NULL);
	}
	row_call_trim(db, 1, 0, 10, &n, NULL);
}

static bool
ignore_delivery(const struct row_delivery *row, void *arg)
{
	return true;
}

static void
ignore_found_delivery(const struct row_delivery *row, void *arg)
{
}

static bool
ignore_delivery_count(const struct row_delivery_count *count, void *arg)
{
	return true;
}

static bool
ignore_attempt(const struct row_attempt *row, void *arg)
{
	return true;
}

static bool
ignore_event(const struct row_event *row, void *arg)
{
	return true;
}

static bool
ignore_trigger(const struct row_trigger *row, void *arg)
{
	return true;
}

static bool
ignore_schedule(const struct row_schedule *row, void *arg)
{
	return true;
}

static void
ask_deliveries(struct rows *rows) ON_STORE
{
	struct store_db *db = &rows->db;
	struct row_delivery delivery = delivery_of("acme", "a", 1);
	struct row_attempt attempt = {.number = 1};
	struct row_delivery_query query = {.org = "acme", .n = 10};
	char known[ID_ULID_SIZE];
	unsigned n;

	delivery.idempotency_key = "key";
	row_delivery_insert(db, &delivery, 0, known, NULL);
	row_delivery_update(db, &delivery, NULL);
	row_delivery_find(db, "acme", delivery.id, ignore_found_delivery, NULL, NULL);
	row_delivery_next(db, "acme", "a", 0, "", 10, 10, ignore_delivery, NULL, NULL);
	row_delivery_count(db, ignore_delivery_count, NULL, NULL);
	for (unsigned i = 0; i < 6; i++) {
		query.function = i % 2 ? "a" : NULL;
		query.state = (int)i / 2 - 1;
		row_delivery_list(db, &query, ignore_delivery, NULL, NULL);
	}
	row_delivery_purge(db, "acme", NULL, 10, &n, NULL);
	row_delivery_purge(db, "acme", "a", 10, &n, NULL);
	row_delivery_trim(db, 10, 10, &n, NULL);
	row_delivery_delete(db, "acme", "x", NULL);
	row_delivery_count_dead(db, NULL, NULL, NULL);
	row_delivery_count_sources(db, NULL, NULL, NULL, NULL);
	row_delivery_count_sources(db, "acme", NULL, NULL, NULL);
	row_attempt_put(db, &attempt, NULL);
	row_attempt_list(db, delivery.id, ignore_attempt, NULL, NULL);
}

static void
ask_events(struct rows *rows) ON_STORE
{
	struct store_db *db = &rows->db;
	struct row_event event = {.source = "", .id = ""};
	struct row_trigger trigger = {.org = "acme", .name = "t", .function = "a"};
	struct row_schedule schedule = {.org = "acme", .name = "s", .function = "a"};
	bool is_known;
	unsigned n;

	row_event_insert(db, "acme", "source", "1", 1, 0, NULL);
	row_event_trim(db, 10, 10, &n, NULL);
	row_event_is_known(db, "acme", "source", "1", 1, &is_known, NULL);
	row_event_list(db, &event, 10, ignore_event, NULL, NULL);
	row_trigger_insert(db, &trigger, NULL);
	row_trigger_update(db, &trigger, NULL);
	row_trigger_list(db, ignore_trigger, NULL, NULL);
	row_trigger_delete(db, "acme", "t", NULL);
	row_schedule_insert(db, &schedule, NULL);
	row_schedule_update(db, &schedule, NULL);
	row_schedule_list(db, ignore_schedule, NULL, NULL);
	row_schedule_delete(db, "acme", "s", NULL);
}

static void
ask_everything(struct rows *rows) ON_STORE
{
	struct store_db *db = &rows->db;
	struct row_meter meter = {.org = "acme", .function = "a"};
	char digest[ID_SHA256_SIZE];
	unsigned n;

	ask_small_nouns(rows);
	add_call(rows, "acme", "a", 1);
	ask_calls(rows);
	ask_deliveries(rows);
	ask_events(rows);
	row_build_put(db, "key", "acme", HASH_A, 1, NULL);
	row_build_find(db, "key", digest, NULL);
	row_build_trim(db, 1, &n, NULL);
	row_meter_add(db, &meter, NULL);
	row_meter_list(db, "acme", 0, 10, ignore_meter, NULL, NULL);
	ok(rows, blob_put(db, STR("bytes"), digest, &rows->err));
	ok(rows, blob_sweep(db, 0, &n, &rows->err));
	store_sqlite_savepoint(db, NULL);
	store_sqlite_undo(db);
}

/* Small tables are read whole when the daemon starts, in the order of their key; and the indexes
 * of what is queued and of what is dead, which hold nothing else. */
static bool
is_allowed_scan(const char *step)
{
	static const char *const allowed[] = {"SCAN org", "SCAN token", "SCAN function",
		"SCAN version USING INDEX sqlite_autoindex_version_1", "SCAN CONSTANT ROW",
		"SCAN trigger", "SCAN schedule", "SCAN delivery USING INDEX delivery_queued",
		"SCAN delivery USING INDEX delivery_dead",
		"SCAN delivery USING COVERING INDEX delivery_by_source"};

	for (unsigned i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		if (!strcmp(step, allowed[i]))
			return true;
	return false;
}

/* The first step of the plan that reads a whole table or sorts; "" where there is none. */
static void
find_fault(sqlite3 *sqlite, const char *sql, char *ret, size_t size)
{
	OWN(mem) char *question = mem_printf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *plan;

	*ret = '\0';
	assert_int_equal(sqlite3_prepare_v2(sqlite, question, -1, &plan, NULL), SQLITE_OK);
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *step = (const char *)sqlite3_column_text(plan, 3);

		if ((!strncmp(step, "SCAN ", 5) && !is_allowed_scan(step)) ||
			strstr(step, "TEMP B-TREE"))
			snprintf(ret, size, "%s", step);
	}
	sqlite3_finalize(plan);
}

/* Savepoints and the begin of a transaction have no plan. */
static bool
is_boundary(const char *sql)
{
	return strstr(sql, "BEGIN") == sql || strstr(sql, "SAVEPOINT") == sql ||
	       strstr(sql, "RELEASE") == sql || strstr(sql, "ROLLBACK") == sql;
}

static void
no_statement_reads_a_big_table_whole_or_sorts(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	sqlite3_stmt *stmt = NULL;
	unsigned n = 0, n_faults = 0;
	char fault[200];

	ask_everything(rows);
	for (unsigned i = 0; i < STORE_STATEMENTS; i++) {
		stmt = rows->db.statements[i].stmt;
		if (!stmt || is_boundary(sqlite3_sql(stmt)))
			continue;
		find_fault(rows->db.sqlite, sqlite3_sql(stmt), fault, sizeof(fault));
		if (fault[0])
			print_error("%s\n  in %s\n", fault, sqlite3_sql(stmt));
		n_faults += fault[0] != '\0';
		n++;
	}
	assert_int_equal(n_faults, 0);
	assert_int_equal(n, 67);
}

/* An index of what is queued in another order than it is asked for reads the whole queue for each
 * hand-over. */
static void
what_is_queued_is_searched_by_its_due_time(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	sqlite3_stmt *stmt, *plan = NULL;

	row_delivery_next(&rows->db, "acme", "a", 0, "", 10, 10, ignore_delivery, NULL, NULL);
	for (unsigned i = 0; i < STORE_STATEMENTS && !plan; i++) {
		stmt = rows->db.statements[i].stmt;
		if (stmt && strstr(sqlite3_sql(stmt), "ORDER BY due_ms, id")) {
			OWN(mem) char *ask = mem_printf("EXPLAIN QUERY PLAN %s", sqlite3_sql(stmt));

			assert_int_equal(sqlite3_prepare_v2(rows->db.sqlite, ask, -1, &plan, NULL),
				SQLITE_OK);
		}
	}
	assert_int_equal(sqlite3_step(plan), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(plan, 3),
		"SEARCH delivery USING INDEX delivery_queued"
		" (org=? AND function=? AND (due_ms,id)>(?,?) AND due_ms<?)");
	assert_int_equal(sqlite3_step(plan), SQLITE_DONE);
	sqlite3_finalize(plan);
}

/* Who looks at the triggers of one org does not have what waits of all others counted. */
static void
what_waits_of_an_org_is_counted_in_its_part_of_the_index(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	sqlite3_stmt *stmt, *plan = NULL;

	row_delivery_count_sources(&rows->db, "acme", NULL, NULL, NULL);
	for (unsigned i = 0; i < STORE_STATEMENTS && !plan; i++) {
		stmt = rows->db.statements[i].stmt;
		if (stmt && strstr(sqlite3_sql(stmt), "GROUP BY org, origin, source")) {
			OWN(mem) char *ask = mem_printf("EXPLAIN QUERY PLAN %s", sqlite3_sql(stmt));

			assert_int_equal(sqlite3_prepare_v2(rows->db.sqlite, ask, -1, &plan, NULL),
				SQLITE_OK);
		}
	}
	assert_int_equal(sqlite3_step(plan), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(plan, 3),
		"SEARCH delivery USING COVERING INDEX delivery_by_source (org=?)");
	assert_int_equal(sqlite3_step(plan), SQLITE_DONE);
	sqlite3_finalize(plan);
}

/* SQLite looks for the children of each row it deletes by a question of its own. */
static void
every_foreign_key_has_an_index(void **state)
{
	static const char sql[] = "SELECT 'SELECT 1 FROM ' || t.name || ' WHERE ' ||"
				  " group_concat(k.\"from\" || ' = ?', ' AND ')"
				  " FROM pragma_table_list t, pragma_foreign_key_list(t.name) k"
				  " WHERE t.schema = 'main' GROUP BY t.name, k.id";
	OWN(rows) struct rows *rows = rows_open();
	sqlite3_stmt *keys;
	char fault[200];
	unsigned n = 0;

	assert_int_equal(sqlite3_prepare_v2(rows->db.sqlite, sql, -1, &keys, NULL), SQLITE_OK);
	for (; sqlite3_step(keys) == SQLITE_ROW; n++) {
		const char *question = (const char *)sqlite3_column_text(keys, 0);

		find_fault(rows->db.sqlite, question, fault, sizeof(fault));
		if (fault[0])
			print_error("%s\n  in %s\n", fault, question);
		assert_string_equal(fault, "");
	}
	sqlite3_finalize(keys);
	assert_int_equal(n, 13);
}

static void
a_scan_and_a_sort_are_recognised(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	char fault[200];

	find_fault(rows->db.sqlite, "SELECT * FROM call WHERE path = ?", fault, sizeof(fault));
	assert_string_equal(fault, "SCAN call");
	find_fault(rows->db.sqlite, "SELECT * FROM org ORDER BY settings", fault, sizeof(fault));
	assert_string_equal(fault, "USE TEMP B-TREE FOR ORDER BY");
}

UNIT_TESTS(it(no_statement_reads_a_big_table_whole_or_sorts),
	it(what_is_queued_is_searched_by_its_due_time),
	it(what_waits_of_an_org_is_counted_in_its_part_of_the_index),
	it(every_foreign_key_has_an_index), it(a_scan_and_a_sort_are_recognised))
