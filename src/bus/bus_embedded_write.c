/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_embedded.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define BUS_BATCH_MAX    512              /* of one store message: bounds what others wait */
#define BUS_KNOWN_FOR_MS (24 * 3600000ul) /* an idempotency key */

/* What was asked in a turn of the loop: one message, one savepoint, one waking of the store. */
struct bus_batch {
	struct store_message message;
	struct bus_embedded *bus;  /* borrowed */
	struct list puts, writes;  /* of bus_put; of bus_held */
	struct bus_result *failed; /* owned: the puts that failed alone, in their order */
	unsigned n_failed;
	uint64_t known_since_ms;
};

struct bus_result {
	struct bus_put *put;      /* borrowed */
	char known[ID_ULID_SIZE]; /* what has its idempotency key; "" for none */
	struct err err;
};

/* ---- on the store's thread ---- */

/* Such a failure is the row's own and leaves the others alone. */
static bool
bus_embedded_is_own(int code)
{
	return code == ERR_CONFLICT || code == ERR_NOT_FOUND || code == ERR_INVALID;
}

static void
bus_embedded_put_failed(struct bus_batch *batch, struct bus_put *put,
	const char known[static ID_ULID_SIZE], const struct err *err)
{
	struct bus_result *result;

	batch->failed = mem_grow(batch->failed, (batch->n_failed + 1) * sizeof(*result));
	result = &batch->failed[batch->n_failed++];
	result->put = put;
	memcpy(result->known, known, sizeof(result->known));
	result->err = *err;
}

static int
bus_embedded_insert(struct store_db *db, struct bus_batch *batch, struct err *err) ON_STORE
{
	struct bus_put *put;

	list_each (&batch->puts, put, link) {
		char known[ID_ULID_SIZE] = "";
		int rc = row_delivery_insert(db, &put->row, batch->known_since_ms, known, err);

		if (rc < 0 && !bus_embedded_is_own(rc))
			return rc;
		if (rc < 0)
			bus_embedded_put_failed(batch, put, known, err);
	}
	return 0;
}

static int
bus_embedded_update(struct store_db *db, struct bus_batch *batch, struct err *err) ON_STORE
{
	struct bus_held *held;

	list_each (&batch->writes, held, link) {
		int rc = row_delivery_update(db, &held->message.row, err);

		if (rc < 0 && !bus_embedded_is_own(rc))
			return rc;
		held->code = rc;
	}
	return 0;
}

static int
bus_embedded_batch_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct bus_batch *batch = list_owner(message, struct bus_batch, message);
	int rc;

	thread_on_store();
	batch->n_failed = 0;
	rc = bus_embedded_insert(db, batch, err);
	return rc < 0 ? rc : bus_embedded_update(db, batch, err);
}

/* ---- on the loop again ---- */

static void
bus_embedded_accepted(struct bus_embedded *bus, const struct row_delivery *row)
{
	struct bus_queue *queue = bus_embedded_queue(bus, row->org, row->function);
	struct bus_held *held;

	bus_embedded_waits(queue, row);
	if (!bus_embedded_is_for_memory(queue, row)) {
		bus_embedded_stores(queue, row);
		return;
	}
	held = bus_embedded_held_new(row);
	thread_on_loop();
	bus_embedded_know(queue, held);
	bus_embedded_shelve(held);
}

static void
bus_embedded_refused(struct bus_put *put, const struct bus_result *result)
{
	if (result->known[0])
		memcpy(put->row.id, result->known, sizeof(put->row.id));
	put->done(put, result->err.code, &result->err);
}

static void
bus_embedded_tell_puts(struct bus_batch *batch)
{
	const struct store_message *message = &batch->message;
	const struct bus_result *failed = batch->failed,
				*end = batch->n_failed ? failed + batch->n_failed : failed;
	struct bus_put *put;

	while ((put = list_first(&batch->puts, struct bus_put, link))) {
		list_remove(&put->link);
		if (message->code < 0) {
			put->done(put, message->code, &message->err);
		} else if (failed != end && failed->put == put) {
			bus_embedded_refused(put, failed++);
		} else {
			bus_embedded_accepted(batch->bus, &put->row);
			put->done(put, 0, NULL);
		}
	}
}

static void
bus_embedded_written(struct bus_held *held, int code)
{
	struct bus_queue *queue = held->queue;
	bool is_queued = held->message.row.state == ROW_DELIVERY_QUEUED;

	queue->n_written--;
	list_remove(&held->link);
	thread_on_loop();
	if (is_queued && code >= 0 && !queue->bus->is_closing) {
		bus_embedded_shelve(held);
	} else {
		if (is_queued)
			bus_embedded_waits_no_more(queue, &held->message.row);
		if (held->done)
			held->done(held->arg, code);
		bus_embedded_held_free(held);
	}
	bus_embedded_leave(queue);
}

static void
bus_embedded_batch_done(struct store_message *message)
{
	struct bus_batch *batch = list_owner(message, struct bus_batch, message);
	struct bus_embedded *bus = batch->bus;
	struct bus_held *held;

	thread_on_loop();
	bus_embedded_tell_puts(batch);
	if (!bus_embedded_answered(bus, message, !list_is_empty(&batch->writes)))
		return;
	while ((held = list_first(&batch->writes, struct bus_held, link)))
		bus_embedded_written(held, message->code < 0 ? message->code : held->code);
	free(batch->failed);
	free(batch);
	bus_embedded_end(bus);
}

