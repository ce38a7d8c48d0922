/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_driver - a program that puts numbered messages on the embedded bus, for tests that harm it.
 *
 *	bus_driver put DIR FROM        puts FROM, FROM + 1, … until it is killed, 64 at a time, and
 *	                               settles and retries what it is handed; tells "put N" and
 *	                               "settled N" once each is acknowledged
 *	bus_driver check DIR < LINES   is each message there, as it was put, unless it was settled?
 *	bus_driver record DIR JOURNAL  puts RECORDED numbers, settles and retries as above, and
 *	                               ends; what is written, synced and acknowledged meanwhile
 *	                               stands in JOURNAL (fault_calls.h)
 *	bus_driver synced DIR          is every byte synced before it is acknowledged?
 *	bus_driver fail DIR once|lasting io|full
 *	                               the n-th system call on a file fails, for FAIL_CALLS n
 *
 * Of three numbers one is settled, one is tried again once and then kept, one is kept.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "bus/bus.h"
#include "fault_calls.h"
#include "net/loop.h"
#include "store/rows.h"

#define PRODUCERS   64
#define FUNCTIONS   7
#define CREDIT      1000000
#define NUMBERS_MAX 10000000
#define WATCHED     3000 /* numbers whose syncs are watched */
#define RECORDED    2000
#define LARGE       40000

enum fate { PUT = 1, SETTLED = 2, SETTLING = 4, SEEN = 8 }; /* of a number, as bits */

struct producer {
	struct bus_put put;
	uint64_t number;
	struct buf body; /* owned */
};

static struct {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	struct producer producers[PRODUCERS];
	uint64_t next, end; /* the next number, and the first that is not put */
	unsigned n_flying, n_settling, n_refused;
	bool is_telling, is_watching_syncs, is_checking;
	char *fates; /* owned: of each number */
} driver;

static void
fail(const char *what, const struct err *err)
{
	printf("FAILED %s: %s\n", what, err ? err->text : "");
	exit(1);
}

/* ---- what a number is ---- */

static void
body_of(uint64_t number, struct buf *ret)
{
	unsigned n = number % 50 ? 1 + number % 5 : LARGE / 20;

	buf_clear(ret);
	for (unsigned i = 0; i < n; i++)
		buf_printf(ret, "message %" PRIu64 " ", number);
}

static void
row_of(struct producer *producer, struct row_delivery *ret)
{
	uint64_t number = producer->number;

	*ret = (struct row_delivery){
		.org = "acme",
		.origin = "async",
		.method = "POST",
		.path = "/",
		.order_key = "key",
		.head = STR("{}"),
	};
	body_of(number, &producer->body);
	snprintf(ret->id, sizeof(ret->id), "01J%023" PRIu64, number);
	snprintf(ret->function, sizeof(ret->function), "f%u", (unsigned)(number % FUNCTIONS));
	ret->body = buf_str(&producer->body);
	ret->created_ms = ret->due_ms = clock_unix_ms();
	ret->expires_ms = ret->created_ms + 1000;
}

static uint64_t
number_of(const struct row_delivery *row)
{
	return strtoull(row->id + 3, NULL, 10);
}

static void
check_row(const struct row_delivery *row)
{
	struct producer want = {.number = number_of(row)};
	struct row_delivery as_put;

	row_of(&want, &as_put);
	if (!str_eq(row->body, as_put.body) || !str_eq(row->head, as_put.head) ||
		strcmp(row->function, as_put.function) || strcmp(row->order_key, "key") ||
		row->attempt > (want.number % 3 == 1) || row->expires_ms != row->created_ms + 1000)
		fail("a message is not as it was put", NULL);
	buf_done(&want.body);
}

static void
tell(const char *what, uint64_t number)
{
	char line[32];

	if (!driver.is_telling)
		return;
	snprintf(line, sizeof(line), "%s %" PRIu64 "\n", what, number);
	fputs(line, stdout);
	fault_record_note(line);
}

/* ---- a consumer ---- */

static void
on_settled(void *arg, int code)
{
	uint64_t number = (char *)arg - driver.fates;

	if (code < 0)
		fail("settling", NULL);
	driver.fates[number] |= SETTLED;
	driver.n_settling--;
	tell("settled", number);
}

