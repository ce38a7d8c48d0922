/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_end - how a delivery ends: its destinations and its callback are told, its end is put on
 * disk, then whoever waits for it is answered.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/delivery_inside.h"

/* What it leaves is kept for its result, for its idempotency key, or for who looks into it. */
static uint64_t
kept_until_ms(const struct delivery *delivery, uint64_t now_ms)
{
	const struct row_delivery *row = &delivery->row;
	uint64_t until_ms = now_ms + DELIVERY_LEAST_KEPT_MS;
	uint64_t result_ms = now_ms + delivery_policy_of(delivery)->keep_result_s * 1000ull;
	uint64_t known_ms = row->idempotency_key[0] ? row->created_ms + DELIVERY_KNOWN_MS : 0;

	if (row->state == ROW_DELIVERY_DEAD)
		return now_ms + DELIVERY_DEAD_KEPT_MS;
	until_ms = result_ms > until_ms ? result_ms : until_ms;
	return known_ms > until_ms ? known_ms : until_ms;
}

static void
write_outcome(struct delivery *delivery, enum row_delivery_state how)
{
	struct row_delivery *row = &delivery->row;
	bool is_kept = how == ROW_DELIVERY_DEAD ||
		       (how == ROW_DELIVERY_DONE && delivery_policy_of(delivery)->keep_result_s);
	OWN(buf) struct buf headers = BUF_INIT;

	row->state = (uint8_t)how;
	row->attempt = delivery->attempt;
	row->ended_ms = clock_unix_ms();
	row->due_ms = kept_until_ms(delivery, row->ended_ms);
	row->status = delivery->last.status;
	row->message = delivery->last.message;
	snprintf(row->code, sizeof(row->code), "%s",
		err_word(how == ROW_DELIVERY_CANCELLED ? ERR_CANCELLED : delivery->last.code));
	if (delivery->headers)
		json_write(delivery->headers, &headers);
	delivery->row_headers = str_dup(buf_str(&headers));
	row->headers = is_kept ? delivery->row_headers : "";
	row->result = is_kept ? buf_str(&delivery->body) : STR_NONE;
}

void
delivery_end(struct delivery *delivery, enum row_delivery_state how)
{
	struct delivery_queue *queue = delivery->queue;

	if (delivery->state == DELIVERY_PARKED || delivery->state == DELIVERY_BEHIND)
		queue->n_held--;
	list_remove(&delivery->link);
	delivery->state = DELIVERY_ENDING;
	if (how == ROW_DELIVERY_CANCELLED && !delivery->last.message[0])
		snprintf(delivery->last.message, sizeof(delivery->last.message),
			"the call was cancelled");
	write_outcome(delivery, how);
	delivery_tell_destinations(delivery);
}

void
delivery_end_with(struct delivery *delivery, enum row_delivery_state how, const struct err *reason)
{
	delivery->last.code = reason->code;
	delivery->last.status = (uint16_t)err_http_status(reason->code);
	snprintf(delivery->last.message, sizeof(delivery->last.message), "%s", reason->text);
	delivery_end(delivery, how);
}

/* ---- on disk ---- */

static void
count_end(struct delivery_queue *queue, const struct row_delivery *row)
{
	const struct delivery_host *host = queue->host;

	queue->n_done += row->state == ROW_DELIVERY_DONE;
	queue->n_dead += row->state == ROW_DELIVERY_DEAD;
	if (host->config.ended && row->source[0] && row->state != ROW_DELIVERY_CANCELLED)
		host->config.ended(host->domain, queue->org->name, row->origin, row->source,
			row->state == ROW_DELIVERY_DONE);
}

/* What succeeded or failed before it was cut off has ended as it did. */
static void
tell_cancels(struct delivery *delivery, int code) ON_LOOP
{
	struct delivery_cancel *cancel;
	struct err err = {0};

	if (code < 0)
		err_set(&err, code, "the cancellation could not be stored");
	else if (delivery->row.state != ROW_DELIVERY_CANCELLED)
		code = err_set(&err, ERR_CONFLICT, "call %s has ended", delivery->id);
	while ((cancel = list_first(&delivery->cancels, struct delivery_cancel, link))) {
		list_remove(&cancel->link);
		cancel->done(code, code < 0 ? &err : NULL, cancel->arg);
		free(cancel);
	}
}

/* A store that refuses leaves it queued there: it comes again, from the bus or with the next
 * daemon. */
static void
on_settled(void *arg, int code)
{
	struct delivery *delivery = arg;
	struct delivery_queue *queue = delivery->queue;
	struct delivery_host *host = queue->host;
	char id[ID_ULID_SIZE];

	thread_on_loop();
	if (host->is_over)
		return;
	memcpy(id, delivery->id, sizeof(id));
	if (code < 0) {
		log_error("delivery.not_settled", "id=%s org=%s function=%s code=%s", id,
			queue->org->name, queue->function_name, err_word(code));
	} else {
		count_end(queue, &delivery->row);
	}
	tell_cancels(delivery, code);
	delivery_forget(delivery);
	delivery_queue_go(queue);
	if (code == 0)
		delivery_count_ended(queue);
	delivery_ended(host, id);
}

