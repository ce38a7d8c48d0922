/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/root_files.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/path.h"

#define LINKS_MAX   40 /* symlinks on the way to one file, as the kernel's limit */
#define LISTING_MAX (256 * 1024)

extern char **environ;

void
root_files_done(struct root_files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		free(files->entries[i]->path);
		free(files->entries[i]->source);
		free(files->entries[i]);
	}
	free(files->entries);
	map_done(&files->by_path);
	*files = ROOT_FILES_INIT;
}

/* Gives NULL where the path is already taken: what was listed first stays. */
static struct root_entry *
new_entry(struct root_files *files, enum root_entry_kind kind, const char *path)
{
	struct root_entry *entry;

	if (map_find(&files->by_path, str_of(path)))
		return NULL;
	if (files->n == files->cap) {
		files->cap = files->cap ? files->cap * 2 : 256;
		files->entries = mem_grow(files->entries, files->cap * sizeof(*files->entries));
	}
	entry = mem_new(sizeof(*entry));
	entry->kind = kind;
	entry->path = str_dup(str_of(path));
	files->entries[files->n++] = entry;
	map_put(&files->by_path, str_of(path), entry);
	return entry;
}

static void
add_parents(struct root_files *files, const char *path)
{
	OWN(mem) char *copy = str_dup(str_of(path));
	char *slash = strrchr(copy, '/');

	if (!slash || slash == copy)
		return;
	*slash = '\0';
	root_files_add_folder(files, copy);
}

void
root_files_add_folder(struct root_files *files, const char *path)
{
	if (new_entry(files, ROOT_FOLDER, path))
		add_parents(files, path);
}

static void
add_with_source(
	struct root_files *files, enum root_entry_kind kind, const char *path, const char *source)
{
	struct root_entry *entry = new_entry(files, kind, path);

	if (!entry)
		return;
	entry->source = str_dup(str_of(source));
	add_parents(files, path);
}

void
root_files_add_link(struct root_files *files, const char *path, const char *target)
{
	add_with_source(files, ROOT_LINK, path, target);
}

void
root_files_add_text(struct root_files *files, const char *path, const char *text)
{
	add_with_source(files, ROOT_TEXT, path, text);
}

static void
add_file(struct root_files *files, const char *source, const char *path, const struct stat *st)
{
	struct root_entry *entry = new_entry(files, ROOT_FILE, path);

	if (!entry)
		return;
	entry->source = str_dup(str_of(source));
	entry->st = *st;
	add_parents(files, path);
}

/* Walks `path` component by component, adding each symlink on the way; *ret becomes the canonical
 * path. A symlink to what is not there is ERR_NOT_FOUND. */
static int
resolve(struct root_files *files, const char *path, char **ret, struct stat *st, struct err *err)
{
	OWN(mem) char *rest = str_dup(str_of(path));
	OWN(mem) char *done = str_dup(STR(""));
	char target[PATH_MAX];
	int n_links = 0;

	for (;;) {
		struct str left = str_of(rest), name;
		OWN(mem) char *next = NULL;
		ssize_t n;

		while (left.len && left.at[0] == '/')
			left = str_n(left.at + 1, left.len - 1);
		if (!left.len)
			break;
		name = str_cut(&left, '/');
		if (str_eq(name, STR(".")))
			next = str_dup(str_of(done));
		else if (str_eq(name, STR("..")))
			next = str_dup(
				str_n(done, (size_t)(strrchr(done, '/') ?: done) - (size_t)done));
		else
			next = mem_printf("%s/%.*s", done, STR_ARG(name));
		if (*next && lstat(next, st) < 0) {
			if (errno == ENOENT || errno == ENOTDIR)
				return err_set(err, ERR_NOT_FOUND, "%s is not there", path);
			return err_sys(err, "looking at %s", next);
		}
		if (!*next || !S_ISLNK(st->st_mode)) {
			char *more = str_dup(left);

			free(done);
			done = take_ptr(&next);
			free(rest);
			rest = more;
			continue;
		}
		n = readlink(next, target, sizeof(target) - 1);
		if (n < 0)
			return err_sys(err, "reading the link %s", next);
		target[n] = '\0';
		if (++n_links > LINKS_MAX)
			return err_set(err, ERR_SYSTEM, "%s: too many links", path);
		root_files_add_link(files, next, target);
		char *more = mem_printf("%s/%.*s", target, STR_ARG(left));
		free(rest);
		rest = more;
		if (target[0] == '/') {
			free(done);
			done = str_dup(STR(""));
		}
	}
	if (lstat(*done ? done : "/", st) < 0)
		return err_sys(err, "looking at %s", path);
	*ret = take_ptr(&done);
	return 0;
}

