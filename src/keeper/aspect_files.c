/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /tmp is the only place that a program can write to: its root, its code and /dev are read-only,
 * and so is /proc. A tmpfs counts its inodes and blocks: once those are as they were and the top
 * has no name too many, nothing is left, not even a file without a name.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/tmp_tree.h"

#define FILES_XATTRS_SIZE  65536
#define FILES_SETTLE_TRIES 10
#define FILES_SETTLE_NS    500000

/* Longer than a tick of the clock that files get their times from. */
#define FILES_TICK_NS 12000000

static struct {
	int tmp;               /* owned */
	struct tmp_tree *tree; /* owned */
	struct stat stat;
	struct statfs room;
	struct timespec
		changed; /* ctime of /tmp when it was last as it was; 0: it may change unseen */
} files = {.tmp = -1};

static int
files_fail(struct keeper_reply *reply, const char *doing)
{
	return verdict(reply, KEEPER_CAUSE_FILES, "%s /tmp: %s", doing, strerror(errno));
}

static int
files_open(struct subject *subject, struct keeper_reply *reply)
{
	own_fd(&files.tmp);
	tmp_tree_free(files.tree);
	files.tree = NULL;
	files.tmp =
		openat(subject->proc, "root/tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (files.tmp < 0 || fstat(files.tmp, &files.stat) < 0 ||
		fstatfs(files.tmp, &files.room) < 0)
		return files_fail(reply, "opening");
	if (files.room.f_type != TMPFS_MAGIC)
		return verdict(reply, KEEPER_CAUSE_FILES, "/tmp is not a tmpfs");
	if (flistxattr(files.tmp, NULL, 0) > 0)
		return verdict(reply, KEEPER_CAUSE_FILES, "/tmp has extended attributes");
	return 0;
}

/* Changes of the same tick as the snapshot would leave the times as they are. */
static void
files_let_clock_tick(void)
{
	if (tmp_tree_entries(files.tree) > 0)
		nanosleep(&(struct timespec){.tv_nsec = FILES_TICK_NS}, NULL);
}

/* Whatever is done to /tmp itself sets its ctime, which nobody can set back. One that is of this
 * tick may be set again to what it is, so it tells nothing. */
static void
files_note_top(const struct stat *is)
{
	struct timespec now;
	int64_t age_ns;

	clock_gettime(CLOCK_REALTIME, &now);
	age_ns = (now.tv_sec - is->st_ctim.tv_sec) * 1000000000ll + now.tv_nsec -
		 is->st_ctim.tv_nsec;
	files.changed = age_ns > FILES_TICK_NS ? is->st_ctim : (struct timespec){0, 0};
}

static bool
files_is_top_untouched(const struct stat *is)
{
	return files.changed.tv_sec != 0 && is->st_ctim.tv_sec == files.changed.tv_sec &&
	       is->st_ctim.tv_nsec == files.changed.tv_nsec;
}

static int
files_learn(struct subject *subject, struct keeper_reply *reply)
{
	if (files_open(subject, reply) < 0)
		return -1;
	files.tree = tmp_tree_read(files.tmp);
	if (!files.tree)
		return files_fail(reply, "keeping what is in");
	files_let_clock_tick();
	files_note_top(&files.stat);
	return 0;
}

static int
files_drop_xattrs(struct keeper_reply *reply)
{
	static char names[FILES_XATTRS_SIZE];
	ssize_t n = flistxattr(files.tmp, NULL, 0);

	/* Before Linux 6.6 a tmpfs has none. */
	if (n <= 0)
		return 0;
	n = flistxattr(files.tmp, names, sizeof(names));
	for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
		fremovexattr(files.tmp, names + at);
	return flistxattr(files.tmp, NULL, 0) == 0 ? 0 : files_fail(reply, "attributes of");
}

static bool
files_is_top_same(const struct stat *is)
{
	const struct stat *was = &files.stat;

	return was->st_mode == is->st_mode && was->st_uid == is->st_uid &&
	       was->st_gid == is->st_gid && was->st_mtim.tv_sec == is->st_mtim.tv_sec &&
	       was->st_mtim.tv_nsec == is->st_mtim.tv_nsec &&
	       was->st_atim.tv_sec == is->st_atim.tv_sec &&
	       was->st_atim.tv_nsec == is->st_atim.tv_nsec;
}

/* Mode, owner and times of /tmp itself. */
static int
files_restore_top(const struct stat *is, struct keeper_reply *reply)
{
	const struct timespec times[] = {files.stat.st_atim, files.stat.st_mtim};
	struct stat now;

	if (files_is_top_same(is))
		return 0;
	if (is->st_mode != files.stat.st_mode && fchmod(files.tmp, files.stat.st_mode) < 0)
		return files_fail(reply, "mode of");
	if (futimens(files.tmp, times) < 0 || fstat(files.tmp, &now) < 0)
		return files_fail(reply, "times of");
	if (!files_is_top_same(&now))
		return verdict(reply, KEEPER_CAUSE_FILES, "/tmp itself has changed");
	return 0;
}

static int
files_restore(struct keeper_reply *reply)
{
	struct stat is;

	if (tmp_tree_restore(files.tmp, files.tree, &reply->figures.n_files) < 0)
		return errno == EBUSY ? verdict(reply, KEEPER_CAUSE_FILES,
						"files that were in /tmp have changed")
				      : files_fail(reply, "emptying");
	if (files_drop_xattrs(reply) < 0)
		return -1;
	if (fstat(files.tmp, &is) < 0)
		return files_fail(reply, "looking at");
	if (files_restore_top(&is, reply) < 0)
		return -1;
	if (fstat(files.tmp, &is) < 0)
		return files_fail(reply, "looking at");
	files_note_top(&is);
	return 0;
}

/* A name that comes or goes in it changes a folder as well. */
static int
files_look(struct subject *subject, struct keeper_reply *reply)
{
	struct stat is;

	if (fstat(files.tmp, &is) < 0)
		return files_fail(reply, "looking at");
	if (files_is_top_untouched(&is) && tmp_tree_entries(files.tree) == 0)
		return 0;
	return files_restore(reply);
}

/* Files that only a descriptor held, or a message between sockets, may go a moment later. */
static int
files_check(struct subject *subject, struct keeper_reply *reply)
{
	struct statfs room;

	for (int i = 0; i < FILES_SETTLE_TRIES; i++) {
		if (fstatfs(files.tmp, &room) < 0)
			return files_fail(reply, "looking at");
		if (room.f_ffree == files.room.f_ffree && room.f_bfree == files.room.f_bfree)
			return 0;
		nanosleep(&(struct timespec){.tv_nsec = FILES_SETTLE_NS}, NULL);
	}
	return verdict(reply, KEEPER_CAUSE_FILES, "something is left in /tmp that has no name");
}

const struct aspect aspect_files = {"files", files_learn, NULL, files_look, files_check};
