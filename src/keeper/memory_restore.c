/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "keeper/memory_inside.h"

#define RESTORE_HOT        3    /* calls in which a page was written, to be hot */
#define RESTORE_LEARN_ANEW 2048 /* renewals, after which hot pages have to show it again */
#define RESTORE_EMPTY_MAX  16   /* pages in a row that are written with zeroes and not dropped */
#define RESTORE_MARK_MAX   512  /* dropped pages in a row that are marked as clean */
#define RESTORE_COPIES     512
#define RESTORE_GAP_MAX    16 /* clean pages between two ranges that are protected at once */
#define RESTORE_BLOCK      (2u << 20) /* what a page of marks covers */
#define RESTORE_DROPS_MAX  (SUBJECT_BATCH_MAX - 1)

static const uint8_t restore_zeroes[RESTORE_EMPTY_MAX * MEMORY_PAGE];

/* One renewal. */
static struct restore {
	struct subject *subject;
	struct keeper_reply *reply;
	struct iovec here[RESTORE_COPIES], there[RESTORE_COPIES];
	size_t n_copies;
	struct tracker_range *clean; /* owned: to be protected again */
	size_t n_clean, n_clean_room;
	bool is_apart;  /* what stands behind the last of them is not protected */
	size_t n_drops; /* in the batch */
} restore;

static int
memory_fail_restore(const char *what)
{
	return verdict(restore.reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL,
		"%s: %s", what, strerror(errno));
}

/* ---- copying ---- */

static int
memory_flush(void)
{
	ssize_t size = 0, n;

	if (restore.n_copies == 0)
		return 0;
	for (size_t i = 0; i < restore.n_copies; i++)
		size += (ssize_t)restore.here[i].iov_len;
	n = process_vm_writev(restore.subject->main_pid, restore.here, restore.n_copies,
		restore.there, restore.n_copies, 0);
	restore.n_copies = 0;
	return n == size ? 0 : memory_fail_restore("writing its memory back");
}

static int
memory_copy(const struct memory_region *region, const uint8_t *bytes, uint64_t at, size_t size)
{
	size_t last = restore.n_copies - 1;

	restore.reply->figures.n_pages += (uint32_t)(size / MEMORY_PAGE);
	if (!(region->protection & PROT_WRITE)) {
		if (pwrite(restore.subject->memory, bytes, size, (off_t)at) != (ssize_t)size)
			return memory_fail_restore("writing its memory back");
		return 0;
	}
	if (restore.n_copies > 0 && bytes != restore_zeroes &&
		(uint8_t *)restore.here[last].iov_base + restore.here[last].iov_len == bytes &&
		(uint64_t)(uintptr_t)restore.there[last].iov_base + restore.there[last].iov_len ==
			at) {
		restore.here[last].iov_len += size;
		restore.there[last].iov_len += size;
		return 0;
	}
	if (restore.n_copies == RESTORE_COPIES && memory_flush() < 0)
		return -1;
	restore.here[restore.n_copies] = (struct iovec){(void *)bytes, size};
	restore.there[restore.n_copies++] = (struct iovec){(void *)(uintptr_t)at, size};
	return 0;
}

static int
memory_copy_kept(const struct memory_region *region, uint64_t at, uint64_t end)
{
	const uint8_t *bytes = memory_kept(region, at, (end - at) / MEMORY_PAGE, restore.reply);

	return bytes ? memory_copy(region, bytes, at, end - at) : -1;
}

/* ---- protecting again ---- */

static void
memory_add_clean(uint64_t start, uint64_t end)
{
	struct tracker_range *last = restore.clean + restore.n_clean - 1;

	if (restore.n_clean > 0 && start >= last->start && start < last->end) {
		last->end = end > last->end ? end : last->end;
		return;
	}
	if (restore.n_clean > 0 && !restore.is_apart && start >= last->end &&
		start - last->end <= RESTORE_GAP_MAX * MEMORY_PAGE) {
		last->end = end;
		return;
	}
	if (restore.n_clean == restore.n_clean_room) {
		restore.n_clean_room = restore.n_clean_room * 2 + 256;
		restore.clean =
			mem_grow(restore.clean, restore.n_clean_room * sizeof(*restore.clean));
	}
	restore.clean[restore.n_clean++] = (struct tracker_range){start, end, 0};
	restore.is_apart = false;
}

