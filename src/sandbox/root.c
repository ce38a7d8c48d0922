/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/root.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/id.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/path.h"
#include "sandbox/root_files.h"
#include "sandbox/template.h"

#define ROOT_FORMAT  "mayfly-root 1\n" /* changes when the same manifest gives another root */
#define LISTING_MAX  (1024 * 1024)
#define LINKER_CACHE "/etc/ld.so.cache"

static const char *const root_folders[] = {"/code", "/deps", "/tmp", "/proc", "/dev", "/source",
	"/build", "/out", "/runtime", "/etc", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64",
	NULL};

static const char *const root_texts[][2] = {
	{"/etc/passwd", "root:x:0:0:root:/tmp:/bin/sh\n"
			"function:x:1000:1000:function:/tmp:/bin/sh\n"
			"nobody:x:65534:65534:nobody:/tmp:/bin/sh\n"},
	{"/etc/group", "root:x:0:\nfunction:x:1000:\nnogroup:x:65534:\n"},
	{"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"},
	/* With egress every address answers on port 53; without, this one refuses at once. */
	{"/etc/resolv.conf", "nameserver 127.0.0.1\n"},
};

/* A copy of a host file that cannot be linked is made once, in here, for all roots. */
struct root_maker {
	char *folder; /* owned: <data_dir>/roots */
	char *pool;   /* owned: <data_dir>/roots/.pool */
	size_t n_made;
};

static void
own_root_maker(struct root_maker *maker)
{
	free(maker->folder);
	free(maker->pool);
}

/* ---- what a root is made of ---- */

/* Where the host has /bin as a link to /usr/bin, so does the root: "#!/bin/sh" is everywhere. */
static void
collect_merged(struct root_files *files)
{
	static const char *const names[] = {"/bin", "/sbin", "/lib", "/lib64", NULL};
	char target[64];

	for (size_t i = 0; names[i]; i++) {
		ssize_t n = readlink(names[i], target, sizeof(target) - 1);

		if (n <= 0)
			continue;
		target[n] = '\0';
		root_files_add_link(files, names[i], target);
	}
}

/* The command of a template: one argument per line. */
static void
collect_template(struct root_files *files, const char *const *command)
{
	OWN(buf) struct buf text = BUF_INIT;

	for (; *command; command++)
		buf_printf(&text, "%s\n", *command);
	root_files_add_text(files, "/" TEMPLATE_FILE, text.at);
}

static int
collect_plan(struct root_files *files, const struct root_plan *plan, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; root_folders[i]; i++)
		root_files_add_folder(files, root_folders[i]);
	for (size_t i = 0; i < sizeof(root_texts) / sizeof(root_texts[0]); i++)
		root_files_add_text(files, root_texts[i][0], root_texts[i][1]);
	collect_merged(files);
	for (size_t i = 0; plan->files && plan->files[i] && rc == 0; i++)
		rc = root_files_add(files, plan->files[i], err);
	for (size_t i = 0; plan->programs && plan->programs[i] && rc == 0; i++) {
		OWN(mem) char *path = path_join("/runtime", strrchr(plan->programs[i], '/') + 1);

		rc = root_files_add_as(files, plan->programs[i], path, err);
	}
	if (plan->template)
		collect_template(files, plan->template);
	if (rc == 0 && plan->shim)
		rc = root_files_add_as(files, plan->shim, "/runtime", err);
	return rc;
}

static void
collect_links(struct root_files *files, const struct root_plan *plan)
{
	for (size_t i = 0; plan->links && plan->links[i]; i++) {
		struct str target = str_of(plan->links[i]);
		struct str path = str_cut(&target, '=');
		OWN(mem) char *from = str_dup(path);
		OWN(mem) char *to = str_dup(target);

		root_files_add_link(files, from, to);
	}
}

