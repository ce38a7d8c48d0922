/* SPDX-License-Identifier: Apache-2.0 */
/* The store's thread: what is acknowledged, in what order, and what a failure takes with it. */
#include "store_unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#include "base/clock.h"
#include "store/blob.h"

/* Stands for the loop: takes what is handed back, runs done() when the test asks. */
struct fixture {
	struct store *store;
	struct err err;
	char *folder;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct list back; /* handed back, not yet done */
	unsigned n_back;
};

static void
post(struct list *messages, void *arg)
{
	struct fixture *fixture = arg;
	struct store_message *message;

	pthread_mutex_lock(&fixture->lock);
	list_each (messages, message, link) {
		list_remove(&message->link);
		list_push_back(&fixture->back, &message->link);
		fixture->n_back++;
	}
	pthread_cond_signal(&fixture->wake);
	pthread_mutex_unlock(&fixture->lock);
}

static void
reopen(struct fixture *fixture)
{
	struct store_config config = {.data_dir = fixture->folder, .post = post, .arg = fixture};

	ok(fixture, store_open(&config, &fixture->store, &fixture->err));
}

static struct fixture *
fixture_open(void)
{
	struct fixture *fixture = mem_new(sizeof(*fixture));

	fixture->folder = unit_folder();
	pthread_mutex_init(&fixture->lock, NULL);
	pthread_cond_init(&fixture->wake, NULL);
	list_init(&fixture->back);
	reopen(fixture);
	return fixture;
}

static void
close_store(struct fixture *fixture)
{
	if (fixture->store)
		store_close(take_ptr(&fixture->store));
}

static void
own_fixture(struct fixture **fixture)
{
	close_store(*fixture);
	pthread_cond_destroy(&(*fixture)->wake);
	pthread_mutex_destroy(&(*fixture)->lock);
	own_folder(&(*fixture)->folder);
	free(*fixture);
}

/* Waits until n messages are back, then runs their done() in the order of their return. */
static void
run_done(struct fixture *fixture, unsigned n)
{
	struct store_message *message;

	pthread_mutex_lock(&fixture->lock);
	while (fixture->n_back < n)
		pthread_cond_wait(&fixture->wake, &fixture->lock);
	fixture->n_back -= n;
	list_each (&fixture->back, message, link) {
		list_remove(&message->link);
		message->done(message);
		if (!--n)
			break;
	}
	pthread_mutex_unlock(&fixture->lock);
}

/* ---- a message that makes an org ---- */

struct making {
	struct store_message message;
	char name[64];
	int fails_with; /* after the org was inserted */
	sem_t *begins;  /* posted when it works */
	sem_t *waits;   /* before it works */
	bool is_done;
	struct buf *order; /* the names in the order of done(); borrowed */
};

static int
make_org(struct store_db *db, struct store_message *message, struct err *err)
{
	struct making *making = list_owner(message, struct making, message);
	struct row_org org = org_named(making->name);
	int rc;

	thread_on_store();
	if (making->begins)
		sem_post(making->begins);
	if (making->waits)
		sem_wait(making->waits);
	rc = row_org_insert(db, &org, err);
	if (rc >= 0 && making->fails_with)
		return err_set(err, making->fails_with, "as the test wants");
	return rc;
}

static void
made_org(struct store_message *message)
{
	struct making *making = list_owner(message, struct making, message);

	making->is_done = true;
	if (making->order)
		buf_add_text(making->order, making->name);
}

static struct making
making_of(const char *name)
{
	struct making making = {.message = {.work = make_org, .done = made_org}};

	snprintf(making.name, sizeof(making.name), "%s", name);
	return making;
}

/* ---- what another reader sees ---- */

