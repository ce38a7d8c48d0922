/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/own.h"
#include "store/blob.h"
#include "store/store_db.h"

#define STORE_LAZY_US   100000
#define STORE_BATCH_MAX 1000 /* messages of one transaction: bounds what the first has to wait */

struct store {
	struct store_config config;
	struct store_db db; /* the thread's own while it runs */
	pthread_t thread;

	pthread_mutex_t lock; /* over all below */
	pthread_cond_t wake;
	struct list queue;       /* of store_message: handed over, not yet begun */
	unsigned n_queued;       /* length of the queue */
	unsigned n_eager;        /* of these, not lazy */
	unsigned n_ahead;        /* of these, may overtake what is lazy */
	uint64_t oldest_lazy_us; /* since when the queue is not empty */
	bool is_closing;
	struct store_stats stats;
};

/* ---- the loop's side ---- */

/* One waking is enough: the thread takes all that is there when it comes. */
void
store_ask(struct store *store, struct store_message *message)
{
	bool is_first, is_first_eager, is_enough;

	must(!message->is_ahead || !message->is_lazy);
	message->code = 0;
	message->err = (struct err){0};
	pthread_mutex_lock(&store->lock);
	must(!store->is_closing);
	is_first = store->n_queued == 0;
	is_first_eager = !message->is_lazy && store->n_eager == 0;
	is_enough = ++store->n_queued == STORE_BATCH_MAX;
	store->n_eager += !message->is_lazy;
	store->n_ahead += message->is_ahead;
	if (is_first)
		store->oldest_lazy_us = clock_mono_us();
	store->stats.n_waiting++;
	list_push_back(&store->queue, &message->link);
	if (is_first || is_first_eager || is_enough)
		pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
}

void
store_stats(struct store *store, struct store_stats *ret)
{
	pthread_mutex_lock(&store->lock);
	*ret = store->stats;
	pthread_mutex_unlock(&store->lock);
}

int
store_blobs_fd(const struct store *store)
{
	return store->db.blobs_fd;
}

/* ---- asking and waiting ---- */

struct store_wait {
	struct store_message message;
	int (*work)(struct store_db *db, void *arg, struct err *err);
	void *arg; /* borrowed */
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool is_done;
};

static int
store_wait_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct store_wait *wait = list_owner(message, struct store_wait, message);

	return wait->work(db, wait->arg, err);
}

/* Runs on the store's thread: whoever waits has no loop that would run it. */
static void
store_wait_done(struct store_message *message)
{
	struct store_wait *wait = list_owner(message, struct store_wait, message);

	pthread_mutex_lock(&wait->lock);
	wait->is_done = true;
	pthread_cond_signal(&wait->wake);
	pthread_mutex_unlock(&wait->lock);
}

int
store_ask_and_wait(struct store *store,
	int (*work)(struct store_db *db, void *arg, struct err *err), void *arg, struct err *err)
{
	struct store_wait wait = {
		.message = {.work = store_wait_work, .done = store_wait_done},
		.work = work,
		.arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.wake = PTHREAD_COND_INITIALIZER,
	};

	store_ask(store, &wait.message);
	pthread_mutex_lock(&wait.lock);
	while (!wait.is_done)
		pthread_cond_wait(&wait.wake, &wait.lock);
	pthread_mutex_unlock(&wait.lock);
	if (wait.message.code < 0 && err)
		*err = wait.message.err;
	return wait.message.code;
}

/* ---- the store's thread: take, do, hand back ---- */

static bool
store_is_lazy_due(const struct store *store)
{
	return store->n_queued >= STORE_BATCH_MAX || store->is_closing ||
	       clock_mono_us() >= store->oldest_lazy_us + STORE_LAZY_US;
}

static bool
store_is_due(const struct store *store)
{
	return store->n_queued && (store->n_eager || store_is_lazy_due(store));
}

static void
store_sleep(struct store *store)
{
	uint64_t until_us = store->oldest_lazy_us + STORE_LAZY_US;
	struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};

	if (store->n_queued)
		pthread_cond_timedwait(&store->wake, &store->lock, &until);
	else
		pthread_cond_wait(&store->wake, &store->lock);
}

static void
store_take_one(struct store *store, struct store_message *message, struct list *batch)
{
	list_remove(&message->link);
	list_push_back(batch, &message->link);
	store->n_queued--;
	store->n_eager -= !message->is_lazy;
	store->n_ahead -= message->is_ahead;
}

/* What a full batch leaves behind has waited enough: it is due at once. */
static void
store_take_batch(struct store *store, struct list *batch)
{
	bool is_ahead_only =
		store->n_ahead && store->n_ahead == store->n_eager && !store_is_lazy_due(store);
	struct store_message *message;
	unsigned n = 0;

	list_each (&store->queue, message, link) {
		if (is_ahead_only && message->is_lazy)
			continue;
		if (n++ == STORE_BATCH_MAX)
			break;
		store_take_one(store, message, batch);
	}
	if (!is_ahead_only)
		store->oldest_lazy_us = 0;
}

