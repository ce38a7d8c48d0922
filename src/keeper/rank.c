/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/rank.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

void
rank_see(pid_t tid, struct rank *ret)
{
	long size;

	memset(ret, 0, offsetof(struct rank, cpus));
	syscall(SYS_sched_getattr, tid, ret->schedule, sizeof(ret->schedule), 0);
	ret->io_priority = (int)syscall(SYS_ioprio_get, RANK_IO_PROCESS, tid);
	size = syscall(SYS_sched_getaffinity, tid, sizeof(ret->cpus), ret->cpus);
	ret->cpus_size = size > 0 ? (size_t)size : 0;
}

bool
rank_is_same_schedule(const struct rank *a, const struct rank *b)
{
	return memcmp(a->schedule, b->schedule, sizeof(a->schedule)) == 0;
}

bool
rank_is_same_cpus(const struct rank *a, const struct rank *b)
{
	return a->cpus_size == b->cpus_size && memcmp(a->cpus, b->cpus, a->cpus_size) == 0;
}

bool
rank_is_same(const struct rank *a, const struct rank *b)
{
	return rank_is_same_schedule(a, b) && a->io_priority == b->io_priority &&
	       rank_is_same_cpus(a, b);
}
