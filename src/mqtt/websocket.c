/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/websocket.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/base64.h"
#include "base/id.h"
#include "base/own.h"

/* RFC 6455 section 1.3. */
#define WEBSOCKET_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* ---- the upgrade ---- */

void
websocket_key(char ret[static WEBSOCKET_KEY_SIZE])
{
	OWN(buf) struct buf text = BUF_INIT;
	uint8_t bytes[16];

	id_random(bytes, sizeof(bytes));
	base64_encode(str_n(bytes, sizeof(bytes)), &text);
	must(text.len == WEBSOCKET_KEY_SIZE - 1);
	memcpy(ret, text.at, WEBSOCKET_KEY_SIZE);
}

void
websocket_ask(struct str authority, struct str path, const char *key, struct buf *out)
{
	buf_printf(out,
		"GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUpgrade: websocket\r\n"
		"Connection: Upgrade\r\nSec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Protocol: mqtt\r\n\r\n",
		STR_ARG(path), STR_ARG(authority), key);
}

static void
answer_to_key(const char *key, struct buf *out)
{
	OWN(buf) struct buf text = BUF_INIT;
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	buf_add_text(&text, key);
	buf_add_text(&text, WEBSOCKET_GUID);
	must(EVP_Digest(text.at, text.len, digest, &len, EVP_sha1(), NULL) == 1);
	base64_encode(str_n(digest, len), out);
}

/* "HTTP/1.1 101 Switching Protocols" */
static int
answer_status(struct str line, struct err *err)
{
	uint64_t status = 0;
	struct str version = str_cut(&line, ' ');

	if (!str_starts(version, STR("HTTP/1.")) || !str_to_u64(str_cut(&line, ' '), &status) ||
		status < 100 || status > 999)
		return err_set(err, ERR_INVALID, "the server does not speak HTTP");
	if (status == 101)
		return 0;
	return err_set(err, status == 401 || status == 403 ? ERR_FORBIDDEN : ERR_UNAVAILABLE,
		"the server answers %u instead of WebSocket", (unsigned)status);
}

static bool
answer_has_token(struct str list, struct str token)
{
	while (list.len)
		if (str_eq_case(str_trim(str_cut(&list, ',')), token))
			return true;
	return false;
}

struct answer_seen {
	bool is_upgrade, is_connection, is_accepted, is_mqtt;
};

static int
answer_header(struct str line, struct str accept, struct answer_seen *seen, struct err *err)
{
	struct str name = str_cut(&line, ':'), value = str_trim(line);

	if (str_eq_case(name, STR("upgrade")))
		seen->is_upgrade = str_eq_case(value, STR("websocket"));
	else if (str_eq_case(name, STR("connection")))
		seen->is_connection |= answer_has_token(value, STR("upgrade"));
	else if (str_eq_case(name, STR("sec-websocket-accept")))
		seen->is_accepted = str_eq(value, accept);
	else if (str_eq_case(name, STR("sec-websocket-protocol")))
		seen->is_mqtt = str_eq(value, STR("mqtt"));
	else if (str_eq_case(name, STR("sec-websocket-extensions")) && value.len)
		return err_set(err, ERR_INVALID,
			"the server uses an extension of WebSocket that was not offered");
	return 0;
}

static int
answer_read(struct str head, const char *key, struct err *err)
{
	struct answer_seen seen = {0};
	OWN(buf) struct buf accept = BUF_INIT;
	struct str line = str_cut(&head, '\n');
	int rc = answer_status(line, err);

	answer_to_key(key, &accept);
	while (rc == 0 && head.len) {
		line = str_cut(&head, '\n');
		if (line.len && line.at[line.len - 1] == '\r')
			line.len--;
		rc = answer_header(line, buf_str(&accept), &seen, err);
	}
	if (rc < 0)
		return rc;
	if (!seen.is_upgrade || !seen.is_connection || !seen.is_accepted)
		return err_set(err, ERR_INVALID, "the server's upgrade is not WebSocket's");
	if (!seen.is_mqtt)
		return err_set(err, ERR_INVALID, "the server speaks no MQTT in WebSocket");
	return 0;
}