static int add_tree(
	struct root_files *files, const char *source, const char *path, struct err *err);

/* A link in a folder brings what it points to; where that is missing the link is left out. */
static int
add_link_of_folder(struct root_files *files, const char *source, struct err *err)
{
	return access(source, F_OK) < 0 ? 0 : root_files_add(files, source, err);
}

static int
add_one(struct root_files *files, const char *source, const char *path, const struct stat *st,
	struct err *err)
{
	if (S_ISDIR(st->st_mode))
		return add_tree(files, source, path, err);
	if (S_ISREG(st->st_mode))
		add_file(files, source, path, st);
	else if (S_ISLNK(st->st_mode) && strcmp(source, path) == 0)
		return add_link_of_folder(files, source, err);
	return 0;
}

static int
add_tree(struct root_files *files, const char *source, const char *path, struct err *err)
{
	OWN(dir) DIR *folder = opendir(source);
	struct dirent *entry;
	struct stat st;
	int rc = 0;

	if (!folder)
		return err_sys(err, "opening folder %s", source);
	root_files_add_folder(files, path);
	while (rc == 0 && (entry = readdir(folder))) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		OWN(mem) char *from = path_join(source, entry->d_name);
		OWN(mem) char *to = path_join(path, entry->d_name);

		if (lstat(from, &st) < 0)
			return err_sys(err, "looking at %s", from);
		rc = add_one(files, from, to, &st, err);
	}
	return rc;
}

int
root_files_add(struct root_files *files, const char *path, struct err *err)
{
	OWN(mem) char *canonical = NULL;
	struct stat st;
	int rc = resolve(files, path, &canonical, &st, err);

	if (rc < 0)
		return rc;
	return add_one(files, canonical, canonical, &st, err);
}

int
root_files_add_as(struct root_files *files, const char *source, const char *path, struct err *err)
{
	struct stat st;

	if (stat(source, &st) < 0) {
		if (errno == ENOENT)
			return err_set(err, ERR_NOT_FOUND, "%s is not there", source);
		return err_sys(err, "looking at %s", source);
	}
	return add_one(files, source, path, &st, err);
}

/* ---- shared objects ---- */

/* The dynamic linker that an ELF file asks for (*ret, freed by the caller; NULL where it names
 * none, as a shared object). False if it is no dynamic ELF file of this machine. */
static bool
read_interpreter(const char *path, char **ret)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ElfW(Ehdr) head;
	ElfW(Phdr) part;
	char name[PATH_MAX];
	bool is_dynamic = false;

	*ret = NULL;
	if (fd < 0 || pread(fd, &head, sizeof(head), 0) != (ssize_t)sizeof(head) ||
		memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_phentsize != sizeof(part) ||
		(head.e_type != ET_EXEC && head.e_type != ET_DYN))
		return false;
	for (unsigned i = 0; i < head.e_phnum; i++) {
		off_t at = (off_t)(head.e_phoff + i * sizeof(part));

		if (pread(fd, &part, sizeof(part), at) != (ssize_t)sizeof(part))
			return false;
		is_dynamic |= part.p_type == PT_DYNAMIC;
		if (part.p_type != PT_INTERP || part.p_filesz >= sizeof(name))
			continue;
		if (pread(fd, name, part.p_filesz, (off_t)part.p_offset) != (ssize_t)part.p_filesz)
			return false;
		name[part.p_filesz] = '\0';
		free(*ret);
		*ret = str_dup(str_of(name));
	}
	return is_dynamic;
}

/* Runs `linker --list path`, its output appended. The status of the linker does not matter: an
 * optional module may lack a library, and what was found is listed all the same. */
