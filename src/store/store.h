/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store - what must survive: rows in a database, blobs in files.
 *
 * One writer thread owns the database. store_ask() hands it a message; the work of all waiting
 * messages is done in one transaction (group commit), and only after its commit is on disk are
 * they handed back: acknowledged means durable. A work() that fails is rolled back alone (a
 * savepoint) and does not harm its neighbours.
 *
 *	loop: store_ask(message) ──▶ store: work(db, message) … COMMIT ──▶ loop: done(message)
 *
 * The interface has one implementation now, SQLite (store_sqlite.c: WAL, synchronous=FULL,
 * foreign keys on); the row functions of rows.h are all that others may ask of a database.
 * Knows no HTTP and no sandbox; rows are what domain/ says they are.
 */
#ifndef MAYFLY_STORE_STORE_H
#define MAYFLY_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"
#include "base/thread.h"

struct store;    /* the handle, any thread */
struct store_db; /* the database, on the store's thread alone */

struct store_config {
	const char *data_dir; /* mayfly.db and blobs/ are made below it, mode 0700 */
	/* Runs done(message) on the loop: called on the store's thread for each batch. Takes all
	 * messages out of the list, which lives no longer than the call. */
	void (*post)(struct list *messages, void *arg);
	void *arg; /* borrowed */
};

struct store_message {
	struct list link;
	/* On the store's thread, inside a transaction. Gives 0 or an error code, which is kept in
	 * `code` with `err`; what it wrote is then undone. */
	int (*work)(struct store_db *db, struct store_message *message, struct err *err);
	/* On the loop, after the commit (or with code < 0: work failed, or the commit did). */
	void (*done)(struct store_message *message);
	int code;
	struct err err;
	/* Write-behind: may wait up to 100 ms for company and is not worth an fsync of its own. */
	bool is_lazy;
	/* Somebody waits for this alone, and nothing that is lazy matters to it: lazy messages that
	 * were asked before it and are not due do not make its commit larger. */
	bool is_ahead;
};

/* Opens or creates, migrates to the newest schema, checks integrity after a crash, starts the
 * thread. A database of a newer schema is refused with both numbers. */
int store_open(const struct store_config *config, struct store **ret, struct err *err);

/* Ownership of the message moves until done(). */
void store_ask(struct store *store, struct store_message *message) ANY_THREAD;

/* Runs work at once and waits for the commit: start-up and tests, not while the loop runs. */
int store_ask_and_wait(struct store *store,
	int (*work)(struct store_db *db, void *arg, struct err *err), void *arg, struct err *err);

/* Does what is waiting, commits, closes. Messages are handed back by `post` as usual. */
void store_close(struct store *store);

struct store_stats {
	uint64_t n_messages, n_commits, n_failed;
	uint64_t n_waiting; /* now */
	uint64_t commit_us_last;
};
void store_stats(struct store *store, struct store_stats *ret) ANY_THREAD;

#endif
