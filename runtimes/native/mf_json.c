/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mf_json - a checked JSON text (RFC 8259) and views into it.
 *
 * mf_json_parse() walks the text once and refuses what is not JSON; every other function relies
 * on that and only bounds itself by the view. Nothing is allocated but what mf_json_dup() gives.
 */
#include <stdlib.h>
#include <string.h>

#include "mayfly.h"
#include "mf_inside.h"

#define LEVELS_MAX 64

static const char *
skip_space(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
		at++;
	return at;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The four digits behind \u, or -1. */
static int
read_unit(const char *at, const char *end)
{
	int unit = 0;

	if (end - at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_value(at[i]);

		if (digit < 0)
			return -1;
		unit = unit * 16 + digit;
	}
	return unit;
}

/* ---- checking: each gives the end of what it checked, or NULL ---- */

static const char *
check_escape(const char *at, const char *end)
{
	if (at >= end)
		return NULL;
	if (*at == 'u')
		return read_unit(at + 1, end) < 0 ? NULL : at + 5;
	return strchr("\"\\/bfnrt", *at) && *at ? at + 1 : NULL;
}

static const char *
check_string(const char *at, const char *end)
{
	at++;
	while (at && at < end) {
		unsigned char c = (unsigned char)*at;

		if (c == '"')
			return at + 1;
		if (c < 0x20)
			return NULL;
		if (c == '\\') {
			at = check_escape(at + 1, end);
		} else if (c < 0x80) {
			at++;
		} else {
			size_t step = mf_utf8_step(at, (size_t)(end - at));

			at = step ? at + step : NULL;
		}
	}
	return NULL;
}

static const char *
check_digits(const char *at, const char *end)
{
	const char *start = at;

	while (at < end && is_digit(*at))
		at++;
	return at > start ? at : NULL;
}

static const char *
check_number(const char *at, const char *end)
{
	if (at < end && *at == '-')
		at++;
	if (at < end && *at == '0')
		at++;
	else
		at = check_digits(at, end);
	if (at && at < end && *at == '.')
		at = check_digits(at + 1, end);
	if (at && at < end && (*at == 'e' || *at == 'E')) {
		at++;
		if (at < end && (*at == '+' || *at == '-'))
			at++;
		at = check_digits(at, end);
	}
	return at;
}

static const char *
check_word(const char *at, const char *end)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < 3; i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(end - at) >= n && memcmp(at, words[i], n) == 0)
			return at + n;
	}
	return NULL;
}

static const char *check_value(const char *at, const char *end, int level);

static const char *
check_member(const char *at, const char *end, int level)
{
	if (at >= end || *at != '"')
		return NULL;
	at = check_string(at, end);
	if (!at)
		return NULL;
	at = skip_space(at, end);
	return at < end && *at == ':' ? check_value(at + 1, end, level) : NULL;
}

static const char *
check_many(const char *at, const char *end, int level, char close)
{
	at = skip_space(at + 1, end);
	if (at < end && *at == close)
		return at + 1;
	while (at) {
		at = close == '}' ? check_member(skip_space(at, end), end, level)
				  : check_value(at, end, level);
		if (!at)
			break;
		at = skip_space(at, end);
		if (at < end && *at == close)
			return at + 1;
		at = at < end && *at == ',' ? at + 1 : NULL;
	}
	return NULL;
}

static const char *
check_value(const char *at, const char *end, int level)
{
	at = skip_space(at, end);
	if (at >= end || level >= LEVELS_MAX)
		return NULL;
	switch (*at) {
	case '"':
		return check_string(at, end);
	case '{':
		return check_many(at, end, level + 1, '}');
	case '[':
		return check_many(at, end, level + 1, ']');
	case 't':
	case 'f':
	case 'n':
		return check_word(at, end);
	default:
		return check_number(at, end);
	}
}

struct mf_json
mf_json_parse(const char *text, size_t size)
{
	const char *end = text + size;
	const char *start, *stop;

	if (!text)
		return (struct mf_json){NULL, NULL};
	start = skip_space(text, end);
	stop = check_value(start, end, 0);
	if (!stop || skip_space(stop, end) != end)
		return (struct mf_json){NULL, NULL};
	return (struct mf_json){start, stop};
}

/* ---- walking what was checked ---- */

static const char *
skip_string(const char *at)
{
	for (at++; *at != '"'; at++) {
		if (*at == '\\')
			at++;
	}
	return at + 1;
}

/* The end of the value at `at`. */
static const char *
skip_value(const char *at, const char *end)
{
	int level = 0;

	do {
		if (*at == '"') {
			at = skip_string(at);
		} else if (*at == '{' || *at == '[') {
			level++;
			at++;
		} else if (*at == '}' || *at == ']') {
			level--;
			at++;
		} else if (level) {
			at++;
		} else {
			while (at < end && !strchr(",]} \t\r\n", *at))
				at++;
		}
	} while (level && at < end);
	return at;
}

enum mf_json_kind
mf_json_kind(struct mf_json json)
{
	if (!json.at)
		return MF_JSON_NONE;
	switch (*json.at) {
	case '{':
		return MF_JSON_OBJECT;
	case '[':
		return MF_JSON_ARRAY;
	case '"':
		return MF_JSON_STRING;
	case 't':
	case 'f':
		return MF_JSON_BOOL;
	case 'n':
		return MF_JSON_NULL;
	default:
		return MF_JSON_NUMBER;
	}
}

