/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define BUF_FIRST_CAP 64

void
buf_done(struct buf *buf)
{
	free(buf->base);
	*buf = BUF_INIT;
}

void
buf_clear(struct buf *buf)
{
	buf->at = buf->base;
	buf->len = 0;
	if (buf->at)
		buf->at[0] = '\0';
}

void
buf_eat(struct buf *buf, size_t n)
{
	must(n <= buf->len);
	if (n == buf->len) {
		buf_clear(buf);
		return;
	}
	buf->at += n;
	buf->len -= n;
}

void
buf_cut(struct buf *buf, size_t len)
{
	must(len <= buf->len);
	buf->len = len;
	if (buf->at)
		buf->at[len] = '\0';
}

/* Moves the bytes to the front of the allocation. */
static void
buf_settle(struct buf *buf)
{
	memmove(buf->base, buf->at, buf->len + 1);
	buf->at = buf->base;
}

static void
buf_enlarge(struct buf *buf, size_t needed)
{
	size_t cap = buf->cap ? buf->cap : BUF_FIRST_CAP;
	size_t front = buf->base ? (size_t)(buf->at - buf->base) : 0;

	while (cap < needed)
		must(!__builtin_mul_overflow(cap, 2, &cap));
	buf->base = mem_grow(buf->base, cap);
	buf->at = buf->base + front;
	buf->cap = cap;
	buf->at[buf->len] = '\0';
}

/* Bytes are moved to the front only when at least as many were eaten, so that the cost of moving is
 * covered by the eating. */
char *
buf_make_room(struct buf *buf, size_t n)
{
	size_t front = buf->base ? (size_t)(buf->at - buf->base) : 0;
	size_t needed;

	must(!__builtin_add_overflow(front + buf->len + 1, n, &needed));
	if (needed > buf->cap && front > 0 && front >= buf->len) {
		buf_settle(buf);
		needed -= front;
	}
	if (needed > buf->cap)
		buf_enlarge(buf, needed);
	return buf->at + buf->len;
}

void
buf_add_u64(struct buf *buf, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	buf_add(buf, digits + at, sizeof(digits) - at);
}

void
buf_vprintf(struct buf *buf, const char *format, va_list args)
{
	va_list again;
	int n;

	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, again);
	va_end(again);
	must(n >= 0);
	vsnprintf(buf_room(buf, (size_t)n), (size_t)n + 1, format, args);
	buf_grew(buf, (size_t)n);
}

void
buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}

static void
buf_add_json_escape(struct buf *buf, char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";

	for (const char *pair = shorts; *pair; pair += 2) {
		if (pair[0] == c) {
			buf_add_char(buf, '\\');
			buf_add_char(buf, pair[1]);
			return;
		}
	}
	buf_printf(buf, "\\u%04x", (unsigned)(unsigned char)c);
}

#define BUF_EACH_BYTE(byte) (0x0101010101010101u * (byte))

/* Of eight bytes below 0x80 at once: the highest bit of one is set where one of them is below 0x20,
 * or is this byte. (A borrow may set it in others too, but not where there is none.) */
static uint64_t
buf_control_bytes(uint64_t bytes)
{
	return bytes - BUF_EACH_BYTE(0x20);
}

static uint64_t
buf_equal_bytes(uint64_t bytes, unsigned char byte)
{
	return (bytes ^ BUF_EACH_BYTE(byte)) - BUF_EACH_BYTE(0x01);
}

/* Whether eight bytes stand in a JSON string as they are. */
static bool
buf_are_plain_json(const char *at)
{
	uint64_t bytes;

	memcpy(&bytes, at, sizeof(bytes));
	return ((bytes | (bytes + BUF_EACH_BYTE(0x01)) | buf_control_bytes(bytes) |
			buf_equal_bytes(bytes, '"') | buf_equal_bytes(bytes, '\\')) &
		       BUF_EACH_BYTE(0x80)) == 0;
}

/* Bytes at the start of text that stand in a JSON string as they are. */
static size_t
buf_plain_json(struct str text)
{
	size_t n = 0;

	while (n + 8 <= text.len && buf_are_plain_json(text.at + n))
		n += 8;
	while (n < text.len && text.at[n] >= 0x20 && text.at[n] < 0x7f && text.at[n] != '"' &&
		text.at[n] != '\\')
		n++;
	return n;
}

static void
buf_add_json_inside(struct buf *buf, struct str text)
{
	while (text.len) {
		size_t step = buf_plain_json(text);

		if (step > 0 || (step = str_utf8_step(text)) > 1) {
			buf_add(buf, text.at, step);
		} else if (step == 0) {
			buf_add_text(buf, "\xef\xbf\xbd");
			step = 1;
		} else if (text.at[0] == 0x7f) {
			buf_add_char(buf, text.at[0]);
		} else {
			buf_add_json_escape(buf, text.at[0]);
		}
		text.at += step;
		text.len -= step;
	}
}

void
buf_add_json(struct buf *buf, struct str text)
{
	buf_room(buf, text.len + 2);
	buf_add_char(buf, '"');
	buf_add_json_inside(buf, text);
	buf_add_char(buf, '"');
}

char *
buf_take(struct buf *buf, size_t *ret_len)
{
	char *bytes;

	buf_room(buf, 0);
	if (buf->at != buf->base)
		buf_settle(buf);
	bytes = buf->base;
	if (ret_len)
		*ret_len = buf->len;
	*buf = BUF_INIT;
	return bytes;
}
