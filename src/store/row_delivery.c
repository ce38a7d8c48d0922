/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row_stmt.h"
#include "store/rows.h"

#define ROW_DELIVERY_LIST_MAX 1000

/* clang-format off: one field a line */
#define COLUMNS                                                                                    \
	"id, org, function, version, state, origin, source, frame, attempt, created_ms, due_ms,"   \
	" expires_ms, ended_ms, order_key, idempotency_key, callback_url, method, path, status,"   \
	" code, message, headers"
#define COLUMNS_WHOLE COLUMNS ", head, body, result, hops"
/* clang-format on */

static const struct row_stmt_field fields[] = {
	ROW_FIELD(CHARS, struct row_delivery, id),
	ROW_FIELD(CHARS, struct row_delivery, org),
	ROW_FIELD(CHARS, struct row_delivery, function),
	ROW_FIELD(U32, struct row_delivery, version),
	ROW_FIELD(U8, struct row_delivery, state),
	ROW_FIELD(CHARS, struct row_delivery, origin),
	ROW_FIELD(CHARS, struct row_delivery, source),
	ROW_FIELD(U8, struct row_delivery, frame),
	ROW_FIELD(U32, struct row_delivery, attempt),
	ROW_FIELD(U64, struct row_delivery, created_ms),
	ROW_FIELD(U64, struct row_delivery, due_ms),
	ROW_FIELD(U64, struct row_delivery, expires_ms),
	ROW_FIELD(U64, struct row_delivery, ended_ms),
	ROW_FIELD(TEXT, struct row_delivery, order_key),
	ROW_FIELD(TEXT, struct row_delivery, idempotency_key),
	ROW_FIELD(TEXT, struct row_delivery, callback_url),
	ROW_FIELD(TEXT, struct row_delivery, method),
	ROW_FIELD(TEXT, struct row_delivery, path),
	ROW_FIELD(U16, struct row_delivery, status),
	ROW_FIELD(CHARS, struct row_delivery, code),
	ROW_FIELD(TEXT, struct row_delivery, message),
	ROW_FIELD(TEXT, struct row_delivery, headers),
	ROW_FIELD(BYTES, struct row_delivery, head),
	ROW_FIELD(BYTES, struct row_delivery, body),
	ROW_FIELD(BYTES, struct row_delivery, result),
	ROW_FIELD(U32, struct row_delivery, hops),
};
static const struct row_stmt_shape shape = ROW_SHAPE("delivery", fields);
static const struct row_stmt_shape list_shape = {
	"delivery", fields, sizeof(fields) / sizeof(*fields) - 4};

/* ---- one ---- */

struct row_delivery_known {
	char id[ID_ULID_SIZE];
};

/* 1 with the id of the delivery that has the row's key, 0 if there is none. A call by route and one
 * that was asked for otherwise are never the same: by route anybody calls, and must neither learn
 * of what others put nor keep it from being put. */
static int
row_delivery_known(struct store_db *db, const struct row_delivery *row, uint64_t since_ms,
	char ret_known[static ID_ULID_SIZE], struct err *err)
{
	static const struct row_stmt_field known_fields[] = {
		ROW_FIELD(CHARS, struct row_delivery_known, id)};
	static const struct row_stmt_shape known_shape = ROW_SHAPE("delivery", known_fields);
	static const char sql[] =
		"SELECT id FROM delivery INDEXED BY delivery_by_key WHERE org = ?1"
		" AND function = ?2 AND idempotency_key = ?3 AND idempotency_key <> ''"
		" AND created_ms >= ?4 AND frame = ?5 ORDER BY created_ms DESC LIMIT 1";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_delivery_known known;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, row->org);
	row_stmt_bind_text(&stmt, 2, row->function);
	row_stmt_bind_text(&stmt, 3, row->idempotency_key);
	row_stmt_bind_u64(&stmt, 4, since_ms);
	row_stmt_bind_u64(&stmt, 5, row->frame);
	rc = row_stmt_next(&stmt, &known_shape, &known, err);
	if (rc > 0)
		memcpy(ret_known, known.id, sizeof(known.id));
	return rc;
}

