/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_org, name),
	ROW_FIELD(U64, struct row_org, created_ms),
	ROW_FIELD(TEXT, struct row_org, settings),
};
static const struct row_stmt_shape shape = ROW_SHAPE("org", fields);

int
row_org_insert(struct store_db *db, const struct row_org *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO org (name, created_ms, settings) VALUES (?1, ?2, ?3)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_org_update(struct store_db *db, const struct row_org *row, struct err *err)
{
	static const char sql[] = "UPDATE org SET created_ms = ?2, settings = ?3 WHERE name = ?1";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_org_delete(struct store_db *db, const char *name, struct err *err)
{
	static const char sql[] = "DELETE FROM org WHERE name = ?1";

	return row_stmt_delete(db, sql, shape.noun, &name, 1, err);
}

int
row_org_list(struct store_db *db, bool (*each)(const struct row_org *row, void *arg), void *arg,
	struct err *err)
{
	static const char sql[] = "SELECT name, created_ms, settings FROM org ORDER BY name";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_org row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
