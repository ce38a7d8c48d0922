/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_attempt, delivery),
	ROW_FIELD(U32, struct row_attempt, number),
	ROW_FIELD(CHARS, struct row_attempt, call),
	ROW_FIELD(U32, struct row_attempt, version),
	ROW_FIELD(U64, struct row_attempt, started_ms),
	ROW_FIELD(U64, struct row_attempt, wall_us),
	ROW_FIELD(U16, struct row_attempt, status),
	ROW_FIELD(CHARS, struct row_attempt, code),
	ROW_FIELD(TEXT, struct row_attempt, message),
	ROW_FIELD(TEXT, struct row_attempt, log),
};
static const struct row_stmt_shape shape = ROW_SHAPE("attempt", fields);

int
row_attempt_put(struct store_db *db, const struct row_attempt *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO attempt (delivery, number, call, version, started_ms, wall_us,"
		" status, code, message, log) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
		" ON CONFLICT DO UPDATE SET call = ?3, version = ?4, started_ms = ?5,"
		" wall_us = ?6, status = ?7, code = ?8, message = ?9, log = ?10";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_attempt_list(struct store_db *db, const char *delivery,
	bool (*each)(const struct row_attempt *row, void *arg), void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT delivery, number, call, version, started_ms, wall_us, status, code,"
		" message, log FROM attempt WHERE delivery = ?1 ORDER BY number";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_attempt row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, delivery);
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
