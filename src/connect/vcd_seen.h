/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_seen - the ids that were seen last, so that what comes twice is done once.
 *
 * Of more than VCD_SEEN_MAX the one that was asked about longest ago is forgotten. One thread.
 */
#ifndef MAYFLY_CONNECT_VCD_SEEN_H
#define MAYFLY_CONNECT_VCD_SEEN_H

#include "base/list.h"
#include "base/map.h"

enum { VCD_SEEN_MAX = 1000 };

struct vcd_seen {
	struct map ids;    /* id → struct vcd_seen_id, owned */
	struct list order; /* of struct vcd_seen_id: the latest first */
};

void vcd_seen_init(struct vcd_seen *seen);
void vcd_seen_done(struct vcd_seen *seen);
/* Whether it was there; it is from now on. */
bool vcd_seen_add(struct vcd_seen *seen, struct str id);

#endif
