/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/own.h"

char *
path_join(const char *folder, const char *name)
{
	size_t len = strlen(folder);

	return mem_printf("%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", name);
}

static int
path_make_one(const char *folder, mode_t mode, struct err *err)
{
	struct stat st;

	if (mkdir(folder, mode) == 0)
		return 0;
	if (errno == EEXIST && stat(folder, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		errno = ENOTDIR;
	}
	return err_sys(err, "making folder %s", folder);
}

int
path_make(const char *folder, mode_t mode, struct err *err)
{
	OWN(mem) char *copy = str_dup(str_of(folder));
	int rc;

	for (char *slash = strchr(copy + (*copy == '/'), '/'); slash;
		slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		rc = path_make_one(copy, mode, err);
		if (rc < 0)
			return rc;
		*slash = '/';
	}
	return path_make_one(folder, mode, err);
}

static int path_remove_at(int parent, const char *name);

static int
path_empty_folder(DIR *folder)
{
	struct dirent *entry;

	while ((errno = 0, entry = readdir(folder))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (path_remove_at(dirfd(folder), entry->d_name) < 0)
			return -1;
	}
	return errno ? -1 : 0;
}

static int
path_open_folder(int parent, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(parent, name, flags);

	/* An owner who is not root may have made a folder that he cannot read. */
	if (fd < 0 && errno == EACCES && fchmodat(parent, name, 0700, 0) == 0)
		fd = openat(parent, name, flags);
	return fd;
}

/* As unlinkat(2), for folders with all that is in them. */
static int
path_remove_at(int parent, const char *name)
{
	OWN(fd) int fd = -1;
	OWN(dir) DIR *folder = NULL;

	if (unlinkat(parent, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	fd = path_open_folder(parent, name);
	if (fd < 0)
		return -1;
	folder = fdopendir(fd);
	if (!folder)
		return -1;
	take_fd(&fd);
	if (path_empty_folder(folder) < 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR);
}

int
path_remove(const char *path, struct err *err)
{
	if (path_remove_at(AT_FDCWD, path) < 0 && errno != ENOENT)
		return err_sys(err, "removing %s", path);
	return 0;
}

int
path_read(const char *path, size_t max, struct buf *out, struct err *err)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t total = 0;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
	if (fd < 0)
		return err_sys(err, "opening %s", path);
	while ((n = read(fd, buf_room(out, 65536), 65536)) > 0) {
		buf_grew(out, (size_t)n);
		total += (size_t)n;
		if (total > max)
			return err_set(err, ERR_TOO_LARGE, "%s has more than %zu bytes", path, max);
	}
	if (n < 0)
		return err_sys(err, "reading %s", path);
	return 0;
}

static int
path_write_all(int fd, struct str bytes)
{
	while (bytes.len) {
		ssize_t n = write(fd, bytes.at, bytes.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		bytes = str_n(bytes.at + n, bytes.len - (size_t)n);
	}
	return 0;
}

/* A name in a folder is durable when the folder is. */
static int
path_sync_folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	OWN(mem)
	char *folder = slash ? str_dup(str_n(path, (size_t)(slash - path) + 1)) : str_dup(STR("."));
	OWN(fd) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -1 : fsync(fd);
}

int
path_write(const char *path, struct str bytes, mode_t mode, struct err *err)
{
	OWN(mem) char *aside = mem_printf("%s.XXXXXX", path);
	OWN(fd) int fd = mkostemp(aside, O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "making a file beside %s", path);
	if (path_write_all(fd, bytes) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 ||
		rename(aside, path) < 0) {
		err_sys(err, "writing %s", path);
		unlink(aside);
		return ERR_SYSTEM;
	}
	if (path_sync_folder_of(path) < 0)
		return err_sys(err, "syncing the folder of %s", path);
	return 0;
}

static char path_libexec_found[PATH_MAX];
static char path_share_found[PATH_MAX];
static pthread_once_t path_find_once = PTHREAD_ONCE_INIT;

/* The first of the candidate folders that has `mark` in it, or the last one. */
static void
path_find(char ret[PATH_MAX], const char *variable, const char *program_folder,
	const char *const *candidates, const char *mark)
{
	const char *told = getenv(variable);
	char *marked;

	if (told && *told) {
		snprintf(ret, PATH_MAX, "%s", told);
		return;
	}
	for (bool is_found = false; *candidates && !is_found; candidates++) {
		snprintf(ret, PATH_MAX, "%s%s", program_folder, *candidates);
		marked = path_join(ret, mark);
		is_found = access(marked, F_OK) == 0;
		free(marked);
	}
}

static void
path_find_both(void)
{
	char program[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	if (n > 0)
		*strrchr(program, '/') = '\0';
	path_find(path_libexec_found, "MAYFLY_LIBEXEC", program,
		(const char *const[]){"", "/../libexec/mayfly", NULL}, "mayfly-spawner");
	path_find(path_share_found, "MAYFLY_SHARE", program,
		(const char *const[]){"", "/../../share/mayfly", "/../share/mayfly", NULL},
		"runtimes");
}

const char *
path_libexec(void)
{
	pthread_once(&path_find_once, path_find_both);
	return path_libexec_found;
}

const char *
path_share(void)
{
	pthread_once(&path_find_once, path_find_both);
	return path_share_found;
}
