/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "net/http1_chunked.h"
#include "net/http1_parse.h"

static const struct http1_limits limits = {
	.block_bytes = 4096,
	.target_bytes = 1024,
	.n_headers = 10,
};

#define HOST "Host: a\r\n"

/* Feeds `text` in pieces of `step` bytes; the code of http1_head_feed at its end. */
static int
feed_by(struct http1_head *head, struct str text, size_t step, size_t *ret_used)
{
	struct err err = {0};
	size_t at = 0;
	int rc = 0;

	while (rc == 0 && at < text.len) {
		size_t n = text.len - at < step ? text.len - at : step;
		size_t used = 0;

		rc = http1_head_feed(head, str_n(text.at + at, n), &used, &err);
		at += used;
		if (rc == 0)
			assert_int_equal(used, n);
	}
	if (rc < 0)
		assert_true(err.code == rc && err.text[0]);
	*ret_used = at;
	return rc;
}

static int
code_of(const char *text)
{
	struct http1_head head;
	size_t used;
	int rc, by_byte;

	http1_head_init(&head, &limits);
	rc = feed_by(&head, str_of(text), strlen(text), &used);
	http1_head_done(&head);
	http1_head_init(&head, &limits);
	by_byte = feed_by(&head, str_of(text), 1, &used);
	http1_head_done(&head);
	assert_int_equal(rc, by_byte);
	return rc;
}

static void
a_request_is_taken_apart_wherever_it_is_cut(void **state)
{
	struct str text = STR("POST /a/b?x=1&y HTTP/1.1\r\nHost: h:80\r\nX-MiXed: \t v w \t\r\n"
			      "Empty:\r\nContent-Length: 17\r\n\r\nbody");

	for (size_t step = 1; step <= text.len; step++) {
		struct http1_head head;
		size_t used;

		http1_head_init(&head, &limits);
		assert_int_equal(feed_by(&head, text, step, &used), 1);
		assert_int_equal(used, text.len - 4);
		assert_str(head.method, "POST");
		assert_str(head.target, "/a/b?x=1&y");
		assert_str(head.path, "/a/b");
		assert_str(head.query, "x=1&y");
		assert_str(head.authority, "h:80");
		assert_int_equal(head.minor, 1);
		assert_int_equal(head.n_fields, 4);
		assert_str(head.headers[1].name, "x-mixed");
		assert_str(head.headers[1].value, "v w");
		assert_str(head.headers[2].value, "");
		assert_int_equal(head.body, HTTP1_BODY_LENGTH);
		assert_int_equal(head.content_length, 17);
		assert_true(head.is_keep_alive);
		http1_head_done(&head);
	}
}

static void
a_head_can_be_read_again_after_a_reset(void **state)
{
	struct http1_head head;
	size_t used;

	http1_head_init(&head, &limits);
	assert_false(http1_head_is_begun(&head));
	assert_int_equal(
		feed_by(&head, STR("GET /1 HTTP/1.1\r\n" HOST "X: y\r\n\r\n"), 7, &used), 1);
	assert_true(http1_head_is_begun(&head));
	http1_head_reset(&head);
	assert_false(http1_head_is_begun(&head));
	assert_int_equal(feed_by(&head, STR("GET /2 HTTP/1.0\r\n\r\n"), 3, &used), 1);
	assert_str(head.path, "/2");
	assert_int_equal(head.n_fields, 0);
	assert_int_equal(head.authority.len, 0);
	assert_int_equal(head.body, HTTP1_BODY_NONE);
	assert_false(head.is_keep_alive);
	http1_head_done(&head);
}

static void
absolute_form_gives_its_host_and_its_path(void **state)
{
	struct http1_head head;
	size_t used;

	http1_head_init(&head, &limits);
	assert_int_equal(
		feed_by(&head, STR("GET HTTP://b:81/p?q HTTP/1.1\r\n" HOST "\r\n"), 100, &used), 1);
	assert_str(head.authority, "b:81");
	assert_str(head.target, "/p?q");
	assert_str(head.path, "/p");
	assert_true(head.is_absolute);
	http1_head_reset(&head);
	assert_int_equal(
		feed_by(&head, STR("GET https://b HTTP/1.1\r\n" HOST "\r\n"), 100, &used), 1);
	assert_str(head.target, "/");
	http1_head_done(&head);
}

static void
connect_is_for_proxies_alone(void **state)
{
	struct http1_limits proxy = limits;
	struct http1_head head;
	size_t used;

	assert_int_equal(code_of("CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n"), ERR_METHOD);
	proxy.takes_connect = true;
	http1_head_init(&head, &proxy);
	assert_int_equal(
		feed_by(&head, STR("CONNECT r:443 HTTP/1.1\r\n" HOST "\r\n"), 100, &used), 1);
	assert_str(head.authority, "r:443");
	assert_int_equal(head.path.len, 0);
	http1_head_reset(&head);
	assert_int_equal(
		feed_by(&head, STR("CONNECT r HTTP/1.1\r\n" HOST "\r\n"), 100, &used), ERR_INVALID);
	http1_head_done(&head);
}

