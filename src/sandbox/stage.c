/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "base/path.h"

static const char *const stage_devices[] = {"null", "zero", "full", "random", "urandom"};
#define STAGE_DEVICES (sizeof(stage_devices) / sizeof(*stage_devices))

static const struct {
	const char *name, *target;
} stage_links[] = {
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"},
	{"shm", "/tmp"}, /* POSIX shared memory counts against /tmp */
};

int
stage_copy(const char *path, enum stage_flags flags)
{
	unsigned deep = flags & STAGE_DEEP ? AT_RECURSIVE : 0;
	OWN(fd) int fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
	struct mount_attr attributes = {
		.attr_set = MOUNT_ATTR_NOSUID,
		.propagation = MS_PRIVATE,
	};

	if (fd < 0)
		return -1;
	if (flags & STAGE_READ_ONLY)
		attributes.attr_set |= MOUNT_ATTR_RDONLY;
	if (flags & STAGE_NO_DEVICES)
		attributes.attr_set |= MOUNT_ATTR_NODEV;
	if (flags & STAGE_NO_EXEC)
		attributes.attr_set |= MOUNT_ATTR_NOEXEC;
	if (mount_setattr(fd, "", AT_EMPTY_PATH | deep, &attributes, sizeof(attributes)) < 0)
		return -1;
	return take_fd(&fd);
}

