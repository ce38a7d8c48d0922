/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/map_facts.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/mem.h"

/* struct procmap_query, where the headers are older. */
struct map_query {
	uint64_t size, query_flags, query_addr;
	uint64_t start, end, flags, page_size, offset, inode;
	uint32_t major, minor, name_size, build_id_size;
	uint64_t name, build_id;
};
#define MAP_QUERY      _IOWR('f', 17, struct map_query)
#define MAP_QUERY_NEXT 0x10 /* the one at the address, or the next */

struct map_fact {
	uint64_t start, end, flags, offset, inode;
	uint32_t major, minor;
};

/* 0; -1 with errno: ENOENT behind the last. */
static int
map_facts_ask(int maps, uint64_t at, struct map_fact *ret)
{
	struct map_query query = {
		.size = sizeof(query), .query_flags = MAP_QUERY_NEXT, .query_addr = at};

	if (ioctl(maps, MAP_QUERY, &query) < 0)
		return -1;
	*ret = (struct map_fact){query.start, query.end, query.flags, query.offset, query.inode,
		query.major, query.minor};
	return 0;
}

void
map_facts_learn(struct map_facts *facts, int maps, size_t n)
{
	uint64_t at = 0;

	facts->at = mem_grow(facts->at, n * sizeof(*facts->at));
	for (facts->n = 0; facts->n < n; at = facts->at[facts->n++].end) {
		if (map_facts_ask(maps, at, &facts->at[facts->n]) == 0)
			continue;
		/* The text has one more, [vsyscall], which belongs to no process. */
		if (errno != ENOENT)
			facts->n = 0;
		return;
	}
}

bool
map_facts_are_same(const struct map_facts *facts, int maps)
{
	struct map_fact is;
	uint64_t at = 0;

	for (size_t i = 0; i < facts->n; at = facts->at[i++].end) {
		if (map_facts_ask(maps, at, &is) < 0 || memcmp(&is, &facts->at[i], sizeof(is)) != 0)
			return false;
	}
	return facts->n > 0 && map_facts_ask(maps, at, &is) < 0 && errno == ENOENT;
}
