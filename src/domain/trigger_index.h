/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trigger_index - finds the filters that may fit an event, without looking at all of them.
 *
 * A filter stands under what it demands (trigger_filter_keys()): whole values of an attribute, or
 * the bytes or the parts between dots that one begins with; of several demands that of which there
 * are fewest so far. An event is looked up by each of its attributes that any filter demands, and
 * only those that demand none are compared with every event. Knows no function and no registry. One
 * thread.
 */
#ifndef MAYFLY_DOMAIN_TRIGGER_INDEX_H
#define MAYFLY_DOMAIN_TRIGGER_INDEX_H

#include "base/map.h"
#include "domain/trigger_filter.h"

/* Stands inside its owner, which keeps it where it is while it is in the index. */
struct trigger_place {
	const struct trigger_filter *filter; /* borrowed */
	struct trigger_keys keys;            /* owned; none: looked at for every event */
	uint64_t turn;                       /* of the look-up that found it last */
};

struct trigger_index; /* declared in trigger.h too */
struct trigger_index *trigger_index_new(void);
void trigger_index_free(struct trigger_index *index); /* after all are out */

void trigger_index_add(struct trigger_index *index, struct trigger_place *place);
void trigger_index_remove(struct trigger_index *index, struct trigger_place *place);

/* Of all filters: as many an event may have to be compared with. */
size_t trigger_index_conditions(const struct trigger_index *index);

/* Of all look-ups so far: attributes looked up, filters and their conditions compared. */
size_t trigger_index_steps(const struct trigger_index *index);

/* Each whose filter fits, once, in no order; the index must not change in each(). Gives how many
 * filters were compared. */
size_t trigger_index_match(struct trigger_index *index, const struct event *event,
	void (*each)(struct trigger_place *place, void *arg), void *arg);

#endif
