/* SPDX-License-Identifier: Apache-2.0 */
/* What an event must have at least for a filter to fit: by that the index finds it. */
#include "domain/trigger_filter_inside.h"

void
trigger_keys_done(struct trigger_keys *keys)
{
	for (size_t i = 0; i < keys->n; i++)
		free((char *)keys->at[i].at);
	free(keys->at);
	*keys = (struct trigger_keys){0};
}

void
trigger_filter_key(char kind, struct str name, struct str text, struct buf *out)
{
	buf_add_char(out, kind);
	buf_add_str(out, name);
	buf_add_char(out, '\0');
	buf_add_str(out, text);
}

static void
add_key(struct trigger_keys *keys, char kind, const char *name, struct str text)
{
	struct buf key = BUF_INIT;

	trigger_filter_key(kind, str_of(name), text, &key);
	keys->at = mem_grow(keys->at, (keys->n + 1) * sizeof(*keys->at));
	keys->at[keys->n].at = buf_take(&key, &keys->at[keys->n].len);
	keys->n++;
}

/* Reals have several texts and are equal by their value. */
static bool
exact_keys(const char *name, const json_t *value, struct trigger_keys *ret)
{
	char room[32];

	if (json_is_real(value))
		return false;
	add_key(ret, 'e', name, trigger_filter_text(value, room));
	return true;
}

static bool
any_of_keys(const char *name, const json_t *values, struct trigger_keys *ret)
{
	const json_t *one;
	size_t i;

	json_array_foreach (values, i, one)
		if (!exact_keys(name, one, ret))
			return false;
	return true;
}

/* The whole parts that a topic must begin with. */
static bool
topic_keys(const struct filter_node *node, struct trigger_keys *ret)
{
	struct str text = str_of(json_string_value(node->value)), rest = text;
	size_t len = 0;

	for (size_t i = 0; i < TRIGGER_KEY_PARTS && rest.at; i++) {
		struct str part = str_cut(&rest, '.');

		if (part.at[0] == '*')
			break;
		len = (size_t)(part.at + part.len - text.at);
	}
	if (!len)
		return false;
	add_key(ret, 'h', node->path, str_n(text.at, len));
	return true;
}

static bool
prefix_keys(const struct filter_node *node, struct trigger_keys *ret)
{
	size_t len = json_string_length(node->value);

	add_key(ret, 'p', node->path,
		str_n(json_string_value(node->value),
			len < TRIGGER_KEY_BYTES ? len : TRIGGER_KEY_BYTES));
	return true;
}

static bool
leaf_keys(const struct filter_node *node, struct trigger_keys *ret)
{
	struct str rest = str_of(node->path);

	if (str_eq(str_cut(&rest, '.'), STR("data")))
		return false;
	switch (node->kind) {
	case FILTER_EXACT:
		return exact_keys(node->path, node->value, ret);
	case FILTER_ANY_OF:
		return any_of_keys(node->path, node->value, ret);
	case FILTER_PREFIX:
		return prefix_keys(node, ret);
	case FILTER_TOPIC:
		return topic_keys(node, ret);
	default:
		return false;
	}
}

struct asking {
	trigger_cost_fn *cost;
	const void *arg;
};

static size_t
cost_of(const struct asking *asking, const struct trigger_keys *keys)
{
	size_t sum = 0;

	for (size_t i = 0; i < keys->n; i++)
		sum += asking->cost(keys->at[i], asking->arg);
	return sum;
}

static bool node_keys(
	const struct asking *asking, const struct filter_node *node, struct trigger_keys *ret);

/* All of them must fit: the cheapest will do. */
static bool
all_keys(const struct asking *asking, const struct filter_node *node, struct trigger_keys *ret)
{
	bool has_keys = false;

	for (size_t i = 0; i < node->n; i++) {
		struct trigger_keys keys = {0};

		if (!node_keys(asking, &node->at[i], &keys) ||
			(has_keys && cost_of(asking, &keys) >= cost_of(asking, ret))) {
			trigger_keys_done(&keys);
			continue;
		}
		trigger_keys_done(ret);
		*ret = keys;
		has_keys = true;
	}
	return has_keys;
}

/* One of them must fit: the keys of each. */
static bool
any_keys(const struct asking *asking, const struct filter_node *node, struct trigger_keys *ret)
{
	for (size_t i = 0; i < node->n; i++) {
		struct trigger_keys keys = {0};

		if (!node_keys(asking, &node->at[i], &keys)) {
			trigger_keys_done(&keys);
			return false;
		}
		ret->at = mem_grow(ret->at, (ret->n + keys.n) * sizeof(*ret->at));
		memcpy(ret->at + ret->n, keys.at, keys.n * sizeof(*keys.at));
		ret->n += keys.n;
		free(keys.at);
	}
	return true;
}

/* On false *ret may hold some all the same. */
static bool
node_keys(const struct asking *asking, const struct filter_node *node, struct trigger_keys *ret)
{
	if (node->path)
		return leaf_keys(node, ret);
	if (node->kind == FILTER_NOT)
		return false;
	return node->kind == FILTER_ALL ? all_keys(asking, node, ret) : any_keys(asking, node, ret);
}

bool
trigger_filter_keys(const struct trigger_filter *filter, trigger_cost_fn *cost, const void *arg,
	struct trigger_keys *ret)
{
	const struct asking asking = {cost, arg};

	*ret = (struct trigger_keys){0};
	if (node_keys(&asking, &filter->root, ret))
		return true;
	trigger_keys_done(ret);
	return false;
}
