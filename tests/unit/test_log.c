/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/log.h"

static int saved_stderr;

static void
capture_start(void)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	fflush(stderr);
	saved_stderr = dup(STDERR_FILENO);
	dup2(fileno(file), STDERR_FILENO);
	fclose(file);
}

static char *
capture_end(void)
{
	char *text = mem_new(100000);
	ssize_t n = pread(STDERR_FILENO, text, 99999, 0);

	dup2(saved_stderr, STDERR_FILENO);
	close(saved_stderr);
	assert_true(n >= 0);
	return text;
}

static void
set_up(enum log_level level, bool is_json)
{
	struct log_config config = {level, is_json, "daemon"};

	log_setup(&config);
}

static void
an_event_is_one_logfmt_line_behind_its_time(void **state)
{
	OWN(mem) char *text = NULL;

	set_up(LOG_INFO, false);
	capture_start();
	log_warn("call.failed", "call=%s ms=%d why=%s", "01J", 7, log_q("a \"b\"\nc"));
	log_info("daemon.ready", " ");
	text = capture_end();
	assert_memory_equal(text + 23, "Z warn call.failed ", 19);
	assert_non_null(strstr(
		text, " warn call.failed process=daemon call=01J ms=7 why=\"a \\\"b\\\"\\nc\"\n"));
	assert_non_null(strstr(text, " info daemon.ready process=daemon"));
}

static void
lines_below_the_level_are_not_written(void **state)
{
	OWN(mem) char *text = NULL;

	set_up(LOG_WARN, false);
	capture_start();
	log_debug("a.b", "x=1");
	log_info("a.b", "x=1");
	text = capture_end();
	assert_string_equal(text, "");
}

static void
the_same_line_as_json_is_a_document(void **state)
{
	OWN(mem) char *text = NULL;
	OWN(json) json_t *line = NULL;

	set_up(LOG_INFO, true);
	capture_start();
	log_error("build.failed", "org=acme ms=12 zero=007 raw=a\"b empty= why=%s",
		log_q("tab\t q\" \xff end"));
	text = capture_end();
	assert_int_equal(json_parse(str_trim(str_n(text, strlen(text) - 1)), &line, NULL), 0);
	assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
	assert_string_equal(json_string_value(json_object_get(line, "event")), "build.failed");
	assert_string_equal(json_string_value(json_object_get(line, "process")), "daemon");
	assert_int_equal(json_integer_value(json_object_get(line, "ms")), 12);
	assert_string_equal(json_string_value(json_object_get(line, "zero")), "007");
	assert_string_equal(json_string_value(json_object_get(line, "raw")), "a\"b");
	assert_string_equal(json_string_value(json_object_get(line, "empty")), "");
	assert_string_equal(
		json_string_value(json_object_get(line, "why")), "tab\t q\" \xef\xbf\xbd end");
}

static void
a_value_that_nobody_quoted_cannot_begin_a_line(void **state)
{
	OWN(mem) char *text = NULL;

	set_up(LOG_INFO, false);
	capture_start();
	log_info("a.b", "name=%s", "x\n2026 error forged.event");
	text = capture_end();
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void
whatever_a_value_is_the_json_line_is_a_document(void **state)
{
	static const char *const values[] = {"\"", "\"a\\\"", "\"a\\q\"", "\"\\u00zz\"", "\"\\u\"",
		"\"a\"b", "\"\xff\"", "\\", "=", "==\"x", "\"\\u00", "-1", "00", "\x7f", "\"\\"};

	set_up(LOG_INFO, true);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		OWN(mem) char *text = NULL;
		OWN(json) json_t *line = NULL;

		capture_start();
		log_info("a.b", "value=%s last=%s", values[i], log_q(values[i]));
		text = capture_end();
		assert_int_equal(json_parse(str_of(text), &line, NULL), 0);
	}
}

static void
quoting_is_bounded_and_eight_values_live_at_once(void **state)
{
	char longer[2000];
	const char *first;

	memset(longer, 1, sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(strlen(log_q(longer)), 240 * 6 + 2);
	first = log_q("first");
	for (int i = 0; i < 7; i++)
		log_q("later");
	assert_string_equal(first, "\"first\"");
}

static void
levels_have_words(void **state)
{
	enum log_level level = LOG_DEBUG;

	assert_true(log_level_parse("warn", &level));
	assert_int_equal(level, LOG_WARN);
	assert_false(log_level_parse("WARN", &level));
	assert_false(log_level_parse("", &level));
	assert_int_equal(level, LOG_WARN);
}

UNIT_TESTS(it(an_event_is_one_logfmt_line_behind_its_time),
	it(lines_below_the_level_are_not_written), it(the_same_line_as_json_is_a_document),
	it(a_value_that_nobody_quoted_cannot_begin_a_line),
	it(whatever_a_value_is_the_json_line_is_a_document),
	it(quoting_is_bounded_and_eight_values_live_at_once), it(levels_have_words))