static void
keep_alive_follows_version_and_connection(void **state)
{
	static const struct {
		const char *text;
		bool is_keep_alive;
	} rows[] = {
		{"GET / HTTP/1.1\r\n" HOST "\r\n", true},
		{"GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", false},
		{"GET / HTTP/1.1\r\n" HOST "Connection: a , CLOSE\r\n\r\n", false},
		{"GET / HTTP/1.1\r\n" HOST "Connection: closed\r\n\r\n", true},
		{"GET / HTTP/1.0\r\n\r\n", false},
		{"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct http1_head head;
		size_t used;

		http1_head_init(&head, &limits);
		assert_int_equal(feed_by(&head, str_of(rows[i].text), 1000, &used), 1);
		assert_int_equal(head.is_keep_alive, rows[i].is_keep_alive);
		http1_head_done(&head);
	}
}

static void
a_second_content_length_is_refused(void **state)
{
	assert_int_equal(code_of("POST / HTTP/1.1\r\n" HOST
				 "Content-Length: 3\r\nContent-Length: 3\r\n\r\n"),
		ERR_INVALID);
}

static void
content_length_is_a_decimal_number_and_nothing_else(void **state)
{
	static const char *const values[] = {
		"", "-1", "+1", "0x1", "1,1", "1 1", "1.0", "a", "18446744073709551616", "1e3"};

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		OWN(mem)
		char *text = mem_printf(
			"POST / HTTP/1.1\r\n" HOST "Content-Length: %s\r\n\r\n", values[i]);

		assert_int_equal(code_of(text), ERR_INVALID);
	}
	assert_int_equal(
		code_of("POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n"),
		1);
}

