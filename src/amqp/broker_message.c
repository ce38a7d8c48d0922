/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/broker_message.h"

#include <inttypes.h>
#include <stdio.h>

#define BROKER_MESSAGE_NUMBER "x-mayfly-publish"

static amqp_bytes_t
message_bytes(struct str text)
{
	return (amqp_bytes_t){.len = text.len, .bytes = (void *)text.at};
}

static struct str
message_str(amqp_bytes_t bytes)
{
	return str_n(bytes.bytes, bytes.len);
}

void
broker_message_text(amqp_table_t *table, const char *key, struct str value)
{
	table->entries[table->num_entries++] = (amqp_table_entry_t){amqp_cstring_bytes(key),
		{.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = message_bytes(value)}};
}

void
broker_message_number(amqp_table_t *table, const char *key, uint64_t value)
{
	table->entries[table->num_entries++] = (amqp_table_entry_t){amqp_cstring_bytes(key),
		{.kind = AMQP_FIELD_KIND_I64, .value.i64 = (int64_t)value}};
}

/* ---- ours into librabbitmq's ---- */

static void
message_set(amqp_basic_properties_t *properties, amqp_bytes_t *where, amqp_flags_t flag,
	struct str text)
{
	if (text.len == 0)
		return;
	*where = message_bytes(text);
	properties->_flags |= flag;
}

void
broker_message_properties(const struct amqp_message *message, uint64_t number,
	amqp_table_entry_t *entries, amqp_basic_properties_t *ret)
{
	*ret = (amqp_basic_properties_t){._flags = AMQP_BASIC_DELIVERY_MODE_FLAG,
		.delivery_mode = message->is_persistent ? AMQP_DELIVERY_PERSISTENT
							: AMQP_DELIVERY_NONPERSISTENT};
	message_set(ret, &ret->content_type, AMQP_BASIC_CONTENT_TYPE_FLAG, message->content_type);
	message_set(
		ret, &ret->correlation_id, AMQP_BASIC_CORRELATION_ID_FLAG, message->correlation_id);
	message_set(ret, &ret->reply_to, AMQP_BASIC_REPLY_TO_FLAG, message->reply_to);
	message_set(ret, &ret->message_id, AMQP_BASIC_MESSAGE_ID_FLAG, message->message_id);
	message_set(ret, &ret->type, AMQP_BASIC_TYPE_FLAG, message->type);
	message_set(ret, &ret->expiration, AMQP_BASIC_EXPIRATION_FLAG, message->expiration);
	if (message->priority) {
		ret->priority = message->priority;
		ret->_flags |= AMQP_BASIC_PRIORITY_FLAG;
	}
	ret->headers.entries = entries;
	for (size_t i = 0; i < message->n_headers; i++)
		entries[ret->headers.num_entries++] =
			(amqp_table_entry_t){message_bytes(message->headers[i].key),
				{.kind = AMQP_FIELD_KIND_UTF8,
					.value.bytes = message_bytes(message->headers[i].value)}};
	if (number)
		broker_message_number(&ret->headers, BROKER_MESSAGE_NUMBER, number);
	if (ret->headers.num_entries)
		ret->_flags |= AMQP_BASIC_HEADERS_FLAG;
}

/* ---- librabbitmq's into ours ---- */

static const amqp_table_t *
message_headers(const amqp_basic_properties_t *properties)
{
	return properties->_flags & AMQP_BASIC_HEADERS_FLAG ? &properties->headers
							    : &amqp_empty_table;
}

bool
broker_message_number_of(const amqp_basic_properties_t *properties, uint64_t *ret)
{
	const amqp_table_t *table = message_headers(properties);

	for (int i = 0; i < table->num_entries; i++) {
		const amqp_table_entry_t *entry = &table->entries[i];

		if (!str_eq(message_str(entry->key), STR(BROKER_MESSAGE_NUMBER)) ||
			entry->value.kind != AMQP_FIELD_KIND_I64)
			continue;
		*ret = (uint64_t)entry->value.value.i64;
		return true;
	}
	return false;
}

