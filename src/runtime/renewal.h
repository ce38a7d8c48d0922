/* SPDX-License-Identifier: Apache-2.0 */
/*
 * renewal - what became of instances after their calls, in figures: brought back for the next call,
 * or discarded and why.
 *
 * An instance counts into the tally of its spec and into those above it, so that a function has
 * its figures and the machine has the sum. Instances outlive what they belong to, so a tally lives
 * until the last of those who hold it gives it up. Knows no function. ON_LOOP.
 */
#ifndef MAYFLY_RUNTIME_RENEWAL_H
#define MAYFLY_RUNTIME_RENEWAL_H

#include <stdint.h>

#include "keeper/keeper.h"

/* Why an instance of isolation `call` served its last call: the keeper's causes, then the
 * daemon's own. An instance that ended idle, retired or while it booted is none of these. */
enum renewal_cause {
	RENEWAL_CAUSE_NONE = KEEPER_CAUSE_NONE,
	RENEWAL_CAUSE_GONE = KEEPER_CAUSE_GONE,
	RENEWAL_CAUSE_ONCE = KEEPER_CAUSES, /* mechanism `once`: it served its call */
	RENEWAL_CAUSE_CALL,    /* its call was cut off: deadline, limit, cancel, its own exit */
	RENEWAL_CAUSE_CHANNEL, /* the call left a part of a frame, or broke the rules after it */
	RENEWAL_CAUSE_SILENT,  /* its keeper did not answer in time, or with nonsense */
	RENEWAL_CAUSE_LOST,    /* its keeper ended */
	RENEWAL_CAUSES,
};

const char *renewal_cause_word(enum renewal_cause cause); /* "descriptors", "once" */

enum { RENEWAL_BUCKETS = 12 };
/* Upper ends of all buckets but the last, which has none. */
extern const uint32_t renewal_bounds_us[RENEWAL_BUCKETS - 1];

struct renewal_tally {
	struct renewal_tally *above; /* held; NULL for none */
	unsigned n_refs;
	uint64_t n_renewed, renewed_us;
	uint64_t buckets[RENEWAL_BUCKETS]; /* by time, each with those below it */
	uint64_t n_discarded[RENEWAL_CAUSES];
	char last_spoilt[sizeof(((struct keeper_reply *)0)->text)]; /* what the keeper said; "" */
};

/* Held by the caller; `above` may be NULL. */
struct renewal_tally *renewal_tally_new(struct renewal_tally *above);
struct renewal_tally *renewal_tally_hold(struct renewal_tally *tally); /* NULL is fine */
void renewal_tally_release(struct renewal_tally *tally);               /* NULL is fine */

/* `tally` may be NULL. */
void renewal_count(struct renewal_tally *tally, uint64_t us);
/* `why` is the keeper's word on it, "" where it has none. */
void renewal_count_discard(struct renewal_tally *tally, enum renewal_cause cause, const char *why);
uint64_t renewal_n_discarded(const struct renewal_tally *tally); /* of all causes */

#endif
