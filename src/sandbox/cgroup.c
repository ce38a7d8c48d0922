/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/own.h"

int
cgroup_write(int dir, const char *file, const char *text)
{
	OWN(fd) int fd = openat(dir, file, O_WRONLY | O_CLOEXEC);
	size_t len = strlen(text);

	if (fd < 0)
		return -1;
	return write(fd, text, len) == (ssize_t)len ? 0 : -1;
}

int
cgroup_write_f(int dir, const char *file, const char *format, ...)
{
	char text[96];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return cgroup_write(dir, file, text);
}

bool
cgroup_read(int dir, const char *file, char *ret, size_t size)
{
	OWN(fd) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	if (n < 0)
		return false;
	ret[n] = '\0';
	return true;
}

void
cgroup_kill_listed(int dir, const char *file)
{
	OWN(fd) int fd = openat(dir, file, O_RDONLY | O_CLOEXEC);
	OWN(file) FILE *list = fd < 0 ? NULL : fdopen(take_fd(&fd), "re");
	int pid;

	while (list && fscanf(list, "%d", &pid) == 1) {
		if (pid > 1)
			kill(pid, SIGKILL);
	}
}

/* Finding the hierarchies. */

static bool
cgroup_has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; (at = strstr(at, word)); at += len) {
		bool starts = at == list || at[-1] == ',';

		if (starts && (at[len] == '\0' || at[len] == ',' || at[len] == '\n'))
			return true;
	}
	return false;
}

/* Our group in one hierarchy, from the lines "id:controllers:path" of /proc/self/cgroup. */
static bool
cgroup_find_own(const char *controller, char *ret, size_t size)
{
	OWN(file) FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX];

	while (file && fgets(line, sizeof(line), file)) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(controllers + 1, ':') : NULL;

		if (!path)
			continue;
		*path++ = '\0';
		path[strcspn(path, "\n")] = '\0';
		controllers++;
		if (*controller ? cgroup_has_word(controllers, controller) : *controllers == '\0') {
			snprintf(ret, size, "%s", path);
			return true;
		}
	}
	return false;
}

/* The mount of one hierarchy, from proc_pid_mountinfo(5): the folder of the hierarchy that is
 * mounted, and where. */
static bool
cgroup_find_mount(const char *controller, char *ret_root, char *ret_at)
{
	OWN(file) FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], type[32], options[256];

	while (file && fgets(line, sizeof(line), file)) {
		char *behind = strstr(line, " - ");

		if (!behind || sscanf(line, "%*d %*d %*s %4095s %4095s", ret_root, ret_at) != 2 ||
			sscanf(behind, " - %31s %*s %255s", type, options) != 2)
			continue;
		if (*controller ? strcmp(type, "cgroup") == 0 &&
					  cgroup_has_word(options, controller)
				: strcmp(type, "cgroup2") == 0)
			return true;
	}
	return false;
}

bool
cgroup_find(const char *controller, char *ret, char *ret_top, size_t size)
{
	char root[PATH_MAX], at[PATH_MAX], own[PATH_MAX];
	const char *below = own;
	size_t len;

	if (!cgroup_find_mount(controller, root, at) ||
		!cgroup_find_own(controller, own, sizeof(own)))
		return false;
	/* In a container the mount may begin at a group further down. */
	len = strcmp(root, "/") == 0 ? 0 : strlen(root);
	if (len && strncmp(own, root, len) == 0 && (own[len] == '/' || !own[len]))
		below = own + len;
	else if (len)
		below = "";
	if (strncmp(below, "/..", 3) == 0)
		below = "";
	if (ret_top)
		snprintf(ret_top, size, "%s", at);
	return snprintf(ret, size, "%s%s", at, strcmp(below, "/") == 0 ? "" : below) < (int)size;
}

/* Groups of spawners. */

/* When a process started, in ticks since boot: field 22 of proc_pid_stat(5); 0 if it is not, or
 * is dead and not yet buried. */
static unsigned long long
cgroup_start_of(int pid)
{
	char path[40], text[1024], state;
	unsigned long long start = 0;
	char *name_end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!cgroup_read(AT_FDCWD, path, text, sizeof(text)))
		return 0;
	name_end = strrchr(text, ')');
	if (!name_end ||
		sscanf(name_end + 1,
			" %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
			"%*d %llu",
			&state, &start) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : start;
}

static bool
cgroup_is_of_dead_spawner(const char *name)
{
	unsigned long long start;
	char rest;
	int pid;

	if (sscanf(name, "%d-%llu%c", &pid, &start, &rest) != 2 || pid < 1)
		return false;
	return cgroup_start_of(pid) != start;
}

