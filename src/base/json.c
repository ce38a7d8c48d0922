/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <inttypes.h>

#define JSON_MAX_LEVELS 64

/* jansson allows 2048 levels and recurses on each; a document is measured before it is parsed. */
static bool
json_is_too_deep(struct str text)
{
	size_t level = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++level > JSON_MAX_LEVELS)
				return true;
		} else if ((c == '}' || c == ']') && level > 0) {
			level--;
		}
	}
	return false;
}

/* jansson's own words, but where they speak of its flags. */
static const char *
json_fault(const json_error_t *fault)
{
	if (json_error_code(fault) == json_error_null_character)
		return "\\u0000 is not allowed";
	return fault->text;
}

static int
json_load(struct str text, size_t flags, json_t **ret, struct err *err)
{
	json_error_t fault;
	json_t *value;

	if (!str_trim(text).len)
		return err_set(err, ERR_INVALID, "JSON is needed, there is nothing");
	if (json_is_too_deep(text))
		return err_set(err, ERR_INVALID, "JSON: more than %d levels", JSON_MAX_LEVELS);
	value = json_loadb(
		text.at ? text.at : "", text.len, JSON_REJECT_DUPLICATES | flags, &fault);
	if (!value)
		return err_set(err, ERR_INVALID, "JSON, line %d column %d: %s", fault.line,
			fault.column, json_fault(&fault));
	*ret = value;
	return 0;
}

int
json_parse(struct str text, json_t **ret, struct err *err)
{
	return json_load(text, 0, ret, err);
}

int
json_parse_value(struct str text, json_t **ret, struct err *err)
{
	return json_load(text, JSON_DECODE_ANY, ret, err);
}

static int
json_write_part(const char *bytes, size_t n, void *arg)
{
	buf_add(arg, bytes, n);
	return 0;
}

void
json_write(const json_t *value, struct buf *out)
{
	must(json_dump_callback(value, json_write_part, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0);
}

/* ERR_INVALID for path.key; the sentence is "<path.key> <rule>". */
static int __attribute__((format(printf, 4, 5)))
json_refuse(struct err *err, const char *path, const char *key, const char *format, ...)
{
	char rule[160], field[sizeof(err->field)];
	va_list args;

	va_start(args, format);
	vsnprintf(rule, sizeof(rule), format, args);
	va_end(args);
	snprintf(field, sizeof(field), "%s%s%s", path, *path ? "." : "", key);
	return err_field(err, ERR_INVALID, field, "%s %s", field, rule);
}

/* Gives the member in *ret, NULL if it is absent or null and need not be there. */
static int
json_member(const json_t *object, const char *path, const char *key, enum json_flags flags,
	const json_t **ret, struct err *err)
{
	const json_t *member = json_object_get(object, key);

	if (json_is_null(member))
		member = NULL;
	if (!member && (flags & JSON_NEEDED))
		return json_refuse(err, path, key, "is needed");
	*ret = member;
	return 0;
}

int
json_get_str(const json_t *object, const char *path, const char *key, enum json_flags flags,
	size_t max_len, const char **ret, struct err *err)
{
	const json_t *member;
	int rc = json_member(object, path, key, flags, &member, err);

	if (rc < 0 || !member)
		return rc;
	if (!json_is_string(member))
		return json_refuse(err, path, key, "must be a string");
	if (json_string_length(member) > max_len)
		return json_refuse(err, path, key, "must have at most %zu bytes", max_len);
	*ret = json_string_value(member);
	return 0;
}

int
json_get_u64(const json_t *object, const char *path, const char *key, enum json_flags flags,
	uint64_t min, uint64_t max, uint64_t *ret, struct err *err)
{
	const json_t *member;
	int rc = json_member(object, path, key, flags, &member, err);
	json_int_t number;

	if (rc < 0 || !member)
		return rc;
	if (!json_is_integer(member))
		return json_refuse(err, path, key, "must be a whole number");
	number = json_integer_value(member);
	if (number < 0 || (uint64_t)number < min || (uint64_t)number > max)
		return json_refuse(err, path, key, "must be %" PRIu64 " to %" PRIu64, min, max);
	*ret = (uint64_t)number;
	return 0;
}

int
json_get_bool(const json_t *object, const char *path, const char *key, enum json_flags flags,
	bool *ret, struct err *err)
{
	const json_t *member;
	int rc = json_member(object, path, key, flags, &member, err);

	if (rc < 0 || !member)
		return rc;
	if (!json_is_boolean(member))
		return json_refuse(err, path, key, "must be true or false");
	*ret = json_is_true(member);
	return 0;
}

int
json_get_object(const json_t *object, const char *path, const char *key, enum json_flags flags,
	const json_t **ret, struct err *err)
{
	const json_t *member;
	int rc = json_member(object, path, key, flags, &member, err);

	if (rc < 0 || !member)
		return rc;
	if (!json_is_object(member))
		return json_refuse(err, path, key, "must be an object");
	*ret = member;
	return 0;
}

int
json_get_array(const json_t *object, const char *path, const char *key, enum json_flags flags,
	const json_t **ret, struct err *err)
{
	const json_t *member;
	int rc = json_member(object, path, key, flags, &member, err);

	if (rc < 0 || !member)
		return rc;
	if (!json_is_array(member))
		return json_refuse(err, path, key, "must be an array");
	*ret = member;
	return 0;
}

static bool
json_is_known(const char *key, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(key, *known) == 0)
			return true;
	return false;
}

int
json_check_keys(const json_t *object, const char *path, const char *const *known, struct err *err)
{
	/* jansson's iterator wants a document it might change; this one does not. */
	json_t *walked = (json_t *)object;
	const char *key;
	json_t *member;

	json_object_foreach (walked, key, member)
		if (!json_is_known(key, known))
			return json_refuse(err, path, key, "is not known here");
	return 0;
}