void
delivery_end_settle(struct delivery *delivery)
{
	struct delivery_queue *queue = delivery->queue;

	if (!delivery->message || !queue->bus) {
		delivery_forget(delivery);
		return;
	}
	queue->host->bus->ops->settle(
		queue->bus, take_ptr(&delivery->message), &delivery->row, on_settled, delivery);
}

/* ---- cancelled ---- */

struct delivery_cancelling {
	struct store_message message;
	struct delivery_host *host; /* borrowed */
	char org[64], function[64], id[ID_ULID_SIZE];
	uint8_t state;
	void (*done)(int code, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static void
cancel_in_hand(struct delivery *delivery, void (*done)(int code, const struct err *err, void *arg),
	void *arg) ON_LOOP
{
	struct delivery_cancel *cancel;
	struct err err = {0};

	if (delivery->state == DELIVERY_ENDING) {
		err_set(&err, ERR_CONFLICT, "call %s has ended", delivery->id);
		done(err.code, &err, arg);
		return;
	}
	cancel = mem_new(sizeof(*cancel));
	cancel->done = done;
	cancel->arg = arg;
	list_push_back(&delivery->cancels, &cancel->link);
	delivery->is_cancelled = true;
	if (delivery->state == DELIVERY_RUNNING) {
		if (delivery->call)
			call_cancel(delivery->call);
		else if (delivery->sending)
			delivery_post_cancel(delivery);
	} else if (delivery->state != DELIVERY_ASKING) {
		delivery_end(delivery, ROW_DELIVERY_CANCELLED);
	}
}

static void
cancelling_found(const struct row_delivery *row, void *arg)
{
	struct delivery_cancelling *cancelling = arg;

	memcpy(cancelling->function, row->function, sizeof(cancelling->function));
	cancelling->state = row->state;
}

static int
cancelling_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct delivery_cancelling *cancelling =
		list_owner(message, struct delivery_cancelling, message);

	thread_on_store();
	return row_delivery_find(
		db, cancelling->org, cancelling->id, cancelling_found, cancelling, err);
}

/* It waits in the bus, or has come in hand meanwhile. */
static int
withdraw(struct delivery_cancelling *cancelling, struct err *err) ON_LOOP
{
	struct delivery_host *host = cancelling->host;
	struct delivery_queue *queue;
	int rc;

	if (cancelling->state != ROW_DELIVERY_QUEUED)
		return err_set(err, ERR_CONFLICT, "call %s has ended", cancelling->id);
	rc = host->bus->ops->withdraw(
		host->bus, cancelling->org, cancelling->function, cancelling->id);
	if (rc < 0)
		return err_set(err, ERR_UNAVAILABLE, "call %s is between two places; ask again",
			cancelling->id);
	queue = delivery_queue_find(host, cancelling->org, cancelling->function);
	if (queue)
		delivery_count_ended(queue);
	delivery_ended(host, cancelling->id);
	return 0;
}

static void
cancelling_done(struct store_message *message)
{
	struct delivery_cancelling *cancelling =
		list_owner(message, struct delivery_cancelling, message);
	struct delivery_host *host = cancelling->host;
	struct delivery *delivery =
		host->is_over ? NULL : map_find(&host->in_hand, str_of(cancelling->id));
	struct err err = message->err;
	int rc = message->code;

	thread_on_loop();
	if (rc == ERR_NOT_FOUND)
		err_set(&err, rc, "there is no call %s", cancelling->id);
	if (rc >= 0 && delivery) {
		cancel_in_hand(delivery, cancelling->done, cancelling->arg);
	} else {
		if (rc >= 0)
			rc = withdraw(cancelling, &err);
		cancelling->done(rc, rc < 0 ? &err : NULL, cancelling->arg);
	}
	free(cancelling);
}

void
delivery_cancel(struct delivery_host *host, struct str org, struct str id,
	void (*done)(int code, const struct err *err, void *arg), void *arg)
{
	struct delivery *delivery = map_find(&host->in_hand, id);
	struct delivery_cancelling *cancelling;

	if (delivery && str_eq(str_of(delivery->queue->org->name), org)) {
		cancel_in_hand(delivery, done, arg);
		return;
	}
	cancelling = mem_new(sizeof(*cancelling));
	cancelling->host = host;
	snprintf(cancelling->org, sizeof(cancelling->org), "%.*s", STR_ARG(org));
	snprintf(cancelling->id, sizeof(cancelling->id), "%.*s", STR_ARG(id));
	cancelling->done = done;
	cancelling->arg = arg;
	cancelling->message.work = cancelling_work;
	cancelling->message.done = cancelling_done;
	store_ask(host->domain->store, &cancelling->message);
}