static void
memory_count_hit(struct memory_region *region, uint64_t at)
{
	uint8_t *hits = &region->hits[(at - region->start) / MEMORY_PAGE];

	if (*hits < UINT8_MAX)
		++*hits;
	if (memory.tracker->can_skip && *hits >= RESTORE_HOT) {
		restore.reply->figures.n_pages_hot++;
		restore.is_apart = true;
		return;
	}
	memory_add_clean(at, at + MEMORY_PAGE);
}

static void
memory_count_hits(struct memory_region *region, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += MEMORY_PAGE)
		memory_count_hit(region, at);
}

/* ---- pages that the snapshot does not hold ---- */

static int
memory_drop(struct memory_region *region, uint64_t start, uint64_t end)
{
	if (restore.n_drops == RESTORE_DROPS_MAX)
		return verdict(restore.reply, KEEPER_CAUSE_LAYOUT, "too many pages to drop");
	restore.n_drops++;
	subject_add_call(restore.subject, SYS_madvise, start, end - start, MADV_DONTNEED);
	if (!region->is_bare)
		memset(region->hits + (start - region->start) / MEMORY_PAGE, 0,
			(end - start) / MEMORY_PAGE);
	restore.reply->figures.n_dropped_kib += (uint32_t)((end - start) / 1024);
	if (end - start <= RESTORE_MARK_MAX * MEMORY_PAGE)
		memory_add_clean(start, end);
	return 0;
}

/* Only what is there; pages of a file that were only read are as they were. */
static int
memory_drop_present(struct memory_region *region, uint64_t start, uint64_t end)
{
	size_t from = tracker_n_found;

	if (memory.tracker->ask(start, end, TRACKER_THERE, restore.reply) != 0)
		return verdict(restore.reply, KEEPER_CAUSE_LAYOUT, "a mapping is not watched");
	for (size_t i = from; i < tracker_n_found; i++) {
		struct tracker_range range = tracker_found[i];

		if (region->is_file && (range.is & TRACKER_FILE))
			memory_count_hits(region, range.start, range.end);
		else if (memory_drop(region, range.start, range.end) < 0)
			return -1;
	}
	tracker_n_found = from;
	return 0;
}

/* A few pages are cheaper to empty than to have again. */
static int
memory_empty(struct memory_region *region, uint64_t start, uint64_t end)
{
	if (region->is_file || end - start > sizeof(restore_zeroes) ||
		!(region->protection & PROT_WRITE))
		return memory_drop_present(region, start, end);
	memory_count_hits(region, start, end);
	return memory_copy(region, restore_zeroes, start, end - start);
}

/* ---- what the tracker has found ---- */

static uint32_t
memory_count_kept(const struct memory_region *region, uint64_t start, uint64_t end)
{
	return region->before[(end - region->start) / MEMORY_PAGE] -
	       region->before[(start - region->start) / MEMORY_PAGE];
}

/* Where the pages from `at` on are not any more what that one is. Holes are large. */
static uint64_t
memory_end_of_run(const struct memory_region *region, uint64_t at, uint64_t end)
{
	bool is_kept = memory_is_kept(region, at);

	if (memory_count_kept(region, at, end) == 0)
		return end;
	while (at < end && memory_is_kept(region, at) == is_kept)
		at += MEMORY_PAGE;
	return at;
}