/* Waits for work. False when there is none and there will be none. */
static bool
store_take(struct store *store, struct list *batch)
{
	bool is_open;

	list_init(batch);
	pthread_mutex_lock(&store->lock);
	while (!store_is_due(store) && !(store->is_closing && !store->n_queued))
		store_sleep(store);
	store_take_batch(store, batch);
	is_open = !list_is_empty(batch);
	pthread_mutex_unlock(&store->lock);
	return is_open;
}

static void
store_work(struct store_db *db, struct store_message *message)
{
	int rc = store_sqlite_savepoint(db, &message->err);

	if (rc < 0) {
		message->code = rc;
		return;
	}
	rc = message->work(db, message, &message->err);
	must(rc <= 0);
	if (rc >= 0)
		rc = store_sqlite_release(db, &message->err);
	if (rc < 0)
		store_sqlite_undo(db);
	message->code = rc;
}

/* Tells those from `first` up to `end`, whose work was done, that it is undone. */
static void
store_fail(struct list *first, struct list *end, const struct err *why)
{
	for (struct list *link = first; link != end; link = link->next) {
		struct store_message *message = list_owner(link, struct store_message, link);

		if (message->code < 0)
			continue;
		message->err = *why;
		message->code = why->code;
	}
}

/* One transaction, normally. SQLite gives up a whole transaction after some errors (disk full,
 * I/O): what was done in it is undone and told so, and the rest of the batch begins another. */
static void
store_do(struct store_db *db, struct list *batch)
{
	struct list *first = batch->next;
	struct store_message *message;
	struct err err = {0};

	list_each (batch, message, link) {
		if (!store_sqlite_is_in_transaction(db)) {
			first = &message->link;
			if (store_sqlite_begin(db, &err) < 0) {
				store_fail(first, batch, &err);
				return;
			}
		}
		store_work(db, message);
		if (store_sqlite_is_in_transaction(db))
			continue;
		err = message->err;
		if (message->code >= 0)
			err_set(&err, ERR_SYSTEM, "the store undid a transaction");
		store_fail(first, message->link.next, &err);
	}
	if (store_sqlite_is_in_transaction(db) && store_sqlite_commit(db, &err) < 0)
		store_fail(first, batch, &err);
}

static void
store_count(struct store *store, const struct list *batch, uint64_t commit_us)
{
	unsigned n = 0, n_failed = 0;
	struct store_message *message;

	list_each (batch, message, link) {
		n++;
		n_failed += message->code < 0;
	}
	pthread_mutex_lock(&store->lock);
	store->stats.n_messages += n;
	store->stats.n_failed += n_failed;
	store->stats.n_waiting -= n;
	store->stats.n_commits++;
	store->stats.commit_us_last = commit_us;
	pthread_mutex_unlock(&store->lock);
}

static void
store_hand_back(struct store *store, struct list *batch)
{
	struct store_message *message;

	list_each (batch, message, link) {
		if (message->done != store_wait_done)
			continue;
		list_remove(&message->link);
		message->done(message);
	}
	if (!list_is_empty(batch))
		store->config.post(batch, store->config.arg);
}

static void *
store_run(void *arg)
{
	struct store *store = arg;
	struct list batch;

	thread_on_store();
	while (store_take(store, &batch)) {
		uint64_t begin_us = clock_mono_us();

		store_do(&store->db, &batch);
		blob_swept(&store->db);
		store_count(store, &batch, clock_mono_us() - begin_us);
		store_hand_back(store, &batch);
	}
	return NULL;
}

/* ---- open and close ---- */

/* Deadlines are monotonic: a clock that is set must not keep lazy messages waiting. */
static void
store_init(struct store *store, const struct store_config *config)
{
	pthread_condattr_t attr;

	store->config = *config;
	store->config.data_dir = NULL; /* borrowed for the call of store_open() only */
	list_init(&store->queue);
	pthread_mutex_init(&store->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&store->wake, &attr);
	pthread_condattr_destroy(&attr);
}

static void
store_free(struct store *store)
{
	store_sqlite_close(&store->db);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	free(store);
}

OWN_DEFINE(store, struct store *, store_free)

int
store_open(const struct store_config *config, struct store **ret, struct err *err)
{
	OWN(store) struct store *store = mem_new(sizeof(*store));
	int rc;

	store_init(store, config);
	rc = store_sqlite_open(&store->db, config->data_dir, err);
	if (rc >= 0)
		rc = thread_start(&store->thread, "store", store_run, store, err);
	if (rc < 0)
		return rc;
	*ret = take_ptr(&store);
	return 0;
}

void
store_close(struct store *store)
{
	pthread_mutex_lock(&store->lock);
	store->is_closing = true;
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
	pthread_join(store->thread, NULL);
	store_free(store);
}
