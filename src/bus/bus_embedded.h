/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_embedded - what the files of the embedded bus share.
 *
 * bus_embedded.c decides who gets what and when; bus_embedded_hold.c keeps and counts what waits,
 * in memory and in the store; bus_embedded_write.c puts what was asked in a turn of the loop into
 * one message to the store; bus_embedded_load.c reads what does not wait in memory.
 *
 * A delivery's row is the message. What waits in memory is the beginning of a queue's order: all
 * up to `horizon`, all of it when `is_whole`; the rest waits in the store alone. Questions to the
 * store come back in the order in which they were asked, so whatever was put behind a load is
 * told behind it: nothing falls between. What is in memory is known by its id, and what a load
 * brings besides is dropped: nothing comes twice. A detached queue holds nothing in memory.
 * Only bus_embedded*.c include this. ON_LOOP, but for the work() of its store messages.
 */
#ifndef MAYFLY_BUS_BUS_EMBEDDED_H
#define MAYFLY_BUS_BUS_EMBEDDED_H

#include "base/map.h"
#include "bus/bus.h"
#include "bus/bus_line.h"
#include "net/loop.h"
#include "store/store.h"

/*
 *	        shelve              hand over             settle
 *	 ──▶ HELD_WAITING ────────▶ HELD_IN_HAND ───────▶ HELD_WRITTEN ──▶ gone
 *	         ▲                        │ retry              │
 *	         └────────────────────────┴── HELD_WRITTEN ◀───┘ (on disk)
 */
enum bus_held_state { HELD_WAITING, HELD_IN_HAND, HELD_WRITTEN };

/* A message in memory; its texts and bytes follow the struct. */
struct bus_held {
	struct bus_message message; /* first: what the owner sees */
	struct bus_queue *queue;    /* borrowed */
	enum bus_held_state state;
	struct list link;       /* WAITING: none; IN_HAND: the queue's; WRITTEN: the batch's */
	struct bus_place place; /* by due time: in queue->line */
	struct bus_place age;   /* by acceptance: in queue->ages */
	size_t size;            /* bytes of memory that it is counted with */
	char *outcome;          /* owned: texts and result of how it went */
	int code;               /* of writing it */
	void (*done)(void *arg, int code);
	void *arg; /* borrowed */
};

struct bus_count {
	uint64_t n, n_bytes;
};

struct bus_queue {
	struct bus_embedded *bus; /* borrowed */
	struct list ready;        /* in bus->ready: to be looked at in this turn; or in bus->full */
	char org[64], function[64], name[BUS_QUEUE_SIZE];
	struct bus_consumer consumer;
	bool is_attached, is_pumping, is_full;
	unsigned credit, n_in_hand;
	size_t in_hand_bytes;
	struct list in_hand;        /* of bus_held */
	struct bus_line line, ages; /* what waits in memory */
	struct bus_place wake;      /* in bus->sleepers, if is_asleep */
	bool is_asleep;

	struct bus_count waiting;   /* all of it: in memory, in the store, being written */
	struct bus_count stored;    /* of these, in the store alone */
	uint64_t stored_oldest_ms;  /* an estimate where not all is known; 0 for none */
	struct bus_count in_memory; /* of these, in `line`; bytes as the bound counts them */

	bool is_whole; /* nothing waits in the store alone */
	struct bus_place horizon;
	char horizon_id[ID_ULID_SIZE];
	bool is_loading, is_load_stale; /* stale: the horizon moved under it */
	unsigned n_written;             /* of HELD_WRITTEN, and withdrawn ones */
};

struct bus_embedded {
	struct bus bus; /* first */
	struct loop *loop;
	struct store *store;
	struct map queues;  /* "org/function" → struct bus_queue, owned */
	struct map held;    /* id → struct bus_held, owned: all of them */
	struct map leaving; /* ids that are withdrawn and not yet on disk */
	struct list ready;  /* of bus_queue */
	struct list full;   /* the same: those in hand take too much memory */
	struct loop_flush flush;
	struct loop_timer timer;
	struct bus_line sleepers; /* queues by the time at which their first is due */

	struct list puts, writes; /* of this turn: bus_put, bus_held */
	unsigned n_gathered;
	struct list again; /* of store_message: refused by the store, asked again at again_us */
	uint64_t again_us;
	uint64_t n_memory, in_hand_bytes,
		memory_bytes; /* those that wait, those in hand, the most */
	unsigned n_asked;     /* messages that the store has: they keep the bus */
	bool is_closing, is_timer_closed;
	bool is_refused; /* by the store, the last time */
};

/* ---- bus_embedded_hold.c ---- */

struct bus_held *bus_embedded_held_new(const struct row_delivery *row); /* any thread */
void bus_embedded_know(struct bus_queue *queue, struct bus_held *held); /* it is in memory now */
void bus_embedded_held_free(struct bus_held *held);
size_t bus_embedded_row_size(const struct row_delivery *row); /* of head and body */

/* Puts it where it waits: in memory, or back into the store's care. It is counted as waiting. */
void bus_embedded_shelve(struct bus_held *held) ON_LOOP;
bool bus_embedded_is_for_memory(const struct bus_queue *queue, const struct row_delivery *row);
void bus_embedded_waits(struct bus_queue *queue, const struct row_delivery *row);
void bus_embedded_waits_no_more(struct bus_queue *queue, const struct row_delivery *row);
/* The same for what waits in the store alone. */
void bus_embedded_stores(struct bus_queue *queue, const struct row_delivery *row);
void bus_embedded_stores_no_more(struct bus_queue *queue, uint64_t n, uint64_t n_bytes);

/* All that waits up to `last` is in memory; with NULL nothing is known to be. */
void bus_embedded_set_horizon(struct bus_queue *queue, const struct bus_place *last);

/* Of a place in `line`, NULL of NULL. */
struct bus_held *bus_embedded_held_at(struct bus_place *place);
void bus_embedded_take_out(struct bus_held *held); /* it does not wait in memory any more */
/* How it went. The row may be the message's own, and its texts the owner's. */
void bus_embedded_note(struct bus_held *held, const struct row_delivery *row);

/* ---- bus_embedded.c ---- */

struct bus_queue *bus_embedded_queue(struct bus_embedded *bus, const char *org,
	const char *function); /* made if there is none */
void bus_embedded_ready(struct bus_queue *queue) ON_LOOP;
void bus_embedded_ask(struct bus_embedded *bus, struct store_message *message);
/* From a done(): the store has given it back. False if it refused for a reason that may pass and
 * the message, which is worth it, will be asked again: nothing is to be done. */
bool bus_embedded_answered(
	struct bus_embedded *bus, struct store_message *message, bool is_worth_it) ON_LOOP;
void bus_embedded_leave(struct bus_queue *queue); /* frees the queue if nobody needs it */
void bus_embedded_end(struct bus_embedded *bus);  /* frees the bus if it is closed and alone */

/* ---- bus_embedded_write.c ---- */

void bus_embedded_put(struct bus *bus, struct bus_put *put);
void bus_embedded_write(struct bus_held *held);           /* HELD_WRITTEN: its row, as it is now */
void bus_embedded_send(struct bus_embedded *bus) ON_LOOP; /* what was gathered */
/* Makes a row CANCELLED if it is queued. */
void bus_embedded_cancel(
	struct bus_queue *queue, const char *id, bool is_stored /* in the store alone */) ON_LOOP;

/* ---- bus_embedded_load.c ---- */

void bus_embedded_load(struct bus_queue *queue) ON_LOOP; /* the next of what is stored */

#endif
