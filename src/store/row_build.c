/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

struct row_build {
	char deps[ID_SHA256_SIZE];
};
static const struct row_stmt_field fields[] = {ROW_FIELD(CHARS, struct row_build, deps)};
static const struct row_stmt_shape shape = ROW_SHAPE("build", fields);

int
row_build_find(
	struct store_db *db, const char *key, char ret_deps[static ID_SHA256_SIZE], struct err *err)
{
	static const char sql[] = "SELECT deps FROM build WHERE key = ?1";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_build row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, key);
	rc = row_stmt_next(&stmt, &shape, &row, err);
	if (!rc)
		return err_set(err, ERR_NOT_FOUND, "there is no such build");
	if (rc < 0)
		return rc;
	memcpy(ret_deps, row.deps, sizeof(row.deps));
	return 0;
}

int
row_build_put(struct store_db *db, const char *key, const char *org, const char *deps,
	uint64_t when_ms, struct err *err)
{
	static const char sql[] =
		"INSERT INTO build (key, org, deps, made_ms) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT DO UPDATE SET org = ?2, deps = ?3, made_ms = ?4";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, key);
	row_stmt_bind_text(&stmt, 2, org);
	row_stmt_bind_text(&stmt, 3, deps);
	row_stmt_bind_u64(&stmt, 4, when_ms);
	return row_stmt_change_one(&stmt, shape.noun, err);
}

int
row_build_trim(struct store_db *db, uint64_t before_ms, unsigned *ret_removed, struct err *err)
{
	static const char sql[] =
		"DELETE FROM build WHERE made_ms < ?1"
		" AND NOT EXISTS (SELECT 1 FROM version WHERE version.deps = build.deps)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_u64(&stmt, 1, before_ms);
	rc = row_stmt_change(&stmt, err);
	if (rc < 0)
		return rc;
	*ret_removed = rc;
	return 0;
}
