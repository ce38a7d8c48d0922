/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/broker.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <amqp_ssl_socket.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <string.h>

#include "amqp/broker_inside.h"
#include "amqp/broker_message.h"
#include "base/own.h"

struct broker *
broker_new(struct buf *out)
{
	struct broker *broker = mem_new(sizeof(*broker));

	broker->out = out;
	broker->fd = -1;
	return broker;
}

int
broker_fd(const struct broker *broker)
{
	return broker->fd;
}

/* ---- telling the daemon ---- */

void
broker_tell(struct broker *broker, const struct peer_frame *head, const char *text)
{
	size_t begun = peer_frame_begin(broker->out, head);

	peer_frame_add(broker->out, str_of(text));
	peer_frame_end(broker->out, begun);
}

static void
broker_forget(struct broker *broker)
{
	for (size_t i = 0; i < broker->n_consumers; i++)
		free(broker->consumers[i].tags);
	free(broker->consumers);
	broker->consumers = NULL;
	broker->n_consumers = 0;
	memset(broker->is_open, 0, sizeof(broker->is_open));
	if (broker->state)
		amqp_destroy_connection(broker->state);
	broker->state = NULL;
	broker->fd = -1;
}

/* flags: AMQP_FRAME_ALL when it was what was published that the broker refused. */
void
broker_lose(struct broker *broker, const struct err *why, uint16_t flags)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_DOWN, .code = why->code, .flags = flags};

	if (!broker->state)
		return;
	broker_forget(broker);
	broker_tell(broker, &head, why->text);
}

void
broker_free(struct broker *broker)
{
	if (broker->state)
		amqp_connection_close(broker->state, AMQP_REPLY_SUCCESS);
	broker_forget(broker);
	free(broker);
}

/* ---- what the broker says no with ---- */

static int
broker_code(unsigned reply)
{
	switch (reply) {
	case AMQP_ACCESS_REFUSED:
	case AMQP_NOT_ALLOWED:
		return ERR_FORBIDDEN;
	case AMQP_NOT_FOUND:
		return ERR_NOT_FOUND;
	case AMQP_RESOURCE_LOCKED:
	case AMQP_PRECONDITION_FAILED:
		return ERR_CONFLICT;
	default:
		return ERR_UNAVAILABLE;
	}
}

static int
broker_refusal(struct err *err, unsigned reply, amqp_bytes_t text)
{
	return err_set(err, broker_code(reply), "the broker says %u %.*s", reply,
		text.len < 200 ? (int)text.len : 200, (const char *)text.bytes);
}

int
broker_library(struct err *err, int status)
{
	return err_set(err, ERR_UNAVAILABLE, "%s", amqp_error_string2(status));
}

/* A reply that ends the connection. */
static int
broker_ended(amqp_rpc_reply_t reply, struct err *err)
{
	if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
		reply.reply.id == AMQP_CONNECTION_CLOSE_METHOD) {
		const amqp_connection_close_t *close = reply.reply.decoded;

		return broker_refusal(err, close->reply_code, close->reply_text);
	}
	return broker_library(err, reply.library_error);
}

static void
broker_reopen(struct broker *broker, amqp_channel_t channel)
{
	struct err err = {0};
	amqp_rpc_reply_t reply;

	amqp_channel_open(broker->state, channel);
	reply = amqp_get_rpc_reply(broker->state);
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return;
	broker_ended(reply, &err);
	broker_lose(broker, &err, 0);
}

/* An exception of a channel is answered and the channel opened again. Gives 0 or the code; after
 * what ends the connection there is none any more. */
