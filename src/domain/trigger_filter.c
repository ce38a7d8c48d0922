/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a filter: every word, place and number is checked before it is compared with anything. */
#include "domain/event_attribute.h"
#include "domain/trigger_filter_inside.h"

#define PATH_SEGMENTS_MAX 8

static const char *const words[] = {
	[FILTER_EXACT] = "exact",
	[FILTER_PREFIX] = "prefix",
	[FILTER_SUFFIX] = "suffix",
	[FILTER_ANY_OF] = "anyOf",
	[FILTER_RANGE] = "range",
	[FILTER_TOPIC] = "topic",
	[FILTER_ALL] = "all",
	[FILTER_ANY] = "any",
	[FILTER_NOT] = "not",
};
#define N_WORDS (sizeof(words) / sizeof(words[0]))

struct reading {
	size_t n_conditions;
	unsigned depth;
	struct err *err;
};

/* ---- paths ---- */

int
trigger_filter_check_path(const char *path, const char *field, struct err *err)
{
	struct str rest = str_of(path);
	unsigned n = 0;

	if (event_attribute_is_name(rest))
		return 0;
	if (rest.len > TRIGGER_PATH_MAX || !str_eq(str_cut(&rest, '.'), STR("data")) || !rest.len)
		return err_field(err, ERR_INVALID, field,
			"%s: an attribute must be 1 to 20 of a-z and 0-9, or data.<path>", field);
	while (rest.at)
		if (!str_cut(&rest, '.').len || ++n > PATH_SEGMENTS_MAX)
			return err_field(err, ERR_INVALID, field,
				"%s: data.<path> must have 1 to %d parts between dots, none empty",
				field, PATH_SEGMENTS_MAX);
	return 0;
}

/* ---- values ---- */

static bool
is_scalar(const json_t *value)
{
	return json_is_string(value) || json_is_number(value) || json_is_boolean(value);
}

static int
check_any_of(const json_t *value, const char *field, struct err *err)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(value) || !json_array_size(value))
		return err_field(err, ERR_INVALID, field,
			"%s must be an array of at least one value", field);
	json_array_foreach (value, i, one)
		if (!is_scalar(one))
			return err_field(err, ERR_INVALID, field,
				"%s must have strings, numbers, true or false", field);
	return 0;
}

static int
check_range(const json_t *value, const char *field, struct err *err)
{
	static const char *const known[] = {"gt", "gte", "lt", "lte", NULL};
	const char *key;
	json_t *bound;

	if (!json_is_object(value) || !json_object_size(value))
		return err_field(err, ERR_INVALID, field,
			"%s must be an object with gt, gte, lt or lte", field);
	if (json_check_keys(value, field, known, err) < 0)
		return ERR_INVALID;
	json_object_foreach ((json_t *)value, key, bound)
		if (!json_is_number(bound))
			return err_field(
				err, ERR_INVALID, field, "%s.%s must be a number", field, key);
	return 0;
}

static bool
is_topic(struct str pattern)
{
	for (unsigned n = 0; pattern.at; n++) {
		struct str part = str_cut(&pattern, '.');

		if (!part.len || n == TRIGGER_TOPIC_PARTS)
			return false;
		if (memchr(part.at, '*', part.len) && !str_eq(part, STR("*")) &&
			!str_eq(part, STR("**")))
			return false;
	}
	return true;
}

static int
check_text(enum filter_kind kind, const json_t *value, const char *field, struct err *err)
{
	if (!json_is_string(value) || !json_string_length(value))
		return err_field(
			err, ERR_INVALID, field, "%s must be a string that is not empty", field);
	if (kind == FILTER_TOPIC && !is_topic(str_of(json_string_value(value))))
		return err_field(err, ERR_INVALID, field,
			"%s must have 1 to %d parts between dots, of which * and ** stand alone",
			field, TRIGGER_TOPIC_PARTS);
	return 0;
}

static int
check_value(enum filter_kind kind, const json_t *value, const char *field, struct err *err)
{
	switch (kind) {
	case FILTER_ANY_OF:
		return check_any_of(value, field, err);
	case FILTER_RANGE:
		return check_range(value, field, err);
	case FILTER_EXACT:
		if (is_scalar(value))
			return 0;
		return err_field(err, ERR_INVALID, field,
			"%s must be a string, a number, true or false", field);
	default:
		return check_text(kind, value, field, err);
	}
}

/* ---- conditions ---- */

static int read_node(
	struct reading *reading, const json_t *json, const char *field, struct filter_node *ret);

static int
count(struct reading *reading, size_t n, const char *field)
{
	reading->n_conditions += n;
	if (reading->n_conditions > TRIGGER_CONDITIONS_MAX)
		return err_field(reading->err, ERR_INVALID, field,
			"a filter must have at most %d conditions, each value of anyOf counted",
			TRIGGER_CONDITIONS_MAX);
	return 0;
}

