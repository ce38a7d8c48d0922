/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

bool
str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

static unsigned char
str_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : (unsigned char)c;
}

bool
str_eq_case(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (str_lower(a.at[i]) != str_lower(b.at[i]))
			return false;
	return true;
}

bool
str_starts(struct str text, struct str prefix)
{
	return text.len >= prefix.len && str_eq(str_n(text.at, prefix.len), prefix);
}

bool
str_ends(struct str text, struct str suffix)
{
	if (suffix.len == 0)
		return true;
	return text.len >= suffix.len &&
	       str_eq(str_n(text.at + text.len - suffix.len, suffix.len), suffix);
}

int
str_compare(struct str a, struct str b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter ? memcmp(a.at, b.at, shorter) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

static bool
str_is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str
str_trim(struct str text)
{
	while (text.len && str_is_blank(text.at[0])) {
		text.at++;
		text.len--;
	}
	while (text.len && str_is_blank(text.at[text.len - 1]))
		text.len--;
	return text;
}

struct str
str_cut(struct str *rest, char separator)
{
	const char *found = rest->len ? memchr(rest->at, separator, rest->len) : NULL;
	struct str head = *rest;

	if (!found) {
		*rest = STR_NONE;
		return head;
	}
	head.len = (size_t)(found - head.at);
	*rest = str_n(found + 1, rest->len - head.len - 1);
	return head;
}

bool
str_to_u64(struct str text, uint64_t *ret)
{
	uint64_t number = 0;

	if (text.len == 0)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, (uint64_t)(text.at[i] - '0'), &number))
			return false;
	}
	*ret = number;
	return true;
}

/* The table of RFC 3629, section 4: the first byte decides the length and what the second may be;
 * all further bytes are 80 to BF. */
size_t
str_utf8_step(struct str text)
{
	static const struct {
		uint8_t first, last, second_min, second_max, len;
	} rows[] = {
		{0x00, 0x7f, 0x00, 0x00, 1},
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	const uint8_t *at = (const uint8_t *)text.at;

	for (size_t i = 0; text.len && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last)
			continue;
		if (rows[i].len > text.len)
			return 0;
		if (rows[i].len > 1 && (at[1] < rows[i].second_min || at[1] > rows[i].second_max))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if (at[k] < 0x80 || at[k] > 0xbf)
				return 0;
		return rows[i].len;
	}
	return 0;
}

/* Bytes at the start of text that are ASCII, in eights. */
static size_t
str_ascii(struct str text)
{
	size_t n = 0;
	uint64_t bytes;

	for (; n + sizeof(bytes) <= text.len; n += sizeof(bytes)) {
		memcpy(&bytes, text.at + n, sizeof(bytes));
		if (bytes & 0x8080808080808080)
			break;
	}
	return n;
}

bool
str_is_utf8(struct str text)
{
	while (text.len) {
		size_t ascii = str_ascii(text);
		size_t step = ascii > 0 ? ascii : str_utf8_step(text);

		if (step == 0)
			return false;
		text.at += step;
		text.len -= step;
	}
	return true;
}

bool
str_eq_secret(struct str a, struct str b)
{
	volatile unsigned char difference = 0;

	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		difference |= (unsigned char)(a.at[i] ^ b.at[i]);
	return difference == 0;
}

char *
str_dup(struct str text)
{
	char *copy = mem_new(text.len + 1);

	if (text.len)
		memcpy(copy, text.at, text.len);
	return copy;
}