struct mf_json
mf_json_next(struct mf_json json, struct mf_json before, struct mf_json *ret_key)
{
	enum mf_json_kind kind = mf_json_kind(json);
	const char *at;

	if (kind != MF_JSON_OBJECT && kind != MF_JSON_ARRAY)
		return (struct mf_json){NULL, NULL};
	at = skip_space(before.at ? before.end : json.at + 1, json.end);
	if (before.at && *at == ',')
		at = skip_space(at + 1, json.end);
	if (*at == '}' || *at == ']')
		return (struct mf_json){NULL, NULL};
	if (kind == MF_JSON_OBJECT) {
		const char *stop = skip_string(at);

		if (ret_key)
			*ret_key = (struct mf_json){at, stop};
		at = skip_space(skip_space(stop, json.end) + 1, json.end);
	}
	return (struct mf_json){at, skip_value(at, json.end)};
}

size_t
mf_json_count(struct mf_json json)
{
	size_t n = 0;

	for (struct mf_json at = mf_json_next(json, (struct mf_json){NULL, NULL}, NULL); at.at;
		at = mf_json_next(json, at, NULL))
		n++;
	return n;
}

struct mf_json
mf_json_item(struct mf_json array, size_t i)
{
	struct mf_json at = mf_json_next(array, (struct mf_json){NULL, NULL}, NULL);

	while (at.at && i--)
		at = mf_json_next(array, at, NULL);
	return mf_json_kind(array) == MF_JSON_ARRAY ? at : (struct mf_json){NULL, NULL};
}

/* ---- values ---- */

static size_t
put_utf8(unsigned code, char ret[4])
{
	if (code < 0x80) {
		ret[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		ret[0] = (char)(0xc0 | code >> 6);
		ret[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	if (code < 0x10000) {
		ret[0] = (char)(0xe0 | code >> 12);
		ret[1] = (char)(0x80 | (code >> 6 & 0x3f));
		ret[2] = (char)(0x80 | (code & 0x3f));
		return 3;
	}
	ret[0] = (char)(0xf0 | code >> 18);
	ret[1] = (char)(0x80 | (code >> 12 & 0x3f));
	ret[2] = (char)(0x80 | (code >> 6 & 0x3f));
	ret[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/* One character of a string: its bytes, and how many bytes of the text it took. A surrogate that
 * stands alone becomes U+FFFD. */
static size_t
decode_one(const char *at, const char *end, char ret[4], size_t *ret_taken)
{
	static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
	const char *name;
	int unit, low;

	if (*at != '\\') {
		*ret_taken = mf_utf8_step(at, (size_t)(end - at));
		memcpy(ret, at, *ret_taken);
		return *ret_taken;
	}
	*ret_taken = 2;
	name = strchr(names, at[1]);
	if (at[1] != 'u') {
		ret[0] = name ? values[name - names] : at[1];
		return 1;
	}
	*ret_taken = 6;
	unit = read_unit(at + 2, end);
	if (unit < 0xd800 || unit > 0xdfff)
		return put_utf8((unsigned)unit, ret);
	low = unit < 0xdc00 && end - at >= 12 && at[6] == '\\' && at[7] == 'u'
		      ? read_unit(at + 8, end)
		      : -1;
	if (low < 0xdc00 || low > 0xdfff)
		return put_utf8(0xfffd, ret);
	*ret_taken = 12;
	return put_utf8(
		0x10000u + ((unsigned)(unit - 0xd800) << 10) + (unsigned)(low - 0xdc00), ret);
}

size_t
mf_json_text(struct mf_json string, char *ret, size_t size)
{
	const char *at = string.at + 1, *end = string.end - 1;
	size_t n = 0, kept = 0;

	if (size)
		ret[0] = '\0';
	if (mf_json_kind(string) != MF_JSON_STRING)
		return 0;
	while (at < end) {
		char bytes[4];
		size_t taken, step = decode_one(at, end, bytes, &taken);

		if (n == kept && n + step < size) {
			memcpy(ret + n, bytes, step);
			kept += step;
		}
		n += step;
		at += taken;
	}
	if (size)
		ret[kept] = '\0';
	return n;
}

char *
mf_json_dup(struct mf_json string, size_t *ret_size)
{
	size_t size;
	char *text;

	if (mf_json_kind(string) != MF_JSON_STRING)
		return NULL;
	text = mf_memory(NULL, (size_t)(string.end - string.at));
	size = mf_json_text(string, text, (size_t)(string.end - string.at));
	if (ret_size)
		*ret_size = size;
	return text;
}

/* Compares without decoding into memory. */
static bool
is_text(struct mf_json string, const char *text)
{
	const char *at = string.at + 1, *end = string.end - 1;

	while (at < end) {
		char bytes[4];
		size_t taken, step = decode_one(at, end, bytes, &taken);

		if (strncmp(text, bytes, step) != 0 || memchr(bytes, '\0', step))
			return false;
		text += step;
		at += taken;
	}
	return *text == '\0';
}

struct mf_json
mf_json_get(struct mf_json object, const char *key)
{
	struct mf_json found = {NULL, NULL}, name;

	if (mf_json_kind(object) != MF_JSON_OBJECT)
		return found;
	for (struct mf_json at = mf_json_next(object, found, &name); at.at;
		at = mf_json_next(object, at, &name)) {
		if (is_text(name, key))
			found = at;
	}
	return found;
}

bool
mf_json_is_true(struct mf_json json)
{
	return json.at && *json.at == 't';
}

double
mf_json_number(struct mf_json json, double usual)
{
	char text[64];
	size_t size = (size_t)(json.end - json.at);

	if (mf_json_kind(json) != MF_JSON_NUMBER || size >= sizeof(text))
		return usual;
	memcpy(text, json.at, size);
	text[size] = '\0';
	return strtod(text, NULL);
}
