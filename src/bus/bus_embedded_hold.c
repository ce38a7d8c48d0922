/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus_embedded.h"

#include <stdio.h>
#include <stdlib.h>

#define BUS_FLOOR 65536 /* bytes that a queue may hold in memory however full it is */

/* ---- counting ---- */

size_t
bus_embedded_row_size(const struct row_delivery *row)
{
	return row->head.len + row->body.len;
}

void
bus_embedded_waits(struct bus_queue *queue, const struct row_delivery *row)
{
	queue->waiting.n++;
	queue->waiting.n_bytes += bus_embedded_row_size(row);
}

void
bus_embedded_waits_no_more(struct bus_queue *queue, const struct row_delivery *row)
{
	queue->waiting.n--;
	queue->waiting.n_bytes -= bus_embedded_row_size(row);
}

void
bus_embedded_stores(struct bus_queue *queue, const struct row_delivery *row)
{
	if (!queue->stored.n || row->created_ms < queue->stored_oldest_ms)
		queue->stored_oldest_ms = row->created_ms;
	queue->stored.n++;
	queue->stored.n_bytes += bus_embedded_row_size(row);
}

static uint64_t
bus_embedded_less(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What the store lost to others (a function that went and came again) is found out late: counts
 * never go below what is there. */
void
bus_embedded_stores_no_more(struct bus_queue *queue, uint64_t n, uint64_t n_bytes)
{
	n = bus_embedded_less(n, queue->stored.n);
	n_bytes = bus_embedded_less(n_bytes, queue->stored.n_bytes);
	queue->stored.n -= n;
	queue->stored.n_bytes -= n_bytes;
	queue->waiting.n -= n;
	queue->waiting.n_bytes -= n_bytes;
}

/* ---- what is held in memory ---- */

static const char *
bus_embedded_copy_bytes(char **at, struct str bytes)
{
	char *copy = *at;

	if (bytes.len)
		memcpy(copy, bytes.at, bytes.len);
	copy[bytes.len] = '\0';
	*at += bytes.len + 1;
	return copy;
}

static size_t
bus_embedded_text_size(const char *text)
{
	return text ? strlen(text) + 1 : 1;
}

struct bus_held *
bus_embedded_held_new(const struct row_delivery *row)
{
	const char *const texts[] = {row->order_key, row->idempotency_key, row->callback_url,
		row->method, row->path, row->message, row->headers};
	size_t size = row->head.len + row->body.len + row->result.len + 3;
	struct bus_held *held;
	struct row_delivery *to;
	char *at;

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		size += bus_embedded_text_size(texts[i]);
	held = malloc(sizeof(*held) + size);
	must(held);
	memset(held, 0, sizeof(*held));
	held->size = sizeof(*held) + size;
	to = &held->message.row;
	*to = *row;
	at = (char *)(held + 1);
	to->order_key = bus_embedded_copy_bytes(&at, str_of(row->order_key));
	to->idempotency_key = bus_embedded_copy_bytes(&at, str_of(row->idempotency_key));
	to->callback_url = bus_embedded_copy_bytes(&at, str_of(row->callback_url));
	to->method = bus_embedded_copy_bytes(&at, str_of(row->method));
	to->path = bus_embedded_copy_bytes(&at, str_of(row->path));
	to->message = bus_embedded_copy_bytes(&at, str_of(row->message));
	to->headers = bus_embedded_copy_bytes(&at, str_of(row->headers));
	to->head.at = bus_embedded_copy_bytes(&at, row->head);
	to->body.at = bus_embedded_copy_bytes(&at, row->body);
	to->result.at = bus_embedded_copy_bytes(&at, row->result);
	held->age = (struct bus_place){to->created_ms, to->id};
	list_init(&held->link);
	return held;
}

void
bus_embedded_know(struct bus_queue *queue, struct bus_held *held)
{
	held->queue = queue;
	map_put(&queue->bus->held, str_of(held->message.row.id), held);
}

void
bus_embedded_held_free(struct bus_held *held)
{
	if (held->queue)
		map_remove(&held->queue->bus->held, str_of(held->message.row.id));
	list_remove(&held->link);
	free(held->outcome);
	free(held);
}

static void
bus_embedded_line_up(struct bus_held *held)
{
	struct bus_queue *queue = held->queue;

	held->state = HELD_WAITING;
	held->place = (struct bus_place){held->message.row.due_ms, held->message.row.id};
	bus_line_add(&queue->line, &held->place);
	bus_line_add(&queue->ages, &held->age);
	queue->in_memory.n++;
	queue->in_memory.n_bytes += held->size;
	queue->bus->n_memory += held->size;
}

void
bus_embedded_take_out(struct bus_held *held)
{
	struct bus_queue *queue = held->queue;

	must(held->state == HELD_WAITING);
	bus_line_remove(&queue->line, &held->place);
	bus_line_remove(&queue->ages, &held->age);
	queue->in_memory.n--;
	queue->in_memory.n_bytes -= held->size;
	queue->bus->n_memory -= held->size;
}

struct bus_held *
bus_embedded_held_at(struct bus_place *place)
{
	return place ? list_owner(place, struct bus_held, place) : NULL;
}

void
bus_embedded_set_horizon(struct bus_queue *queue, const struct bus_place *last)
{
	queue->is_whole = false;
	queue->is_load_stale = queue->is_loading;
	snprintf(queue->horizon_id, sizeof(queue->horizon_id), "%s", last ? last->id : "");
	queue->horizon = (struct bus_place){last ? last->when_ms : 0, queue->horizon_id};
}

/* The last in the order go back into the store's care while memory is over its bound. */
static void
bus_embedded_evict(struct bus_queue *queue)
{
	struct bus_embedded *bus = queue->bus;

	while (bus->n_memory > bus->memory_bytes && queue->in_memory.n > 1 &&
		queue->in_memory.n_bytes > BUS_FLOOR) {
		struct bus_held *held = bus_embedded_held_at(bus_line_last(&queue->line));

		bus_embedded_take_out(held);
		bus_embedded_stores(queue, &held->message.row);
		bus_embedded_set_horizon(queue, bus_line_last(&queue->line));
		bus_embedded_held_free(held);
	}
}

bool
bus_embedded_is_for_memory(const struct bus_queue *queue, const struct row_delivery *row)
{
	struct bus_place place = {row->due_ms, row->id};

	return queue->is_attached &&
	       (queue->is_whole || bus_line_compare(&place, &queue->horizon) <= 0);
}

void
bus_embedded_shelve(struct bus_held *held)
{
	struct bus_queue *queue = held->queue;

	if (!bus_embedded_is_for_memory(queue, &held->message.row)) {
		bus_embedded_stores(queue, &held->message.row);
		bus_embedded_held_free(held);
		return;
	}
	bus_embedded_line_up(held);
	bus_embedded_evict(queue);
	bus_embedded_ready(queue);
}

/* ---- how it went ---- */

void
bus_embedded_note(struct bus_held *held, const struct row_delivery *row)
{
	struct row_delivery *to = &held->message.row;
	char *outcome = malloc(bus_embedded_text_size(row->message) +
			       bus_embedded_text_size(row->headers) + row->result.len + 1);
	char *at = outcome;

	must(outcome);
	to->message = bus_embedded_copy_bytes(&at, str_of(row->message));
	to->headers = bus_embedded_copy_bytes(&at, str_of(row->headers));
	to->result = str_n(bus_embedded_copy_bytes(&at, row->result), row->result.len);
	free(held->outcome);
	held->outcome = outcome;
	to->state = row->state;
	to->attempt = row->attempt;
	to->due_ms = row->due_ms;
	to->ended_ms = row->ended_ms;
	to->status = row->status;
	memmove(to->code, row->code, sizeof(to->code));
}
