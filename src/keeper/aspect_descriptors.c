/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each descriptor of the snapshot is as it was (fdinfo.h), and there are no others: as many as then
 * and each of those is all that there can be. New ones are closed by the program itself, in ranges
 * between those that stay; what an epoll had of them goes with them.
 */
#include <string.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/fd_list.h"
#include "keeper/fdinfo.h"

#define DESCRIPTORS_MAX 512 /* of a program that can be kept */

static struct {
	int folder;        /* owned: /proc/<pid>/fd */
	struct fdinfo *at; /* owned, ascending */
	size_t n, n_room;
	size_t first_close, n_closes; /* in the batch */
} descriptors = {.folder = -1};

static void
descriptors_forget(void)
{
	for (size_t i = 0; i < descriptors.n; i++)
		fdinfo_done(&descriptors.at[i]);
	descriptors.n = 0;
	own_fd(&descriptors.folder);
}

static int
descriptors_learn(struct subject *subject, struct keeper_reply *reply)
{
	struct fd_list list;

	descriptors_forget();
	descriptors.folder = fd_list_open(subject, reply);
	if (descriptors.folder < 0 || fd_list_read(descriptors.folder, &list, reply) < 0)
		return -1;
	if (list.n > DESCRIPTORS_MAX)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "it has %zu descriptors", list.n);
	if (list.n > descriptors.n_room) {
		descriptors.n_room = list.n;
		descriptors.at = mem_grow(descriptors.at, list.n * sizeof(*descriptors.at));
	}
	for (; descriptors.n < list.n; descriptors.n++) {
		if (fdinfo_learn(subject, list.at[descriptors.n], &descriptors.at[descriptors.n],
			    reply) < 0) {
			fdinfo_done(&descriptors.at[descriptors.n]);
			return -1;
		}
	}
	return 0;
}

static void
descriptors_close(struct subject *subject, uint64_t first, uint64_t last)
{
	size_t at = subject_add_call(subject, SYS_close_range, first, last, 0);

	if (descriptors.n_closes++ == 0)
		descriptors.first_close = at;
}

/* The gaps between those that stay, where something is in them. */
static int
descriptors_close_new(struct subject *subject, struct keeper_reply *reply)
{
	struct fd_list list;
	size_t known = 0;
	int64_t closed_to = -1;

	if (fd_list_read(descriptors.folder, &list, reply) < 0)
		return -1;
	for (size_t i = 0; i < list.n; i++) {
		while (known < descriptors.n && descriptors.at[known].number < list.at[i])
			known++;
		if (known < descriptors.n && descriptors.at[known].number == list.at[i])
			continue;
		reply->figures.n_descriptors++;
		if (list.at[i] <= closed_to)
			continue;
		closed_to = known < descriptors.n ? descriptors.at[known].number - 1 : INT32_MAX;
		descriptors_close(subject, (uint64_t)list.at[i], (uint64_t)closed_to);
	}
	return 0;
}

static int
descriptors_look(struct subject *subject, struct keeper_reply *reply)
{
	size_t n;

	descriptors.n_closes = 0;
	for (size_t i = 0; i < descriptors.n; i++) {
		if (fdinfo_look(subject, &descriptors.at[i], reply) < 0)
			return -1;
	}
	if (fd_list_count(descriptors.folder, &n, reply) < 0)
		return -1;
	return n == descriptors.n ? 0 : descriptors_close_new(subject, reply);
}

static int
descriptors_check_closed(struct subject *subject, struct keeper_reply *reply)
{
	size_t n;

	for (size_t i = 0; i < descriptors.n_closes; i++) {
		int64_t result = subject->batch[descriptors.first_close + i].result;

		if (result < 0)
			return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "close_range: %s",
				strerror((int)-result));
	}
	if (fd_list_count(descriptors.folder, &n, reply) < 0)
		return -1;
	if (n != descriptors.n)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "%zu descriptors are left",
			n - descriptors.n);
	return 0;
}

static int
descriptors_check(struct subject *subject, struct keeper_reply *reply)
{
	if (descriptors.n_closes > 0 && descriptors_check_closed(subject, reply) < 0)
		return -1;
	for (size_t i = 0; i < descriptors.n; i++) {
		if (fdinfo_check(subject, &descriptors.at[i], reply) < 0)
			return -1;
	}
	return 0;
}

const struct aspect aspect_descriptors = {
	"descriptors", descriptors_learn, NULL, descriptors_look, descriptors_check};
