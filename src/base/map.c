/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/err.h"

#define MAP_FIRST_CAP 16

static uint64_t map_secret[2];
static pthread_once_t map_secret_once = PTHREAD_ONCE_INIT;

static void
map_secret_make(void)
{
	must(getrandom(map_secret, sizeof(map_secret), 0) == sizeof(map_secret));
}

static uint64_t
map_rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline __attribute__((always_inline)) void
map_sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = map_rotate(v[1], 13) ^ v[0];
	v[3] = map_rotate(v[3], 16) ^ v[2];
	v[0] = map_rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = map_rotate(v[1], 17) ^ v[2];
	v[3] = map_rotate(v[3], 21) ^ v[0];
	v[2] = map_rotate(v[2], 32);
}

static inline __attribute__((always_inline)) void
map_sip_word(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	map_sip_round(v);
	v[0] ^= word;
}

/* SipHash-1-3 (Aumasson, Bernstein): one round per word, three at the end. */
uint64_t
map_hash(struct str key)
{
	uint64_t v[4] = {
		0x736f6d6570736575, 0x646f72616e646f6d, 0x6c7967656e657261, 0x7465646279746573};
	uint64_t word, last = (uint64_t)key.len << 56;
	size_t at = 0;

	pthread_once(&map_secret_once, map_secret_make);
	for (int i = 0; i < 4; i++)
		v[i] ^= map_secret[i & 1];
	for (; at + 8 <= key.len; at += 8) {
		memcpy(&word, key.at + at, 8);
		map_sip_word(v, word);
	}
	for (int shift = 0; at < key.len; at++, shift += 8)
		last |= (uint64_t)(unsigned char)key.at[at] << shift;
	map_sip_word(v, last);
	v[2] ^= 0xff;
	for (int i = 0; i < 3; i++)
		map_sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The entry that has the key, or the free one where it belongs. There always is a free one. */
static struct map_entry *
map_place(const struct map *map, struct str key, uint64_t hash)
{
	size_t mask = map->cap - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct map_entry *entry = &map->entries[i];

		if (!entry->key)
			return entry;
		if (entry->hash == hash && str_eq(str_n(entry->key, entry->key_len), key))
			return entry;
	}
}

static void
map_enlarge(struct map *map)
{
	struct map old = *map;

	map->cap = old.cap ? old.cap * 2 : MAP_FIRST_CAP;
	map->entries = mem_new(map->cap * sizeof(map->entries[0]));
	map_each (&old, entry)
		*map_place(map, str_n(entry->key, entry->key_len), entry->hash) = *entry;
	free(old.entries);
}

void
map_done(struct map *map)
{
	map_each (map, entry)
		free(entry->key);
	free(map->entries);
	*map = MAP_INIT;
}

void *
map_find(const struct map *map, struct str key)
{
	return map->len ? map_place(map, key, map_hash(key))->value : NULL;
}

void
map_put(struct map *map, struct str key, void *value)
{
	uint64_t hash = map_hash(key);
	struct map_entry *entry;

	must(value);
	if ((map->len + 1) * 4 > map->cap * 3)
		map_enlarge(map);
	entry = map_place(map, key, hash);
	if (!entry->key) {
		*entry = (struct map_entry){str_dup(key), key.len, hash, NULL};
		map->len++;
	}
	entry->value = value;
}

/* Closes the gap that a removed entry leaves: every later entry of the same run that may stand in
 * the gap moves there, so that a search never stops early. */
static void
map_close_gap(struct map *map, size_t gap)
{
	size_t mask = map->cap - 1;

	for (size_t i = (gap + 1) & mask; map->entries[i].key; i = (i + 1) & mask) {
		size_t home = map->entries[i].hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		map->entries[gap] = map->entries[i];
		gap = i;
	}
	map->entries[gap] = (struct map_entry){0};
}

void *
map_remove(struct map *map, struct str key)
{
	struct map_entry *entry;
	void *value;

	if (map->len == 0)
		return NULL;
	entry = map_place(map, key, map_hash(key));
	if (!entry->key)
		return NULL;
	value = entry->value;
	free(entry->key);
	map->len--;
	map_close_gap(map, (size_t)(entry - map->entries));
	return value;
}

struct map_entry *
map_next(const struct map *map, const struct map_entry *entry)
{
	for (size_t i = entry ? (size_t)(entry - map->entries) + 1 : 0; i < map->cap; i++)
		if (map->entries[i].key)
			return &map->entries[i];
	return NULL;
}
