/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp - the daemon's hand in the process that speaks AMQP 0-9-1 to a RabbitMQ.
 *
 * mayfly-amqp is a process of its own (librabbitmq parses what a broker sends): it has no
 * capabilities, a seccomp filter, and two descriptors, a socketpair and the broker's connection.
 * Requests and replies are length-prefixed frames (peer_frame.h, amqp_frame.h). There are two of
 * them, each with a connection (peer_process.h): one publishes, one consumes. It reconnects with
 * back-off and jitter (0.5 s doubling to 30 s); topology that was declared is declared again,
 * consumers are begun again, publishes that were not confirmed are published again, and deliveries
 * of the old connection cannot be acknowledged any more (they come again). If a process dies it is
 * started again. Here is the daemon's side. Knows no function, no call, no queue's meaning.
 * ON_LOOP.
 */
#ifndef MAYFLY_AMQP_AMQP_H
#define MAYFLY_AMQP_AMQP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "amqp/amqp_message.h"
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "base/thread.h"
#include "peer/peer_process.h"

struct loop;
struct amqp;

struct amqp_config {
	struct loop *loop;           /* borrowed */
	struct peer_process process; /* taken over, also when amqp_open() fails */
	const char *url; /* amqp://user@host:port/vhost or amqps://…; the password is not in it */
	const char *password;       /* goes over the socketpair, never into argv or environment */
	const char *ca_file;        /* NULL for the system's */
	unsigned heartbeat_s;       /* 30 */
	uint64_t unconfirmed_bytes; /* publishes that wait, over it publish() says RATE: 64 MiB */
	unsigned unconfirmed_ms;    /* how long they outlive their connection: 20,000 */
	void (*on_up)(void *arg);   /* connected, topology is there; may be NULL */
	void (*on_down)(const struct err *why, void *arg); /* once for each reason; may be NULL */
	/* It takes no messages for `why`, or again: "". May be NULL. */
	void (*on_blocked)(const char *why, void *arg);
	void *arg; /* borrowed */
};

int amqp_open(const struct amqp_config *config, struct amqp **ret, struct err *err) ON_LOOP;
bool amqp_is_up(const struct amqp *amqp);
/* Why nothing can be published now: not connected, refused, or the broker takes no messages for
 * want of memory or disk; "" when it can. */
const char *amqp_trouble(const struct amqp *amqp);
/* What was not confirmed ends with UNAVAILABLE. Not from within a callback of it. */
void amqp_close(struct amqp *amqp, void (*closed)(void *arg), void *arg) ON_LOOP;

/* ---- topology: kept, and declared at each connection; the same said again counts once ---- */
struct amqp_queue {
	const char *name; /* "" and exclusive: the broker's choice is not supported */
	const char *dead_letter_exchange, *dead_letter_key; /* NULL for none */
	unsigned message_ttl_ms;                            /* 0 for none */
	/* A quorum queue with a dead letter exchange gives up nothing that has not arrived there.
	 * An exclusive one belongs to the connection that consumes. */
	bool is_quorum, is_durable, is_exclusive, is_auto_delete, is_passive;
};
void amqp_declare_exchange(struct amqp *amqp, const char *name, const char *type, bool is_durable,
	bool is_passive) ON_LOOP;
void amqp_declare_queue(struct amqp *amqp, const struct amqp_queue *queue) ON_LOOP;
void amqp_bind(struct amqp *amqp, const char *queue, const char *exchange, const char *key) ON_LOOP;
void amqp_delete_queue(struct amqp *amqp, const char *name) ON_LOOP;
/* The queue and its bindings once more, where somebody has taken them away. */
void amqp_declare_again(struct amqp *amqp, const char *queue) ON_LOOP;
/* A refusal (name in use with other arguments, no right) is told once here, and the log says it. */
void amqp_on_refused(struct amqp *amqp,
	void (*refused)(const char *what, const struct err *why, void *arg), void *arg);

/* ---- publishing, with confirms ---- */
struct amqp_publish {
	struct amqp_message message; /* borrowed until it returns */
	bool is_mandatory;           /* no queue takes it: NOT_FOUND */
	/* 0 when the broker has it (for a quorum queue: on a majority's disks). UNAVAILABLE: there
	 * is no connection, the broker takes none, or it is not known whether it has it. Perhaps
	 * before amqp_publish() returns; the struct is the caller's again. An exchange that is not
	 * there, or a message that is too large for the broker, ends the connection with all that
	 * waits on it, and each is told the broker's reason, whosever it is. */
	void (*done)(struct amqp_publish *publish, int code, const struct err *err);
	void *frame; /* private */
};
void amqp_publish(struct amqp *amqp, struct amqp_publish *publish) ON_LOOP;

/* ---- consuming ---- */
struct amqp_consumer;
typedef void amqp_message_fn(
	struct amqp_consumer *consumer, const struct amqp_message *message, void *arg);
enum { AMQP_CONSUMERS_MAX = 65536 }; /* of a connection, over all its queues */
/* message is borrowed for the call; at most `prefetch` are not acknowledged. NULL where there are
 * AMQP_CONSUMERS_MAX already: told to amqp_on_refused() with RATE. */
struct amqp_consumer *amqp_consume(struct amqp *amqp, const char *queue, unsigned prefetch,
	amqp_message_fn *on_message, void *arg) ON_LOOP;
void amqp_set_prefetch(struct amqp_consumer *consumer, unsigned prefetch) ON_LOOP; /* 0 pauses */
void amqp_cancel(struct amqp_consumer *consumer) ON_LOOP; /* what is not acknowledged goes back */
void amqp_ack(
	struct amqp_consumer *consumer, uint64_t tag) ON_LOOP; /* of an old connection: nothing */
void amqp_reject(struct amqp_consumer *consumer, uint64_t tag, bool is_requeued) ON_LOOP;

/* ---- asking ---- */
/* done(code, messages, consumers); borrowed arg. NOT_FOUND if there is no such queue. */
void amqp_count(struct amqp *amqp, const char *queue,
	void (*done)(void *arg, int code, uint64_t n_messages, uint64_t n_consumers),
	void *arg) ON_LOOP;

#endif
