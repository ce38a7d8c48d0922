/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_rabbitmq - what the files of the bus on a RabbitMQ share (docs/rabbitmq.md: its topology).
 *
 * The broker has the messages, the store a row for each without its payload: what became of it,
 * its attempts, when it is due. In memory is what waits by its id, so that it can be counted and
 * withdrawn; a message is in memory only between the broker's handing it over and its
 * acknowledgement. Whatever comes and is not known here is looked up in the store. What has ended
 * is acknowledged and dropped. So is what is of mayfly and has no row: its put was refused though
 * the broker had it, or its org is gone, and one of that name is another. What somebody else put
 * gets a row.
 *
 * A row is there before its message. One whose message the broker lost ends when it is too old
 * (bus_rabbitmq_lost.c). Who puts with the idempotency key of one that this daemon has not seen
 * confirmed puts it there again.
 *
 *	 put ▶ WAITING ──from the broker──▶ READY ──due, credit──▶ IN_HAND ──settle──▶ WRITING ▶
 *gone ▲                      │  ▲                    │ └─ due later: ladder ──┘  └────── retry
 *───────┘
 *
 * Only bus_rabbitmq*.c include this. ON_LOOP, but for the work() of its store messages.
 */
#ifndef MAYFLY_BUS_BUS_RABBITMQ_H
#define MAYFLY_BUS_BUS_RABBITMQ_H

#include "amqp/amqp.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/own.h"
#include "bus/bus.h"
#include "bus/bus_line.h"
#include "net/loop.h"
#include "store/store.h"

/* A broker takes back what was not acknowledged behind what it gives to the next consumer: so long
 * is gathered first, and handed over in its order. */
#define RABBIT_GATHER_MS 100
#define RABBIT_HOLD_MS   1000 /* what is due sooner is held here, not in the ladder */

enum rabbit_state {
	RABBIT_CHECKING, /* is being looked up in the store */
	RABBIT_WAITING,  /* at the broker */
	RABBIT_READY,    /* here, not acknowledged */
	RABBIT_IN_HAND,
	RABBIT_WRITING, /* how it ended */
	RABBIT_LEAVING, /* into the ladder */
	RABBIT_WITHDRAWN,
};

struct rabbit_item {
	char id[ID_ULID_SIZE];
	struct rabbit *bus;      /* borrowed */
	struct bus_queue *queue; /* borrowed */
	enum rabbit_state state;
	uint64_t created_ms, due_ms, expires_ms, n_bytes;
	uint32_t attempt;
	unsigned n_puts;             /* of it, that are not confirmed yet */
	bool is_promised;            /* somebody may have been told that it is accepted */
	bool is_there;               /* the broker has had it */
	unsigned n_missed;           /* looks that did not find it there */
	bool is_counted;             /* among what waits */
	struct bus_place age, place; /* in queue->ages while counted; in queue->ready while READY */
	struct bus_message *message; /* owned; the owner's while IN_HAND */
	struct amqp_consumer *source; /* borrowed; of `tag`, compared only */
	uint64_t tag;
	struct rabbit_item **holder; /* borrowed: who waits for it elsewhere; NULL when it goes */
};

struct bus_queue {
	struct rabbit *bus; /* borrowed */
	char org[64], function[64];
	char name[16 + BUS_QUEUE_SIZE], key[BUS_QUEUE_SIZE];
	struct bus_consumer consumer;
	struct amqp_consumer *source; /* owned; NULL while detached */
	unsigned credit, prefetch, n_in_hand;
	struct bus_line ready, ages;
	uint64_t n_bytes;
	uint64_t n_broker, counted_us; /* what the broker says is ready; when it said so */
	uint64_t quiet_until_ms;       /* gathers */
	bool is_counting, is_missing;  /* is_missing: something of it, in a look */
	bool is_left_out;              /* attached, and AMQP_CONSUMERS_MAX are taken from already */
	struct list link;              /* in bus->to_pump */
};

