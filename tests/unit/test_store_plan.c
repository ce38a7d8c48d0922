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

/* Small tables are read whole when the daemon starts: in the order of their key. */
static bool
is_allowed_scan(const char *step)
{
	static const char *const allowed[] = {"SCAN org", "SCAN token", "SCAN function",
		"SCAN version USING INDEX sqlite_autoindex_version_1", "SCAN CONSTANT ROW"};

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
	assert_int_equal(n, 35);
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
	assert_int_equal(n, 7);
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

UNIT_TESTS(it(no_statement_reads_a_big_table_whole_or_sorts), it(every_foreign_key_has_an_index),
	it(a_scan_and_a_sort_are_recognised))