int
broker_check(struct broker *broker, amqp_channel_t channel, amqp_rpc_reply_t reply, struct err *err)
{
	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return 0;
	if (reply.reply_type == AMQP_RESPONSE_SERVER_EXCEPTION &&
		reply.reply.id == AMQP_CHANNEL_CLOSE_METHOD) {
		const amqp_channel_close_t *close = reply.reply.decoded;
		amqp_channel_close_ok_t ok = {0};

		broker_refusal(err, close->reply_code, close->reply_text);
		amqp_send_method(broker->state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
		if (channel < BROKER_CONSUMES)
			broker_reopen(broker, channel);
		else
			broker->is_open[channel - BROKER_CONSUMES] = false;
		return err->code;
	}
	broker_ended(reply, err);
	broker_lose(broker, err, 0);
	return err->code;
}

/* ---- connecting ---- */

static int
broker_open_socket(struct broker *broker, const struct peer_frame *frame, const char *host,
	const char *ca_file, struct err *err)
{
	struct timeval patience = {.tv_sec = BROKER_CONNECT_S};
	bool is_tls = frame->flags & AMQP_FRAME_TLS;
	amqp_socket_t *socket =
		is_tls ? amqp_ssl_socket_new(broker->state) : amqp_tcp_socket_new(broker->state);
	int status;

	must(socket);
	if (is_tls) {
		status = amqp_ssl_socket_set_cacert(
			socket, *ca_file ? ca_file : "/etc/ssl/certs/ca-certificates.crt");
		if (status != AMQP_STATUS_OK)
			return err_set(err, ERR_INVALID, "certificates in %s: %s", ca_file,
				amqp_error_string2(status));
		amqp_ssl_socket_set_verify_peer(socket, 1);
		amqp_ssl_socket_set_verify_hostname(socket, 1);
		must(amqp_ssl_socket_set_ssl_versions(socket, AMQP_TLSv1_2, AMQP_TLSvLATEST) ==
			AMQP_STATUS_OK);
	}
	status = amqp_socket_open_noblock(socket, host, (int)frame->number, &patience);
	if (status != AMQP_STATUS_OK)
		return err_set(err, ERR_UNAVAILABLE, "connecting to %s:%u: %s", host,
			(unsigned)frame->number, amqp_error_string2(status));
	return 0;
}

/* What the broker may send us that it otherwise keeps to itself. */
static amqp_rpc_reply_t
broker_say_who(struct broker *broker, const struct peer_frame *frame, const char *vhost,
	const char *user, const char *password)
{
	static const char *const names[] = {"connection.blocked", "consumer_cancel_notify",
		"publisher_confirms", "basic.nack", "authentication_failure_close"};
	amqp_table_entry_t can[sizeof(names) / sizeof(names[0])], entries[3];
	amqp_table_t properties = {.entries = entries};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		can[i] = (amqp_table_entry_t){amqp_cstring_bytes(names[i]),
			{.kind = AMQP_FIELD_KIND_BOOLEAN, .value.boolean = 1}};
	broker_message_text(&properties, "product", STR("mayfly"));
	broker_message_text(&properties, "version", STR(MAYFLY_VERSION));
	entries[properties.num_entries++] = (amqp_table_entry_t){amqp_cstring_bytes("capabilities"),
		{.kind = AMQP_FIELD_KIND_TABLE,
			.value.table = {sizeof(can) / sizeof(can[0]), can}}};
	return amqp_login_with_properties(broker->state, vhost, 0, BROKER_WIRE_BYTES,
		(int)frame->count, &properties, AMQP_SASL_METHOD_PLAIN, user, password);
}

static int
broker_login(struct broker *broker, const struct peer_frame *frame, const char *vhost,
	const char *user, const char *password, struct err *err)
{
	struct timeval answer = {.tv_sec = BROKER_ANSWER_S};
	amqp_rpc_reply_t reply = broker_say_who(broker, frame, vhost, user, password);

	if (reply.reply_type != AMQP_RESPONSE_NORMAL)
		return broker_ended(reply, err);
	amqp_set_rpc_timeout(broker->state, &answer);
	for (amqp_channel_t channel = BROKER_ASKS; channel <= BROKER_PUBLISHES; channel++) {
		amqp_channel_open(broker->state, channel);
		reply = amqp_get_rpc_reply(broker->state);
		if (reply.reply_type != AMQP_RESPONSE_NORMAL)
			return broker_ended(reply, err);
	}
	amqp_confirm_select(broker->state, BROKER_PUBLISHES);
	reply = amqp_get_rpc_reply(broker->state);
	return reply.reply_type == AMQP_RESPONSE_NORMAL ? 0 : broker_ended(reply, err);
}

bool
broker_take_text(struct str *texts, char *ret, size_t size)
{
	struct str text;

	if (!peer_frame_take(texts, &text) || text.len >= size || memchr(text.at, 0, text.len))
		return false;
	memcpy(ret, text.at, text.len);
	ret[text.len] = '\0';
	return true;
}

static bool
broker_connect(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	char host[256], vhost[256], user[256], password[1024], ca_file[4096];
	const struct peer_frame up = {.kind = AMQP_FRAME_UP};
	struct timeval patience = {.tv_sec = BROKER_CONNECT_S};
	struct err err = {0};
	int rc;

	if (!broker_take_text(&texts, host, sizeof(host)) ||
		!broker_take_text(&texts, vhost, sizeof(vhost)) ||
		!broker_take_text(&texts, user, sizeof(user)) ||
		!broker_take_text(&texts, password, sizeof(password)) ||
		!broker_take_text(&texts, ca_file, sizeof(ca_file)))
		return false;
	broker_forget(broker);
	broker->state = amqp_new_connection();
	must(broker->state);
	amqp_set_handshake_timeout(broker->state, &patience);
	rc = broker_open_socket(broker, frame, host, ca_file, &err);
	if (rc == 0)
		rc = broker_login(broker, frame, vhost, user, password, &err);
	explicit_bzero(password, sizeof(password));
	if (rc < 0) {
		broker_lose(broker, &err, 0);
		return true;
	}
	broker->fd = amqp_get_sockfd(broker->state);
	broker_tell(broker, &up, "");
	return true;
}

/* ---- topology ---- */

static amqp_bytes_t
broker_bytes(struct str text)
{
	return (amqp_bytes_t){.len = text.len, .bytes = (void *)text.at};
}

static void
broker_reply(struct broker *broker, const struct peer_frame *frame, struct err *err)
{
	struct peer_frame head = {.kind = AMQP_FRAME_REPLY, .number = frame->number};

	head.code = broker_check(broker, BROKER_ASKS, amqp_get_rpc_reply(broker->state), err);
	broker_tell(broker, &head, err->text);
}

static void
broker_declare_queue(struct broker *broker, const struct peer_frame *frame, struct str name,
	struct str exchange, struct str key)
{
	amqp_table_entry_t entries[8];
	amqp_table_t table = {.num_entries = 0, .entries = entries};
	bool is_quorum = frame->flags & AMQP_FRAME_QUORUM;

	if (is_quorum)
		broker_message_text(&table, "x-queue-type", STR("quorum"));
	if (exchange.len)
		broker_message_text(&table, "x-dead-letter-exchange", exchange);
	if (key.len)
		broker_message_text(&table, "x-dead-letter-routing-key", key);
	if (exchange.len && is_quorum) {
		/* What leaves the one queue is in the other before it is gone from here. */
		broker_message_text(&table, "x-dead-letter-strategy", STR("at-least-once"));
		broker_message_text(&table, "x-overflow", STR("reject-publish"));
	}
	if (frame->count)
		broker_message_number(&table, "x-message-ttl", frame->count);
	amqp_queue_declare(broker->state, BROKER_ASKS, broker_bytes(name),
		(frame->flags & AMQP_FRAME_PASSIVE) != 0, (frame->flags & AMQP_FRAME_DURABLE) != 0,
		(frame->flags & AMQP_FRAME_EXCLUSIVE) != 0,
		(frame->flags & AMQP_FRAME_AUTO_DELETE) != 0, table);
}

static bool
broker_topology(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	struct str a, b = STR(""), c = STR("");
	struct err err = {0};

	if (!peer_frame_take(&texts, &a) || a.len > 255 ||
		(texts.len && (!peer_frame_take(&texts, &b) || b.len > 255)) ||
		(texts.len && (!peer_frame_take(&texts, &c) || c.len > 255)))
		return false;
	switch (frame->kind) {
	case AMQP_FRAME_EXCHANGE:
		amqp_exchange_declare(broker->state, BROKER_ASKS, broker_bytes(a), broker_bytes(b),
			(frame->flags & AMQP_FRAME_PASSIVE) != 0,
			(frame->flags & AMQP_FRAME_DURABLE) != 0, 0, 0, amqp_empty_table);
		break;
	case AMQP_FRAME_QUEUE:
		broker_declare_queue(broker, frame, a, b, c);
		break;
	case AMQP_FRAME_BIND:
		amqp_queue_bind(broker->state, BROKER_ASKS, broker_bytes(a), broker_bytes(b),
			broker_bytes(c), amqp_empty_table);
		break;
	default:
		amqp_queue_delete(broker->state, BROKER_ASKS, broker_bytes(a), 0, 0);
		break;
	}
	broker_reply(broker, frame, &err);
	return true;
}

static bool
broker_count(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	struct peer_frame head = {.kind = AMQP_FRAME_COUNTED, .number = frame->number};
	const amqp_queue_declare_ok_t *ok;
	struct err err = {0};
	uint64_t n = 0;
	struct str name;

	if (!peer_frame_take(&texts, &name) || name.len > 255)
		return false;
	ok = amqp_queue_declare(
		broker->state, BROKER_ASKS, broker_bytes(name), 1, 0, 0, 0, amqp_empty_table);
	if (ok) {
		n = ok->message_count;
		head.count = ok->consumer_count;
	}
	head.code = broker_check(broker, BROKER_ASKS, amqp_get_rpc_reply(broker->state), &err);
	size_t begun = peer_frame_begin(broker->out, &head);

	peer_frame_add(broker->out, str_n(&n, sizeof(n)));
	peer_frame_end(broker->out, begun);
	return true;
}

static bool
broker_sync(struct broker *broker, const struct peer_frame *frame)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_REPLY, .number = frame->number};

	broker_tell(broker, &head, "");
	return true;
}

