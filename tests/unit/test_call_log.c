/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "base/json.h"
#include "domain/call_log.h"

static void
on_line(bool is_stderr, struct str line, void *arg)
{
	struct buf *seen = arg;

	buf_printf(seen, "%c:", is_stderr ? 'E' : 'O');
	buf_add_str(seen, line);
	buf_add_char(seen, '|');
}

static void
lines_are_put_together_from_pieces(void **state)
{
	OWN(buf) struct buf seen = BUF_INIT;
	struct call_log log = {.max_bytes = 1000};

	call_log_add(&log, false, STR("one\ntw"), on_line, &seen);
	call_log_add(&log, true, STR("error "), on_line, &seen);
	call_log_add(&log, false, STR("o\n\nthree"), on_line, &seen);
	assert_string_equal(seen.at, "O:one|O:two|O:|");
	call_log_end(&log, on_line, &seen);
	assert_string_equal(seen.at, "O:one|O:two|O:|O:three|E:error |");
	call_log_end(&log, on_line, &seen);
	assert_string_equal(seen.at, "O:one|O:two|O:|O:three|E:error |");
	call_log_done(&log);
}

static void
each_line_is_a_json_document(void **state)
{
	OWN(buf) struct buf seen = BUF_INIT;
	OWN(json) json_t *line = NULL;
	struct call_log log = {.max_bytes = 1000};
	struct err err = {0};

	call_log_add(&log, true, STR("a \"b\" \xff\r\n"), on_line, &seen);
	assert_int_equal(log.lines.at[log.lines.len - 1], '\n');
	assert_int_equal(json_parse(buf_str(&log.lines), &line, &err), 0);
	assert_string_equal(json_string_value(json_object_get(line, "m")), "a \"b\" \xef\xbf\xbd");
	assert_string_equal(json_string_value(json_object_get(line, "s")), "err");
	assert_true(json_integer_value(json_object_get(line, "t")) > 0);
	call_log_done(&log);
}

static void
a_line_without_an_end_is_cut(void **state)
{
	OWN(buf) struct buf seen = BUF_INIT;
	OWN(buf) struct buf text = BUF_INIT;
	struct call_log log = {.max_bytes = 100000};

	while (text.len < 40000)
		buf_add_char(&text, 'x');
	call_log_add(&log, false, buf_str(&text), on_line, &seen);
	assert_int_equal(seen.len, 2 * (16384 + 3));
	call_log_end(&log, on_line, &seen);
	assert_int_equal(seen.len, 40000 + 3 * 3);
	call_log_done(&log);
}

static void
many_empty_lines_do_not_make_a_large_record(void **state)
{
	OWN(buf) struct buf seen = BUF_INIT;
	struct call_log log = {.max_bytes = 1000};

	for (int i = 0; i < 10000; i++)
		call_log_add(&log, false, STR("\n"), on_line, &seen);
	assert_true(log.is_truncated);
	assert_in_range(log.lines.len, 900, 1100);
	assert_int_equal(seen.len, 3 * 10000);
	call_log_done(&log);
}

UNIT_TESTS(it(lines_are_put_together_from_pieces), it(each_line_is_a_json_document),
	it(a_line_without_an_end_is_cut), it(many_empty_lines_do_not_make_a_large_record))
