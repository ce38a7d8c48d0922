/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/mqtt_packet.h"

/* ---- writing ---- */

enum {
	CONNECT_PASSWORD = 0x40,
	CONNECT_USER = 0x80,
	CONNECT_CLEAN = 0x02,
	CONNECT_LEVEL = 4, /* 3.1.1 */
	PUBLISH_QUALITY_1 = 0x02,
	SUBSCRIBE_FLAGS = 0x02,
};

static void
add_u16(size_t number, struct buf *out)
{
	buf_add_char(out, (char)(number >> 8));
	buf_add_char(out, (char)number);
}

static void
add_text(struct str text, struct buf *out)
{
	must(text.len <= MQTT_PACKET_TEXT_MAX);
	add_u16(text.len, out);
	buf_add_str(out, text);
}

static void
add_head(enum mqtt_packet_type type, unsigned flags, size_t body_len, struct buf *out)
{
	buf_add_char(out, (char)((unsigned)type << 4 | flags));
	do {
		buf_add_char(out, (char)((body_len & 0x7f) | (body_len > 0x7f ? 0x80 : 0)));
		body_len >>= 7;
	} while (body_len);
}

void
mqtt_packet_connect(const struct mqtt_hello *hello, struct buf *out)
{
	add_head(MQTT_CONNECT, 0,
		10 + 6 + hello->client_id.len + hello->user.len + hello->password.len, out);
	add_text(STR("MQTT"), out);
	buf_add_char(out, CONNECT_LEVEL);
	buf_add_char(out, (char)(CONNECT_CLEAN | CONNECT_USER | CONNECT_PASSWORD));
	add_u16(hello->keepalive_s, out);
	add_text(hello->client_id, out);
	add_text(hello->user, out);
	add_text(hello->password, out);
}

void
mqtt_packet_subscribe(uint16_t id, struct str topic, struct buf *out)
{
	add_head(MQTT_SUBSCRIBE, SUBSCRIBE_FLAGS, 2 + 2 + topic.len + 1, out);
	add_u16(id, out);
	add_text(topic, out);
	buf_add_char(out, 1);
}

void
mqtt_packet_publish(uint16_t id, struct str topic, struct str body, struct buf *out)
{
	add_head(MQTT_PUBLISH, PUBLISH_QUALITY_1, 2 + topic.len + 2 + body.len, out);
	add_text(topic, out);
	add_u16(id, out);
	buf_add_str(out, body);
}

void
mqtt_packet_puback(uint16_t id, struct buf *out)
{
	add_head(MQTT_PUBACK, 0, 2, out);
	add_u16(id, out);
}

void
mqtt_packet_empty(enum mqtt_packet_type type, struct buf *out)
{
	add_head(type, 0, 0, out);
}

/* ---- reading ---- */

int
mqtt_packet_head(struct str bytes, struct mqtt_head *ret, struct err *err)
{
	const uint8_t *at = (const uint8_t *)bytes.at;
	size_t len = 0;

	if (bytes.len == 0)
		return 0;
	*ret = (struct mqtt_head){.type = at[0] >> 4, .flags = at[0] & 0x0f};
	if (ret->type != MQTT_PUBLISH && ret->flags)
		return err_set(err, ERR_INVALID, "a packet of type %u with flags %u", ret->type,
			ret->flags);
	for (size_t i = 1; i <= 4; i++) {
		if (i == bytes.len)
			return 0;
		len |= (size_t)(at[i] & 0x7f) << 7 * (i - 1);
		if (at[i] & 0x80)
			continue;
		ret->head_len = i + 1;
		ret->body_len = len;
		return (int)ret->head_len;
	}
	return err_set(err, ERR_INVALID, "a packet whose length does not end");
}

static unsigned
u16_of(struct str bytes)
{
	return (unsigned)(uint8_t)bytes.at[0] << 8 | (uint8_t)bytes.at[1];
}

static bool
is_topic(struct str topic)
{
	return topic.len && str_is_utf8(topic) && !memchr(topic.at, 0, topic.len) &&
	       !memchr(topic.at, '#', topic.len) && !memchr(topic.at, '+', topic.len);
}

int64_t
mqtt_packet_read_publish(unsigned flags, struct str body, struct mqtt_publish *ret, struct err *err)
{
	size_t used;

	*ret = (struct mqtt_publish){.quality = flags >> 1 & 3};
	if (ret->quality > 1)
		return err_set(err, ERR_INVALID,
			"a message with quality %u, which was not asked for", ret->quality);
	if (body.len < 2)
		return 0;
	used = 2 + u16_of(body);
	if (body.len < used + 2 * ret->quality)
		return 0;
	ret->topic = str_n(body.at + 2, used - 2);
	if (!is_topic(ret->topic))
		return err_set(err, ERR_INVALID, "a message of a topic that is none");
	if (ret->quality) {
		ret->id = (uint16_t)u16_of(str_n(body.at + used, 2));
		used += 2;
		if (ret->id == 0)
			return err_set(err, ERR_INVALID, "a message with the number 0");
	}
	ret->body = str_n(body.at + used, body.len - used);
	return (int64_t)used;
}

int
mqtt_packet_read_connack(struct str body, struct err *err)
{
	static const char *const why[] = {"its version of the protocol", "the client's name",
		"connections, for now", "the name and token", "the client"};
	unsigned code;

	if (body.len != 2 || (uint8_t)body.at[0] > 1)
		return err_set(err, ERR_INVALID, "a packet of type %u that is wrong", MQTT_CONNACK);
	code = (uint8_t)body.at[1];
	if (code == 0)
		return 0;
	if (code > sizeof(why) / sizeof(why[0]))
		return err_set(err, ERR_INVALID, "a refusal of no known reason (%u)", code);
	return err_set(err, code >= 4 ? ERR_FORBIDDEN : ERR_UNAVAILABLE, "the broker refuses %s",
		why[code - 1]);
}

int
mqtt_packet_read_suback(struct str body, uint16_t id, struct err *err)
{
	unsigned quality;

	if (body.len != 3 || u16_of(body) != id)
		return err_set(err, ERR_INVALID, "a packet of type %u that is wrong", MQTT_SUBACK);
	quality = (uint8_t)body.at[2];
	if (quality == 0x80)
		return err_set(err, ERR_FORBIDDEN, "the broker refuses the topic");
	return quality <= 1 ? 0
			    : err_set(err, ERR_INVALID, "the broker grants quality %u", quality);
}

int
mqtt_packet_read_puback(struct str body, uint16_t *ret_id, struct err *err)
{
	if (body.len != 2)
		return err_set(err, ERR_INVALID, "a packet of type %u that is wrong", MQTT_PUBACK);
	*ret_id = (uint16_t)u16_of(body);
	return 0;
}
