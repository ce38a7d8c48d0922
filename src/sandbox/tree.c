/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "base/path.h"

#define TREE_SYNCED "/trees/.synced"
#define TREE_BOOT   "/trees/.boot"

#define TREE_PATIENCE_MS 10000

static unsigned tree_n_discarded;

static bool
tree_same_boot(void)
{
	OWN(buf) struct buf now = BUF_INIT, then = BUF_INIT;
	struct err unread = {0};

	return path_read("/proc/sys/kernel/random/boot_id", 64, &now, &unread) == 0 &&
	       path_read(TREE_BOOT, 64, &then, &unread) == 0 &&
	       str_eq(buf_str(&now), buf_str(&then));
}

static int
tree_mark_boot(struct err *err)
{
	OWN(buf) struct buf boot = BUF_INIT;
	int rc = path_read("/proc/sys/kernel/random/boot_id", 64, &boot, err);

	return rc < 0 ? rc : path_write(TREE_BOOT, buf_str(&boot), 0644, err);
}

/* Held until this process ends. */
static int
tree_lock(struct err *err)
{
	int fd = open("/trees", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "opening the folder of trees");
	for (int ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; ms += 10) {
		if (errno != EWOULDBLOCK || ms >= TREE_PATIENCE_MS) {
			close(fd);
			return err_set(
				err, ERR_CONFLICT, "another mayfly-spawner uses this data folder");
		}
		usleep(10000);
	}
	return 0;
}

static int
tree_sweep(bool is_believed, struct err *err)
{
	OWN(dir) DIR *folder = opendir("/trees");
	struct dirent *entry;
	char path[300];
	int rc = 0;

	if (!folder)
		return err_sys(err, "opening the folder of trees");
	while (rc == 0 && (entry = readdir(folder))) {
		bool is_half = strncmp(entry->d_name, ".new-", 5) == 0 ||
			       strncmp(entry->d_name, ".old-", 5) == 0;

		if (!is_half && (is_believed || entry->d_name[0] == '.'))
			continue;
		snprintf(path, sizeof(path), "/trees/%s", entry->d_name);
		rc = path_remove(path, err);
	}
	return rc;
}

int
tree_open(struct err *err)
{
	int rc = tree_lock(err);

	if (rc == 0)
		rc = tree_sweep(unlink(TREE_SYNCED) == 0 || tree_same_boot(), err);
	return rc < 0 ? rc : tree_mark_boot(err);
}

void
tree_close(void)
{
	OWN(fd) int fd = open("/trees", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OWN(fd) int mark = -1;

	if (fd >= 0 && syncfs(fd) == 0)
		mark = open(TREE_SYNCED, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
}

int
tree_find(
	const char digest[static ID_SHA256_SIZE], char ret[static TREE_PATH_SIZE], struct err *err)
{
	struct stat st;

	snprintf(ret, TREE_PATH_SIZE, "/trees/%.64s", digest);
	if (lstat(ret, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ERR_NOT_FOUND, "there is no tree %.64s", digest);
	return 0;
}

static void
tree_new_path(unsigned seat, char ret[static TREE_PATH_SIZE])
{
	snprintf(ret, TREE_PATH_SIZE, "/trees/.new-%u", seat);
}

int
tree_begin(unsigned seat, uid_t uid, char ret[static TREE_PATH_SIZE], struct err *err)
{
	tree_new_path(seat, ret);
	if (mkdir(ret, 0755) < 0)
		return err_sys(err, "making the folder of a new tree");
	if (chown(ret, uid, uid) < 0) {
		err_sys(err, "giving a new tree to its sandbox");
		rmdir(ret);
		return ERR_SYSTEM;
	}
	return 0;
}

int
tree_finish(unsigned seat, const char digest[static ID_SHA256_SIZE], struct err *err)
{
	char from[TREE_PATH_SIZE], to[TREE_PATH_SIZE];

	tree_new_path(seat, from);
	snprintf(to, sizeof(to), "/trees/%.64s", digest);
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0 || errno == EEXIST)
		return 0;
	return err_sys(err, "naming a new tree");
}

/* A child that removes what lies at `path`, its pidfd. */
static int
tree_start_remover(const char *path)
{
	struct err err = {0};
	pid_t pid = fork();
	int pidfd;

	if (pid == 0) {
		close_range(3, ~0u, 0);
		_exit(path_remove(path, &err) == 0 ? 0 : err.sys);
	}
	pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
	return pidfd;
}

int
tree_discard(const char *path, int *ret, struct err *err)
{
	char aside[TREE_PATH_SIZE];

	*ret = -1;
	snprintf(aside, sizeof(aside), "/trees/.old-%u", tree_n_discarded++);
	if (rename(path, aside) < 0)
		return errno == ENOENT ? 0 : err_sys(err, "taking a tree away");
	*ret = tree_start_remover(aside);
	return *ret < 0 ? err_sys(err, "starting the removal of a tree") : 0;
}
