/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_version, org),
	ROW_FIELD(CHARS, struct row_version, function),
	ROW_FIELD(U32, struct row_version, number),
	ROW_FIELD(CHARS, struct row_version, state),
	ROW_FIELD(CHARS, struct row_version, runtime),
	ROW_FIELD(CHARS, struct row_version, handler),
	ROW_FIELD(CHARS, struct row_version, source),
	ROW_FIELD(CHARS, struct row_version, filename),
	ROW_FIELD(CHARS, struct row_version, tree),
	ROW_FIELD(CHARS, struct row_version, deps),
	ROW_FIELD(TEXT, struct row_version, config),
	ROW_FIELD(TEXT, struct row_version, reason),
	ROW_FIELD(TEXT, struct row_version, build_log),
	ROW_FIELD(U64, struct row_version, created_ms),
	ROW_FIELD(U64, struct row_version, ready_ms),
};
static const struct row_stmt_shape shape = ROW_SHAPE("version", fields);

int
row_version_insert(struct store_db *db, const struct row_version *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO version (org, function, number, state, runtime, handler, source,"
		" filename, tree, deps, config, reason, build_log, created_ms, ready_ms)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_version_update(struct store_db *db, const struct row_version *row, struct err *err)
{
	static const char sql[] =
		"UPDATE version SET state = ?4, runtime = ?5, handler = ?6, source = ?7,"
		" filename = ?8, tree = ?9, deps = ?10, config = ?11, reason = ?12,"
		" build_log = ?13, created_ms = ?14, ready_ms = ?15"
		" WHERE org = ?1 AND function = ?2 AND number = ?3";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_version_delete(struct store_db *db, const char *org, const char *function, uint32_t number,
	struct err *err)
{
	static const char sql[] =
		"DELETE FROM version WHERE org = ?1 AND function = ?2 AND number = ?3";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, function);
	row_stmt_bind_u64(&stmt, 3, number);
	return row_stmt_change_one(&stmt, shape.noun, err);
}

int
row_version_list(struct store_db *db, bool (*each)(const struct row_version *row, void *arg),
	void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT org, function, number, state, runtime, handler, source, filename, tree,"
		" deps, config, reason, build_log, created_ms, ready_ms"
		" FROM version ORDER BY org, function, number";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_version row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
