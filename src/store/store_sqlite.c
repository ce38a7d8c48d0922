/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/own.h"
#include "base/path.h"
#include "store/store_db.h"

/* WAL with FULL: one fsync of the log per commit, and a commit that was acknowledged is on disk.
 * Savepoints keep what they may have to undo in memory. No mmap: a read error of a mapped page
 * kills the process, and a store that mostly writes gains nothing (docs/design/0003-store.md). */
static const char settings[] = "PRAGMA journal_mode = WAL;"
			       "PRAGMA synchronous = FULL;"
			       "PRAGMA temp_store = MEMORY;"
			       "PRAGMA cache_size = -32768;"
			       "PRAGMA wal_autocheckpoint = 4000;"
			       "PRAGMA journal_size_limit = 67108864;";

int
store_sqlite_exec(sqlite3 *sqlite, const char *sql, struct err *err)
{
	if (sqlite3_exec(sqlite, sql, NULL, NULL, NULL) == SQLITE_OK)
		return 0;
	return store_sqlite_err(sqlite, err);
}

int
store_sqlite_number(sqlite3 *sqlite, const char *sql, int64_t *ret, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = 0;

	if (sqlite3_prepare_v2(sqlite, sql, -1, &stmt, NULL) != SQLITE_OK)
		return store_sqlite_err(sqlite, err);
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*ret = sqlite3_column_int64(stmt, 0);
	else
		rc = store_sqlite_err(sqlite, err);
	sqlite3_finalize(stmt);
	return rc;
}

