/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bus_kit - a bus on a real store and loop, and a consumer that remembers what it was given.
 *
 *	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(0);
 *
 * MAYFLY_TEST_BUS names the implementation (bus_find); without it, embedded. Messages are known by
 * numbers: in their ids, and as what they carry. The org has another name in each kit, so that
 * nothing that a broker remembers is its own. Everything runs on the test's thread: the loop turns
 * while somebody waits.
 */
#ifndef MAYFLY_BUS_KIT_H
#define MAYFLY_BUS_KIT_H

#include "unit.h"

#include "base/buf.h"
#include "bus/bus.h"
#include "net/loop.h"
#include "store/store.h"

struct bus_kit {
	struct loop *loop;
	struct store *store;
	const struct bus_ops *ops;
	struct bus *bus;
	struct amqp *amqp; /* of an implementation that has a broker */
	bool is_amqp_closed;
	char *folder;
	char org[64];
	unsigned memory_bytes;
	struct err err;
};

struct bus_kit *bus_kit_open(unsigned memory_bytes /* 0: 64 MiB */);
void bus_kit_close(struct bus_kit *kit);
void bus_kit_reopen(struct bus_kit *kit);  /* bus and store, as after a restart */
void bus_kit_add_org(struct bus_kit *kit); /* the kit's own */
void bus_kit_remove_org(struct bus_kit *kit);
/* The store's disk is full for rows that change. */
void bus_kit_refuse(struct bus_kit *kit, bool is_refusing);
OWN_DEFINE(bus_kit, struct bus_kit *, bus_kit_close)

/* Runs the loop until is_done(arg); fails the test when that takes too long. */
void bus_kit_wait(struct bus_kit *kit, bool (*is_done)(void *arg), void *arg);
/* Long enough for what should not come to have come. */
void bus_kit_rest(struct bus_kit *kit, unsigned ms);

/* ---- putting ---- */

struct bus_kit_put {
	struct bus_put put;
	bool is_done;
	int code;
	struct err err;
	char body[32];
};

/* Accepted and due now, body "message <number>"; change what you like before it is put. */
void bus_kit_put_init(
	struct bus_kit *kit, struct bus_kit_put *put, const char *function, unsigned number);
void bus_kit_put_send(struct bus_kit *kit, struct bus_kit_put *put);
int bus_kit_put_wait(struct bus_kit *kit, struct bus_kit_put *put);           /* its code */
void bus_kit_put(struct bus_kit *kit, const char *function, unsigned number); /* all of it */
void bus_kit_put_range(
	struct bus_kit *kit, const char *function, unsigned from, unsigned to); /* to: too */
void bus_kit_id(unsigned number, char ret[static ID_ULID_SIZE]);
unsigned bus_kit_number(const char *id);

/* ---- taking ---- */

enum { BUS_KIT_TAKEN_MAX = 4000 };
struct bus_kit_taker {
	struct bus_kit *kit;
	struct bus_queue *queue;
	struct bus_message
		*taken[BUS_KIT_TAKEN_MAX];   /* in the order they came, NULL if given back */
	unsigned numbers[BUS_KIT_TAKEN_MAX]; /* theirs */
	unsigned n_taken;                    /* all there ever were */
	unsigned n_in_hand, n_most;          /* most at once */
	bool is_settling;                    /* each one at once */
	unsigned detach_at;                  /* while it is given the n-th; 0 never */
};

struct bus_kit_taker *bus_kit_take(struct bus_kit *kit, const char *function, unsigned credit);
void bus_kit_taker_detach(struct bus_kit_taker *taker);
void bus_kit_taker_free(struct bus_kit_taker *taker); /* does not detach */
OWN_DEFINE(bus_kit_taker, struct bus_kit_taker *, bus_kit_taker_free)

/* Waits until n have come in all, and fails the test if more have. */
void bus_kit_taker_wait(struct bus_kit_taker *taker, unsigned n);
/* The numbers of those in hand, in the order they came, joined by spaces: freed by the caller. */
char *bus_kit_taker_text(const struct bus_kit_taker *taker);
#define bus_kit_expect(taker, text)                                                                \
	do {                                                                                       \
		OWN(mem) char *text_ = bus_kit_taker_text(taker);                                  \
                                                                                                   \
		assert_string_equal(text_, text);                                                  \
	} while (0)

void bus_kit_settle(struct bus_kit_taker *taker, unsigned i);       /* DONE; waits */
void bus_kit_settle_later(struct bus_kit_taker *taker, unsigned i); /* DONE; nobody waits */
void bus_kit_retry(struct bus_kit_taker *taker, unsigned i, unsigned after_ms);

/* Waits until so many wait and are in hand (of NULL: of all functions). */
void bus_kit_expect_stats(
	struct bus_kit *kit, const char *function, uint64_t n_waiting, uint64_t n_in_hand);
struct bus_stats bus_kit_stats(struct bus_kit *kit, const char *function);

/* State of a delivery's row, waited for until it is `state`. */
void bus_kit_expect_state(struct bus_kit *kit, unsigned number, enum row_delivery_state state);

#endif
