/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"

#include <string.h>

#include "base/str.h"

/* SQLite may have undone the whole transaction under a work() that goes on after an error: what
 * it writes now would be committed by itself. */
int
row_stmt_init(struct row_stmt *stmt, struct store_db *db, const char *sql, struct err *err)
{
	if (!store_sqlite_is_in_transaction(db))
		return err_set(err, ERR_SYSTEM, "the store undid the transaction");
	stmt->db = db;
	return store_sqlite_prepare(db, sql, &stmt->stmt, err);
}

/* Binding fails only for an index that the statement does not have, or when memory is out. */
void
row_stmt_bind_text(struct row_stmt *stmt, int index, const char *text)
{
	must(sqlite3_bind_text(stmt->stmt, index, text, -1, SQLITE_STATIC) == SQLITE_OK);
}

/* SQLite takes a NULL pointer for an SQL NULL. */
static void
row_stmt_bind_bytes(struct row_stmt *stmt, int index, struct str bytes)
{
	must(sqlite3_bind_blob64(stmt->stmt, index, bytes.len ? bytes.at : "", bytes.len,
		     SQLITE_STATIC) == SQLITE_OK);
}

void
row_stmt_bind_u64(struct row_stmt *stmt, int index, uint64_t number)
{
	must(number <= INT64_MAX);
	must(sqlite3_bind_int64(stmt->stmt, index, (int64_t)number) == SQLITE_OK);
}

static uint64_t
row_stmt_load(const struct row_stmt_field *field, const char *at)
{
	switch (field->kind) {
	case ROW_U64:
		return *(const uint64_t *)at;
	case ROW_U32:
		return *(const uint32_t *)at;
	case ROW_U16:
		return *(const uint16_t *)at;
	case ROW_U8:
		return *(const uint8_t *)at;
	default:
		return *(const bool *)at;
	}
}

static void
row_stmt_store(const struct row_stmt_field *field, char *at, uint64_t number)
{
	switch (field->kind) {
	case ROW_U64:
		*(uint64_t *)at = number;
		break;
	case ROW_U32:
		*(uint32_t *)at = number;
		break;
	case ROW_U16:
		*(uint16_t *)at = number;
		break;
	case ROW_U8:
		*(uint8_t *)at = number;
		break;
	default:
		*(bool *)at = number;
	}
}

void
row_stmt_bind_row(struct row_stmt *stmt, const struct row_stmt_shape *shape, const void *row)
{
	for (unsigned i = 0; i < shape->n_fields; i++) {
		const struct row_stmt_field *field = &shape->fields[i];
		const char *at = (const char *)row + field->offset;
		const char *text;

		if (field->kind == ROW_CHARS) {
			must(memchr(at, '\0', field->size));
			row_stmt_bind_text(stmt, i + 1, at);
		} else if (field->kind == ROW_TEXT) {
			text = *(const char *const *)at;
			row_stmt_bind_text(stmt, i + 1, text ? text : "");
		} else if (field->kind == ROW_BYTES) {
			row_stmt_bind_bytes(stmt, i + 1, *(const struct str *)at);
		} else {
			row_stmt_bind_u64(stmt, i + 1, row_stmt_load(field, at));
		}
	}
}

static void
row_stmt_read_chars(sqlite3_stmt *stmt, int column, char *ret, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);
	size_t n = text ? strnlen(text, size - 1) : 0;

	memcpy(ret, text ? text : "", n);
	ret[n] = '\0';
}

static void
row_stmt_read_row(sqlite3_stmt *stmt, const struct row_stmt_shape *shape, void *ret)
{
	for (unsigned i = 0; i < shape->n_fields; i++) {
		const struct row_stmt_field *field = &shape->fields[i];
		char *at = (char *)ret + field->offset;

		if (field->kind == ROW_CHARS)
			row_stmt_read_chars(stmt, i, at, field->size);
		else if (field->kind == ROW_TEXT)
			*(const char **)at = (const char *)sqlite3_column_text(stmt, i);
		else if (field->kind == ROW_BYTES)
			*(struct str *)at =
				str_n(sqlite3_column_blob(stmt, i), sqlite3_column_bytes(stmt, i));
		else
			row_stmt_store(field, at, sqlite3_column_int64(stmt, i));
	}
}

int
row_stmt_next(struct row_stmt *stmt, const struct row_stmt_shape *shape, void *ret, struct err *err)
{
	int step = sqlite3_step(stmt->stmt);

	if (step == SQLITE_DONE)
		return 0;
	if (step != SQLITE_ROW)
		return store_sqlite_err(stmt->db->sqlite, err);
	row_stmt_read_row(stmt->stmt, shape, ret);
	return 1;
}

int
row_stmt_change(struct row_stmt *stmt, struct err *err)
{
	int rc = 0;

	if (sqlite3_step(stmt->stmt) != SQLITE_DONE)
		rc = store_sqlite_err(stmt->db->sqlite, err);
	sqlite3_reset(stmt->stmt);
	return rc < 0 ? rc : sqlite3_changes(stmt->db->sqlite);
}

int
row_stmt_change_one(struct row_stmt *stmt, const char *noun, struct err *err)
{
	int n = row_stmt_change(stmt, err);

	if (!n)
		return err_set(err, ERR_NOT_FOUND, "there is no such %s", noun);
	return n < 0 ? n : 0;
}

int
row_stmt_write(struct store_db *db, const char *sql, const struct row_stmt_shape *shape,
	const void *row, struct err *err)
{
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_row(&stmt, shape, row);
	return row_stmt_change_one(&stmt, shape->noun, err);
}

int
row_stmt_delete(struct store_db *db, const char *sql, const char *noun, const char *const *keys,
	unsigned n_keys, struct err *err)
{
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n_keys; i++)
		row_stmt_bind_text(&stmt, i + 1, keys[i]);
	return row_stmt_change_one(&stmt, noun, err);
}
