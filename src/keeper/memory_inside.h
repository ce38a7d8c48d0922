/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory_inside - what memory.c and memory_restore.c share: regions, and the pages that are kept.
 */
#ifndef MAYFLY_KEEPER_MEMORY_INSIDE_H
#define MAYFLY_KEEPER_MEMORY_INSIDE_H

#include "keeper/memory.h"

#define MEMORY_PAGE     4096u
#define MEMORY_CODE_MAX (8 * MEMORY_PAGE)

/* A mapping that is watched. Its kept pages stand in the store one behind the other: page i is kept
 * if before[i + 1] > before[i], and is then page first + before[i] of the store. */
struct memory_region {
	uint64_t start, end;
	int protection;
	bool is_file; /* what is not kept is the file's */
	bool is_bare; /* it cannot be written as it is mapped, and none of its pages is the
			 program's own: none is kept, and what follows is not there */
	size_t first;
	uint32_t *before; /* owned: kept pages before each page, and before the end */
	uint8_t *hits;    /* owned: in how many calls each page was written, up to 255 */
};

struct memory {
	const struct tracker *tracker;
	struct memory_region *regions; /* owned: sorted */
	size_t n_regions;
	struct tracker_range *spans; /* owned: what the tracker is asked about */
	size_t n_spans;
	struct tracker_range *over_files; /* owned: where pages are kept that stand over a file's */
	size_t n_over_files, n_over_files_room;
	uint8_t *store;         /* owned */
	size_t n_store, n_room; /* pages */
	uint8_t *is_here; /* owned: which pages of the store have been read from the mould; NULL
			     without a mould: all of them */
	uint64_t code_at; /* the kernel's code in the subject ([vdso]) */
	size_t n_code;
	uint8_t code[MEMORY_CODE_MAX];
};

extern struct memory memory;

int memory_restore_code(struct subject *subject, struct keeper_reply *reply);

static inline bool
memory_is_kept(const struct memory_region *region, uint64_t at)
{
	uint64_t i = (at - region->start) / MEMORY_PAGE;

	return region->before[i + 1] > region->before[i];
}

/* Where the store has the n kept pages at `at`; NULL with a verdict. */
const uint8_t *memory_kept(
	const struct memory_region *region, uint64_t at, size_t n, struct keeper_reply *reply);

#endif
