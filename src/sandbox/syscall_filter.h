/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall_filter - the seccomp program of every sandbox, compiled once when the spawner starts.
 *
 * libseccomp knows the numbers of the names in syscall_table.h; the program is our own: a binary
 * search over ranges of numbers that share a verdict, which is half the size of a tree over the
 * numbers and half the cost to install (the kernel runs it once per number then). Arguments are
 * compared by their low 32 bits where the kernel takes no more: the high ones are a tenant's to
 * choose.
 *
 * Compiled in mayfly-spawner and doctor, installed (syscall_filter_install.c, which needs no
 * library) in mayfly-init; one thread.
 */
#ifndef MAYFLY_SANDBOX_SYSCALL_FILTER_H
#define MAYFLY_SANDBOX_SYSCALL_FILTER_H

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SYSCALL_FILTER_MAX 352

struct syscall_filter {
	uint32_t n;
	struct sock_filter code[SYSCALL_FILTER_MAX];
};

int syscall_filter_compile(struct syscall_filter *ret, struct err *err);

/* For ever, in this process and all that come of it; no_new_privs must be set. */
int syscall_filter_install(const struct syscall_filter *filter, struct err *err);

#endif
