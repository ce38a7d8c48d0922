/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_kit - calls of a pool without the calls: a place each, sent to the instance that it gets.
 */
#ifndef MAYFLY_POOL_KIT_H
#define MAYFLY_POOL_KIT_H

#include "call_kit.h"

struct spot {
	struct pool_place place;
	struct instance_call run;
	bool is_placed, is_refused, is_over;
	struct err reason;
};

/* Asks for a place, and sends when there is one: 1 at once, 0 later, negative with its reason. */
int spot_put(struct version *version, struct spot *spot, size_t body_len);
/* The call ends before its answer. Harmless when it is over. */
void spot_abandon(struct spot *spot);

unsigned spot_n_placed(const struct spot *spots, unsigned n);
unsigned spot_n_over(const struct spot *spots, unsigned n);

#endif
