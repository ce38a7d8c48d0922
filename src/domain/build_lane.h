/* SPDX-License-Identifier: Apache-2.0 */
/*
 * build_lane - work of one kind, so much of it at a time, in which orgs take turns. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_BUILD_LANE_H
#define MAYFLY_DOMAIN_BUILD_LANE_H

#include <stdbool.h>

#include "base/list.h"

struct build_lane {
	unsigned n_most, n_running;
	bool is_handing_out;
	struct list orgs; /* of struct build_lane_org, owned, whose turn is next first */
};

/* Stands inside its owner. */
struct build_turn {
	struct list link;        /* list_init() before */
	struct build_lane *lane; /* whose place it holds; NULL while it waits or is in none */
	void (*run)(struct build_turn *turn);
};

void build_lane_init(struct build_lane *lane, unsigned n_most);
void build_lane_done(struct build_lane *lane);

/* Calls run(turn), at once or when it is its turn; it has a place from then on. It has none now. */
void build_lane_enter(struct build_lane *lane, const char *org, struct build_turn *turn,
	void (*run)(struct build_turn *turn));

/* Gives its place to the next, or leaves the queue. Harmless when it is in no lane. */
void build_lane_leave(struct build_turn *turn);

#endif
