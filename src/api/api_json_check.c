/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_json_check.h"

#define API_JSON_DEPTH 512

struct api_json {
	const char *at, *end;
	unsigned depth;
	bool is_object[API_JSON_DEPTH];
};

static bool
api_json_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
api_json_is_hex(char c)
{
	return api_json_is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static void
api_json_space(struct api_json *json)
{
	while (json->at < json->end &&
		(*json->at == ' ' || *json->at == '\t' || *json->at == '\n' || *json->at == '\r'))
		json->at++;
}

static bool
api_json_take(struct api_json *json, char c)
{
	if (json->at == json->end || *json->at != c)
		return false;
	json->at++;
	return true;
}

static bool
api_json_word(struct api_json *json, const char *word)
{
	while (*word)
		if (!api_json_take(json, *word++))
			return false;
	return true;
}

static bool
api_json_digits(struct api_json *json)
{
	const char *start = json->at;

	while (json->at < json->end && api_json_is_digit(*json->at))
		json->at++;
	return json->at > start;
}

static bool
api_json_number(struct api_json *json)
{
	api_json_take(json, '-');
	if (!api_json_take(json, '0') && !api_json_digits(json))
		return false;
	if (api_json_take(json, '.') && !api_json_digits(json))
		return false;
	if (api_json_take(json, 'e') || api_json_take(json, 'E')) {
		if (!api_json_take(json, '+'))
			api_json_take(json, '-');
		return api_json_digits(json);
	}
	return true;
}

/* Behind a backslash. */
static bool
api_json_escape(struct api_json *json)
{
	if (json->at == json->end)
		return false;
	if (!api_json_take(json, 'u'))
		return *json->at && strchr("\"\\/bfnrt", *json->at) && json->at++;
	for (int i = 0; i < 4; i++, json->at++)
		if (json->at == json->end || !api_json_is_hex(*json->at))
			return false;
	return true;
}

/* Behind its first quote. */
static bool
api_json_string(struct api_json *json)
{
	while (json->at < json->end) {
		unsigned char c = (unsigned char)*json->at;
		size_t step = 1;

		if (c < 0x20)
			return false;
		if (c >= 0x80)
			step = str_utf8_step(str_n(json->at, (size_t)(json->end - json->at)));
		if (step == 0)
			return false;
		json->at += step;
		if (c == '"')
			return true;
		if (c == '\\' && !api_json_escape(json))
			return false;
	}
	return false;
}

/* A name and its colon; the member's value follows. */
static bool
api_json_name(struct api_json *json)
{
	api_json_space(json);
	if (!api_json_take(json, '"') || !api_json_string(json))
		return false;
	api_json_space(json);
	return api_json_take(json, ':');
}

static bool
api_json_open(struct api_json *json, bool is_object)
{
	if (json->depth == API_JSON_DEPTH)
		return false;
	json->is_object[json->depth++] = is_object;
	return true;
}

/* One value up to its first inner one; *ret_inner says that one follows. */
static bool
api_json_value(struct api_json *json, bool *ret_inner)
{
	bool is_object;

	*ret_inner = false;
	api_json_space(json);
	if (json->at == json->end)
		return false;
	switch (*json->at) {
	case '"':
		json->at++;
		return api_json_string(json);
	case 't':
		return api_json_word(json, "true");
	case 'f':
		return api_json_word(json, "false");
	case 'n':
		return api_json_word(json, "null");
	case '{':
	case '[':
		is_object = *json->at++ == '{';
		if (!api_json_open(json, is_object))
			return false;
		api_json_space(json);
		*ret_inner = !api_json_take(json, is_object ? '}' : ']');
		json->depth -= !*ret_inner;
		return !*ret_inner || !is_object || api_json_name(json);
	default:
		return api_json_number(json);
	}
}

/* Behind a value: closes what ends here, and takes the comma before the next. */
static bool
api_json_close(struct api_json *json, bool *ret_inner)
{
	*ret_inner = false;
	while (json->depth) {
		bool is_object = json->is_object[json->depth - 1];

		api_json_space(json);
		if (api_json_take(json, ',')) {
			*ret_inner = true;
			return !is_object || api_json_name(json);
		}
		if (!api_json_take(json, is_object ? '}' : ']'))
			return false;
		json->depth--;
	}
	return true;
}

static bool
api_json_text(struct api_json *json)
{
	bool has_next = true;

	while (has_next) {
		if (!api_json_value(json, &has_next))
			return false;
		if (!has_next && !api_json_close(json, &has_next))
			return false;
	}
	api_json_space(json);
	return json->at == json->end;
}

bool
api_json_check(struct str text, size_t *ret_at)
{
	struct api_json json = {.at = text.at, .end = text.at + text.len};

	if (text.len && api_json_text(&json))
		return true;
	*ret_at = text.len ? (size_t)(json.at - text.at) : 0;
	return false;
}
