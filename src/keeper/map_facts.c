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
#define MAP_NAME_SIZE  32   /* of those that the kernel gives: "[vvar_vclock]" */

struct map_fact {
	uint64_t start, end, flags, offset, inode;
	uint32_t major, minor;
	char name[MAP_NAME_SIZE]; /* of what has no file; all zeroes for a file */
};

/* 0; -1 with errno: ENOENT behind the last. A file's name is too long for the room, as a rule, and
 * costs more than all the rest. */
static int
map_facts_ask(int maps, uint64_t at, bool is_nameless, struct map_fact *ret)
{
	char name[MAP_NAME_SIZE] = "";
	struct map_query query = {
		.size = sizeof(query), .query_flags = MAP_QUERY_NEXT, .query_addr = at};

	if (!is_nameless) {
		query.name = (uint64_t)(uintptr_t)name;
		query.name_size = sizeof(name);
	}
	if (ioctl(maps, MAP_QUERY, &query) < 0)
		return -1;
	*ret = (struct map_fact){query.start, query.end, query.flags, query.offset, query.inode,
		query.major, query.minor, ""};
	memcpy(ret->name, name, sizeof(name));
	return 0;
}

/* Without a file: memory of the kernel's own, [vvar] and its like, differs from memory that the
 * program has put in its place by its name alone. */
static int
map_facts_learn_one(int maps, uint64_t at, struct map_fact *ret)
{
	if (map_facts_ask(maps, at, true, ret) < 0)
		return -1;
	return ret->inode ? 0 : map_facts_ask(maps, at, false, ret);
}

void
map_facts_learn(struct map_facts *facts, int maps, size_t n)
{
	uint64_t at = 0;

	facts->at = mem_grow(facts->at, n * sizeof(*facts->at));
	for (facts->n = 0; facts->n < n; at = facts->at[facts->n++].end) {
		if (map_facts_learn_one(maps, at, &facts->at[facts->n]) == 0)
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
		if (map_facts_ask(maps, at, facts->at[i].inode != 0, &is) < 0 ||
			memcmp(&is, &facts->at[i], sizeof(is)) != 0)
			return false;
	}
	return facts->n > 0 && map_facts_ask(maps, at, true, &is) < 0 && errno == ENOENT;
}
