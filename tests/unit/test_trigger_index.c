/* SPDX-License-Identifier: Apache-2.0 */
#include "event_unit.h"

#include "domain/trigger_index.h"

#define N 2000

struct one {
	struct trigger_place place;
	struct trigger_filter *filter;
	bool is_found;
};

static void
put(struct trigger_index *index, struct one *one, const char *text)
{
	OWN(json) json_t *json = event_json(text);
	struct err err = {0};

	*one = (struct one){0};
	if (trigger_filter_new(json, &one->filter, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	one->place.filter = one->filter;
	trigger_index_add(index, &one->place);
}

static void
take_out(struct trigger_index *index, struct one *one)
{
	trigger_index_remove(index, &one->place);
	trigger_filter_free(one->filter);
}

static void
on_found(struct trigger_place *place, void *arg)
{
	struct one *one = list_owner(place, struct one, place);

	assert_false(one->is_found);
	one->is_found = true;
	++*(unsigned *)arg;
}

/* How many were found; `ret_compared` of how many. */
static unsigned
look(struct trigger_index *index, const struct event *event, size_t *ret_compared)
{
	unsigned n = 0;

	*ret_compared = trigger_index_match(index, event, on_found, &n);
	return n;
}

static uint32_t
next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 16;
}

/* Conditions of every word, over few values, so that many of them fit. */
static void
random_condition(uint32_t *seed, unsigned depth, struct buf *out)
{
	static const char *const names[] = {"type", "subject", "n", "data.x"};
	const char *name = names[next_random(seed) & 3];
	unsigned a = next_random(seed) % 3, b = next_random(seed) % 3;

	switch (next_random(seed) % (depth ? 9 : 6)) {
	case 0:
		buf_printf(out, "{'exact':{'%s':'a.b%u.c'}}", name, a);
		return;
	case 1:
		buf_printf(out, "{'anyOf':{'%s':['a.b%u.c','a.b%u.c',%u]}}", name, a, b, a);
		return;
	case 2:
		buf_printf(out, "{'prefix':{'%s':'a.b%u%s'}}", name, a, b ? ".c" : "");
		return;
	case 3:
		buf_printf(out, "{'topic':{'%s':'%s.b%u.%s'}}", name, b ? "a" : "*", a,
			b == 1 ? "**" : "c");
		return;
	case 4:
		buf_printf(out, "{'suffix':{'%s':'%u.c'}}", name, a);
		return;
	case 5:
		buf_printf(out, "{'exact':{'n':%u%s}}", a, b ? "" : ".0");
		return;
	case 6:
		buf_add_text(out, "{'not':");
		random_condition(seed, depth - 1, out);
		buf_add_char(out, '}');
		return;
	default:
		buf_add_text(out, a ? "{'any':[" : "{'all':[");
		random_condition(seed, depth - 1, out);
		buf_add_char(out, ',');
		random_condition(seed, depth - 1, out);
		buf_add_text(out, "]}");
	}
}

static void
what_the_index_finds_is_what_a_scan_finds(void **state)
{
	struct trigger_index *index = trigger_index_new();
	struct one *all = mem_new(N * sizeof(*all));
	uint32_t seed = 7;
	unsigned n_found = 0;

	for (size_t i = 0; i < N; i++) {
		OWN(buf) struct buf text = BUF_INIT;

		buf_add_char(&text, '[');
		random_condition(&seed, 3, &text);
		buf_add_char(&text, ']');
		put(index, &all[i], text.at);
	}
	for (unsigned e = 0; e < 54; e++) {
		char more[100];

		snprintf(more, sizeof(more), "'subject':'a.b%u.c','n':%u,'data':{'x':'a.b%u.c'}",
			e % 3, e / 3 % 3, e / 9 % 3);
		OWN(event) struct event event = event_of(e < 27 ? "a.b1.c" : "a.b2.c.d", more);
		size_t n_compared;

		n_found += look(index, &event, &n_compared);
		assert_true(n_compared < N);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(
				all[i].is_found, trigger_filter_match(all[i].filter, &event));
			all[i].is_found = false;
		}
	}
	assert_true(n_found > N);
	for (size_t i = 0; i < N; i++)
		take_out(index, &all[i * 7 % N]);
	trigger_index_free(index);
	free(all);
}

static void
ten_thousand_triggers_cost_no_more_comparisons_than_ten(void **state)
{
	static const char *const filters[] = {
		"[{'exact':{'type':'com.acme.t%u.created'}}]",
		"[{'anyOf':{'type':['com.acme.t%u.created','other']}}]",
		"[{'prefix':{'type':'com.acme.t%u.'}}]",
		"[{'prefix':{'type':'com.acme.t%u.c'}}]",
		"[{'topic':{'type':'com.acme.t%u.*'}}]",
		"[{'exact':{'type':'com.acme.same','subject':'s%u'}}]",
	};
	struct one *all = mem_new(10000 * sizeof(*all));

	for (size_t f = 0; f < 6; f++) {
		struct trigger_index *index = trigger_index_new();
		OWN(event)
		struct event event = event_of(
			f == 5 ? "com.acme.same" : "com.acme.t5.created", "'subject':'s5'");
		size_t n_compared;

		for (unsigned i = 0; i < 10000; i++) {
			char *text = NULL;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
			text = mem_printf(filters[f], i);
#pragma GCC diagnostic pop
			put(index, &all[i], text);
			free(text);
		}
		assert_int_equal(look(index, &event, &n_compared), 1);
		assert_true(all[5].is_found);
		assert_true(n_compared <= 2);
		for (unsigned i = 0; i < 10000; i++)
			take_out(index, &all[i]);
		trigger_index_free(index);
	}
	free(all);
}

static void
a_value_of_more_parts_than_are_looked_up_is_found_all_the_same(void **state)
{
	struct trigger_index *index = trigger_index_new();
	OWN(buf) struct buf type = BUF_INIT;
	struct one one;
	size_t n_compared;

	for (int i = 0; i < TRIGGER_TOPIC_PARTS; i++)
		buf_printf(&type, "%sp%d", i ? "." : "", i);
	OWN(mem) char *text = mem_printf("[{'topic':{'type':'%s'}}]", type.at);
	OWN(event) struct event event = event_of(type.at, "");

	put(index, &one, text);
	assert_int_equal(look(index, &event, &n_compared), 1);
	take_out(index, &one);
	assert_int_equal(look(index, &event, &n_compared), 0);
	trigger_index_free(index);
}

static void
the_conditions_of_all_filters_are_counted(void **state)
{
	struct trigger_index *index = trigger_index_new();
	struct one one[2];

	put(index, &one[0], "[{'exact':{'type':'a','n':1}},{'not':{'anyOf':{'n':[1,2,3]}}}]");
	assert_int_equal(trigger_index_conditions(index), 6);
	put(index, &one[1], "[{'suffix':{'type':'a'}}]");
	assert_int_equal(trigger_index_conditions(index), 7);
	take_out(index, &one[0]);
	assert_int_equal(trigger_index_conditions(index), 1);
	take_out(index, &one[1]);
	trigger_index_free(index);
}

UNIT_TESTS(it(the_conditions_of_all_filters_are_counted),
	it(what_the_index_finds_is_what_a_scan_finds),
	it(ten_thousand_triggers_cost_no_more_comparisons_than_ten),
	it(a_value_of_more_parts_than_are_looked_up_is_found_all_the_same))
