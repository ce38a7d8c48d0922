/* SPDX-License-Identifier: Apache-2.0 */
#include "event_unit.h"

#include "domain/trigger_filter_inside.h"

static struct trigger_filter *
filter_of(const char *text)
{
	OWN(json) json_t *json = event_json(text);
	struct trigger_filter *filter = NULL;
	struct err err = {0};

	if (trigger_filter_new(json, &filter, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return filter;
}

#define EVENT                                                                                      \
	"'subject':'vm-1','n':5,'b':true,'time':'2020-01-01T00:00:00Z','data':{'size':12.5,"       \
	"'name':'web','tags':['a','b'],'deep':{'x':{'y':1}},'none':null,'on':false,'text':'7'}"

static void
each_word_fits_what_it_says(void **state)
{
	static const struct {
		const char *filter;
		bool fits;
	} rows[] = {
		{"[]", true},
		{"[{'exact':{'type':'com.acme.vm.created'}}]", true},
		{"[{'exact':{'type':'com.acme.vm'}}]", false},
		{"[{'exact':{'type':'com.acme.vm.created','subject':'vm-1'}}]", true},
		{"[{'exact':{'type':'com.acme.vm.created','subject':'vm-2'}}]", false},
		{"[{'exact':{'missing':'x'}}]", false},
		{"[{'exact':{'n':5}}]", true},
		{"[{'exact':{'n':'5'}}]", true},
		{"[{'exact':{'n':5.0}}]", true},
		{"[{'exact':{'b':true}}]", true},
		{"[{'exact':{'b':'true'}}]", true},
		{"[{'exact':{'b':false}}]", false},
		{"[{'exact':{'data.text':7}}]", true},
		{"[{'exact':{'data.deep.x.y':1}}]", true},
		{"[{'exact':{'data.deep.x':1}}]", false},
		{"[{'exact':{'data.tags.1':'b'}}]", true},
		{"[{'exact':{'data.tags.2':'b'}}]", false},
		{"[{'exact':{'data.none':'null'}}]", false},
		{"[{'prefix':{'type':'com.acme.'}}]", true},
		{"[{'prefix':{'type':'com.acme.x'}}]", false},
		{"[{'suffix':{'type':'.created'}}]", true},
		{"[{'suffix':{'type':'.deleted'}}]", false},
		{"[{'suffix':{'type':'xcom.acme.vm.created'}}]", false},
		{"[{'anyOf':{'subject':['vm-0','vm-1']}}]", true},
		{"[{'anyOf':{'n':[4,'5']}}]", true},
		{"[{'anyOf':{'subject':['vm-0']}}]", false},
		{"[{'range':{'n':{'gt':4,'lt':6}}}]", true},
		{"[{'range':{'n':{'gt':5}}}]", false},
		{"[{'range':{'n':{'gte':5,'lte':5}}}]", true},
		{"[{'range':{'data.size':{'gt':12.4}}}]", true},
		{"[{'range':{'data.text':{'lt':8}}}]", true},
		{"[{'range':{'data.name':{'lt':8}}}]", false},
		{"[{'range':{'data.on':{'lt':8}}}]", false},
		{"[{'topic':{'type':'com.acme.*.created'}}]", true},
		{"[{'topic':{'type':'com.**'}}]", true},
		{"[{'topic':{'type':'com.*'}}]", false},
		{"[{'all':[{'exact':{'n':5}},{'exact':{'b':true}}]}]", true},
		{"[{'all':[{'exact':{'n':5}},{'exact':{'b':false}}]}]", false},
		{"[{'any':[{'exact':{'n':4}},{'exact':{'b':true}}]}]", true},
		{"[{'any':[{'exact':{'n':4}},{'exact':{'b':false}}]}]", false},
		{"[{'not':{'exact':{'n':4}}}]", true},
		{"[{'not':{'exact':{'missing':'x'}}}]", true},
		{"[{'not':{'prefix':{'type':'com.'}}}]", false},
		{"[{'exact':{'n':5}},{'exact':{'n':6}}]", false},
	};
	OWN(event) struct event event = event_of("com.acme.vm.created", EVENT);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(trigger_filter) struct trigger_filter *filter = filter_of(rows[i].filter);
		OWN(buf) struct buf why = BUF_INIT;

		if (trigger_filter_match(filter, &event) != rows[i].fits)
			fail_msg("%s", rows[i].filter);
		assert_int_equal(trigger_filter_explain(filter, &event, &why), rows[i].fits);
		assert_true(why.len > 0 && str_is_utf8(buf_str(&why)));
	}
}

/* What a topic means, said a second time: each way to share out the parts is tried. */
static bool
topic_by_trying(struct str pattern, struct str text)
{
	struct str part;

	if (!pattern.at)
		return !text.at;
	part = str_cut(&pattern, '.');
	if (str_eq(part, STR("**"))) {
		for (;; str_cut(&text, '.')) {
			if (topic_by_trying(pattern, text))
				return true;
			if (!text.at)
				return false;
		}
	}
	if (!text.at)
		return false;
	struct str got = str_cut(&text, '.');

	return (str_eq(part, STR("*")) || str_eq(part, got)) && topic_by_trying(pattern, text);
}

static void
topics_fit_as_every_way_to_share_out_the_parts_says(void **state)
{
	static const char *const parts[] = {"a", "b", "*", "**"};
	unsigned n_fits = 0, n_fails = 0;

	for (unsigned p = 0; p < 4096; p++) {
		for (unsigned t = 0; t < 64; t += 3) {
			OWN(mem)
			char *pattern = mem_printf("%s.%s.%s.%s.%s.%s", parts[p & 3],
				parts[p >> 2 & 3], parts[p >> 4 & 3], parts[p >> 6 & 3],
				parts[p >> 8 & 3], parts[p >> 10]);
			OWN(mem)
			char *text = mem_printf("%s.%s.%s.%s.%s.%s", parts[t & 1],
				parts[t >> 1 & 1], parts[t >> 2 & 1], parts[t >> 3 & 1],
				parts[t >> 4 & 1], parts[t >> 5]);
			bool fits = topic_by_trying(str_of(pattern), str_of(text));

			if (trigger_filter_topic(str_of(pattern), str_of(text)) != fits)
				fail_msg("%s on %s", pattern, text);
			n_fits += fits;
			n_fails += !fits;
		}
	}
	assert_true(n_fits > 1000 && n_fails > 1000);
}

static void
a_filter_that_is_wrong_names_its_place(void **state)
{
	static const struct {
		const char *filter, *field;
	} rows[] = {
		{"{}", "filter"},
		{"['x']", "filter[0]"},
		{"[{}]", "filter[0]"},
		{"[{'exact':{'type':'a'},'prefix':{'type':'b'}}]", "filter[0]"},
		{"[{'sql':'true'}]", "filter[0]"},
		{"[{'exact':{}}]", "filter[0].exact"},
		{"[{'exact':'x'}]", "filter[0].exact"},
		{"[{'exact':{'Type':'x'}}]", "filter[0].exact.Type"},
		{"[{'exact':{'data.':'x'}}]", "filter[0].exact.data."},
		{"[{'exact':{'data.a..b':'x'}}]", "filter[0].exact.data.a..b"},
		{"[{'exact':{'data.1.2.3.4.5.6.7.8.9':'x'}}]",
			"filter[0].exact.data.1.2.3.4.5.6.7.8.9"},
		{"[{'exact':{'type':null}}]", "filter[0].exact.type"},
		{"[{'exact':{'type':['a']}}]", "filter[0].exact.type"},
		{"[{'prefix':{'type':''}}]", "filter[0].prefix.type"},
		{"[{'prefix':{'type':5}}]", "filter[0].prefix.type"},
		{"[{'anyOf':{'type':'a'}}]", "filter[0].anyOf.type"},
		{"[{'anyOf':{'type':[]}}]", "filter[0].anyOf.type"},
		{"[{'anyOf':{'type':[{}]}}]", "filter[0].anyOf.type"},
		{"[{'range':{'n':{}}}]", "filter[0].range.n"},
		{"[{'range':{'n':{'gt':'5'}}}]", "filter[0].range.n"},
		{"[{'range':{'n':{'above':5}}}]", "filter[0].range.n.above"},
		{"[{'topic':{'type':'a..b'}}]", "filter[0].topic.type"},
		{"[{'topic':{'type':'a.b*'}}]", "filter[0].topic.type"},
		{"[{'topic':{'type':'a.***'}}]", "filter[0].topic.type"},
		{"[{'all':[]}]", "filter[0].all"},
		{"[{'any':{}}]", "filter[0].any"},
		{"[{'not':[]}]", "filter[0].not"},
		{"[{'exact':{'n':5}},{'not':{'any':[{'exact':{'n':5}},{'prefix':{'n':5}}]}}]",
			"filter[1].not.any[1].prefix.n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(json) json_t *json = event_json(rows[i].filter);
		struct trigger_filter *filter = NULL;
		struct err err = {0};

		assert_int_equal(trigger_filter_new(json, &filter, &err), ERR_INVALID);
		assert_null(filter);
		if (strcmp(err.field, rows[i].field) != 0 ||
			!strstr(err.text, "must") == !strstr(err.text, "known"))
			fail_msg("%s: field %s, %s", rows[i].filter, err.field, err.text);
	}
}

static void
depth_and_number_of_conditions_have_a_limit(void **state)
{
	OWN(buf) struct buf deep = BUF_INIT, wide = BUF_INIT;

	for (int extra = 0; extra < 2; extra++) {
		buf_clear(&deep);
		buf_clear(&wide);
		for (int i = 0; i < TRIGGER_DEPTH_MAX + extra; i++)
			buf_add_text(&deep, "{'not':");
		buf_add_text(&deep, "{'exact':{'n':5}}");
		for (int i = 0; i < TRIGGER_DEPTH_MAX + extra; i++)
			buf_add_char(&deep, '}');
		for (int i = 0; i < TRIGGER_CONDITIONS_MAX + extra; i++)
			buf_printf(&wide, "%s{'exact':{'n':5}}", i ? "," : "");
		for (int i = 0; i < 2; i++) {
			OWN(mem) char *text = mem_printf("[%s]", i ? wide.at : deep.at);
			OWN(json) json_t *json = event_json(text);
			OWN(trigger_filter) struct trigger_filter *filter = NULL;

			assert_int_equal(
				trigger_filter_new(json, &filter, NULL), extra ? ERR_INVALID : 0);
		}
	}
}

static bool
is_taken(const char *before, size_t n, const char *one, const char *behind)
{
	OWN(trigger_filter) struct trigger_filter *filter = NULL;
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *json = NULL;

	buf_add_text(&text, before);
	for (size_t i = 0; i < n; i++)
		buf_add_text(&text, one);
	buf_add_text(&text, behind);
	json = event_json(text.at);
	return trigger_filter_new(json, &filter, NULL) == 0;
}

static void
each_value_of_any_of_is_a_condition(void **state)
{
	assert_true(is_taken("[{'anyOf':{'n':[1", TRIGGER_CONDITIONS_MAX - 1, ",1", "]}}]"));
	assert_false(is_taken("[{'anyOf':{'n':[1", TRIGGER_CONDITIONS_MAX, ",1", "]}}]"));
}

/* An event of 256 KiB has room for 100,000 parts, and each could begin what a pattern goes on with.
 */
static void
what_a_topic_is_compared_with_has_a_limit(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	OWN(mem) char *long_part = mem_new(4098);

	assert_true(is_taken("[{'topic':{'data.x':'a", TRIGGER_TOPIC_PARTS - 1, ".a", "'}}]"));
	assert_false(is_taken("[{'topic':{'data.x':'a", TRIGGER_TOPIC_PARTS, ".a", "'}}]"));
	buf_add_char(&text, 'a');
	for (unsigned n = 1; n < 2 * TRIGGER_TOPIC_PARTS; n++)
		buf_add_text(&text, ".a");
	assert_true(trigger_filter_topic(STR("**.a"), buf_str(&text)));
	buf_add_text(&text, ".a");
	assert_false(trigger_filter_topic(STR("**.a"), buf_str(&text)));
	memset(long_part, 'a', 4097);
	assert_true(trigger_filter_topic(STR("**"), str_n(long_part, 4096)));
	assert_false(trigger_filter_topic(STR("**"), str_n(long_part, 4097)));
}

static void
a_text_that_is_too_long_is_no_number(void **state)
{
	OWN(trigger_filter)
	struct trigger_filter *filter = filter_of("[{'range':{'data.x':{'gte':0}}}]");

	for (int extra = 0; extra < 2; extra++) {
		OWN(mem)
		char *more = mem_printf("'data':{'x':'%0*d'}", TRIGGER_NUMBER_BYTES + extra, 7);
		OWN(event) struct event event = event_of("a", more);

		assert_int_equal(trigger_filter_match(filter, &event), !extra);
	}
}

static void
the_reason_is_a_sentence(void **state)
{
	static const struct {
		const char *filter, *why;
	} rows[] = {
		{"[]", "it has no filter and takes every event"},
		{"[{'exact':{'subject':'vm-2'}}]", "subject 'vm-1' is not exactly 'vm-2'"},
		{"[{'exact':{'subject':'vm-1','n':5}}]",
			"subject is exactly 'vm-1' and n is exactly 5"},
		{"[{'exact':{'missing':'x'}}]", "missing is missing"},
		{"[{'exact':{'data.deep':'x'}}]", "data.deep has no text"},
		{"[{'not':{'prefix':{'subject':'vm'}}}]",
			"subject 'vm-1' begins with 'vm', which must not be"},
		{"[{'any':[{'exact':{'n':4}},{'range':{'n':{'gt':5,'lte':9}}}]}]",
			"n 5 is not exactly 4 and n 5 is not > 5 and <= 9"},
		{"[{'any':[{'exact':{'n':4}},{'topic':{'type':'com.**'}}]}]",
			"type 'com.acme.vm.created' fits 'com.**'"},
		{"[{'anyOf':{'n':[1,2,3,4,6,7]}}]", "n 5 is none of 1, 2, 3, 4, 6, … (6)"},
		{"[{'exact':{'n':5}},{'suffix':{'type':'x'}}]",
			"type 'com.acme.vm.created' does not end with 'x'"},
	};
	OWN(event) struct event event = event_of("com.acme.vm.created", EVENT);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		OWN(trigger_filter) struct trigger_filter *filter = filter_of(rows[i].filter);
		OWN(mem) char *wanted = event_quoted(rows[i].why);
		OWN(buf) struct buf why = BUF_INIT;

		trigger_filter_explain(filter, &event, &why);
		assert_string_equal(why.at, wanted);
	}
}

UNIT_TESTS(it(each_word_fits_what_it_says), it(topics_fit_as_every_way_to_share_out_the_parts_says),
	it(a_filter_that_is_wrong_names_its_place), it(depth_and_number_of_conditions_have_a_limit),
	it(each_value_of_any_of_is_a_condition), it(what_a_topic_is_compared_with_has_a_limit),
	it(a_text_that_is_too_long_is_no_number), it(the_reason_is_a_sentence))
