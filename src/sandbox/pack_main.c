/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-pack - the result of a build as a tar on descriptor 4.
 *
 *	mayfly-pack FOLDER [BYTES [ENTRIES]]
 *
 * The same tree gives the same bytes: entries sorted, no owners, no times, modes 0644 and 0755.
 * What mayfly-unpack would refuse is refused here, where the developer still sees who made it.
 * Runs in the sandbox of the build, beside an installer that is not trusted.
 *
 * Format: POSIX.1-1988 ustar; a long path or link target stands in a GNU 'L' or 'K' entry before.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/own.h"
#include "sandbox/unpack.h"
#include "sandbox/unpack_check.h"

#define PACK_FD    4
#define BLOCK      512u
#define NAME_FIELD 100u

struct tar_head {
	char name[NAME_FIELD];
	char mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8];
	char type;
	char target[NAME_FIELD];
	char magic[6], version[2];
	char rest[247];
};
_Static_assert(sizeof(struct tar_head) == BLOCK, "a tar header is one block");

struct pack {
	uint64_t bytes_left, bytes_max;
	uint64_t n_entries, entries_max;
	struct buf out;
};

static int
pack_flush(struct pack *pack, size_t keep, struct err *err)
{
	while (pack->out.len > keep) {
		ssize_t n = write(PACK_FD, pack->out.at, pack->out.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "writing the result");
		buf_eat(&pack->out, (size_t)n);
	}
	return 0;
}

static void
pack_fill_block(struct pack *pack, uint64_t n)
{
	static const char zeros[BLOCK];

	if (n % BLOCK)
		buf_add(&pack->out, zeros, BLOCK - n % BLOCK);
}

static void
pack_head(struct pack *pack, const char *name, char type, mode_t mode, uint64_t size,
	const char *target)
{
	struct tar_head head = {.type = type, .magic = "ustar", .version = {'0', '0'}};
	const unsigned char *bytes = (const unsigned char *)&head;
	unsigned sum = 0;

	memcpy(head.name, name, strnlen(name, NAME_FIELD));
	memcpy(head.target, target, strnlen(target, NAME_FIELD));
	snprintf(head.mode, sizeof(head.mode), "%07o", mode);
	snprintf(head.uid, sizeof(head.uid), "%07o", 0u);
	snprintf(head.gid, sizeof(head.gid), "%07o", 0u);
	snprintf(head.size, sizeof(head.size), "%011llo", (unsigned long long)size);
	snprintf(head.mtime, sizeof(head.mtime), "%011o", 0u);
	memset(head.checksum, ' ', sizeof(head.checksum));
	for (size_t i = 0; i < sizeof(head); i++)
		sum += bytes[i];
	snprintf(head.checksum, sizeof(head.checksum) - 1, "%06o", sum);
	buf_add(&pack->out, &head, sizeof(head));
}

static void
pack_long_text(struct pack *pack, char type, const char *text)
{
	size_t size = strlen(text) + 1;

	if (size <= NAME_FIELD)
		return;
	pack_head(pack, "././@LongLink", type, 0, size, "");
	buf_add(&pack->out, text, size);
	pack_fill_block(pack, size);
}

static int
pack_entry(struct pack *pack, const char *path, char type, mode_t mode, uint64_t size,
	const char *target, struct err *err)
{
	char checked[UNPACK_PATH_MAX + 1];
	int rc = unpack_check_path(str_of(path), checked, err);

	if (rc < 0)
		return rc;
	if (++pack->n_entries > pack->entries_max)
		return err_set(err, ERR_TOO_LARGE,
			"the result has more than %llu files and folders",
			(unsigned long long)pack->entries_max);
	if (size > pack->bytes_left)
		return err_set(err, ERR_TOO_LARGE, "the result is larger than %llu MiB",
			(unsigned long long)(pack->bytes_max >> 20));
	pack->bytes_left -= size;
	pack_long_text(pack, 'K', target);
	pack_long_text(pack, 'L', path);
	pack_head(pack, path, type, mode, size, target);
	return pack_flush(pack, 65536, err);
}

