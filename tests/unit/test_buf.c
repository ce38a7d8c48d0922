/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/buf.h"

static void
what_is_added_stands_there_and_is_terminated(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_add_text(&buf, "one ");
	buf_add_str(&buf, STR("two "));
	buf_add_u64(&buf, 18446744073709551615u);
	buf_add_char(&buf, ' ');
	buf_add_u64(&buf, 0);
	buf_printf(&buf, " %s-%d", "x", 7);
	assert_string_equal(buf.at, "one two 18446744073709551615 0 x-7");
	assert_int_equal(buf.len, strlen(buf.at));
}

static void
a_long_printf_is_whole(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_printf(&buf, "%*s", 5000, "end");
	assert_int_equal(buf.len, 5000);
	assert_string_equal(buf.at + 4997, "end");
}

static void
eaten_bytes_are_gone_and_the_rest_stays(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_add_text(&buf, "head|tail");
	buf_eat(&buf, 5);
	assert_string_equal(buf.at, "tail");
	buf_add_text(&buf, "!");
	assert_string_equal(buf.at, "tail!");
	buf_eat(&buf, buf.len);
	assert_int_equal(buf.len, 0);
	assert_ptr_equal(buf.at, buf.base);
}

/* A stream that is read and eaten for ever must live in a bounded allocation. */
static void
a_queue_that_is_eaten_as_it_fills_does_not_grow(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;
	uint32_t put = 0, got = 0;

	for (int i = 0; i < 100000; i++) {
		buf_add(&buf, &put, sizeof(put));
		put++;
		if (i % 8 == 7) {
			for (int k = 0; k < 8; k++, got++) {
				uint32_t number;

				memcpy(&number, buf.at, sizeof(number));
				assert_int_equal(number, got);
				buf_eat(&buf, sizeof(number));
			}
		}
	}
	assert_true(buf.cap <= 256);
}

static void
room_is_writable_and_counts_only_when_it_grew(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;
	char *room;

	assert_int_equal(buf_room_size(&buf), 0);
	room = buf_room(&buf, 1000);
	assert_true(buf_room_size(&buf) >= 1000);
	memset(room, 'x', 1000);
	assert_int_equal(buf.len, 0);
	buf_grew(&buf, 3);
	assert_string_equal(buf.at, "xxx");
}

static void
cutting_keeps_the_first_bytes(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_add_text(&buf, "abcdef");
	buf_cut(&buf, 2);
	assert_string_equal(buf.at, "ab");
	buf_clear(&buf);
	assert_string_equal(buf.at, "");
}

static void
taking_moves_the_bytes_out_and_leaves_an_empty_buf(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;
	OWN(mem) char *bytes = NULL;
	OWN(mem) char *nothing = NULL;
	size_t len;

	buf_add_text(&buf, "skip keep");
	buf_eat(&buf, 5);
	bytes = buf_take(&buf, &len);
	assert_string_equal(bytes, "keep");
	assert_int_equal(len, 4);
	assert_null(buf.base);
	nothing = buf_take(&buf, &len);
	assert_string_equal(nothing, "");
	assert_int_equal(len, 0);
}

static void
json_strings_are_escaped(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_add_json(&buf, STR("q\" b\\ n\n t\t \x01 \x7f nul\0 \xc3\xa9"));
	assert_string_equal(buf.at, "\"q\\\" b\\\\ n\\n t\\t \\u0001 \x7f nul\\u0000 \xc3\xa9\"");
}

static void
bytes_that_are_not_utf8_become_the_replacement_character(void **state)
{
	OWN(buf) struct buf buf = BUF_INIT;

	buf_add_json(&buf, STR("a\xff"
			       "b\xc3"));
	assert_string_equal(buf.at, "\"a\xef\xbf\xbd"
				    "b\xef\xbf\xbd\"");
}

/* Text is looked at in eights. */
static void
every_byte_is_escaped_wherever_it_stands(void **state)
{
	for (int byte = 0; byte < 256; byte++) {
		OWN(buf) struct buf alone = BUF_INIT;
		char one = (char)byte;

		buf_add_json(&alone, str_n(&one, 1));
		for (int at = 0; at < 18; at++) {
			OWN(buf) struct buf whole = BUF_INIT, wanted = BUF_INIT;
			char text[18];

			memset(text, 'x', sizeof(text));
			text[at] = one;
			buf_add_json(&whole, str_n(text, sizeof(text)));
			buf_add_char(&wanted, '"');
			for (int i = 0; i < at; i++)
				buf_add_char(&wanted, 'x');
			buf_add(&wanted, alone.at + 1, alone.len - 2);
			for (int i = at + 1; i < 18; i++)
				buf_add_char(&wanted, 'x');
			buf_add_char(&wanted, '"');
			assert_string_equal(whole.at, wanted.at);
		}
	}
}

UNIT_TESTS(it(what_is_added_stands_there_and_is_terminated), it(a_long_printf_is_whole),
	it(eaten_bytes_are_gone_and_the_rest_stays),
	it(a_queue_that_is_eaten_as_it_fills_does_not_grow),
	it(room_is_writable_and_counts_only_when_it_grew), it(cutting_keeps_the_first_bytes),
	it(taking_moves_the_bytes_out_and_leaves_an_empty_buf), it(json_strings_are_escaped),
	it(bytes_that_are_not_utf8_become_the_replacement_character),
	it(every_byte_is_escaped_wherever_it_stands))
