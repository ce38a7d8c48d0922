/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux: Documentation/admin-guide/cgroup-v2. One folder per seat, a child is born in it
 * (CLONE_INTO_CGROUP), the kernel kills the whole group when it runs out of memory
 * (memory.oom.group), and cgroup.kill ends it.
 *
 * Where our groups go: below the root group when that is ours; below our own group when it was
 * given to us (systemd's Delegate=yes says so in an extended attribute, or it is owned by an
 * ordinary user), after its processes moved aside, since a group with processes cannot hold
 * others; else, as root, below the top.
 */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/own.h"

#define V2_ASIDE "supervisor" /* the group that our own processes move to */

static const struct {
	const char *controller;
	unsigned powers;
} cgroup_v2_controllers[] = {
	{"cpu", CGROUP_HOLDS_CPU_WEIGHT | CGROUP_HOLDS_CPU_PERCENT},
	{"memory", CGROUP_HOLDS_MEMORY | CGROUP_HOLDS_SWAP | CGROUP_METERS_MEMORY},
	{"pids", CGROUP_HOLDS_PROCESSES},
};
#define V2_CONTROLLERS (sizeof(cgroup_v2_controllers) / sizeof(*cgroup_v2_controllers))

static const char *
cgroup_v2_file_of(char ret[64], unsigned seat, const char *file)
{
	snprintf(ret, 64, "s%u/%s", seat, file);
	return ret;
}

static bool
cgroup_v2_is_delegated(const char *folder)
{
	char value[4];
	struct stat st;

	if (getxattr(folder, "trusted.delegate", value, sizeof(value)) > 0 ||
		getxattr(folder, "user.delegate", value, sizeof(value)) > 0)
		return true;
	return stat(folder, &st) == 0 && st.st_uid != 0 && st.st_uid == geteuid();
}