/* Digest of what decides which libraries are found: the files, and the linker's own cache. */
static void
digest_inputs(const struct root_files *files, char ret[static ID_SHA256_SIZE])
{
	OWN(buf) struct buf text = BUF_INIT;
	struct stat st = {0};

	buf_add_text(&text, ROOT_FORMAT);
	root_files_describe(files, &text);
	if (stat(LINKER_CACHE, &st) == 0)
		buf_printf(&text, "%llu %lld.%09ld", (unsigned long long)st.st_size,
			(long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	id_sha256(buf_str(&text), ret);
}

/* To ask the linker for each file takes a tenth of a second; what it said is kept beside the
 * root, behind the digest of what it was asked. A missing library asks again. */
static int
collect_libraries(
	struct root_maker *maker, struct root_files *files, const char *name, struct err *err)
{
	OWN(mem) char *path = mem_printf("%s/%s.libraries", maker->folder, name);
	OWN(buf) struct buf kept = BUF_INIT;
	OWN(buf) struct buf found = BUF_INIT;
	char digest[ID_SHA256_SIZE];
	struct err ignored = {0};
	int rc;

	digest_inputs(files, digest);
	if (path_read(path, LISTING_MAX, &kept, &ignored) == 0) {
		struct str rest = buf_str(&kept);

		if (str_eq(str_cut(&rest, '\n'), str_of(digest)) &&
			root_files_add_found(files, rest, &ignored) == 0)
			return 0;
	}
	buf_printf(&found, "%s\n", digest);
	rc = root_files_find_libraries(files, &found, err);
	return rc < 0 ? rc : path_write(path, buf_str(&found), 0644, err);
}

/* ---- making it ---- */

/* A host file may stand in a root as it is when nobody but root can change it, everybody may read
 * it, and it gives no rights. */
static bool
is_linkable(const struct stat *st)
{
	mode_t mode = st->st_mode;
	mode_t readable = mode & 0111 ? 0555 : 0444;

	return st->st_uid == 0 && (mode & readable) == readable && !(mode & 07022);
}

static int
copy_bytes(int from, int to)
{
	char bytes[65536];
	ssize_t n;

	while ((n = copy_file_range(from, NULL, to, NULL, 1u << 30, 0)) > 0)
		;
	if (n == 0)
		return 0;
	while ((n = read(from, bytes, sizeof(bytes))) > 0) {
		if (write(to, bytes, (size_t)n) != n)
			return -1;
	}
	return n < 0 ? -1 : 0;
}

/* The time of the last change is kept: compiled Python files are checked against it. */
static int
copy_file(const char *from, const char *to, const struct stat *st, mode_t mode, struct err *err)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	OWN(mem) char *aside = mem_printf("%s.new", to);
	OWN(fd) int in = open(from, O_RDONLY | O_CLOEXEC);
	OWN(fd) int out = -1;

	if (in < 0)
		return err_sys(err, "opening %s", from);
	unlink(aside);
	out = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		return err_sys(err, "making %s", aside);
	if (copy_bytes(in, out) < 0 || fchmod(out, mode) < 0 || futimens(out, times) < 0 ||
		rename(aside, to) < 0) {
		err_sys(err, "copying %s to %s", from, to);
		unlink(aside);
		return ERR_SYSTEM;
	}
	return 0;
}

/* Links the pooled copy of a host file, which is made when it is not there yet. */
static int
link_copy(struct root_maker *maker, const struct root_entry *entry, const char *to, struct err *err)
{
	const struct stat *st = &entry->st;
	mode_t mode = st->st_mode & 0111 ? 0555 : 0444;
	OWN(mem)
	char *copy = mem_printf("%s/%llx-%llx-%llx-%llx.%lx-%o", maker->pool,
		(unsigned long long)st->st_dev, (unsigned long long)st->st_ino,
		(unsigned long long)st->st_size, (unsigned long long)st->st_mtim.tv_sec,
		(unsigned long)st->st_mtim.tv_nsec, mode);
	int rc;

	if (link(copy, to) == 0)
		return 0;
	if (errno != ENOENT)
		return err_sys(err, "linking %s", to);
	rc = copy_file(entry->source, copy, st, mode, err);
	if (rc < 0)
		return rc;
	return link(copy, to) < 0 ? err_sys(err, "linking %s", to) : 0;
}

static int
make_text(const char *to, const char *text, struct err *err)
{
	OWN(fd) int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	size_t len = strlen(text);

	if (fd < 0 || write(fd, text, len) != (ssize_t)len || fchmod(fd, 0444) < 0)
		return err_sys(err, "writing %s", to);
	return 0;
}

static int
make_entry(struct root_maker *maker, const char *folder, const struct root_entry *entry,
	struct err *err)
{
	OWN(mem) char *to = mem_printf("%s%s", folder, entry->path);

	switch (entry->kind) {
	case ROOT_FOLDER:
		if (mkdir(to, 0755) < 0 || chmod(to, 0755) < 0)
			return err_sys(err, "making folder %s", to);
		return 0;
	case ROOT_LINK:
		if (symlink(entry->source, to) < 0)
			return err_sys(err, "making link %s", to);
		return 0;
	case ROOT_TEXT:
		return make_text(to, entry->source, err);
	case ROOT_FILE:
		if (is_linkable(&entry->st) && link(entry->source, to) == 0)
			return 0;
		return link_copy(maker, entry, to, err);
	}
	return 0;
}

static int
sync_folder(const char *path, struct err *err)
{
	OWN(fd) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		return err_sys(err, "syncing %s", path);
	return 0;
}

static char *
path_aside(const struct root_maker *maker, const struct root *root)
{
	return mem_printf("%s/.new-%u", maker->folder, root->index);
}

static int
make_root(struct root_maker *maker, const struct root_files *files, const struct root *root,
	struct err *err)
{
	OWN(mem) char *aside = path_aside(maker, root);
	int rc = path_remove(aside, err);

	if (rc == 0)
		rc = path_make(aside, 0755, err);
	if (rc == 0 && chmod(aside, 0755) < 0)
		rc = err_sys(err, "making folder %s", aside);
	for (size_t i = 0; i < files->n && rc == 0; i++)
		rc = make_entry(maker, aside, files->entries[i], err);
	maker->n_made++;
	return rc;
}

/* What was made aside gets its names when all of it is on disk: a root that is there is whole,
 * after a power loss too. */
static int
name_made(struct root_maker *maker, const struct root *roots, size_t n, struct err *err)
{
	int rc = maker->n_made ? sync_folder(maker->folder, err) : 0;

	for (size_t i = 0; i < n && rc == 0; i++) {
		OWN(mem) char *aside = path_aside(maker, &roots[i]);

		if (access(roots[i].path, F_OK) < 0 && rename(aside, roots[i].path) < 0)
			rc = err_sys(err, "renaming %s to %s", aside, roots[i].path);
	}
	return rc;
}

static int
prepare_one(
	struct root_maker *maker, const struct root_plan *plan, struct root *ret, struct err *err)
{
	OWN(root_files) struct root_files files = ROOT_FILES_INIT;
	OWN(buf) struct buf manifest = BUF_INIT;
	char digest[ID_SHA256_SIZE];
	int rc = collect_plan(&files, plan, err);

	if (rc == 0)
		rc = collect_libraries(maker, &files, plan->name, err);
	if (rc < 0)
		return err_wrap(err, rc, "root %s", plan->name);
	collect_links(&files, plan);
	root_files_sort(&files);
	buf_add_text(&manifest, ROOT_FORMAT);
	root_files_describe(&files, &manifest);
	id_sha256(buf_str(&manifest), digest);
	snprintf(ret->name, sizeof(ret->name), "%s", plan->name);
	if (snprintf(ret->path, sizeof(ret->path), "%s/%s-%.16s", maker->folder, plan->name,
		    digest) >= (int)sizeof(ret->path))
		return err_set(err, ERR_INVALID, "the path of the data folder is too long");
	if (access(ret->path, F_OK) == 0)
		return 0;
	rc = make_root(maker, &files, ret, err);
	return rc < 0 ? err_wrap(err, rc, "root %s", plan->name) : 0;
}

/* ---- removing what is outdated ---- */

static bool
is_current(const char *name, const struct root *roots, size_t n)
{
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, ".pool") == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(roots[i].name);

		if (strcmp(name, strrchr(roots[i].path, '/') + 1) == 0)
			return true;
		if (strncmp(name, roots[i].name, len) == 0 && strcmp(name + len, ".libraries") == 0)
			return true;
	}
	return false;
}

