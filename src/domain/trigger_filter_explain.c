/* SPDX-License-Identifier: Apache-2.0 */
/* A filter's verdict on an event as a sentence. */
#include "domain/trigger_filter_inside.h"

#define QUOTE_BYTES 80
#define TEXT_BYTES  1000 /* of a whole sentence, from which on nothing is added */

static void
quote(const json_t *value, struct buf *out)
{
	char room[32];
	struct str text = trigger_filter_text(value, room);
	size_t len = 0, step;

	if (!json_is_string(value)) {
		buf_add_str(out, text);
		return;
	}
	while (len < text.len && (step = str_utf8_step(str_n(text.at + len, text.len - len))) &&
		len + step <= QUOTE_BYTES)
		len += step;
	buf_add_json(out, str_n(text.at, len));
	if (len < text.len)
		buf_add_text(out, "…");
}

static void
say_range(const json_t *range, struct buf *out)
{
	static const char *const keys[] = {"gt", "gte", "lt", "lte"};
	static const char *const signs[] = {"> ", ">= ", "< ", "<= "};
	const char *before = "";

	for (size_t i = 0; i < 4; i++) {
		const json_t *bound = json_object_get(range, keys[i]);

		if (!bound)
			continue;
		buf_add_text(out, before);
		buf_add_text(out, signs[i]);
		quote(bound, out);
		before = " and ";
	}
}

static void
say_value(const struct filter_node *node, struct buf *out)
{
	const json_t *one;
	size_t i;

	if (node->kind == FILTER_RANGE) {
		say_range(node->value, out);
		return;
	}
	if (node->kind != FILTER_ANY_OF) {
		quote(node->value, out);
		return;
	}
	json_array_foreach (node->value, i, one) {
		if (i)
			buf_add_text(out, ", ");
		if (i == 5) {
			buf_printf(out, "… (%zu)", json_array_size(node->value));
			return;
		}
		quote(one, out);
	}
}

static const struct {
	const char *holds, *fails;
} phrases[] = {
	[FILTER_EXACT] = {"is exactly ", "is not exactly "},
	[FILTER_PREFIX] = {"begins with ", "does not begin with "},
	[FILTER_SUFFIX] = {"ends with ", "does not end with "},
	[FILTER_ANY_OF] = {"is one of ", "is none of "},
	[FILTER_RANGE] = {"is ", "is not "},
	[FILTER_TOPIC] = {"fits ", "does not fit "},
};

static void
say_leaf(const struct filter_node *node, const struct event *event, bool holds, struct buf *out)
{
	const json_t *got = trigger_filter_find(event, node->path);
	char room[32];

	buf_add_text(out, node->path);
	if (!got || !trigger_filter_text(got, room).at) {
		buf_add_text(out, got ? " has no text" : " is missing");
		return;
	}
	if (!holds || node->kind != FILTER_EXACT) {
		buf_add_char(out, ' ');
		quote(got, out);
	}
	buf_add_char(out, ' ');
	buf_add_text(out, holds ? phrases[node->kind].holds : phrases[node->kind].fails);
	say_value(node, out);
}

static void say(
	const struct filter_node *node, const struct event *event, bool holds, struct buf *out);

/* Of those that have this verdict, the first, or each. */
static void
say_children(const struct filter_node *node, const struct event *event, bool holds,
	const char *between, struct buf *out)
{
	bool is_first = true;

	for (size_t i = 0; i < node->n && out->len < TEXT_BYTES; i++) {
		if (trigger_filter_holds(&node->at[i], event) != holds)
			continue;
		if (!is_first && !between)
			return;
		if (!is_first)
			buf_add_text(out, between);
		say(&node->at[i], event, holds, out);
		is_first = false;
	}
}

static void
say(const struct filter_node *node, const struct event *event, bool holds, struct buf *out)
{
	if (node->path) {
		say_leaf(node, event, holds, out);
	} else if (node->kind == FILTER_NOT) {
		say(node->at, event, !holds, out);
		if (!holds)
			buf_add_text(out, ", which must not be");
	} else if (node->kind == FILTER_ALL) {
		say_children(node, event, holds, holds ? " and " : NULL, out);
	} else {
		say_children(node, event, holds, holds ? NULL : " and ", out);
	}
}

bool
trigger_filter_explain(
	const struct trigger_filter *filter, const struct event *event, struct buf *out)
{
	bool holds = trigger_filter_match(filter, event);

	if (!filter->root.n)
		buf_add_text(out, "it has no filter and takes every event");
	else
		say(&filter->root, event, holds, out);
	return holds;
}
