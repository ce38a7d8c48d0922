/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_inside.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"

#define VCD_LISTEN_QUEUE    "mayfly.notifications"
#define VCD_LISTEN_PREFETCH 32
#define VCD_HEADER_EXCHANGE STR("replyToExchange")

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
		.exchange = str_dup(message_header(message, VCD_HEADER_EXCHANGE)),
		.key = str_dup(message->reply_to),
		.correlation = str_dup(message->correlation_id),
	};
}

/* What vCD cannot have an answer to is dropped; it times out there. */
static void
take_malformed(struct vcd *vcd, const struct vcd_request *request, struct vcd_return *to,
	const struct err *err) ON_LOOP
{
	vcd->stats.n_malformed++;
	log_warn("vcd.malformed", "id=%s reason=%s", log_q(request->id), log_q(err->text));
	if (request->id[0] && to->key[0])
		vcd_call_refuse(vcd, request->id, to, err);
}

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

static int
check_request(struct vcd *vcd, const struct vcd_request *request, struct err *err) ON_LOOP
{
	if (request->is_response) {
		vcd->stats.n_refused++;
		return err_set(err, ERR_UNIMPLEMENTED, "answers of vCD are not rewritten");
	}
	if (vcd->stats.n_calls < vcd->config.max_calls)
		return 0;
	vcd->stats.n_saturated++;
	return err_set(err, ERR_RATE, "%u calls are under way; please wait and try again",
		vcd->stats.n_calls);
}

static void
on_request(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
	struct vcd *vcd = arg;
	OWN(vcd_request) struct vcd_request request;
	struct vcd_return to = message_return(message);
	struct err err = {0};
	int rc = vcd_message_read(message->body, &request, &err);

	thread_on_loop();
	amqp_ack(consumer, message->tag);
	vcd->stats.n_requests++;
	if (!is_way_back(vcd, &to)) {
		vcd->stats.n_malformed++;
		log_warn("vcd.malformed", "id=%s reason=%s", log_q(request.id),
			log_q("no answer can go to its replyToExchange"));
	} else if (rc < 0) {
		take_malformed(vcd, &request, &to, &err);
	} else if (vcd_seen_add(&vcd->seen, str_of(request.id))) {
		vcd->stats.n_duplicates++;
		log_info("vcd.duplicate", "id=%s", log_q(request.id));
	} else if (check_request(vcd, &request, &err) < 0) {
		vcd_call_refuse(vcd, request.id, &to, &err);
	} else {
		vcd_call_begin(vcd, &request, &to);
	}
	vcd_call_return_done(&to);
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

int
vcd_open(const struct vcd_config *config, struct vcd **ret, struct err *err)
{
	struct vcd *vcd = mem_new(sizeof(*vcd));
	int rc = vcd_org_map_read(str_of(config->orgs), &vcd->orgs, err);

	vcd->config = *config;
	vcd_seen_init(&vcd->seen);
	if (rc < 0) {
		vcd_free(vcd);
		return err_wrap(err, rc, "vcd_orgs");
	}
	if (config->exchange[0])
		open_requests(vcd);
	if (config->notifications && config->notifications[0])
		open_notifications(vcd);
	*ret = vcd;
	return 0;
}

void
vcd_stop(struct vcd *vcd)
{
	const struct vcd_stats *stats;

	if (!vcd)
		return;
	stats = &vcd->stats;
	log_info("vcd.stopped",
		"requests=%" PRIu64 " duplicates=%" PRIu64 " saturated=%" PRIu64
		" timeouts=%" PRIu64 " malformed=%" PRIu64 " notifications=%" PRIu64
		" dropped=%" PRIu64,
		stats->n_requests, stats->n_duplicates, stats->n_saturated, stats->n_timeouts,
		stats->n_malformed, stats->n_notifications, stats->n_dropped);
	if (vcd->requests)
		amqp_cancel(take_ptr(&vcd->requests));
	if (vcd->notifications)
		amqp_cancel(take_ptr(&vcd->notifications));
}

const struct vcd_stats *
vcd_stats(const struct vcd *vcd)
{
	return &vcd->stats;
}

void
vcd_free(struct vcd *vcd)
{
	if (!vcd)
		return;
	vcd_org_map_done(&vcd->orgs);
	vcd_seen_done(&vcd->seen);
	free(vcd);
}
