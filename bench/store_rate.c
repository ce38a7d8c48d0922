/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_rate - durable rows per second, through the store and on bare SQLite.
 *
 *	store_rate DIR SECONDS
 *
 * Each producer waits until its row is handed back to the loop (here: the main thread) before it
 * asks for the next. The bare side commits the same rows in batches of as many as there are
 * producers, with nobody waiting and no thread changing: what SQLite and the disk can do at most.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "store/rows.h"
#include "store/store_db.h"

#define PRODUCERS_MAX 256

static struct {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list back; /* handed back to the loop */
	uint64_t next;
	bool is_small; /* rows without an index beside the key */
} rate = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static _Noreturn void
fail(const struct err *err)
{
	fprintf(stderr, "store_rate: %s\n", err->text);
	exit(1);
}

static int
insert_small(struct store_db *db, uint64_t number, struct err *err)
{
	struct row_meter meter = {.org = "acme", .hour_ms = number, .n_calls = 1};

	thread_on_store();
	return row_meter_add(db, &meter, err);
}

static int
insert_call(struct store_db *db, uint64_t number, struct err *err)
{
	struct row_call call = {
		.org = "acme",
		.version = 1,
		.trigger = "http",
		.method = "GET",
		.path = "/hello/world",
		.status = 200,
		.code = "ok",
		.started_ms = number,
		.log = "{\"t\":1700000000000,\"s\":\"out\",\"m\":\"a line of its log\"}\n",
	};

	thread_on_store();
	snprintf(call.id, sizeof(call.id), "01J%023" PRIu64, number);
	snprintf(call.function, sizeof(call.function), "hello%u", (unsigned)(number % 20));
	return row_call_insert(db, &call, err);
}

static int
insert_row(struct store_db *db, struct err *err)
{
	uint64_t number = rate.next++;

	return rate.is_small ? insert_small(db, number, err) : insert_call(db, number, err);
}

static int
insert_org(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.name = "acme", .settings = "{}"};

	thread_on_store();
	return row_org_insert(db, &org, err);
}

static int
insert_by_message(struct store_db *db, struct store_message *message, struct err *err)
{
	return insert_row(db, err);
}

static void
post(struct list *messages, void *arg)
{
	struct store_message *message;

	pthread_mutex_lock(&rate.lock);
	list_each (messages, message, link) {
		list_remove(&message->link);
		list_push_back(&rate.back, &message->link);
	}
	pthread_cond_signal(&rate.wake);
	pthread_mutex_unlock(&rate.lock);
}

/* Takes what is back and asks again until the time is over and all are back; gives how many. */
static uint64_t
turn(uint64_t until_us, unsigned n_flying)
{
	struct store_message *message;
	uint64_t n = 0;

	while (n_flying) {
		struct list taken;

		list_init(&taken);
		pthread_mutex_lock(&rate.lock);
		while (list_is_empty(&rate.back))
			pthread_cond_wait(&rate.wake, &rate.lock);
		list_each (&rate.back, message, link) {
			list_remove(&message->link);
			list_push_back(&taken, &message->link);
		}
		pthread_mutex_unlock(&rate.lock);
		list_each (&taken, message, link) {
			if (message->code < 0)
				fail(&message->err);
			n++;
			list_remove(&message->link);
			if (clock_mono_us() < until_us)
				store_ask(rate.store, message);
			else
				n_flying--;
		}
	}
	return n;
}

static double
through_the_store(const char *dir, unsigned n_producers, unsigned seconds, double *ret_per_commit)
{
	static struct store_message messages[PRODUCERS_MAX];
	struct store_config config = {.data_dir = dir, .post = post};
	struct store_stats stats;
	struct err err = {0};
	uint64_t begin_us, n;
	double rows_s;

	list_init(&rate.back);
	if (store_open(&config, &rate.store, &err) < 0 ||
		store_ask_and_wait(rate.store, insert_org, NULL, &err) < 0)
		fail(&err);
	begin_us = clock_mono_us();
	for (unsigned i = 0; i < n_producers; i++) {
		messages[i].work = insert_by_message;
		store_ask(rate.store, &messages[i]);
	}
	n = turn(begin_us + seconds * 1000000ull, n_producers);
	rows_s = n * 1e6 / (clock_mono_us() - begin_us);
	store_stats(rate.store, &stats);
	*ret_per_commit = (double)stats.n_messages / stats.n_commits;
	store_close(rate.store);
	return rows_s;
}

static double
bare(const char *dir, unsigned n_batch, unsigned seconds)
{
	struct store_db db;
	struct err err = {0};
	uint64_t begin_us, n = 0;

	thread_on_store();
	if (store_sqlite_open(&db, dir, &err) < 0 || store_sqlite_begin(&db, &err) < 0 ||
		insert_org(&db, NULL, &err) < 0 || store_sqlite_commit(&db, &err) < 0)
		fail(&err);
	begin_us = clock_mono_us();
	while (clock_mono_us() < begin_us + seconds * 1000000ull) {
		if (store_sqlite_begin(&db, &err) < 0)
			fail(&err);
		for (unsigned i = 0; i < n_batch; i++, n++)
			if (insert_row(&db, &err) < 0)
				fail(&err);
		if (store_sqlite_commit(&db, &err) < 0)
			fail(&err);
	}
	store_sqlite_close(&db);
	return n * 1e6 / (clock_mono_us() - begin_us);
}

int
main(int argc, char **argv)
{
	static const unsigned producers[] = {1, 64, 200};
	unsigned seconds = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
	OWN(mem) char *dir = argc == 3 ? path_join(argv[1], "store_rate") : NULL;

	if (!seconds)
		return 2;
	printf("%-6s %9s %12s %12s %12s\n", "rows", "producers", "store/s", "rows/commit",
		"bare/s");
	for (unsigned i = 0; i < 6; i++) {
		unsigned n = producers[i / 2];
		double per_commit, store_s, bare_s;

		rate.is_small = i % 2;
		path_remove(dir, NULL);
		store_s = through_the_store(dir, n, seconds, &per_commit);
		path_remove(dir, NULL);
		bare_s = bare(dir, n, seconds);
		printf("%-6s %9u %12.0f %12.1f %12.0f\n", rate.is_small ? "small" : "call", n,
			store_s, per_commit, bare_s);
	}
	path_remove(dir, NULL);
	return 0;
}
