/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_front - vCloud Director's front door, as the settings vcd_… ask for it: what comes over the
 * broker, and its blocking tasks, which are answered over its REST API.
 */
#ifndef MAYFLY_DAEMON_VCD_FRONT_H
#define MAYFLY_DAEMON_VCD_FRONT_H

#include "connect/vcd.h"
#include "connect/vcd_task.h"
#include "daemon/config.h"

struct vcd_front {
	char *password; /* owned; gone after vcd_front_open() */
	struct vcd_org_map orgs;
	struct vcd *vcd;             /* owned; NULL where no setting asks for it */
	struct vcd_session *session; /* owned; NULL without vcd_url */
	struct vcd_tasks tasks;
};

/* Before privileges_drop(): judges the settings, reads the password. */
int vcd_front_start(struct vcd_front *front, const struct config *config, struct err *err);
/* Without vcd_url there is no session; borrowed. */
int vcd_front_open_session(struct vcd_front *front, const struct config *config, struct loop *loop,
	struct fetch_host *fetch, struct err *err) ON_LOOP;
/* amqp may be NULL: then INVALID if a setting needs it; mqtt is NULL where none asks for it. */
int vcd_front_open(struct vcd_front *front, const struct config *config, struct domain *domain,
	struct amqp *amqp, struct mqtt *mqtt, struct err *err) ON_LOOP;
/* Takes nothing more. */
void vcd_front_stop(struct vcd_front *front) ON_LOOP;
/* Before queues_close(): what waits for a session is told that there will be none. */
void vcd_front_close(struct vcd_front *front) ON_LOOP;
/* After queues_free(). */
void vcd_front_free(struct vcd_front *front) ON_LOOP;

#endif