/* A group that holds processes cannot give controllers to groups below it: ours go to a leaf. */
static void
cgroup_v2_move_aside(int dir)
{
	OWN(fd) int list = openat(dir, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	OWN(file) FILE *file = list < 0 ? NULL : fdopen(take_fd(&list), "re");
	int pid;

	mkdirat(dir, V2_ASIDE, 0755);
	while (file && fscanf(file, "%d", &pid) == 1)
		cgroup_write_f(dir, V2_ASIDE "/cgroup.procs", "%d", pid);
}

static void
cgroup_v2_note_missing(struct cgroup_parent *parent, const char *controllers, int code)
{
	size_t len = strlen(parent->missing);
	const char *why = strerror(code);

	if (code == ENOENT)
		why = "not available in the group above";
	if (code == EBUSY)
		why = "the group above holds processes (Delegate=yes)";
	if (code == EACCES || code == EPERM)
		why = "not permitted (Delegate=yes)";
	snprintf(parent->missing + len, sizeof(parent->missing) - len, "%s%s: %s", len ? "; " : "",
		controllers, why);
}

static bool
cgroup_v2_enable_one(int dir, const char *controller, bool may_move)
{
	if (cgroup_write_f(dir, "cgroup.subtree_control", "+%s", controller) == 0)
		return true;
	if (errno != EBUSY || !may_move)
		return false;
	cgroup_v2_move_aside(dir);
	return cgroup_write_f(dir, "cgroup.subtree_control", "+%s", controller) == 0;
}

/* Gives the controllers to the groups below `dir`; what fails loses its powers. */
static unsigned
cgroup_v2_enable(struct cgroup_parent *parent, int dir, unsigned powers, bool may_move)
{
	char failed[32] = "";
	int code = 0;

	for (size_t i = 0; i < V2_CONTROLLERS; i++) {
		size_t len = strlen(failed);

		if (!(powers & cgroup_v2_controllers[i].powers) ||
			cgroup_v2_enable_one(dir, cgroup_v2_controllers[i].controller, may_move))
			continue;
		code = errno;
		powers &= ~cgroup_v2_controllers[i].powers;
		snprintf(failed + len, sizeof(failed) - len, "%s%s", len ? ", " : "",
			cgroup_v2_controllers[i].controller);
	}
	if (code)
		cgroup_v2_note_missing(parent, failed, code);
	return powers;
}

static int
cgroup_v2_make_group(int dir, const char *name)
{
	if (mkdirat(dir, name, 0755) < 0 && errno != EEXIST)
		return -1;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int
cgroup_v2_open(struct cgroup_parent *parent, const char *parent_name, struct err *err)
{
	char own[PATH_MAX], top[PATH_MAX];
	OWN(fd) int above = -1;
	bool is_ours;

	if (!cgroup_find("", own, top, sizeof(own)))
		return err_set(err, ERR_UNAVAILABLE, "no cgroup2 is mounted");
	is_ours = strcmp(own, top) != 0 && cgroup_v2_is_delegated(own);
	above = open(is_ours ? own : top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return err_sys(err, "opening %s", is_ours ? own : top);
	parent->enforced =
		cgroup_v2_enable(parent, above, CGROUP_HOLDS_ALL & ~CGROUP_METERS_CPU, is_ours);
	if (parent->enforced == 0)
		return err_set(err, ERR_UNAVAILABLE, "%s", parent->missing);
	parent->base[0] = cgroup_v2_make_group(above, parent_name);
	if (parent->base[0] < 0)
		return err_sys(err, "making group %s", parent_name);
	parent->enforced = cgroup_v2_enable(parent, parent->base[0], parent->enforced, false);
	parent->dirs[0] = cgroup_v2_make_group(parent->base[0], parent->name);
	if (parent->dirs[0] < 0)
		return err_sys(err, "making group %s", parent->name);
	/* cpu.stat counts CPU time in every group, with or without the controller. */
	parent->enforced = cgroup_v2_enable(parent, parent->dirs[0], parent->enforced, false) |
			   CGROUP_METERS_CPU;
	return 0;
}

static int
cgroup_v2_create(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	char name[64];

	if (mkdirat(parent->dirs[0], cgroup_v2_file_of(name, seat, ""), 0755) < 0 &&
		errno != EEXIST)
		return err_sys(err, "making group %s", name);
	return 0;
}

static int
cgroup_v2_set_cpu(int dir, unsigned seat, const struct sandbox_limits *limits)
{
	char name[64];

	if (cgroup_write_f(
		    dir, cgroup_v2_file_of(name, seat, "cpu.weight"), "%u", limits->cpu_weight))
		return -1;
	if (limits->cpu_percent == 0)
		return 0;
	if (cgroup_write_f(dir, cgroup_v2_file_of(name, seat, "cpu.max"), "%llu 100000",
		    limits->cpu_percent * 1000ull))
		return -1;
	cgroup_write_f(dir, cgroup_v2_file_of(name, seat, "cpu.max.burst"), "%llu",
		limits->cpu_percent * 1000ull);
	return 0;
}

static int
cgroup_v2_set_memory(int dir, unsigned seat, const struct sandbox_limits *limits)
{
	char name[64];

	if (cgroup_write_f(dir, cgroup_v2_file_of(name, seat, "memory.max"), "%llu",
		    (unsigned long long)limits->memory_bytes) ||
		cgroup_write(dir, cgroup_v2_file_of(name, seat, "memory.oom.group"), "1"))
		return -1;
	/* The file is not there in a kernel without swap. */
	if (cgroup_write(dir, cgroup_v2_file_of(name, seat, "memory.swap.max"), "0") &&
		errno != ENOENT)
		return -1;
	return 0;
}

static int
cgroup_v2_set(struct cgroup_parent *parent, unsigned seat, const struct sandbox_limits *limits,
	struct err *err)
{
	int dir = parent->dirs[0];
	char name[64];

	if ((parent->enforced & CGROUP_HOLDS_CPU_WEIGHT) &&
		cgroup_v2_set_cpu(dir, seat, limits) < 0)
		return err_sys(err, "limiting CPU time");
	if ((parent->enforced & CGROUP_HOLDS_MEMORY) && cgroup_v2_set_memory(dir, seat, limits) < 0)
		return err_sys(err, "limiting memory");
	if ((parent->enforced & CGROUP_HOLDS_PROCESSES) &&
		cgroup_write_f(dir, cgroup_v2_file_of(name, seat, "pids.max"), "%u",
			limits->processes) < 0)
		return err_sys(err, "limiting processes");
	return 0;
}

static int
cgroup_v2_place(
	struct cgroup_parent *parent, unsigned seat, struct cgroup_place *ret, struct err *err)
{
	char name[64];

	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->procs[i] = -1;
	ret->into = openat(parent->dirs[0], cgroup_v2_file_of(name, seat, ""),
		O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ret->into < 0 ? err_sys(err, "opening group %s", name) : 0;
}

static int
cgroup_v2_open_file(struct cgroup_parent *parent, unsigned seat, const char *file, int flags)
{
	char name[64];

	return openat(parent->dirs[0], cgroup_v2_file_of(name, seat, file), flags | O_CLOEXEC);
}

static void
cgroup_v2_files(struct cgroup_parent *parent, unsigned seat, int ret[CGROUP_FILES])
{
	ret[CGROUP_CPU] = cgroup_v2_open_file(parent, seat, "cpu.stat", O_RDONLY);
	/* Writable since Linux 6.12: a write begins a new peak for this descriptor. */
	ret[CGROUP_PEAK] = cgroup_v2_open_file(parent, seat, "memory.peak", O_RDWR);
	if (ret[CGROUP_PEAK] < 0)
		ret[CGROUP_PEAK] = cgroup_v2_open_file(parent, seat, "memory.peak", O_RDONLY);
	ret[CGROUP_OOM] = cgroup_v2_open_file(parent, seat, "memory.events", O_RDONLY);
	ret[CGROUP_PIDS] = cgroup_v2_open_file(parent, seat, "pids.events", O_RDONLY);
}

static int
cgroup_v2_watch_oom(struct cgroup_parent *parent, unsigned seat)
{
	return -1;
}

static void
cgroup_v2_kill(struct cgroup_parent *parent, unsigned seat)
{
	char name[64];

	/* cgroup.kill is there since Linux 5.14. */
	if (cgroup_write(parent->dirs[0], cgroup_v2_file_of(name, seat, "cgroup.kill"), "1") < 0)
		cgroup_kill_listed(parent->dirs[0], cgroup_v2_file_of(name, seat, "cgroup.procs"));
}

static int
cgroup_v2_remove(struct cgroup_parent *parent, unsigned seat, struct err *err)
{
	char name[64];

	if (unlinkat(parent->dirs[0], cgroup_v2_file_of(name, seat, ""), AT_REMOVEDIR) == 0 ||
		errno == ENOENT)
		return 0;
	if (errno == EBUSY)
		return err_set(err, ERR_CONFLICT, "a process is still in %s", name);
	return err_sys(err, "removing group %s", name);
}

const struct cgroup_ops cgroup_v2 = {
	.name = "v2",
	.kind = CGROUP_V2,
	.open = cgroup_v2_open,
	.create = cgroup_v2_create,
	.set = cgroup_v2_set,
	.place = cgroup_v2_place,
	.files = cgroup_v2_files,
	.watch_oom = cgroup_v2_watch_oom,
	.kill = cgroup_v2_kill,
	.remove = cgroup_v2_remove,
};
