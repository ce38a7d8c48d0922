/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/amqp_frame.h"

_Static_assert(PEER_FRAME_BYTES >= AMQP_MESSAGE_BYTES + (4u << 20), "a message fits into a frame");

/* ---- writing ---- */

/* What stands before the texts of a message. */
struct amqp_frame_message {
	uint32_t n_headers;
	uint8_t priority, is_persistent, is_redelivered, zero;
};

enum { AMQP_FRAME_MESSAGE_TEXTS = 9 };

void
amqp_frame_add_message(struct buf *out, const struct amqp_message *message)
{
	const struct amqp_frame_message fixed = {
		.n_headers = (uint32_t)message->n_headers,
		.priority = message->priority,
		.is_persistent = message->is_persistent,
		.is_redelivered = message->is_redelivered,
	};
	const struct str texts[AMQP_FRAME_MESSAGE_TEXTS] = {message->exchange, message->routing_key,
		message->content_type, message->correlation_id, message->reply_to,
		message->message_id, message->type, message->expiration, message->body};

	must(message->n_headers <= AMQP_MESSAGE_HEADERS);
	buf_add(out, &fixed, sizeof(fixed));
	for (size_t i = 0; i < AMQP_FRAME_MESSAGE_TEXTS; i++)
		peer_frame_add(out, texts[i]);
	for (size_t i = 0; i < message->n_headers; i++) {
		peer_frame_add(out, message->headers[i].key);
		peer_frame_add(out, message->headers[i].value);
	}
}

/* ---- reading ---- */

static bool
amqp_frame_take_headers(struct str *texts, struct amqp_header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!peer_frame_take(texts, &headers[i].key) ||
			!peer_frame_take(texts, &headers[i].value))
			return false;
	return true;
}

bool
amqp_frame_take_message(struct str texts, struct amqp_message *ret, struct amqp_header *headers)
{
	struct amqp_frame_message fixed;
	struct str found[AMQP_FRAME_MESSAGE_TEXTS];

	if (!peer_frame_cut(&texts, &fixed, sizeof(fixed)) ||
		fixed.n_headers > AMQP_MESSAGE_HEADERS || fixed.is_persistent > 1 ||
		fixed.is_redelivered > 1 || fixed.zero)
		return false;
	for (size_t i = 0; i < AMQP_FRAME_MESSAGE_TEXTS; i++) {
		bool is_body = i == AMQP_FRAME_MESSAGE_TEXTS - 1;

		if (!peer_frame_take(&texts, &found[i]) ||
			found[i].len > (is_body ? AMQP_MESSAGE_BYTES : AMQP_FRAME_TEXT))
			return false;
	}
	if (!amqp_frame_take_headers(&texts, headers, fixed.n_headers) || texts.len)
		return false;
	*ret = (struct amqp_message){.exchange = found[0],
		.routing_key = found[1],
		.content_type = found[2],
		.correlation_id = found[3],
		.reply_to = found[4],
		.message_id = found[5],
		.type = found[6],
		.expiration = found[7],
		.body = found[8],
		.headers = headers,
		.n_headers = fixed.n_headers,
		.priority = fixed.priority,
		.is_persistent = fixed.is_persistent,
		.is_redelivered = fixed.is_redelivered};
	return true;
}