/* One node for each attribute; all of them must fit. */
static int
read_attributes(struct reading *reading, enum filter_kind kind, const json_t *json,
	const char *field, struct filter_node *ret)
{
	const char *path;
	json_t *value;

	if (!json_is_object(json) || !json_object_size(json))
		return err_field(reading->err, ERR_INVALID, field,
			"%s must be an object with at least one attribute", field);
	ret->kind = FILTER_ALL;
	ret->at = mem_new(json_object_size(json) * sizeof(*ret->at));
	json_object_foreach ((json_t *)json, path, value) {
		OWN(mem) char *place = mem_printf("%s.%s", field, path);
		size_t n = kind == FILTER_ANY_OF ? json_array_size(value) : 1;
		int rc = count(reading, n, place);

		if (rc == 0)
			rc = trigger_filter_check_path(path, place, reading->err);
		if (rc == 0)
			rc = check_value(kind, value, place, reading->err);
		if (rc < 0)
			return rc;
		ret->at[ret->n++] =
			(struct filter_node){.kind = kind, .path = path, .value = value};
	}
	return 0;
}

static int
read_children(
	struct reading *reading, const json_t *array, const char *field, struct filter_node *ret)
{
	const json_t *child;
	size_t i;

	ret->at = mem_new((json_array_size(array) + 1) * sizeof(*ret->at));
	json_array_foreach (array, i, child) {
		OWN(mem) char *place = mem_printf("%s[%zu]", field, i);
		int rc = read_node(reading, child, place, &ret->at[ret->n++]);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int
read_group(struct reading *reading, enum filter_kind kind, const json_t *json, const char *field,
	struct filter_node *ret)
{
	int rc = count(reading, 1, field);

	if (rc < 0)
		return rc;
	ret->kind = kind;
	if (++reading->depth > TRIGGER_DEPTH_MAX)
		return err_field(reading->err, ERR_INVALID, field,
			"a filter must not be deeper than %d", TRIGGER_DEPTH_MAX);
	if (kind == FILTER_NOT) {
		ret->at = mem_new(sizeof(*ret->at));
		ret->n = 1;
		rc = read_node(reading, json, field, ret->at);
	} else if (!json_is_array(json) || !json_array_size(json)) {
		rc = err_field(reading->err, ERR_INVALID, field,
			"%s must be an array of at least one condition", field);
	} else {
		rc = read_children(reading, json, field, ret);
	}
	reading->depth--;
	return rc;
}

static int
read_node(struct reading *reading, const json_t *json, const char *field, struct filter_node *ret)
{
	const char *word = json_object_iter_key(json_object_iter((json_t *)json));

	if (json_object_size(json) != 1)
		return err_field(reading->err, ERR_INVALID, field,
			"%s must be an object with one of exact, prefix, suffix, anyOf, range, "
			"topic, all, any and not",
			field);
	for (size_t i = 0; i < N_WORDS; i++) {
		OWN(mem) char *place = mem_printf("%s.%s", field, word);
		const json_t *value = json_object_get(json, word);

		if (strcmp(words[i], word) != 0)
			continue;
		return i < FILTER_ALL
			       ? read_attributes(reading, (enum filter_kind)i, value, place, ret)
			       : read_group(reading, (enum filter_kind)i, value, place, ret);
	}
	return err_field(reading->err, ERR_INVALID, field,
		"%s: %.40s is not known: exact, prefix, suffix, anyOf, range, topic, all, any and "
		"not "
		"are",
		field, word);
}

static void
node_done(struct filter_node *node)
{
	for (size_t i = 0; i < node->n; i++)
		node_done(&node->at[i]);
	free(node->at);
}

int
trigger_filter_new(const json_t *document, struct trigger_filter **ret, struct err *err)
{
	OWN(trigger_filter) struct trigger_filter *filter = mem_new(sizeof(*filter));
	struct reading reading = {.err = err};
	int rc;

	filter->root.kind = FILTER_ALL;
	if (document && !json_is_array(document))
		return err_field(err, ERR_INVALID, "filter", "filter must be an array");
	filter->document = document ? json_deep_copy(document) : json_array();
	rc = read_children(&reading, filter->document, "filter", &filter->root);
	filter->n_conditions = reading.n_conditions;
	if (rc == 0)
		*ret = take_ptr(&filter);
	return rc;
}

size_t
trigger_filter_conditions(const struct trigger_filter *filter)
{
	return filter->n_conditions;
}

void
trigger_filter_free(struct trigger_filter *filter)
{
	if (!filter)
		return;
	node_done(&filter->root);
	json_decref(filter->document);
	free(filter);
}