/* ---- gathering ---- */

/* Nobody waits for a row that only says how a message ended; one that comes again waits itself. */
static bool
bus_embedded_is_lazy(const struct bus_batch *batch)
{
	struct bus_held *held;

	if (!list_is_empty(&batch->puts))
		return false;
	list_each (&batch->writes, held, link)
		if (held->done || held->message.row.state == ROW_DELIVERY_QUEUED)
			return false;
	return true;
}

static void
bus_embedded_move(struct list *from, struct list *to)
{
	list_init(to);
	if (list_is_empty(from))
		return;
	list_insert_(to, from->prev, from->next);
	list_init(from);
}

void
bus_embedded_send(struct bus_embedded *bus)
{
	struct bus_batch *batch;

	if (!bus->n_gathered)
		return;
	bus->n_gathered = 0;
	batch = mem_new(sizeof(*batch));
	batch->bus = bus;
	batch->known_since_ms = clock_unix_ms() - BUS_KNOWN_FOR_MS;
	bus_embedded_move(&bus->puts, &batch->puts);
	bus_embedded_move(&bus->writes, &batch->writes);
	batch->message.work = bus_embedded_batch_work;
	batch->message.done = bus_embedded_batch_done;
	batch->message.is_lazy = bus_embedded_is_lazy(batch);
	batch->message.is_ahead = list_is_empty(&batch->writes);
	bus_embedded_ask(bus, &batch->message);
}

static void
bus_embedded_gathered(struct bus_embedded *bus)
{
	thread_on_loop();
	if (++bus->n_gathered == BUS_BATCH_MAX)
		bus_embedded_send(bus);
	else
		loop_flush_soon(bus->loop, &bus->flush);
}

void
bus_embedded_put(struct bus *at, struct bus_put *put)
{
	struct bus_embedded *bus = (struct bus_embedded *)at;

	must(!bus->is_closing && put->row.state == ROW_DELIVERY_QUEUED);
	list_push_back(&bus->puts, &put->link);
	bus_embedded_gathered(bus);
}

void
bus_embedded_write(struct bus_held *held)
{
	struct bus_embedded *bus = held->queue->bus;

	held->state = HELD_WRITTEN;
	held->queue->n_written++;
	list_push_back(&bus->writes, &held->link);
	bus_embedded_gathered(bus);
}

/* ---- withdrawing ---- */

struct bus_leaving {
	struct store_message message;
	struct bus_queue *queue; /* borrowed */
	char id[ID_ULID_SIZE];
	bool is_stored;
	struct store_db *db; /* borrowed while work() runs */
	struct err *err;     /* the same */
	int code;
	size_t size;
};

static void
bus_embedded_found_leaving(const struct row_delivery *row, void *arg)
{
	struct bus_leaving *leaving = arg;
	struct row_delivery gone = *row;

	thread_on_store();
	leaving->size = bus_embedded_row_size(row);
	if (row->state != ROW_DELIVERY_QUEUED || strcmp(row->function, leaving->queue->function)) {
		leaving->code = ERR_NOT_FOUND;
		return;
	}
	gone.state = ROW_DELIVERY_CANCELLED;
	gone.ended_ms = clock_unix_ms();
	gone.due_ms = gone.ended_ms + BUS_KNOWN_FOR_MS; /* kept until its key is forgotten */
	snprintf(gone.code, sizeof(gone.code), "%s", err_word(ERR_CANCELLED));
	leaving->code = row_delivery_update(leaving->db, &gone, leaving->err);
}

static int
bus_embedded_leaving_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct bus_leaving *leaving = list_owner(message, struct bus_leaving, message);
	int rc;

	thread_on_store();
	leaving->db = db;
	leaving->err = err;
	leaving->code = 0;
	rc = row_delivery_find(
		db, leaving->queue->org, leaving->id, bus_embedded_found_leaving, leaving, err);
	return rc < 0 ? rc : leaving->code;
}

static void
bus_embedded_leaving_done(struct store_message *message)
{
	struct bus_leaving *leaving = list_owner(message, struct bus_leaving, message);
	struct bus_queue *queue = leaving->queue;
	struct bus_embedded *bus = queue->bus;

	thread_on_loop();
	if (!bus_embedded_answered(bus, message, true))
		return;
	map_remove(&bus->leaving, str_of(leaving->id));
	if (message->code >= 0 && leaving->is_stored)
		bus_embedded_stores_no_more(queue, 1, leaving->size);
	free(leaving);
	queue->n_written--;
	bus_embedded_leave(queue);
	bus_embedded_end(bus);
}

void
bus_embedded_cancel(struct bus_queue *queue, const char *id, bool is_stored)
{
	struct bus_leaving *leaving = mem_new(sizeof(*leaving));

	leaving->queue = queue;
	leaving->is_stored = is_stored;
	snprintf(leaving->id, sizeof(leaving->id), "%s", id);
	leaving->message.work = bus_embedded_leaving_work;
	leaving->message.done = bus_embedded_leaving_done;
	queue->n_written++;
	map_put(&queue->bus->leaving, str_of(leaving->id), leaving);
	bus_embedded_send(queue->bus);
	bus_embedded_ask(queue->bus, &leaving->message);
}
