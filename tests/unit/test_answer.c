/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "runtime/answer.h"

/* Parses a copy, since names are lowered in place. The copy is static: the headers point to it. */
static int
parse(const char *text, struct answer *ret, struct err *err)
{
	static char copy[64 * 1024];
	size_t len = strlen(text);

	memcpy(copy, text, len);
	return answer_parse(copy, len, ret, err);
}

static void
refused(const char *text, const char *why)
{
	struct answer answer;
	struct err err = {0};

	assert_int_equal(parse(text, &answer, &err), ERR_ANSWER_INVALID);
	assert_non_null(strstr(err.text, why));
}

static void
a_status_alone_is_an_answer(void **state)
{
	struct answer answer;
	struct err err = {0};

	assert_int_equal(parse("204\n", &answer, &err), 0);
	assert_int_equal(answer.status, 204);
	assert_int_equal(answer.n, 0);
	assert_int_equal(err.code, 0);
}

static void
names_are_lowered_and_values_trimmed(void **state)
{
	struct answer answer;
	struct err err = {0};

	assert_int_equal(
		parse("201\nContent-Type: text/plain \nset-cookie:a=1\nSet-Cookie:\tb=2\nx:\n",
			&answer, &err),
		0);
	assert_int_equal(answer.n, 4);
	assert_str(answer.headers[0].name, "content-type");
	assert_str(answer.headers[0].value, "text/plain");
	assert_str(answer.headers[1].value, "a=1");
	assert_str(answer.headers[2].name, "set-cookie");
	assert_str(answer.headers[2].value, "b=2");
	assert_str(answer.headers[3].value, "");
}

static void
a_content_length_is_left_out(void **state)
{
	struct answer answer;
	struct err err = {0};

	assert_int_equal(parse("200\nContent-Length:99\na:b\n", &answer, &err), 0);
	assert_int_equal(answer.n, 1);
	assert_str(answer.headers[0].name, "a");
}

static void
a_status_must_be_final_and_have_three_digits(void **state)
{
	refused("20\n", "three digits");
	refused("2000\n", "three digits");
	refused("+20\n", "three digits");
	refused("\n", "three digits");
	refused("2x0\n", "three digits");
	refused("100\n", "from 200 to 599");
	refused("199\n", "from 200 to 599");
	refused("600\n", "from 200 to 599");
	refused("200", "last line");
	refused("", "last line");
}

static void
headers_of_the_connection_are_refused(void **state)
{
	static const char *const names[] = {"Connection", "keep-alive", "Transfer-Encoding", "TE",
		"trailer", "Upgrade", "proxy-connection", "proxy-authenticate",
		"proxy-authorization"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char text[80];

		snprintf(text, sizeof(text), "200\n%s: x\n", names[i]);
		refused(text, "belongs to the connection");
	}
}

static void
what_is_no_header_is_refused(void **state)
{
	refused("200\nno colon\n", "invalid name");
	refused("200\n: x\n", "invalid name");
	refused("200\na b: x\n", "invalid name");
	refused("200\na : x\n", "invalid name");
	refused("200\n\n", "invalid name");
	refused("200\na: x\ry: z\n", "control character");
	refused("200\na: \x7f\n", "control character");
}

static void
a_nul_in_a_value_is_refused(void **state)
{
	char text[] = "200\na: x\0y\n";
	struct answer answer;
	struct err err = {0};

	assert_int_equal(answer_parse(text, sizeof(text) - 1, &answer, &err), ERR_ANSWER_INVALID);
}

static void
a_hundred_headers_are_enough(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct answer answer;
	struct err err = {0};

	buf_add_text(&text, "200\n");
	for (int i = 0; i < ANSWER_HEADERS; i++)
		buf_printf(&text, "x-%d: %d\n", i, i);
	assert_int_equal(parse(text.at, &answer, &err), 0);
	assert_int_equal(answer.n, 100);
	buf_add_text(&text, "one: more\n");
	refused(text.at, "more than 100 headers");
}

static void
a_head_over_32_kib_is_refused(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct answer answer;
	struct err err = {0};

	buf_add_text(&text, "200\na:");
	while (text.len < ANSWER_HEAD_BYTES - 1)
		buf_add_char(&text, 'x');
	buf_add_char(&text, '\n');
	assert_int_equal(parse(text.at, &answer, &err), 0);
	buf_cut(&text, text.len - 1);
	buf_add_text(&text, "x\n");
	refused(text.at, "at most 32768");
}

UNIT_TESTS(it(a_status_alone_is_an_answer), it(names_are_lowered_and_values_trimmed),
	it(a_content_length_is_left_out), it(a_status_must_be_final_and_have_three_digits),
	it(headers_of_the_connection_are_refused), it(what_is_no_header_is_refused),
	it(a_nul_in_a_value_is_refused), it(a_hundred_headers_are_enough),
	it(a_head_over_32_kib_is_refused))