static void
on_message(struct bus_queue *queue, struct bus_message *message, void *arg)
{
	struct row_delivery *row = &message->row;
	uint64_t number = number_of(row);
	char *fate = &driver.fates[number];

	check_row(row);
	if (driver.is_checking) {
		if (*fate & SEEN)
			fail("a message is in hand twice", NULL);
		*fate |= SEEN;
	} else if (number % 3 == 0) {
		row->state = ROW_DELIVERY_DONE;
		row->ended_ms = clock_unix_ms();
		row->result = STR("answer");
		*fate |= SETTLING;
		driver.n_settling++;
		driver.bus->ops->settle(queue, message, row, on_settled, fate);
	} else if (number % 3 == 1 && !row->attempt) {
		row->attempt = 1;
		row->due_ms = clock_unix_ms();
		driver.bus->ops->retry(queue, message, row);
	}
}

static void
attach_all(void)
{
	struct bus_consumer consumer = {.on_message = on_message};
	char name[16];

	for (unsigned i = 0; i < FUNCTIONS; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		driver.bus->ops->attach(driver.bus, "acme", name, CREDIT, &consumer);
	}
}

/* ---- producers ---- */

static void
put_next(struct producer *producer)
{
	if (driver.next == driver.end) {
		driver.n_flying--;
		return;
	}
	producer->number = driver.next++;
	row_of(producer, &producer->put.row);
	driver.bus->ops->put(driver.bus, &producer->put);
}

static void
on_put(struct bus_put *put, int code, const struct err *err)
{
	struct producer *producer = list_owner(put, struct producer, put);

	if (code >= 0) {
		driver.fates[producer->number] |= PUT;
		tell("put", producer->number);
	} else {
		driver.n_refused++;
		if ((code != ERR_SYSTEM && code != ERR_UNAVAILABLE) || !err->text[0])
			fail("a put is refused with another code", err);
	}
	put_next(producer);
}

static void
start_producers(uint64_t from, uint64_t end)
{
	driver.next = from;
	driver.end = end;
	driver.n_flying = PRODUCERS;
	for (unsigned i = 0; i < PRODUCERS; i++) {
		driver.producers[i].put.done = on_put;
		put_next(&driver.producers[i]);
	}
}

/* ---- store, loop, bus ---- */

struct batch {
	struct loop_message message;
	struct list messages;
};

static void
on_batch(struct loop_message *message)
{
	struct batch *batch = list_owner(message, struct batch, message);
	struct store_message *done;

	while ((done = list_first(&batch->messages, struct store_message, link))) {
		list_remove(&done->link);
		done->done(done);
	}
	free(batch);
}

/* On the store's thread, right behind the commit: nothing is written meanwhile. */
static void
post(struct list *messages, void *arg)
{
	struct batch *batch = mem_new(sizeof(*batch));
	struct store_message *message;

	if (driver.is_watching_syncs && !fault_is_synced())
		fail("acknowledged before it was synced", NULL);
	list_init(&batch->messages);
	while ((message = list_first(messages, struct store_message, link))) {
		list_remove(&message->link);
		list_push_back(&batch->messages, &message->link);
	}
	batch->message.run = on_batch;
	loop_post(driver.loop, &batch->message);
}

static int
insert_org(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.name = "acme", .settings = "{}"};
	int rc;

	thread_on_store();
	rc = row_org_insert(db, &org, err);
	return rc == ERR_CONFLICT ? 0 : rc;
}

static int
open_all(const char *dir, struct err *err)
{
	struct store_config store_config = {.data_dir = dir, .post = post};
	struct bus_config config = {.loop = driver.loop, .memory_bytes = 1 << 20};
	int rc = store_open(&store_config, &driver.store, err);

	if (rc < 0)
		return rc;
	config.store = driver.store;
	rc = store_ask_and_wait(driver.store, insert_org, NULL, err);
	if (rc >= 0)
		rc = bus_embedded.open(&config, &driver.bus, err);
	if (rc < 0)
		store_close(driver.store);
	return rc;
}

static void
turn(void)
{
	int fd = uv_backend_fd(loop_uv(driver.loop));

	uv_run(loop_uv(driver.loop), UV_RUN_NOWAIT);
	fflush(stdout);
	poll(&(struct pollfd){fd, POLLIN, 0}, 1, 1);
}

static void
close_all(void)
{
	driver.bus->ops->close(driver.bus);
	store_close(driver.store);
	for (unsigned i = 0; i < 20; i++)
		turn();
}

static void
must_open(const char *dir)
{
	struct err err = {0};

	if (open_all(dir, &err) < 0)
		fail("opening", &err);
}

/* ---- put ---- */

static void
put_until_killed(const char *dir, uint64_t from)
{
	driver.is_telling = true;
	must_open(dir);
	attach_all();
	start_producers(from, NUMBERS_MAX);
	for (;;)
		turn();
}