static void
cgroup_remove_when_empty(int dir, const char *name)
{
	for (int i = 0; i < 2000 && unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno == EBUSY; i++)
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Ends and removes every group in the folder `base`/`name`, and it. */
static void
cgroup_remove_spawner(int base, const char *name)
{
	OWN(fd) int fd = openat(base, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	OWN(dir) DIR *folder = fd < 0 ? NULL : fdopendir(dup(fd));
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		char procs[sizeof(entry->d_name) + 16];

		if (entry->d_type != DT_DIR || entry->d_name[0] != 's')
			continue;
		snprintf(procs, sizeof(procs), "%s/cgroup.procs", entry->d_name);
		cgroup_kill_listed(fd, procs);
		cgroup_remove_when_empty(fd, entry->d_name);
	}
	cgroup_remove_when_empty(base, name);
}

static void
cgroup_sweep(int base)
{
	OWN(dir) DIR *folder = fdopendir(dup(base));
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (entry->d_type == DT_DIR && cgroup_is_of_dead_spawner(entry->d_name))
			cgroup_remove_spawner(base, entry->d_name);
	}
}

int
cgroup_open_kind(struct cgroup_parent *ret, const struct cgroup_ops *ops, const char *parent_name,
	struct err *err)
{
	int rc;

	memset(ret, 0, sizeof(*ret));
	ret->ops = ops;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++)
		ret->dirs[i] = ret->base[i] = -1;
	snprintf(ret->name, sizeof(ret->name), "%d-%llu", getpid(), cgroup_start_of(getpid()));
	rc = ops->open(ret, parent_name, err);
	if (rc < 0) {
		cgroup_close(ret);
		return rc;
	}
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (ret->base[i] >= 0)
			cgroup_sweep(ret->base[i]);
	}
	return 0;
}

int
cgroup_open(struct cgroup_parent *ret, const char *parent_name, struct err *err)
{
	static const struct cgroup_ops *const kinds[] = {&cgroup_v2, &cgroup_v1};
	char why[160] = "";

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct err reason = {0};
		size_t len = strlen(why);

		if (cgroup_open_kind(ret, kinds[i], parent_name, &reason) == 0)
			return 0;
		snprintf(why + len, sizeof(why) - len, "%s%s: %.70s", len ? "; " : "",
			kinds[i]->name, reason.text);
	}
	if (cgroup_open_kind(ret, &cgroup_none, parent_name, err) < 0)
		return err->code;
	snprintf(ret->missing, sizeof(ret->missing), "%s", why);
	return 0;
}

void
cgroup_close(struct cgroup_parent *parent)
{
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (parent->dirs[i] >= 0)
			close(parent->dirs[i]);
		if (parent->base[i] >= 0) {
			cgroup_remove_when_empty(parent->base[i], parent->name);
			close(parent->base[i]);
		}
		parent->dirs[i] = parent->base[i] = -1;
	}
}

/* Getting in. */

int
cgroup_join(const struct cgroup_place *place, struct err *err)
{
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (place->procs[i] >= 0 && write(place->procs[i], "0", 1) != 1)
			return err_sys(err, "joining a group");
	}
	return 0;
}

void
cgroup_place_done(struct cgroup_place *place)
{
	if (place->into >= 0)
		close(place->into);
	place->into = -1;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (place->procs[i] >= 0)
			close(place->procs[i]);
		place->procs[i] = -1;
	}
}

/* Usage. */

static bool
cgroup_read_usage(int fd, char *ret, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, ret, size - 1, 0);

	ret[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The number behind `key` and a space at the beginning of a line; key "" for the first. */
static uint64_t
cgroup_number_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (len == 0 || (strncmp(line, key, len) == 0 && line[len] == ' '))
			return strtoull(line + len, NULL, 10);
	}
	return 0;
}

uint64_t
cgroup_cpu_us(enum cgroup_kind kind, const int files[CGROUP_FILES])
{
	char text[512];

	if (!cgroup_read_usage(files[CGROUP_CPU], text, sizeof(text)))
		return 0;
	return kind == CGROUP_V2 ? cgroup_number_of(text, "usage_usec")
				 : cgroup_number_of(text, "") / 1000;
}

uint64_t
cgroup_peak_bytes(const int files[CGROUP_FILES])
{
	char text[32];

	return cgroup_read_usage(files[CGROUP_PEAK], text, sizeof(text))
		       ? cgroup_number_of(text, "")
		       : 0;
}

void
cgroup_usage(enum cgroup_kind kind, const int files[CGROUP_FILES], struct sandbox_usage *ret)
{
	char text[512];

	ret->cpu_us = cgroup_cpu_us(kind, files);
	ret->memory_peak_bytes = cgroup_peak_bytes(files);
	cgroup_read_usage(files[CGROUP_OOM], text, sizeof(text));
	ret->n_oom_kills = (uint32_t)cgroup_number_of(text, "oom_kill");
	cgroup_read_usage(files[CGROUP_PIDS], text, sizeof(text));
	ret->n_fork_refused = (uint32_t)cgroup_number_of(text, "max");
}

bool
cgroup_reset_peak(enum cgroup_kind kind, const int files[CGROUP_FILES])
{
	return kind != CGROUP_NONE && files[CGROUP_PEAK] >= 0 &&
	       pwrite(files[CGROUP_PEAK], "0", 1, 0) == 1;
}
