/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "base/own.h"
#include "keeper/tracker.h"

#define SOFTDIRTY_PAGE    4096
#define SOFTDIRTY_WRITTEN (1ull << 55)
#define SOFTDIRTY_FILE    (1ull << 61)
#define SOFTDIRTY_SWAPPED (1ull << 62)
#define SOFTDIRTY_PRESENT (1ull << 63)
#define SOFTDIRTY_AT_ONCE 4096 /* pages */

static int softdirty_map = -1, softdirty_clear = -1, softdirty_fault = -1;

static int
softdirty_failed(struct keeper_reply *reply, const char *what)
{
	return verdict(reply, errno == ESRCH ? KEEPER_CAUSE_GONE : KEEPER_CAUSE_KERNEL, "%s: %s",
		what, strerror(errno));
}

/* A kernel without it says of every page that it was not written: so does one ask about a page
 * that has just been. */
static int
softdirty_is_there(struct keeper_reply *reply)
{
	OWN(fd) int map = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	volatile char *page = mmap(
		NULL, SOFTDIRTY_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry = 0;
	ssize_t n;

	if (map < 0 || page == MAP_FAILED)
		return softdirty_failed(reply, "opening pagemap");
	*page = 1;
	n = pread(map, &entry, sizeof(entry), (off_t)((uintptr_t)page / SOFTDIRTY_PAGE * 8));
	munmap((void *)page, SOFTDIRTY_PAGE);
	if (n != sizeof(entry) || !(entry & SOFTDIRTY_WRITTEN))
		return verdict(reply, KEEPER_CAUSE_KERNEL, "no soft-dirty pages");
	return 0;
}

static int
softdirty_open(struct subject *subject, struct keeper_reply *reply)
{
	struct uffdio_api api = {.api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP};

	if (softdirty_is_there(reply) < 0)
		return -1;
	softdirty_fault = tracker_take_fault(subject, reply);
	if (softdirty_fault < 0)
		return -1;
	if (ioctl(softdirty_fault, UFFDIO_API, &api) < 0)
		return softdirty_failed(reply, "no write protection by userfaultfd");
	softdirty_map = openat(subject->proc, "pagemap", O_RDONLY | O_CLOEXEC);
	softdirty_clear = openat(subject->proc, "clear_refs", O_WRONLY | O_CLOEXEC);
	if (softdirty_map < 0 || softdirty_clear < 0)
		return softdirty_failed(reply, "opening clear_refs");
	return 0;
}

/* A new mapping counts as written by itself. No page is ever protected by the userfaultfd. */
static int
softdirty_watch(uint64_t start, uint64_t end, struct keeper_reply *reply)
{
	struct uffdio_register range = {
		.range = {start, end - start}, .mode = UFFDIO_REGISTER_MODE_WP};

	if (ioctl(softdirty_fault, UFFDIO_REGISTER, &range) < 0)
		return softdirty_failed(reply, "UFFDIO_REGISTER");
	return 0;
}

/* To take a protection away that is not there is refused where nobody is registered. */
static int
softdirty_check(uint64_t at, struct keeper_reply *reply)
{
	struct uffdio_writeprotect free = {.range = {at, SOFTDIRTY_PAGE}};

	if (ioctl(softdirty_fault, UFFDIO_WRITEPROTECT, &free) == 0)
		return 0;
	return errno == ENOENT ? TRACKER_LOST : softdirty_failed(reply, "UFFDIO_WRITEPROTECT");
}

static uint64_t
softdirty_translate(uint64_t entry)
{
	uint64_t is = 0;

	if (entry & SOFTDIRTY_WRITTEN)
		is |= TRACKER_WRITTEN;
	if (entry & SOFTDIRTY_PRESENT)
		is |= TRACKER_PRESENT;
	if (entry & SOFTDIRTY_SWAPPED)
		is |= TRACKER_SWAPPED;
	if (entry & SOFTDIRTY_FILE)
		is |= TRACKER_FILE;
	if (!(entry & (SOFTDIRTY_PRESENT | SOFTDIRTY_SWAPPED)))
		is |= TRACKER_GONE;
	return is;
}

static bool
softdirty_is_wanted(uint64_t is, enum tracker_question question)
{
	if (question == TRACKER_THERE)
		return is & (TRACKER_PRESENT | TRACKER_SWAPPED);
	if (question == TRACKER_NOT_OWN)
		return (is & TRACKER_FILE) || !(is & TRACKER_PRESENT);
	return is & (TRACKER_WRITTEN | TRACKER_GONE);
}

static int
softdirty_ask(
	uint64_t start, uint64_t end, enum tracker_question question, struct keeper_reply *reply)
{
	static uint64_t entries[SOFTDIRTY_AT_ONCE];

	while (start < end) {
		uint64_t n = (end - start) / SOFTDIRTY_PAGE;
		ssize_t got;

		if (n > SOFTDIRTY_AT_ONCE)
			n = SOFTDIRTY_AT_ONCE;
		got = pread(softdirty_map, entries, n * 8, (off_t)(start / SOFTDIRTY_PAGE * 8));
		if (got != (ssize_t)(n * 8))
			return softdirty_failed(reply, "reading pagemap");
		for (uint64_t i = 0; i < n; i++, start += SOFTDIRTY_PAGE) {
			uint64_t is = softdirty_translate(entries[i]);

			if (softdirty_is_wanted(is, question))
				tracker_add(start, start + SOFTDIRTY_PAGE, is);
		}
	}
	return 0;
}

static int
softdirty_clean_all(const struct tracker_range *spans, size_t n, struct keeper_reply *reply)
{
	if (pwrite(softdirty_clear, "4", 1, 0) != 1)
		return softdirty_failed(reply, "writing clear_refs");
	return 0;
}

const struct tracker tracker_softdirty = {
	.number = KEEPER_SOFT_DIRTY,
	.name = "soft_dirty",
	.can_skip = false,
	.open = softdirty_open,
	.watch = softdirty_watch,
	.ask = softdirty_ask,
	.check = softdirty_check,
	.clean_all = softdirty_clean_all,
	.clean = softdirty_clean_all,
};
