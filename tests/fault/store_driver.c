/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_driver - a program that writes numbered things into a store, for tests that harm it.
 *
 *	store_driver write DIR FROM        writes FROM, FROM + 1, … until it is killed, 64 at a
 *	                                   time; prints each number once it is acknowledged
 *	store_driver check DIR < NUMBERS   is each of them there, whole?
 *	store_driver synced DIR            is every byte synced before it is acknowledged?
 *	store_driver fail DIR once|lasting io|full
 *	                                   for n = 1..FAIL_CALLS: the n-th system call fails
 *	store_driver fill DIR              until the disk is full, then makes room and goes on
 *
 * A number is a call; every fifth is also a blob and a version that names it, in one message.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/path.h"
#include "fault_calls.h"
#include "store/blob.h"
#include "store/rows.h"
#include "store/store_db.h"

#define IN_FLIGHT    64
#define WATCHED      3000 /* numbers whose syncs are watched */
#define LARGEST_BLOB 300000

static void
fail(const char *what, const struct err *err)
{
	printf("FAILED %s: %s\n", what, err ? err->text : "");
	exit(1);
}

/* ---- what a number is ---- */

static bool
has_blob(uint64_t number)
{
	return number % 5 == 0;
}

/* Up to LARGEST_BLOB bytes that tell of their number. */
static void
blob_bytes(uint64_t number, struct buf *out)
{
	unsigned n = number % 25 ? 1 : LARGEST_BLOB / 40;

	for (unsigned i = 0; i < n; i++)
		buf_printf(out, "blob %" PRIu64 " ", number);
}

static struct row_call
call_of(uint64_t number)
{
	struct row_call call = {
		.org = "acme",
		.function = "hello",
		.version = 1,
		.trigger = "http",
		.method = "GET",
		.path = "/",
		.status = 200,
		.started_ms = number,
		.log = "a line of its log",
	};

	snprintf(call.code, sizeof(call.code), "%s", number % 7 ? "ok" : "timeout");
	snprintf(call.id, sizeof(call.id), "01J%023" PRIu64, number);
	return call;
}

static int
insert_version(struct store_db *db, uint64_t number, struct err *err)
{
	struct row_version version = {
		.org = "acme",
		.function = "hello",
		.number = number,
		.state = "ready",
		.config = "{}",
	};
	OWN(buf) struct buf bytes = BUF_INIT;
	int rc;

	thread_on_store();
	blob_bytes(number, &bytes);
	rc = blob_put(db, buf_str(&bytes), version.source, err);
	return rc < 0 ? rc : row_version_insert(db, &version, err);
}

static int
insert_number(struct store_db *db, uint64_t number, struct err *err)
{
	struct row_call call = call_of(number);
	int rc = 0;

	thread_on_store();
	if (has_blob(number))
		rc = insert_version(db, number, err);
	return rc < 0 ? rc : row_call_insert(db, &call, err);
}

/* The org and the function that numbers belong to; that they are there is fine. */
static int
insert_ground(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.name = "acme", .settings = "{}"};
	struct row_function function = {.org = "acme", .name = "hello", .route = "hello"};
	int rc;

	thread_on_store();
	rc = row_org_insert(db, &org, err);
	if (rc == ERR_CONFLICT)
		return 0;
	return rc < 0 ? rc : row_function_insert(db, &function, err);
}

/* ---- write ---- */

struct writing {
	struct store_message message;
	uint64_t number;
};

static struct {
	struct store *store;
	uint64_t next;
	bool is_watching_syncs;
	_Atomic unsigned n_ended; /* writings that ask no more */
} writer;

static int
write_number(struct store_db *db, struct store_message *message, struct err *err)
{
	return insert_number(db, list_owner(message, struct writing, message)->number, err);
}

static void
ask_next(struct writing *writing)
{
	writing->number = writer.next++;
	writing->message.is_lazy = writing->number % 3 == 0;
	store_ask(writer.store, &writing->message);
}

static void
acknowledged(struct store_message *message)
{
	struct writing *writing = list_owner(message, struct writing, message);

	if (message->code < 0)
		fail("writing", &message->err);
	printf("%" PRIu64 "\n", writing->number);
}

/* Acknowledges on the store's thread, at once: what is printed cannot be younger than its commit.
 */
static void
post(struct list *messages, void *arg)
{
	struct store_message *message;

	if (writer.is_watching_syncs && !fault_is_synced())
		fail("acknowledged before it was synced", NULL);
	list_each (messages, message, link)
		message->done(message);
	fflush(stdout);
	list_each (messages, message, link) {
		list_remove(&message->link);
		if (!writer.is_watching_syncs || writer.next < WATCHED)
			ask_next(list_owner(message, struct writing, message));
		else
			writer.n_ended++;
	}
}

static int
open_store(const char *dir, struct store **ret, struct err *err)
{
	struct store_config config = {.data_dir = dir, .post = post};

	return store_open(&config, ret, err);
}