static int
run_linker(const char *linker, const char *path, struct buf *out, struct err *err)
{
	char *const argv[] = {(char *)linker, "--list", (char *)path, NULL};
	posix_spawn_file_actions_t actions;
	OWN(fd) int reading = -1;
	int fds[2], rc, status;
	ssize_t n = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_sys(err, "making a pipe");
	reading = fds[0];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	rc = posix_spawn(&pid, linker, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (rc) {
		errno = rc;
		return err_sys(err, "running %s", linker);
	}
	while (out->len < LISTING_MAX && (n = read(reading, buf_room(out, 4096), 4096)) > 0)
		buf_grew(out, (size_t)n);
	close(take_fd(&reading));
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return n < 0 ? err_sys(err, "reading the output of %s", linker) : 0;
}

/* Folders that the dynamic linker searches without a cache. */
static bool
is_searched(struct str path)
{
	static const char *const folders[] = {"/lib/", "/usr/lib/", "/lib64/", "/usr/lib64/", NULL};
	const char *slash = memrchr(path.at, '/', path.len);
	struct str folder = str_n(path.at, (size_t)(slash - path.at) + 1);

	for (size_t i = 0; folders[i]; i++) {
		struct str rest = folder;

		if (str_eq(folder, str_of(folders[i])))
			return true;
		/* /lib/x86_64-linux-gnu/: the multiarch folder is one level below. */
		if (!str_starts(folder, str_of(folders[i])))
			continue;
		rest = str_n(folder.at + strlen(folders[i]), folder.len - strlen(folders[i]));
		str_cut(&rest, '/');
		if (!rest.len && memmem(folder.at, folder.len, "-linux-", 7))
			return true;
	}
	return false;
}

/* One line of a listing: "\tname => /path (0x…)" or "\t/path (0x…)". A library that the host finds
 * by its cache only gets a link where the linker looks without one. */
static int
take_line(struct root_files *files, struct str line, struct buf *found, struct err *err)
{
	const char *arrow = memmem(line.at, line.len, " => ", 4);
	struct str name = STR_NONE, path = str_trim(line);
	int rc;

	if (arrow) {
		name = str_trim(str_n(line.at, (size_t)(arrow - line.at)));
		path = str_n(arrow + 4, (size_t)(line.at + line.len - arrow - 4));
	}
	if (!path.len || path.at[0] != '/')
		return 0;
	path = str_cut(&path, ' ');
	OWN(mem) char *host = str_dup(path);
	rc = root_files_add(files, host, err);
	if (rc < 0)
		return rc;
	buf_printf(found, "%s\n", host);
	if (name.len && !memchr(name.at, '/', name.len) && !is_searched(path)) {
		OWN(mem) char *link = mem_printf("/usr/lib/%.*s", STR_ARG(name));

		root_files_add_link(files, link, host);
		buf_printf(found, "%s=%s\n", link, host);
	}
	return 0;
}

static int
find_libraries_of(struct root_files *files, const char *path, const char *linker, struct buf *found,
	struct err *err)
{
	OWN(buf) struct buf listing = BUF_INIT;
	struct str rest;
	int rc = run_linker(linker, path, &listing, err);

	for (rest = buf_str(&listing); rc == 0 && rest.len;)
		rc = take_line(files, str_cut(&rest, '\n'), found, err);
	return rc;
}

static bool
may_be_elf(const struct root_entry *entry)
{
	return entry->kind == ROOT_FILE && entry->st.st_size > (off_t)sizeof(ElfW(Ehdr)) &&
	       ((entry->st.st_mode & 0111) || strstr(entry->path, ".so"));
}

int
root_files_find_libraries(struct root_files *files, struct buf *found, struct err *err)
{
	OWN(mem) char *own = NULL; /* the linker of this program: for files that name none */
	size_t n = files->n;       /* what is added while walking is listed by its user already */
	int rc = 0;

	read_interpreter("/proc/self/exe", &own);
	for (size_t i = 0; i < n && rc == 0; i++) {
		OWN(mem) char *linker = NULL;

		if (!may_be_elf(files->entries[i]) ||
			!read_interpreter(files->entries[i]->source, &linker))
			continue;
		if (linker) {
			rc = root_files_add(files, linker, err);
			buf_printf(found, "%s\n", linker);
		}
		if (rc == 0 && (linker || own))
			rc = find_libraries_of(files, files->entries[i]->source,
				linker ? linker : own, found, err);
	}
	return rc;
}

int
root_files_add_found(struct root_files *files, struct str found, struct err *err)
{
	while (found.len) {
		struct str target = str_cut(&found, '\n');
		struct str path = str_cut(&target, '=');
		OWN(mem) char *host = str_dup(path);
		OWN(mem) char *to = str_dup(target);
		int rc = 0;

		if (target.len)
			root_files_add_link(files, host, to);
		else if (path.len)
			rc = root_files_add(files, host, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
compare(const void *a, const void *b)
{
	const struct root_entry *const *x = a, *const *y = b;

	return strcmp((*x)->path, (*y)->path);
}

void
root_files_sort(struct root_files *files)
{
	if (files->n)
		qsort(files->entries, files->n, sizeof(*files->entries), compare);
}

void
root_files_describe(const struct root_files *files, struct buf *out)
{
	for (size_t i = 0; i < files->n; i++) {
		const struct root_entry *entry = files->entries[i];
		const struct stat *st = &entry->st;

		buf_printf(out, "%d %s %s", (int)entry->kind, entry->path,
			entry->source ? entry->source : "");
		if (entry->kind == ROOT_FILE)
			buf_printf(out, " %o %u %llu %llu %lld.%09ld", st->st_mode, st->st_uid,
				(unsigned long long)st->st_ino, (unsigned long long)st->st_size,
				(long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
		buf_add_char(out, '\n');
	}
}
