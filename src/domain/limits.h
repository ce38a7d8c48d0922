/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits - what one call may use, per function: default, floor, and the provider's ceiling.
 *
 * One table (limits_table) is the truth for parsing, validation, REST descriptions, `mayfly
 * doctor` and the documentation. Knows no call and no sandbox; the values are handed down.
 */
#ifndef MAYFLY_DOMAIN_LIMITS_H
#define MAYFLY_DOMAIN_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

/* field, default, floor, default ceiling, description */
#define LIMITS(X)                                                                                  \
	X(memory_mib, 256, 32, 4096, "memory of the sandbox, /tmp included, in MiB")               \
	X(cpu_weight, 100, 1, 1000, "share of the processors under contention, 100 is usual")      \
	X(cpu_percent, 0, 0, 6400, "hard ceiling of CPU use, 100 is one core, 0 is none")          \
	X(cpu_ms, 10000, 1, 900000, "CPU time of one call, in milliseconds")                       \
	X(timeout_ms, 30000, 1, 900000,                                                            \
		"wall time of one call, without the start of its instance, in milliseconds")       \
	X(processes, 64, 16, 1024, "processes and threads")                                        \
	X(open_files, 256, 32, 4096, "open files of a process")                                    \
	X(tmp_mib, 64, 1, 2048, "size of /tmp in MiB")                                             \
	X(request_bytes, 6291456, 0, 104857600, "body of a request, in bytes")                     \
	X(answer_bytes, 6291456, 1024, 104857600, "body of an answer, in bytes")                   \
	X(log_bytes, 262144, 0, 4194304, "log kept of one call, in bytes")

struct limits {
#define X(field, value, floor, ceiling, text) uint64_t field;
	LIMITS(X)
#undef X
};

struct limits_rule {
	const char *field; /* static */
	const char *text;  /* static */
	uint64_t value, floor, ceiling;
	size_t offset; /* of the field in struct limits */
};

#define X(field, value, floor, ceiling, text) +1
enum { LIMITS_N = 0 LIMITS(X) };
#undef X

/* Process-wide; the configuration may lower or raise `value` and `ceiling` before the loop runs
 * (limits_configure("memory_mib", "ceiling", 2048)); floors are fixed. A ceiling below the default
 * takes it along. */
extern struct limits_rule limits_table[LIMITS_N];
int limits_configure(const char *field, const char *what, uint64_t number, struct err *err);

void limits_default(struct limits *ret);
/* Reads the members that are there over *ret; ERR_INVALID names "<path>.<field>" and the rule
 * ("must be between 32 and 4096"). */
int limits_read(const json_t *object, const char *path, struct limits *ret, struct err *err);

/* What the store has, over *ret: what a lowered ceiling no longer allows becomes the ceiling. */
void limits_restore(const json_t *object, struct limits *ret);

json_t *limits_json(const struct limits *limits);

#endif
