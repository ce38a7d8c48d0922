/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sockopt - the options of a socket that a program can set: what getsockopt(2) gives for them.
 *
 * At the level of sockets that is the list by which a sandbox's filter lets them be set
 * (sandbox/syscall_filter.c). At the levels of the Internet it is not a list of names but of all
 * numbers that the kernel answers, so an option of a kernel to come is in it too. mayfly-keeper;
 * one thread.
 */
#ifndef MAYFLY_KEEPER_SOCKOPT_H
#define MAYFLY_KEEPER_SOCKOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SOCKOPT_MAX = 256, SOCKOPT_VALUE_SIZE = 40 };

struct sockopt {
	int16_t level, number;
	int16_t code; /* 0, or the errno of the answer */
	uint16_t length;
	uint8_t value[SOCKOPT_VALUE_SIZE];
};

struct sockopts {
	struct sockopt at[SOCKOPT_MAX];
	size_t n;
};

/* All levels that matter to a socket of this domain (AF_UNIX …). False when there are more, or
 * longer ones, than can be kept. */
bool sockopt_learn(int socket, int domain, struct sockopts *ret);

/* The first that is not as it was, NULL when all are. */
const struct sockopt *sockopt_find_changed(int socket, const struct sockopts *was);

/* Sets one as it was: whether it is. */
bool sockopt_put_back(int socket, const struct sockopt *was);

#endif
