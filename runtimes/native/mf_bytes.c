/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mf_inside.h"

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void *
mf_memory(void *old, size_t size)
{
	void *new = realloc(old, size ? size : 1);

	if (!new) {
		fprintf(stderr, "out of memory: %zu bytes\n", size);
		abort();
	}
	return new;
}

static bool
is_tail(const unsigned char *at, size_t n)
{
	while (n--) {
		if ((*at++ & 0xc0) != 0x80)
			return false;
	}
	return true;
}

size_t
mf_utf8_step(const char *text, size_t size)
{
	const unsigned char *at = (const unsigned char *)text;

	if (size >= 1 && at[0] < 0x80)
		return 1;
	if (size >= 2 && at[0] >= 0xc2 && at[0] <= 0xdf && is_tail(at + 1, 1))
		return 2;
	if (size >= 3 && (at[0] & 0xf0) == 0xe0 && is_tail(at + 1, 2) &&
		!(at[0] == 0xe0 && at[1] < 0xa0) && !(at[0] == 0xed && at[1] > 0x9f))
		return 3;
	if (size >= 4 && at[0] >= 0xf0 && at[0] <= 0xf4 && is_tail(at + 1, 3) &&
		!(at[0] == 0xf0 && at[1] < 0x90) && !(at[0] == 0xf4 && at[1] > 0x8f))
		return 4;
	return 0;
}

bool
mf_is_utf8(const char *text, size_t size)
{
	while (size) {
		size_t step = mf_utf8_step(text, size);

		if (!step)
			return false;
		text += step;
		size -= step;
	}
	return true;
}

static void
bytes_room(struct mf_bytes *bytes, size_t size)
{
	size_t need = bytes->size + size + 1;

	if (need <= bytes->cap)
		return;
	bytes->cap = need > 2 * bytes->cap ? need : 2 * bytes->cap;
	bytes->at = mf_memory(bytes->at, bytes->cap);
}

void
mf_bytes_add(struct mf_bytes *bytes, const void *more, size_t size)
{
	bytes_room(bytes, size);
	if (size)
		memcpy(bytes->at + bytes->size, more, size);
	bytes->size += size;
	bytes->at[bytes->size] = '\0';
}

void
mf_bytes_print(struct mf_bytes *bytes, const char *text)
{
	mf_bytes_add(bytes, text, strlen(text));
}

void
mf_bytes_print_json(struct mf_bytes *bytes, const char *text, size_t size)
{
	mf_bytes_add(bytes, "\"", 1);
	while (size) {
		size_t step = mf_utf8_step(text, size);
		unsigned char c = (unsigned char)*text;
		char escaped[8];

		if (!step) {
			mf_bytes_print(bytes, "\xef\xbf\xbd");
			step = 1;
		} else if (c < 0x20 || c == 0x7f) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			mf_bytes_print(bytes, escaped);
		} else {
			if (c == '"' || c == '\\')
				mf_bytes_add(bytes, "\\", 1);
			mf_bytes_add(bytes, text, step);
		}
		text += step;
		size -= step;
	}
	mf_bytes_add(bytes, "\"", 1);
}

void
mf_bytes_add_base64(struct mf_bytes *bytes, const void *more, size_t size)
{
	const unsigned char *at = more;
	char *out;

	bytes_room(bytes, (size + 2) / 3 * 4);
	out = bytes->at + bytes->size;
	for (; size; size -= size < 3 ? size : 3, at += 3) {
		unsigned group = (unsigned)at[0] << 16 | (unsigned)(size > 1 ? at[1] : 0) << 8 |
				 (size > 2 ? at[2] : 0);

		*out++ = base64_digits[group >> 18];
		*out++ = base64_digits[group >> 12 & 63];
		*out++ = size > 1 ? base64_digits[group >> 6 & 63] : '=';
		*out++ = size > 2 ? base64_digits[group & 63] : '=';
	}
	*out = '\0';
	bytes->size = (size_t)(out - bytes->at);
}

bool
mf_bytes_add_from_base64(struct mf_bytes *bytes, const char *text, size_t size)
{
	unsigned group = 0, n_bits = 0;

	while (size && text[size - 1] == '=')
		size--;
	for (size_t i = 0; i < size; i++) {
		const char *digit = text[i] ? strchr(base64_digits, text[i]) : NULL;
		char byte;

		if (!digit)
			return false;
		group = group << 6 | (unsigned)(digit - base64_digits);
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		byte = (char)(group >> n_bits);
		mf_bytes_add(bytes, &byte, 1);
	}
	return size % 4 != 1;
}

void
mf_bytes_done(struct mf_bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct mf_bytes){NULL, 0, 0};
}