struct rabbit {
	struct bus bus; /* first */
	struct loop *loop;
	struct store *store;
	struct amqp *amqp;
	char exchange[64];
	struct map queues; /* "org/function" → struct bus_queue, owned */
	struct map items;  /* id → struct rabbit_item, owned */
	struct list to_pump;
	struct loop_flush flush;
	struct loop_timer timer, again_timer, lost_timer;
	struct list again;   /* of store_message: refused by the store, asked again each second */
	unsigned n_left_out; /* queues */
	unsigned n_asked;    /* of the store and the broker: they keep the bus */
	bool is_closing;
};

/* ---- bus_rabbitmq.c ---- */
struct bus_queue *bus_rabbit_queue(
	struct rabbit *bus, const char *org, const char *function) ON_LOOP;
struct rabbit_item *bus_rabbit_item_new(
	struct bus_queue *queue, const struct row_delivery *row, uint64_t n_bytes);
void bus_rabbit_item_free(struct rabbit_item *item);
void bus_rabbit_item_wait(struct rabbit_item *item); /* WAITING, counted, no message */
void bus_rabbit_item_count(struct rabbit_item *item, bool is_counted);
void bus_rabbit_item_ack(struct rabbit_item *item) ON_LOOP;
void bus_rabbit_item_ready(struct rabbit_item *item) ON_LOOP; /* READY, or into the ladder */
void bus_rabbit_item_withdraw(struct rabbit_item *item);      /* WITHDRAWN, not counted */
void bus_rabbit_release(struct rabbit *bus);                  /* one question less */
/* Nobody would take what is put there. */
bool bus_rabbit_is_left_out(const struct rabbit *bus, const char *org, const char *function);

/* ---- bus_rabbitmq_put.c ---- */
void bus_rabbit_declare(struct rabbit *bus) ON_LOOP;
/* The largest time to live of the ladder that is not above `ms`; 0 below the first. */
unsigned bus_rabbit_ladder(uint64_t ms);
void bus_rabbit_put(struct bus *bus, struct bus_put *put);
void bus_rabbit_delay(struct rabbit_item *item) ON_LOOP; /* READY: into the ladder */

/* ---- bus_rabbitmq_store.c ---- */
void bus_rabbit_ask(struct rabbit *bus, struct store_message *message) ON_LOOP;
/* From a done(). False if the store refused for a reason that may pass and will be asked again:
 * nothing is to be done. */
bool bus_rabbit_answered(struct rabbit *bus, struct store_message *message) ON_LOOP;
void bus_rabbit_ask_again(struct rabbit *bus) ON_LOOP; /* at once */
void bus_rabbit_load(struct rabbit *bus) ON_LOOP;      /* what waits, from the store */
void bus_rabbit_check(struct rabbit_item *item) ON_LOOP;
/* Writes how it ended; then it is acknowledged and gone, and done() is told. */
void bus_rabbit_write_end(struct rabbit_item *item, const struct row_delivery *row,
	void (*done)(void *arg, int code), void *arg) ON_LOOP;
/* Writes that it is to be tried again. */
void bus_rabbit_write_retry(struct rabbit *bus, const struct row_delivery *row) ON_LOOP;
/* WITHDRAWN: its row is CANCELLED, then it is acknowledged and gone. */
void bus_rabbit_cancel(struct rabbit_item *item) ON_LOOP;

/* ---- bus_rabbitmq_lost.c ---- */
void bus_rabbit_lost_start(struct rabbit *bus) ON_LOOP;
/* What is too old and was not at the broker at the last look either is handed over without its
 * payload, to end so. */
void bus_rabbit_lost_look(struct rabbit *bus) ON_LOOP;

/* ---- bus_rabbitmq_message.c ---- */
#define RABBIT_HEADERS 16
/* Of row as a message: body holds head and body, headers and numbers are the caller's room. */
struct rabbit_message {
	struct amqp_header headers[RABBIT_HEADERS];
	char numbers[RABBIT_HEADERS][24];
	struct buf body;
};
void bus_rabbit_message_write(
	const struct row_delivery *row, struct rabbit_message *room, struct amqp_message *ret);
/* A row of its own memory from what came; is_foreign where it was not we who put it. Fuzzed by
 * fuzz_bus_message. */
struct bus_message *bus_rabbit_message_read(
	const struct amqp_message *message, const struct bus_queue *queue);

#endif
