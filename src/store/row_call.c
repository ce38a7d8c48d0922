/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

#define ROW_CALL_LIST_MAX 1000

/* clang-format off: one field a line */
#define COLUMNS                                                                                    \
	"id, org, function, version, trigger, method, path, status, code, message, started_ms,"    \
	" queue_us, wall_us, cpu_us, memory_peak_bytes, bytes_in, bytes_out, egress_in,"           \
	" egress_out, is_cold, is_log_truncated"
/* clang-format on */

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_call, id),
	ROW_FIELD(CHARS, struct row_call, org),
	ROW_FIELD(CHARS, struct row_call, function),
	ROW_FIELD(U32, struct row_call, version),
	ROW_FIELD(CHARS, struct row_call, trigger),
	ROW_FIELD(CHARS, struct row_call, method),
	ROW_FIELD(TEXT, struct row_call, path),
	ROW_FIELD(U16, struct row_call, status),
	ROW_FIELD(CHARS, struct row_call, code),
	ROW_FIELD(TEXT, struct row_call, message),
	ROW_FIELD(U64, struct row_call, started_ms),
	ROW_FIELD(U64, struct row_call, queue_us),
	ROW_FIELD(U64, struct row_call, wall_us),
	ROW_FIELD(U64, struct row_call, cpu_us),
	ROW_FIELD(U64, struct row_call, memory_peak_bytes),
	ROW_FIELD(U64, struct row_call, bytes_in),
	ROW_FIELD(U64, struct row_call, bytes_out),
	ROW_FIELD(U64, struct row_call, egress_in),
	ROW_FIELD(U64, struct row_call, egress_out),
	ROW_FIELD(BOOL, struct row_call, is_cold),
	ROW_FIELD(BOOL, struct row_call, is_log_truncated),
	ROW_FIELD(TEXT, struct row_call, log),
};
static const struct row_stmt_shape shape = ROW_SHAPE("call", fields);

int
row_call_insert(struct store_db *db, const struct row_call *row, struct err *err)
{
	static const char sql[] =
		"INSERT INTO call (" COLUMNS ", log) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
		" ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22)";

	return row_stmt_write(db, sql, &shape, row, err);
}

int
row_call_find(struct store_db *db, const char *org, const char *id,
	void (*found)(const struct row_call *row, void *arg), void *arg, struct err *err)
{
	static const char sql[] = "SELECT " COLUMNS ", log FROM call INDEXED BY call_by_org"
				  " WHERE org = ?1 AND id = ?2";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_call row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, id);
	rc = row_stmt_next(&stmt, &shape, &row, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(err, ERR_NOT_FOUND, "there is no such call");
	found(&row, arg);
	return 0;
}

/* Each mixture of filters has its own statement and the index that answers it in the order asked
 * for; the planner is not left to guess. Most calls are "ok", so that word alone has no index. */
#define LIST(index, where)                                                                         \
	"SELECT " COLUMNS ", CASE WHEN ?6 THEN log END FROM call INDEXED BY " index                \
	" WHERE org = ?1 AND id < ?4 AND id > ?5" where " ORDER BY id DESC LIMIT ?7"

enum row_call_filter { FILTER_NONE, FILTER_FAILED, FILTER_FAILED_CODE, FILTER_OK };

static const char *const list_sql[2][4] = {
	{
		[FILTER_NONE] = LIST("call_by_org", ""),
		[FILTER_FAILED] = LIST("call_failed_by_org", " AND code <> 'ok'"),
		[FILTER_FAILED_CODE] =
			LIST("call_failed_by_org", " AND code <> 'ok' AND code = ?3"),
		[FILTER_OK] = LIST("call_by_org", " AND code = 'ok'"),
	},
	{
		[FILTER_NONE] = LIST("call_by_function", " AND function = ?2"),
		[FILTER_FAILED] =
			LIST("call_failed_by_function", " AND function = ?2 AND code <> 'ok'"),
		[FILTER_FAILED_CODE] = LIST("call_failed_by_function",
			" AND function = ?2 AND code <> 'ok' AND code = ?3"),
		[FILTER_OK] = LIST("call_by_function", " AND function = ?2 AND code = 'ok'"),
	},
};

static enum row_call_filter
row_call_filter(const struct row_call_query *query)
{
	if (query->code && !strcmp(query->code, "ok") && !query->is_failed_only)
		return FILTER_OK;
	if (query->code)
		return FILTER_FAILED_CODE;
	return query->is_failed_only ? FILTER_FAILED : FILTER_NONE;
}

