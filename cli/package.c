/* SPDX-License-Identifier: Apache-2.0 */
#include "package.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/path.h"

#define IGNORE_FILE  ".mayflyignore"
#define IGNORE_MAX   (64 * 1024)
#define IGNORE_USUAL ".git\nnode_modules\n__pycache__\n*.pyc\n.venv\n" IGNORE_FILE "\n"
#define DEPTH_MAX    64

struct package {
	const char *folder;     /* borrowed */
	struct buf patterns;    /* owned: lines */
	struct archive *writer; /* owned */
	struct buf path;        /* owned: of the entry at hand, from the folder */
};

static int package_walk(struct package *package, unsigned depth, struct err *err);

static bool
is_ignored(const struct package *package, const char *name)
{
	struct str rest = buf_str(&package->patterns);

	while (rest.len) {
		struct str line = str_trim(str_cut(&rest, '\n'));

		while (line.len && line.at[line.len - 1] == '/')
			line.len--;
		if (!line.len || line.at[0] == '#')
			continue;
		OWN(mem) char *pattern = str_dup(line);
		const char *anchored = pattern[0] == '/' ? pattern + 1 : pattern;

		if (fnmatch(pattern, name, 0) == 0 ||
			fnmatch(anchored, package->path.at, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static int
write_failed(struct package *package, struct err *err)
{
	return err_set(err, ERR_SYSTEM, "packing %s: %s", package->path.at,
		archive_error_string(package->writer));
}

static int
add_content(struct package *package, int fd, struct err *err)
{
	char bytes[65536];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0) {
		if (archive_write_data(package->writer, bytes, (size_t)n) != n)
			return write_failed(package, err);
	}
	return n < 0 ? err_sys(err, "reading %s", package->path.at) : 0;
}

static int
add_link_target(
	struct package *package, struct archive_entry *entry, const char *full, struct err *err)
{
	char target[4096];
	ssize_t n = readlink(full, target, sizeof(target) - 1);

	if (n < 0)
		return err_sys(err, "reading the link %s", package->path.at);
	target[n] = 0;
	if (target[0] == '/')
		return err_set(err, ERR_INVALID, "%s is a link to %s, outside of the function",
			package->path.at, target);
	archive_entry_set_symlink(entry, target);
	return 0;
}

static int
package_add(struct package *package, const char *full, const struct stat *st, struct err *err)
{
	struct archive_entry *entry = archive_entry_new();
	OWN(fd) int fd = -1;
	int rc = 0;

	archive_entry_set_pathname(entry, package->path.at);
	archive_entry_set_filetype(entry, st->st_mode & S_IFMT);
	archive_entry_set_perm(entry, S_ISDIR(st->st_mode) || st->st_mode & 0111 ? 0755 : 0644);
	archive_entry_set_mtime(entry, 0, 0);
	if (S_ISLNK(st->st_mode)) {
		rc = add_link_target(package, entry, full, err);
	} else if (S_ISREG(st->st_mode)) {
		archive_entry_set_size(entry, st->st_size);
		fd = open(full, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			rc = err_sys(err, "opening %s", full);
	}
	if (rc == 0 && archive_write_header(package->writer, entry) != ARCHIVE_OK)
		rc = write_failed(package, err);
	archive_entry_free(entry);
	return rc == 0 && fd >= 0 ? add_content(package, fd, err) : rc;
}

static int
package_visit(struct package *package, const char *name, unsigned depth, struct err *err)
{
	size_t parent_len = package->path.len;
	struct stat st;
	int rc = 0;

	buf_printf(&package->path, "%s%s", parent_len ? "/" : "", name);
	OWN(mem) char *full = path_join(package->folder, package->path.at);

	if (is_ignored(package, name))
		goto done;
	if (lstat(full, &st) < 0)
		rc = err_sys(err, "looking at %s", full);
	else if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		rc = err_set(err, ERR_INVALID, "%s is no file, folder or link", full);
	else
		rc = package_add(package, full, &st, err);
	if (rc == 0 && S_ISDIR(st.st_mode))
		rc = package_walk(package, depth + 1, err);
done:
	buf_cut(&package->path, parent_len);
	return rc;
}

static int
is_no_dot(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static int
by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
package_walk(struct package *package, unsigned depth, struct err *err)
{
	OWN(mem)
	char *folder = package->path.len ? path_join(package->folder, package->path.at)
					 : str_dup(str_of(package->folder));
	struct dirent **entries;
	int rc = 0;

	if (depth > DEPTH_MAX)
		return err_set(
			err, ERR_INVALID, "%s is nested too deep (%d levels)", folder, DEPTH_MAX);
	int n = scandir(folder, &entries, is_no_dot, by_bytes);

	if (n < 0)
		return err_sys(err, "reading the folder %s", folder);
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = package_visit(package, entries[i]->d_name, depth, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static int
read_patterns(struct package *package, struct err *err)
{
	OWN(mem) char *path = path_join(package->folder, IGNORE_FILE);

	if (access(path, F_OK) < 0) {
		buf_add_text(&package->patterns, IGNORE_USUAL);
		return 0;
	}
	int rc = path_read(path, IGNORE_MAX, &package->patterns, err);

	buf_add_text(&package->patterns, "\n" IGNORE_FILE "\n");
	return rc;
}

static int
package_write(struct package *package, int fd, struct err *err)
{
	/* gzip's own time stamp would make equal content differ. */
	archive_write_add_filter_gzip(package->writer);
	archive_write_set_filter_option(package->writer, "gzip", "timestamp", NULL);
	archive_write_set_format_pax_restricted(package->writer);
	if (archive_write_open_fd(package->writer, fd) != ARCHIVE_OK)
		return write_failed(package, err);
	int rc = package_walk(package, 0, err);

	if (rc == 0 && archive_write_close(package->writer) != ARCHIVE_OK)
		rc = write_failed(package, err);
	return rc;
}

int
package_folder(const char *folder, FILE *out, struct err *err)
{
	struct package package = {.folder = folder, .patterns = BUF_INIT, .path = BUF_INIT};
	int rc = read_patterns(&package, err);

	if (rc == 0) {
		package.writer = archive_write_new();
		rc = package_write(&package, fileno(out), err);
		archive_write_free(package.writer);
	}
	buf_done(&package.patterns);
	buf_done(&package.path);
	if (rc == 0 && fseek(out, 0, SEEK_SET) < 0)
		rc = err_sys(err, "rewinding the archive");
	return rc;
}