static int64_t
look(struct fixture *fixture, const char *sql)
{
	OWN(mem) char *path = path_join(fixture->folder, "mayfly.db");
	sqlite3 *sqlite;
	int64_t n = -1;

	assert_int_equal(sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	assert_int_equal(store_sqlite_number(sqlite, sql, &n, NULL), 0);
	sqlite3_close(sqlite);
	return n;
}

#define COUNT_ORGS "SELECT count(*) FROM org"

static void
what_is_handed_back_is_committed(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making making = making_of("acme");

	store_ask(fixture->store, &making.message);
	run_done(fixture, 1);
	assert_true(making.is_done);
	assert_int_equal(making.message.code, 0);
	assert_int_equal(look(fixture, COUNT_ORGS), 1);
}

static void
work_that_fails_is_undone_alone(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making all[] = {making_of("a"), making_of("b"), making_of("c"), making_of("a")};
	sem_t sem;

	sem_init(&sem, 0, 0);
	all[0].waits = &sem;
	all[1].fails_with = ERR_RATE;
	for (int i = 0; i < 4; i++)
		store_ask(fixture->store, &all[i].message);
	sem_post(&sem);
	run_done(fixture, 4);
	assert_int_equal(all[0].message.code, 0);
	assert_int_equal(all[1].message.code, ERR_RATE);
	assert_string_equal(all[1].message.err.text, "as the test wants");
	assert_int_equal(all[2].message.code, 0);
	assert_int_equal(all[3].message.code, ERR_CONFLICT);
	assert_int_equal(look(fixture, COUNT_ORGS " WHERE name IN ('a', 'c')"), 2);
	assert_int_equal(look(fixture, COUNT_ORGS), 2);
	sem_destroy(&sem);
}

/* The first holds the thread until the others are there. */
static void
messages_that_wait_together_share_a_commit_and_keep_their_order(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making all[10];
	struct store_stats stats;
	OWN(buf) struct buf order = BUF_INIT;
	sem_t sem;

	sem_init(&sem, 0, 0);
	for (int i = 0; i < 10; i++) {
		all[i] = making_of((char[]){'a' + i, '\0'});
		all[i].order = &order;
		all[i].waits = i ? NULL : &sem;
		store_ask(fixture->store, &all[i].message);
	}
	store_stats(fixture->store, &stats);
	assert_int_equal(stats.n_waiting, 10);
	sem_post(&sem);
	run_done(fixture, 10);
	assert_string_equal(order.at, "abcdefghij");
	store_stats(fixture->store, &stats);
	assert_int_equal(stats.n_messages, 10);
	assert_int_equal(stats.n_waiting, 0);
	assert_int_equal(stats.n_failed, 0);
	assert_in_range(stats.n_commits, 1, 2);
	sem_destroy(&sem);
}

/* Once more where the machine was too busy to ask twice before the first was due. */
static void
a_lazy_message_goes_with_the_next_that_is_not(void **state)
{
	uint64_t begin_us, asked_us;

	do {
		OWN(fixture) struct fixture *fixture = fixture_open();
		struct making lazy = making_of("lazy"), eager = making_of("eager");
		struct store_stats stats;
		OWN(buf) struct buf order = BUF_INIT;

		lazy.message.is_lazy = true;
		lazy.order = eager.order = &order;
		begin_us = clock_mono_us();
		store_ask(fixture->store, &lazy.message);
		store_ask(fixture->store, &eager.message);
		asked_us = clock_mono_us() - begin_us;
		run_done(fixture, 2);
		store_stats(fixture->store, &stats);
		assert_string_equal(order.at, "lazyeager");
		if (asked_us < 100000)
			assert_int_equal(stats.n_commits, 1);
	} while (asked_us >= 100000);
}

/* The first holds the thread until the others are there. */
static uint64_t
ask_lazy_and_ahead(struct buf *order)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making all[] = {making_of("first"), making_of("lazy"), making_of("ahead")};
	uint64_t begin_us, took_us;
	sem_t begun, sem;

	sem_init(&begun, 0, 0);
	sem_init(&sem, 0, 0);
	all[0].begins = &begun;
	all[0].waits = &sem;
	all[1].message.is_lazy = true;
	all[2].message.is_ahead = true;
	store_ask(fixture->store, &all[0].message);
	sem_wait(&begun);
	begin_us = clock_mono_us();
	for (int i = 1; i < 3; i++) {
		all[i].order = order;
		store_ask(fixture->store, &all[i].message);
	}
	sem_post(&sem);
	run_done(fixture, 2);
	took_us = clock_mono_us() - begin_us;
	run_done(fixture, 1);
	assert_int_equal(look(fixture, COUNT_ORGS), 3);
	sem_destroy(&begun);
	sem_destroy(&sem);
	return took_us;
}

/* Once more where the machine was so busy that the lazy one was due. */
static void
what_goes_ahead_leaves_lazy_messages_where_they_are(void **state)
{
	uint64_t took_us;

	do {
		OWN(buf) struct buf order = BUF_INIT;

		took_us = ask_lazy_and_ahead(&order);
		if (took_us < 100000)
			assert_string_equal(order.at, "aheadlazy");
	} while (took_us >= 100000);
}

