/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spares - how many seats wait ready (seat.h): one more for each start that found none, and after a
 * while in which most were not needed fewer again.
 *
 * Arithmetic on times that are given; one thread.
 */
#ifndef MAYFLY_SANDBOX_SPARES_H
#define MAYFLY_SANDBOX_SPARES_H

#include <stdint.h>

#define SPARES_MIN 8
#define SPARES_MAX 64

struct spares {
	unsigned wanted, max;
	unsigned n_lowest; /* that were left since since_ms */
	uint64_t since_ms;
};

/* max: SPARES_MIN to SPARES_MAX, or it becomes that. */
void spares_init(struct spares *spares, unsigned max, uint64_t now_ms);

/* A start needed a seat when n were ready. */
void spares_take(struct spares *spares, unsigned n);

/* How many shall wait. */
unsigned spares_wanted(struct spares *spares, uint64_t now_ms);

#endif
