/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/fork_warm.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

#define WARM_PAGE    4096
#define WARM_AT_ONCE 512 /* pages */
#define WARM_GAP_MAX 8   /* pages of a file between two that are touched with them */
#define WARM_ALONE   (1ull << 56)
#define WARM_FILE    (1ull << 61)
#define WARM_PRESENT (1ull << 63)
#define WARM_EACH    512 /* of so many children the first is born cold */

/* Linux 5.14's, where the headers are older. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

struct warm_range {
	uint64_t start, end;
	int advice;
};

static struct {
	struct warm_range ranges[FORK_WARM_MAX];
	size_t n;
	unsigned n_children;
} warm;

static void
fork_warm_add(uint64_t page, int advice)
{
	struct warm_range *last = &warm.ranges[warm.n - 1];
	uint64_t gap = advice == MADV_POPULATE_READ ? WARM_GAP_MAX * WARM_PAGE : 0;

	if (warm.n > 0 && last->advice == advice && page - last->end <= gap) {
		last->end = page + WARM_PAGE;
		return;
	}
	if (warm.n < FORK_WARM_MAX)
		warm.ranges[warm.n++] = (struct warm_range){page, page + WARM_PAGE, advice};
}

static void
fork_warm_learn_range(int pagemap, const struct maps_range *range)
{
	static uint64_t entries[WARM_AT_ONCE];
	uint64_t at = range->start;

	while (at < range->end) {
		ssize_t n =
			pread(pagemap, entries, sizeof(entries), (off_t)(at / WARM_PAGE * 8)) / 8;

		if (n <= 0)
			return;
		for (ssize_t i = 0; i < n && at < range->end; i++, at += WARM_PAGE) {
			if (!(entries[i] & WARM_PRESENT))
				continue;
			if (entries[i] & WARM_FILE)
				fork_warm_add(at, MADV_POPULATE_READ);
			else if ((entries[i] & WARM_ALONE) && (range->protection & PROT_WRITE))
				fork_warm_add(at, MADV_POPULATE_WRITE);
		}
	}
}

/* Where there is nothing of the parent's to be read, its large empty mappings are left out. */
void
fork_warm_learn(const struct layout *layout, pid_t child)
{
	char path[32];
	OWN(fd) int pagemap = -1;

	if (!fork_warm_is_cold())
		return;
	snprintf(path, sizeof(path), "/proc/%d/pagemap", child);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (pagemap < 0)
		return;
	warm.n = 0;
	for (size_t i = 0; i < layout->n_ranges; i++) {
		if (layout_is_tracked(&layout->ranges[i]) && layout->ranges[i].protection)
			fork_warm_learn_range(pagemap, &layout->ranges[i]);
	}
}

bool
fork_warm_is_cold(void)
{
	return warm.n_children % WARM_EACH == 1;
}

size_t
fork_warm_calls(struct subject_op ret[static FORK_WARM_MAX])
{
	warm.n_children++;
	if (fork_warm_is_cold())
		return 0;
	for (size_t i = 0; i < warm.n; i++)
		ret[i] = (struct subject_op){.number = SYS_madvise,
			.args = {warm.ranges[i].start, warm.ranges[i].end - warm.ranges[i].start,
				(uint64_t)warm.ranges[i].advice}};
	return warm.n;
}