/* Ids are of 0-9 and A-Z: all are above "" and below "~". */
static void
row_call_bind(
	struct row_stmt *stmt, const struct row_call_query *query, enum row_call_filter filter)
{
	unsigned n = query->n < ROW_CALL_LIST_MAX ? query->n : ROW_CALL_LIST_MAX;

	row_stmt_bind_text(stmt, 1, query->org);
	if (query->function)
		row_stmt_bind_text(stmt, 2, query->function);
	if (filter == FILTER_FAILED_CODE)
		row_stmt_bind_text(stmt, 3, query->code);
	row_stmt_bind_text(stmt, 4, query->before ? query->before : "~");
	row_stmt_bind_text(stmt, 5, query->after ? query->after : "");
	row_stmt_bind_u64(stmt, 6, query->is_with_log);
	row_stmt_bind_u64(stmt, 7, n);
}

int
row_call_list(struct store_db *db, const struct row_call_query *query,
	bool (*each)(const struct row_call *row, void *arg), void *arg, struct err *err)
{
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	enum row_call_filter filter = row_call_filter(query);
	struct row_call row;
	int rc = row_stmt_init(&stmt, db, list_sql[!!query->function][filter], err);

	if (rc < 0)
		return rc;
	row_call_bind(&stmt, query, filter);
	while ((rc = row_stmt_next(&stmt, &shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}

/* ---- trim ---- */

static int
row_call_trim_old(struct store_db *db, uint64_t before_ms, unsigned n, struct err *err)
{
	static const char sql[] =
		"DELETE FROM call WHERE rowid IN (SELECT rowid FROM call INDEXED BY call_by_time"
		" WHERE started_ms < ?1 ORDER BY started_ms LIMIT ?2)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_u64(&stmt, 1, before_ms);
	row_stmt_bind_u64(&stmt, 2, n);
	return row_stmt_change(&stmt, err);
}

struct row_call_excess {
	char org[64], function[64];
	uint64_t n;
};

/* The next function behind *at that has more than `keep` calls: 1, or 0 behind the last. */
static int
row_call_next_excess(
	struct store_db *db, unsigned keep, struct row_call_excess *at, struct err *err)
{
	static const struct row_stmt_field excess_fields[] = {
		ROW_FIELD(CHARS, struct row_call_excess, org),
		ROW_FIELD(CHARS, struct row_call_excess, function),
		ROW_FIELD(U64, struct row_call_excess, n),
	};
	static const struct row_stmt_shape excess_shape = ROW_SHAPE("call", excess_fields);
	static const char sql[] =
		"SELECT org, function, n - ?3 FROM call_count"
		" WHERE (org, function) > (?1, ?2) AND n > ?3 ORDER BY org, function LIMIT 1";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_call_excess last = *at;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, last.org);
	row_stmt_bind_text(&stmt, 2, last.function);
	row_stmt_bind_u64(&stmt, 3, keep);
	return row_stmt_next(&stmt, &excess_shape, at, err);
}

static int
row_call_trim_excess(
	struct store_db *db, const struct row_call_excess *excess, unsigned n, struct err *err)
{
	static const char sql[] =
		"DELETE FROM call WHERE rowid IN (SELECT rowid FROM call INDEXED BY"
		" call_by_function WHERE org = ?1 AND function = ?2 ORDER BY id LIMIT ?3)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, excess->org);
	row_stmt_bind_text(&stmt, 2, excess->function);
	row_stmt_bind_u64(&stmt, 3, excess->n < n ? excess->n : n);
	return row_stmt_change(&stmt, err);
}

int
row_call_trim(struct store_db *db, uint64_t before_ms, unsigned keep, unsigned n,
	unsigned *ret_removed, struct err *err)
{
	struct row_call_excess excess = {"", "", 0};
	int rc = row_call_trim_old(db, before_ms, n, err);
	unsigned n_removed = rc < 0 ? 0 : rc;

	while (rc >= 0 && n_removed < n) {
		rc = row_call_next_excess(db, keep, &excess, err);
		if (rc <= 0)
			break;
		rc = row_call_trim_excess(db, &excess, n - n_removed, err);
		n_removed += rc < 0 ? 0 : rc;
	}
	if (rc < 0)
		return rc;
	*ret_removed = n_removed;
	return 0;
}
