/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_trigger, org),
	ROW_FIELD(CHARS, struct row_trigger, name),
	ROW_FIELD(CHARS, struct row_trigger, function),
	ROW_FIELD(TEXT, struct row_trigger, document),
	ROW_FIELD(BOOL, struct row_trigger, is_enabled),
	ROW_FIELD(U64, struct row_trigger, created_ms),
	ROW_FIELD(U64, struct row_trigger, updated_ms),
};
static const struct row_stmt_shape shape = ROW_SHAPE("trigger", fields);

/* One that sends to a URL has no function: NULL in the table, so that the foreign key lets it stand
 * alone. */
int
row_trigger_insert(struct store_db *db, const struct row_trigger *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO trigger (org, name, function, document, is_enabled, created_ms,"
		" updated_ms) VALUES (?1, ?2, nullif(?3, ''), ?4, ?5, ?6, ?7)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_trigger_update(struct store_db *db, const struct row_trigger *row, struct err *err)
{
	static const char sql[] = "UPDATE trigger SET function = nullif(?3, ''), document = ?4, "
				  "is_enabled = ?5, created_ms"
				  " = ?6, updated_ms = ?7 WHERE org = ?1 AND name = ?2";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_trigger_delete(struct store_db *db, const char *org, const char *name, struct err *err)
{
	static const char sql[] = "DELETE FROM trigger WHERE org = ?1 AND name = ?2";
	const char *keys[] = {org, name};

	return row_stmt_delete(db, sql, shape.noun, keys, 2, err);
}

int
row_trigger_list(struct store_db *db, bool (*each)(const struct row_trigger *row, void *arg),
	void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT org, name, function, document, is_enabled, created_ms, updated_ms"
		" FROM trigger ORDER BY org, name";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_trigger row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