#define MESSAGE_NUMBER_SIZE 24

/* False for what has no text. */
static bool
message_text(const amqp_field_value_t *value, char number[MESSAGE_NUMBER_SIZE], struct str *ret)
{
	int64_t n;

	switch (value->kind) {
	case AMQP_FIELD_KIND_UTF8:
	case AMQP_FIELD_KIND_BYTES:
		*ret = message_str(value->value.bytes);
		return true;
	case AMQP_FIELD_KIND_BOOLEAN:
		*ret = value->value.boolean ? STR("true") : STR("false");
		return true;
	case AMQP_FIELD_KIND_I8:
		n = value->value.i8;
		break;
	case AMQP_FIELD_KIND_U8:
		n = value->value.u8;
		break;
	case AMQP_FIELD_KIND_I16:
		n = value->value.i16;
		break;
	case AMQP_FIELD_KIND_U16:
		n = value->value.u16;
		break;
	case AMQP_FIELD_KIND_I32:
		n = value->value.i32;
		break;
	case AMQP_FIELD_KIND_U32:
		n = value->value.u32;
		break;
	case AMQP_FIELD_KIND_I64:
	case AMQP_FIELD_KIND_U64:
	case AMQP_FIELD_KIND_TIMESTAMP:
		n = value->value.i64;
		break;
	default:
		return false;
	}
	*ret = str_n(number, (size_t)snprintf(number, MESSAGE_NUMBER_SIZE, "%" PRId64, n));
	return true;
}

static size_t
message_take_headers(
	const amqp_table_t *table, char (*numbers)[MESSAGE_NUMBER_SIZE], struct amqp_header *ret)
{
	size_t n = 0;

	for (int i = 0; i < table->num_entries && n < AMQP_MESSAGE_HEADERS; i++) {
		const amqp_table_entry_t *entry = &table->entries[i];

		ret[n].key = message_str(entry->key);
		if (!str_eq(ret[n].key, STR(BROKER_MESSAGE_NUMBER)) &&
			message_text(&entry->value, numbers[n], &ret[n].value))
			n++;
	}
	return n;
}

void
broker_message_tell(struct buf *out, const struct peer_frame *head, const amqp_message_t *message,
	struct str exchange, struct str routing_key, bool is_redelivered)
{
	const amqp_basic_properties_t *has = &message->properties;
	char numbers[AMQP_MESSAGE_HEADERS][MESSAGE_NUMBER_SIZE];
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	struct amqp_message told = {.exchange = exchange,
		.routing_key = routing_key,
		.body = message_str(message->body),
		.headers = headers,
		.is_redelivered = is_redelivered};
	size_t begun = peer_frame_begin(out, head);

#define MESSAGE_HAS(flag, field)                                                                   \
	if (has->_flags & AMQP_BASIC_##flag##_FLAG)                                                \
	told.field = message_str(has->field)
	MESSAGE_HAS(CONTENT_TYPE, content_type);
	MESSAGE_HAS(CORRELATION_ID, correlation_id);
	MESSAGE_HAS(REPLY_TO, reply_to);
	MESSAGE_HAS(MESSAGE_ID, message_id);
	MESSAGE_HAS(TYPE, type);
	MESSAGE_HAS(EXPIRATION, expiration);
#undef MESSAGE_HAS
	if (has->_flags & AMQP_BASIC_PRIORITY_FLAG)
		told.priority = has->priority;
	if (has->_flags & AMQP_BASIC_DELIVERY_MODE_FLAG)
		told.is_persistent = has->delivery_mode == AMQP_DELIVERY_PERSISTENT;
	told.n_headers = message_take_headers(message_headers(has), numbers, headers);
	amqp_frame_add_message(out, &told);
	peer_frame_end(out, begun);
}
