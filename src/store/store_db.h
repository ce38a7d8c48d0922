/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_db - the database as the files of this room see it.
 *
 * store_sqlite.c opens, prepares and translates errors; store_migrate.c brings the schema up to
 * date; store.c decides where a transaction begins and ends; row_*.c ask. A statement is known by
 * the address of its text, which must live as long as the program. No other room includes this.
 * Belongs to the store's thread (store_open() and store_close() own it while that is not running).
 */
#ifndef MAYFLY_STORE_STORE_DB_H
#define MAYFLY_STORE_STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/id.h"

#define STORE_STATEMENTS 256 /* places in the statement cache; a power of two */

struct store;

struct store_statement {
	const char *sql;    /* borrowed, static */
	sqlite3_stmt *stmt; /* owned */
};

struct store_db {
	sqlite3 *sqlite; /* owned */
	struct store_statement statements[STORE_STATEMENTS];
	unsigned n_statements;
	int lock_fd;  /* owned: the flock that keeps a second daemon out */
	int blobs_fd; /* owned: <data_dir>/blobs */
	/* What blob_sweep() found and blob_swept() removes once the commit is on disk. */
	char (*doomed)[ID_SHA256_SIZE]; /* owned */
	unsigned n_doomed, min_age_s;
};

/* Locks the folder, opens or creates the database, sets it up and migrates it. On failure nothing
 * stays open. */
int store_sqlite_open(struct store_db *db, const char *data_dir, struct err *err);
void store_sqlite_close(struct store_db *db);

/* A statement without rows and without arguments; for the few that are not worth a place in the
 * cache. */
int store_sqlite_exec(sqlite3 *sqlite, const char *sql, struct err *err);

/* The one number that a statement gives ("PRAGMA user_version"). */
int store_sqlite_number(sqlite3 *sqlite, const char *sql, int64_t *ret, struct err *err);

/* From the cache, reset, without bindings. Aborts if it is running: an each() must not ask the
 * question that it is the answer to. */
int store_sqlite_prepare(struct store_db *db, const char *sql, sqlite3_stmt **ret, struct err *err);

/* Fills err from the connection's last error and gives its code:
 * ERR_CONFLICT (a key is there; `field` is its last column), ERR_NOT_FOUND (a row that it points
 * to is not there), ERR_UNAVAILABLE (disk full, or locked by another program), ERR_INVALID (a
 * rule of the schema), ERR_SYSTEM (I/O, damage). */
int store_sqlite_err(sqlite3 *sqlite, struct err *err);

int store_sqlite_begin(struct store_db *db, struct err *err);
int store_sqlite_commit(struct store_db *db, struct err *err);
void store_sqlite_rollback(struct store_db *db);
/* SQLite itself undoes a whole transaction after some errors (disk full, I/O). */
bool store_sqlite_is_in_transaction(const struct store_db *db);

int store_sqlite_savepoint(struct store_db *db, struct err *err);
int store_sqlite_release(struct store_db *db, struct err *err);
void store_sqlite_undo(struct store_db *db);

/* Runs steps[user_version ... n_steps - 1], each in a transaction of its own that also writes
 * user_version. ERR_SYSTEM with both numbers for a database that is newer than n_steps. */
int store_migrate(sqlite3 *sqlite, const char *const *steps, int n_steps, struct err *err);
extern const char *const store_migrate_steps[];
extern const int store_migrate_n_steps;

/* Of the store's blobs folder, borrowed; it does not change while the store is open. Any thread. */
int store_blobs_fd(const struct store *store);

/* Makes <data_dir>/blobs and removes what a crash left half written. */
int blob_start(struct store_db *db, const char *data_dir, struct err *err);
int blob_open_at(
	int blobs_fd, const char *digest, int *ret_fd, uint64_t *ret_size, struct err *err);
/* After a commit: removes what blob_sweep() found, if still no row names it. */
void blob_swept(struct store_db *db);

#endif
