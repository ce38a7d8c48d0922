/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_token, id),
	ROW_FIELD(CHARS, struct row_token, org),
	ROW_FIELD(CHARS, struct row_token, role),
	ROW_FIELD(CHARS, struct row_token, name),
	ROW_FIELD(CHARS, struct row_token, prefix),
	ROW_FIELD(CHARS, struct row_token, secret_sha256),
	ROW_FIELD(U64, struct row_token, created_ms),
	ROW_FIELD(U64, struct row_token, expires_ms),
	ROW_FIELD(U64, struct row_token, last_used_ms),
};
static const struct row_stmt_shape shape = ROW_SHAPE("token", fields);

/* The provider's tokens belong to no org: NULL in the table, so that the foreign key lets them
 * stand alone. */
int
row_token_insert(struct store_db *db, const struct row_token *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO token (id, org, role, name, prefix, secret_sha256, created_ms,"
		" expires_ms, last_used_ms)"
		" VALUES (?1, nullif(?2, ''), ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_token_delete(struct store_db *db, const char *id, struct err *err)
{
	static const char sql[] = "DELETE FROM token WHERE id = ?1";

	return row_stmt_delete(db, sql, shape.noun, &id, 1, err);
}

/* Uses are told behind each other's back, so the latest wins and not the last told. */
int
row_token_used(struct store_db *db, const char *id, uint64_t when_ms, struct err *err)
{
	static const char sql[] =
		"UPDATE token SET last_used_ms = max(last_used_ms, ?2) WHERE id = ?1";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, id);
	row_stmt_bind_u64(&stmt, 2, when_ms);
	return row_stmt_change_one(&stmt, shape.noun, err);
}

int
row_token_list(struct store_db *db, bool (*each)(const struct row_token *row, void *arg), void *arg,
	struct err *err)
{
	static const char sql[] =
		"SELECT id, org, role, name, prefix, secret_sha256, created_ms, expires_ms,"
		" last_used_ms FROM token ORDER BY id";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_token row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
