/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_link - the daemon's connection to the broker of MQTT that is part of vCloud Director, where
 * vcd_mqtt_url names one.
 *
 * As of RabbitMQ (rabbitmq.h): mayfly-mqtt is started, and the token read, while the daemon may
 * still do that. Says in the log when the broker is there, and goes.
 */
#ifndef MAYFLY_DAEMON_VCD_LINK_H
#define MAYFLY_DAEMON_VCD_LINK_H

#include "daemon/config.h"
#include "daemon/privileges.h"
#include "mqtt/mqtt.h"

struct vcd_link {
	struct peer_process process;
	char *token;       /* owned; gone after vcd_link_open() */
	struct mqtt *mqtt; /* owned; NULL where there is no vcd_mqtt_url */
};

/* Before privileges_drop(); nothing without vcd_mqtt_url. */
int vcd_link_start(struct vcd_link *link, const struct config *config,
	const struct privileges *privileges, struct err *err);
int vcd_link_open(struct vcd_link *link, const struct config *config, struct loop *loop,
	struct err *err) ON_LOOP;
/* What remains goes with the loop. */
void vcd_link_close(struct vcd_link *link) ON_LOOP;

#endif