int64_t
websocket_answer(struct str bytes, const char *key, struct err *err)
{
	const char *end = bytes.len ? memmem(bytes.at, bytes.len, "\r\n\r\n", 4) : NULL;
	size_t len = end ? (size_t)(end - bytes.at) + 4 : bytes.len;
	int rc;

	if (len > WEBSOCKET_ANSWER_MAX)
		return err_set(err, ERR_INVALID,
			"the head of the server's answer has more than %d bytes",
			WEBSOCKET_ANSWER_MAX);
	if (!end)
		return 0;
	rc = answer_read(str_n(bytes.at, len - 2), key, err);
	return rc < 0 ? rc : (int64_t)len;
}

/* ---- frames ---- */

enum {
	FRAME_FINAL = 0x80,
	FRAME_RESERVED = 0x70,
	FRAME_MASKED = 0x80,
	FRAME_LEN_16 = 126,
	FRAME_LEN_64 = 127,
};

static uint64_t
frame_number(const uint8_t *at, size_t n)
{
	uint64_t number = 0;

	for (size_t i = 0; i < n; i++)
		number = number << 8 | at[i];
	return number;
}

static int
frame_check(const uint8_t *at, struct err *err)
{
	unsigned opcode = at[0] & 0x0f;

	if (at[0] & FRAME_RESERVED)
		return err_set(err, ERR_INVALID, "a frame with reserved bits");
	if (at[1] & FRAME_MASKED)
		return err_set(err, ERR_INVALID, "a frame that is masked");
	if (opcode == WEBSOCKET_MORE || opcode == WEBSOCKET_BINARY)
		return 0;
	if (opcode < WEBSOCKET_CLOSE || opcode > WEBSOCKET_PONG)
		return err_set(err, ERR_INVALID, "a frame of kind %u", opcode);
	if (!(at[0] & FRAME_FINAL) || at[1] > WEBSOCKET_CONTROL_MAX)
		return err_set(err, ERR_INVALID, "a frame of kind %u that is too long", opcode);
	return 0;
}

int
websocket_head(struct str bytes, struct websocket_head *ret, struct err *err)
{
	const uint8_t *at = (const uint8_t *)bytes.at;
	size_t more;
	uint64_t len;

	if (bytes.len < 2)
		return 0;
	if (frame_check(at, err) < 0)
		return ERR_INVALID;
	more = at[1] == FRAME_LEN_16 ? 2 : at[1] == FRAME_LEN_64 ? 8 : 0;
	if (bytes.len < 2 + more)
		return 0;
	len = more ? frame_number(at + 2, more) : at[1];
	if ((more == 2 && len < FRAME_LEN_16) || (more == 8 && (len <= 0xffff || len >> 63)))
		return err_set(err, ERR_INVALID,
			"a frame with a length that is not written as it must be");
	*ret = (struct websocket_head){.opcode = (enum websocket_opcode)(at[0] & 0x0f),
		.is_final = at[0] & FRAME_FINAL,
		.len = len};
	return (int)(2 + more);
}

void
websocket_write(enum websocket_opcode opcode, struct str payload, struct buf *out)
{
	uint8_t head[14] = {FRAME_FINAL | (uint8_t)opcode};
	size_t more = payload.len < FRAME_LEN_16 ? 0 : payload.len <= 0xffff ? 2 : 8;
	uint8_t *mask = head + 2 + more;
	char *to;

	head[1] = FRAME_MASKED | (uint8_t)(more == 0   ? payload.len
					   : more == 2 ? FRAME_LEN_16
						       : FRAME_LEN_64);
	for (size_t i = 0; i < more; i++)
		head[2 + i] = (uint8_t)(payload.len >> 8 * (more - 1 - i));
	id_random(mask, 4);
	buf_add(out, head, 2 + more + 4);
	to = buf_room(out, payload.len);
	for (size_t i = 0; i < payload.len; i++)
		to[i] = (char)(payload.at[i] ^ mask[i & 3]);
	buf_grew(out, payload.len);
}
