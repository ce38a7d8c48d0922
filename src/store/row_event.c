/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

int
row_event_insert(struct store_db *db, const char *org, const char *source, const char *id,
	uint64_t when_ms, uint64_t since_ms, struct err *err)
{
	static const char sql[] =
		"INSERT INTO event (org, source, id, accepted_ms) VALUES (?1, ?2, ?3, ?4)"
		" ON CONFLICT DO UPDATE SET accepted_ms = ?4 WHERE accepted_ms < ?5";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, source);
	row_stmt_bind_text(&stmt, 3, id);
	row_stmt_bind_u64(&stmt, 4, when_ms);
	row_stmt_bind_u64(&stmt, 5, since_ms);
	rc = row_stmt_change(&stmt, err);
	if (!rc)
		return err_set(err, ERR_CONFLICT, "this event was accepted before");
	return rc < 0 ? rc : 0;
}

int
row_event_is_known(struct store_db *db, const char *org, const char *source, const char *id,
	uint64_t since_ms, bool *ret_is_known, struct err *err)
{
	static const char sql[] = "SELECT accepted_ms FROM event WHERE org = ?1 AND source = ?2"
				  " AND id = ?3 AND accepted_ms >= ?4";
	static const struct row_stmt_field field = {ROW_U64, 0, sizeof(uint64_t)};
	static const struct row_stmt_shape shape = {"event", &field, 1};
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	uint64_t accepted_ms;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, source);
	row_stmt_bind_text(&stmt, 3, id);
	row_stmt_bind_u64(&stmt, 4, since_ms);
	rc = row_stmt_next(&stmt, &shape, &accepted_ms, err);
	if (rc < 0)
		return rc;
	*ret_is_known = rc > 0;
	return 0;
}

int
row_event_trim(
	struct store_db *db, uint64_t before_ms, unsigned n, unsigned *ret_removed, struct err *err)
{
	static const char sql[] =
		"DELETE FROM event WHERE (org, source, id) IN (SELECT org, source, id FROM event"
		" INDEXED BY event_by_time WHERE accepted_ms < ?1 ORDER BY accepted_ms LIMIT ?2)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_u64(&stmt, 1, before_ms);
	row_stmt_bind_u64(&stmt, 2, n);
	rc = row_stmt_change(&stmt, err);
	if (rc < 0)
		return rc;
	*ret_removed = rc;
	return 0;
}

int
row_event_list(struct store_db *db, const struct row_event *after, unsigned n,
	bool (*each)(const struct row_event *row, void *arg), void *arg, struct err *err)
{
	static const struct row_stmt_field fields[] = {
		ROW_FIELD(CHARS, struct row_event, org),
		ROW_FIELD(TEXT, struct row_event, source),
		ROW_FIELD(TEXT, struct row_event, id),
		ROW_FIELD(U64, struct row_event, accepted_ms),
	};
	static const struct row_stmt_shape shape = ROW_SHAPE("event", fields);
	static const char sql[] =
		"SELECT org, source, id, accepted_ms FROM event INDEXED BY event_by_time"
		" WHERE (accepted_ms, org, source, id) > (?4, ?1, ?2, ?3)"
		" ORDER BY accepted_ms, org, source, id LIMIT ?5";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_event row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_row(&stmt, &shape, after);
	row_stmt_bind_u64(&stmt, 5, n);
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}
