/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "keeper/tracker.h"

/* Linux 6.7's, where the headers are older. */
#ifndef UFFD_FEATURE_WP_UNPOPULATED
#define UFFD_FEATURE_WP_UNPOPULATED (1 << 13)
#endif
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif
#ifndef UFFD_FEATURE_WP_HUGETLBFS_SHMEM
#define UFFD_FEATURE_WP_HUGETLBFS_SHMEM (1 << 12)
#endif
#define PAGEMAP_FEATURES                                                                           \
	(UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM |                        \
		UFFD_FEATURE_WP_UNPOPULATED | UFFD_FEATURE_WP_ASYNC)

struct pagemap_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_COMMAND _IOWR('f', 16, struct pagemap_scan)
#define PAGEMAP_SCAN_CHECK   2 /* PM_SCAN_CHECK_WPASYNC */

#define PAGEMAP_VECTOR 4096
#define PAGEMAP_BLOCK  (2u << 20) /* what a page of marks covers */

static int pagemap_fault = -1, pagemap_file = -1;

static int
pagemap_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

/* ---- opening ---- */

static int
pagemap_open(struct subject *subject, struct keeper_reply *reply)
{
	struct uffdio_api api = {.api = UFFD_API, .features = PAGEMAP_FEATURES};

	pagemap_fault = tracker_take_fault(subject, reply);
	if (pagemap_fault < 0)
		return -1;
	if (ioctl(pagemap_fault, UFFDIO_API, &api) < 0)
		return pagemap_failed(reply, "no asynchronous write protection");
	pagemap_file = openat(subject->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	return pagemap_file < 0 ? pagemap_failed(reply, "opening pagemap") : 0;
}

/* ---- asking ---- */

static int
pagemap_scan(struct pagemap_scan *scan)
{
	scan->size = sizeof(*scan);
	return ioctl(pagemap_file, PAGEMAP_SCAN_COMMAND, scan);
}

/* For written pages alone, and nothing else about them, the kernel has a short way: a fifth of the
 * time. What has no mark of protection counts as written there, so pages that were given back do,
 * and large holes. But where a file is behind it the mark outlives the page, for the next that
 * comes there; to the kernel such a mark is a page that was swapped out. */
static int
pagemap_ask(
	uint64_t start, uint64_t end, enum tracker_question question, struct keeper_reply *reply)
{
	static struct tracker_range found[PAGEMAP_VECTOR];
	struct pagemap_scan scan = {.start = start,
		.end = end,
		.vec = (uint64_t)(uintptr_t)found,
		.vec_len = PAGEMAP_VECTOR};

	if (question == TRACKER_CHANGED) {
		scan.flags = PAGEMAP_SCAN_CHECK;
		scan.category_mask = TRACKER_WRITTEN;
		scan.return_mask = TRACKER_WRITTEN;
	} else if (question == TRACKER_NOT_OWN) {
		scan.category_inverted = TRACKER_PRESENT;
		scan.category_anyof_mask = TRACKER_PRESENT | TRACKER_FILE;
		scan.return_mask = TRACKER_FILE;
	} else {
		scan.category_anyof_mask = TRACKER_PRESENT | TRACKER_SWAPPED;
		scan.return_mask = TRACKER_PRESENT | TRACKER_SWAPPED | TRACKER_FILE | TRACKER_ZERO;
	}
	while (scan.start < end) {
		int n = pagemap_scan(&scan);

		if (n < 0)
			return errno == EPERM ? TRACKER_LOST
					      : pagemap_failed(reply, "PAGEMAP_SCAN");
		tracker_add_n(found, (size_t)n);
		if (n < PAGEMAP_VECTOR)
			break;
		/* The kernel's own walk_end stays where its first 512 ranges ended. */
		scan.start = found[n - 1].end;
	}
	return 0;
}

/* ---- protecting ---- */

static int
pagemap_watch(uint64_t start, uint64_t end, struct keeper_reply *reply)
{
	struct uffdio_register range = {
		.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (ioctl(pagemap_fault, UFFDIO_REGISTER, &range) < 0)
		return pagemap_failed(reply, "UFFDIO_REGISTER");
	return 0;
}

static int
pagemap_clean(const struct tracker_range *ranges, size_t n, struct keeper_reply *reply)
{
	for (size_t i = 0; i < n; i++) {
		struct uffdio_writeprotect protect = {
			.range = {ranges[i].start, ranges[i].end - ranges[i].start},
			.mode = UFFDIO_WRITEPROTECT_MODE_WP};

		if (ioctl(pagemap_fault, UFFDIO_WRITEPROTECT, &protect) < 0)
			return pagemap_failed(reply, "UFFDIO_WRITEPROTECT");
	}
	return 0;
}

static uint64_t
pagemap_border(uint64_t at, uint64_t least, uint64_t most)
{
	return at < least ? least : at > most ? most : at;
}

/* Pages that are not there get their mark too, but only near others: marks need memory. */
static int
pagemap_clean_all(const struct tracker_range *spans, size_t n_spans, struct keeper_reply *reply)
{
	struct tracker_range *blocks = tracker_found;
	const struct tracker_range *span = spans;
	size_t n = 0;
	int rc;

	for (size_t i = 0; i < tracker_n_found; i++) {
		uint64_t start = blocks[i].start / PAGEMAP_BLOCK * PAGEMAP_BLOCK;
		uint64_t end = (blocks[i].end + PAGEMAP_BLOCK - 1) / PAGEMAP_BLOCK * PAGEMAP_BLOCK;

		while (span + 1 < spans + n_spans && span->end <= blocks[i].start)
			span++;
		start = pagemap_border(start, span->start, span->end);
		end = pagemap_border(end, span->start, span->end);
		if (n > 0 && start <= blocks[n - 1].end)
			blocks[n - 1].end = end;
		else
			blocks[n++] = (struct tracker_range){start, end, 0};
	}
	rc = pagemap_clean(blocks, n, reply);
	tracker_forget();
	return rc;
}

const struct tracker tracker_pagemap = {
	.number = KEEPER_PAGEMAP_SCAN,
	.name = "pagemap_scan",
	.can_skip = true,
	.open = pagemap_open,
	.watch = pagemap_watch,
	.ask = pagemap_ask,
	.clean_all = pagemap_clean_all,
	.clean = pagemap_clean,
};
