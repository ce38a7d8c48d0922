/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "mqtt_kit.h"

static void
expect_sent(struct mqtt_kit *kit, const char *bytes, size_t len)
{
	OWN(buf) struct buf packet = BUF_INIT;

	mqtt_kit_sent(kit, &packet);
	assert_int_equal(packet.len, len);
	assert_memory_equal(packet.at, bytes, len);
}

static void
it_asks_greets_subscribes_and_is_up(void **state)
{
	OWN(buf) struct buf answer = BUF_INIT;
	struct mqtt_kit kit;

	mqtt_kit_open(&kit);
	assert_true(str_starts(buf_str(&kit.wire), STR("GET /p HTTP/1.1\r\nHost: h:1\r\n")));
	mqtt_kit_answer(&kit, &answer);
	/* Byte by byte, as it may come. */
	for (size_t i = 0; i < answer.len; i++) {
		assert_int_equal(kit.wire.len, 0);
		assert_int_equal(mqtt_kit_feed(&kit, str_n(answer.at + i, 1)), 0);
	}
	expect_sent(&kit, "\x10\x14\0\4MQTT\4\xc2\0\x1e\0\1c\0\1u\0\2pw", 22);
	assert_int_equal(mqtt_session_publish(kit.session, STR("t"), STR("x")), ERR_UNAVAILABLE);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, MQTT_KIT_CONNACK), 0);
	expect_sent(&kit, "\x82\6\0\1\0\1t\1", 8);
	assert_int_equal(kit.n_up, 0);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, MQTT_KIT_SUBACK), 0);
	assert_int_equal(kit.n_up, 1);
	mqtt_kit_close(&kit);
}

static void
messages_are_told_and_acknowledged_however_they_are_cut(void **state)
{
	static const char one[] = "\x32\x0c\0\3a/b\0\7hello\x30\x04\0\1th\xd0";
	OWN(buf) struct buf bytes = BUF_INIT;
	struct mqtt_kit kit;

	mqtt_kit_open_up(&kit);
	/* Two messages and a pong, in three frames, with a ping of WebSocket's between them. */
	mqtt_kit_frame(&bytes, 0x02, str_n(one, 5));
	mqtt_kit_frame(&bytes, 0x00, str_n(one + 5, 11));
	mqtt_kit_frame(&bytes, 0x89, STR("are you there"));
	mqtt_kit_frame(&bytes, 0x80, str_n(one + 16, sizeof(one) - 1 - 16));
	mqtt_kit_frame(&bytes, 0x82, str_n("\0", 1));
	for (size_t i = 0; i < bytes.len; i++)
		assert_int_equal(mqtt_kit_feed(&kit, str_n(bytes.at + i, 1)), 0);
	assert_int_equal(kit.n_messages, 2);
	assert_string_equal(kit.topic, "t");
	assert_str(buf_str(&kit.body), "h");
	expect_sent(&kit, "\x40\2\0\7", 4);
	assert_int_equal((uint8_t)kit.wire.at[0], 0x8a);
	expect_sent(&kit, "are you there", 13);
	assert_int_equal(kit.wire.len, 0);
	mqtt_kit_close(&kit);
}

static void
what_is_published_is_confirmed_in_any_order(void **state)
{
	struct mqtt_kit kit;

	mqtt_kit_open_up(&kit);
	assert_int_equal(mqtt_session_publish(kit.session, STR("t"), STR("x")), 0);
	assert_int_equal(mqtt_session_publish(kit.session, STR("t"), STR("y")), 0);
	expect_sent(&kit, "\x32\6\0\1t\0\2x", 8);
	expect_sent(&kit, "\x32\6\0\1t\0\3y", 8);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\x40\2\0\3", 4)), 0);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\x40\2\0\3", 4)), 0);
	assert_int_equal(kit.n_confirmed, 1);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\x40\2\0\2", 4)), 0);
	assert_int_equal(kit.n_confirmed, 2);
	mqtt_kit_close(&kit);
}

static void
what_nobody_confirms_or_takes_ends_somewhere(void **state)
{
	OWN(mem) char *large = mem_new(MQTT_SESSION_WIRE_MAX);
	struct mqtt_kit kit;
	unsigned n = 0;

	mqtt_kit_open_up(&kit);
	while (n < 70000 && mqtt_session_publish(kit.session, STR("t"), STR("")) == 0) {
		buf_clear(&kit.wire);
		n++;
	}
	assert_in_range(n, 65000, 65535);
	mqtt_kit_close(&kit);
	mqtt_kit_open_up(&kit);
	assert_int_equal(
		mqtt_session_publish(kit.session, STR("t"), str_n(large, MQTT_SESSION_WIRE_MAX)),
		0);
	assert_int_equal(mqtt_session_publish(kit.session, STR("t"), STR("x")), ERR_RATE);
	mqtt_kit_close(&kit);
}

