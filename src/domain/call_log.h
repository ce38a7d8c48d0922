/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call_log - what a call printed, as lines: JSON for its record, text for who follows it.
 *
 * Bytes come as they were written; lines are cut at LF, after 16 KiB, and at the end of the call.
 * The JSON of many short lines is longer than they are: it is bounded too. Knows no instance and
 * no follower. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_CALL_LOG_H
#define MAYFLY_DOMAIN_CALL_LOG_H

#include "base/buf.h"

struct call_log {
	size_t max_bytes;   /* of `lines`; set by the owner, the rest is zero at first */
	struct buf lines;   /* {"t":ms,"s":"out"|"err","m":"text"} each with LF */
	struct buf rest[2]; /* of stdout and stderr: a line that has no end yet */
	bool is_truncated;
};

typedef void call_log_line_fn(bool is_stderr, struct str line, void *arg);

void call_log_add(struct call_log *log, bool is_stderr, struct str bytes, call_log_line_fn *on_line,
	void *arg);
void call_log_end(struct call_log *log, call_log_line_fn *on_line, void *arg);
void call_log_done(struct call_log *log);

#endif
