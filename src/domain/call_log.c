/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/call_log.h"

#include "base/clock.h"

enum { CALL_LOG_LINE_BYTES = 16 * 1024 };

static void
call_log_line(
	struct call_log *log, bool is_stderr, struct str line, call_log_line_fn *on_line, void *arg)
{
	if (line.len > 0 && line.at[line.len - 1] == '\r')
		line.len--;
	on_line(is_stderr, line, arg);
	if (log->lines.len + line.len > log->max_bytes) {
		log->is_truncated = true;
		return;
	}
	buf_add_text(&log->lines, "{\"t\":");
	buf_add_u64(&log->lines, clock_unix_ms());
	buf_add_text(&log->lines, is_stderr ? ",\"s\":\"err\",\"m\":" : ",\"s\":\"out\",\"m\":");
	buf_add_json(&log->lines, line);
	buf_add_text(&log->lines, "}\n");
}

static void
call_log_end_rest(struct call_log *log, bool is_stderr, call_log_line_fn *on_line, void *arg)
{
	struct buf *rest = &log->rest[is_stderr];

	call_log_line(log, is_stderr, buf_str(rest), on_line, arg);
	buf_clear(rest);
}

/* Gives how much of `bytes` belongs to the present line, its LF included. */
static size_t
call_log_step(struct call_log *log, bool is_stderr, struct str bytes, call_log_line_fn *on_line,
	void *arg)
{
	struct buf *rest = &log->rest[is_stderr];
	const char *end = memchr(bytes.at, '\n', bytes.len);
	size_t len = end ? (size_t)(end - bytes.at) : bytes.len;
	size_t room = CALL_LOG_LINE_BYTES - rest->len;

	if (len > room) {
		len = room;
		end = NULL;
	}
	if (end && rest->len == 0) {
		call_log_line(log, is_stderr, str_n(bytes.at, len), on_line, arg);
		return len + 1;
	}
	buf_add(rest, bytes.at, len);
	if (end || rest->len == CALL_LOG_LINE_BYTES)
		call_log_end_rest(log, is_stderr, on_line, arg);
	return len + (end != NULL);
}

void
call_log_add(struct call_log *log, bool is_stderr, struct str bytes, call_log_line_fn *on_line,
	void *arg)
{
	while (bytes.len > 0) {
		size_t used = call_log_step(log, is_stderr, bytes, on_line, arg);

		bytes.at += used;
		bytes.len -= used;
	}
}

void
call_log_end(struct call_log *log, call_log_line_fn *on_line, void *arg)
{
	for (int i = 0; i < 2; i++)
		if (log->rest[i].len > 0)
			call_log_end_rest(log, i == 1, on_line, arg);
}

void
call_log_done(struct call_log *log)
{
	buf_done(&log->lines);
	buf_done(&log->rest[0]);
	buf_done(&log->rest[1]);
}
