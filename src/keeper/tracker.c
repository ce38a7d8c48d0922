/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tracker.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/userfaultfd.h>

#include "base/mem.h"

struct tracker_range *tracker_found;
size_t tracker_n_found;
static size_t tracker_room;

static void
tracker_make_room(size_t n)
{
	if (tracker_n_found + n <= tracker_room)
		return;
	tracker_room = (tracker_n_found + n) * 2 + 1024;
	tracker_found = mem_grow(tracker_found, tracker_room * sizeof(*tracker_found));
}

void
tracker_add(uint64_t start, uint64_t end, uint64_t is)
{
	struct tracker_range *last = tracker_found + tracker_n_found - 1;

	if (tracker_n_found > 0 && last->end == start && last->is == is) {
		last->end = end;
		return;
	}
	tracker_make_room(1);
	tracker_found[tracker_n_found++] = (struct tracker_range){start, end, is};
}

void
tracker_add_n(const struct tracker_range *ranges, size_t n)
{
	tracker_make_room(n);
	if (n > 0)
		memcpy(tracker_found + tracker_n_found, ranges, n * sizeof(*ranges));
	tracker_n_found += n;
}

void
tracker_forget(void)
{
	tracker_n_found = 0;
}

/* It must belong to the memory of the subject, so the subject makes it. */
int
tracker_take_fault(struct subject *subject, struct keeper_reply *reply)
{
	static int fault = -1;
	int64_t number, closed;

	if (fault >= 0)
		return fault;
	if (subject_inject_call(subject, &number, reply, SYS_userfaultfd,
		    O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY) < 0)
		return -1;
	if (number < 0)
		return verdict(
			reply, KEEPER_CAUSE_KERNEL, "userfaultfd: %s", strerror((int)-number));
	fault = (int)syscall(SYS_pidfd_getfd, subject->pidfd, (int)number, 0);
	if (fault < 0)
		verdict(reply, KEEPER_CAUSE_KERNEL, "pidfd_getfd: %s", strerror(errno));
	if (subject_inject_call(subject, &closed, reply, SYS_close, (uint64_t)number) < 0)
		return -1;
	return fault;
}

const struct tracker *
tracker_choose(struct subject *subject, struct keeper_reply *reply)
{
	static const struct tracker *const trackers[] = {&tracker_pagemap, &tracker_softdirty};
	struct keeper_reply first = {0}, other = {0};

	if (trackers[0]->open(subject, &first) == 0)
		return trackers[0];
	if (trackers[1]->open(subject, &other) == 0)
		return trackers[1];
	verdict(reply, first.cause, "%s; %s", first.text, other.text);
	return NULL;
}
