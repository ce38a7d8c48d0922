/* SPDX-License-Identifier: Apache-2.0 */
/*
 * delivery_inside - what the parts of durable calls share: queues (delivery.c), acceptance
 * (delivery_put.c), what is in hand (delivery_hand.c), its attempts (delivery_run.c; of what goes
 * to a URL delivery_post.c), its end (delivery_end.c), what its end sets off
 * (delivery_destination.c), questions (delivery_query.c), the dead (delivery_dead.c). For these
 * files only. ON_LOOP.
 *
 *	 on_message ─▶ ASKING ─▶ READY ─▶ RUNNING ─▶ ENDING ─ on disk ─▶ gone
 *	     │    (was it tried   ▲  ▲        │
 *	     │     before a       │  └ PARKED ┤ an order key's: back-off in hand
 *	     └▶ BEHIND its key ───┘           └ bus_retry(): gone, comes again
 *
 * A queue has more in hand than may run, so that what waits for its order key does not stop what
 * is behind it: `credit` follows what is parked and behind, up to DELIVERY_HELD_MAX of them. One of
 * an order key that failed stays in hand while it backs off: in the bus it keeps its place, and
 * what was accepted after it does not overtake it, also when the daemon dies.
 */
#ifndef MAYFLY_DOMAIN_DELIVERY_INSIDE_H
#define MAYFLY_DOMAIN_DELIVERY_INSIDE_H

#include "domain/delivery.h"
#include "store/rows.h"

enum {
	DELIVERY_HELD_MAX = 1000,
	DELIVERY_LOG_BYTES = 64 * 1024, /* kept of what an attempt printed */
	DELIVERY_PAUSE_MIN_MS = 20,
	DELIVERY_PAUSE_MAX_MS = 5000,
	DELIVERY_TRIM_MS = 60000,
	DELIVERY_TRIM_ROWS = 500,
};
#define DELIVERY_KNOWN_MS      86400000ull        /* an idempotency key is remembered so long */
#define DELIVERY_DEAD_KEPT_MS  (14 * 86400000ull) /* and a dead letter */
#define DELIVERY_LEAST_KEPT_MS 3600000ull         /* what became of one, without its result */
#define DELIVERY_QUEUE_KEY     132

struct delivery_host {
	struct domain *domain;         /* borrowed */
	struct bus *bus;               /* borrowed */
	struct fetch_host *fetch;      /* borrowed */
	struct delivery_config config; /* but for hmac_key */
	char key[DELIVERY_KEY_SIZE];   /* what the keys of orgs are made of, hex */
	struct map queues;             /* "org/function" → struct delivery_queue, owned */
	struct map orgs;               /* name → struct delivery_org, owned */
	struct map in_hand;            /* id → struct delivery, owned */
	struct map waits; /* id → struct delivery_wait, the first of those that wait for it */
	struct loop_timer trim_timer;
	uint64_t started_ms;
	unsigned n_left; /* timers that are not closed, of the host and its queues */
	bool is_started, is_stopping, is_over;
};

struct delivery_org {
	char name[64];
	int64_t n_open; /* accepted and not ended */
};

struct delivery_queue {
	struct delivery_host *host; /* borrowed */
	struct delivery_org *org;   /* borrowed */
	char function_name[64];
	bool is_posts;                         /* what goes to URLs: it has no function */
	struct function *function;             /* borrowed; NULL while there is none of the name */
	struct bus_queue *bus;                 /* NULL while it is not attached */
	struct delivery_policy policy;         /* owned: the active version's */
	struct list ready;                     /* of struct delivery: as soon as there is room */
	struct list held;                      /* the same: parked, or waiting to end */
	struct map keys;                       /* frame/key → struct delivery_key, owned */
	unsigned n_in_hand, n_running, n_held; /* n_held, of those in hand: PARKED and BEHIND */
	unsigned credit;
	uint64_t paused_until_us; /* 0 while nothing stops it */
	unsigned pause_ms;        /* the last one */
	struct err why;           /* that it is paused */
	struct loop_timer timer;
	bool is_going;

	int64_t n_open; /* accepted and not ended */
	uint64_t n_dead, n_accepted, n_done, n_retries, n_refused, n_circles;
};

struct delivery_key {
	char *name;          /* owned: "frame/order key" */
	struct list members; /* of struct delivery, whose turn it is first */
};

enum delivery_state {
	DELIVERY_ASKING,
	DELIVERY_BEHIND,
	DELIVERY_READY,
	DELIVERY_RUNNING,
	DELIVERY_PARKED,
	DELIVERY_ENDING,
};

/* Who waits for a cancellation to be on disk. */
struct delivery_cancel {
	struct list link;
	void (*done)(int code, const struct err *err, void *arg);
	void *arg;
};

/* What an attempt came to: of its record. */
struct delivery_outcome {
	char call[ID_ULID_SIZE];
	int code; /* 0 or an error */
	uint16_t status;
	uint32_t version;
	uint64_t started_ms, wall_us;
	bool is_final; /* another attempt would come to the same */
	char message[sizeof(((struct err *)0)->text)];
	struct buf log; /* owned */
};

