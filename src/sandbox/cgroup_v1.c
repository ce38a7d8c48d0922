/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux: Documentation/admin-guide/cgroup-v1. A seat is one folder in each of up to four
 * hierarchies (fewer where controllers are mounted together). A process joins by writing `tasks`
 * itself, when it has just been born: what moves a whole process, cgroup.procs, waits for an RCU
 * grace period, up to tens of milliseconds.
 */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/own.h"

enum { V1_CPU, V1_CPUACCT, V1_MEMORY, V1_PIDS };
_Static_assert(V1_PIDS + 1 == CGROUP_HIERARCHIES, "one place per hierarchy");

static const struct {
	const char *controller;
	unsigned powers;
} cgroup_v1_hierarchies[CGROUP_HIERARCHIES] = {
	[V1_CPU] = {"cpu", CGROUP_HOLDS_CPU_WEIGHT | CGROUP_HOLDS_CPU_PERCENT},
	[V1_CPUACCT] = {"cpuacct", CGROUP_METERS_CPU},
	[V1_MEMORY] = {"memory", CGROUP_HOLDS_MEMORY | CGROUP_METERS_MEMORY},
	[V1_PIDS] = {"pids", CGROUP_HOLDS_PROCESSES},
};

static const char *
cgroup_v1_file_of(char ret[64], unsigned seat, const char *file)
{
	snprintf(ret, 64, "s%u/%s", seat, file);
	return ret;
}

static void
cgroup_v1_note_missing(struct cgroup_parent *parent, const char *what, const char *why)
{
	size_t len = strlen(parent->missing);

	snprintf(parent->missing + len, sizeof(parent->missing) - len, "%s%s: %s", len ? "; " : "",
		what, why);
}

/* Makes `folder`/`parent_name`, and our own group in it. */
static int
cgroup_v1_open_below(
	struct cgroup_parent *parent, size_t i, const char *folder, const char *parent_name)
{
	OWN(fd) int above = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (above < 0 || (mkdirat(above, parent_name, 0755) < 0 && errno != EEXIST))
		return -1;
	parent->base[i] = openat(above, parent_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent->base[i] < 0 ||
		(mkdirat(parent->base[i], parent->name, 0755) < 0 && errno != EEXIST))
		return -1;
	parent->dirs[i] = openat(parent->base[i], parent->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return parent->dirs[i] < 0 ? -1 : 0;
}

/* At the top, where the next spawner finds what this one leaves, whatever group it is started in;
 * an ordinary user may have been given a group of his own. */
static int
cgroup_v1_open_hierarchy(struct cgroup_parent *parent, size_t i, const char *parent_name)
{
	char own[PATH_MAX], top[PATH_MAX];

	if (!cgroup_find(cgroup_v1_hierarchies[i].controller, own, top, sizeof(own))) {
		errno = ENOENT;
		return -1;
	}
	if (cgroup_v1_open_below(parent, i, top, parent_name) == 0)
		return 0;
	own_fd(&parent->base[i]);
	parent->base[i] = -1;
	return cgroup_v1_open_below(parent, i, own, parent_name);
}

static int
cgroup_v1_open(struct cgroup_parent *parent, const char *parent_name, struct err *err)
{
	char failed[48] = "";
	int code = 0;

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		size_t len = strlen(failed);

		if (cgroup_v1_open_hierarchy(parent, i, parent_name) == 0) {
			parent->enforced |= cgroup_v1_hierarchies[i].powers;
		} else {
			code = errno;
			snprintf(failed + len, sizeof(failed) - len, "%s%s", len ? ", " : "",
				cgroup_v1_hierarchies[i].controller);
		}
	}
	if (code)
		cgroup_v1_note_missing(parent, failed, strerror(code));
	if (parent->enforced == 0)
		return err_set(err, ERR_UNAVAILABLE, "%s", parent->missing);
	if (parent->dirs[V1_MEMORY] >= 0 &&
		faccessat(parent->dirs[V1_MEMORY], "memory.memsw.limit_in_bytes", F_OK, 0) == 0)
		parent->enforced |= CGROUP_HOLDS_SWAP;
	else
		cgroup_v1_note_missing(
			parent, "swap", "the kernel does not count swap (swapaccount=1)");
	return 0;
}

static int
cgroup_v1_create(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	char name[64];

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (parent->dirs[i] >= 0 &&
			mkdirat(parent->dirs[i], cgroup_v1_file_of(name, seat, ""), 0755) < 0 &&
			errno != EEXIST)
			return err_sys(
				err, "making a %s group", cgroup_v1_hierarchies[i].controller);
	}
	return 0;
}

static int
cgroup_v1_set_cpu(int dir, unsigned seat, const struct sandbox_limits *limits)
{
	unsigned shares = limits->cpu_weight * 1024 / 100;
	char name[64];

	if (cgroup_write_f(dir, cgroup_v1_file_of(name, seat, "cpu.shares"), "%u",
		    shares < 2 ? 2 : shares))
		return -1;
	if (limits->cpu_percent == 0)
		return 0;
	if (cgroup_write_f(dir, cgroup_v1_file_of(name, seat, "cpu.cfs_quota_us"), "%llu",
		    limits->cpu_percent * 1000ull))
		return -1;
	/* What was not used may be used later: short work is not made to wait. Since Linux 5.14. */
	cgroup_write_f(dir, cgroup_v1_file_of(name, seat, "cpu.cfs_burst_us"), "%llu",
		limits->cpu_percent * 1000ull);
	return 0;
}

