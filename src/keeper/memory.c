/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "keeper/memory_inside.h"
#include "keeper/mould.h"
#include "keeper/procfile.h"

#define MEMORY_STORE_MAX (1u << 20) /* pages: 4 GiB */
#define MEMORY_ZEROES    16384      /* pages of zeroes that are kept although nobody owns them */
#define MEMORY_AT_ONCE   256        /* pages */
#define MEMORY_GAP_MAX   16         /* pages between two that are asked about in one go */

struct memory memory;

static int
memory_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

/* ---- the store ---- */

static int
memory_make_room(size_t n, struct keeper_reply *reply)
{
	size_t room = memory.n_room + memory.n_room / 2 + 4096;
	void *store;

	if (memory.n_store + n <= memory.n_room)
		return 0;
	if (memory.n_store + n > MEMORY_STORE_MAX)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "it has too much memory");
	if (memory.n_room == 0)
		store = mmap(NULL, room * MEMORY_PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	else
		store = mremap(memory.store, memory.n_room * MEMORY_PAGE, room * MEMORY_PAGE,
			MREMAP_MAYMOVE);
	if (store == MAP_FAILED)
		return memory_failed(reply, "making room for the snapshot");
	memory.store = store;
	memory.n_room = room;
	return 0;
}

static bool
memory_is_zero(const uint8_t *page)
{
	return page[0] == 0 && memcmp(page, page + 1, MEMORY_PAGE - 1) == 0;
}

/* Some may not be readable for the subject itself: the file asks for no right. */
static int
memory_read(struct subject *subject, const struct memory_region *region, uint64_t at, void *ret,
	size_t size, struct keeper_reply *reply)
{
	struct iovec here = {ret, size}, there = {(void *)(uintptr_t)at, size};
	ssize_t n;

	if (region->protection & PROT_READ)
		n = process_vm_readv(subject->main_pid, &here, 1, &there, 1, 0);
	else
		n = pread(subject->memory, ret, size, (off_t)at);
	return n == (ssize_t)size ? 0 : memory_failed(reply, "reading its memory");
}

/* With a mould their place in the store is made and nothing read: a page of zeroes costs the room
 * of a page, if it is ever written back. */
static int
memory_promise(struct memory_region *region, uint64_t at, size_t n, struct keeper_reply *reply)
{
	if (memory_make_room(n, reply) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		region->before[(at - region->start) / MEMORY_PAGE + i + 1] = 1;
	memory.n_store += n;
	return 0;
}

/* Reads to the end of the store and moves what is not zero together. Zeroes over a file are not
 * what would be there by itself. */
static int
memory_keep(struct subject *subject, struct memory_region *region, uint64_t at, size_t n,
	struct keeper_reply *reply)
{
	uint8_t *pages, *to;

	if (memory_make_room(n, reply) < 0)
		return -1;
	pages = memory.store + memory.n_store * MEMORY_PAGE;
	if (memory_read(subject, region, at, pages, n * MEMORY_PAGE, reply) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!region->is_file && memory_is_zero(pages + i * MEMORY_PAGE))
			continue;
		to = memory.store + memory.n_store * MEMORY_PAGE;
		if (to != pages + i * MEMORY_PAGE)
			memcpy(to, pages + i * MEMORY_PAGE, MEMORY_PAGE);
		region->before[(at - region->start) / MEMORY_PAGE + i + 1] = 1;
		memory.n_store++;
	}
	return 0;
}

static void
memory_add_over_file(const struct tracker_range *range)
{
	struct tracker_range *last = memory.over_files + memory.n_over_files - 1;

	if (memory.n_over_files > 0 && range->start - last->end <= MEMORY_GAP_MAX * MEMORY_PAGE) {
		last->end = range->end;
		return;
	}
	if (memory.n_over_files == memory.n_over_files_room) {
		memory.n_over_files_room = memory.n_over_files_room * 2 + 64;
		memory.over_files = mem_grow(
			memory.over_files, memory.n_over_files_room * sizeof(*memory.over_files));
	}
	memory.over_files[memory.n_over_files++] = *range;
}

static int
memory_keep_range(struct subject *subject, struct memory_region *region,
	const struct tracker_range *range, struct keeper_reply *reply)
{
	if (region->is_file)
		memory_add_over_file(range);
	if (mould_pid())
		return memory_promise(
			region, range->start, (range->end - range->start) / MEMORY_PAGE, reply);
	for (uint64_t at = range->start; at < range->end;) {
		uint64_t n = (range->end - at) / MEMORY_PAGE;

		if (n > MEMORY_AT_ONCE)
			n = MEMORY_AT_ONCE;
		if (memory_keep(subject, region, at, n, reply) < 0)
			return -1;
		at += n * MEMORY_PAGE;
	}
	return 0;
}