static int
memory_restore_written(struct memory_region *region, uint64_t at, uint64_t end)
{
	while (at < end) {
		uint64_t to = memory_end_of_run(region, at, end);

		if (memory_is_kept(region, at)) {
			memory_count_hits(region, at, to);
			if (memory_copy_kept(region, at, to) < 0)
				return -1;
		} else if (memory_empty(region, at, to) < 0) {
			return -1;
		}
		at = to;
	}
	return 0;
}

/* What has no contents had none, as a rule. */
static int
memory_restore_gone(struct memory_region *region, uint64_t at, uint64_t end)
{
	if (memory_count_kept(region, at, end) == 0)
		return 0;
	for (; at < end; at += MEMORY_PAGE) {
		if (!memory_is_kept(region, at))
			continue;
		if (memory_copy_kept(region, at, at + MEMORY_PAGE) < 0)
			return -1;
		memory_add_clean(at, at + MEMORY_PAGE);
	}
	return 0;
}

/* Pages that were not there in a block of which others are come one by one, so all of it is marked
 * with the first. */
static void
memory_quieten(const struct memory_region *region, uint64_t start, uint64_t end)
{
	start = start / RESTORE_BLOCK * RESTORE_BLOCK;
	end = (end + RESTORE_BLOCK - 1) / RESTORE_BLOCK * RESTORE_BLOCK;
	memory_add_clean(start > region->start ? start : region->start,
		end < region->end ? end : region->end);
}

/* Somebody gave it a right for a while, or only read where nobody had been. */
static int
memory_restore_bare(struct memory_region *region, uint64_t start, uint64_t end)
{
	size_t from = tracker_n_found;

	if (memory.tracker->ask(start, end, TRACKER_THERE, restore.reply) != 0)
		return verdict(restore.reply, KEEPER_CAUSE_LAYOUT, "a mapping is not watched");
	for (size_t i = from; i < tracker_n_found; i++) {
		struct tracker_range range = tracker_found[i];

		if (range.is & (TRACKER_FILE | TRACKER_ZERO))
			memory_quieten(region, range.start, range.end);
		else if (memory_drop(region, range.start, range.end) < 0)
			return -1;
	}
	tracker_n_found = from;
	return 0;
}

static int
memory_restore_in(struct memory_region *region, const struct tracker_range *range, uint64_t end)
{
	uint64_t start = range->start > region->start ? range->start : region->start;

	if (region->is_bare)
		return range->is & TRACKER_GONE ? 0 : memory_restore_bare(region, start, end);
	if (range->is & TRACKER_GONE)
		return memory_restore_gone(region, start, end);
	return memory_restore_written(region, start, end);
}

/* Kept pages of [start, end), whatever became of them. */
static int
memory_restore_kept(struct memory_region *region, uint64_t start, uint64_t end)
{
	for (uint64_t at = start, to; at < end; at = to) {
		to = memory_end_of_run(region, at, end);
		if (!memory_is_kept(region, at))
			continue;
		if (memory_copy_kept(region, at, to) < 0)
			return -1;
		memory_add_clean(at, to);
	}
	return 0;
}

/* Pages that a call gave back, so that the file's stand there again. */
static int
memory_restore_over_files(void)
{
	struct memory_region *region = memory.regions, *end = region + memory.n_regions;

	tracker_forget();
	for (size_t i = 0; i < memory.n_over_files; i++) {
		if (memory.tracker->ask(memory.over_files[i].start, memory.over_files[i].end,
			    TRACKER_NOT_OWN, restore.reply) != 0)
			return verdict(
				restore.reply, KEEPER_CAUSE_LAYOUT, "a mapping is not watched");
	}
	for (size_t i = 0; i < tracker_n_found; i++) {
		struct tracker_range range = tracker_found[i];

		while (region < end && region->end <= range.start)
			region++;
		for (struct memory_region *in = region; in < end && in->start < range.end; in++) {
			if (!in->is_bare &&
				memory_restore_kept(in,
					range.start > in->start ? range.start : in->start,
					range.end < in->end ? range.end : in->end) < 0)
				return -1;
		}
	}
	return memory_flush();
}

