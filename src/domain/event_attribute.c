/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event_attribute.h"

bool
event_attribute_is_name(struct str name)
{
	if (!name.len || name.len > EVENT_ATTRIBUTE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!((name.at[i] >= 'a' && name.at[i] <= 'z') ||
			    (name.at[i] >= '0' && name.at[i] <= '9')))
			return false;
	return true;
}

/* ---- text ---- */

static uint32_t
code_point(struct str character)
{
	const uint8_t *at = (const uint8_t *)character.at;
	static const uint8_t first[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t point = at[0] & first[character.len];

	for (size_t i = 1; i < character.len; i++)
		point = point << 6 | (at[i] & 0x3f);
	return point;
}

/* Controls and noncharacters of Unicode are no part of the type String. */
static bool
is_in_string(uint32_t point)
{
	if (point < 0x20 || (point >= 0x7f && point <= 0x9f))
		return false;
	return (point & 0xfffe) != 0xfffe && !(point >= 0xfdd0 && point <= 0xfdef);
}

static bool
is_string(struct str text)
{
	while (text.len) {
		size_t step = str_utf8_step(text);

		if (!step || !is_in_string(code_point(str_n(text.at, step))))
			return false;
		text = str_n(text.at + step, text.len - step);
	}
	return true;
}

/* ---- URI-reference: RFC 3986, its characters and its escapes ---- */

static bool
is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool
is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
is_uri_reference(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (c == '%') {
			if (text.len - i < 3 || !is_hex(text.at[i + 1]) || !is_hex(text.at[i + 2]))
				return false;
		} else if (!is_alphanumeric(c) && (!c || !strchr("-._~:/?#[]@!$&'()*+,;=", c))) {
			return false;
		}
	}
	return text.len > 0;
}

/* RFC 3986, section 3.1: what an absolute one begins with. */
static bool
has_scheme(struct str text)
{
	size_t n = 0;

	while (n < text.len && (is_alphanumeric(text.at[n]) || strchr("+-.", text.at[n])))
		n++;
	return n > 0 && n < text.len && text.at[n] == ':' &&
	       !(text.at[0] >= '0' && text.at[0] <= '9') && is_alphanumeric(text.at[0]);
}

/* ---- time: RFC 3339, section 5.6 ---- */

/* Two digits at `at`, between the bounds. */
static bool
is_pair(struct str text, size_t at, int min, int max)
{
	int value;

	if (text.len < at + 2 || text.at[at] < '0' || text.at[at] > '9' || text.at[at + 1] < '0' ||
		text.at[at + 1] > '9')
		return false;
	value = (text.at[at] - '0') * 10 + text.at[at + 1] - '0';
	return value >= min && value <= max;
}

static bool
is_offset(struct str text)
{
	if (text.len == 1)
		return text.at[0] == 'Z' || text.at[0] == 'z';
	return text.len == 6 && (text.at[0] == '+' || text.at[0] == '-') && text.at[3] == ':' &&
	       is_pair(text, 1, 0, 23) && is_pair(text, 4, 0, 59);
}

static int
days_of(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && is_leap);
}

static bool
is_date(struct str text)
{
	int year, month;

	if (!is_pair(text, 0, 0, 99) || !is_pair(text, 2, 0, 99) || !is_pair(text, 5, 1, 12) ||
		text.at[4] != '-')
		return false;
	year = (text.at[0] - '0') * 1000 + (text.at[1] - '0') * 100 + (text.at[2] - '0') * 10 +
	       text.at[3] - '0';
	month = (text.at[5] - '0') * 10 + text.at[6] - '0';
	return text.len > 10 && text.at[7] == '-' && is_pair(text, 8, 1, days_of(year, month));
}

static bool
is_time(struct str text)
{
	size_t end = 19;

	if (!is_date(text) || text.len < 20 || (text.at[10] != 'T' && text.at[10] != 't') ||
		!is_pair(text, 11, 0, 23) || text.at[13] != ':' || !is_pair(text, 14, 0, 59) ||
		text.at[16] != ':' || !is_pair(text, 17, 0, 60))
		return false;
	if (text.at[end] == '.')
		for (end++; end < text.len && text.at[end] >= '0' && text.at[end] <= '9'; end++)
			;
	return (end == 19 || end > 20) && is_offset(str_n(text.at + end, text.len - end));
}

/* ---- media types: RFC 2045, section 5.1 ---- */

