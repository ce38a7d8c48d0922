/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_seen.h"

#include <stdlib.h>

#include "base/mem.h"

struct vcd_seen_id {
	struct list link;
	char *id; /* owned */
};

void
vcd_seen_init(struct vcd_seen *seen)
{
	seen->ids = MAP_INIT;
	list_init(&seen->order);
}

static void
seen_forget(struct vcd_seen *seen, struct vcd_seen_id *one)
{
	map_remove(&seen->ids, str_of(one->id));
	list_remove(&one->link);
	free(one->id);
	free(one);
}

void
vcd_seen_done(struct vcd_seen *seen)
{
	struct vcd_seen_id *one;

	while ((one = list_first(&seen->order, struct vcd_seen_id, link)))
		seen_forget(seen, one);
	map_done(&seen->ids);
}

bool
vcd_seen_add(struct vcd_seen *seen, struct str id)
{
	struct vcd_seen_id *one = map_find(&seen->ids, id);
	bool was_there = one;

	if (!one) {
		if (seen->ids.len >= VCD_SEEN_MAX)
			seen_forget(seen, list_last(&seen->order, struct vcd_seen_id, link));
		one = mem_new(sizeof(*one));
		one->id = str_dup(id);
		list_init(&one->link);
		map_put(&seen->ids, id, one);
	}
	list_remove(&one->link);
	list_push_front(&seen->order, &one->link);
	return was_there;
}