/* Nothing is closed: the power goes while all is at work. */
static void
record(const char *dir, const char *journal)
{
	driver.is_telling = true;
	fault_record(dir, journal);
	must_open(dir);
	attach_all();
	start_producers(1, RECORDED + 1);
	while (driver.n_flying || driver.n_settling)
		turn();
	fflush(stdout);
	_exit(0);
}

static void
watch_syncs(const char *dir)
{
	must_open(dir);
	driver.is_watching_syncs = true;
	attach_all();
	start_producers(1, WATCHED);
	while (driver.n_flying || driver.n_settling)
		turn();
	close_all();
	printf("%d watched\n", WATCHED);
}

/* ---- check ---- */

/* What waited before comes within a turn or two of what is put behind it now. */
static uint64_t
check_bus(const char *dir, uint64_t n_numbers)
{
	struct bus_stats stats = {0};
	uint64_t n = 0;

	must_open(dir);
	driver.is_checking = true;
	for (uint64_t i = 0; i < n_numbers; i++)
		driver.fates[i] &= ~SEEN;
	attach_all();
	do {
		turn();
		driver.bus->ops->stats(driver.bus, "", "", &stats);
	} while (stats.n_waiting);
	for (uint64_t i = 0; i < n_numbers; i++) {
		char fate = driver.fates[i];

		if (fate & SETTLED && fate & SEEN)
			fail("a settled message came again", NULL);
		if (fate & PUT && !(fate & SEEN) && i % 3)
			fail("an acknowledged message is gone", NULL);
		n += (fate & SEEN) != 0;
	}
	close_all();
	driver.is_checking = false;
	return n;
}

static void
check_input(const char *dir)
{
	char word[16];
	unsigned long number, last = 0, n = 0;

	for (; scanf("%15s %lu", word, &number) == 2 && number < NUMBERS_MAX; n++) {
		driver.fates[number] |= strcmp(word, "put") ? SETTLED : PUT;
		last = number > last ? number : last;
	}
	printf("%lu told, ", n);
	printf("%" PRIu64 " there\n", check_bus(dir, last + 1000));
}

/* ---- fail ---- */

#define FAIL_NUMBERS 120
#define FAIL_FROM    140 /* opening takes about as many calls: store_driver fails those */
#define FAIL_CALLS   60
#define FAIL_TURNS   20

/* True if the store could be opened. */
static bool
work_under_faults(const char *folder, bool is_lasting)
{
	struct err err = {0};

	if (open_all(folder, &err) < 0)
		return false;
	attach_all();
	start_producers(1, FAIL_NUMBERS);
	for (unsigned i = 0; driver.n_flying || (is_lasting && i < FAIL_TURNS); i++)
		turn();
	if (is_lasting)
		fault_disarm();
	while (driver.n_settling)
		turn();
	close_all();
	return true;
}

static void
fail_each(const char *dir, bool is_lasting, int error)
{
	unsigned n_opened = 0;
	uint64_t n_there = 0;

	fault_skip_syncs();
	for (unsigned n = FAIL_FROM; n < FAIL_FROM + FAIL_CALLS; n++) {
		OWN(mem) char *folder = mem_printf("%s/%u", dir, n);

		memset(driver.fates, 0, FAIL_NUMBERS);
		fault_arm(n, is_lasting, error);
		n_opened += work_under_faults(folder, is_lasting);
		fault_disarm();
		n_there += check_bus(folder, FAIL_NUMBERS);
		path_remove(folder, NULL);
	}
	printf("%u opened, %u refused, %" PRIu64 " there\n", n_opened, driver.n_refused, n_there);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 2 ? argv[1] : "";
	struct err err = {0};

	driver.fates = mem_new(NUMBERS_MAX);
	if (loop_new(&driver.loop, &err) < 0)
		fail("making a loop", &err);
	if (!strcmp(what, "put") && argc == 4)
		put_until_killed(argv[2], strtoull(argv[3], NULL, 10));
	else if (!strcmp(what, "record") && argc == 4)
		record(argv[2], argv[3]);
	else if (!strcmp(what, "check"))
		check_input(argv[2]);
	else if (!strcmp(what, "synced"))
		watch_syncs(argv[2]);
	else if (!strcmp(what, "fail") && argc == 5)
		fail_each(argv[2], !strcmp(argv[3], "lasting"),
			strcmp(argv[4], "full") ? EIO : ENOSPC);
	else
		return 2;
	return 0;
}