struct str
event_attribute_media(struct str content_type, struct str *ret_charset)
{
	struct str media = str_trim(str_cut(&content_type, ';'));

	*ret_charset = STR("");
	while (content_type.len) {
		struct str value = str_trim(str_cut(&content_type, ';'));
		struct str name = str_trim(str_cut(&value, '='));

		value = str_trim(value);
		if (value.len > 1 && value.at[0] == '"' && value.at[value.len - 1] == '"')
			value = str_n(value.at + 1, value.len - 2);
		if (str_eq_case(name, STR("charset")))
			*ret_charset = value;
	}
	return media;
}

static bool
is_token(struct str text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!is_alphanumeric(text.at[i]) &&
			(!text.at[i] || !strchr("!#$%&'*+-.^_`|~", text.at[i])))
			return false;
	return text.len > 0;
}

static bool
is_media(struct str content_type)
{
	struct str charset, subtype = event_attribute_media(content_type, &charset);
	struct str type = str_cut(&subtype, '/');

	return is_token(type) && is_token(subtype);
}

static bool
ends_in(struct str media, struct str subtype, struct str suffix)
{
	struct str rest = media;

	str_cut(&rest, '/');
	return str_eq_case(rest, subtype) ||
	       (rest.len > suffix.len &&
		       str_eq_case(str_n(rest.at + rest.len - suffix.len, suffix.len), suffix));
}

bool
event_attribute_is_json(struct str content_type)
{
	struct str charset, media = event_attribute_media(content_type, &charset);

	return ends_in(media, STR("json"), STR("+json"));
}

bool
event_attribute_is_text(struct str content_type)
{
	struct str charset, media = event_attribute_media(content_type, &charset);

	if (charset.len && !str_eq_case(charset, STR("utf-8")) &&
		!str_eq_case(charset, STR("us-ascii")))
		return false;
	return (media.len > 5 && str_eq_case(str_n(media.at, 5), STR("text/"))) ||
	       ends_in(media, STR("xml"), STR("+xml")) ||
	       ends_in(media, STR("yaml"), STR("+yaml")) ||
	       str_eq_case(media, STR("application/x-www-form-urlencoded"));
}

/* ---- the rules ---- */

static bool
is_1_0(struct str text)
{
	return str_eq(text, STR("1.0"));
}

static bool
is_filled(struct str text)
{
	return text.len > 0;
}

static bool
is_uri(struct str text)
{
	return is_uri_reference(text) && has_scheme(text);
}

static const struct {
	const char *name, *rule;
	bool (*is_right)(struct str text);
} rules[] = {
	{"specversion", "must be \"1.0\"", is_1_0},
	{"id", "must not be empty", is_filled},
	{"source", "must be a URI-reference (RFC 3986), not empty", is_uri_reference},
	{"type", "must not be empty", is_filled},
	{"subject", "must not be empty", is_filled},
	{"time", "must be a time of RFC 3339 like 2026-11-21T12:30:00Z", is_time},
	{"datacontenttype", "must be a media type like application/json", is_media},
	{"dataschema", "must be a URI with a scheme (RFC 3986)", is_uri},
};

static int
check_text(const char *name, struct str text, struct err *err)
{
	if (text.len > EVENT_ATTRIBUTE_VALUE_MAX)
		return err_field(err, ERR_INVALID, name, "%s has more than %d bytes", name,
			EVENT_ATTRIBUTE_VALUE_MAX);
	if (!is_string(text))
		return err_field(err, ERR_INVALID, name,
			"%s has characters that no text may have (controls, or not UTF-8)", name);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].name, name) == 0 && !rules[i].is_right(text))
			return err_field(err, ERR_INVALID, name, "%s %s", name, rules[i].rule);
	return 0;
}

static bool
is_of_the_spec(const char *name)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (strcmp(rules[i].name, name) == 0)
			return true;
	return false;
}

int
event_attribute_check(const char *name, const json_t *value, struct err *err)
{
	if (!event_attribute_is_name(str_of(name)))
		return err_field(err, ERR_INVALID, name,
			"an attribute's name must be 1 to 20 of a-z and 0-9, %.40s is not", name);
	if (json_is_string(value))
		return check_text(
			name, str_n(json_string_value(value), json_string_length(value)), err);
	if (is_of_the_spec(name))
		return err_field(err, ERR_INVALID, name, "%s must be a string", name);
	if (json_is_boolean(value))
		return 0;
	if (!json_is_integer(value))
		return err_field(err, ERR_INVALID, name,
			"%s must be a string, a whole number or true or false", name);
	if (json_integer_value(value) < INT32_MIN || json_integer_value(value) > INT32_MAX)
		return err_field(err, ERR_INVALID, name,
			"%s must be a whole number of at most 32 bits", name);
	return 0;
}
