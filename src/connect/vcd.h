/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd - vCloud Director's front door: its API extension, over RabbitMQ or its own broker of MQTT,
 *and its notifications, over RabbitMQ.
 *
 *	vCD ─▶ exchange ─▶ queue ─▶ vcd: call ─▶ the function ─▶ answer ─▶ replyToExchange ─▶ vCD
 *	vCD ─▶ topic/extension/NAME/ext ─▶ vcd: the same ─▶ answer ─▶ topic/extension/NAME/vcd ─▶
 *vCD vCD ─▶ <prefix>.notifications20 ─▶ queue ─▶ vcd: event of the org ─▶ its triggers
 *
 * A request is acknowledged when it is read and called at most once: vCD asks again by itself, and
 * what comes twice is dropped by its id. With max_calls under way the answer is 429; what is not
 * answered in timeout_ms, as long as vCD waits, is 504. The function gets an event of HTTP like any
 * other, with the caller in the headers x-vcloud-user, x-vcloud-org and x-vcloud-rights, which
 * nobody else can set. A notification is acknowledged when what it caused is on disk; one of an org
 * that is not in the map is dropped. ON_LOOP.
 */
#ifndef MAYFLY_CONNECT_VCD_H
#define MAYFLY_CONNECT_VCD_H

#include "amqp/amqp.h"
#include "connect/vcd_org.h"
#include "domain/function.h"
#include "mqtt/mqtt.h"
#include "net/http.h"

struct vcd;

struct vcd_config {
	struct domain *domain;   /* borrowed */
	struct amqp *amqp;       /* borrowed; closed behind this; NULL without AMQP */
	struct mqtt *mqtt;       /* the same of MQTT: the extension over it */
	const char *mqtt_name;   /* "vendor/name/version", whose topics they are */
	const char *exchange;    /* "vcdext": there already, direct; "" without AMQP's extension */
	const char *routing_key; /* "mayfly": the queue's name too */
	/* Exchanges, "vcd.notifications20" (JSON), "systemExchange" (XML); NULL-terminated. */
	const char *const *notifications;
	const char *source; /* of events: the cell's URN */
	const char *orgs;   /* see vcd_org_map_read() */
	const char *own; /* exchange of durable calls: answers go neither there nor to "<own>.…" */
	unsigned max_calls, timeout_ms;
	/* Writes what the function gets (api/ knows how): `proxy` is what is behind its route. */
	void (*write_event)(const struct http_request *http, const struct function *function,
		struct str proxy, const char *call_id, struct buf *out);
};

/* Since start, but for n_calls. A request is counted when it is read, and once more by what became
 * of it. */
struct vcd_stats {
	uint64_t n_requests;
	uint64_t n_answered; /* by the function, whatever it said */
	uint64_t n_failed;   /* the call failed: an error went back */
	uint64_t n_refused;  /* no function there, or nothing that is done here */
	uint64_t n_duplicates, n_saturated, n_timeouts, n_malformed;
	uint64_t n_notifications; /* read; those that come again count again */
	uint64_t n_accepted;      /* events, known ones too */
	uint64_t n_dropped;       /* nobody's here, or refused for good */
	uint64_t n_misread;       /* notifications that are none */
	uint64_t n_again;         /* could not be accepted: they come again */
	unsigned n_calls;         /* now */
};

int vcd_open(const struct vcd_config *config, struct vcd **ret, struct err *err) ON_LOOP;
/* Takes nothing more; calls under way are answered as they end. */
void vcd_stop(struct vcd *vcd) ON_LOOP;
/* No call of it is under way any more. */
void vcd_free(struct vcd *vcd);
const struct vcd_stats *vcd_stats(const struct vcd *vcd) ON_LOOP;
/* The same in the text format of Prometheus. */
void vcd_metrics(const struct vcd *vcd, struct buf *out) ON_LOOP;

#endif
