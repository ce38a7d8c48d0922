/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing a filter with an event, and saying why. */
#include <inttypes.h>
#include <math.h>

#include "domain/event_attribute.h"
#include "domain/trigger_filter_inside.h"

/* ---- the event's side ---- */

static const json_t *
member_of(const json_t *value, struct str name)
{
	uint64_t index;

	if (json_is_object(value)) {
		OWN(mem) char *key = str_dup(name);

		return json_object_get(value, key);
	}
	return json_is_array(value) && str_to_u64(name, &index) ? json_array_get(value, index)
								: NULL;
}

const json_t *
trigger_filter_find(const struct event *event, const char *path)
{
	struct str rest = str_of(path);
	const json_t *value;

	if (!str_starts(rest, STR("data.")))
		return json_object_get(event->json, path);
	str_cut(&rest, '.');
	value = json_object_get(event->json, "data");
	while (value && rest.at)
		value = member_of(value, str_cut(&rest, '.'));
	return value;
}

struct str
trigger_filter_text(const json_t *value, char room[static 32])
{
	if (json_is_string(value))
		return str_n(json_string_value(value), json_string_length(value));
	if (json_is_boolean(value))
		return json_is_true(value) ? STR("true") : STR("false");
	if (json_is_integer(value))
		snprintf(room, 32, "%" PRId64, (int64_t)json_integer_value(value));
	else if (json_is_real(value))
		snprintf(room, 32, "%.15g", json_real_value(value));
	else
		return STR_NONE;
	return str_of(room);
}

/* A number, or a text that is one from end to end, as attributes of the binary mode are. */
static bool
number_of(const json_t *value, double *ret)
{
	const char *text = json_string_value(value);
	char *end;

	if (json_is_number(value)) {
		*ret = json_number_value(value);
		return true;
	}
	if (!text || !*text || json_string_length(value) > TRIGGER_NUMBER_BYTES ||
		strspn(text, "0123456789+-.eE") != json_string_length(value))
		return false;
	*ret = strtod(text, &end);
	return !*end && isfinite(*ret);
}

/* ---- comparing ---- */

static bool
is_equal(const json_t *got, const json_t *wanted)
{
	char room[2][32];
	struct str a, b;

	if (json_is_integer(got) && json_is_integer(wanted))
		return json_integer_value(got) == json_integer_value(wanted);
	if (json_is_number(got) && json_is_number(wanted))
		return json_number_value(got) == json_number_value(wanted);
	a = trigger_filter_text(got, room[0]);
	b = trigger_filter_text(wanted, room[1]);
	return a.at && b.at && str_eq(a, b);
}

static bool
is_any_of(const json_t *got, const json_t *wanted)
{
	const json_t *one;
	size_t i;

	json_array_foreach (wanted, i, one)
		if (is_equal(got, one))
			return true;
	return false;
}

static bool
is_in_range(const json_t *got, const json_t *range)
{
	const char *key;
	json_t *bound;
	double value;

	if (!number_of(got, &value))
		return false;
	json_object_foreach ((json_t *)range, key, bound) {
		double limit = json_number_value(bound);
		bool is_equal_enough = key[2] == 'e' && value == limit;

		if (!is_equal_enough && (key[0] == 'g' ? value <= limit : value >= limit))
			return false;
	}
	return true;
}

/* No text that is compared part by part is so long. */
static bool
is_beyond_topics(struct str text)
{
	unsigned n = 0;

	if (text.len > EVENT_ATTRIBUTE_VALUE_MAX)
		return true;
	for (; text.at && n <= 2 * TRIGGER_TOPIC_PARTS; n++)
		str_cut(&text, '.');
	return n > 2 * TRIGGER_TOPIC_PARTS;
}

/* When a part does not fit, the last ** takes one part more: that is enough to try, since what an
 * earlier one could take, the last can take too. */
bool
trigger_filter_topic(struct str pattern, struct str text)
{
	struct str behind_stars = STR_NONE, taken_from = STR_NONE;
	bool has_stars = false;

	if (is_beyond_topics(text))
		return false;
	while (text.at) {
		struct str next_pattern = pattern, next_text = text;
		struct str want = str_cut(&next_pattern, '.'), part;

		if (pattern.at && str_eq(want, STR("**"))) {
			has_stars = true;
			behind_stars = pattern = next_pattern;
			taken_from = text;
			continue;
		}
		part = str_cut(&next_text, '.');
		if (pattern.at && (str_eq(want, STR("*")) || str_eq(want, part))) {
			pattern = next_pattern;
			text = next_text;
			continue;
		}
		if (!has_stars)
			return false;
		str_cut(&taken_from, '.');
		text = taken_from;
		pattern = behind_stars;
	}
	while (pattern.at)
		if (!str_eq(str_cut(&pattern, '.'), STR("**")))
			return false;
	return true;
}

static bool
leaf_holds(const struct filter_node *node, const struct event *event)
{
	const json_t *got = trigger_filter_find(event, node->path);
	char room[32];
	struct str text = trigger_filter_text(got, room), wanted = STR_NONE;

	if (!text.at)
		return false;
	if (json_is_string(node->value))
		wanted = str_n(json_string_value(node->value), json_string_length(node->value));
	switch (node->kind) {
	case FILTER_EXACT:
		return is_equal(got, node->value);
	case FILTER_PREFIX:
		return str_starts(text, wanted);
	case FILTER_SUFFIX:
		return str_ends(text, wanted);
	case FILTER_ANY_OF:
		return is_any_of(got, node->value);
	case FILTER_RANGE:
		return is_in_range(got, node->value);
	default:
		return trigger_filter_topic(wanted, text);
	}
}

bool
trigger_filter_holds(const struct filter_node *node, const struct event *event)
{
	if (node->path)
		return leaf_holds(node, event);
	if (node->kind == FILTER_NOT)
		return !trigger_filter_holds(node->at, event);
	for (size_t i = 0; i < node->n; i++)
		if (trigger_filter_holds(&node->at[i], event) == (node->kind == FILTER_ANY))
			return node->kind == FILTER_ANY;
	return node->kind == FILTER_ALL;
}

bool
trigger_filter_match(const struct trigger_filter *filter, const struct event *event)
{
	return trigger_filter_holds(&filter->root, event);
}