static void
transfer_encoding_is_chunked_and_nothing_else(void **state)
{
	static const struct {
		const char *lines;
		int code;
	} rows[] = {
		{"Transfer-Encoding: chunked\r\n", 1},
		{"Transfer-Encoding: gzip, chunked\r\n", ERR_UNIMPLEMENTED},
		{"Transfer-Encoding: chunked, chunked\r\n", ERR_UNIMPLEMENTED},
		{"Transfer-Encoding: identity\r\n", ERR_UNIMPLEMENTED},
		{"Transfer-Encoding: xchunked\r\n", ERR_UNIMPLEMENTED},
		{"Transfer-Encoding:\r\n", ERR_INVALID},
		{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", ERR_INVALID},
		{"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", ERR_INVALID},
		{"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", ERR_INVALID},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(mem)
		char *text = mem_printf("POST / HTTP/1.1\r\n" HOST "%s\r\n", rows[i].lines);

		assert_int_equal(code_of(text), rows[i].code);
	}
	assert_int_equal(
		code_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_INVALID);
}

static void
a_broken_head_is_refused_before_it_is_complete(void **state)
{
	static const char *const heads[] = {
		"GET / HTTP/1.1\n",
		"GET / HTTP/1.1\r\nHost: a\n",
		"GET / HTTP/1.1\r\nHost: a\rb",
		"GET / HTTP/1.1\r\nHost\r\n",
		"GET / HTTP/1.1\r\nHost : a\r\n",
		"GET / HTTP/1.1\r\n: a\r\n",
		"GET / HTTP/1.1\r\nX: a\r\n b\r\n",
		"GET / HTTP/1.1\r\nX: \x01",
		"GET / HTTP/1.1\r\nX: \x7f",
		"GET /\r\n",
		"GET  / HTTP/1.1\r\n",
		"GET / HTTP/1.1 \r\n",
		" GET / HTTP/1.1\r\n",
		"GET /\t HTTP/1.1\r\n",
		"GET /\xc3\xa4 HTTP/1.1\r\n",
		"GET /#a HTTP/1.1\r\n",
		"\r\n\r\n",
		"\x16\x03",
	};

	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
		assert_int_equal(code_of(heads[i]), ERR_INVALID);
}

static void
a_nul_is_refused_wherever_it_stands(void **state)
{
	struct str text = STR("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n");

	for (size_t i = 0; i < text.len; i++) {
		OWN(mem) char *copy = str_dup(text);
		struct http1_head head;
		size_t used;

		copy[i] = '\0';
		http1_head_init(&head, &limits);
		assert_int_equal(feed_by(&head, str_n(copy, text.len), 5, &used), ERR_INVALID);
		http1_head_done(&head);
	}
}

static void
host_is_there_once_and_is_a_host(void **state)
{
	assert_int_equal(code_of("GET / HTTP/1.1\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\n" HOST HOST "\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost:\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: [::1]:8\r\n\r\n"), 1);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.1\r\nHost: a:8\r\n\r\n"), 1);
}

static void
versions_are_one_zero_and_one_one(void **state)
{
	assert_int_equal(code_of("GET / HTTP/1.2\r\n"), ERR_VERSION);
	assert_int_equal(code_of("GET / HTTP/2.0\r\n"), ERR_VERSION);
	assert_int_equal(code_of("GET / HTTP/0.9\r\n"), ERR_VERSION);
	assert_int_equal(code_of("GET / HTTP/1\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.10\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / http/1.1\r\n"), ERR_INVALID);
	assert_int_equal(code_of("GET / HTTP/1.x\r\n"), ERR_INVALID);
}

static char *
repeat(char c, size_t n)
{
	char *text = mem_new(n + 1);

	memset(text, c, n);
	return text;
}

static void
target_block_and_count_have_limits_of_their_own(void **state)
{
	OWN(mem) char *target = repeat('a', limits.target_bytes - 1);
	OWN(mem) char *value = repeat('v', limits.block_bytes);
	OWN(mem) char *fits = mem_printf("GET /%s HTTP/1.1\r\n" HOST "\r\n", target);
	OWN(mem) char *longer = mem_printf("GET /%sa HTTP/1.1\r\n" HOST "\r\n", target);
	OWN(mem) char *endless = mem_printf("GET /%s%s", target, target);
	OWN(mem) char *block = mem_printf("GET / HTTP/1.1\r\n" HOST "X: %s\r\n\r\n", value);
	OWN(buf) struct buf many = BUF_INIT;

	assert_int_equal(code_of(fits), 1);
	assert_int_equal(code_of(longer), ERR_URI_TOO_LONG);
	assert_int_equal(code_of(endless), ERR_URI_TOO_LONG);
	assert_int_equal(code_of(block), ERR_HEADERS_TOO_LARGE);
	buf_add_text(&many, "GET / HTTP/1.1\r\n" HOST);
	for (unsigned i = 1; i < limits.n_headers; i++)
		buf_add_text(&many, "X: y\r\n");
	buf_add_text(&many, "\r\n");
	assert_int_equal(code_of(many.at), 1);
	buf_cut(&many, many.len - 2);
	buf_add_text(&many, "X: y\r\n\r\n");
	assert_int_equal(code_of(many.at), ERR_HEADERS_TOO_LARGE);
}

static void
expectations_other_than_100_continue_are_refused(void **state)
{
	assert_int_equal(code_of("GET / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n"), 1);
	assert_int_equal(
		code_of("GET / HTTP/1.1\r\n" HOST "Expect: more\r\n\r\n"), ERR_EXPECTATION);
	assert_int_equal(code_of("GET / HTTP/1.0\r\nExpect: more\r\n\r\n"), 1);
}

/* ---- chunks ---- */

/* The code at the end of `text`, fed by `step`; the data is gathered in `out`. */
static int
chunked_by(struct str text, size_t step, struct buf *out, size_t *ret_used)
{
	struct http1_chunked chunked;
	struct err err = {0};
	size_t at = 0;
	int rc = 0;

	http1_chunked_init(&chunked);
	while (rc == 0 && at < text.len) {
		size_t n = text.len - at < step ? text.len - at : step;
		struct str data;
		size_t used = 0;

		rc = http1_chunked_feed(&chunked, str_n(text.at + at, n), &used, &data, &err);
		if (rc < 0)
			break;
		assert_true(used > 0 && used <= n);
		buf_add_str(out, data);
		at += used;
	}
	*ret_used = at;
	return rc;
}

static void
a_chunked_body_is_unframed_wherever_it_is_cut(void **state)
{
	struct str text =
		STR("3\r\nabc\r\n00a;x=\"y\";z\r\n0123456789\r\n0;q\r\nA: b\r\nC:\r\n\r\nGET");

	for (size_t step = 1; step <= text.len; step++) {
		OWN(buf) struct buf out = BUF_INIT;
		size_t used;

		assert_int_equal(chunked_by(text, step, &out, &used), 1);
		assert_str(buf_str(&out), "abc0123456789");
		assert_int_equal(used, text.len - 3);
	}
}

static void
a_malformed_chunk_is_refused(void **state)
{
	static const char *const bodies[] = {
		"\r\n",
		"-1\r\n",
		"+1\r\n",
		"0x1\r\n",
		" 1\r\n",
		"1 \r\n",
		"1g\r\n",
		"1\n",
		"1\rx",
		"1;a\n",
		"1;a\rb",
		"1;\x01",
		"10000000000000000\r\n",
		"0000000000000001\r\n",
		"3\r\nabcX",
		"3\r\nabc\n",
		"3\r\nabc\rX",
		"0\r\nno colon\r\n",
		"0\r\n: x\r\n",
		"0\r\nA : x\r\n",
		"0\r\n A: x\r\n",
		"0\r\nA: x\n",
		"0\r\n\n",
		"0\r\n\rX",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct str text = str_of(bodies[i]);

		for (size_t step = 1; step <= text.len; step++) {
			OWN(buf) struct buf out = BUF_INIT;
			size_t used;

			assert_int_equal(chunked_by(text, step, &out, &used), ERR_INVALID);
		}
	}
}

static void
extensions_and_trailers_are_bounded_together(void **state)
{
	OWN(mem) char *half = repeat('e', 2000);
	OWN(mem) char *fits = mem_printf("1;%s\r\nx\r\n0\r\nA: %s\r\n\r\n", half, half);
	OWN(mem) char *more = mem_printf("1;%s\r\nx\r\n0\r\nA: %s%s\r\n\r\n", half, half, half);
	OWN(buf) struct buf out = BUF_INIT;
	size_t used;

	assert_int_equal(chunked_by(str_of(fits), 100, &out, &used), 1);
	assert_int_equal(chunked_by(str_of(more), 100, &out, &used), ERR_INVALID);
}

/* ---- words of HTTP ---- */

static void
tokens_values_and_authorities_are_told_from_what_is_none(void **state)
{
	assert_true(http_is_token(STR("X-a_b.c!")));
	assert_false(http_is_token(STR("")));
	assert_false(http_is_token(STR("a b")));
	assert_false(http_is_token(STR("a:")));
	assert_true(http_is_value(STR("a b\tc\xff")));
	assert_false(http_is_value(STR("a\r\nb")));
	assert_false(http_is_value(str_n("a\0b", 3)));
	for (int byte = 0; byte < 256; byte++) {
		for (size_t at = 0; at < 18; at++) {
			bool is_control = (byte < 0x20 && byte != '\t') || byte == 0x7f;
			char text[18];

			memset(text, 'x', sizeof(text));
			text[at] = (char)byte;
			assert_int_equal(http_is_value(str_n(text, sizeof(text))), !is_control);
		}
	}
	assert_true(http_is_authority(STR("a.b-c:65535")));
	assert_false(http_is_authority(STR("a:655355")));
	assert_false(http_is_authority(STR(":80")));
	assert_false(http_is_authority(STR("[]")));
	assert_true(http_has_port(STR("[::1]:8")));
	assert_false(http_has_port(STR("[::1]")));
	assert_false(http_has_port(STR("a:")));
}

static void
percent_encoding_is_undone_or_refused(void **state)
{
	OWN(buf) struct buf out = BUF_INIT;

	assert_true(http_percent_decode(STR("a%20b+c%C3%a4"), false, &out));
	assert_str(buf_str(&out), "a b+c\xc3\xa4");
	buf_clear(&out);
	assert_true(http_percent_decode(STR("a+b%2B"), true, &out));
	assert_str(buf_str(&out), "a b+");
	assert_false(http_percent_decode(STR("%"), false, &out));
	assert_false(http_percent_decode(STR("%4"), false, &out));
	assert_false(http_percent_decode(STR("%zz"), false, &out));
	assert_false(http_percent_decode(STR("%00"), false, &out));
	assert_string_equal(http_reason(404), "Not Found");
	assert_string_equal(http_reason(299), "");
}

UNIT_TESTS(it(a_request_is_taken_apart_wherever_it_is_cut),
	it(a_head_can_be_read_again_after_a_reset), it(absolute_form_gives_its_host_and_its_path),
	it(connect_is_for_proxies_alone), it(keep_alive_follows_version_and_connection),
	it(a_second_content_length_is_refused),
	it(content_length_is_a_decimal_number_and_nothing_else),
	it(transfer_encoding_is_chunked_and_nothing_else),
	it(a_broken_head_is_refused_before_it_is_complete), it(a_nul_is_refused_wherever_it_stands),
	it(host_is_there_once_and_is_a_host), it(versions_are_one_zero_and_one_one),
	it(target_block_and_count_have_limits_of_their_own),
	it(expectations_other_than_100_continue_are_refused),
	it(a_chunked_body_is_unframed_wherever_it_is_cut), it(a_malformed_chunk_is_refused),
	it(extensions_and_trailers_are_bounded_together),
	it(tokens_values_and_authorities_are_told_from_what_is_none),
	it(percent_encoding_is_undone_or_refused))
