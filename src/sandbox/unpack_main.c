/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-unpack - makes a tree of an uploaded source (unpack.h is the contract).
 *
 * Runs in a sandbox of its own without a runtime; libarchive reads what a stranger sent, and this
 * program trusts neither: every path is checked and then opened beneath the tree, without
 * following links, by the kernel's own rules.
 */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <locale.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "base/own.h"
#include "base/str.h"
#include "sandbox/unpack.h"
#include "sandbox/unpack_check.h"
#include "sandbox/unpack_report.h"

#define UNPACK_FD   3
#define HEAD_SIZE   512
#define FREE_BYTES  (8ull << 20) /* unpacked before the ratio counts */
#define PACKED_MAX  (1ull << 30)
#define TAR_MARK    "ustar"
#define TAR_MARK_AT 257

OWN_DEFINE(archive, struct archive *, archive_read_free)

enum unpack_kind {
	UNPACK_UNKNOWN,
	UNPACK_ZIP,
	UNPACK_ZIP_OF_NOTHING,
	UNPACK_TAR,
	UNPACK_GZIP,
	UNPACK_SOURCE
};

struct unpack {
	int archive; /* descriptor, can be sought in */
	int tree;
	uint64_t packed_bytes;
	uint64_t bytes_left;
	uint64_t bytes_max;
	uint64_t entries_max;
	uint64_t n_entries;
};

/* ---- below the tree ---- */

static int
open_beneath(int folder, const char *path, int flags, mode_t mode)
{
	struct open_how how = {
		.flags = (uint64_t)(flags | O_CLOEXEC),
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, folder, *path ? path : ".", &how, sizeof(how));
}

static int
err_entry(struct err *err, const char *path, const char *doing)
{
	switch (errno) {
	case EEXIST:
		return err_set(err, ERR_INVALID, "%s: the archive has it twice",
			unpack_check_shown(str_of(path)));
	case ELOOP:
	case EXDEV:
	case ENOTDIR:
		return err_set(err, ERR_INVALID, "%s: a part of its path is not a folder",
			unpack_check_shown(str_of(path)));
	case ENOSPC:
	case EDQUOT:
		return err_set(err, ERR_TOO_LARGE, "the unpacked source does not fit on the disk");
	default:
		return err_sys(err, "%s: %s", unpack_check_shown(str_of(path)), doing);
	}
}

