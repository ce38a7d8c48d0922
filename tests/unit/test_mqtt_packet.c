/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "mqtt/mqtt_packet.h"

static void
expect(const struct buf *out, const char *bytes, size_t len)
{
	assert_int_equal(out->len, len);
	assert_memory_equal(out->at, bytes, len);
}

static void
packets_are_written_as_the_standard_has_them(void **state)
{
	const struct mqtt_hello hello = {STR("c"), STR("u/v"), STR("pw"), 30};
	OWN(buf) struct buf connect = BUF_INIT;
	OWN(buf) struct buf subscribe = BUF_INIT;
	OWN(buf) struct buf publish = BUF_INIT;
	OWN(buf) struct buf ack = BUF_INIT;

	mqtt_packet_connect(&hello, &connect);
	expect(&connect, "\x10\x16\0\4MQTT\4\xc2\0\x1e\0\1c\0\3u/v\0\2pw", 24);
	mqtt_packet_subscribe(7, STR("a/b"), &subscribe);
	expect(&subscribe, "\x82\x08\0\7\0\3a/b\1", 10);
	mqtt_packet_publish(0x102, STR("t"), STR("hello"), &publish);
	expect(&publish, "\x32\x0a\0\1t\1\2hello", 12);
	mqtt_packet_puback(0xffff, &ack);
	mqtt_packet_empty(MQTT_PINGREQ, &ack);
	mqtt_packet_empty(MQTT_DISCONNECT, &ack);
	expect(&ack, "\x40\2\xff\xff\xc0\0\xe0\0", 8);
}

static void
lengths_have_one_to_four_bytes(void **state)
{
	static const struct {
		size_t len;
		int head;
	} table[] = {
		{0, 2}, {127, 2}, {128, 3}, {16383, 3}, {16384, 4}, {2097151, 4}, {2097152, 5}};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		OWN(mem) char *body = mem_new(table[i].len + 1);
		OWN(buf) struct buf out = BUF_INIT;
		struct mqtt_head head;
		size_t len = table[i].len > 5 ? table[i].len - 5 : 0;
		struct err err = {0};

		mqtt_packet_publish(1, STR("t"), str_n(body, len), &out);
		assert_int_equal(mqtt_packet_head(buf_str(&out), &head, &err),
			len + 5 > 127 ? table[i].head : 2);
		assert_int_equal(head.body_len, len + 5);
		assert_int_equal(out.len, head.head_len + head.body_len);
		for (size_t n = 0; n < head.head_len; n++)
			assert_int_equal(mqtt_packet_head(str_n(out.at, n), &head, &err), 0);
	}
}

static void
heads_that_are_wrong_are_refused(void **state)
{
	struct mqtt_head head;
	struct err err = {0};

	assert_int_equal(mqtt_packet_head(STR("\x30\xff\xff\xff\xff"), &head, &err), ERR_INVALID);
	assert_int_equal(mqtt_packet_head(STR("\x21\2"), &head, &err), ERR_INVALID);
	assert_int_equal(mqtt_packet_head(STR("\xd8"), &head, &err), ERR_INVALID);
}

static void
a_message_is_read_with_quality_0_and_1(void **state)
{
	struct mqtt_publish publish;
	struct err err = {0};

	assert_int_equal(mqtt_packet_read_publish(0, str_n("\0\1thi", 5), &publish, &err), 3);
	assert_str(publish.topic, "t");
	assert_str(publish.body, "hi");
	assert_int_equal(publish.quality, 0);
	assert_int_equal(mqtt_packet_read_publish(2, str_n("\0\1t\0\7", 5), &publish, &err), 5);
	assert_int_equal(publish.id, 7);
	assert_int_equal(publish.body.len, 0);
	for (size_t n = 0; n < 5; n++)
		assert_int_equal(
			mqtt_packet_read_publish(2, str_n("\0\1t\0\7", n), &publish, &err), 0);
}

static void
messages_that_are_wrong_are_refused(void **state)
{
	static const struct {
		unsigned flags;
		struct str body;
	} table[] = {
		{4, {"\0\1t\0\7", 5}}, /* quality 2, which was not asked for */
		{6, {"\0\1t\0\7", 5}}, /* and none that there is */
		{2, {"\0\1t\0\0", 5}}, /* no number */
		{0, {"\0\0", 2}},      /* topics: none, wild, no text */
		{0, {"\0\1#", 3}},
		{0, {"\0\1+", 3}},
		{0, {"\0\1\xff", 3}},
		{0, {"\0\1\0", 3}},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct mqtt_publish publish;
		struct err err = {0};

		assert_int_equal(
			mqtt_packet_read_publish(table[i].flags, table[i].body, &publish, &err),
			ERR_INVALID);
	}
}

static void
refusals_say_who_is_to_act(void **state)
{
	static const int codes[] = {0, ERR_UNAVAILABLE, ERR_UNAVAILABLE, ERR_UNAVAILABLE,
		ERR_FORBIDDEN, ERR_FORBIDDEN, ERR_INVALID};
	struct err err = {0};
	uint16_t id = 0;

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		const char body[] = {0, (char)i};

		assert_int_equal(mqtt_packet_read_connack(str_n(body, 2), &err), codes[i]);
	}
	assert_int_equal(mqtt_packet_read_connack(STR(""), &err), ERR_INVALID);
	assert_int_equal(mqtt_packet_read_suback(str_n("\0\1\1", 3), 1, &err), 0);
	assert_int_equal(mqtt_packet_read_suback(str_n("\0\1\0", 3), 1, &err), 0);
	assert_int_equal(mqtt_packet_read_suback(str_n("\0\1\x80", 3), 1, &err), ERR_FORBIDDEN);
	assert_int_equal(mqtt_packet_read_suback(str_n("\0\1\2", 3), 1, &err), ERR_INVALID);
	assert_int_equal(mqtt_packet_read_suback(str_n("\0\2\1", 3), 1, &err), ERR_INVALID);
	assert_int_equal(mqtt_packet_read_puback(str_n("\1\2", 2), &id, &err), 0);
	assert_int_equal(id, 0x102);
	assert_int_equal(mqtt_packet_read_puback(str_n("\1", 1), &id, &err), ERR_INVALID);
}

UNIT_TESTS(it(packets_are_written_as_the_standard_has_them), it(lengths_have_one_to_four_bytes),
	it(heads_that_are_wrong_are_refused), it(a_message_is_read_with_quality_0_and_1),
	it(messages_that_are_wrong_are_refused), it(refusals_say_who_is_to_act))
