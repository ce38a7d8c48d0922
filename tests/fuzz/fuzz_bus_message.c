/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_bus_message - messages that anybody may put into the broker become rows: every text is
 * terminated and bounded, head and body are what came, and ours comes back as it was written.
 * The input is the texts of a frame with a message.
 */
#include "fuzz.h"

#include "amqp/amqp_frame.h"
#include "bus/bus_rabbitmq.h"

static void
fuzz_text(const char *text, size_t max)
{
	must(text && strlen(text) <= max && str_is_utf8(str_of(text)));
}

static void
fuzz_row(const struct row_delivery *row, const struct amqp_message *message)
{
	must(strlen(row->id) == ID_ULID_SIZE - 1 && id_is_ulid(str_of(row->id)));
	must(row->frame <= 1 && memchr(row->origin, 0, sizeof(row->origin)) &&
		memchr(row->source, 0, sizeof(row->source)));
	fuzz_text(row->order_key, 128);
	fuzz_text(row->idempotency_key, 128);
	fuzz_text(row->callback_url, 2048);
	fuzz_text(row->method, 64);
	fuzz_text(row->path, 8192);
	must(row->head.len + row->body.len == message->body.len);
	must(memcmp(row->head.at, message->body.at, row->head.len) == 0);
	must(memcmp(row->body.at, message->body.at + row->head.len, row->body.len) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	struct bus_queue queue = {.org = "acme", .function = "hello"};
	struct rabbit_message room = {.body = BUF_INIT};
	struct amqp_message message, again;
	struct bus_message *read, *twice;

	if (!amqp_frame_take_message(str_n(bytes, size), &message, headers))
		return 0;
	if (!message.body.len)
		message.body = STR("");
	read = bus_rabbit_message_read(&message, &queue);
	fuzz_row(&read->row, &message);
	bus_rabbit_message_write(&read->row, &room, &again);
	twice = bus_rabbit_message_read(&again, &queue);
	must(!twice->is_foreign && strcmp(twice->row.id, read->row.id) == 0);
	must(twice->row.created_ms == read->row.created_ms &&
		twice->row.attempt == read->row.attempt);
	must(strcmp(twice->row.order_key, read->row.order_key) == 0 &&
		strcmp(twice->row.path, read->row.path) == 0);
	must(str_eq(twice->row.body, read->row.body) && str_eq(twice->row.head, read->row.head));
	buf_done(&room.body);
	free(twice);
	free(read);
	return 0;
}
