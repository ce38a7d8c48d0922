/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connections - the other systems that the daemon is set to talk to, and whether it can.
 *
 * "connection.broker" where amqp_url is set, "connection.mqtt" where vcd_mqtt_url is,
 * "connection.vcd" where vcd_url is. What is said of them has no credentials in it.
 */
#ifndef MAYFLY_DAEMON_CONNECTIONS_H
#define MAYFLY_DAEMON_CONNECTIONS_H

#include "amqp/amqp.h"
#include "daemon/doctor_report.h"
#include "daemon/vcd_front.h"
#include "mqtt/mqtt.h"

struct connections {
	const struct amqp *amqp;       /* borrowed; NULL without */
	const struct mqtt *mqtt;       /* the same */
	const struct vcd_front *front; /* borrowed */
};

/* api_config.look and .write_metrics; `arg` is struct connections. As it is now. */
size_t connections_look(struct doctor_finding *ret, size_t n, void *arg) ON_LOOP;
void connections_write_metrics(struct buf *out, void *arg) ON_LOOP;

/* Without a daemon, for the doctor: connects and logs in as a daemon with these settings does,
 * which takes some seconds where nobody answers. */
void connections_try(const struct config *config, struct doctor_report *report);

#endif
