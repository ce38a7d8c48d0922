/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - which memory is mapped where and with what rights, and that it is again.
 *
 *	KEEP    layout_learn() ─▶ memory is watched ─▶ layout_know()
 *	RENEW   layout_look() ─▶ batch ─▶ memory is watched again ─▶ layout_check()
 *
 * Knows addresses, not contents. mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_LAYOUT_H
#define MAYFLY_KEEPER_LAYOUT_H

#include "keeper/map_facts.h"
#include "keeper/maps.h"
#include "keeper/subject.h"

enum { LAYOUT_REMADE_MAX = 256 };

struct layout_piece {
	uint64_t start, end;
};

struct layout {
	struct maps_range *ranges; /* owned: sorted, of the snapshot */
	size_t n_ranges;
	uint64_t brk;

	/* Of the last look. */
	bool is_changed;
	struct layout_piece remade[LAYOUT_REMADE_MAX]; /* new and empty after the batch, and not
							  watched yet */
	size_t n_remade;

	/* The layout's own. */
	char *text; /* owned: as the kernel tells it */
	size_t len, room;
	struct map_facts facts; /* the same in another way, where that is told faster */
	size_t brk_index;       /* of a system call in the batch */
};

/* A program that has memory which cannot be brought back is a verdict (SHARED). `brk` is where its
 * heap ends. */
int layout_learn(
	struct layout *layout, struct subject *subject, uint64_t brk, struct keeper_reply *reply);

/* What the kernel says now is what is to be from now on: mappings that are watched alike become
 * one. */
int layout_know(struct layout *layout, struct subject *subject, struct keeper_reply *reply);

/* Adds to the batch what makes the layout what it was. */
int layout_look(struct layout *layout, struct subject *subject, struct keeper_reply *reply);

/* Adds to the batch what makes the range of the snapshot that begins at `start` anew: what is there
 * looks like it and is not. */
int layout_renew(
	struct layout *layout, struct subject *subject, uint64_t start, struct keeper_reply *reply);

/* After the batch: 0, or -1 when the heap does not end where it did. */
int layout_check_heap(
	const struct layout *layout, const struct subject *subject, struct keeper_reply *reply);

/* Verifies that it is what it was: 0; 1 when mappings have the same contents but other borders, and
 * the batch makes them anew; -1. */
int layout_check(struct layout *layout, struct subject *subject, struct keeper_reply *reply);

/* Memory whose contents can change, so that it must be watched. */
bool layout_is_tracked(const struct maps_range *range);

#endif