/* What is not here yet is read in runs. */
static int
memory_fetch(size_t first, uint64_t at, size_t n, struct keeper_reply *reply)
{
	for (size_t i = 0; i < n;) {
		size_t to = i;

		while (to < n && !memory.is_here[first + to])
			to++;
		if (to > i &&
			mould_read(at + i * MEMORY_PAGE, memory.store + (first + i) * MEMORY_PAGE,
				(to - i) * MEMORY_PAGE, reply) < 0)
			return -1;
		memset(memory.is_here + first + i, 1, to - i);
		i = to > i ? to : i + 1;
	}
	return 0;
}

const uint8_t *
memory_kept(const struct memory_region *region, uint64_t at, size_t n, struct keeper_reply *reply)
{
	size_t first = region->first + region->before[(at - region->start) / MEMORY_PAGE];

	if (memory.is_here && memory_fetch(first, at, n, reply) < 0)
		return NULL;
	return memory.store + first * MEMORY_PAGE;
}

/* ---- regions ---- */

/* What the tracker has found of a region, piece by piece from the one at *at. */
static bool
memory_next_piece(const struct memory_region *region, size_t *at, struct tracker_range *ret)
{
	if (*at == tracker_n_found || tracker_found[*at].start >= region->end)
		return false;
	*ret = tracker_found[(*at)++];
	ret->start = ret->start > region->start ? ret->start : region->start;
	ret->end = ret->end < region->end ? ret->end : region->end;
	return true;
}

static bool
memory_is_bare(const struct memory_region *region, size_t at)
{
	struct tracker_range piece;

	if ((region->protection & PROT_WRITE) ||
		(!region->is_file && region->protection != PROT_NONE))
		return false;
	while (memory_next_piece(region, &at, &piece)) {
		if (!(piece.is & (TRACKER_FILE | TRACKER_ZERO)))
			return false;
	}
	return true;
}

/* The first piece that was found of it is the one at `at`. */
static int
memory_learn_region(struct subject *subject, struct memory_region *region, size_t at,
	struct keeper_reply *reply)
{
	size_t n = (region->end - region->start) / MEMORY_PAGE;
	uint64_t leave = TRACKER_ZERO | (region->is_file ? TRACKER_FILE : 0);
	struct tracker_range piece;

