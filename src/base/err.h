/* SPDX-License-Identifier: Apache-2.0 */
/*
 * err - what went wrong, whose fault it is, and a sentence for a person.
 *
 * A function that can fail gives a negative `enum err_code`; where a person will read the reason
 * it also takes `struct err *err` last. The struct is flat and holds no memory, so a child in a
 * sandbox can write it whole to its parent. It is filled once, at the cause, left alone on
 * success, and wrapped on the way up with what was being done.
 *
 * The code decides the HTTP status, the exit code and who is to blame; the text never does.
 * Programming errors assert (`must()`), in release too; run-time failures never do.
 *
 * Knows nothing of HTTP servers, functions or threads. Any process, any thread.
 */
#ifndef MAYFLY_BASE_ERR_H
#define MAYFLY_BASE_ERR_H

#include <stdarg.h>
#include <stddef.h>

/* name (ERR_ + it), word in JSON, HTTP status, exit code of the CLI, who is to blame */
#define ERR_CODES(X)                                                                               \
	X(INVALID, "invalid_argument", 400, 2, CALLER)                                             \
	X(UNAUTHENTICATED, "unauthenticated", 401, 3, CALLER)                                      \
	X(FORBIDDEN, "forbidden", 403, 3, CALLER)                                                  \
	X(NOT_FOUND, "not_found", 404, 4, CALLER)                                                  \
	X(METHOD, "method_not_allowed", 405, 2, CALLER)                                            \
	X(REQUEST_TIMEOUT, "request_timeout", 408, 1, CALLER)                                      \
	X(CONFLICT, "conflict", 409, 5, CALLER)                                                    \
	X(PRECONDITION, "precondition_failed", 412, 5, CALLER)                                     \
	X(TOO_LARGE, "request_too_large", 413, 2, CALLER)                                          \
	X(URI_TOO_LONG, "uri_too_long", 414, 2, CALLER)                                            \
	X(MEDIA_TYPE, "unsupported_media_type", 415, 2, CALLER)                                    \
	X(EXPECTATION, "expectation_failed", 417, 2, CALLER)                                       \
	X(RATE, "too_many_requests", 429, 6, CALLER)                                               \
	X(HEADERS_TOO_LARGE, "headers_too_large", 431, 2, CALLER)                                  \
	X(CANCELLED, "cancelled", 499, 1, CALLER)                                                  \
	X(FUNCTION, "function_error", 502, 7, FUNCTION)                                            \
	X(FUNCTION_EXITED, "function_exited", 502, 7, FUNCTION)                                    \
	X(FUNCTION_FAILED, "function_failed", 502, 7, FUNCTION)                                    \
	X(ANSWER_INVALID, "answer_invalid", 502, 7, FUNCTION)                                      \
	X(ANSWER_TOO_LARGE, "answer_too_large", 502, 7, FUNCTION)                                  \
	X(MEMORY_EXCEEDED, "memory_exceeded", 502, 7, FUNCTION)                                    \
	X(PROCESSES_EXCEEDED, "processes_exceeded", 502, 7, FUNCTION)                              \
	X(OPEN_FILES_EXCEEDED, "open_files_exceeded", 502, 7, FUNCTION)                            \
	X(TMP_EXCEEDED, "tmp_exceeded", 502, 7, FUNCTION)                                          \
	X(LOG_EXCEEDED, "log_exceeded", 502, 7, FUNCTION)                                          \
	X(BUILD_FAILED, "build_failed", 502, 7, FUNCTION)                                          \
	X(RECEIVER, "receiver_error", 502, 7, CALLER)                                              \
	X(CPU_EXCEEDED, "cpu_exceeded", 504, 7, FUNCTION)                                          \
	X(TIMEOUT, "timeout", 504, 7, FUNCTION)                                                    \
	X(NOT_READY, "not_ready", 503, 6, FUNCTION)                                                \
	X(UNAVAILABLE, "unavailable", 503, 6, PLATFORM)                                            \
	X(VERSION, "http_version_not_supported", 505, 2, CALLER)                                   \
	X(UNIMPLEMENTED, "not_implemented", 501, 2, CALLER)                                        \
	X(SYSTEM, "system", 500, 1, PLATFORM)                                                      \
	X(INTERNAL, "internal", 500, 1, PLATFORM)

enum err_code {
	ERR_NONE_ = 0,
#define X(name, word, status, exit, blame) ERR_##name##_,
	ERR_CODES(X)
#undef X
		ERR_COUNT_,
#define X(name, word, status, exit, blame) ERR_##name = -ERR_##name##_,
	ERR_CODES(X)
#undef X
};

enum err_blame { ERR_BLAME_CALLER, ERR_BLAME_FUNCTION, ERR_BLAME_PLATFORM };

struct err {
	int code;       /* negative enum err_code, 0 while nothing happened */
	int sys;        /* errno at the cause, 0 where there is none */
	char field[40]; /* the input field that broke a rule, "" where there is none */
	char text[240]; /* a sentence without a full stop, always terminated, always UTF-8 */
};

/* Fills *err (may be NULL) and gives `code` back, so that `return err_set(...)` reads well. */
int err_set(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for a rule about one input field: `field` is the path a user wrote
 * ("limits.memory_mib"). */
int err_field(struct err *err, int code, const char *field, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* From errno as it is now; gives ERR_SYSTEM. The text becomes "<doing>: <strerror>". */
int err_sys(struct err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "<context>: " before the text that is there, keeps code, errno and field; gives `code`. */
int err_wrap(struct err *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The word of a code in JSON and logs ("not_found"); "ok" for 0. Never NULL. */
const char *err_word(int code);

/* The code of a word, 0 if no code has it. */
int err_from_word(const char *word);

int err_http_status(int code);
int err_exit_code(int code);
enum err_blame err_blame(int code);

/* A broken promise inside the program: says where, then aborts. Never for run-time failures. */
#define must(condition)                                                                            \
	do {                                                                                       \
		if (__builtin_expect(!(condition), 0))                                             \
			err_abort(#condition, __FILE__, __LINE__);                                 \
	} while (0)

_Noreturn void err_abort(const char *condition, const char *file, int line);

#endif
