/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_embedded.h"

#include <stdio.h>
#include <stdlib.h>

#define BUS_LOAD_ROWS  128
#define BUS_LOAD_BYTES (1 << 20)
#define BUS_LOAD_FEW   (1 << 16) /* bytes, while memory is full */

/* The rows behind the horizon, as many as fit. */
struct bus_load {
	struct store_message message;
	struct bus_queue *queue; /* borrowed */
	uint64_t after_ms;
	char after_id[ID_ULID_SIZE];
	size_t max_bytes, n_bytes;
	unsigned n_rows;
	struct list rows; /* of bus_held, not yet known */
};

/* ---- on the store's thread ---- */

static bool
bus_embedded_loaded_row(const struct row_delivery *row, void *arg)
{
	struct bus_load *load = arg;
	struct bus_held *held = bus_embedded_held_new(row);

	list_push_back(&load->rows, &held->link);
	load->n_bytes += held->size;
	return ++load->n_rows < BUS_LOAD_ROWS && load->n_bytes < load->max_bytes;
}

static void
bus_embedded_empty_load(struct bus_load *load)
{
	struct bus_held *held;

	while ((held = list_first(&load->rows, struct bus_held, link)))
		bus_embedded_held_free(held);
	load->n_rows = load->n_bytes = 0;
}

static int
bus_embedded_load_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct bus_load *load = list_owner(message, struct bus_load, message);

	thread_on_store();
	bus_embedded_empty_load(load);
	return row_delivery_next(db, load->queue->org, load->queue->function, load->after_ms,
		load->after_id, INT64_MAX, BUS_LOAD_ROWS, bus_embedded_loaded_row, load, err);
}

/* ---- on the loop again ---- */

/* Those that are in hand, being written or withdrawn were no longer counted as stored. */
static void
bus_embedded_take_loaded(struct bus_queue *queue, struct bus_held *held)
{
	struct str id = str_of(held->message.row.id);
	struct bus_embedded *bus = queue->bus;

	list_remove(&held->link);
	if (map_find(&bus->held, id) || map_find(&bus->leaving, id)) {
		bus_embedded_held_free(held);
		return;
	}
	bus_embedded_stores_no_more(queue, 1, bus_embedded_row_size(&held->message.row));
	bus_embedded_waits(queue, &held->message.row);
	bus_embedded_know(queue, held);
	thread_on_loop();
	bus_embedded_shelve(held);
}

static void
bus_embedded_merge(struct bus_load *load)
{
	struct bus_queue *queue = load->queue;
	struct bus_held *held, *last = list_last(&load->rows, struct bus_held, link);
	bool is_end = load->n_rows < BUS_LOAD_ROWS && load->n_bytes < load->max_bytes;
	uint64_t last_ms = last ? last->message.row.created_ms : 0;

	if (is_end) {
		queue->is_whole = true;
	} else {
		const struct row_delivery *row = &last->message.row;
		struct bus_place place = {row->due_ms, row->id};

		bus_embedded_set_horizon(queue, &place);
	}
	while ((held = list_first(&load->rows, struct bus_held, link)))
		bus_embedded_take_loaded(queue, held);
	if (queue->is_whole)
		bus_embedded_stores_no_more(queue, queue->stored.n, queue->stored.n_bytes);
	else if (!is_end)
		queue->stored_oldest_ms = last_ms;
}

static void
bus_embedded_load_done(struct store_message *message)
{
	struct bus_load *load = list_owner(message, struct bus_load, message);
	struct bus_queue *queue = load->queue;
	struct bus_embedded *bus = queue->bus;

	thread_on_loop();
	if (!bus_embedded_answered(bus, message, true))
		return;
	queue->is_loading = false;
	if (message->code >= 0 && queue->is_attached && !queue->is_load_stale)
		bus_embedded_merge(load);
	queue->is_load_stale = false;
	bus_embedded_empty_load(load);
	free(load);
	if (queue->is_attached)
		bus_embedded_ready(queue);
	else
		bus_embedded_leave(queue);
	bus_embedded_end(bus);
}

void
bus_embedded_load(struct bus_queue *queue)
{
	struct bus_embedded *bus = queue->bus;
	struct bus_load *load = mem_new(sizeof(*load));

	load->queue = queue;
	load->after_ms = queue->horizon.when_ms;
	snprintf(load->after_id, sizeof(load->after_id), "%s", queue->horizon.id);
	load->max_bytes = bus->n_memory < bus->memory_bytes ? BUS_LOAD_BYTES : BUS_LOAD_FEW;
	list_init(&load->rows);
	load->message.work = bus_embedded_load_work;
	load->message.done = bus_embedded_load_done;
	queue->is_loading = true;
	bus_embedded_send(bus);
	bus_embedded_ask(bus, &load->message);
}
