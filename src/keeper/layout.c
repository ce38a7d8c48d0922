/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/magic.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/own.h"

#define LAYOUT_TEXT_MAX  (8u << 20)
#define LAYOUT_CALLS_MAX 512
#define LAYOUT_LONG_LINE                                                                           \
	90 /* bytes of a mapping's text that cost more than to ask for it alone                    \
	    */

struct layout_text {
	char *at; /* owned */
	size_t len, room;
};

static int
layout_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

/* ---- reading ---- */

/* The file stays open: to open it takes as long as to read it. */
static int
layout_open(struct subject *subject)
{
	static int fd = -1;

	if (fd < 0)
		fd = openat(subject->proc, "maps", O_RDONLY | O_CLOEXEC);
	return fd;
}

static int
layout_read(struct subject *subject, struct layout_text *ret, struct keeper_reply *reply)
{
	int fd = layout_open(subject);

	if (fd < 0)
		return layout_failed(reply, "opening maps");
	for (ret->len = 0;;) {
		ssize_t n;

		if (ret->room - ret->len < 8192) {
			ret->room = ret->room * 2 + 65536;
			ret->at = mem_grow(ret->at, ret->room);
		}
		n = pread(fd, ret->at + ret->len, ret->room - ret->len, (off_t)ret->len);
		if (n < 0)
			return layout_failed(reply, "reading maps");
		if (n == 0)
			return 0;
		ret->len += (size_t)n;
		if (ret->len > LAYOUT_TEXT_MAX)
			return verdict(reply, KEEPER_CAUSE_LAYOUT, "it has too many mappings");
	}
}

static int
layout_parse(const struct layout_text *text, struct maps_range **ret, size_t *ret_n,
	struct keeper_reply *reply)
{
	struct str rest = str_n(text->at, text->len);
	size_t n = 0, room = 0;
	int rc;

	for (;; n++) {
		if (n == room) {
			room = room * 2 + 128;
			*ret = mem_grow(*ret, room * sizeof(**ret));
		}
		rc = maps_next(&rest, &(*ret)[n]);
		if (rc < 0 || (rc > 0 && n > 0 && (*ret)[n].start < (*ret)[n - 1].end))
			return verdict(reply, KEEPER_CAUSE_KERNEL, "maps cannot be read");
		if (rc == 0)
			break;
	}
	*ret_n = n;
	return 0;
}

/* ---- KEEP ---- */

bool
layout_is_tracked(const struct maps_range *range)
{
	return !range->is_shared && range->kind != MAPS_KERNEL && range->kind != MAPS_CODE;
}

/* A file that the program itself may write can change behind a mapping of it. */
static bool
layout_is_on_tmp(struct subject *subject, const struct maps_range *range)
{
	static dev_t tmp;
	static bool is_known, is_own;
	struct statfs system;
	struct stat file;

	if (!is_known) {
		OWN(fd) int fd = openat(subject->proc, "root/tmp", O_PATH | O_CLOEXEC);

		is_own = fd >= 0 && fstatfs(fd, &system) == 0 && fstat(fd, &file) == 0 &&
			 system.f_type == TMPFS_MAGIC;
		tmp = is_own ? file.st_dev : 0;
		is_known = true;
	}
	return is_own && makedev(range->major, range->minor) == tmp;
}

static int
layout_accept(struct subject *subject, const struct maps_range *range, struct keeper_reply *reply)
{
	if (range->kind != MAPS_FILE && range->kind != MAPS_GONE_FILE)
		return 0;
	if (range->is_shared && (range->protection & PROT_WRITE))
		return verdict(reply, KEEPER_CAUSE_SHARED, "it has writable shared memory");
	if (range->kind == MAPS_GONE_FILE || layout_is_on_tmp(subject, range))
		return verdict(reply, KEEPER_CAUSE_SHARED,
			"it has mapped a file that can change, or is not there any more");
	return 0;
}