static void
start_writing(const char *dir, uint64_t from)
{
	static struct writing writing[IN_FLIGHT];
	struct err err;

	if (open_store(dir, &writer.store, &err) < 0 ||
		store_ask_and_wait(writer.store, insert_ground, NULL, &err) < 0)
		fail("starting", &err);
	writer.next = from;
	for (unsigned i = 0; i < IN_FLIGHT; i++) {
		writing[i].message.work = write_number;
		writing[i].message.done = acknowledged;
	}
	/* The first hand-back asks on from here: all must be asked before it runs. */
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		writing[i].number = from + i;
	writer.next = from + IN_FLIGHT;
	for (unsigned i = 0; i < IN_FLIGHT; i++)
		store_ask(writer.store, &writing[i].message);
}

static void
write_until_killed(const char *dir, uint64_t from)
{
	start_writing(dir, from);
	for (;;)
		pause();
}

static void
watch_syncs(const char *dir)
{
	struct store_stats stats;

	writer.is_watching_syncs = true;
	start_writing(dir, 1);
	while (writer.n_ended < IN_FLIGHT)
		usleep(20000);
	store_stats(writer.store, &stats);
	store_close(writer.store);
	printf("%" PRIu64 " commits\n", stats.n_commits);
}

/* ---- check ---- */

static void
found(const struct row_call *row, void *arg)
{
}

/* Numbers that have to be there: acked[i] is 1 where i was acknowledged. */
struct checking {
	const char *acked;
	uint64_t n;
};

static int
check_numbers(struct store_db *db, void *arg, struct err *err)
{
	struct checking *checking = arg;
	int rc = 0;

	thread_on_store();
	for (uint64_t i = 0; rc >= 0 && i < checking->n; i++) {
		struct row_call call = call_of(i);

		if (checking->acked[i])
			rc = row_call_find(db, "acme", call.id, found, NULL, err);
	}
	return rc;
}

static void
check_blob(struct store *store, uint64_t number, const char *digest)
{
	OWN(buf) struct buf want = BUF_INIT, got = BUF_INIT;
	OWN(fd) int fd = -1;
	struct err err = {0};
	uint64_t size;
	ssize_t n;

	blob_bytes(number, &want);
	if (blob_open(store, digest, &fd, &size, &err) < 0)
		fail("a version without its blob", &err);
	while ((n = read(fd, buf_room(&got, LARGEST_BLOB), LARGEST_BLOB)) > 0)
		buf_grew(&got, n);
	if (!str_eq(buf_str(&want), buf_str(&got)))
		fail("a blob has other bytes than were put", NULL);
}

static bool
copy_version(const struct row_version *row, void *arg)
{
	buf_add(arg, row, sizeof(*row));
	return true;
}

static int
list_versions(struct store_db *db, void *arg, struct err *err)
{
	thread_on_store();
	return row_version_list(db, copy_version, arg, err);
}

/* What one message wrote is there together, also where nobody acknowledged it. */
static int
check_calls_of_versions(struct store_db *db, void *arg, struct err *err)
{
	const struct buf *versions = arg;
	const struct row_version *row = (void *)versions->at;
	int rc = 0;

	thread_on_store();
	for (uint64_t n = versions->len / sizeof(*row); rc >= 0 && n; n--, row++) {
		struct row_call call = call_of(row->number);

		rc = row_call_find(db, "acme", call.id, found, NULL, err);
	}
	return rc;
}

static void
check_versions(struct store *store, uint64_t *ret_n)
{
	OWN(buf) struct buf versions = BUF_INIT;
	struct err err = {0};

	if (store_ask_and_wait(store, list_versions, &versions, &err) < 0)
		fail("listing versions", &err);
	if (store_ask_and_wait(store, check_calls_of_versions, &versions, &err) < 0)
		fail("half of a message is there", &err);
	*ret_n = versions.len / sizeof(struct row_version);
	for (uint64_t i = 0; i < *ret_n; i++) {
		const struct row_version *row = (void *)(versions.at + i * sizeof(*row));

		check_blob(store, row->number, row->source);
	}
}

static void
check_integrity(const char *dir)
{
	static const char sql[] =
		"SELECT (SELECT count(*) FROM pragma_integrity_check"
		" WHERE integrity_check <> 'ok')"
		" + (SELECT count(*) FROM pragma_foreign_key_check)"
		" + (SELECT count(*) FROM (SELECT org, function, count(*) FROM call"
		" GROUP BY 1, 2 EXCEPT SELECT org, function, n FROM call_count))";
	OWN(mem) char *path = path_join(dir, "mayfly.db");
	sqlite3 *sqlite;
	int64_t n_faults = -1;
	struct err err = {0};

	if (sqlite3_open(path, &sqlite) != SQLITE_OK ||
		store_sqlite_number(sqlite, sql, &n_faults, &err) < 0 || n_faults)
		fail("the database is damaged", &err);
	sqlite3_close(sqlite);
}

static void
check_store(const char *dir, const char *acked, uint64_t n_numbers)
{
	struct checking checking = {acked, n_numbers};
	struct store *store;
	struct err err = {0};
	uint64_t n_versions, n_want = 0;

	if (open_store(dir, &store, &err) < 0)
		fail("opening", &err);
	if (store_ask_and_wait(store, check_numbers, &checking, &err) < 0)
		fail("an acknowledged number is gone", &err);
	check_versions(store, &n_versions);
	for (uint64_t i = 0; i < n_numbers; i++)
		n_want += acked[i] && has_blob(i);
	if (n_versions < n_want)
		fail("an acknowledged version is gone", NULL);
	store_close(store);
	check_integrity(dir);
}

