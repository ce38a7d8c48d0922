/* SPDX-License-Identifier: Apache-2.0 */
/*
 * status - the status file of every thread of the subject, line by line, against what it was.
 *
 * Lines that memory, layout and signal masks account for, or that only count, are not compared.
 * Knows no line's meaning: what a difference is worth, its reader decides. mayfly-keeper; one
 * thread.
 */
#ifndef MAYFLY_KEEPER_STATUS_H
#define MAYFLY_KEEPER_STATUS_H

#include "base/str.h"
#include "keeper/subject.h"

enum {
	STATUS_THREADS_MAX = 128, /* threads of a program that can be kept */
	STATUS_DIFFERENCES_MAX = 64,
};

struct status_difference {
	size_t thread;           /* index in subject->threads */
	struct str key, was, is; /* borrowed until the next look */
};

/* At KEEP. */
int status_learn(struct subject *subject, struct keeper_reply *reply);

/* Reads all of them; the differences are given until the next look. A line that comes or goes is a
 * verdict. */
int status_look(struct subject *subject, struct keeper_reply *reply);
size_t status_differences(const struct status_difference **ret);

/* The value of a line of a thread as it was at KEEP. */
struct str status_was(size_t thread, const char *key);

#endif
