/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

struct err_fact {
	const char *word;
	int http_status;
	int exit_code;
	enum err_blame blame;
};

static const struct err_fact facts[ERR_COUNT_] = {[ERR_NONE_] = {"ok", 200, 0, ERR_BLAME_PLATFORM},
#define X(name, word, status, exit, blame)                                                         \
	[ERR_##name##_] = {word, status, exit, ERR_BLAME_##blame},
	ERR_CODES(X)
#undef X
};

/* A number that is no code can only come from a fault of ours. */
static const struct err_fact *
err_fact(int code)
{
	if (code > 0 || code <= -ERR_COUNT_)
		return &facts[ERR_INTERNAL_];
	return &facts[-code];
}

static void
err_fill(struct err *err, int code, int sys, const char *field)
{
	err->code = code;
	err->sys = sys;
	snprintf(err->field, sizeof(err->field), "%s", field);
}

/* What is quoted may be foreign, and what is too long is cut: the text stays UTF-8, as JSON and the
 * store want it. */
static void
err_keep_utf8(struct err *err)
{
	struct str rest = str_of(err->text);

	while (rest.len > 0) {
		size_t step = str_utf8_step(rest);

		if (step == 0)
			err->text[rest.at - err->text] = '?';
		rest = str_n(rest.at + (step ? step : 1), rest.len - (step ? step : 1));
	}
}

int
err_set(struct err *err, int code, const char *format, ...)
{
	va_list args;

	must(code < 0);
	if (!err)
		return code;
	err_fill(err, code, 0, "");
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	err_keep_utf8(err);
	return code;
}

int
err_field(struct err *err, int code, const char *field, const char *format, ...)
{
	va_list args;

	must(code < 0);
	if (!err)
		return code;
	err_fill(err, code, 0, field);
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	err_keep_utf8(err);
	return code;
}

int
err_sys(struct err *err, const char *format, ...)
{
	int sys = errno;
	const char *reason = strerrordesc_np(sys);
	va_list args;
	size_t len;

	if (!err)
		return ERR_SYSTEM;
	err_fill(err, ERR_SYSTEM, sys, "");
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s",
		reason ? reason : "Unknown error");
	err_keep_utf8(err);
	return ERR_SYSTEM;
}

int
err_wrap(struct err *err, int code, const char *format, ...)
{
	char cause[sizeof(err->text)];
	va_list args;
	size_t len;

	if (!err)
		return code;
	memcpy(cause, err->text, sizeof(cause));
	va_start(args, format);
	vsnprintf(err->text, sizeof(err->text), format, args);
	va_end(args);
	len = strlen(err->text);
	snprintf(err->text + len, sizeof(err->text) - len, ": %s", cause);
	err_keep_utf8(err);
	return code;
}

const char *
err_word(int code)
{
	return err_fact(code)->word;
}

int
err_from_word(const char *word)
{
	for (int i = 1; i < ERR_COUNT_; i++)
		if (strcmp(facts[i].word, word) == 0)
			return -i;
	return 0;
}

int
err_http_status(int code)
{
	return err_fact(code)->http_status;
}

int
err_exit_code(int code)
{
	return err_fact(code)->exit_code;
}

enum err_blame
err_blame(int code)
{
	return err_fact(code)->blame;
}

_Noreturn void
err_abort(const char *condition, const char *file, int line)
{
	fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, condition);
	abort();
}