static int
stage_write(const char *path, const char *text)
{
	OWN(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* A user namespace in which this user is root, and no one else is anyone. */
static int
stage_enter_user(struct err *err)
{
	unsigned uid = geteuid(), gid = getegid();
	char map[32];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_sys(err, "making a user namespace");
	stage_write("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1\n", gid);
	if (stage_write("/proc/self/gid_map", map) < 0)
		return err_sys(err, "writing gid_map");
	snprintf(map, sizeof(map), "0 %u 1\n", uid);
	if (stage_write("/proc/self/uid_map", map) < 0)
		return err_sys(err, "writing uid_map");
	return 0;
}

bool
stage_is_user_shared(unsigned first, unsigned n)
{
	OWN(file) FILE *map = fopen("/proc/self/uid_map", "re");
	unsigned inside, outside, count;

	while (map && fscanf(map, "%u %u %u", &inside, &outside, &count) == 3) {
		if (inside <= first && first - inside <= count && n <= count - (first - inside))
			return false;
	}
	return true;
}

static int
stage_attach(int mount, const char *path, struct err *err)
{
	if (mount < 0 || move_mount(mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mounting %s of the stage", path);
	return 0;
}

/* The devices are the host's own nodes: a node cannot be made in a user namespace. */
static int
stage_make_dev(const int devices[static STAGE_DEVICES], struct err *err)
{
	struct mount_attr sealed = {.attr_set = MOUNT_ATTR_RDONLY};
	char path[32];
	int rc = 0;

	if (mkdir("dev", 0755) < 0 ||
		mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0)
		return err_sys(err, "mounting /dev of the stage");
	for (size_t i = 0; rc == 0 && i < STAGE_DEVICES; i++) {
		snprintf(path, sizeof(path), "dev/%s", stage_devices[i]);
		if (mknod(path, S_IFREG | 0666, 0) < 0)
			return err_sys(err, "making %s", path);
		rc = stage_attach(devices[i], path, err);
	}
	for (size_t i = 0; i < sizeof(stage_links) / sizeof(*stage_links); i++) {
		snprintf(path, sizeof(path), "dev/%s", stage_links[i].name);
		if (symlink(stage_links[i].target, path) < 0)
			return err_sys(err, "making %s", path);
	}
	if (rc == 0 && mount_setattr(AT_FDCWD, "dev", 0, &sealed, sizeof(sealed)) < 0)
		return err_sys(err, "sealing /dev of the stage");
	return rc;
}

static int
stage_make_folder(int mount, const char *path, struct err *err)
{
	if (mkdir(path, 0755) < 0)
		return err_sys(err, "making %s of the stage", path);
	return stage_attach(mount, path, err);
}

struct stage_parts {
	int proc, keeper_proc, trees, devices[STAGE_DEVICES], roots[64]; /* owned */
	size_t n_roots;
};

static void
own_stage_parts(struct stage_parts *parts)
{
	own_fd(&parts->proc);
	own_fd(&parts->keeper_proc);
	own_fd(&parts->trees);
	for (size_t i = 0; i < STAGE_DEVICES; i++)
		own_fd(&parts->devices[i]);
	for (size_t i = 0; i < parts->n_roots; i++)
		own_fd(&parts->roots[i]);
}

/* Copies of everything of the host that is wanted, while it can still be seen. */
static int
stage_collect(const struct stage_plan *plan, struct stage_parts *parts, struct err *err)
{
	OWN(mem) char *trees = path_join(plan->data_dir, "trees");
	char path[32];
	int rc = path_make(trees, 0755, err);

	if (rc < 0)
		return rc;
	parts->proc = stage_copy("/proc", STAGE_DEEP);
	parts->keeper_proc = stage_copy("/proc", STAGE_DEEP);
	if (parts->proc < 0 || parts->keeper_proc < 0)
		return err_sys(err, "copying the mount of /proc");
	parts->trees = stage_copy(trees, STAGE_NO_DEVICES);
	if (parts->trees < 0)
		return err_sys(err, "copying the mount of %s", trees);
	for (size_t i = 0; i < STAGE_DEVICES; i++) {
		snprintf(path, sizeof(path), "/dev/%s", stage_devices[i]);
		/* Its bytes can be written all the same; its times and owner are the host's. */
		parts->devices[i] = stage_copy(path, STAGE_NO_EXEC | STAGE_READ_ONLY);
		if (parts->devices[i] < 0)
			return err_sys(err, "copying the mount of %s", path);
	}
	for (; parts->n_roots < plan->n_roots; parts->n_roots++) {
		const char *root = plan->roots[parts->n_roots];
		int fd = stage_copy(root, STAGE_READ_ONLY | STAGE_NO_DEVICES);

		if (fd < 0)
			return err_sys(err, "copying the mount of %s", root);
		parts->roots[parts->n_roots] = fd;
	}
	return 0;
}

static int
stage_build(const struct stage_parts *parts, struct err *err)
{
	char path[32];
	int rc = stage_make_folder(parts->proc, "proc", err);

	if (rc == 0 && mkdir("keeper", 0755) < 0)
		rc = err_sys(err, "making the folder of keepers");
	if (rc == 0)
		rc = stage_make_folder(parts->keeper_proc, "keeper/proc", err);
	if (rc == 0)
		rc = stage_make_folder(parts->trees, "trees", err);
	if (rc == 0)
		rc = stage_make_dev(parts->devices, err);
	if (rc == 0 && (mkdir("root", 0755) < 0 || mkdir("roots", 0755) < 0))
		rc = err_sys(err, "making the folders of the stage");
	for (size_t i = 0; rc == 0 && i < parts->n_roots; i++) {
		snprintf(path, sizeof(path), "roots/%zu", i);
		rc = stage_make_folder(parts->roots[i], path, err);
	}
	return rc;
}

static int
stage_move_in(const char *at, struct err *err)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "moving onto the stage at %s", at);
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "leaving the host's mounts");
	if (chdir("/") < 0 || mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return err_sys(err, "sealing the stage");
	return 0;
}

int
stage_enter(const struct stage_plan *plan, struct err *err)
{
	OWN(stage_parts) struct stage_parts parts = {.proc = -1, .keeper_proc = -1, .trees = -1};
	int rc;

	must(plan->n_roots <= sizeof(parts.roots) / sizeof(*parts.roots));
	memset(parts.devices, -1, sizeof(parts.devices));
	if (unshare(CLONE_NEWNS) < 0) {
		rc = stage_enter_user(err);
		if (rc < 0)
			return rc;
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "making the mounts private");
	rc = stage_collect(plan, &parts, err);
	if (rc < 0)
		return rc;
	umask(022);
	if (mount("tmpfs", plan->data_dir, "tmpfs", MS_NOSUID, "mode=755,size=1m") < 0 ||
		chdir(plan->data_dir) < 0)
		return err_sys(err, "mounting the stage at %s", plan->data_dir);
	rc = stage_build(&parts, err);
	return rc < 0 ? rc : stage_move_in(plan->data_dir, err);
}