static int
store_sqlite_lock(struct store_db *db, const char *data_dir, struct err *err)
{
	OWN(mem) char *path = path_join(data_dir, "lock");

	db->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (db->lock_fd < 0)
		return err_sys(err, "opening %s", path);
	if (!flock(db->lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_UNAVAILABLE, "another mayfly is using %s", data_dir);
	return err_sys(err, "locking %s", path);
}

/* The last connection to close removes the log, so a log that is there tells of a crash. */
static bool
store_sqlite_is_unclean(const char *path)
{
	OWN(mem) char *log = mem_printf("%s-wal", path);
	struct stat st;

	return !stat(log, &st) && st.st_size > 0;
}

static int
store_sqlite_check(sqlite3 *sqlite, const char *path, struct err *err)
{
	sqlite3_stmt *stmt;
	const char *answer;
	int rc = 0;

	if (sqlite3_prepare_v2(sqlite, "PRAGMA quick_check(1)", -1, &stmt, NULL) != SQLITE_OK)
		return store_sqlite_err(sqlite, err);
	if (sqlite3_step(stmt) != SQLITE_ROW)
		rc = store_sqlite_err(sqlite, err);
	else if (strcmp(answer = (const char *)sqlite3_column_text(stmt, 0), "ok"))
		rc = err_set(err, ERR_SYSTEM, "%s is damaged (%s): restore a backup", path, answer);
	sqlite3_finalize(stmt);
	return rc;
}

static int
store_sqlite_settle(sqlite3 *sqlite, const char *path, bool is_unclean, struct err *err)
{
	int rc;

	sqlite3_extended_result_codes(sqlite, 1);
	sqlite3_busy_timeout(sqlite, 5000);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	rc = store_sqlite_exec(sqlite, settings, err);
	if (rc >= 0 && is_unclean)
		rc = store_sqlite_check(sqlite, path, err);
	if (rc >= 0)
		rc = store_migrate(sqlite, store_migrate_steps, store_migrate_n_steps, err);
	/* Only now: a migration that rebuilds a table must not cascade. */
	if (rc >= 0)
		rc = store_sqlite_exec(sqlite, "PRAGMA foreign_keys = ON", err);
	return rc;
}

static int
store_sqlite_connect(struct store_db *db, const char *data_dir, struct err *err)
{
	OWN(mem) char *path = path_join(data_dir, "mayfly.db");
	bool is_unclean = store_sqlite_is_unclean(path);
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc;

	/* Nobody asks how much it has allocated, and counting takes a lock each time. It is refused
	 * once a database was opened in this process. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	if (sqlite3_open_v2(path, &db->sqlite, flags, NULL) != SQLITE_OK)
		rc = store_sqlite_err(db->sqlite, err);
	else
		rc = store_sqlite_settle(db->sqlite, path, is_unclean, err);
	return rc < 0 ? err_wrap(err, rc, "opening %s", path) : 0;
}

int
store_sqlite_open(struct store_db *db, const char *data_dir, struct err *err)
{
	int rc;

	*db = (struct store_db){.lock_fd = -1, .blobs_fd = -1};
	rc = path_make(data_dir, 0700, err);
	if (rc >= 0)
		rc = store_sqlite_lock(db, data_dir, err);
	if (rc >= 0)
		rc = blob_start(db, data_dir, err);
	if (rc >= 0)
		rc = store_sqlite_connect(db, data_dir, err);
	if (rc < 0)
		store_sqlite_close(db);
	return rc;
}

void
store_sqlite_close(struct store_db *db)
{
	for (unsigned i = 0; i < STORE_STATEMENTS; i++)
		sqlite3_finalize(db->statements[i].stmt);
	sqlite3_close(db->sqlite);
	own_fd(&db->blobs_fd);
	own_fd(&db->lock_fd);
	free(db->doomed);
	*db = (struct store_db){.lock_fd = -1, .blobs_fd = -1};
}

int
store_sqlite_prepare(struct store_db *db, const char *sql, sqlite3_stmt **ret, struct err *err)
{
	struct store_statement *place;
	unsigned i = ((uintptr_t)sql >> 3) * 2654435761u;

	do
		place = &db->statements[i++ % STORE_STATEMENTS];
	while (place->sql && place->sql != sql);
	if (!place->stmt) {
		must(db->n_statements < STORE_STATEMENTS / 2);
		if (sqlite3_prepare_v3(db->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &place->stmt,
			    NULL) != SQLITE_OK)
			return store_sqlite_err(db->sqlite, err);
		place->sql = sql;
		db->n_statements++;
	}
	must(!sqlite3_stmt_busy(place->stmt));
	*ret = place->stmt;
	return 0;
}

/* SQLite says "UNIQUE constraint failed: function.org, function.route". */
static int
store_sqlite_conflict(const char *message, struct err *err)
{
	const char *last = strrchr(message, ' ');
	const char *dot = last ? strchr(last, '.') : NULL;

	if (!dot)
		return err_set(err, ERR_CONFLICT, "%s", message);
	return err_field(err, ERR_CONFLICT, dot + 1, "this %s is taken by another %.*s", dot + 1,
		(int)(dot - last - 1), last + 1);
}

int
store_sqlite_err(sqlite3 *sqlite, struct err *err)
{
	int rc = sqlite3_extended_errcode(sqlite);
	int sys = sqlite3_system_errno(sqlite);
	const char *message = sqlite3_errmsg(sqlite);

	if (rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE)
		return store_sqlite_conflict(message, err);
	if (rc == SQLITE_CONSTRAINT_FOREIGNKEY)
		return err_set(err, ERR_NOT_FOUND, "what it belongs to is not there (any more)");
	if ((rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_TOOBIG)
		return err_set(err, ERR_INVALID, "the store refuses it: %s", message);
	if ((rc & 0xff) == SQLITE_FULL ||
		((rc & 0xff) == SQLITE_IOERR && (sys == ENOSPC || sys == EDQUOT)))
		return err_set(err, ERR_UNAVAILABLE, "the disk of the store is full");
	if ((rc & 0xff) == SQLITE_BUSY || (rc & 0xff) == SQLITE_LOCKED)
		return err_set(err, ERR_UNAVAILABLE, "another program keeps the store locked");
	err_set(err, ERR_SYSTEM, "the store failed: %s%s%s", message, sys ? ": " : "",
		sys ? strerror(sys) : "");
	if (err)
		err->sys = sys;
	return ERR_SYSTEM;
}

static int
store_sqlite_do(struct store_db *db, const char *sql, struct err *err)
{
	sqlite3_stmt *stmt;
	int rc = store_sqlite_prepare(db, sql, &stmt, err);

	if (rc < 0)
		return rc;
	if (sqlite3_step(stmt) != SQLITE_DONE)
		rc = store_sqlite_err(db->sqlite, err);
	sqlite3_reset(stmt);
	return rc;
}

int
store_sqlite_begin(struct store_db *db, struct err *err)
{
	static const char sql[] = "BEGIN IMMEDIATE";

	return store_sqlite_do(db, sql, err);
}

int
store_sqlite_commit(struct store_db *db, struct err *err)
{
	static const char sql[] = "COMMIT";
	int rc = store_sqlite_do(db, sql, err);

	if (rc < 0)
		store_sqlite_rollback(db);
	return rc;
}

void
store_sqlite_rollback(struct store_db *db)
{
	if (store_sqlite_is_in_transaction(db))
		store_sqlite_exec(db->sqlite, "ROLLBACK", NULL);
}

bool
store_sqlite_is_in_transaction(const struct store_db *db)
{
	return !sqlite3_get_autocommit(db->sqlite);
}

int
store_sqlite_savepoint(struct store_db *db, struct err *err)
{
	static const char sql[] = "SAVEPOINT message";

	return store_sqlite_do(db, sql, err);
}

int
store_sqlite_release(struct store_db *db, struct err *err)
{
	static const char sql[] = "RELEASE message";

	return store_sqlite_do(db, sql, err);
}

/* A savepoint that cannot be undone takes the whole transaction with it: half of a message must
 * never be committed. */
void
store_sqlite_undo(struct store_db *db)
{
	static const char sql[] = "ROLLBACK TO message";

	if (store_sqlite_is_in_transaction(db) &&
		(store_sqlite_do(db, sql, NULL) < 0 || store_sqlite_release(db, NULL) < 0))
		store_sqlite_rollback(db);
}
