/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/tmp_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

#define TREE_NAMES_SIZE 2048

/* Entries in the order in which a folder gives them are not kept: they are found by name. */
struct tree_entry {
	size_t parent; /* index of its folder, TREE_TOP at the top */
	char *name;    /* owned */
	struct stat stat;
	char *bytes; /* owned: of a file, the target of a link */
	bool is_seen;
};

#define TREE_TOP SIZE_MAX

struct tmp_tree {
	struct tree_entry at[TMP_TREE_KEPT_MAX];
	size_t n;
	size_t n_bytes;
};

/* ---- walking ---- */

/* What is done with each name of a folder: 0, or -1 with errno. */
typedef int (*tree_fn)(int folder, const char *name, size_t index, unsigned depth, void *arg);

static bool
tree_is_self(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

static int
tree_walk(int folder, size_t index, unsigned depth, tree_fn each, void *arg)
{
	char names[TREE_NAMES_SIZE] __attribute__((aligned(8)));
	long n;

	if (depth > TMP_TREE_DEPTH_MAX) {
		errno = E2BIG;
		return -1;
	}
	if (lseek(folder, 0, SEEK_SET) < 0)
		return -1;
	while ((n = syscall(SYS_getdents64, folder, names, sizeof(names))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64 *entry = (void *)(names + at);

			at += entry->d_reclen;
			if (!tree_is_self(entry->d_name) &&
				each(folder, entry->d_name, index, depth, arg) < 0)
				return -1;
		}
	}
	return n < 0 ? -1 : 0;
}

/* It belongs to this user, so a mode that shuts it out can be changed. */
static int
tree_open_folder(int folder, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(folder, name, flags);

	if (fd < 0 && errno == EACCES && fchmodat(folder, name, 0700, 0) == 0)
		fd = openat(folder, name, flags);
	return fd;
}

/* ---- removing ---- */

struct tree_removal {
	unsigned left;
	uint32_t n_removed;
};

static int tree_remove(int folder, const char *name, size_t index, unsigned depth, void *arg);

/* A folder is read again until it is empty: names move while others go. */
static int
tree_remove_folder(int folder, const char *name, unsigned depth, struct tree_removal *removal)
{
	OWN(fd) int fd = tree_open_folder(folder, name);
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) < 0)
		return -1;
	if ((stat.st_mode & 0700) != 0700 && fchmod(fd, 0700) < 0)
		return -1;
	while (unlinkat(folder, name, AT_REMOVEDIR) < 0) {
		unsigned left = removal->left;

		if (errno != ENOTEMPTY ||
			tree_walk(fd, TREE_TOP, depth + 1, tree_remove, removal) < 0 ||
			removal->left == left)
			return -1;
	}
	return 0;
}

static int
tree_remove(int folder, const char *name, size_t index, unsigned depth, void *arg)
{
	struct tree_removal *removal = arg;

	if (removal->left == 0) {
		errno = E2BIG;
		return -1;
	}
	removal->left--;
	removal->n_removed++;
	if (unlinkat(folder, name, 0) == 0)
		return 0;
	return errno == EISDIR ? tree_remove_folder(folder, name, depth, removal) : -1;
}

/* ---- keeping ---- */

static struct tree_entry *
tree_find(struct tmp_tree *tree, size_t parent, const char *name)
{
	for (size_t i = 0; i < tree->n; i++) {
		if (tree->at[i].parent == parent && strcmp(tree->at[i].name, name) == 0)
			return &tree->at[i];
	}
	return NULL;
}

static int
tree_refuse(int code)
{
	errno = code;
	return -1;
}

/* The bytes of a file, or where a link leads; NULL with errno. The size is what stat said. */
static char *
tree_read_bytes(int folder, const char *name, const struct stat *stat)
{
	size_t size = (size_t)stat->st_size;
	char *bytes = mem_new(size + 1);
	OWN(fd) int fd = -1;
	ssize_t n;

	if (S_ISLNK(stat->st_mode)) {
		n = readlinkat(folder, name, bytes, size + 1);
	} else {
		fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		n = fd < 0 || flistxattr(fd, NULL, 0) > 0 ? -1 : pread(fd, bytes, size, 0);
	}
	if (n == (ssize_t)size)
		return bytes;
	free(bytes);
	errno = ENOTSUP;
	return NULL;
}

static bool
tree_has_bytes(const struct stat *stat)
{
	return S_ISREG(stat->st_mode) || S_ISLNK(stat->st_mode);
}