static int
cgroup_v1_set_memory(
	struct cgroup_parent *parent, int dir, unsigned seat, const struct sandbox_limits *limits)
{
	unsigned long long bytes = limits->memory_bytes;
	char name[64];

	if (cgroup_write_f(
		    dir, cgroup_v1_file_of(name, seat, "memory.limit_in_bytes"), "%llu", bytes))
		return -1;
	if (!(parent->enforced & CGROUP_HOLDS_SWAP))
		return 0;
	return cgroup_write_f(
		dir, cgroup_v1_file_of(name, seat, "memory.memsw.limit_in_bytes"), "%llu", bytes);
}

static int
cgroup_v1_set(struct cgroup_parent *parent, unsigned seat, const struct sandbox_limits *limits,
	struct err *err)
{
	const int *dirs = parent->dirs;
	char name[64];

	if (dirs[V1_CPU] >= 0 && cgroup_v1_set_cpu(dirs[V1_CPU], seat, limits) < 0)
		return err_sys(err, "limiting CPU time");
	if (dirs[V1_MEMORY] >= 0 && cgroup_v1_set_memory(parent, dirs[V1_MEMORY], seat, limits) < 0)
		return err_sys(err, "limiting memory");
	if (dirs[V1_PIDS] >= 0 &&
		cgroup_write_f(dirs[V1_PIDS], cgroup_v1_file_of(name, seat, "pids.max"), "%u",
			limits->processes) < 0)
		return err_sys(err, "limiting processes");
	return 0;
}

/* By `tasks`: only the calling thread moves, which is all there is of it. */
static int
cgroup_v1_place(
	struct cgroup_parent *parent, unsigned seat, struct cgroup_place *ret, struct err *err)
{
	char name[64];

	ret->into = -1;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->procs[i] = -1;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (parent->dirs[i] < 0)
			continue;
		ret->procs[i] = openat(parent->dirs[i], cgroup_v1_file_of(name, seat, "tasks"),
			O_WRONLY | O_CLOEXEC);
		if (ret->procs[i] < 0) {
			err_sys(err, "opening %s", name);
			cgroup_place_done(ret);
			return ERR_SYSTEM;
		}
	}
	return 0;
}

static int
cgroup_v1_open_file(
	struct cgroup_parent *parent, size_t i, unsigned seat, const char *file, int flags)
{
	char name[64];

	if (parent->dirs[i] < 0)
		return -1;
	return openat(parent->dirs[i], cgroup_v1_file_of(name, seat, file), flags | O_CLOEXEC);
}

static void
cgroup_v1_files(struct cgroup_parent *parent, unsigned seat, int ret[CGROUP_FILES])
{
	ret[CGROUP_CPU] = cgroup_v1_open_file(parent, V1_CPUACCT, seat, "cpuacct.usage", O_RDONLY);
	ret[CGROUP_PEAK] =
		cgroup_v1_open_file(parent, V1_MEMORY, seat, "memory.max_usage_in_bytes", O_RDWR);
	ret[CGROUP_OOM] =
		cgroup_v1_open_file(parent, V1_MEMORY, seat, "memory.oom_control", O_RDONLY);
	ret[CGROUP_PIDS] = cgroup_v1_open_file(parent, V1_PIDS, seat, "pids.events", O_RDONLY);
}

static int
cgroup_v1_watch_oom(struct cgroup_parent *parent, unsigned seat)
{
	OWN(fd)
	int control = cgroup_v1_open_file(parent, V1_MEMORY, seat, "memory.oom_control", O_RDONLY);
	OWN(fd) int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	char name[64];

	if (control < 0 || event < 0 ||
		cgroup_write_f(parent->dirs[V1_MEMORY],
			cgroup_v1_file_of(name, seat, "cgroup.event_control"), "%d %d", event,
			control) < 0)
		return -1;
	return take_fd(&event);
}

static void
cgroup_v1_kill(struct cgroup_parent *parent, unsigned seat)
{
	char name[64];

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (parent->dirs[i] >= 0)
			cgroup_kill_listed(
				parent->dirs[i], cgroup_v1_file_of(name, seat, "cgroup.procs"));
	}
}

static int
cgroup_v1_remove(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	char name[64];

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (parent->dirs[i] < 0 ||
			unlinkat(parent->dirs[i], cgroup_v1_file_of(name, seat, ""),
				AT_REMOVEDIR) == 0 ||
			errno == ENOENT)
			continue;
		if (errno == EBUSY)
			return err_set(err, ERR_CONFLICT, "a process is still in %s", name);
		return err_sys(err, "removing a %s group", cgroup_v1_hierarchies[i].controller);
	}
	return 0;
}

const struct cgroup_ops cgroup_v1 = {
	.name = "v1",
	.kind = CGROUP_V1,
	.open = cgroup_v1_open,
	.create = cgroup_v1_create,
	.set = cgroup_v1_set,
	.place = cgroup_v1_place,
	.files = cgroup_v1_files,
	.watch_oom = cgroup_v1_watch_oom,
	.kill = cgroup_v1_kill,
	.remove = cgroup_v1_remove,
};
