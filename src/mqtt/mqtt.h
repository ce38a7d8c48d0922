/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt - the daemon's hand in the process that speaks MQTT 3.1.1 in WebSocket.
 *
 * mayfly-mqtt is a process of its own (it parses what a broker sends): it has no capabilities, a
 * seccomp filter, and two descriptors, a socketpair and the broker's connection. It reconnects with
 * back-off and jitter, and is started again when it dies. One topic is subscribed to, messages are
 * acknowledged when they come: none is told twice by it, and those that come while it is down are
 * the broker's to keep or not. Publishes have quality 1: at least once while the connection holds.
 *
 *	 GONE ──a process──▶ WAITING ──back-off──▶ CONNECTING ──UP──▶ READY
 *	   ▲                    ▲                      └──── DOWN ──────┤
 *	   └── it died ─────────┴───────────────────────────────────────┘
 *
 * Knows no topic's meaning. ON_LOOP.
 */
#ifndef MAYFLY_MQTT_MQTT_H
#define MAYFLY_MQTT_MQTT_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "base/thread.h"
#include "peer/peer_process.h"

struct loop;
struct mqtt;

struct mqtt_config {
	struct loop *loop;           /* borrowed */
	struct peer_process process; /* taken over, also when mqtt_open() fails */
	const char *url;             /* see mqtt_url_read() */
	const char *user;
	const char *password; /* goes over the socketpair, never into argv or environment */
	const char *ca_file;  /* "" for the system's */
	const char *topic;
	unsigned keepalive_s;
	void (*on_up)(void *arg);
	void (*on_down)(const struct err *why, void *arg); /* once for each reason */
	void *arg;                                         /* borrowed */
};

/* What its user is told. */
struct mqtt_events {
	void (*on_message)(struct str body, bool is_too_large /* then without it */, void *arg);
	/* n that were published did not arrive, as far as is known. */
	void (*on_lost)(unsigned n, const struct err *why, void *arg);
};

int mqtt_open(const struct mqtt_config *config, struct mqtt **ret, struct err *err) ON_LOOP;
/* NULL: nothing is told any more. */
void mqtt_attach(struct mqtt *mqtt, const struct mqtt_events *events, void *arg) ON_LOOP;
bool mqtt_is_up(const struct mqtt *mqtt);
const char *mqtt_trouble(const struct mqtt *mqtt); /* why it is not up; "" when it is */
/* UNAVAILABLE while it is not up, RATE when the process takes nothing. */
int mqtt_publish(struct mqtt *mqtt, struct str topic, struct str body, struct err *err) ON_LOOP;
/* Not from within a callback of it. What remains goes with the loop. */
void mqtt_close(struct mqtt *mqtt) ON_LOOP;

#endif
