/* SPDX-License-Identifier: Apache-2.0 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HANDLERS_MAX 64
#define SEEN         __attribute__((visibility("default")))

typedef void handler_fn(void);
typedef int register_fn(handler_fn *before, handler_fn *parent, handler_fn *child, void *object);

static struct {
	handler_fn *handlers[HANDLERS_MAX];
	size_t n;
	bool is_over;
} preload;

SEEN int __register_atfork(handler_fn *before, handler_fn *parent, handler_fn *child, void *object);

/* What pthread_atfork() comes to (Linux Standard Base). node itself asks for it, and so gets this
 * one only if it stands before libc's. */
SEEN int
__register_atfork(handler_fn *before, handler_fn *parent, handler_fn *child, void *object)
{
	register_fn *original;

	*(void **)&original = dlsym(RTLD_NEXT, "__register_atfork");
	if (child && preload.n < HANDLERS_MAX)
		preload.handlers[preload.n++] = child;
	else if (child)
		preload.is_over = true;
	return original(before, parent, child, object);
}

/* V8 marks its heap MADV_DONTFORK, for a fork that execs at once is faster then. */
SEEN int
madvise(void *address, size_t size, int advice)
{
	int (*original)(void *, size_t, int);

	if (advice == MADV_DONTFORK)
		return 0;
	*(void **)&original = dlsym(RTLD_NEXT, "madvise");
	return original(address, size, advice);
}

/* The rings of io_uring, which libuv sets up by number, are memory that all forks would share. */
SEEN long
syscall(long number, ...)
{
	long (*original)(long, ...), words[6];
	va_list rest;

	if (number == SYS_io_uring_setup) {
		errno = ENOSYS;
		return -1;
	}
	*(void **)&original = dlsym(RTLD_NEXT, "syscall");
	va_start(rest, number);
	for (size_t i = 0; i < 6; i++)
		words[i] = va_arg(rest, long);
	va_end(rest);
	return original(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}

bool
preload_is_whole(void)
{
	return preload.n > 0 && !preload.is_over;
}

/* Names are bound at once: in a forked process each that is bound later is a page that it has to
 * copy. */
void
preload_start_again(const char *path, char *const *arguments)
{
	for (int fd = 3; fd < 16; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0)
			fcntl(fd, F_SETFD, flags & ~FD_CLOEXEC);
	}
	if (setenv("LD_PRELOAD", path, 1) == 0 && setenv("LD_BIND_NOW", "1", 1) == 0)
		execv(arguments[0], arguments);
}

void
preload_after_fork(void)
{
	for (size_t i = 0; i < preload.n; i++)
		preload.handlers[i]();
}
