/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_front - vCloud Director's front door, as the settings vcd_… ask for it.
 */
#ifndef MAYFLY_DAEMON_VCD_FRONT_H
#define MAYFLY_DAEMON_VCD_FRONT_H

#include "connect/vcd.h"
#include "daemon/config.h"

/* *ret is NULL where no setting asks for it. amqp may be NULL: then INVALID if one does. */
int vcd_front_open(const struct config *config, struct domain *domain, struct amqp *amqp,
	struct vcd **ret, struct err *err) ON_LOOP;

#endif
