/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

static int
base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits, of which the last `n_padding` are '='; bits that the padding leaves over are 0. */
static bool
base64_group(const char *four, size_t n_padding, struct buf *out)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - n_padding ? base64_digit(four[i]) : 0;

		if (digit < 0)
			return false;
		bits = bits << 6 | (uint32_t)digit;
	}
	if (n_padding && bits & (n_padding == 1 ? 0xffu : 0xffffu))
		return false;
	buf_add(out, (const char[]){(char)(bits >> 16), (char)(bits >> 8), (char)bits},
		3 - n_padding);
	return true;
}

bool
base64_decode(struct str text, struct buf *out)
{
	size_t n_padding = 0;

	if (text.len % 4 != 0)
		return false;
	while (n_padding < 2 && n_padding < text.len && text.at[text.len - 1 - n_padding] == '=')
		n_padding++;
	for (size_t i = 0; i < text.len; i += 4)
		if (!base64_group(text.at + i, i + 4 == text.len ? n_padding : 0, out))
			return false;
	return true;
}

void
base64_encode(struct str bytes, struct buf *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < bytes.len; i += 3) {
		size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
		uint32_t bits = 0;
		char four[4] = "====";

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? (uint8_t)bytes.at[i + k] : 0);
		for (size_t k = 0; k <= n; k++)
			four[k] = digits[bits >> (18 - 6 * k) & 63];
		buf_add(out, four, sizeof(four));
	}
}
