/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "mqtt/websocket.h"

/* RFC 6455 section 1.3. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define ANSWER(accept, more)                                                                       \
	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nconnection: keep-alive, "       \
	"Upgrade\r\nSec-WebSocket-Accept: " accept "\r\n" more "\r\n"
#define MQTT "Sec-WebSocket-Protocol: mqtt\r\n"

static void
an_answer_to_the_key_is_taken_and_what_is_behind_it_left(void **state)
{
	struct str answer = STR(ANSWER(ACCEPT, MQTT));
	OWN(buf) struct buf bytes = BUF_INIT;
	struct err err = {0};

	buf_add_str(&bytes, answer);
	buf_add_text(&bytes, "\x82\x04");
	assert_int_equal(websocket_answer(buf_str(&bytes), KEY, &err), answer.len);
	for (size_t i = 0; i < answer.len; i++)
		assert_int_equal(websocket_answer(str_n(bytes.at, i), KEY, &err), 0);
}

static void
headers_may_be_many(void **state)
{
	OWN(buf) struct buf bytes = BUF_INIT;
	struct err err = {0};

	buf_add_text(&bytes, "HTTP/1.1 101 \r\n");
	for (int i = 0; i < 200; i++)
		buf_printf(&bytes, "X-Of-A-Gateway-%d: %0100d\r\n", i, i);
	buf_add_text(&bytes, "Upgrade: websocket\r\nConnection: upgrade\r\n" MQTT
			     "Sec-WebSocket-Accept:" ACCEPT "\r\n\r\n");
	assert_int_equal(websocket_answer(buf_str(&bytes), KEY, &err), bytes.len);
}

static void
what_is_no_answer_is_refused_with_its_reason(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *why;
	} table[] = {
		{"220 mail ESMTP\r\n\r\n", ERR_INVALID, "the server does not speak HTTP"},
		{"HTTP/1.1 abc\r\n\r\n", ERR_INVALID, "the server does not speak HTTP"},
		{"HTTP/1.1 200 OK\r\n\r\n", ERR_UNAVAILABLE,
			"the server answers 200 instead of WebSocket"},
		{"HTTP/1.1 401 No\r\n\r\n", ERR_FORBIDDEN,
			"the server answers 401 instead of WebSocket"},
		{"HTTP/1.1 101 \r\n\r\n", ERR_INVALID, "the server's upgrade is not WebSocket's"},
		{ANSWER("AAAA", MQTT), ERR_INVALID, "the server's upgrade is not WebSocket's"},
		{ANSWER(ACCEPT, ""), ERR_INVALID, "the server speaks no MQTT in WebSocket"},
		{ANSWER(ACCEPT, "Sec-WebSocket-Protocol: mqttv3.1\r\n"), ERR_INVALID,
			"the server speaks no MQTT in WebSocket"},
		{ANSWER(ACCEPT, MQTT "Sec-WebSocket-Extensions: permessage-deflate\r\n"),
			ERR_INVALID,
			"the server uses an extension of WebSocket that was not offered"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct err err = {0};

		assert_int_equal(websocket_answer(str_of(table[i].text), KEY, &err), table[i].code);
		assert_string_equal(err.text, table[i].why);
	}
}

static void
an_answer_without_end_is_not_waited_for(void **state)
{
	OWN(buf) struct buf bytes = BUF_INIT;
	struct err err = {0};

	while (bytes.len < WEBSOCKET_ANSWER_MAX)
		buf_add_text(&bytes, "A: b\r\n");
	assert_int_equal(websocket_answer(buf_str(&bytes), KEY, &err), ERR_INVALID);
}

static void
a_key_is_16_bytes_and_another_each_time(void **state)
{
	char one[WEBSOCKET_KEY_SIZE], other[WEBSOCKET_KEY_SIZE];

	websocket_key(one);
	websocket_key(other);
	assert_int_equal(strlen(one), WEBSOCKET_KEY_SIZE - 1);
	assert_string_not_equal(one, other);
}

/* ---- frames ---- */

static void
what_is_written_is_masked_and_has_the_length_that_fits(void **state)
{
	static const struct {
		size_t len, head;
	} table[] = {{0, 2}, {125, 2}, {126, 4}, {65535, 4}, {65536, 10}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(mem) char *bytes = mem_new(table[i].len + 1);
		OWN(buf) struct buf out = BUF_INIT;
		size_t head = table[i].head;

		memset(bytes, 'x', table[i].len);
		websocket_write(WEBSOCKET_BINARY, str_n(bytes, table[i].len), &out);
		assert_int_equal(out.len, head + 4 + table[i].len);
		assert_int_equal((uint8_t)out.at[0], 0x82);
		assert_true(out.at[1] & 0x80);
		for (size_t at = 0; at < table[i].len; at++)
			assert_int_equal(out.at[head + 4 + at] ^ out.at[head + (at & 3)], 'x');
	}
}

static void
heads_are_read_in_parts(void **state)
{
	static const struct {
		struct str bytes;
		uint64_t len;
	} table[] = {
		{{"\x82\x00", 2}, 0},
		{{"\x82\x7d", 2}, 125},
		{{"\x02\x7e\x00\x7e", 4}, 126},
		{{"\x80\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10}, 65536},
		{{"\x88\x02", 2}, 2},
	};
	struct err err = {0};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct websocket_head head;

		for (size_t n = 0; n < table[i].bytes.len; n++)
			assert_int_equal(
				websocket_head(str_n(table[i].bytes.at, n), &head, &err), 0);
		assert_int_equal(websocket_head(table[i].bytes, &head, &err), table[i].bytes.len);
		assert_int_equal(head.len, table[i].len);
		assert_int_equal(head.opcode, table[i].bytes.at[0] & 0x0f);
		assert_int_equal(head.is_final, (table[i].bytes.at[0] & 0x80) != 0);
	}
}

static void
what_a_server_must_not_send_is_refused(void **state)
{
	static const struct str wrong[] = {
		{"\xc2\x00", 2}, /* reserved bits */
		{"\x82\x80", 2}, /* masked */
		{"\x81\x00", 2}, /* text */
		{"\x83\x00", 2}, /* of no known kind */
		{"\x8b\x00", 2},
		{"\x09\x00", 2},         /* a ping that goes on */
		{"\x89\x7e\x00\x7e", 4}, /* a ping that is long */
		{"\x82\x7e\x00\x7d", 4}, /* lengths that fit into less */
		{"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10},
		{"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct websocket_head head;
		struct err err = {0};

		assert_int_equal(websocket_head(wrong[i], &head, &err), ERR_INVALID);
		assert_true(err.text[0]);
	}
}

UNIT_TESTS(it(an_answer_to_the_key_is_taken_and_what_is_behind_it_left), it(headers_may_be_many),
	it(what_is_no_answer_is_refused_with_its_reason),
	it(an_answer_without_end_is_not_waited_for), it(a_key_is_16_bytes_and_another_each_time),
	it(what_is_written_is_masked_and_has_the_length_that_fits), it(heads_are_read_in_parts),
	it(what_a_server_must_not_send_is_refused))
