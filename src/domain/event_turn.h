/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_turn - whose event is matched next, so that no org holds the loop of all.
 *
 * To find the triggers of one event may take as long as comparing all conditions of its org. In one
 * turn of the loop only so many steps are taken, but one event at least; who comes behind them
 * waits in the line of its org for a later turn of the loop, where the orgs that wait take turns,
 * an event each. So an org waits for one event of each other org at most. Knows nothing of
 * triggers. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_EVENT_TURN_H
#define MAYFLY_DOMAIN_EVENT_TURN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/list.h"
#include "net/loop.h"

#define EVENT_TURN_STEPS 1000 /* conditions; of the slowest some 3 us each */

/* Of an org: those of its batches that wait, in the order in which they are matched. */
struct event_line {
	struct list link;    /* among the orgs that wait */
	struct list waiting; /* of struct event_turn */
};
void event_line_init(struct event_line *line);

/* Stands inside its owner, a batch of events; it waits while it is in a line. */
struct event_turn {
	struct list link; /* list_init() before first use */
	void (*run)(struct event_turn *turn);
};

struct event_turns;
struct event_turns *event_turns_new(struct loop *loop);
void event_turns_free(struct event_turns *turns); /* when nobody waits */

/* True: one event may be matched now, and event_turn_spent() is to be told. False: run() is called
 * in a later turn of the loop. Of the one that runs the next event stands before the others of its
 * org. */
bool event_turn_take(
	struct event_turns *turns, struct event_line *line, struct event_turn *turn) ON_LOOP;
void event_turn_spent(struct event_turns *turns, size_t n_steps) ON_LOOP;
bool event_turn_is_waiting(const struct event_turn *turn);

#endif