int
row_delivery_insert(struct store_db *db, const struct row_delivery *row, uint64_t known_since_ms,
	char ret_known[static ID_ULID_SIZE], struct err *err)
{
	static const char sql[] =
		"INSERT INTO delivery (" COLUMNS_WHOLE ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
		" ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24,"
		" ?25, ?26)";
	bool has_key = row->idempotency_key && row->idempotency_key[0];
	int rc = has_key ? row_delivery_known(db, row, known_since_ms, ret_known, err) : 0;

	if (rc > 0)
		return err_field(err, ERR_CONFLICT, "idempotency_key",
			"the idempotency key was used for delivery %s", ret_known);
	return rc < 0 ? rc : row_stmt_write(db, sql, &shape, row, err);
}

int
row_delivery_update(struct store_db *db, const struct row_delivery *row, struct err *err)
{
	static const struct row_stmt_field outcome_fields[] = {
		ROW_FIELD(CHARS, struct row_delivery, id),
		ROW_FIELD(U8, struct row_delivery, state),
		ROW_FIELD(U32, struct row_delivery, attempt),
		ROW_FIELD(U64, struct row_delivery, due_ms),
		ROW_FIELD(U64, struct row_delivery, ended_ms),
		ROW_FIELD(U16, struct row_delivery, status),
		ROW_FIELD(CHARS, struct row_delivery, code),
		ROW_FIELD(TEXT, struct row_delivery, message),
		ROW_FIELD(TEXT, struct row_delivery, headers),
		ROW_FIELD(BYTES, struct row_delivery, result),
	};
	static const struct row_stmt_shape outcome = ROW_SHAPE("delivery", outcome_fields);
	static const char sql[] =
		"UPDATE delivery SET state = ?2, attempt = ?3, due_ms = ?4, ended_ms = ?5,"
		" status = ?6, code = ?7, message = ?8, headers = ?9, result = ?10 WHERE id = ?1";

	return row_stmt_write(db, sql, &outcome, row, err);
}

int
row_delivery_keep(struct store_db *db, const struct row_delivery *row, struct err *err)
{
	static const struct row_stmt_field payload_fields[] = {
		ROW_FIELD(CHARS, struct row_delivery, id),
		ROW_FIELD(BYTES, struct row_delivery, head),
		ROW_FIELD(BYTES, struct row_delivery, body),
	};
	static const struct row_stmt_shape payload = ROW_SHAPE("delivery", payload_fields);

	return row_stmt_write(
		db, "UPDATE delivery SET head = ?2, body = ?3 WHERE id = ?1", &payload, row, err);
}

int
row_delivery_find(struct store_db *db, const char *org, const char *id,
	void (*found)(const struct row_delivery *row, void *arg), void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT " COLUMNS_WHOLE " FROM delivery WHERE id = ?2 AND org = ?1";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_delivery row;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, id);
	rc = row_stmt_next(&stmt, &shape, &row, err);
	if (rc < 0)
		return rc;
	if (!rc)
		return err_set(err, ERR_NOT_FOUND, "there is no such delivery");
	found(&row, arg);
	return 0;
}

/* ---- what is queued ---- */

static int
row_delivery_each(struct row_stmt *stmt, const struct row_stmt_shape *row_shape,
	bool (*each)(const struct row_delivery *row, void *arg), void *arg, struct err *err)
{
	struct row_delivery row = {""};
	int rc;

	while ((rc = row_stmt_next(stmt, row_shape, &row, err)) > 0)
		if (!each(&row, arg))
			break;
	return rc < 0 ? rc : 0;
}

int
row_delivery_next(struct store_db *db, const char *org, const char *function, uint64_t after_due_ms,
	const char *after_id, uint64_t due_ms, unsigned n,
	bool (*each)(const struct row_delivery *row, void *arg), void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT " COLUMNS_WHOLE " FROM delivery INDEXED BY delivery_queued WHERE org = ?1"
		" AND function = ?2 AND state = 0 AND (due_ms, id) > (?3, ?4) AND due_ms <= ?5"
		" ORDER BY due_ms, id LIMIT ?6";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	row_stmt_bind_text(&stmt, 2, function);
	row_stmt_bind_u64(&stmt, 3, after_due_ms);
	row_stmt_bind_text(&stmt, 4, after_id);
	row_stmt_bind_u64(&stmt, 5, due_ms);
	row_stmt_bind_u64(&stmt, 6, n);
	return row_delivery_each(&stmt, &shape, each, arg, err);
}