static void
what_goes_ahead_takes_its_place_among_those_that_do_not(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making all[] = {making_of("first"), making_of("lazy"), making_of("eager"),
		making_of("ahead"), making_of("last")};
	OWN(buf) struct buf order = BUF_INIT;
	sem_t sem;

	sem_init(&sem, 0, 0);
	all[0].waits = &sem;
	all[1].message.is_lazy = true;
	all[3].message.is_ahead = true;
	for (int i = 0; i < 5; i++) {
		all[i].order = &order;
		store_ask(fixture->store, &all[i].message);
	}
	sem_post(&sem);
	run_done(fixture, 5);
	assert_string_equal(order.at, "firstlazyeageraheadlast");
	sem_destroy(&sem);
}

static void
a_lazy_message_waits_no_longer_for_those_that_go_ahead(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making lazy = making_of("lazy");
	struct store_stats stats = {0};

	lazy.message.is_lazy = true;
	store_ask(fixture->store, &lazy.message);
	for (unsigned n = 0; !lazy.is_done; n++) {
		struct making ahead = making_of("ahead");

		must(n < 1000000);
		snprintf(ahead.name, sizeof(ahead.name), "a%u", n);
		ahead.message.is_ahead = true;
		store_ask(fixture->store, &ahead.message);
		while (!ahead.is_done)
			run_done(fixture, 1);
	}
	store_stats(fixture->store, &stats);
	assert_int_equal(stats.n_waiting, 0);
}

static void
a_lazy_message_without_company_is_done_all_the_same(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making first = making_of("first"), second = making_of("second");
	uint64_t begin_us = clock_mono_us();

	first.message.is_lazy = second.message.is_lazy = true;
	store_ask(fixture->store, &first.message);
	run_done(fixture, 1);
	assert_true(clock_mono_us() - begin_us >= 100000);
	store_ask(fixture->store, &second.message);
	run_done(fixture, 1);
	assert_int_equal(look(fixture, COUNT_ORGS), 2);
}

static void
more_messages_than_one_transaction_takes_are_all_done(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making *all = mem_new(2500 * sizeof(*all));
	struct store_stats stats;

	for (unsigned i = 0; i < 2500; i++) {
		char name[16];

		snprintf(name, sizeof(name), "o%u", i);
		all[i] = making_of(name);
		all[i].message.is_lazy = i % 2;
		store_ask(fixture->store, &all[i].message);
	}
	run_done(fixture, 2500);
	store_stats(fixture->store, &stats);
	assert_true(stats.n_commits >= 3);
	assert_int_equal(stats.n_messages, 2500);
	assert_int_equal(look(fixture, COUNT_ORGS), 2500);
	free(all);
}

static void
closing_does_what_is_waiting_and_hands_it_back(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making lazy = making_of("lazy"), eager = making_of("eager");

	lazy.message.is_lazy = true;
	store_ask(fixture->store, &eager.message);
	store_ask(fixture->store, &lazy.message);
	close_store(fixture);
	run_done(fixture, 2);
	assert_true(lazy.is_done && eager.is_done);
	assert_int_equal(look(fixture, COUNT_ORGS), 2);
}

/* ---- asking and waiting ---- */

static int
fail_with_a_field(struct store_db *db, void *arg, struct err *err)
{
	return err_field(err, ERR_INVALID, "name", "no");
}

static int
run_sql(struct store_db *db, void *arg, struct err *err)
{
	return store_sqlite_exec(db->sqlite, arg, err);
}

static void
exec(struct fixture *fixture, const char *sql)
{
	OWN(mem) char *copy = str_dup(str_of(sql));

	ok(fixture, store_ask_and_wait(fixture->store, run_sql, copy, &fixture->err));
}

static void
who_waits_gets_the_error_of_the_work(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();

	assert_int_equal(store_ask_and_wait(fixture->store, fail_with_a_field, NULL, &fixture->err),
		ERR_INVALID);
	assert_string_equal(fixture->err.field, "name");
	assert_int_equal(
		store_ask_and_wait(fixture->store, fail_with_a_field, NULL, NULL), ERR_INVALID);
	exec(fixture, "INSERT INTO org VALUES ('acme', 1, '{}')");
	assert_int_equal(look(fixture, COUNT_ORGS), 1);
}

/* ---- opening ---- */

