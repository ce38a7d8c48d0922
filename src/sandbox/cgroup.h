/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cgroup - limits and meters of a sandbox: one interface over cgroup v2, v1, and none.
 *
 * A spawner has one group of its own, <parent>/<its pid>-<its start time>, and in it one group per
 * seat ("s12"). The name tells whether the spawner that made it still lives, so groups of a dead
 * one are swept when the next starts.
 *
 *	create ─▶ set(limits) ─▶ place / join ─▶ files ─▶ kill ─▶ remove
 *
 * `none` takes everything and enforces nothing: what `enforced` lacks is said by who starts.
 * Knows nothing of namespaces and mounts. mayfly-spawner; one thread. Links statically.
 */
#ifndef MAYFLY_SANDBOX_CGROUP_H
#define MAYFLY_SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "sandbox/spawner.h"

enum cgroup_kind { CGROUP_NONE, CGROUP_V1, CGROUP_V2 };

/* What can be held, as bits of cgroup_parent.enforced. */
enum cgroup_power {
	CGROUP_HOLDS_MEMORY = 1,
	CGROUP_HOLDS_SWAP = 2,
	CGROUP_HOLDS_CPU_WEIGHT = 4,
	CGROUP_HOLDS_CPU_PERCENT = 8,
	CGROUP_HOLDS_PROCESSES = 16,
	CGROUP_METERS_CPU = 32,
	CGROUP_METERS_MEMORY = 64,
};
#define CGROUP_HOLDS_ALL 127

/* Files that tell the usage of one group. */
enum cgroup_file { CGROUP_CPU, CGROUP_PEAK, CGROUP_OOM, CGROUP_PIDS, CGROUP_FILES };

#define CGROUP_HIERARCHIES 4 /* v1: cpu, cpuacct, memory, pids */
#define CGROUP_NAME_SIZE   48

struct cgroup_parent {
	const struct cgroup_ops *ops;
	int dirs[CGROUP_HIERARCHIES]; /* owned: our own group in each hierarchy, -1 for none */
	int base[CGROUP_HIERARCHIES]; /* owned: the group above it */
	char name[CGROUP_NAME_SIZE];  /* of our own group */
	unsigned enforced;            /* enum cgroup_power */
	char missing[160];            /* why not all of it, "" when all is enforced */
};

/* How a process gets into its group: born there (`into`, for CLONE_INTO_CGROUP), or by joining
 * before it does anything else. */
struct cgroup_place {
	int into;                      /* owned, -1 for none */
	int procs[CGROUP_HIERARCHIES]; /* owned, -1 for none */
};

struct cgroup_ops {
	const char *name;
	enum cgroup_kind kind;
	/* Opens `base` and makes `dirs`; ERR_UNAVAILABLE with the reason when this kind is not to
	 * be had. `parent_name` is one path component. */
	int (*open)(struct cgroup_parent *parent, const char *parent_name, struct err *err);
	int (*create)(struct cgroup_parent *parent, unsigned seat, struct err *err);
	int (*set)(struct cgroup_parent *parent, unsigned seat, const struct sandbox_limits *limits,
		struct err *err);
	int (*place)(struct cgroup_parent *parent, unsigned seat, struct cgroup_place *ret,
		struct err *err);
	/* Descriptors that cgroup_usage() reads, -1 where there is none. */
	void (*files)(struct cgroup_parent *parent, unsigned seat, int ret[CGROUP_FILES]);
	/* An eventfd that becomes readable when the group ran out of memory, where the kernel does
	 * not kill the whole group by itself; -1 where it does. */
	int (*watch_oom)(struct cgroup_parent *parent, unsigned seat);
	/* Sends SIGKILL to every process of the group, does not wait. One that forks meanwhile
	 * can be missed: what ends it for good is the death of its pid 1. */
	void (*kill)(struct cgroup_parent *parent, unsigned seat);
	/* ERR_CONFLICT while something in it is not yet dead; absent is fine. */
	int (*remove)(struct cgroup_parent *parent, unsigned seat, struct err *err);
};

extern const struct cgroup_ops cgroup_v1, cgroup_v2, cgroup_none;

/* Takes the first kind of v2, v1, none that is to be had, sweeps what dead spawners left, and
 * makes our own group. Fails only when a group of ours cannot be made. */
int cgroup_open(struct cgroup_parent *ret, const char *parent_name, struct err *err);

/* The same with one kind only. */
int cgroup_open_kind(struct cgroup_parent *ret, const struct cgroup_ops *ops,
	const char *parent_name, struct err *err);

/* Removes our own group; what is in it must be removed. */
void cgroup_close(struct cgroup_parent *parent);

/* In the process to be held, as its first act, while it has one thread. */
int cgroup_join(const struct cgroup_place *place, struct err *err);
void cgroup_place_done(struct cgroup_place *place);

static inline void
own_cgroup_place(struct cgroup_place *place)
{
	cgroup_place_done(place);
}

/* Reads usage from the files of a group, by pread: any process that holds the descriptors. Files
 * that are -1 leave zeros. */
void cgroup_usage(enum cgroup_kind kind, const int files[CGROUP_FILES], struct sandbox_usage *ret);
uint64_t cgroup_cpu_us(enum cgroup_kind kind, const int files[CGROUP_FILES]);
uint64_t cgroup_peak_bytes(const int files[CGROUP_FILES]);
bool cgroup_reset_peak(enum cgroup_kind kind, const int files[CGROUP_FILES]);

/* For the implementations. */

/* Where a hierarchy is mounted, with our own group behind it ("/sys/fs/cgroup/memory/a/b") in
 * ret, and the mount point itself in ret_top (may be NULL). controller "" is v2. False if it is
 * not mounted. */
bool cgroup_find(const char *controller, char *ret, char *ret_top, size_t size);

/* openat + write; 0 or -1 with errno. */
int cgroup_write(int dir, const char *file, const char *text);
__attribute__((format(printf, 3, 4))) int cgroup_write_f(
	int dir, const char *file, const char *format, ...);

/* Reads a small file whole, terminated; false when it cannot. */
bool cgroup_read(int dir, const char *file, char *ret, size_t size);

/* Sends SIGKILL to every process listed in <dir>/<file>. */
void cgroup_kill_listed(int dir, const char *file);

#endif
