/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory - what the subject's memory held at the snapshot, and that it holds it again.
 *
 * Of every private mapping the pages are kept that cannot be had otherwise: what is zero, or still
 * the page of a file that cannot change, is not. They stand in the mould, and are read from it when
 * they are to be written back for the first time; without a mould they are copied at the snapshot.
 * After a call the tracker names the pages that were written or are gone: kept ones are written
 * back, others are emptied or dropped.
 *
 * What cannot be written as it is mapped, and has no page of the program's own (code and constants
 * of files, reserved addresses), is bare. It is watched as well, so that nobody has to look at each
 * of its pages: what is new there since it was clean is either of the file still, or dropped.
 *
 * A page that was written in several calls becomes hot: it is not protected any more, so that the
 * answer does not wait for its fault, and is written back each time.
 *
 * mayfly-keeper; the subject is stopped.
 */
#ifndef MAYFLY_KEEPER_MEMORY_H
#define MAYFLY_KEEPER_MEMORY_H

#include "keeper/layout.h"
#include "keeper/tracker.h"

/* Takes the snapshot and begins to watch. figures: snapshot_kib, n_tracked_kib. */
int memory_learn(const struct tracker *tracker, const struct layout *layout,
	struct subject *subject, struct keeper_reply *reply);

/* Mappings that were made again in place of tracked ones are watched again. */
int memory_rewatch(struct layout *layout, struct keeper_reply *reply);

/* Finds what is to be written back: 0; 1 when mappings were not the ones that were watched, though
 * they looked so, and the batch makes them anew (of other flags than these mappings had, locked or
 * growing, nothing else tells); -1. */
int memory_find(struct subject *subject, struct layout *layout, struct keeper_reply *reply);

/* Writes back; may run a batch of its own. figures: n_pages, n_pages_hot, n_dropped_kib. */
int memory_restore(struct subject *subject, struct keeper_reply *reply);

#endif