/* What lies between two that do not touch may be a mapping that cannot be protected. */
static struct memory_region *
memory_next_region(struct memory_region *region, const struct memory_region *end)
{
	if (region + 1 < end && region[1].start != region->end)
		restore.is_apart = true;
	return region + 1;
}

/* Both are sorted; a range may go over the border of a region. */
static int
memory_restore_found(void)
{
	struct memory_region *region = memory.regions, *end = region + memory.n_regions;

	for (size_t i = 0; i < tracker_n_found; i++) {
		struct tracker_range range = tracker_found[i];

		while (range.start < range.end) {
			uint64_t to;

			while (region < end && region->end <= range.start)
				region = memory_next_region(region, end);
			if (region == end || region->start >= range.end)
				break;
			to = range.end < region->end ? range.end : region->end;
			if (memory_restore_in(region, &range, to) < 0)
				return -1;
			range.start = to;
		}
	}
	return memory_flush();
}

static int
memory_run_drops(void)
{
	struct subject *subject = restore.subject;

	if (restore.n_drops == 0)
		return 0;
	if (subject_run(subject, restore.reply) < 0)
		return -1;
	for (size_t i = 0; i < subject->n_batch; i++) {
		if (subject->batch[i].result != 0)
			return verdict(restore.reply, KEEPER_CAUSE_LAYOUT,
				"pages cannot be dropped: %s",
				strerror((int)-subject->batch[i].result));
	}
	return subject_wipe(subject, restore.reply);
}

/* ---- mappings that are not the ones that were watched, though they look so ---- */

static int
memory_check(const struct memory_region *region)
{
	if (!memory.tracker->check)
		return memory.tracker->ask(
			region->start, region->end, TRACKER_CHANGED, restore.reply);
	return region->is_file ? 0 : memory.tracker->check(region->start, restore.reply);
}

static int
memory_ask(void)
{
	for (size_t i = 0; memory.tracker->check && i < memory.n_regions; i++) {
		int rc = memory_check(&memory.regions[i]);

		if (rc != 0)
			return rc;
	}
	tracker_forget();
	for (size_t i = 0; i < memory.n_spans; i++) {
		int rc = memory.tracker->ask(
			memory.spans[i].start, memory.spans[i].end, TRACKER_CHANGED, restore.reply);

		if (rc != 0)
			return rc;
	}
	return 0;
}

static int
memory_renew_lost(struct layout *layout)
{
	for (size_t i = 0; i < memory.n_regions; i++) {
		struct memory_region *region = &memory.regions[i];
		int rc = memory_check(region);

		if (rc == TRACKER_LOST)
			rc = layout_renew(layout, restore.subject, region->start, restore.reply);
		if (rc < 0)
			return -1;
	}
	return 1;
}

static void
memory_learn_hot_anew(void)
{
	static unsigned n_renewals;

	if (++n_renewals % RESTORE_LEARN_ANEW != 0)
		return;
	for (size_t i = 0; i < memory.n_regions; i++) {
		struct memory_region *region = &memory.regions[i];

		if (!region->is_bare)
			memset(region->hits, 0, (region->end - region->start) / MEMORY_PAGE);
	}
}

int
memory_find(struct subject *subject, struct layout *layout, struct keeper_reply *reply)
{
	int rc;

	restore.subject = subject;
	restore.reply = reply;
	rc = memory_ask();
	return rc == TRACKER_LOST ? memory_renew_lost(layout) : rc;
}

int
memory_restore(struct subject *subject, struct keeper_reply *reply)
{
	restore.n_copies = restore.n_clean = restore.n_drops = 0;
	restore.is_apart = false;
	memory_learn_hot_anew();
	if (memory_restore_found() < 0 || memory_restore_over_files() < 0 ||
		memory_run_drops() < 0 || memory_restore_code(subject, reply) < 0)
		return -1;
	return memory.tracker->clean(restore.clean, restore.n_clean, reply);
}
