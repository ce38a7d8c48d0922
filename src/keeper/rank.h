/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rank - how the kernel schedules a thread: policy and nice value, its way to disks, its
 * processors.
 *
 * All that any process of the same user may set for another. Knows nothing of putting it back.
 * mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_RANK_H
#define MAYFLY_KEEPER_RANK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	RANK_CPUS_SIZE = 128, /* bytes of a set */
	RANK_IO_PROCESS = 1,  /* IOPRIO_WHO_PROCESS */
	RANK_WORDS = 7,       /* of the kernel's struct sched_attr, Linux 5.3 */
};

struct rank {
	uint64_t schedule[RANK_WORDS];
	int io_priority;
	size_t cpus_size; /* of `cpus`, that the kernel has told */
	uint8_t cpus[RANK_CPUS_SIZE];
};

/* What cannot be had (the thread has ended) is zero or -1. */
void rank_see(pid_t tid, struct rank *ret);

bool rank_is_same_schedule(const struct rank *a, const struct rank *b);
bool rank_is_same_cpus(const struct rank *a, const struct rank *b);
bool rank_is_same(const struct rank *a, const struct rank *b);

#endif
