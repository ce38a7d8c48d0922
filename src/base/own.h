/* SPDX-License-Identifier: Apache-2.0 */
/*
 * own - who takes a thing frees it, when its scope ends.
 *
 *	OWN(fd) int fd = open(...);             closed at the end of the scope
 *	OWN(buf) struct buf text = BUF_INIT;    released at the end of the scope
 *	OWN(mem) char *copy = strdup(...);      freed at the end of the scope
 *	*ret = take_ptr(&copy);                 ownership moves out, nothing is freed
 *
 * A type `x` joins by defining `own_x(T *)` with OWN_DEFINE. Struct fields say owned or borrowed
 * in a comment. Any process, any thread.
 */
#ifndef MAYFLY_BASE_OWN_H
#define MAYFLY_BASE_OWN_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN(kind) __attribute__((cleanup(own_##kind)))

/* Defines own_<kind>() that calls release(*x) on a pointer type. release(NULL) must be fine. */
#define OWN_DEFINE(kind, type, release)                                                            \
	static inline void own_##kind(type *x)                                                     \
	{                                                                                          \
		if (*x)                                                                            \
			release(*x);                                                               \
	}

static inline void
own_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void
own_mem(void *pointer)
{
	free(*(void **)pointer);
}

OWN_DEFINE(file, FILE *, fclose)
OWN_DEFINE(dir, DIR *, closedir)

static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(where)                                                                            \
	({                                                                                         \
		__typeof__(*(where)) taken_ = *(where);                                            \
		*(where) = NULL;                                                                   \
		taken_;                                                                            \
	})

#endif