/* ---- publishing ---- */

static bool
broker_publish(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	struct amqp_header headers[AMQP_MESSAGE_HEADERS];
	amqp_table_entry_t entries[AMQP_MESSAGE_HEADERS + 1];
	amqp_basic_properties_t properties;
	struct amqp_message message;
	struct err err = {0};
	bool is_mandatory = frame->flags & AMQP_FRAME_MANDATORY;
	int status;

	if (!amqp_frame_take_message(texts, &message, headers))
		return false;
	broker_message_properties(&message, is_mandatory ? frame->number : 0, entries, &properties);
	status = amqp_basic_publish(broker->state, BROKER_PUBLISHES, broker_bytes(message.exchange),
		broker_bytes(message.routing_key), is_mandatory, 0, &properties,
		broker_bytes(message.body));
	if (status != AMQP_STATUS_OK) {
		broker_library(&err, status);
		broker_lose(broker, &err, 0);
	}
	return true;
}

/* ---- what is asked ---- */

bool
broker_ask(struct broker *broker, const struct peer_frame *frame, struct str texts)
{
	if (frame->kind == AMQP_FRAME_CONNECT)
		return broker_connect(broker, frame, texts);
	if (!broker->state)
		return frame->kind < AMQP_FRAME_UP;
	switch (frame->kind) {
	case AMQP_FRAME_EXCHANGE:
	case AMQP_FRAME_QUEUE:
	case AMQP_FRAME_BIND:
	case AMQP_FRAME_DELETE:
		return broker_topology(broker, frame, texts);
	case AMQP_FRAME_PUBLISH:
		return broker_publish(broker, frame, texts);
	case AMQP_FRAME_CONSUME:
		return broker_consume(broker, frame, texts);
	case AMQP_FRAME_CANCEL:
		return broker_cancel(broker, frame);
	case AMQP_FRAME_ACK:
	case AMQP_FRAME_REJECT:
		return broker_judge(broker, frame);
	case AMQP_FRAME_COUNT:
		return broker_count(broker, frame, texts);
	case AMQP_FRAME_SYNC:
		return broker_sync(broker, frame);
	default:
		return false;
	}
}