static int
layout_take(struct layout *layout, struct subject *subject, struct keeper_reply *reply)
{
	struct layout_text text = {layout->text, 0, layout->room};

	if (layout_read(subject, &text, reply) < 0)
		return -1;
	layout->text = text.at;
	layout->len = text.len;
	layout->room = text.room;
	return layout_parse(&text, &layout->ranges, &layout->n_ranges, reply);
}

int
layout_know(struct layout *layout, struct subject *subject, struct keeper_reply *reply)
{
	if (layout_take(layout, subject, reply) < 0)
		return -1;
	if (layout->len > layout->n_ranges * LAYOUT_LONG_LINE)
		map_facts_learn(&layout->facts, layout_open(subject), layout->n_ranges);
	return 0;
}

int
layout_learn(
	struct layout *layout, struct subject *subject, uint64_t brk, struct keeper_reply *reply)
{
	layout->brk = brk;
	if (layout_take(layout, subject, reply) < 0)
		return -1;
	for (size_t i = 0; i < layout->n_ranges; i++) {
		if (layout_accept(subject, &layout->ranges[i], reply) < 0)
			return -1;
	}
	return 0;
}

/* ---- RENEW ---- */

struct layout_change {
	struct layout *layout;
	struct subject *subject;
	struct keeper_reply *reply;
	size_t n_calls;
	size_t removal; /* of the batch: the last call, if it takes a mapping away; else SIZE_MAX */
};

/* A hole that lies between two that go may go with them. */
static int
layout_remove(struct layout_change *change, uint64_t start, uint64_t end)
{
	struct subject *subject = change->subject;

	change->reply->figures.n_dropped_kib += (uint32_t)((end - start) / 1024);
	if (change->removal != SIZE_MAX) {
		subject->batch[change->removal].args[1] =
			end - subject->batch[change->removal].args[0];
		return 0;
	}
	change->removal = subject_add_call(subject, SYS_munmap, start, end - start);
	change->n_calls++;
	return 0;
}

static int
layout_remake(
	struct layout_change *change, const struct maps_range *was, uint64_t start, uint64_t end)
{
	struct layout *layout = change->layout;

	if (was->is_shared || (was->kind != MAPS_ANONYMOUS && was->kind != MAPS_HEAP))
		return verdict(change->reply, KEEPER_CAUSE_LAYOUT,
			"a mapping of a file or of the kernel is not there any more");
	if (subject_is_stub(change->subject, start, end))
		return verdict(
			change->reply, KEEPER_CAUSE_LAYOUT, "the keeper's pages were changed");
	if (layout->n_remade == LAYOUT_REMADE_MAX)
		return verdict(change->reply, KEEPER_CAUSE_LAYOUT, "too many mappings are gone");
	layout->remade[layout->n_remade++] = (struct layout_piece){start, end};
	subject_add_call(change->subject, SYS_mmap, start, end - start, (uint64_t)was->protection,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, (uint64_t)-1, 0);
	return 0;
}

static int
layout_change(struct layout_change *change, const struct maps_range *was,
	const struct maps_range *is, uint64_t start, uint64_t end)
{
	if (was)
		change->removal = SIZE_MAX;
	if (was && is && maps_is_same_source(was, is) && was->protection == is->protection)
		return 0;
	change->reply->figures.n_mappings++;
	if (change->n_calls > LAYOUT_CALLS_MAX)
		return verdict(change->reply, KEEPER_CAUSE_LAYOUT, "too many mappings differ");
	if (!was)
		return layout_remove(change, start, end);
	change->n_calls++;
	if (!is || !maps_is_same_source(was, is))
		return layout_remake(change, was, start, end);
	subject_add_call(
		change->subject, SYS_mprotect, start, end - start, (uint64_t)was->protection);
	return 0;
}

