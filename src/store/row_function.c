/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_function, org),
	ROW_FIELD(CHARS, struct row_function, name),
	ROW_FIELD(CHARS, struct row_function, route),
	ROW_FIELD(U32, struct row_function, active_version),
	ROW_FIELD(U32, struct row_function, last_version),
	ROW_FIELD(U64, struct row_function, created_ms),
	ROW_FIELD(U64, struct row_function, updated_ms),
};
static const struct row_stmt_shape shape = ROW_SHAPE("function", fields);

int
row_function_insert(struct store_db *db, const struct row_function *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO function (org, name, route, active_version, last_version,"
		" created_ms, updated_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_function_update(struct store_db *db, const struct row_function *row, struct err *err)
{
	static const char sql[] =
		"UPDATE function SET route = ?3, active_version = ?4, last_version = ?5,"
		" created_ms = ?6, updated_ms = ?7 WHERE org = ?1 AND name = ?2";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_function_delete(struct store_db *db, const char *org, const char *name, struct err *err)
{
	static const char sql[] = "DELETE FROM function WHERE org = ?1 AND name = ?2";
	const char *keys[] = {org, name};

	return row_stmt_delete(db, sql, shape.noun, keys, 2, err);
}

int
row_function_list(struct store_db *db, bool (*each)(const struct row_function *row, void *arg),
	void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT org, name, route, active_version, last_version, created_ms, updated_ms"
		" FROM function ORDER BY org, name";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_function row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
