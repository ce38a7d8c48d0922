/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tracker - asks the kernel which pages of the subject were written since they were last clean.
 *
 *	pagemap_scan  Linux 6.7: userfaultfd write-protects pages, their first write is let through
 *by the kernel alone, PAGEMAP_SCAN finds them (ioctl_userfaultfd(2), PAGEMAP_SCAN(2const))
 *	soft_dirty    kernels with CONFIG_MEM_SOFT_DIRTY: /proc/<pid>/clear_refs protects every page
 *at once, bit 55 of /proc/<pid>/pagemap finds them. A page of zeroes in a mapping that was put in
 *the place of another has no such bit once the two are one; so memory of no file is registered with
 *a userfaultfd, which has nothing to do but to keep the two apart
 *
 * Knows addresses only. mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_TRACKER_H
#define MAYFLY_KEEPER_TRACKER_H

#include "keeper/subject.h"

/* Bits of what a page is: those of PAGEMAP_SCAN. */
enum tracker_is {
	TRACKER_WRITTEN = 1 << 1,
	TRACKER_FILE = 1 << 2, /* still the file's own page */
	TRACKER_PRESENT = 1 << 3,
	TRACKER_SWAPPED = 1 << 4,
	TRACKER_ZERO = 1 << 5, /* the page of zeroes that nobody owns */
	TRACKER_GONE = 1 << 6, /* CHANGED: known to have no contents */
};

struct tracker_range {
	uint64_t start, end;
	uint64_t is; /* enum tracker_is */
};

enum tracker_question {
	TRACKER_THERE,   /* pages with contents, and of which kind */
	TRACKER_CHANGED, /* pages that may have other contents than when they were clean, or none;
			    but one that has a file behind it and was given back may look clean */
	TRACKER_NOT_OWN, /* pages of a file still, or again, and such as may not be there */
};

enum { TRACKER_LOST = 1 }; /* not an error: something there is not watched */

struct tracker {
	enum keeper_tracker number;
	const char *name;
	bool can_skip; /* pages that nobody protects cost nothing and count as written */

	/* Whether the kernel can, and what it takes in the subject: 0, -1 with a verdict. */
	int (*open)(struct subject *subject, struct keeper_reply *reply);
	/* Begins to watch mappings, whose pages all count as written then; holes between them are
	 * nothing. With check() only one mapping, of no file. */
	int (*watch)(uint64_t start, uint64_t end, struct keeper_reply *reply);
	/* Appends ranges of [start, end), sorted: 0, TRACKER_LOST, -1. */
	int (*ask)(uint64_t start, uint64_t end, enum tracker_question question,
		struct keeper_reply *reply);
	/* Where ask() does not tell what is lost: whether the mapping at an address is watched; 0,
	 * TRACKER_LOST, -1. Else NULL. */
	int (*check)(uint64_t at, struct keeper_reply *reply);
	/* From now on what they hold, or that they hold nothing, is clean. For all spans ask() has
	 * just found what is THERE in them. */
	int (*clean_all)(const struct tracker_range *spans, size_t n, struct keeper_reply *reply);
	int (*clean)(const struct tracker_range *ranges, size_t n, struct keeper_reply *reply);
};

extern const struct tracker tracker_pagemap;
extern const struct tracker tracker_softdirty;

/* What ask() has found. */
extern struct tracker_range *tracker_found;
extern size_t tracker_n_found;

void tracker_add(uint64_t start, uint64_t end, uint64_t is); /* merged with the last if it can be */
void tracker_add_n(const struct tracker_range *ranges, size_t n);
void tracker_forget(void); /* what was found */

/* A userfaultfd of the subject's memory, the same each time; -1 with a verdict. */
int tracker_take_fault(struct subject *subject, struct keeper_reply *reply);

/* The first tracker that works here, open; NULL with a verdict. */
const struct tracker *tracker_choose(struct subject *subject, struct keeper_reply *reply);

#endif
