/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_inside - what the files of amqp.h share.
 *
 *	 GONE ──a process──▶ WAITING ──back-off──▶ CONNECTING ──UP──▶ DECLARING ──SYNC──▶ READY
 *	   ▲                    ▲                      └──── DOWN ──────────┴───────────────┤
 *	   └── it died ─────────┴───────────────────────────────────────────────────────────┘
 *
 * Each lane goes this way alone; the connection is up when all are READY. ON_LOOP.
 */
#ifndef MAYFLY_AMQP_INSIDE_H
#define MAYFLY_AMQP_INSIDE_H

#include "amqp/amqp.h"
#include "amqp/amqp_frame.h"
#include "amqp/amqp_url.h"
#include "base/map.h"
#include "net/loop.h"
#include "peer/peer_lane.h"

enum lane_state { LANE_GONE, LANE_WAITING, LANE_CONNECTING, LANE_DECLARING, LANE_READY };

struct lane {
	struct amqp *amqp; /* borrowed */
	enum amqp_lane which;
	enum lane_state state;
	struct peer_lane peer;
};

/* One thing that is declared: its request, to be sent again. */
struct amqp_item {
	struct list link;
	uint64_t ticket;
	char *what, *queue; /* owned; queue "" for none */
	char *frame;        /* owned */
	size_t len;
	bool is_waiting; /* for its reply */
	bool is_refused;
};

struct amqp_pending {
	struct amqp_publish *publish; /* borrowed */
	char *frame;                  /* owned */
	size_t len;
};

struct amqp_consumer {
	struct amqp *amqp; /* borrowed */
	uint32_t number;
	uint16_t life; /* of the tags that it gives out now */
	bool is_lost;  /* by the broker alone; begun again soon */
	unsigned prefetch;
	char *queue; /* owned */
	amqp_message_fn *on_message;
	void *arg; /* borrowed */
};

struct amqp_question {
	struct list link;
	uint64_t ticket;
	void (*done)(void *arg, int code, uint64_t n_messages, uint64_t n_consumers);
	void *arg; /* borrowed */
};

struct amqp {
	struct loop *loop; /* borrowed */
	struct peer_process process;
	struct loop_watch *control; /* owned: of the process */
	struct amqp_url url;
	char *password, *ca_file; /* owned */
	unsigned heartbeat_s, unconfirmed_ms;
	uint64_t unconfirmed_bytes;
	void (*on_up)(void *arg);
	void (*on_down)(const struct err *why, void *arg);
	void (*on_blocked)(const char *why, void *arg);
	void *arg; /* borrowed */

	struct lane lanes[AMQP_LANES];
	bool is_up, is_closing;
	struct err why; /* it is not up; code 0 before anything was tried */
	char blocked[160];

	struct list topology;         /* struct amqp_item, in the order of declaration */
	struct map tickets, requests; /* the same, by ticket and by what is asked for */
	uint64_t n_tickets;
	unsigned n_undeclared; /* items that wait */
	void (*on_refused)(const char *what, const struct err *why, void *arg);
	void *on_refused_arg; /* borrowed */

	/* Publishes [first, next) of this connection, at number % cap. */
	struct amqp_pending *pending; /* owned */
	size_t cap;
	uint64_t first, next, pending_bytes;
	uint64_t unsent;           /* from here on they wait for what is being declared */
	struct loop_timer give_up; /* runs while they cannot be confirmed */
	bool is_giving_up;

	struct amqp_consumer **consumers; /* owned; by the low half of their numbers */
	size_t n_consumers;
	size_t first_free; /* no slot before it is free */
	uint16_t n_lives;
	struct loop_timer again; /* for those that are lost */
	struct list questions;   /* struct amqp_question */

	void (*closed)(void *arg);
	void *closed_arg; /* borrowed */
	unsigned n_timers;
};

/* ---- amqp_lane.c ---- */
void amqp_lane_init(struct lane *lane, struct amqp *amqp, enum amqp_lane which);
void amqp_lane_take(struct lane *lane, int fd) ON_LOOP; /* of a new process */
void amqp_lane_close(struct lane *lane) ON_LOOP;        /* but for its timer */
void amqp_lane_send(struct lane *lane, const char *frame, size_t len) ON_LOOP;
void amqp_lane_tell(struct lane *lane, const struct peer_frame *head, struct str text) ON_LOOP;

/* ---- amqp.c: what lanes find ---- */
void amqp_lane_ready(struct lane *lane) ON_LOOP;
/* is_publish: the broker refused what was published. */
void amqp_lane_down(struct lane *lane, const struct err *why, bool is_publish) ON_LOOP;
void amqp_set_blocked(struct amqp *amqp, struct str why) ON_LOOP;

/* ---- amqp_topology.c ---- */
void amqp_topology_declare(struct amqp *amqp, const char *queue) ON_LOOP; /* NULL: all of it */
void amqp_topology_forget(struct amqp *amqp) ON_LOOP;                     /* no reply will come */
void amqp_topology_reply(struct amqp *amqp, uint64_t ticket, const struct err *why) ON_LOOP;
void amqp_topology_free(struct amqp *amqp);

/* ---- amqp_publish.c ---- */
void amqp_publish_again(struct amqp *amqp) ON_LOOP; /* a new connection */
void amqp_publish_go_on(struct amqp *amqp) ON_LOOP; /* all is declared */
void amqp_publish_confirmed(
	struct amqp *amqp, uint64_t number, bool is_all, const struct err *err) ON_LOOP;
void amqp_publish_fail(struct amqp *amqp, const struct err *why) ON_LOOP; /* all of them */

/* ---- amqp_consume.c ---- */
void amqp_consume_begin(struct amqp *amqp) ON_LOOP;
void amqp_consume_message(
	struct amqp *amqp, const struct peer_frame *head, struct amqp_message *message) ON_LOOP;
void amqp_consume_lost(struct amqp *amqp, uint32_t number) ON_LOOP;
void amqp_consume_counted(
	struct amqp *amqp, const struct peer_frame *head, struct str texts) ON_LOOP;
void amqp_consume_fail(struct amqp *amqp) ON_LOOP; /* what was asked */
void amqp_consume_free(struct amqp *amqp);

#endif
