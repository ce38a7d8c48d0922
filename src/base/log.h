/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log - mayfly's own log: one line is one event.
 *
 *	log_warn("call.failed", "call=%s org=%s code=%s ms=%u", id, org, word, ms);
 *
 * The event is dotted and stable; the rest is logfmt (`key=value`, values with spaces are quoted
 * with LOG_Q). To stderr, as logfmt or as JSON lines. What functions print is data and never
 * comes here; nor does a secret. Floors 0 to 2 return errors and log at most at debug level.
 * Any process, any thread; each line is one write(2).
 */
#ifndef MAYFLY_BASE_LOG_H
#define MAYFLY_BASE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_config {
	enum log_level level; /* lines below it are not written */
	bool is_json;         /* JSON lines instead of logfmt */
	const char *process;  /* borrowed: "daemon", "spawner" */
};

void log_setup(const struct log_config *config);
bool log_level_parse(const char *word, enum log_level *ret); /* debug info warn error */

/* A free text as a quoted logfmt value: at most 240 bytes of it, control bytes escaped.
 * Gives one of eight static per-thread buffers. */
const char *log_q(const char *text);

void log_event(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_debug(...) log_event(LOG_DEBUG, __VA_ARGS__)
#define log_info(...)  log_event(LOG_INFO, __VA_ARGS__)
#define log_warn(...)  log_event(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERROR, __VA_ARGS__)

#endif