static void
check_input(const char *dir)
{
	OWN(mem) char *acked = mem_new(10000000);
	unsigned long number, last = 0;
	uint64_t n = 0;

	for (; scanf("%lu", &number) == 1 && number < 10000000; n++) {
		acked[number] = 1;
		last = number > last ? number : last;
	}
	check_store(dir, acked, last + 1);
	printf("%" PRIu64 " there\n", n);
}

/* ---- fail ---- */

#define FAIL_NUMBERS 60
#define FAIL_CALLS   500 /* opening takes some 120 of them */

static int
insert_one(struct store_db *db, void *arg, struct err *err)
{
	return insert_number(db, *(uint64_t *)arg, err);
}

/* Copies the log into the database often, so that these calls are among those that fail. */
static int
checkpoint_often(struct store_db *db, void *arg, struct err *err)
{
	return store_sqlite_exec(db->sqlite, "PRAGMA wal_autocheckpoint = 8", err);
}

static void
check_failure(const struct err *err)
{
	if ((err->code != ERR_SYSTEM && err->code != ERR_UNAVAILABLE) || !err->text[0])
		fail("a failure with another code", err);
}

/* Writes what it can; gives how many messages failed. */
static unsigned
write_under_faults(const char *dir, char acked[static FAIL_NUMBERS + 1])
{
	struct store *store;
	struct err err = {0};
	unsigned n_failed = 0;

	if (open_store(dir, &store, &err) < 0) {
		check_failure(&err);
		return 1;
	}
	store_ask_and_wait(store, checkpoint_often, NULL, NULL);
	store_ask_and_wait(store, insert_ground, NULL, NULL);
	for (uint64_t i = 1; i <= FAIL_NUMBERS; i++) {
		acked[i] = store_ask_and_wait(store, insert_one, &i, &err) >= 0;
		if (acked[i])
			continue;
		n_failed++;
		if (err.code != ERR_NOT_FOUND) /* where the ground itself could not be laid */
			check_failure(&err);
	}
	store_close(store);
	return n_failed;
}

static void
fail_each(const char *dir, bool is_lasting, int error)
{
	unsigned n_hit = 0, n_failed = 0, n_acked = 0;

	fault_skip_syncs();
	for (unsigned n = 1; n <= FAIL_CALLS; n++) {
		OWN(mem) char *folder = mem_printf("%s/%u", dir, n);
		char acked[FAIL_NUMBERS + 1] = {0};

		fault_arm(n, is_lasting, error);
		n_failed += write_under_faults(folder, acked);
		n_hit += fault_disarm() > 0;
		check_store(folder, acked, sizeof(acked));
		for (unsigned i = 0; i < sizeof(acked); i++)
			n_acked += acked[i];
		path_remove(folder, NULL);
	}
	printf("%u hit, %u failed, %u acknowledged\n", n_hit, n_failed, n_acked);
}

/* ---- fill ---- */

static void
fill(const char *dir)
{
	OWN(mem) char *data = mem_printf("%s/data", dir);
	OWN(mem) char *ballast = mem_printf("%s/ballast", dir);
	OWN(mem) char *bytes = mem_new(2 << 20);
	OWN(mem) char *acked = mem_new(100000);
	struct store *store;
	struct err err = {0};
	uint64_t n = 1;

	if (path_write(ballast, str_n(bytes, 2 << 20), 0600, &err) < 0 ||
		open_store(data, &store, &err) < 0 ||
		store_ask_and_wait(store, insert_ground, NULL, &err) < 0)
		fail("starting", &err);
	for (unsigned n_failed = 0; n_failed < 50 && n < 99999; n++) {
		acked[n] = store_ask_and_wait(store, insert_one, &n, &err) >= 0;
		n_failed += !acked[n];
	}
	if (err.code != ERR_UNAVAILABLE || !strstr(err.text, "the disk of the store is full"))
		fail("a full disk is not said", &err);
	unlink(ballast);
	acked[n] = store_ask_and_wait(store, insert_one, &n, &err) >= 0;
	if (!acked[n])
		fail("it does not go on when there is room", &err);
	store_close(store);
	check_store(data, acked, n + 1);
	printf("%" PRIu64 " asked\n", n);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";

	if (!strcmp(what, "write") && argc == 4)
		write_until_killed(argv[2], strtoull(argv[3], NULL, 10));
	else if (!strcmp(what, "check"))
		check_input(argv[2]);
	else if (!strcmp(what, "synced"))
		watch_syncs(argv[2]);
	else if (!strcmp(what, "fail") && argc == 5)
		fail_each(argv[2], !strcmp(argv[3], "lasting"),
			strcmp(argv[4], "full") ? EIO : ENOSPC);
	else if (!strcmp(what, "fill"))
		fill(argv[2]);
	else
		return 2;
	return 0;
}