/* ---- what comes ---- */

static void
broker_on_confirm(struct broker *broker, uint64_t tag, bool is_multiple, int code)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_CONFIRMED,
		.number = tag,
		.code = code,
		.flags = is_multiple ? AMQP_FRAME_ALL : 0};

	broker_tell(broker, &head, code ? "the broker could not keep the message" : "");
}

/* What follows a method that carries a message; false when the connection is lost over it. */
static bool
broker_read(struct broker *broker, amqp_channel_t channel, amqp_message_t *ret)
{
	struct err err = {0};
	amqp_rpc_reply_t reply = amqp_read_message(broker->state, channel, ret, 0);

	if (reply.reply_type == AMQP_RESPONSE_NORMAL)
		return true;
	broker_library(&err, reply.library_error);
	broker_lose(broker, &err, 0);
	return false;
}

static void
broker_on_return(struct broker *broker, const amqp_basic_return_t *method)
{
	struct peer_frame head = {.kind = AMQP_FRAME_CONFIRMED, .code = ERR_NOT_FOUND};
	amqp_message_t message;

	if (!broker_read(broker, BROKER_PUBLISHES, &message))
		return;
	if (broker_message_number_of(&message.properties, &head.number))
		broker_tell(broker, &head, "no queue takes the message");
	amqp_destroy_message(&message);
}

static void
broker_on_deliver(struct broker *broker, amqp_channel_t channel, const amqp_basic_deliver_t *method)
{
	struct peer_frame head = {.kind = AMQP_FRAME_MESSAGE, .number = method->delivery_tag};
	OWN(buf) struct buf names = BUF_INIT;
	size_t exchange_len = method->exchange.len, key_len = method->routing_key.len;
	bool is_redelivered = method->redelivered;
	struct broker_consumer *consumer = broker_named(broker, method->consumer_tag);
	amqp_message_t message;

	buf_add(&names, method->exchange.bytes, exchange_len);
	buf_add(&names, method->routing_key.bytes, key_len);
	if (!broker_read(broker, channel, &message))
		return;
	if (consumer && message.body.len <= AMQP_MESSAGE_BYTES) {
		broker_put_tag(consumer, head.number);
		head.consumer = consumer->number;
		broker_message_tell(broker->out, &head, &message, str_n(names.at, exchange_len),
			str_n(names.at + exchange_len, key_len), is_redelivered);
	} else {
		amqp_basic_nack(broker->state, channel, head.number, 0, consumer == NULL);
	}
	amqp_destroy_message(&message);
}

