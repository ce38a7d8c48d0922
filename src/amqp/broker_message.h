/* SPDX-License-Identifier: Apache-2.0 */
/*
 * broker_message - messages and tables as librabbitmq has them, from ours and into ours.
 *
 * In mayfly-amqp alone.
 */
#ifndef MAYFLY_AMQP_BROKER_MESSAGE_H
#define MAYFLY_AMQP_BROKER_MESSAGE_H

#include <amqp.h>

#include "amqp/amqp_frame.h"

/* One more entry of a table that has room. */
void broker_message_text(amqp_table_t *table, const char *key, struct str value);
void broker_message_number(amqp_table_t *table, const char *key, uint64_t value);

/* number, unless 0, goes with the message, so that one that comes back is known again; entries
 * holds AMQP_MESSAGE_HEADERS + 1. */
void broker_message_properties(const struct amqp_message *message, uint64_t number,
	amqp_table_entry_t *entries, amqp_basic_properties_t *ret);
bool broker_message_number_of(const amqp_basic_properties_t *properties, uint64_t *ret);

/* Appends a frame with the message that came. Headers that are neither texts nor numbers are left
 * out. */
void broker_message_tell(struct buf *out, const struct peer_frame *head,
	const amqp_message_t *message, struct str exchange, struct str routing_key,
	bool is_redelivered);

#endif
