/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map - from byte strings to pointers.
 *
 * Keys are copied; values are borrowed. Keyed SipHash-1-3 with a random key of the process, so
 * tenants cannot make collisions. Open addressing, grows at 3/4. Any process; one thread.
 */
#ifndef MAYFLY_BASE_MAP_H
#define MAYFLY_BASE_MAP_H

#include "base/str.h"

struct map_entry {
	char *key; /* owned by the map; NULL marks a free place */
	size_t key_len;
	uint64_t hash;
	void *value; /* borrowed */
};

struct map {
	struct map_entry *entries; /* owned */
	size_t cap, len;
};

#define MAP_INIT ((struct map){NULL, 0, 0})

/* Keyed with the same random key of the process: not to be kept longer than that lives. */
uint64_t map_hash(struct str key);

void map_done(struct map *map);
void *map_find(const struct map *map, struct str key);      /* NULL if there is none */
void map_put(struct map *map, struct str key, void *value); /* value must not be NULL; replaces */
void *map_remove(struct map *map, struct str key);          /* gives the value, or NULL */

/* The entry behind `entry`, the first for NULL; NULL at the end. In no order. */
struct map_entry *map_next(const struct map *map, const struct map_entry *entry);

/* Every entry once; the map must not change in the body. */
#define map_each(map, entry)                                                                       \
	for (struct map_entry *entry = map_next(map, NULL); entry; entry = map_next(map, entry))

static inline void
own_map(struct map *map)
{
	map_done(map);
}

#endif
