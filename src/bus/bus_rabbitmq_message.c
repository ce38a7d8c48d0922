/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rabbitmq_message - a delivery as a message of AMQP, and back.
 *
 * Ours has its head before its body, and x-mayfly-head with the head's length. What others put
 * has no such header: all of it is the body. Headers are not believed: they came over a broker
 * that others write to, and each is held to what a row may have.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/id.h"
#include "bus/bus_rabbitmq.h"

#define RABBIT_KEEP_MS (24 * 3600000ull) /* what others put may wait as long */

/* ---- writing ---- */

static void
message_text(
	struct rabbit_message *room, struct amqp_message *ret, const char *key, const char *text)
{
	must(ret->n_headers < RABBIT_HEADERS);
	if (text && text[0])
		room->headers[ret->n_headers++] = (struct amqp_header){str_of(key), str_of(text)};
}

static void
message_number(
	struct rabbit_message *room, struct amqp_message *ret, const char *key, uint64_t number)
{
	char *text = room->numbers[ret->n_headers];

	snprintf(text, sizeof(room->numbers[0]), "%" PRIu64, number);
	message_text(room, ret, key, text);
}

void
bus_rabbit_message_write(
	const struct row_delivery *row, struct rabbit_message *room, struct amqp_message *ret)
{
	*ret = (struct amqp_message){.headers = room->headers,
		.is_persistent = true,
		.message_id = str_of(row->id),
		.type = STR("mayfly.delivery")};
	message_number(room, ret, "x-mayfly-head", row->head.len);
	message_number(room, ret, "x-mayfly-version", row->version);
	message_number(room, ret, "x-mayfly-frame", row->frame);
	message_number(room, ret, "x-mayfly-attempt", row->attempt);
	message_number(room, ret, "x-mayfly-created", row->created_ms);
	message_number(room, ret, "x-mayfly-due", row->due_ms);
	message_number(room, ret, "x-mayfly-expires", row->expires_ms);
	message_number(room, ret, "x-mayfly-hops", row->hops);
	message_text(room, ret, "x-mayfly-origin", row->origin);
	message_text(room, ret, "x-mayfly-source", row->source);
	message_text(room, ret, "x-mayfly-order-key", row->order_key);
	message_text(room, ret, "x-mayfly-idempotency-key", row->idempotency_key);
	message_text(room, ret, "x-mayfly-callback", row->callback_url);
	message_text(room, ret, "x-mayfly-method", row->method);
	message_text(room, ret, "x-mayfly-path", row->path);
	buf_clear(&room->body);
	buf_add_str(&room->body, row->head);
	buf_add_str(&room->body, row->body);
	ret->body = buf_str(&room->body);
}

/* ---- reading ---- */

static uint64_t
message_read_number(const struct amqp_message *message, const char *key, uint64_t other)
{
	uint64_t number = other;

	str_to_u64(amqp_message_header(message, key), &number);
	return number;
}

/* A text of at most `max` bytes, terminated, in the row's own memory; "" for another. */
static const char *
message_read_text(const struct amqp_message *message, const char *key, size_t max, char **at)
{
	struct str text = amqp_message_header(message, key);
	char *ret = *at;

	if (text.len > max || memchr(text.at, 0, text.len) || !str_is_utf8(text))
		text = STR("");
	memcpy(ret, text.at, text.len);
	ret[text.len] = '\0';
	*at += text.len + 1;
	return ret;
}

static void
message_read_chars(const struct amqp_message *message, const char *key, char *ret, size_t size)
{
	struct str text = amqp_message_header(message, key);

	if (text.len < size && str_is_utf8(text) && !memchr(text.at, 0, text.len))
		snprintf(ret, size, "%.*s", STR_ARG(text));
}

static void
message_read_ours(const struct amqp_message *message, struct row_delivery *row, char **at)
{
	row->version = (uint32_t)message_read_number(message, "x-mayfly-version", 0);
	row->frame = message_read_number(message, "x-mayfly-frame", 0) == 1;
	row->attempt = (uint32_t)message_read_number(message, "x-mayfly-attempt", 0);
	row->created_ms = message_read_number(message, "x-mayfly-created", row->created_ms);
	row->due_ms = message_read_number(message, "x-mayfly-due", row->due_ms);
	row->expires_ms = message_read_number(message, "x-mayfly-expires", row->expires_ms);
	row->hops = (uint32_t)message_read_number(message, "x-mayfly-hops", 0);
	message_read_chars(message, "x-mayfly-origin", row->origin, sizeof(row->origin));
	message_read_chars(message, "x-mayfly-source", row->source, sizeof(row->source));
	row->order_key = message_read_text(message, "x-mayfly-order-key", 128, at);
	row->idempotency_key = message_read_text(message, "x-mayfly-idempotency-key", 128, at);
	row->callback_url = message_read_text(message, "x-mayfly-callback", 2048, at);
	row->method = message_read_text(message, "x-mayfly-method", 64, at);
	row->path = message_read_text(message, "x-mayfly-path", 8192, at);
}

static void
message_set_id(const struct amqp_message *message, struct row_delivery *row)
{
	struct str id = message->message_id;

	if (id.len == ID_ULID_SIZE - 1 && id_is_ulid(id))
		snprintf(row->id, sizeof(row->id), "%.*s", STR_ARG(id));
	else
		id_ulid(row->id);
}

static size_t
message_texts_size(const struct amqp_message *message)
{
	size_t size = 64;

	for (size_t i = 0; i < message->n_headers; i++)
		size += message->headers[i].value.len + 1;
	return size;
}

struct bus_message *
bus_rabbit_message_read(const struct amqp_message *message, const struct bus_queue *queue)
{
	struct bus_message *ret =
		mem_new(sizeof(*ret) + message->body.len + message_texts_size(message));
	char *body = (char *)(ret + 1), *at = body + message->body.len;
	uint64_t now_ms = clock_unix_ms(),
		 n_head = message_read_number(message, "x-mayfly-head", UINT64_MAX);
	struct row_delivery *row = &ret->row;

	*row = (struct row_delivery){.created_ms = now_ms,
		.due_ms = now_ms,
		.expires_ms = now_ms + RABBIT_KEEP_MS,
		.origin = "queue",
		.order_key = "",
		.idempotency_key = "",
		.callback_url = "",
		.method = "",
		.path = "",
		.message = "",
		.headers = "",
		.result = STR("")};
	message_set_id(message, row);
	memcpy(row->org, queue->org, sizeof(row->org));
	memcpy(row->function, queue->function, sizeof(row->function));
	if (message->body.len)
		memcpy(body, message->body.at, message->body.len);
	if (n_head <= message->body.len) {
		message_read_ours(message, row, &at);
	} else {
		n_head = 0;
		row->order_key = message_read_text(message, "x-mayfly-order-key", 128, &at);
		ret->is_foreign = true;
	}
	row->head = str_n(body, n_head);
	row->body = str_n(body + n_head, message->body.len - n_head);
	return ret;
}