static int
remove_outdated(struct root_maker *maker, const struct root *roots, size_t n, struct err *err)
{
	OWN(dir) DIR *folder = opendir(maker->folder);
	struct dirent *entry;
	int rc = 0;

	if (!folder)
		return err_sys(err, "opening folder %s", maker->folder);
	while (rc == 0 && (entry = readdir(folder))) {
		if (is_current(entry->d_name, roots, n))
			continue;
		OWN(mem) char *path = path_join(maker->folder, entry->d_name);

		rc = path_remove(path, err);
	}
	return rc;
}

/* A pooled copy with one name is in no root any more. */
static void
sweep_pool(const struct root_maker *maker)
{
	OWN(dir) DIR *folder = opendir(maker->pool);
	struct dirent *entry;
	struct stat st;

	while (folder && (entry = readdir(folder))) {
		if (fstatat(dirfd(folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode) && st.st_nlink == 1)
			unlinkat(dirfd(folder), entry->d_name, 0);
	}
}

int
root_prepare(const char *data_dir, const struct root_plan *plans, size_t n, struct root *ret,
	struct err *err)
{
	OWN(root_maker) struct root_maker maker = {path_join(data_dir, "roots"), NULL, 0};
	int rc;

	maker.pool = path_join(maker.folder, ".pool");
	rc = path_make(maker.folder, 0755, err);
	if (rc == 0)
		rc = path_make(maker.pool, 0700, err);
	for (size_t i = 0; i < n && rc == 0; i++) {
		ret[i].index = (unsigned)i;
		rc = prepare_one(&maker, &plans[i], &ret[i], err);
	}
	if (rc == 0)
		rc = name_made(&maker, ret, n, err);
	if (rc == 0)
		rc = remove_outdated(&maker, ret, n, err);
	if (rc == 0)
		sweep_pool(&maker);
	return rc;
}
