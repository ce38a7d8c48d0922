/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus - durable queues: what is put is handed over at least once, until it is settled.
 *
 *	 bus_put() ── durable ──▶ WAITING ──due, credit──▶ IN HAND (on_message)
 *	                            ▲                        │ bus_settle(): gone
 *	                            └──── bus_retry(): due later, the attempt counted ────┘
 *
 * One queue per function ("org/function"), made by the first put or attach. A message that is in
 * hand when the daemon or the broker dies comes again. Messages of a queue come in the order of
 * due time, then id; a retried one where its new due time puts it. Two implementations, embedded
 * (in the store) and RabbitMQ, with one conformance test; what a message means is its owner's
 * business. Knows no function, no call and no HTTP. ON_LOOP.
 */
#ifndef MAYFLY_BUS_BUS_H
#define MAYFLY_BUS_BUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/str.h"
#include "base/thread.h"
#include "store/rows.h"

#define BUS_QUEUE_SIZE 130 /* "org/function" */

struct amqp;
struct loop;
struct bus;       /* one implementation, open */
struct bus_queue; /* what bus_attach() gives */

/* What goes through: the row of the delivery (store/rows.h) with its head and body. */
struct bus_put {
	struct list link; /* private */
	/* Texts and bytes borrowed until done. With an idempotency key that the function has seen
	 * in the last 24 h nothing is put: code ERR_CONFLICT, row.id is the earlier one's. */
	struct row_delivery row;
	void (*done)(struct bus_put *put, int code, const struct err *err);
};

struct bus_message {
	struct row_delivery row; /* owned by the bus until settled or retried */
	bool is_foreign;         /* put by somebody else, straight into the broker */
};

struct bus_consumer {
	/* At most `credit` are in hand at once. The message stays until settled, retried, or the
	 * queue is detached: then it is WAITING again. */
	void (*on_message)(struct bus_queue *queue, struct bus_message *message, void *arg);
	void *arg; /* borrowed */
};

struct bus_stats { /* of one queue */
	uint64_t n_waiting, n_in_hand, n_bytes;
	uint64_t oldest_ms; /* Unix time at which the oldest waiting one was put; 0 for none */
	bool is_known;      /* false while the broker cannot be asked */
};

struct bus_config {
	struct loop *loop;     /* borrowed */
	struct store *store;   /* borrowed */
	struct amqp *amqp;     /* borrowed: the connection; NULL for embedded */
	const char *exchange;  /* topic exchange of function queues: "mayfly" */
	unsigned memory_bytes; /* waiting messages that are held in memory too, embedded: 64 MiB */
};

struct bus_ops {
	const char *name; /* "embedded", "rabbitmq" */
	int (*open)(const struct bus_config *config, struct bus **ret, struct err *err);
	void (*close)(struct bus *bus); /* what is in hand is WAITING again */

	void (*put)(struct bus *bus, struct bus_put *put);
	struct bus_queue *(*attach)(struct bus *bus, const char *org, const char *function,
		unsigned credit, const struct bus_consumer *consumer);
	void (*set_credit)(struct bus_queue *queue, unsigned credit);
	void (*detach)(struct bus_queue *queue);

	/* Both take the message over. `row` says how it ended (state DONE, DEAD or CANCELLED) and
	 * is kept; done(arg, 0) when that is durable. NULL done: nobody waits for it. */
	void (*settle)(struct bus_queue *queue, struct bus_message *message,
		const struct row_delivery *row, void (*done)(void *arg, int code), void *arg);
	/* Comes again at row->due_ms with row->attempt as it is told here. */
	void (*retry)(struct bus_queue *queue, struct bus_message *message,
		const struct row_delivery *row);

	/* A waiting message is not to come any more, also after a restart; ERR_NOT_FOUND when it is
	 * in hand, or nothing waits there that it could be. */
	int (*withdraw)(struct bus *bus, const char *org, const char *function, const char *id);
	/* The org is deleted and all its deliveries' rows with it: forgets what waited for one of
	 * its functions. The queue is detached. */
	void (*drop)(struct bus *bus, const char *org, const char *function);
	/* Of a queue, or of all ("" and ""): may be up to a second old. */
	void (*stats)(const struct bus *bus, const char *org, const char *function,
		struct bus_stats *ret);
	bool (*is_up)(const struct bus *bus); /* the broker answers */
};

struct bus {
	const struct bus_ops *ops;
};

extern const struct bus_ops bus_embedded, bus_rabbitmq;
const struct bus_ops *bus_find(struct str name); /* NULL if there is none of that name */

#endif