	region->is_bare = memory_is_bare(region, at);
	if (region->is_bare)
		return 0;
	region->first = memory.n_store;
	region->before = mem_new((n + 1) * sizeof(*region->before));
	region->hits = mem_new(n);
	reply->figures.n_tracked_kib += (uint32_t)(n * MEMORY_PAGE / 1024);
	while (memory_next_piece(region, &at, &piece)) {
		if ((piece.is & leave) == 0 &&
			memory_keep_range(subject, region, &piece, reply) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		region->before[i + 1] += region->before[i];
	return 0;
}

static int
memory_watch_regions(struct keeper_reply *reply)
{
	for (size_t i = 0; i < memory.n_regions; i++) {
		const struct memory_region *region = &memory.regions[i];

		if (!region->is_file &&
			memory.tracker->watch(region->start, region->end, reply) < 0)
			return -1;
	}
	return 0;
}

static int
memory_learn_regions(struct subject *subject, struct keeper_reply *reply)
{
	bool is_by_region = memory.tracker->check;
	size_t at = 0;

	if (is_by_region && memory_watch_regions(reply) < 0)
		return -1;
	tracker_forget();
	for (size_t i = 0; i < memory.n_spans; i++) {
		const struct tracker_range *span = &memory.spans[i];

		if (!is_by_region && memory.tracker->watch(span->start, span->end, reply) < 0)
			return -1;
		if (memory.tracker->ask(span->start, span->end, TRACKER_THERE, reply) < 0)
			return -1;
	}
	for (size_t i = 0; i < memory.n_regions; i++) {
		struct memory_region *region = &memory.regions[i];

		while (at < tracker_n_found && tracker_found[at].end <= region->start)
			at++;
		if (memory_learn_region(subject, region, at, reply) < 0)
			return -1;
	}
	return 0;
}

/* Asked for in one go: neighbours, and where it costs nothing also what lies beyond a hole. */
static void
memory_add_span(uint64_t start, uint64_t end, bool is_next)
{
	struct tracker_range *last = memory.spans + memory.n_spans - 1;

	if (is_next && memory.n_spans > 0 && (last->end == start || memory.tracker->can_skip))
		last->end = end;
	else
		memory.spans[memory.n_spans++] = (struct tracker_range){start, end, 0};
}

static void
memory_add_region(const struct maps_range *range, bool is_next)
{
	memory.regions[memory.n_regions++] = (struct memory_region){
		.start = range->start,
		.end = range->end,
		.protection = range->protection,
		.is_file = range->kind == MAPS_FILE,
	};
	memory_add_span(range->start, range->end, is_next);
}

static void
memory_add_regions(const struct layout *layout)
{
	bool is_next = false;

	memory.regions = mem_new(layout->n_ranges * sizeof(*memory.regions));
	memory.spans = mem_new(layout->n_ranges * sizeof(*memory.spans));
	for (size_t i = 0; i < layout->n_ranges; i++) {
		const struct maps_range *range = &layout->ranges[i];
		bool is_tracked = layout_is_tracked(range);

		if (is_tracked)
			memory_add_region(range, is_next);
		is_next = is_tracked;
	}
}

/* ---- the kernel's code in it, which no tracker watches ---- */

static int
memory_read_code(struct subject *subject, uint8_t *ret, struct keeper_reply *reply)
{
	struct iovec here = {ret, memory.n_code},
		     there = {(void *)(uintptr_t)memory.code_at, memory.n_code};

	if (process_vm_readv(subject->main_pid, &here, 1, &there, 1, 0) != (ssize_t)memory.n_code)
		return memory_failed(reply, "reading the kernel's code in it");
	return 0;
}

static int
memory_learn_code(struct subject *subject, const struct layout *layout, struct keeper_reply *reply)
{
	for (size_t i = 0; i < layout->n_ranges; i++) {
		if (layout->ranges[i].kind != MAPS_CODE)
			continue;
		memory.code_at = layout->ranges[i].start;
		memory.n_code = layout->ranges[i].end - layout->ranges[i].start;
	}
	if (memory.n_code > sizeof(memory.code))
		return verdict(reply, KEEPER_CAUSE_LAYOUT, "the kernel's code in it is too long");
	return memory.n_code ? memory_read_code(subject, memory.code, reply) : 0;
}

int
memory_restore_code(struct subject *subject, struct keeper_reply *reply)
{
	static uint8_t found[MEMORY_CODE_MAX];

	if (memory.n_code == 0)
		return 0;
	if (memory_read_code(subject, found, reply) < 0)
		return -1;
	if (memcmp(found, memory.code, memory.n_code) == 0)
		return 0;
	if (pwrite(subject->memory, memory.code, memory.n_code, (off_t)memory.code_at) !=
		(ssize_t)memory.n_code)
		return memory_failed(reply, "writing the kernel's code in it");
	return 0;
}

/* A page of zeroes that was only read belongs to nobody and counts for no limit, and not every
 * kernel tells it from others. To write many of them back would take memory here that the program
 * never had. */
static int
memory_check_store(struct subject *subject, struct keeper_reply *reply)
{
	char text[8192];
	uint64_t resident, swapped;

	if (subject_read(subject, "status", text, sizeof(text), reply) < 0)
		return -1;
	resident = strtoull(procfile_value(text, "VmRSS").at ?: "", NULL, 10);
	swapped = strtoull(procfile_value(text, "VmSwap").at ?: "", NULL, 10);
	if (memory.n_store > (resident + swapped) * 1024 / MEMORY_PAGE + MEMORY_ZEROES)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "it has too many pages of zeroes");
	return 0;
}

int
memory_learn(const struct tracker *tracker, const struct layout *layout, struct subject *subject,
	struct keeper_reply *reply)
{
	memory.tracker = tracker;
	memory_add_regions(layout);
	if (memory_learn_code(subject, layout, reply) < 0 ||
		memory_learn_regions(subject, reply) < 0 || memory_check_store(subject, reply) < 0)
		return -1;
	if (mould_pid())
		memory.is_here = mem_new(memory.n_store + 1);
	else
		reply->figures.snapshot_kib = (uint32_t)(memory.n_store * (MEMORY_PAGE / 1024));
	reply->figures.tracker = tracker->number;
	return tracker->clean_all(memory.spans, memory.n_spans, reply);
}

int
memory_rewatch(struct layout *layout, struct keeper_reply *reply)
{
	for (size_t i = 0; i < layout->n_remade; i++) {
		if (memory.tracker->watch(layout->remade[i].start, layout->remade[i].end, reply) <
			0)
			return -1;
	}
	layout->n_remade = 0;
	return 0;
}
