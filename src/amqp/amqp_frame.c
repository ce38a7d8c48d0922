/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/amqp_frame.h"

/* ---- writing ---- */

size_t
amqp_frame_begin(struct buf *out, const struct amqp_frame *head)
{
	size_t begun = out->len;

	buf_add(out, head, sizeof(*head));
	return begun;
}

void
amqp_frame_add(struct buf *out, struct str text)
{
	uint32_t len = (uint32_t)text.len;

	must(text.len <= AMQP_MESSAGE_BYTES);
	buf_add(out, &len, sizeof(len));
	buf_add_str(out, text);
}

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
		amqp_frame_add(out, texts[i]);
	for (size_t i = 0; i < message->n_headers; i++) {
		amqp_frame_add(out, message->headers[i].key);
		amqp_frame_add(out, message->headers[i].value);
	}
}

void
amqp_frame_end(struct buf *out, size_t begun)
{
	size_t size = out->len - begun - sizeof(struct amqp_frame);
	uint32_t written = (uint32_t)size;

	must(size <= AMQP_FRAME_BYTES);
	memcpy(out->at + begun + offsetof(struct amqp_frame, size), &written, sizeof(written));
}

/* ---- reading ---- */

int64_t
amqp_frame_next(struct str bytes, struct amqp_frame *ret, struct str *ret_texts, struct err *err)
{
	struct amqp_frame head;

	if (bytes.len < sizeof(head))
		return 0;
	memcpy(&head, bytes.at, sizeof(head));
	if (head.kind == 0 || head.kind >= AMQP_FRAME_KINDS)
		return err_set(err, ERR_INVALID, "a frame of unknown kind %u", head.kind);
	if (head.size > AMQP_FRAME_BYTES)
		return err_set(err, ERR_INVALID, "a frame of %u bytes", head.size);
	if (head.zero != 0 || head.code > 0 || head.code <= -ERR_COUNT_)
		return err_set(err, ERR_INVALID, "a frame of kind %u with a wrong head", head.kind);
	if (bytes.len - sizeof(head) < head.size)
		return 0;
	*ret = head;
	*ret_texts = str_n(bytes.at + sizeof(head), head.size);
	return (int64_t)(sizeof(head) + head.size);
}

static bool
amqp_frame_cut(struct str *texts, void *ret, size_t n)
{
	if (texts->len < n)
		return false;
	memcpy(ret, texts->at, n);
	*texts = str_n(texts->at + n, texts->len - n);
	return true;
}

bool
amqp_frame_take(struct str *texts, struct str *ret)
{
	struct str rest = *texts;
	uint32_t len;

	*ret = STR("");
	if (!amqp_frame_cut(&rest, &len, sizeof(len)) || rest.len < len)
		return false;
	*ret = str_n(rest.at, len);
	*texts = str_n(rest.at + len, rest.len - len);
	return true;
}

static bool
amqp_frame_take_headers(struct str *texts, struct amqp_header *headers, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!amqp_frame_take(texts, &headers[i].key) ||
			!amqp_frame_take(texts, &headers[i].value))
			return false;
	return true;
}

bool
amqp_frame_take_message(struct str texts, struct amqp_message *ret, struct amqp_header *headers)
{
	struct amqp_frame_message fixed;
	struct str found[AMQP_FRAME_MESSAGE_TEXTS];

	if (!amqp_frame_cut(&texts, &fixed, sizeof(fixed)) ||
		fixed.n_headers > AMQP_MESSAGE_HEADERS || fixed.is_persistent > 1 ||
		fixed.is_redelivered > 1 || fixed.zero)
		return false;
	for (size_t i = 0; i < AMQP_FRAME_MESSAGE_TEXTS; i++) {
		bool is_body = i == AMQP_FRAME_MESSAGE_TEXTS - 1;

		if (!amqp_frame_take(&texts, &found[i]) ||
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