static int
tree_keep(int folder, const char *name, size_t index, unsigned depth, void *arg)
{
	struct tmp_tree *tree = arg;
	struct tree_entry *entry;
	OWN(fd) int inner = -1;
	size_t own;

	if (tree->n == TMP_TREE_KEPT_MAX)
		return tree_refuse(E2BIG);
	own = tree->n++;
	entry = &tree->at[own];
	*entry = (struct tree_entry){.parent = index, .name = str_dup(str_of(name))};
	if (fstatat(folder, name, &entry->stat, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (tree_has_bytes(&entry->stat)) {
		if ((size_t)entry->stat.st_size > TMP_TREE_KEPT_BYTES - tree->n_bytes)
			return tree_refuse(E2BIG);
		tree->n_bytes += (size_t)entry->stat.st_size;
		entry->bytes = tree_read_bytes(folder, name, &entry->stat);
		return entry->bytes ? 0 : -1;
	}
	if (!S_ISDIR(entry->stat.st_mode))
		return 0;
	inner = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (inner < 0 || flistxattr(inner, NULL, 0) > 0)
		return tree_refuse(ENOTSUP);
	return tree_walk(inner, own, depth + 1, tree_keep, tree);
}

struct tmp_tree *
tmp_tree_read(int folder)
{
	struct tmp_tree *tree = mem_new(sizeof(*tree));

	if (tree_walk(folder, TREE_TOP, 0, tree_keep, tree) < 0) {
		int code = errno;

		tmp_tree_free(tree);
		errno = code;
		return NULL;
	}
	return tree;
}

void
tmp_tree_free(struct tmp_tree *tree)
{
	if (!tree)
		return;
	for (size_t i = 0; i < tree->n; i++) {
		free(tree->at[i].name);
		free(tree->at[i].bytes);
	}
	free(tree);
}

size_t
tmp_tree_entries(const struct tmp_tree *tree)
{
	return tree->n;
}

/* ---- restoring ---- */

struct tree_restoration {
	struct tmp_tree *was;
	struct tree_removal removal;
	bool is_any_linked; /* a file has more names, or fewer, than it had */
};

static bool
tree_is_same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool
tree_is_same_node(const struct stat *was, const struct stat *is)
{
	return was->st_ino == is->st_ino && was->st_mode == is->st_mode &&
	       was->st_uid == is->st_uid && was->st_gid == is->st_gid;
}

/* Writing through a mapping leaves no time behind, so the bytes are compared as well. */
static bool
tree_is_same_file(int folder, const struct tree_entry *was, const struct stat *is)
{
	OWN(mem) char *bytes = NULL;

	if (was->stat.st_size != is->st_size ||
		!tree_is_same_time(&was->stat.st_mtim, &is->st_mtim) ||
		!tree_is_same_time(&was->stat.st_ctim, &is->st_ctim))
		return false;
	if (!tree_has_bytes(is))
		return true;
	bytes = tree_read_bytes(folder, was->name, is);
	return bytes && memcmp(bytes, was->bytes, (size_t)is->st_size) == 0;
}

/* When it was changed last is what cannot be set back: it is noted anew. */
static int
tree_rewrite_file(int folder, struct tree_entry *was)
{
	const struct timespec times[] = {was->stat.st_atim, was->stat.st_mtim};
	ssize_t size = (ssize_t)was->stat.st_size;
	OWN(fd) int fd = -1;
	struct stat is;

	if (!S_ISREG(was->stat.st_mode))
		return tree_refuse(EBUSY);
	fd = openat(folder, was->name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || flistxattr(fd, NULL, 0) > 0 ||
		pwrite(fd, was->bytes, (size_t)size, 0) != size || ftruncate(fd, size) < 0 ||
		futimens(fd, times) < 0 || fstat(fd, &is) < 0)
		return tree_refuse(EBUSY);
	was->stat.st_ctim = is.st_ctim;
	return 0;
}

static int tree_restore(int folder, const char *name, size_t index, unsigned depth, void *arg);

/* What was put into it or taken out of it has set its time. */
static int
tree_restore_folder(int folder, struct tree_entry *was, size_t own, unsigned depth,
	struct tree_restoration *restoration)
{
	const struct timespec times[] = {was->stat.st_atim, was->stat.st_mtim};
	OWN(fd) int fd = openat(folder, was->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || flistxattr(fd, NULL, 0) > 0)
		return tree_refuse(EBUSY);
	if (tree_walk(fd, own, depth + 1, tree_restore, restoration) < 0)
		return -1;
	return futimens(fd, times);
}

static int
tree_restore(int folder, const char *name, size_t index, unsigned depth, void *arg)
{
	struct tree_restoration *restoration = arg;
	struct tree_entry *was = tree_find(restoration->was, index, name);
	struct stat is;

	if (!was)
		return tree_remove(folder, name, index, depth, &restoration->removal);
	if (fstatat(folder, name, &is, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (!tree_is_same_node(&was->stat, &is))
		return tree_refuse(EBUSY);
	was->is_seen = true;
	if (S_ISDIR(is.st_mode))
		return tree_restore_folder(
			folder, was, (size_t)(was - restoration->was->at), depth, restoration);
	restoration->is_any_linked |= is.st_nlink != was->stat.st_nlink;
	return tree_is_same_file(folder, was, &is) ? 0 : tree_rewrite_file(folder, was);
}

static int
tree_restore_all(int folder, struct tree_restoration *restoration)
{
	struct tmp_tree *was = restoration->was;
	int rc;

	for (size_t i = 0; i < was->n; i++)
		was->at[i].is_seen = false;
	restoration->is_any_linked = false;
	rc = tree_walk(folder, TREE_TOP, 0, tree_restore, restoration);
	for (size_t i = 0; rc == 0 && i < was->n; i++) {
		if (!was->at[i].is_seen)
			rc = tree_refuse(EBUSY);
	}
	return rc;
}

/* Names that were too many may be gone with the first round: the second one tells. */
int
tmp_tree_restore(int folder, struct tmp_tree *was, uint32_t *n_removed)
{
	struct tree_restoration restoration = {was, {TMP_TREE_REMOVED_MAX, 0}, false};
	int rc = tree_restore_all(folder, &restoration);

	if (rc == 0 && restoration.is_any_linked)
		rc = tree_restore_all(folder, &restoration);
	if (rc == 0 && restoration.is_any_linked)
		rc = tree_refuse(EBUSY);
	*n_removed += restoration.removal.n_removed;
	return rc;
}
