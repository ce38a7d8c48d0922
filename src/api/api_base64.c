/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_base64.h"

static int
api_base64_digit(char c)
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
api_base64_group(const char *four, size_t n_padding, struct buf *out)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		int digit = i < 4 - n_padding ? api_base64_digit(four[i]) : 0;

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
api_base64_decode(struct str text, struct buf *out)
{
	size_t n_padding = 0;

	if (text.len % 4 != 0)
		return false;
	while (n_padding < 2 && n_padding < text.len && text.at[text.len - 1 - n_padding] == '=')
		n_padding++;
	for (size_t i = 0; i < text.len; i += 4)
		if (!api_base64_group(text.at + i, i + 4 == text.len ? n_padding : 0, out))
			return false;
	return true;
}