static uint64_t
layout_least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Goes through both side by side, by pieces in which neither has a border. */
static int
layout_compare(struct layout_change *change, const struct maps_range *is, size_t n_is)
{
	const struct maps_range *was = change->layout->ranges;
	const struct maps_range *was_end = was + change->layout->n_ranges, *is_end = is + n_is;
	uint64_t at = 0, next;

	for (; was < was_end || is < is_end; at = next) {
		bool in_was = was < was_end && was->start <= at,
		     in_is = is < is_end && is->start <= at;

		next = UINT64_MAX;
		if (was < was_end)
			next = layout_least(next, in_was ? was->end : was->start);
		if (is < is_end)
			next = layout_least(next, in_is ? is->end : is->start);
		if ((in_was || in_is) &&
			layout_change(change, in_was ? was : NULL, in_is ? is : NULL, at, next) < 0)
			return -1;
		was += in_was && was->end == next;
		is += in_is && is->end == next;
	}
	return 0;
}

static int
layout_find_changes(struct layout *layout, struct subject *subject, const struct layout_text *text,
	struct keeper_reply *reply)
{
	struct layout_change change = {layout, subject, reply, 0, SIZE_MAX};
	OWN(mem) struct maps_range *ranges = NULL;
	size_t n_ranges = 0;

	if (layout_parse(text, &ranges, &n_ranges, reply) < 0)
		return -1;
	return layout_compare(&change, ranges, n_ranges);
}

static struct layout_text layout_now;

static bool
layout_is_as_known(const struct layout *layout)
{
	return layout_now.len == layout->len &&
	       memcmp(layout_now.at, layout->text, layout->len) == 0;
}

int
layout_look(struct layout *layout, struct subject *subject, struct keeper_reply *reply)
{
	layout->n_remade = 0;
	layout->brk_index = subject_add_call(subject, SYS_brk, layout->brk);
	if (map_facts_are_same(&layout->facts, layout_open(subject))) {
		layout->is_changed = false;
		return 0;
	}
	if (layout_read(subject, &layout_now, reply) < 0)
		return -1;
	layout->is_changed = !layout_is_as_known(layout);
	if (!layout->is_changed)
		return 0;
	return layout_find_changes(layout, subject, &layout_now, reply);
}

int
layout_check_heap(
	const struct layout *layout, const struct subject *subject, struct keeper_reply *reply)
{
	if ((uint64_t)subject->batch[layout->brk_index].result != layout->brk)
		return verdict(reply, KEEPER_CAUSE_LAYOUT, "its heap does not end where it did");
	return 0;
}

int
layout_renew(
	struct layout *layout, struct subject *subject, uint64_t start, struct keeper_reply *reply)
{
	struct layout_change change = {layout, subject, reply, 0, SIZE_MAX};
	size_t i = 0;

	while (i < layout->n_ranges && layout->ranges[i].start != start)
		i++;
	must(i < layout->n_ranges);
	layout->is_changed = true;
	reply->figures.n_mappings++;
	return layout_remake(&change, &layout->ranges[i], start, layout->ranges[i].end);
}

static bool
layout_has_range(const struct maps_range *ranges, size_t n, const struct maps_range *range)
{
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].start == range->start)
			return ranges[i].end == range->end;
	}
	return false;
}

/* A mapping that was taken away and made again by the program is not one with its neighbours, which
 * shows. What is made anew and watched before it is filled is. */
static int
layout_mend_borders(struct layout *layout, struct subject *subject, struct keeper_reply *reply)
{
	struct layout_change change = {layout, subject, reply, 0, SIZE_MAX};
	OWN(mem) struct maps_range *ranges = NULL;
	size_t n = 0;

	if (layout_parse(&layout_now, &ranges, &n, reply) < 0)
		return -1;
	for (size_t i = 0; i < layout->n_ranges; i++) {
		const struct maps_range *was = &layout->ranges[i];

		if (layout_has_range(ranges, n, was))
			continue;
		reply->figures.n_mappings++;
		if (layout_remake(&change, was, was->start, was->end) < 0)
			return -1;
	}
	return layout->n_remade > 0
		       ? 1
		       : verdict(reply, KEEPER_CAUSE_LAYOUT, "a mapping cannot be made again");
}

int
layout_check(struct layout *layout, struct subject *subject, struct keeper_reply *reply)
{
	if (!layout->is_changed)
		return 0;
	if (layout_read(subject, &layout_now, reply) < 0)
		return -1;
	return layout_is_as_known(layout) ? 0 : layout_mend_borders(layout, subject, reply);
}