static void
what_was_written_is_there_after_a_restart(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();

	exec(fixture, "INSERT INTO org VALUES ('acme', 1, '{}')");
	close_store(fixture);
	reopen(fixture);
	exec(fixture, "UPDATE org SET created_ms = 2 WHERE name = 'acme'");
	assert_int_equal(look(fixture, "SELECT created_ms FROM org"), 2);
}

static void
a_folder_in_use_is_refused(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct store_config config = {.data_dir = fixture->folder, .post = post};
	struct store *second = NULL;

	assert_int_equal(store_open(&config, &second, &fixture->err), ERR_UNAVAILABLE);
	assert_non_null(strstr(fixture->err.text, "another mayfly is using"));
	assert_null(second);
}

static void
a_database_of_a_newer_mayfly_is_refused_and_left_alone(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct store_config config = {.data_dir = fixture->folder, .post = post};

	exec(fixture, "PRAGMA user_version = 4711");
	close_store(fixture);
	assert_int_equal(store_open(&config, &fixture->store, &fixture->err), ERR_SYSTEM);
	assert_non_null(strstr(fixture->err.text, "schema is version 4711"));
	assert_int_equal(look(fixture, "PRAGMA user_version"), 4711);
}

static void
spoil(struct fixture *fixture, off_t at)
{
	OWN(mem) char *path = path_join(fixture->folder, "mayfly.db");
	OWN(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);
	char noise[2048];

	memset(noise, 0x5a, sizeof(noise));
	assert_int_equal(pwrite(fd, noise, sizeof(noise), at), sizeof(noise));
}

/* A log file that stayed tells of a crash. */
static void
damage_after_a_crash_is_found_at_the_start(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct store_config config = {.data_dir = fixture->folder, .post = post};
	OWN(mem) char *log = path_join(fixture->folder, "mayfly.db-wal");
	int64_t page;

	exec(fixture, "INSERT INTO org VALUES ('acme', 1, '{}')");
	page = look(fixture, "SELECT rootpage FROM sqlite_schema WHERE name = 'org'");
	close_store(fixture);
	spoil(fixture, (page - 1) * 4096);
	ok(fixture, path_write(log, STR("torn"), 0600, &fixture->err));
	assert_int_equal(store_open(&config, &fixture->store, &fixture->err), ERR_SYSTEM);
	assert_non_null(strstr(fixture->err.text, "is damaged"));
	assert_non_null(strstr(fixture->err.text, "restore a backup"));
}

static void
what_is_no_database_is_refused(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct store_config config = {.data_dir = fixture->folder, .post = post};

	close_store(fixture);
	spoil(fixture, 0);
	assert_int_equal(store_open(&config, &fixture->store, &fixture->err), ERR_SYSTEM);
	assert_non_null(strstr(fixture->err.text, "not a database"));
}

/* ---- when SQLite cannot ---- */

static void
a_full_disk_is_said_harms_nothing_and_passes(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making making = making_of("late");
	unsigned n = 0;
	int rc = 0;

	exec(fixture, "PRAGMA max_page_count = 60");
	while (rc >= 0 && n < 100) {
		OWN(mem)
		char *sql =
			mem_printf("INSERT INTO org VALUES ('o%u', 1, hex(randomblob(4000)))", n++);

		rc = store_ask_and_wait(fixture->store, run_sql, sql, &fixture->err);
	}
	assert_int_equal(rc, ERR_UNAVAILABLE);
	assert_string_equal(fixture->err.text, "the disk of the store is full");
	assert_int_equal(look(fixture, COUNT_ORGS), n - 1);
	exec(fixture, "PRAGMA max_page_count = 1000000");
	store_ask(fixture->store, &making.message);
	run_done(fixture, 1);
	assert_int_equal(making.message.code, 0);
	close_store(fixture);
	assert_int_equal(look(fixture, "SELECT count(*) FROM pragma_integrity_check"
				       " WHERE integrity_check = 'ok'"),
		1);
	assert_int_equal(look(fixture, COUNT_ORGS), n);
}

static int
lose_the_transaction(struct store_db *db, struct store_message *message, struct err *err)
{
	struct row_org org = org_named("must-not-be-there");

	thread_on_store();
	store_sqlite_rollback(db);
	assert_int_equal(row_org_insert(db, &org, NULL), ERR_SYSTEM);
	return err_set(err, ERR_SYSTEM, "the disk broke");
}

