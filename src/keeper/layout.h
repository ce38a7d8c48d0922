/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layout - which memory is mapped where and with what rights, and that it is again.
 *
 *	KEEP    layout_learn()
 *	RENEW   layout_look() ─▶ batch ─▶ memory is watched again ─▶ layout_check()
 *
 * Knows addresses, not contents. mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_LAYOUT_H
#define MAYFLY_KEEPER_LAYOUT_H

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
	struct layout_piece remade[LAYOUT_REMADE_MAX]; /* new and empty after the batch */
	size_t n_remade;

	/* The layout's own. */
	char *text; /* owned: as the kernel tells it */
	size_t len;
	size_t brk_index; /* of a system call in the batch */
};

/* A program that has memory which cannot be brought back is a verdict (SHARED). `brk` is where its
 * heap ends. */
int layout_learn(
	struct layout *layout, struct subject *subject, uint64_t brk, struct keeper_reply *reply);

/* Adds to the batch what makes the layout what it was. */
int layout_look(struct layout *layout, struct subject *subject, struct keeper_reply *reply);

/* After the batch: verifies it. */
int layout_check(struct layout *layout, struct subject *subject, struct keeper_reply *reply);

/* Memory whose contents can change, so that it must be watched. */
bool layout_is_tracked(const struct maps_range *range);

#endif
