/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rate - durable messages per second, through the embedded bus and as bare rows.
 *
 *	bus_rate DIR SECONDS PRODUCERS put       acknowledged puts: each producer waits for its own
 *	bus_rate DIR SECONDS PRODUCERS through   the same while a consumer settles what it is handed
 *	bus_rate DIR SECONDS PRODUCERS bare      the same rows on bare SQLite: batches of as many as
 *	                                         there are producers, nobody waits for anybody
 *
 * Prints one number. DIR is emptied before and after.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "bus/bus.h"
#include "net/loop.h"
#include "store/rows.h"
#include "store/store_db.h"

#define PRODUCERS_MAX 1024
#define FUNCTIONS     20
#define HEAD_BYTES    200
#define BODY_BYTES    256

static struct {
	struct loop *loop;
	struct store *store;
	struct bus *bus;
	unsigned n_producers, n_flying;
	uint64_t until_us, n_put, n_settled;
	char head[HEAD_BYTES], body[BODY_BYTES];
} rate;

static _Noreturn void
fail(const struct err *err)
{
	fprintf(stderr, "bus_rate: %s\n", err->text);
	exit(1);
}

static void
name_function(char ret[static 64], uint64_t number)
{
	snprintf(ret, 64, "hello-%u", (unsigned)(number % FUNCTIONS));
}

static struct row_delivery
row_of(uint64_t number)
{
	struct row_delivery row = {
		.org = "acme",
		.origin = "async",
		.order_key = "",
		.idempotency_key = "",
		.callback_url = "",
		.method = "POST",
		.path = "/hello/world",
		.message = "",
		.headers = "",
		.head = {rate.head, HEAD_BYTES},
		.body = {rate.body, BODY_BYTES},
	};

	id_ulid(row.id);
	name_function(row.function, number);
	row.created_ms = row.due_ms = clock_unix_ms();
	row.expires_ms = row.created_ms + 86400000;
	return row;
}

static int
insert_org(struct store_db *db, void *arg, struct err *err)
{
	struct row_org org = {.name = "acme", .settings = "{}"};

	thread_on_store();
	return row_org_insert(db, &org, err);
}

/* ---- through the bus ---- */

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

static void
post(struct list *messages, void *arg)
{
	struct batch *batch = mem_new(sizeof(*batch));
	struct store_message *message;

	list_init(&batch->messages);
	while ((message = list_first(messages, struct store_message, link))) {
		list_remove(&message->link);
		list_push_back(&batch->messages, &message->link);
	}
	batch->message.run = on_batch;
	loop_post(rate.loop, &batch->message);
}

static void
on_message(struct bus_queue *queue, struct bus_message *message, void *arg)
{
	struct row_delivery *row = &message->row;

	row->state = ROW_DELIVERY_DONE;
	row->ended_ms = clock_unix_ms();
	row->attempt = 1;
	rate.n_settled++;
	rate.bus->ops->settle(queue, message, row, NULL, NULL);
}

static void
on_put(struct bus_put *put, int code, const struct err *err)
{
	thread_on_loop();
	if (code < 0)
		fail(err);
	rate.n_put++;
	if (clock_mono_us() < rate.until_us) {
		put->row = row_of(rate.n_put);
		rate.bus->ops->put(rate.bus, put);
	} else if (!--rate.n_flying) {
		loop_stop(rate.loop);
	}
}

static void
open_bus(const char *dir)
{
	struct store_config store_config = {.data_dir = dir, .post = post};
	struct bus_config config = {.memory_bytes = 64 << 20};
	struct err err = {0};

	if (loop_new(&rate.loop, &err) < 0 || store_open(&store_config, &rate.store, &err) < 0 ||
		store_ask_and_wait(rate.store, insert_org, NULL, &err) < 0)
		fail(&err);
	config.loop = rate.loop;
	config.store = rate.store;
	if (bus_embedded.open(&config, &rate.bus, &err) < 0)
		fail(&err);
}

static void
attach_all(void)
{
	struct bus_consumer consumer = {.on_message = on_message};
	char name[64];

	for (unsigned i = 0; i < FUNCTIONS; i++) {
		name_function(name, i);
		rate.bus->ops->attach(rate.bus, "acme", name, 100, &consumer);
	}
}

static double
through_the_bus(const char *dir, unsigned seconds, bool has_consumer)
{
	static struct bus_put puts[PRODUCERS_MAX];
	uint64_t begin_us;

	open_bus(dir);
	if (has_consumer)
		attach_all();
	begin_us = clock_mono_us();
	rate.until_us = begin_us + seconds * 1000000ull;
	rate.n_flying = rate.n_producers;
	for (unsigned i = 0; i < rate.n_producers; i++) {
		puts[i].row = row_of(i);
		puts[i].done = on_put;
		rate.bus->ops->put(rate.bus, &puts[i]);
	}
	loop_run(rate.loop);
	return (has_consumer ? rate.n_settled : rate.n_put) * 1e6 / (clock_mono_us() - begin_us);
}

/* ---- bare ---- */

static double
bare(const char *dir, unsigned seconds)
{
	struct store_db db;
	struct err err = {0};
	char known[ID_ULID_SIZE];
	uint64_t begin_us, n = 0;

	thread_on_store();
	if (store_sqlite_open(&db, dir, &err) < 0 || store_sqlite_begin(&db, &err) < 0 ||
		insert_org(&db, NULL, &err) < 0 || store_sqlite_commit(&db, &err) < 0)
		fail(&err);
	begin_us = clock_mono_us();
	while (clock_mono_us() < begin_us + seconds * 1000000ull) {
		if (store_sqlite_begin(&db, &err) < 0)
			fail(&err);
		for (unsigned i = 0; i < rate.n_producers; i++) {
			struct row_delivery row = row_of(n++);

			if (row_delivery_insert(&db, &row, 0, known, &err) < 0)
				fail(&err);
		}
		if (store_sqlite_commit(&db, &err) < 0)
			fail(&err);
	}
	return n * 1e6 / (clock_mono_us() - begin_us);
}

int
main(int argc, char **argv)
{
	unsigned seconds = argc == 5 ? strtoul(argv[2], NULL, 10) : 0;
	OWN(mem) char *dir = argc == 5 ? path_join(argv[1], "bus_rate") : NULL;
	double rows_s;

	if (!seconds)
		return 2;
	rate.n_producers = strtoul(argv[3], NULL, 10);
	if (!rate.n_producers || rate.n_producers > PRODUCERS_MAX)
		return 2;
	memset(rate.head, 'h', sizeof(rate.head));
	memset(rate.body, 'b', sizeof(rate.body));
	path_remove(dir, NULL);
	if (!strcmp(argv[4], "bare"))
		rows_s = bare(dir, seconds);
	else
		rows_s = through_the_bus(dir, seconds, !strcmp(argv[4], "through"));
	path_remove(dir, NULL);
	printf("%.0f\n", rows_s);
	return 0;
}
