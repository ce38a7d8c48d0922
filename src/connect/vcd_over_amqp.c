/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_over_amqp - queues and consumers of vCloud Director's RabbitMQ: requests in, answers out.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"
#include "connect/vcd_inside.h"

#define VCD_LISTEN_QUEUE    "mayfly.notifications"
#define VCD_LISTEN_PREFETCH 32
#define VCD_HEADER_EXCHANGE STR("replyToExchange")

/* ---- answers ---- */

/* An exchange of mayfly's own would make a durable call of an answer, of any function of any org;
 * so would the default one, which leads to every queue by its name. */
static bool
is_way_back(const struct vcd *vcd, const struct vcd_return *to)
{
	struct str own = str_of(vcd->config.own), rest = str_of(to->exchange);

	if (!rest.len)
		return false;
	if (!str_starts(rest, own))
		return true;
	return rest.len > own.len && rest.at[own.len] != '.';
}

static void
publish_done(struct amqp_publish *publish, int code, const struct err *err)
{
	if (code < 0)
		log_warn("vcd.answer_lost", "code=%s reason=%s", err_word(code), log_q(err->text));
	free(publish);
}

static void
send_answer(struct vcd *vcd, const struct vcd_return *to, const struct vcd_answer *answer) ON_LOOP
{
	struct amqp_publish *publish;
	OWN(mem) char *expiration = mem_printf("%u", vcd->config.timeout_ms);
	OWN(buf) struct buf body = BUF_INIT;

	if (!to->key[0] || !is_way_back(vcd, to)) /* nobody asked for one */
		return;
	publish = mem_new(sizeof(*publish));
	vcd_message_write(answer, &body);
	publish->message = (struct amqp_message){
		.exchange = str_of(to->exchange),
		.routing_key = str_of(to->key),
		.correlation_id = str_of(to->correlation),
		.content_type = STR("application/json"),
		.expiration = str_of(expiration), /* nobody waits for it any longer */
		.body = buf_str(&body),
	};
	publish->done = publish_done;
	amqp_publish(vcd->config.amqp, publish);
}

/* ---- requests ---- */

static struct str
message_header(const struct amqp_message *message, struct str key)
{
	for (size_t i = 0; i < message->n_headers; i++)
		if (str_eq(message->headers[i].key, key))
			return message->headers[i].value;
	return STR_NONE;
}

static struct vcd_return
message_return(const struct amqp_message *message)
{
	return (struct vcd_return){
		.send = send_answer,
		.exchange = str_dup(message_header(message, VCD_HEADER_EXCHANGE)),
		.key = str_dup(message->reply_to),
		.correlation = str_dup(message->correlation_id),
	};
}

static void
on_request(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
	OWN(vcd_request) struct vcd_request request;
	struct vcd_return to = message_return(message);
	struct err err = {0};
	int rc = vcd_message_read(message->body, &request, &err);

	thread_on_loop();
	amqp_ack(consumer, message->tag);
	if (!is_way_back(arg, &to))
		rc = err_set(&err, ERR_INVALID, "no answer can go to its replyToExchange");
	vcd_take(arg, &request, rc, &err, &to);
}

/* ---- its life ---- */

/* The exchange is vCD's administrator's to make: every request fails at vCD where it is not. */
static void
open_requests(struct vcd *vcd) ON_LOOP
{
	const struct vcd_config *config = &vcd->config;
	const struct amqp_queue queue = {.name = config->routing_key, .is_durable = true};

	amqp_declare_exchange(config->amqp, config->exchange, "direct", true, true);
	amqp_declare_queue(config->amqp, &queue);
	amqp_bind(config->amqp, queue.name, config->exchange, config->routing_key);
	vcd->requests =
		amqp_consume(config->amqp, queue.name, config->max_calls + 1, on_request, vcd);
}

static void
open_notifications(struct vcd *vcd) ON_LOOP
{
	const struct vcd_config *config = &vcd->config;
	const struct amqp_queue queue = {.name = VCD_LISTEN_QUEUE, .is_durable = true};

	amqp_declare_queue(config->amqp, &queue);
	for (const char *const *one = config->notifications; *one; one++) {
		amqp_declare_exchange(config->amqp, *one, "topic", true, true);
		amqp_bind(config->amqp, queue.name, *one, "#");
	}
	vcd->notifications =
		amqp_consume(config->amqp, queue.name, VCD_LISTEN_PREFETCH, vcd_listen, vcd);
}

void
vcd_over_amqp_open(struct vcd *vcd)
{
	if (vcd->config.exchange[0])
		open_requests(vcd);
	if (vcd->config.notifications && vcd->config.notifications[0])
		open_notifications(vcd);
}

void
vcd_over_amqp_stop(struct vcd *vcd)
{
	if (vcd->requests)
		amqp_cancel(take_ptr(&vcd->requests));
	if (vcd->notifications)
		amqp_cancel(take_ptr(&vcd->notifications));
}
