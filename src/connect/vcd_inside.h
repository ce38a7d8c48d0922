/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_inside - what the files of vcd.h know of each other.
 *
 *	vcd.c             its life; what of requests is taken and what is refused
 *	vcd_over_amqp.c   requests in and answers out, over AMQP
 *	vcd_over_mqtt.c   the same over MQTT
 *	vcd_call.c        one request: its call and its answer
 *	vcd_listen.c      notifications
 */
#ifndef MAYFLY_CONNECT_VCD_INSIDE_H
#define MAYFLY_CONNECT_VCD_INSIDE_H

#include "connect/vcd.h"
#include "connect/vcd_message.h"
#include "connect/vcd_seen.h"

/* What an event has that came this way, and nobody else's can have. */
#define VCD_VIA      "mayflyvia"
#define VCD_VIA_HERE "vcd"

struct vcd {
	struct vcd_config config;
	struct vcd_org_map orgs;
	struct vcd_seen seen;
	struct vcd_stats stats;
	struct amqp_consumer *requests, *notifications; /* NULL when it takes nothing */
	unsigned n_listening;                           /* notifications under way */
	char *respond;                                  /* owned: topic of answers over MQTT */
};

/* Where the answer to a request goes, and what brings it there. */
struct vcd_return {
	void (*send)(struct vcd *vcd, const struct vcd_return *to, const struct vcd_answer *answer);
	char *exchange, *key, *correlation; /* owned; of AMQP alone */
};

/* What a transport has read, or why it could not: `read` is its code. Releases `to`; the request is
 * the caller's to release. */
void vcd_take(struct vcd *vcd, struct vcd_request *request, int read, const struct err *err,
	struct vcd_return *to) ON_LOOP;

/* ---- transports ---- */
void vcd_over_amqp_open(struct vcd *vcd) ON_LOOP;
void vcd_over_amqp_stop(struct vcd *vcd) ON_LOOP;
void vcd_over_mqtt_open(struct vcd *vcd) ON_LOOP;
void vcd_over_mqtt_stop(struct vcd *vcd) ON_LOOP;

/* Takes `to` and the request over; both are released here. */
void vcd_call_begin(struct vcd *vcd, struct vcd_request *request, struct vcd_return *to) ON_LOOP;
/* An answer that is an error, with a JSON body. */
void vcd_call_refuse(struct vcd *vcd, const char *id, const struct vcd_return *to,
	const struct err *err) ON_LOOP;
void vcd_call_return_done(struct vcd_return *to);

void vcd_listen(
	struct amqp_consumer *consumer, const struct amqp_message *message, void *arg) ON_LOOP;

#endif
