/* SPDX-License-Identifier: Apache-2.0 */
/*
 * No groups: for a user to whom no part of the tree was given. Memory, CPU and the number of
 * processes of a sandbox are then held by rlimits alone, each process by itself.
 */
#include "sandbox/cgroup.h"

static int
cgroup_none_open(struct cgroup_parent *parent, const char *parent_name, struct err *err)
{
	parent->enforced = 0;
	return 0;
}

static int
cgroup_none_create(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	return 0;
}

static int
cgroup_none_set(struct cgroup_parent *parent, unsigned seat, const struct sandbox_limits *limits,
	struct err *err)
{
	return 0;
}

static int
cgroup_none_place(
	struct cgroup_parent *parent, unsigned seat, struct cgroup_place *ret, struct err *err)
{
	ret->into = -1;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->procs[i] = -1;
	return 0;
}

static void
cgroup_none_files(struct cgroup_parent *parent, unsigned seat, int ret[CGROUP_FILES])
{
	for (size_t i = 0; i < CGROUP_FILES; i++)
		ret[i] = -1;
}

static int
cgroup_none_watch_oom(struct cgroup_parent *parent, unsigned seat)
{
	return -1;
}

static void
cgroup_none_kill(struct cgroup_parent *parent, unsigned seat)
{
	/* Whoever ends pid 1 of the sandbox ends all of it. */
}

static int
cgroup_none_remove(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	return 0;
}

const struct cgroup_ops cgroup_none = {
	.name = "none",
	.kind = CGROUP_NONE,
	.open = cgroup_none_open,
	.create = cgroup_none_create,
	.set = cgroup_none_set,
	.place = cgroup_none_place,
	.files = cgroup_none_files,
	.watch_oom = cgroup_none_watch_oom,
	.kill = cgroup_none_kill,
	.remove = cgroup_none_remove,
};