static int
row_delivery_count_by(struct store_db *db, const char *sql,
	bool (*each)(const struct row_delivery_count *count, void *arg), void *arg, struct err *err)
{
	static const struct row_stmt_field count_fields[] = {
		ROW_FIELD(CHARS, struct row_delivery_count, org),
		ROW_FIELD(CHARS, struct row_delivery_count, function),
		ROW_FIELD(U64, struct row_delivery_count, n),
		ROW_FIELD(U64, struct row_delivery_count, n_bytes),
		ROW_FIELD(U64, struct row_delivery_count, oldest_ms),
		ROW_FIELD(U64, struct row_delivery_count, first_due_ms),
	};
	static const struct row_stmt_shape count_shape = ROW_SHAPE("delivery", count_fields);
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_delivery_count count;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &count_shape, &count, err)) > 0)
		if (!each(&count, arg))
			break;
	return rc < 0 ? rc : 0;
}

int
row_delivery_count(struct store_db *db,
	bool (*each)(const struct row_delivery_count *count, void *arg), void *arg, struct err *err)
{
	static const char sql[] =
		"SELECT org, function, count(*), sum(length(head) + length(body)),"
		" min(created_ms), min(due_ms) FROM delivery INDEXED BY delivery_queued"
		" WHERE state = 0 GROUP BY org, function ORDER BY org, function";

	return row_delivery_count_by(db, sql, each, arg, err);
}

int
row_delivery_count_dead(struct store_db *db,
	bool (*each)(const struct row_delivery_count *count, void *arg), void *arg, struct err *err)
{
	static const char sql[] = "SELECT org, function, count(*), 0, 0, 0 FROM delivery INDEXED BY"
				  " delivery_dead WHERE state = 2 GROUP BY org, function"
				  " ORDER BY org, function";

	return row_delivery_count_by(db, sql, each, arg, err);
}

#define COUNT_SOURCES(where)                                                                       \
	"SELECT org, origin, source, count(*), min(created_ms)"                                    \
	" FROM delivery INDEXED BY delivery_by_source"                                             \
	" WHERE " where "state = 0 AND source <> '' GROUP BY org, origin, source"                  \
	" ORDER BY org, origin, source"

int
row_delivery_count_sources(struct store_db *db, const char *org,
	bool (*each)(const struct row_delivery_source *source, void *arg), void *arg,
	struct err *err)
{
	static const char all[] = COUNT_SOURCES("");
	static const char of_org[] = COUNT_SOURCES("org = ?1 AND ");
	static const struct row_stmt_field source_fields[] = {
		ROW_FIELD(CHARS, struct row_delivery_source, org),
		ROW_FIELD(CHARS, struct row_delivery_source, origin),
		ROW_FIELD(CHARS, struct row_delivery_source, source),
		ROW_FIELD(U64, struct row_delivery_source, n),
		ROW_FIELD(U64, struct row_delivery_source, oldest_ms),
	};
	static const struct row_stmt_shape source_shape = ROW_SHAPE("delivery", source_fields);
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	struct row_delivery_source source;
	int rc = row_stmt_init(&stmt, db, org ? of_org : all, err);

	if (rc == 0 && org)
		row_stmt_bind_text(&stmt, 1, org);
	if (rc < 0)
		return rc;
	while ((rc = row_stmt_next(&stmt, &source_shape, &source, err)) > 0)
		if (!each(&source, arg))
			break;
	return rc < 0 ? rc : 0;
}

/* ---- lists ---- */

/* Those of one state, newest first, stand together in an index; all of them are four such rows
 * merged. What is queued of a function is picked from what is queued of its org, in an index that
 * tells the function: an index of its own would cost each insert more than it saves. */
#define OF_STATE(index, where, state)                                                              \
	"SELECT " COLUMNS " FROM delivery INDEXED BY " index " WHERE org = ?1" where               \
	" AND state = " state " AND id < ?3"
#define OF_FUNCTION "delivery_by_function", " AND function = ?2 AND state > 0"
#define OF_ORG      "delivery_by_org", ""
#define QUEUED      "delivery_by_org", " AND function = ?2", "0"

/* A macro's arguments are counted before they are replaced. */
#define LIST(...) OF_STATE(__VA_ARGS__)
#define LIST_ALL(...)                                                                              \
	" UNION ALL " LIST(__VA_ARGS__, "1") " UNION ALL " LIST(                                   \
		__VA_ARGS__, "2") " UNION ALL " LIST(__VA_ARGS__, "3")
#define NEWEST_FIRST " ORDER BY id DESC LIMIT ?5"

