/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rabbitmq - the daemon's connection to a RabbitMQ, where amqp_url names one.
 *
 * mayfly-amqp is started while the daemon may still run programs, as a user whom nothing belongs
 * to: the id behind those of the sandboxes. The password is read then too, so that its file may be
 * root's alone. Says in the log when the broker is there, goes, or refuses something.
 */
#ifndef MAYFLY_DAEMON_RABBITMQ_H
#define MAYFLY_DAEMON_RABBITMQ_H

#include "amqp/amqp.h"
#include "daemon/config.h"
#include "daemon/privileges.h"

struct rabbitmq {
	struct peer_process process;
	char *password;    /* owned; gone after rabbitmq_open() */
	struct amqp *amqp; /* owned; NULL where there is no amqp_url */
};

/* Before privileges_drop(); nothing without amqp_url. */
int rabbitmq_start(struct rabbitmq *rabbitmq, const struct config *config,
	const struct privileges *privileges, struct err *err);
int rabbitmq_open(struct rabbitmq *rabbitmq, const struct config *config, struct loop *loop,
	struct err *err) ON_LOOP;
/* After the bus; what remains goes with the loop. */
void rabbitmq_close(struct rabbitmq *rabbitmq) ON_LOOP;

#endif
