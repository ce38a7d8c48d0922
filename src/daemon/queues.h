/* SPDX-License-Identifier: Apache-2.0 */
/*
 * queues - durable calls: their bus, their way out for callbacks, their host; made and unmade in
 * order.
 *
 * The key that callbacks are signed with is made at the first start and kept in
 * <data_dir>/callback-key, mode 0600. ON_LOOP.
 */
#ifndef MAYFLY_DAEMON_QUEUES_H
#define MAYFLY_DAEMON_QUEUES_H

#include "daemon/config.h"
#include "domain/delivery.h"

/* delivery_config's; both NULL where there are no tasks. */
struct queues_tasks {
	int (*task)(const struct delivery_task *task, struct buf *ret_url, struct buf *ret_body,
		struct err *err);
	void (*send)(struct domain *domain, const char *org, const char *url, struct str body,
		void (*done)(int status, const struct err *err, void *arg), void *arg);
};

#define QUEUES_EXCHANGE "mayfly" /* of a RabbitMQ: what is put there is a durable call */

struct queues {
	struct bus *bus;                  /* owned */
	struct fetch_host *fetch;         /* owned */
	struct delivery_host *deliveries; /* owned */
};

/* After domain_open(). After an error queues_close() and queues_free() are still to be called. */
int queues_open(struct queues *queues, const struct config *config, struct domain *domain,
	struct amqp *amqp /* NULL for none */, const struct queues_tasks *tasks,
	struct err *err) ON_LOOP;
/* While the store still answers: what is in hand goes back to the bus. */
void queues_close(struct queues *queues) ON_LOOP;
void queues_free(struct queues *queues) ON_LOOP; /* after store_close() */

#endif