static const char *
row_delivery_list_sql(const struct row_delivery_query *query)
{
	static const char of_org[] = LIST(OF_ORG, "0") LIST_ALL(OF_ORG) NEWEST_FIRST;
	static const char of_org_state[] = LIST(OF_ORG, "?4") NEWEST_FIRST;
	static const char of_function[] = LIST(QUEUED) LIST_ALL(OF_FUNCTION) NEWEST_FIRST;
	static const char of_function_queued[] = LIST(QUEUED) NEWEST_FIRST;
	static const char of_function_ended[] = LIST(OF_FUNCTION, "?4") NEWEST_FIRST;

	if (!query->function)
		return query->state < 0 ? of_org : of_org_state;
	if (query->state < 0)
		return of_function;
	return query->state == ROW_DELIVERY_QUEUED ? of_function_queued : of_function_ended;
}

int
row_delivery_list(struct store_db *db, const struct row_delivery_query *query,
	bool (*each)(const struct row_delivery *row, void *arg), void *arg, struct err *err)
{
	unsigned n = query->n < ROW_DELIVERY_LIST_MAX ? query->n : ROW_DELIVERY_LIST_MAX;
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, row_delivery_list_sql(query), err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, query->org);
	if (query->function)
		row_stmt_bind_text(&stmt, 2, query->function);
	/* Ids are of 0-9 and A-Z: all are below "~". */
	row_stmt_bind_text(&stmt, 3, query->before ? query->before : "~");
	if (query->state >= 0)
		row_stmt_bind_u64(&stmt, 4, query->state);
	row_stmt_bind_u64(&stmt, 5, n);
	return row_delivery_each(&stmt, &list_shape, each, arg, err);
}

/* ---- what goes ---- */

#define PURGE(where)                                                                               \
	"DELETE FROM delivery WHERE rowid IN (SELECT rowid FROM delivery INDEXED BY"               \
	" delivery_dead WHERE org = ?1" where " AND state = 2 LIMIT ?3)"

int
row_delivery_purge(struct store_db *db, const char *org, const char *function, unsigned n,
	unsigned *ret_removed, struct err *err)
{
	static const char *const sql[2] = {PURGE(""), PURGE(" AND function = ?2")};
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql[!!function], err);

	if (rc < 0)
		return rc;
	row_stmt_bind_text(&stmt, 1, org);
	if (function)
		row_stmt_bind_text(&stmt, 2, function);
	row_stmt_bind_u64(&stmt, 3, n);
	rc = row_stmt_change(&stmt, err);
	if (rc < 0)
		return rc;
	*ret_removed = rc;
	return 0;
}

static int
row_delivery_trim_state(struct store_db *db, enum row_delivery_state state, uint64_t before_ms,
	unsigned n, struct err *err)
{
	static const char sql[] =
		"DELETE FROM delivery WHERE rowid IN (SELECT rowid FROM delivery INDEXED BY"
		" delivery_ended WHERE state = ?1 AND state > 0 AND due_ms < ?2"
		" ORDER BY due_ms LIMIT ?3)";
	OWN(row_stmt) struct row_stmt stmt = ROW_STMT_NONE;
	int rc = row_stmt_init(&stmt, db, sql, err);

	if (rc < 0)
		return rc;
	row_stmt_bind_u64(&stmt, 1, state);
	row_stmt_bind_u64(&stmt, 2, before_ms);
	row_stmt_bind_u64(&stmt, 3, n);
	return row_stmt_change(&stmt, err);
}

int
row_delivery_trim(
	struct store_db *db, uint64_t before_ms, unsigned n, unsigned *ret_removed, struct err *err)
{
	static const enum row_delivery_state states[] = {
		ROW_DELIVERY_DONE, ROW_DELIVERY_CANCELLED, ROW_DELIVERY_DEAD};
	unsigned n_removed = 0;

	for (unsigned i = 0; i < 3 && n_removed < n; i++) {
		int rc = row_delivery_trim_state(db, states[i], before_ms, n - n_removed, err);

		if (rc < 0)
			return rc;
		n_removed += (unsigned)rc;
	}
	*ret_removed = n_removed;
	return 0;
}

int
row_delivery_delete(struct store_db *db, const char *org, const char *id, struct err *err)
{
	static const char sql[] = "DELETE FROM delivery WHERE id = ?2 AND org = ?1 AND state = 2";
	const char *const keys[] = {org, id};

	return row_stmt_delete(db, sql, "dead letter", keys, 2, err);
}