/* Exactly as many bytes as the header says, whoever changes the file meanwhile. */
static int
pack_bytes(struct pack *pack, int fd, const char *path, uint64_t size, struct err *err)
{
	uint64_t left = size;

	while (left) {
		size_t want = left < 65536 ? (size_t)left : 65536;
		ssize_t n = read(fd, buf_room(&pack->out, want), want);
		int rc;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_set(err, ERR_INVALID, "%s changed while it was packed",
				unpack_check_shown(str_of(path)));
		buf_grew(&pack->out, (size_t)n);
		left -= (uint64_t)n;
		rc = pack_flush(pack, 65536, err);
		if (rc < 0)
			return rc;
	}
	pack_fill_block(pack, size);
	return 0;
}

static int
pack_file(struct pack *pack, int folder, const char *name, const char *path, struct err *err)
{
	OWN(fd) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, "opening %s", unpack_check_shown(str_of(path)));
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "%s is no file", unpack_check_shown(str_of(path)));
	rc = pack_entry(
		pack, path, '0', st.st_mode & 0111 ? 0755 : 0644, (uint64_t)st.st_size, "", err);
	return rc < 0 ? rc : pack_bytes(pack, fd, path, (uint64_t)st.st_size, err);
}

static int
pack_link(struct pack *pack, int folder, const char *name, const char *path, struct err *err)
{
	char target[UNPACK_PATH_MAX + 1];
	ssize_t n = readlinkat(folder, name, target, sizeof(target));
	int rc;

	if (n < 0)
		return err_sys(err, "reading the link %s", unpack_check_shown(str_of(path)));
	if ((size_t)n == sizeof(target))
		return err_set(err, ERR_INVALID, "%s: the link's target is too long",
			unpack_check_shown(str_of(path)));
	target[n] = '\0';
	rc = unpack_check_link(str_of(path), str_n(target, (size_t)n), err);
	return rc < 0 ? rc : pack_entry(pack, path, '2', 0777, 0, target, err);
}

static int pack_folder(struct pack *pack, int parent, const char *name, const char *path,
	unsigned depth, struct err *err);

static int
pack_one(struct pack *pack, int folder, const char *name, const char *path, unsigned depth,
	struct err *err)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, "looking at %s", unpack_check_shown(str_of(path)));
	if (S_ISDIR(st.st_mode))
		return pack_folder(pack, folder, name, path, depth + 1, err);
	if (S_ISLNK(st.st_mode))
		return pack_link(pack, folder, name, path, err);
	return pack_file(pack, folder, name, path, err);
}

static int
is_listed(const struct dirent *entry)
{
	return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* By bytes: the order must not depend on a locale. */
static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int
pack_folder(struct pack *pack, int parent, const char *name, const char *path, unsigned depth,
	struct err *err)
{
	OWN(fd) int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct dirent **entries;
	int rc = 0, n;

	if (depth > UNPACK_DEPTH_MAX)
		return err_set(err, ERR_INVALID, "%s: the path is too deep",
			unpack_check_shown(str_of(path)));
	n = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_listed, by_name);
	if (n < 0)
		return err_sys(err, "opening folder %s", unpack_check_shown(str_of(path)));
	if (*path)
		rc = pack_entry(pack, path, '5', 0755, 0, "", err);
	for (int i = 0; i < n; i++) {
		OWN(mem)
		char *inner = mem_printf("%s%s%s", path, *path ? "/" : "", entries[i]->d_name);

		if (rc == 0)
			rc = pack_one(pack, fd, entries[i]->d_name, inner, depth, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

static uint64_t
limit_of(int argc, char **argv, int i, uint64_t usual)
{
	uint64_t given = 0;

	return argc > i && str_to_u64(str_of(argv[i]), &given) && given ? given : usual;
}

int
main(int argc, char **argv)
{
	static const char end[2 * BLOCK];
	struct pack pack = {.out = BUF_INIT};
	struct err err = {0};
	int rc;

	if (argc < 2) {
		dprintf(2, "usage: mayfly-pack FOLDER [BYTES [ENTRIES]]\n");
		return 2;
	}
	pack.bytes_left = pack.bytes_max = limit_of(argc, argv, 2, UNPACK_BYTES_DEFAULT);
	pack.entries_max = limit_of(argc, argv, 3, UNPACK_ENTRIES_DEFAULT);
	rc = pack_folder(&pack, AT_FDCWD, argv[1], "", 0, &err);
	buf_add(&pack.out, end, sizeof(end));
	if (rc == 0)
		rc = pack_flush(&pack, 0, &err);
	buf_done(&pack.out);
	if (rc == 0)
		return 0;
	dprintf(2, "%s\n", err.text);
	return 1;
}
