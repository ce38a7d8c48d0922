/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_message - a message with its properties, as it goes to and comes from a broker.
 *
 * Borrowed throughout. Knows no broker and no queue. Any process.
 */
#ifndef MAYFLY_AMQP_MESSAGE_H
#define MAYFLY_AMQP_MESSAGE_H

#include <stdbool.h>

#include "base/str.h"

#define AMQP_MESSAGE_HEADERS 64           /* further ones of what came are left out */
#define AMQP_MESSAGE_BYTES   (128u << 20) /* body; a RabbitMQ takes no more either */

struct amqp_header {
	struct str key, value; /* long strings; other types are written as text */
};

struct amqp_message {
	struct str exchange, routing_key, body;
	struct str content_type, correlation_id, reply_to, message_id, type, expiration;
	const struct amqp_header *headers;
	size_t n_headers; /* at most AMQP_MESSAGE_HEADERS */
	uint8_t priority;
	bool is_persistent;
	bool is_redelivered; /* of what came */
	uint64_t tag;        /* of what came: for amqp_ack() */
};

/* "" where there is none. */
static inline struct str
amqp_message_header(const struct amqp_message *message, const char *key)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (str_eq(message->headers[i].key, str_of(key)))
			return message->headers[i].value;
	return STR("");
}

#endif