static void
a_message_that_is_too_large_is_told_without_its_body(void **state)
{
	const size_t size = MQTT_SESSION_BODY_MAX + 70000;
	OWN(mem) char *body = mem_new(size);
	OWN(buf) struct buf packet = BUF_INIT;
	struct mqtt_kit kit;

	mqtt_kit_open_up(&kit);
	mqtt_packet_publish(9, STR("t"), str_n(body, size), &packet);
	mqtt_packet_publish(10, STR("t"), STR("next"), &packet);
	for (size_t i = 0; i < packet.len; i += 50000) {
		size_t part = packet.len - i < 50000 ? packet.len - i : 50000;

		assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n(packet.at + i, part)), 0);
	}
	assert_int_equal(kit.n_messages, 2);
	assert_int_equal(kit.n_too_large, 1);
	assert_str(buf_str(&kit.body), "next");
	expect_sent(&kit, "\x40\2\0\x09", 4);
	expect_sent(&kit, "\x40\2\0\x0a", 4);
	mqtt_kit_close(&kit);
}

static void
what_must_not_come_is_the_end(void **state)
{
	static const struct {
		unsigned first;
		struct str payload;
		const char *why;
	} table[] = {
		{0x80, {"x", 1}, "frames that do not make a message"},
		{0x88, {"\x03\xf0why", 5}, "the server closed the WebSocket (1008)"},
		{0x88, {"", 0}, "the server closed the WebSocket (1005)"},
		{0x82, {"\x20\2\0\0", 4}, "a packet of type 2 that was not expected"},
		{0x82, {"\x10\0", 2}, "a packet of type 1 that was not expected"},
		{0x82, {"\xd0\1x", 3}, "a packet of type 13 that was not expected"},
		{0x82, {"\x34\5\0\1t\0\1", 7}, "a message with quality 2, which was not asked for"},
		{0x82, {"\x32\2\0\1", 4}, "a message that is cut short"},
		{0x82, {"\x90\xff\xff\xff\x7f", 5}, "a packet of type 9 with 268435455 bytes"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct mqtt_kit kit;

		mqtt_kit_open_up(&kit);
		assert_true(mqtt_kit_say(&kit, table[i].first, table[i].payload) < 0);
		assert_string_equal(kit.err.text, table[i].why);
		mqtt_kit_close(&kit);
	}
}

static void
a_refusal_says_why(void **state)
{
	struct mqtt_kit kit;

	mqtt_kit_open(&kit);
	mqtt_kit_upgrade(&kit);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\x20\2\0\5", 4)), ERR_FORBIDDEN);
	assert_string_equal(kit.err.text, "the broker refuses the client");
	mqtt_kit_close(&kit);
	mqtt_kit_open(&kit);
	mqtt_kit_upgrade(&kit);
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\x30\3\0\1t", 5)), ERR_INVALID);
	mqtt_kit_close(&kit);
}

static void
a_broker_that_is_silent_is_asked_and_then_left(void **state)
{
	struct mqtt_kit kit;

	mqtt_kit_open(&kit);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 9999, &kit.err), 0);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 10000, &kit.err), ERR_TIMEOUT);
	mqtt_kit_close(&kit);
	mqtt_kit_open_up(&kit);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 14999, &kit.err), 0);
	assert_int_equal(kit.wire.len, 0);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 15000, &kit.err), 0);
	expect_sent(&kit, "\xc0\0", 2);
	kit.now_ms += 16000;
	assert_int_equal(mqtt_kit_say(&kit, 0x82, str_n("\xd0\0", 2)), 0);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 45000, &kit.err), 0);
	assert_int_equal(mqtt_session_tick(kit.session, kit.now_ms + 45001, &kit.err), ERR_TIMEOUT);
	mqtt_kit_close(&kit);
}

static void
its_end_says_goodbye(void **state)
{
	struct mqtt_kit kit;

	mqtt_kit_open_up(&kit);
	mqtt_session_end(kit.session);
	expect_sent(&kit, "\xe0\0", 2);
	assert_int_equal((uint8_t)kit.wire.at[0], 0x88);
	expect_sent(&kit, "\x03\xe8", 2);
	mqtt_kit_close(&kit);
}

UNIT_TESTS(it(it_asks_greets_subscribes_and_is_up),
	it(messages_are_told_and_acknowledged_however_they_are_cut),
	it(what_is_published_is_confirmed_in_any_order),
	it(what_nobody_confirms_or_takes_ends_somewhere),
	it(a_message_that_is_too_large_is_told_without_its_body), it(what_must_not_come_is_the_end),
	it(a_refusal_says_why), it(a_broker_that_is_silent_is_asked_and_then_left),
	it(its_end_says_goodbye))