static void
a_transaction_that_is_lost_fails_what_was_in_it_and_the_rest_goes_on(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	struct making all[] = {making_of("a"), making_of("b"), making_of("c"), making_of("d")};
	sem_t sem;

	sem_init(&sem, 0, 0);
	all[0].waits = &sem;
	all[2].message.work = lose_the_transaction;
	for (int i = 0; i < 4; i++)
		store_ask(fixture->store, &all[i].message);
	sem_post(&sem);
	run_done(fixture, 4);
	assert_int_equal(all[1].message.code, ERR_SYSTEM);
	assert_string_equal(all[1].message.err.text, "the disk broke");
	assert_int_equal(all[2].message.code, ERR_SYSTEM);
	assert_int_equal(all[3].message.code, 0);
	assert_int_equal(look(fixture, COUNT_ORGS " WHERE name IN ('b', 'must-not-be-there')"), 0);
	assert_int_equal(look(fixture, COUNT_ORGS " WHERE name = 'd'"), 1);
	sem_destroy(&sem);
}

static void
a_store_that_another_program_locks_is_said_to_all_who_wait(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	OWN(mem) char *path = path_join(fixture->folder, "mayfly.db");
	struct making all[] = {making_of("a"), making_of("b")};
	sqlite3 *other;

	exec(fixture, "PRAGMA busy_timeout = 1");
	assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
	assert_int_equal(store_sqlite_exec(other, "BEGIN IMMEDIATE", NULL), 0);
	for (int i = 0; i < 2; i++)
		store_ask(fixture->store, &all[i].message);
	run_done(fixture, 2);
	sqlite3_close(other);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(all[i].message.code, ERR_UNAVAILABLE);
		assert_string_equal(
			all[i].message.err.text, "another program keeps the store locked");
	}
	exec(fixture, "INSERT INTO org VALUES ('acme', 1, '{}')");
}

/* ---- blobs through the door ---- */

static int
put_blob(struct store_db *db, void *digest, struct err *err)
{
	thread_on_store();
	return blob_put(db, STR("bytes"), digest, err);
}

static int
sweep_blobs(struct store_db *db, void *ret_n, struct err *err)
{
	thread_on_store();
	return blob_sweep(db, 0, ret_n, err);
}

static void
a_blob_is_put_opened_and_swept_through_the_store(void **state)
{
	OWN(fixture) struct fixture *fixture = fixture_open();
	char digest[ID_SHA256_SIZE];
	uint64_t size = 0;
	unsigned n = 0;
	int fd;

	ok(fixture, store_ask_and_wait(fixture->store, put_blob, digest, &fixture->err));
	ok(fixture, blob_open(fixture->store, digest, &fd, &size, &fixture->err));
	close(fd);
	assert_int_equal(size, 5);
	ok(fixture, store_ask_and_wait(fixture->store, sweep_blobs, &n, &fixture->err));
	assert_int_equal(n, 1);
	assert_int_equal(
		blob_open(fixture->store, digest, &fd, &size, &fixture->err), ERR_NOT_FOUND);
}

UNIT_TESTS(it(what_is_handed_back_is_committed), it(work_that_fails_is_undone_alone),
	it(messages_that_wait_together_share_a_commit_and_keep_their_order),
	it(a_lazy_message_goes_with_the_next_that_is_not),
	it(what_goes_ahead_leaves_lazy_messages_where_they_are),
	it(what_goes_ahead_takes_its_place_among_those_that_do_not),
	it(a_lazy_message_waits_no_longer_for_those_that_go_ahead),
	it(a_lazy_message_without_company_is_done_all_the_same),
	it(more_messages_than_one_transaction_takes_are_all_done),
	it(closing_does_what_is_waiting_and_hands_it_back),
	it(who_waits_gets_the_error_of_the_work), it(what_was_written_is_there_after_a_restart),
	it(a_folder_in_use_is_refused), it(a_database_of_a_newer_mayfly_is_refused_and_left_alone),
	it(damage_after_a_crash_is_found_at_the_start), it(what_is_no_database_is_refused),
	it(a_full_disk_is_said_harms_nothing_and_passes),
	it(a_transaction_that_is_lost_fails_what_was_in_it_and_the_rest_goes_on),
	it(a_store_that_another_program_locks_is_said_to_all_who_wait),
	it(a_blob_is_put_opened_and_swept_through_the_store))
