/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_facts - which mappings a process has, without the names of their files.
 *
 * Linux 6.11 answers for one mapping at a time (PROCMAP_QUERY, include/uapi/linux/fs.h). That costs
 * half of what it costs the kernel to print a line with a long path, and more than a line without
 * one; so it is only for telling that nothing has changed, where most mappings are of files.
 *
 * Knows nothing of what a mapping is for. mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_MAP_FACTS_H
#define MAYFLY_KEEPER_MAP_FACTS_H

#include <stdbool.h>
#include <stddef.h>

struct map_facts {
	struct map_fact *at; /* owned */
	size_t n;            /* 0: nothing is known */
};

/* Notes what is mapped now, of n mappings. `maps` is /proc/<pid>/maps. Where the kernel cannot tell
 * nothing is known then. */
void map_facts_learn(struct map_facts *facts, int maps, size_t n);

/* Whether something is known and is still so. */
bool map_facts_are_same(const struct map_facts *facts, int maps);

#endif
