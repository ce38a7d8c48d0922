/* SPDX-License-Identifier: Apache-2.0 */
/* The names that libraries are linked with, not those that headers turn them into. */
#undef _FILE_OFFSET_BITS
#undef _FORTIFY_SOURCE

#include "fault_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FDS 1024

static struct {
	unsigned nth; /* calls until the fault; 0 while none is wanted */
	unsigned n_failed;
	bool is_lasting, is_skipping_syncs;
	int error;
	bool is_dirty[FDS];   /* written, not synced */
	bool is_scratch[FDS]; /* what SQLite builds anew after a crash: its shared memory */
	bool is_lost;         /* closed while dirty */
	unsigned n_new_names; /* made or renamed, folder not synced */
	const char *folder;   /* borrowed: what is recorded; NULL for nothing */
	int journal;
	bool is_recorded[FDS];
} fault;

void
fault_arm(unsigned nth, bool is_lasting, int error)
{
	fault.nth = nth;
	fault.is_lasting = is_lasting;
	fault.error = error;
	fault.n_failed = 0;
}

unsigned
fault_disarm(void)
{
	fault.nth = 0;
	return fault.n_failed;
}

void
fault_skip_syncs(void)
{
	fault.is_skipping_syncs = true;
}

void
fault_record(const char *folder, const char *journal)
{
	fault.journal = syscall(
		SYS_openat, AT_FDCWD, journal, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	fault.folder = fault.journal < 0 ? NULL : folder;
}

/* One call, so that what two threads do stands one behind the other. */
static void
fault_record_add(enum fault_record_kind kind, int fd, uint64_t at, const void *bytes, size_t n)
{
	struct fault_record record = {kind, (uint32_t)fd, at, n};
	struct iovec parts[] = {{&record, sizeof(record)}, {(void *)bytes, n}};

	if (syscall(SYS_writev, fault.journal, parts, 2) != (ssize_t)(sizeof(record) + n))
		abort();
}

void
fault_record_note(const char *text)
{
	if (fault.folder)
		fault_record_add(FAULT_NOTED, -1, 0, text, strlen(text));
}

static bool
fault_is_recorded(int fd)
{
	return fd >= 0 && fd < FDS && fault.is_recorded[fd];
}

bool
fault_is_synced(void)
{
	return !fault.is_lost && !fault.n_new_names &&
	       !memchr(fault.is_dirty, true, sizeof(fault.is_dirty));
}

static bool
fault_is_regular(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* What threads wake each other with is no file. */
static bool
fault_is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) < 0 || S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

static bool
fault_hits(int fd)
{
	if (!fault.nth || (fd >= 0 && (fd <= STDERR_FILENO || !fault_is_file(fd))))
		return false;
	if (fault.nth > 1) {
		fault.nth--;
		return false;
	}
	if (!fault.is_lasting)
		fault.nth = 0;
	fault.n_failed++;
	errno = fault.error;
	return true;
}

static ssize_t
fault_wrote(int fd, ssize_t n)
{
	if (n >= 0 && fd > STDERR_FILENO && fd < FDS && fault_is_file(fd))
		fault.is_dirty[fd] = !fault.is_scratch[fd];
	return n;
}

static int
fault_opened(int fd, const char *path)
{
	size_t len = strlen(path);

	if (fd >= 0 && fd < FDS) {
		fault.is_lost |= fault.is_dirty[fd];
		fault.is_dirty[fd] = false;
		fault.is_scratch[fd] = len > 4 && !strcmp(path + len - 4, "-shm");
		fault.is_recorded[fd] = fault.folder && !fault.is_scratch[fd] &&
					!strncmp(path, fault.folder, strlen(fault.folder)) &&
					fault_is_regular(fd);
		if (fault.is_recorded[fd])
			fault_record_add(FAULT_OPENED, fd, 0, path, len);
	}
	return fd;
}

static int
fault_named(int rc)
{
	fault.n_new_names += rc == 0;
	return rc;
}

static int
fault_sync(int fd, long number)
{
	struct stat st;

	if (fault_hits(fd) || (!fault.is_skipping_syncs && syscall(number, fd) < 0))
		return -1;
	if (fd >= 0 && fd < FDS)
		fault.is_dirty[fd] = false;
	if (fault_is_recorded(fd))
		fault_record_add(FAULT_SYNCED, fd, 0, NULL, 0);
	if (fault.n_new_names && !fstat(fd, &st) && S_ISDIR(st.st_mode))
		fault.n_new_names--;
	return 0;
}

ssize_t
write(int fd, const void *bytes, size_t n)
{
	ssize_t done;

	if (fault_hits(fd))
		return -1;
	done = fault_wrote(fd, syscall(SYS_write, fd, bytes, n));
	if (done > 0 && fault_is_recorded(fd))
		fault_record_add(FAULT_WROTE, fd,
			(uint64_t)(syscall(SYS_lseek, fd, 0, SEEK_CUR) - done), bytes,
			(size_t)done);
	return done;
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	ssize_t done;

	if (fault_hits(fd))
		return -1;
	done = fault_wrote(fd, syscall(SYS_pwrite64, fd, bytes, n, at));
	if (done > 0 && fault_is_recorded(fd))
		fault_record_add(FAULT_WROTE, fd, (uint64_t)at, bytes, (size_t)done);
	return done;
}

ssize_t
pread64(int fd, void *bytes, size_t n, off64_t at)
{
	return fault_hits(fd) ? -1 : syscall(SYS_pread64, fd, bytes, n, at);
}

int
ftruncate64(int fd, off64_t size)
{
	int rc;

	if (fault_hits(fd))
		return -1;
	rc = (int)fault_wrote(fd, syscall(SYS_ftruncate, fd, size));
	if (rc == 0 && fault_is_recorded(fd))
		fault_record_add(FAULT_TRUNCATED, fd, (uint64_t)size, NULL, 0);
	return rc;
}

int
fsync(int fd)
{
	return fault_sync(fd, SYS_fsync);
}

int
fdatasync(int fd)
{
	return fault_sync(fd, SYS_fdatasync);
}

int
renameat(int from, const char *old, int to, const char *new)
{
	return fault_hits(-1) ? -1 : fault_named(syscall(SYS_renameat, from, old, to, new));
}

int
unlink(const char *path)
{
	int rc = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);

	if (rc == 0 && fault.folder && !strncmp(path, fault.folder, strlen(fault.folder)))
		fault_record_add(FAULT_REMOVED, -1, 0, path, strlen(path));
	return rc;
}

int
mkdirat(int at, const char *path, mode_t mode)
{
	return fault_hits(-1) ? -1 : fault_named(syscall(SYS_mkdirat, at, path, mode));
}

static int
fault_open(int at, const char *path, int flags, va_list args)
{
	mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;

	return fault_hits(-1) ? -1 : fault_opened(syscall(SYS_openat, at, path, flags, mode), path);
}

int
open64(const char *path, int flags, ...)
{
	va_list args;
	int fd;

	va_start(args, flags);
	fd = fault_open(AT_FDCWD, path, flags, args);
	va_end(args);
	return fd;
}

int
openat64(int at, const char *path, int flags, ...)
{
	va_list args;
	int fd;

	va_start(args, flags);
	fd = fault_open(at, path, flags, args);
	va_end(args);
	return fd;
}
