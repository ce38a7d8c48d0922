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
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

bool
fault_is_synced(void)
{
	return !fault.is_lost && !fault.n_new_names &&
	       !memchr(fault.is_dirty, true, sizeof(fault.is_dirty));
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
	if (fault.n_new_names && !fstat(fd, &st) && S_ISDIR(st.st_mode))
		fault.n_new_names--;
	return 0;
}

ssize_t
write(int fd, const void *bytes, size_t n)
{
	return fault_hits(fd) ? -1 : fault_wrote(fd, syscall(SYS_write, fd, bytes, n));
}

ssize_t
pwrite64(int fd, const void *bytes, size_t n, off64_t at)
{
	return fault_hits(fd) ? -1 : fault_wrote(fd, syscall(SYS_pwrite64, fd, bytes, n, at));
}

ssize_t
pread64(int fd, void *bytes, size_t n, off64_t at)
{
	return fault_hits(fd) ? -1 : syscall(SYS_pread64, fd, bytes, n, at);
}

int
ftruncate64(int fd, off64_t size)
{
	return fault_hits(fd) ? -1 : fault_wrote(fd, syscall(SYS_ftruncate, fd, size));
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
