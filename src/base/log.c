/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"

#define LOG_Q_BYTES 240
#define LOG_Q_SIZE  (LOG_Q_BYTES * 6 + 3) /* every byte may become \u00xx, then quotes and NUL */
#define LOG_Q_COUNT 8

static struct log_config log_now = {.level = LOG_INFO, .process = "mayfly"};

static const char *const log_words[] = {
	[LOG_DEBUG] = "debug",
	[LOG_INFO] = "info",
	[LOG_WARN] = "warn",
	[LOG_ERROR] = "error",
};

void
log_setup(const struct log_config *config)
{
	log_now = *config;
}

bool
log_level_parse(const char *word, enum log_level *ret)
{
	for (size_t i = 0; i < sizeof(log_words) / sizeof(log_words[0]); i++) {
		if (strcmp(word, log_words[i]) == 0) {
			*ret = (enum log_level)i;
			return true;
		}
	}
	return false;
}

/* Quoted as a JSON string, which is a good logfmt value too: the JSON lines take it as it is. */
const char *
log_q(const char *text)
{
	static _Thread_local char places[LOG_Q_COUNT][LOG_Q_SIZE];
	static _Thread_local unsigned turn;
	char *place = places[turn++ % LOG_Q_COUNT];
	struct buf quoted = BUF_INIT;

	buf_add_json(&quoted, str_n(text, strnlen(text, LOG_Q_BYTES)));
	memcpy(place, quoted.at, quoted.len + 1);
	buf_done(&quoted);
	return place;
}

/* Cuts the next `key=value` or `key="quoted value"` off *rest; false at the end. */
static bool
log_cut_pair(struct str *rest, struct str *ret_key, struct str *ret_value)
{
	size_t at = 0, key_end;

	while (rest->len && rest->at[0] == ' ')
		*rest = str_n(rest->at + 1, rest->len - 1);
	if (rest->len == 0)
		return false;
	while (at < rest->len && rest->at[at] != '=' && rest->at[at] != ' ')
		at++;
	key_end = at;
	if (at < rest->len && rest->at[at] == '=')
		at++;
	*ret_key = str_n(rest->at, key_end);
	*ret_value = str_n(rest->at + at, 0);
	if (at < rest->len && rest->at[at] == '"') {
		for (at++; at < rest->len && rest->at[at] != '"'; at++)
			if (rest->at[at] == '\\' && at + 1 < rest->len)
				at++;
		at += at < rest->len;
	} else {
		while (at < rest->len && rest->at[at] != ' ')
			at++;
	}
	ret_value->len = (size_t)(rest->at + at - ret_value->at);
	*rest = str_n(rest->at + at, rest->len - at);
	return true;
}

/* Whether a value is a JSON string as log_q() writes them; a text that nobody quoted may begin and
 * end with a quote too. */
static bool
log_is_quoted(struct str value)
{
	if (value.len < 2 || value.at[0] != '"' || !str_is_utf8(value))
		return false;
	for (size_t i = 1; i < value.len; i++) {
		if (value.at[i] == '"')
			return i == value.len - 1;
		if (value.at[i] != '\\')
			continue;
		i++;
		if (i == value.len || !memchr("\"\\bfnrtu", value.at[i], 8))
			return false;
		if (value.at[i] == 'u' &&
			(value.len - i < 6 || memcmp(value.at + i, "u00", 3) != 0 ||
				!isxdigit((unsigned char)value.at[i + 3]) ||
				!isxdigit((unsigned char)value.at[i + 4])))
			return false;
	}
	return false;
}

/* A number that JSON can hold exactly: digits, no leading zero, below 2^53. */
static bool
log_is_number(struct str value)
{
	uint64_t number;

	return value.len > 0 && value.len <= 15 && str_to_u64(value, &number) &&
	       (value.len == 1 || value.at[0] != '0');
}

static void
log_add_json_pairs(struct buf *line, struct str pairs)
{
	struct str key, value;

	while (log_cut_pair(&pairs, &key, &value)) {
		buf_add_char(line, ',');
		buf_add_json(line, key);
		buf_add_char(line, ':');
		if (log_is_quoted(value) || log_is_number(value))
			buf_add_str(line, value);
		else
			buf_add_json(line, value);
	}
}

/* A control byte in a value that nobody quoted must not end the line. */
static void
log_flatten(struct buf *pairs)
{
	for (size_t i = 0; i < pairs->len; i++)
		if ((unsigned char)pairs->at[i] < 0x20)
			pairs->at[i] = '?';
}

static void
log_format(struct buf *line, enum log_level level, const char *event, struct str pairs)
{
	char now[CLOCK_ISO_SIZE];

	clock_iso(clock_unix_ms(), now);
	if (log_now.is_json) {
		buf_printf(line,
			"{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\",\"process\":\"%s\"",
			now, log_words[level], event, log_now.process);
		log_add_json_pairs(line, pairs);
		buf_add_text(line, "}\n");
		return;
	}
	buf_printf(line, "%s %s %s process=%s %.*s", now, log_words[level], event, log_now.process,
		STR_ARG(pairs));
	if (line->at[line->len - 1] == ' ')
		buf_cut(line, line->len - 1);
	buf_add_char(line, '\n');
}

void
log_event(enum log_level level, const char *event, const char *format, ...)
{
	struct buf pairs = BUF_INIT, line = BUF_INIT;
	va_list args;

	if (level < log_now.level)
		return;
	va_start(args, format);
	buf_vprintf(&pairs, format, args);
	va_end(args);
	log_flatten(&pairs);
	log_format(&line, level, event, buf_str(&pairs));
	/* Nobody is left to tell when the log itself cannot be written. */
	(void)!write(STDERR_FILENO, line.at, line.len);
	buf_done(&pairs);
	buf_done(&line);
}
