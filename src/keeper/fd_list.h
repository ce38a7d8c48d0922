/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fd_list - which descriptors the subject has open.
 *
 * mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_FD_LIST_H
#define MAYFLY_KEEPER_FD_LIST_H

#include "keeper/subject.h"

enum { FD_LIST_MAX = 65536 };

struct fd_list {
	const int *at; /* ascending; borrowed until the next reading */
	size_t n;
};

/* A folder of /proc to read again and again, the caller's to close; or -1 with a verdict. */
int fd_list_open(struct subject *subject, struct keeper_reply *reply);

int fd_list_read(int folder, struct fd_list *ret, struct keeper_reply *reply);

/* How many, without a list where the kernel counts them (Linux 6.2). */
int fd_list_count(int folder, size_t *ret, struct keeper_reply *reply);

#endif