/* Makes one folder in `parent`, or takes the one that is there. */
static int
make_folder(int parent, const char *name)
{
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -1;
	return open_beneath(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

/* The folder that `path` stands in, made where it is not there. -1 with errno. Folders are not in
 * every archive as entries of their own; they count as entries when they are made. */
static int
open_parent(struct unpack *unpack, const char *path, const char **ret_name)
{
	OWN(fd) int folder = open_beneath(unpack->tree, ".", O_RDONLY | O_DIRECTORY, 0);
	struct str rest = str_of(path);

	*ret_name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	while (folder >= 0 && memchr(rest.at, '/', rest.len)) {
		struct str name = str_cut(&rest, '/');
		char terminated[UNPACK_NAME_MAX + 1];
		int next;

		memcpy(terminated, name.at, name.len);
		terminated[name.len] = '\0';
		next = make_folder(folder, terminated);
		close(folder);
		folder = next;
	}
	return take_fd(&folder);
}

/* ---- limits ---- */

static int
take_bytes(struct unpack *unpack, uint64_t n, struct err *err)
{
	uint64_t used = unpack->bytes_max - unpack->bytes_left;

	if (n > unpack->bytes_left)
		return err_set(err, ERR_TOO_LARGE, "the source is larger than %llu MiB unpacked",
			(unsigned long long)(unpack->bytes_max >> 20));
	unpack->bytes_left -= n;
	if (used + n > FREE_BYTES && (used + n) / UNPACK_RATIO_MAX > unpack->packed_bytes)
		return err_set(err, ERR_INVALID,
			"the source is more than %u times as large unpacked as it is packed",
			UNPACK_RATIO_MAX);
	return 0;
}

static int
take_entry(struct unpack *unpack, struct err *err)
{
	if (++unpack->n_entries > unpack->entries_max)
		return err_set(err, ERR_TOO_LARGE,
			"the source has more than %llu files and folders",
			(unsigned long long)unpack->entries_max);
	return 0;
}

/* ---- entries ---- */

static int
write_at(int fd, const char *bytes, size_t n, uint64_t at)
{
	while (n) {
		ssize_t written = pwrite(fd, bytes, n, (off_t)at);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		bytes += written;
		at += (uint64_t)written;
		n -= (size_t)written;
	}
	return 0;
}

static int
err_archive(struct err *err, struct archive *archive)
{
	const char *text = archive_error_string(archive);

	return err_set(err, ERR_INVALID, "the archive is broken: %s",
		unpack_check_shown(str_of(text ? text : "it ends too early")));
}

/* A sparse file's holes count as bytes: what it says it is long must fit. */
static int
write_data(struct unpack *unpack, struct archive *archive, struct archive_entry *entry, int fd,
	const char *path, struct err *err)
{
	const void *bytes;
	int64_t at;
	uint64_t end = 0, size = (uint64_t)archive_entry_size(entry);
	size_t n;
	int rc;

	while ((rc = archive_read_data_block(archive, &bytes, &n, &at)) == ARCHIVE_OK) {
		uint64_t stop = (uint64_t)at + n;

		if (at < 0 || stop < end)
			return err_set(err, ERR_INVALID, "%s: its parts overlap",
				unpack_check_shown(str_of(path)));
		rc = take_bytes(unpack, stop - end, err);
		if (rc < 0)
			return rc;
		if (write_at(fd, bytes, n, (uint64_t)at) < 0)
			return err_entry(err, path, "writing");
		end = stop;
	}
	if (rc != ARCHIVE_EOF)
		return err_archive(err, archive);
	if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0 || size <= end)
		return 0;
	rc = take_bytes(unpack, size - end, err);
	if (rc == 0 && ftruncate(fd, (off_t)size) < 0)
		rc = err_entry(err, path, "writing");
	return rc;
}

static int
unpack_file(struct unpack *unpack, struct archive *archive, struct archive_entry *entry,
	const char *path, struct err *err)
{
	mode_t mode = archive_entry_perm(entry) & 0100 ? 0755 : 0644;
	const char *name;
	OWN(fd) int parent = open_parent(unpack, path, &name);
	OWN(fd) int fd = -1;

	if (parent >= 0)
		fd = open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return err_entry(err, path, "making the file");
	return write_data(unpack, archive, entry, fd, path, err);
}

static int
unpack_folder(struct unpack *unpack, const char *path, struct err *err)
{
	const char *name;
	OWN(fd) int parent = open_parent(unpack, path, &name);
	OWN(fd) int fd = parent < 0 ? -1 : make_folder(parent, name);

	return fd < 0 || fchmod(fd, 0755) < 0 ? err_entry(err, path, "making the folder") : 0;
}

static int
unpack_link(struct unpack *unpack, const char *path, const char *target, struct err *err)
{
	const char *name;
	OWN(fd) int parent = -1;
	int rc = unpack_check_link(str_of(path), str_of(target), err);

	if (rc < 0)
		return rc;
	parent = open_parent(unpack, path, &name);
	if (parent < 0 || symlinkat(target, parent, name) < 0)
		return err_entry(err, path, "making the link");
	return 0;
}

/* A second name of a file that the archive had before. */
static int
unpack_second_name(struct unpack *unpack, const char *path, const char *first, struct err *err)
{
	char checked[UNPACK_PATH_MAX + 1];
	const char *name, *first_name;
	OWN(fd) int parent = -1;
	OWN(fd) int first_parent = -1;
	struct stat st;
	int rc = unpack_check_path(str_of(first), checked, err);

	if (rc < 0)
		return err_wrap(err, rc, "a hard link's target");
	first_parent = open_parent(unpack, checked, &first_name);
	if (first_parent < 0 || fstatat(first_parent, first_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s: a hard link to what is no file before it",
			unpack_check_shown(str_of(path)));
	parent = open_parent(unpack, path, &name);
	if (parent < 0 || linkat(first_parent, first_name, parent, name, 0) < 0)
		return err_entry(err, path, "making the hard link");
	return 0;
}

static int
unpack_entry(struct unpack *unpack, struct archive *archive, struct archive_entry *entry,
	struct err *err)
{
	const char *raw = archive_entry_pathname_utf8(entry);
	const char *first = archive_entry_hardlink_utf8(entry);
	const char *target = archive_entry_symlink_utf8(entry);
	char path[UNPACK_PATH_MAX + 1];
	int rc = take_entry(unpack, err);

	if (rc == 0 && !raw)
		rc = err_set(err, ERR_INVALID, "an entry's name is not UTF-8");
	if (rc == 0)
		rc = unpack_check_path(str_of(raw), path, err);
	if (rc < 0)
		return rc;
	if (archive_entry_is_encrypted(entry))
		return err_set(
			err, ERR_INVALID, "%s: it is encrypted", unpack_check_shown(str_of(path)));
	if (!path[0])
		return archive_entry_filetype(entry) == AE_IFDIR
			       ? 0
			       : err_set(err, ERR_INVALID, "the top of the tree is not a folder");
	if (first)
		return unpack_second_name(unpack, path, first, err);
	switch (archive_entry_filetype(entry)) {
	case AE_IFREG:
		return unpack_file(unpack, archive, entry, path, err);
	case AE_IFDIR:
		return unpack_folder(unpack, path, err);
	case AE_IFLNK:
		return unpack_link(unpack, path, target ? target : "", err);
	default:
		return err_set(err, ERR_INVALID, "%s: neither a file nor a folder nor a link",
			unpack_check_shown(str_of(path)));
	}
}

/* ---- archives ---- */

static enum unpack_kind
kind_of(const char *head, size_t n)
{
	struct str text = str_n(head, n);

	if (str_starts(text, STR(UNPACK_SOURCE_MARK)))
		return UNPACK_SOURCE;
	if (str_starts(text, STR("PK\3\4")))
		return UNPACK_ZIP;
	if (str_starts(text, STR("PK\5\6")))
		return UNPACK_ZIP_OF_NOTHING;
	if (str_starts(text, STR("\x1f\x8b")))
		return UNPACK_GZIP;
	if (n == HEAD_SIZE && memcmp(head + TAR_MARK_AT, TAR_MARK, strlen(TAR_MARK)) == 0)
		return UNPACK_TAR;
	return UNPACK_UNKNOWN;
}

static int
unpack_archive(struct unpack *unpack, enum unpack_kind kind, struct err *err)
{
	OWN(archive) struct archive *archive = archive_read_new();
	struct archive_entry *entry;
	int rc;

	must(archive);
	if (kind == UNPACK_ZIP) {
		/* By the directory at the end, as everybody else reads it. */
		archive_read_support_format_zip_seekable(archive);
	} else {
		archive_read_support_format_tar(archive);
		archive_read_support_format_gnutar(archive);
	}
	if (kind == UNPACK_GZIP)
		archive_read_support_filter_gzip(archive);
	archive_read_set_options(archive, "hdrcharset=UTF-8");
	if (archive_read_open_fd(archive, unpack->archive, 64 * 1024) != ARCHIVE_OK)
		return err_archive(err, archive);
	while ((rc = archive_read_next_header(archive, &entry)) == ARCHIVE_OK ||
		rc == ARCHIVE_WARN) {
		rc = unpack_entry(unpack, archive, entry, err);
		if (rc < 0)
			return rc;
	}
	return rc == ARCHIVE_EOF ? 0 : err_archive(err, archive);
}

/* ---- one source file ---- */

static int
copy_rest(struct unpack *unpack, int fd, uint64_t from, struct err *err)
{
	char bytes[65536];
	uint64_t at = 0;
	ssize_t n;

	while ((n = pread(unpack->archive, bytes, sizeof(bytes), (off_t)(from + at))) > 0) {
		int rc = take_bytes(unpack, (uint64_t)n, err);

		if (rc < 0)
			return rc;
		if (write_at(fd, bytes, (size_t)n, at) < 0)
			return err_entry(err, "the source", "writing");
		at += (uint64_t)n;
	}
	return n < 0 ? err_sys(err, "reading the source") : 0;
}

/* A script is a program when its first line says what runs it. */
static mode_t
mode_of_source(struct str bytes)
{
	return str_starts(bytes, STR("#!")) || str_starts(bytes, STR("\177ELF")) ? 0755 : 0644;
}

static int
unpack_source(struct unpack *unpack, struct str head, struct err *err)
{
	struct str rest =
		str_n(head.at + strlen(UNPACK_SOURCE_MARK), head.len - strlen(UNPACK_SOURCE_MARK));
	char path[UNPACK_PATH_MAX + 1];
	OWN(fd) int fd = -1;
	struct str raw;
	const char *name;
	mode_t mode;
	int rc;

	if (!memchr(rest.at, '\n', rest.len))
		return err_set(err, ERR_INVALID, "the name of the source file is too long");
	raw = str_cut(&rest, '\n');
	rc = unpack_check_path(raw, path, err);
	if (rc < 0)
		return rc;
	mode = mode_of_source(rest);
	OWN(fd) int parent = open_parent(unpack, path, &name);
	if (parent >= 0)
		fd = open_beneath(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return err_entry(err, path, "making the file");
	return copy_rest(unpack, fd, (uint64_t)(rest.at - head.at), err);
}

/* ---- the program ---- */

/* zip is read from its end: what cannot be sought in is copied to memory first. */
static int
make_seekable(struct unpack *unpack, struct err *err)
{
	char bytes[65536];
	uint64_t total = 0;
	ssize_t n;
	int copy;

	if (lseek(unpack->archive, 0, SEEK_SET) == 0)
		return 0;
	copy = memfd_create("archive", MFD_CLOEXEC);
	if (copy < 0)
		return err_sys(err, "making room for the archive");
	while ((n = read(unpack->archive, bytes, sizeof(bytes))) > 0) {
		if (total + (uint64_t)n > PACKED_MAX || write_at(copy, bytes, (size_t)n, total) < 0)
			return err_set(err, ERR_TOO_LARGE, "the archive is too large");
		total += (uint64_t)n;
	}
	unpack->archive = copy;
	return n < 0 ? err_sys(err, "reading the archive") : 0;
}

static int
unpack_all(struct unpack *unpack, struct err *err)
{
	char head[HEAD_SIZE];
	struct stat st;
	ssize_t n;
	int rc = make_seekable(unpack, err);

	if (rc < 0)
		return rc;
	n = pread(unpack->archive, head, sizeof(head), 0);
	if (n < 0 || fstat(unpack->archive, &st) < 0)
		return err_sys(err, "reading the archive");
	unpack->packed_bytes = (uint64_t)st.st_size;
	switch (kind_of(head, (size_t)n)) {
	case UNPACK_UNKNOWN:
		return err_set(
			err, ERR_INVALID, "the source is neither a zip nor a tar nor a tar.gz");
	case UNPACK_SOURCE:
		return unpack_source(unpack, str_n(head, (size_t)n), err);
	case UNPACK_ZIP:
		return unpack_archive(unpack, UNPACK_ZIP, err);
	case UNPACK_ZIP_OF_NOTHING:
		return 0;
	case UNPACK_TAR:
		return unpack_archive(unpack, UNPACK_TAR, err);
	case UNPACK_GZIP:
		return unpack_archive(unpack, UNPACK_GZIP, err);
	}
	return 0;
}

static uint64_t
limit_of(int argc, char **argv, int i, uint64_t usual)
{
	uint64_t given = 0;

	return argc > i && str_to_u64(str_of(argv[i]), &given) && given ? given : usual;
}

/* The daemon reads it to its end; a pipe takes what is written piece by piece. */
static int
report(const struct unpack *unpack, struct err *err)
{
	OWN(buf) struct buf text = BUF_INIT;
	int rc = unpack_report(unpack->tree, &text, err);

	for (struct str rest = buf_str(&text); rc == 0 && rest.len;) {
		ssize_t n = write(STDOUT_FILENO, rest.at, rest.len);

		if (n < 0 && errno != EINTR)
			return err_sys(err, "reporting on the tree");
		if (n > 0)
			rest = str_n(rest.at + n, rest.len - (size_t)n);
	}
	return rc;
}

int
main(int argc, char **argv)
{
	const char *out = getenv("MAYFLY_UNPACK_OUT");
	struct unpack unpack = {.archive = UNPACK_FD};
	struct err err = {0};
	int rc = 0;

	setlocale(LC_ALL, "C.UTF-8");
	umask(022);
	unpack.bytes_max = limit_of(argc, argv, 1, UNPACK_BYTES_DEFAULT);
	unpack.bytes_left = unpack.bytes_max;
	unpack.entries_max = limit_of(argc, argv, 2, UNPACK_ENTRIES_DEFAULT);
	unpack.tree = open(out ? out : "/out", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unpack.tree < 0)
		rc = err_sys(&err, "opening the new tree");
	if (rc == 0)
		rc = unpack_all(&unpack, &err);
	if (rc == 0)
		rc = report(&unpack, &err);
	if (rc == 0)
		return 0;
	dprintf(2, "%s\n", err.text);
	return 1;
}