static void
broker_on_cancelled(struct broker *broker, const amqp_basic_cancel_t *method)
{
	struct broker_consumer *consumer = broker_named(broker, method->consumer_tag);
	struct err err = {0};

	if (!consumer)
		return;
	err_set(&err, ERR_NOT_FOUND, "the broker ended the consumer of %s", consumer->queue);
	broker_give_back(broker, consumer);
	broker_tell_lost(broker, consumer, &err);
}

static void
broker_on_channel_close(
	struct broker *broker, amqp_channel_t channel, const amqp_channel_close_t *method)
{
	amqp_channel_close_ok_t ok = {0};
	struct err err = {0};

	broker_refusal(&err, method->reply_code, method->reply_text);
	if (channel < BROKER_CONSUMES) {
		broker_lose(broker, &err, AMQP_FRAME_ALL);
		return;
	}
	amqp_send_method(broker->state, channel, AMQP_CHANNEL_CLOSE_OK_METHOD, &ok);
	broker->is_open[channel - BROKER_CONSUMES] = false;
	broker_lose_channel(broker, channel, &err);
}

static void
broker_on_connection_close(struct broker *broker, const amqp_connection_close_t *method)
{
	amqp_connection_close_ok_t ok = {0};
	struct err err = {0};

	broker_refusal(&err, method->reply_code, method->reply_text);
	amqp_send_method(broker->state, 0, AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
	broker_lose(broker, &err, 0);
}

static void
broker_on_blocked(struct broker *broker, amqp_bytes_t reason)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_BLOCKED};
	size_t begun = peer_frame_begin(broker->out, &head);

	peer_frame_add(broker->out, str_n(reason.bytes, reason.len));
	peer_frame_end(broker->out, begun);
}

static void
broker_on_method(struct broker *broker, amqp_channel_t channel, const amqp_method_t *method)
{
	switch (method->id) {
	case AMQP_BASIC_DELIVER_METHOD:
		broker_on_deliver(broker, channel, method->decoded);
		return;
	case AMQP_BASIC_ACK_METHOD: {
		const amqp_basic_ack_t *ack = method->decoded;

		broker_on_confirm(broker, ack->delivery_tag, ack->multiple, 0);
		return;
	}
	case AMQP_BASIC_NACK_METHOD: {
		const amqp_basic_nack_t *nack = method->decoded;

		broker_on_confirm(broker, nack->delivery_tag, nack->multiple, ERR_UNAVAILABLE);
		return;
	}
	case AMQP_BASIC_RETURN_METHOD:
		broker_on_return(broker, method->decoded);
		return;
	case AMQP_BASIC_CANCEL_METHOD:
		broker_on_cancelled(broker, method->decoded);
		return;
	case AMQP_CHANNEL_CLOSE_METHOD:
		broker_on_channel_close(broker, channel, method->decoded);
		return;
	case AMQP_CONNECTION_CLOSE_METHOD:
		broker_on_connection_close(broker, method->decoded);
		return;
	case AMQP_CONNECTION_BLOCKED_METHOD:
		broker_on_blocked(broker, ((amqp_connection_blocked_t *)method->decoded)->reason);
		return;
	case AMQP_CONNECTION_UNBLOCKED_METHOD:
		broker_on_blocked(broker, amqp_empty_bytes);
		return;
	default:
		return;
	}
}

bool
broker_turn(struct broker *broker)
{
	struct err err = {0};

	for (int i = 0; i < BROKER_TURN_FRAMES && broker->out->len < BROKER_TURN_BYTES; i++) {
		struct timeval now = {0};
		amqp_frame_t frame;
		int status;

		if (!broker->state)
			return false;
		status = amqp_simple_wait_frame_noblock(broker->state, &frame, &now);
		if (status == AMQP_STATUS_TIMEOUT)
			return false;
		if (status != AMQP_STATUS_OK) {
			broker_library(&err, status);
			broker_lose(broker, &err, 0);
			return false;
		}
		if (frame.frame_type == AMQP_FRAME_METHOD)
			broker_on_method(broker, frame.channel, &frame.payload.method);
		if (broker->state)
			amqp_maybe_release_buffers(broker->state);
	}
	return true;
}