struct delivery {
	struct list link;             /* in queue->ready or queue->held */
	struct delivery_queue *queue; /* borrowed */
	struct bus_message *message;  /* of the bus; NULL once it was handed back */
	char id[ID_ULID_SIZE];
	struct delivery_key *key; /* borrowed; NULL without one */
	struct list key_link;
	enum delivery_state state;
	unsigned attempt; /* that were made */
	bool is_id_used;  /* a call had its id */
	bool is_cancelled, is_starting, is_recorded;
	uint64_t again_us;                /* PARKED, or ENDING with a destination that refused */
	struct call *call;                /* borrowed: RUNNING */
	struct delivery_sending *sending; /* owned: RUNNING, to a URL */
	int status;                       /* of the answer that comes; 0 before */
	json_t *headers;                  /* owned: of the answer */
	struct buf body;                  /* owned: of the answer */
	struct delivery_outcome last;
	struct list cancels; /* of struct delivery_cancel, owned */
	/* ENDING */
	struct row_delivery row;              /* how it ended; texts below or in the message */
	char *row_headers;                    /* owned */
	size_t n_sent;                        /* destinations that were told */
	bool is_calling_back, is_called_back; /* its callback is behind them */
	unsigned n_tries;                     /* of the one at hand */
};

/* ---- delivery.c ---- */
struct delivery_org *delivery_org_of(struct delivery_host *host, const char *name);
struct delivery_queue *delivery_queue_find(
	const struct delivery_host *host, const char *org, const char *function);
/* Made, and attached, when there is none. */
struct delivery_queue *delivery_queue_of(
	struct delivery_host *host, const char *org, const char *function) ON_LOOP;
void delivery_queue_closed(struct delivery_host *host);
/* One that was accepted has ended; the queue may be gone when this returns. */
void delivery_count_ended(struct delivery_queue *queue) ON_LOOP;

/* ---- delivery_hand.c ---- */
void delivery_on_message(struct bus_queue *bus, struct bus_message *message, void *arg) ON_LOOP;
void delivery_make_ready(struct delivery *delivery, bool is_first) ON_LOOP;
/* Parked until again_us, in hand. */
void delivery_park(struct delivery *delivery, uint64_t after_ms) ON_LOOP;
void delivery_queue_pause(struct delivery_queue *queue, const struct err *why) ON_LOOP;
/* Begins what can begin, wakes what is due, sets the timer and the credit. */
void delivery_queue_go(struct delivery_queue *queue) ON_LOOP;
void delivery_queue_resume(struct delivery_queue *queue) ON_LOOP; /* something has changed */
/* Its org is deleted: what is in hand is forgotten, but for the calls that run. */
void delivery_queue_let_go(struct delivery_queue *queue) ON_LOOP;
/* Out of every list, with what it holds. The message was handed back, or stays with the bus. */
void delivery_forget(struct delivery *delivery) ON_LOOP;
const struct delivery_policy *delivery_policy_of(const struct delivery *delivery);

/* ---- delivery_run.c ---- */
/* 1: an attempt runs; 0: it must wait, *why says for what; negative: it can never run. */
int delivery_begin(struct delivery *delivery, struct err *why) ON_LOOP;
/* The row of the attempt that begins; call_id is "" for one that is no call. */
void delivery_note_begin(
	const struct delivery *delivery, const char *call_id, uint32_t version) ON_LOOP;
/* `last` says what the attempt came to. */
void delivery_attempt_over(struct delivery *delivery) ON_LOOP;

/* ---- delivery_end.c ---- */
/* Ends it: DONE, DEAD or CANCELLED, with what `last`, `body` and `headers` say. */
void delivery_end(struct delivery *delivery, enum row_delivery_state how) ON_LOOP;
void delivery_end_with(
	struct delivery *delivery, enum row_delivery_state how, const struct err *reason) ON_LOOP;
void delivery_end_settle(struct delivery *delivery) ON_LOOP; /* after its destinations */

/* ---- delivery_destination.c ---- */
/* Tells the next destination, the callback behind them, or settles when all were told. */
void delivery_tell_destinations(struct delivery *delivery) ON_LOOP;
const struct delivery_destinations *delivery_destinations_of(const struct delivery *delivery);

/* ---- delivery_put.c ---- */
/* Accepts what request says into this queue; request->function is NULL for a post, whose URL is
 * `path`. */
void delivery_accept(struct delivery_queue *queue, const struct delivery_request *request,
	delivery_put_fn *done, void *arg) ON_LOOP;

/* ---- delivery_post.c ---- */
/* Negative: it can never be sent. */
int delivery_post_check(const struct delivery *delivery, struct err *why) ON_LOOP;
void delivery_post_begin(struct delivery *delivery) ON_LOOP; /* RUNNING */
void delivery_post_cancel(struct delivery *delivery) ON_LOOP;

/* ---- delivery_query.c ---- */
/* Whoever waits for it is told. */
void delivery_ended(struct delivery_host *host, const char *id) ON_LOOP;

/* ---- delivery_dead.c ---- */
void delivery_trim_start(struct delivery_host *host) ON_LOOP;
void delivery_count_dead(struct delivery_host *host) ON_LOOP;

/* A message to the store that is freed when it is done. */
void delivery_put_attempt(struct delivery_host *host, const struct row_attempt *row) ON_LOOP;

#endif
