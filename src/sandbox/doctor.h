/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor - what this machine and these rights allow: each protection and each limit, yes or no
 * and why.
 *
 * Findings are made by trying (a namespace is made, a filter loaded, a cgroup written), never by
 * reading a version number. Run before privileges are dropped, or on its own by `mayfly doctor`.
 */
#ifndef MAYFLY_SANDBOX_DOCTOR_H
#define MAYFLY_SANDBOX_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* Connections are not this room's to try. */
enum doctor_group { DOCTOR_PROTECTION, DOCTOR_LIMIT, DOCTOR_MECHANISM, DOCTOR_CONNECTION };

struct doctor_finding {
	const char *name; /* static: "namespace.user", "limit.memory", "landlock" */
	enum doctor_group group;
	bool is_there;
	bool is_needed; /* without it mayfly refuses to start */
	char why[160];  /* how it is enforced, or why it is not there and what would help */
};

/* Fills at most n findings, group by group, gives their number. */
size_t doctor_examine(struct doctor_finding *ret, size_t n);

#endif
