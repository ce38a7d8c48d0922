/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_unit - a database of their own for the tests of the store's room.
 *
 *	OWN(rows) struct rows *rows = rows_open();    open, in a transaction, with org "acme"
 *
 * Row functions are called on the test's own thread, without a store thread.
 */
#ifndef MAYFLY_STORE_UNIT_H
#define MAYFLY_STORE_UNIT_H

#include "unit.h"

#include "store/rows.h"
#include "store/store_db.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct rows {
	struct store_db db;
	struct err err;
	char *folder;
};

static inline void
ok_(int rc, const struct err *err, const char *file, int line)
{
	if (rc < 0)
		print_error("%s: %s\n", err_word(rc), err->text);
	_assert_true(rc >= 0, "rc >= 0", file, line);
}
#define ok(rows, call) ok_((call), &(rows)->err, __FILE__, __LINE__)

static inline struct row_org
org_named(const char *name)
{
	struct row_org org = {.created_ms = 1, .settings = "{}"};

	snprintf(org.name, sizeof(org.name), "%s", name);
	return org;
}

static inline void
add_org(struct rows *rows, const char *name) ON_STORE
{
	struct row_org org = org_named(name);

	ok(rows, row_org_insert(&rows->db, &org, &rows->err));
}

static inline struct row_function
function_named(const char *org, const char *name)
{
	struct row_function function = {.created_ms = 1, .updated_ms = 2};

	snprintf(function.org, sizeof(function.org), "%s", org);
	snprintf(function.name, sizeof(function.name), "%s", name);
	snprintf(function.route, sizeof(function.route), "%s", name);
	return function;
}

static inline void
add_function(struct rows *rows, const char *org, const char *name) ON_STORE
{
	struct row_function function = function_named(org, name);

	ok(rows, row_function_insert(&rows->db, &function, &rows->err));
}

static inline struct row_version
version_of(const char *org, const char *function, uint32_t number)
{
	struct row_version version = {
		.number = number,
		.state = "ready",
		.runtime = "node20",
		.handler = "index.handler",
		.source = HASH_A,
		.config = "{\"a\":1}",
		.reason = "",
		.build_log = "",
		.created_ms = 10,
		.ready_ms = 20,
	};

	snprintf(version.org, sizeof(version.org), "%s", org);
	snprintf(version.function, sizeof(version.function), "%s", function);
	return version;
}

static inline void
add_version(struct rows *rows, const char *org, const char *function, uint32_t number) ON_STORE
{
	struct row_version version = version_of(org, function, number);

	ok(rows, row_version_insert(&rows->db, &version, &rows->err));
}

/* Call ids in the order of their numbers. */
static inline struct row_call
call_of(const char *org, const char *function, unsigned number)
{
	struct row_call call = {
		.version = 1,
		.trigger = "http",
		.method = "GET",
		.path = "/hello",
		.status = 200,
		.code = "ok",
		.message = "",
		.started_ms = number,
		.log = "",
	};

	snprintf(call.id, sizeof(call.id), "01J%023u", number);
	snprintf(call.org, sizeof(call.org), "%s", org);
	snprintf(call.function, sizeof(call.function), "%s", function);
	return call;
}

static inline void
add_call(struct rows *rows, const char *org, const char *function, unsigned number) ON_STORE
{
	struct row_call call = call_of(org, function, number);

	ok(rows, row_call_insert(&rows->db, &call, &rows->err));
}

/* Delivery ids in the order of their numbers; due when it was made, at its number. */
static inline struct row_delivery
delivery_of(const char *org, const char *function, unsigned number)
{
	struct row_delivery delivery = {
		.origin = "async",
		.created_ms = number,
		.due_ms = number,
		.expires_ms = number + 1000,
		.method = "POST",
		.path = "/",
		.head = STR("{}"),
		.body = STR("payload"),
	};

	snprintf(delivery.id, sizeof(delivery.id), "01J%023u", number);
	snprintf(delivery.org, sizeof(delivery.org), "%s", org);
	snprintf(delivery.function, sizeof(delivery.function), "%s", function);
	return delivery;
}

static inline void
add_delivery(struct rows *rows, const struct row_delivery *delivery) ON_STORE
{
	char known[ID_ULID_SIZE];

	ok(rows, row_delivery_insert(&rows->db, delivery, 0, known, &rows->err));
}

static inline struct rows *
rows_open(void) THREAD_ENTERS(thread_role_store)
{
	struct rows *rows = mem_new(sizeof(*rows));

	thread_on_store();
	rows->folder = unit_folder();
	ok(rows, store_sqlite_open(&rows->db, rows->folder, &rows->err));
	ok(rows, store_sqlite_begin(&rows->db, &rows->err));
	add_org(rows, "acme");
	return rows;
}

static inline void
rows_commit(struct rows *rows)
{
	ok(rows, store_sqlite_commit(&rows->db, &rows->err));
	ok(rows, store_sqlite_begin(&rows->db, &rows->err));
}

static inline int64_t
rows_count(struct rows *rows, const char *sql)
{
	int64_t n = -1;

	ok(rows, store_sqlite_number(rows->db.sqlite, sql, &n, &rows->err));
	return n;
}

static inline void
own_rows(struct rows **rows)
{
	store_sqlite_close(&(*rows)->db);
	own_folder(&(*rows)->folder);
	free(*rows);
}

#endif
