/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"
#include "event_unit.h"
#include "fake_delivery.h"

#include "base/clock.h"
#include "domain/trigger_inside.h"

struct told {
	struct kit *kit;
	struct trigger *trigger;
	bool is_new;
};

static void
on_put(int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg)
{
	struct told *told = arg;

	told->trigger = trigger;
	told->is_new = is_new;
	kit_org_told(code, err, told->kit);
}

static struct trigger *
put(struct kit *kit, const char *name, const char *text, bool *ret_is_new) ON_LOOP
{
	OWN(json) json_t *document = event_json(text);
	struct told told = {.kit = kit};
	struct org *org = kit_org(kit, "acme");
	int rc = trigger_put(&kit->domain, org, str_of(name), document, on_put, &told, &kit->err);

	kit->code = rc;
	if (rc < 0)
		return NULL;
	kit_await(kit);
	if (ret_is_new)
		*ret_is_new = told.is_new;
	return told.trigger;
}

static void
count_match(struct trigger *trigger, void *arg)
{
	buf_printf(arg, "%s ", trigger->name);
}

/* The names of those that an event is for. */
static char *
matches(struct kit *kit, const char *type) ON_LOOP
{
	OWN(event) struct event event = event_of(type, "");
	struct buf names = BUF_INIT;

	trigger_match(kit_org(kit, "acme"), &event, count_match, &names);
	return names.at ? buf_take(&names, NULL) : str_dup(STR(""));
}

static void
expect_matches(struct kit *kit, const char *type, const char *wanted) ON_LOOP
{
	OWN(mem) char *names = matches(kit, type);

	assert_string_equal(names, wanted);
}

static void
a_trigger_is_put_replaced_and_deleted(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(json) json_t *json = NULL;
	struct trigger *trigger;
	bool is_new = false;

	kit_deploy(kit, "greet");
	trigger = put(kit, "on-vm",
		"{'name':'on-vm','function':'greet','filter':[{'exact':{'type':'a'}}],"
		"'order_key':'subject','queue':{'attempts':3}}",
		&is_new);
	assert_non_null(trigger);
	assert_true(is_new);
	expect_matches(kit, "a", "on-vm ");
	expect_matches(kit, "b", "");
	assert_int_equal(trigger_policy_of(&kit->domain, "acme", "on-vm")->attempts, 3);
	trigger = put(
		kit, "on-vm", "{'function':'greet','filter':[{'exact':{'type':'b'}}]}", &is_new);
	assert_false(is_new);
	expect_matches(kit, "a", "");
	expect_matches(kit, "b", "on-vm ");
	assert_non_null(put(kit, "out", "{'url':'https://a.test/b','queue':{}}", NULL));
	assert_int_equal(trigger_policy_of(&kit->domain, "acme", "out")->attempts, 12);
	trigger_delete(trigger_find(kit_org(kit, "acme"), STR("out")), kit_org_told, kit);
	kit_await(kit);
	assert_null(trigger_policy_of(&kit->domain, "acme", "on-vm"));
	json = trigger_json(trigger);
	assert_true(json_is_null(json_object_get(json, "queue")));
	trigger_delete(trigger, kit_org_told, kit);
	kit_await(kit);
	assert_int_equal(kit->code, 0);
	expect_matches(kit, "b", "");
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM trigger"), 0);
}

static void
triggers_are_there_again_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit_deploy(kit, "greet");
	put(kit, "b", "{'function':'greet','filter':[{'prefix':{'type':'com.'}}]}", NULL);
	put(kit, "a", "{'function':'greet','queue':{'attempts':7}}", NULL);
	put(kit, "off", "{'function':'greet','enabled':false}", NULL);
	expect_matches(kit, "com.x", "a b ");
	kit_reopen(kit);
	expect_matches(kit, "com.x", "a b ");
	expect_matches(kit, "org.x", "a ");
	assert_int_equal(trigger_policy_of(&kit->domain, "acme", "a")->attempts, 7);
	assert_false(trigger_find(kit_org(kit, "acme"), STR("off"))->is_enabled);
}

static void
a_stored_trigger_that_is_not_understood_is_kept_and_takes_nothing(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(json) json_t *json = NULL;

	kit_deploy(kit, "greet");
	put(kit, "t", "{'function':'greet'}", NULL);
	kit_count(kit, "UPDATE trigger SET document = '{\"filter\":[{\"newer\":1}]}'"
		       " RETURNING 1");
	kit_reopen(kit);
	expect_matches(kit, "a", "");
	json = trigger_json(trigger_find(kit_org(kit, "acme"), STR("t")));
	assert_non_null(strstr(json_string_value(json_object_get(json, "failure")), "newer"));
}

static void
a_trigger_goes_with_its_function(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit_deploy(kit, "greet");
	kit_deploy(kit, "other");
	put(kit, "a", "{'function':'greet'}", NULL);
	put(kit, "b", "{'function':'other'}", NULL);
	function_delete(kit_function(kit, "greet"), kit_told, kit);
	kit_await(kit);
	expect_matches(kit, "x", "b ");
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM trigger"), 1);
	org_delete(kit_org(kit, "acme"), kit_org_told, kit);
	kit_await(kit);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM trigger"), 0);
}

static void
a_document_that_is_wrong_names_the_field_and_leaves_what_was(void **state)
{
	static const struct {
		const char *text, *field;
	} rows[] = {
		{"{}", "function"},
		{"{'function':'none'}", "function"},
		{"{'function':'greet','name':'other'}", "name"},
		{"{'function':'greet','enabled':1}", "enabled"},
		{"{'function':'greet','filter':{}}", "filter"},
		{"{'function':'greet','filters':[]}", "filters"},
		{"{'function':'greet','order_key':'Sub'}", "order_key"},
		{"{'function':'greet','queue':[]}", "queue"},
		{"{'function':'greet','queue':{'attempts':0}}", "queue.attempts"},
		{"{'function':'greet','queue':{'concurrency':2}}", "queue.concurrency"},
		{"{'function':'greet','queue':{'length':2}}", "queue.length"},
	};
	OWN(kit) struct kit *kit = kit_open();

	kit_deploy(kit, "greet");
	put(kit, "t", "{'function':'greet'}", NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_null(put(kit, "t", rows[i].text, NULL));
		assert_int_equal(kit->code, ERR_INVALID);
		assert_string_equal(kit->err.field, rows[i].field);
	}
	assert_null(put(kit, "T!", "{'function':'greet'}", NULL));
	assert_string_equal(kit->err.field, "name");
	expect_matches(kit, "x", "t ");
}

static void
a_dry_run_says_why_for_each_trigger(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(event) struct event event = event_of("a", "");
	OWN(json) json_t *told = NULL;
	OWN(json)
	json_t *wanted = event_json(
		"[{'name':'all','function':'greet','url':null,'matches':true,'why':'it has no "
		"filter and takes every event'},"
		"{'name':'off','function':'greet','url':null,'matches':false,'why':'it is not "
		"enabled'},"
		"{'name':'other','function':null,'url':'http://a.test/','matches':false,'why':"
		"'subject is missing'}]");

	kit_deploy(kit, "greet");
	put(kit, "other", "{'url':'http://a.test/','filter':[{'exact':{'subject':'x'}}]}", NULL);
	put(kit, "off", "{'function':'greet','enabled':false}", NULL);
	put(kit, "all", "{'function':'greet'}", NULL);
	told = trigger_explain(kit_org(kit, "acme"), &event);
	assert_true(json_equal(told, wanted));
}

static void
on_looked(void *arg)
{
	kit_org_told(0, NULL, arg);
}

static void
look(struct kit *kit, const char *org) ON_LOOP
{
	kit->is_told = false;
	trigger_look(&kit->domain, org, on_looked, kit);
	kit_await(kit);
}

/* Of trigger "t"; the third is not waiting any more. */
static void
queue_three(struct kit *kit)
{
	kit_count(kit, "INSERT INTO delivery SELECT 'id' || value, 'acme', 'greet', 0, value / 3, "
		       "'event', "
		       "'t', 0, 0, 1000 * value, 0, 0, 0, '', '', '', '', '', 0, '', '', '', x'', "
		       "x'', x'', 0"
		       " FROM json_each('[1,2,3]') RETURNING 1");
}

static void
what_waits_is_seen_per_trigger_and_what_ended_is_counted(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct trigger_figures figures;
	OWN(json) json_t *json = NULL;
	struct trigger *trigger;

	kit_deploy(kit, "greet");
	kit_org(kit, "bee");
	trigger = put(kit, "t", "{'function':'greet'}", NULL);
	queue_three(kit);
	look(kit, "bee");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 0);
	look(kit, "acme");
	trigger_settled(&kit->domain, "acme", "t", true);
	trigger_settled(&kit->domain, "acme", "t", true);
	trigger_settled(&kit->domain, "acme", "t", false);
	trigger_settled(&kit->domain, "acme", "none", true);
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 2);
	assert_int_equal(figures.oldest_ms, 1000);
	assert_int_equal(figures.n_delivered, 2);
	assert_int_equal(figures.n_failed, 1);
	json = trigger_json(trigger);
	assert_true(json_integer_value(
			    json_object_get(json_object_get(json, "figures"), "lag_ms")) > 1000000);
	kit_count(kit, "DELETE FROM delivery RETURNING 1");
	look(kit, "bee");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 2);
	look(kit, "acme");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 0);
	assert_int_equal(figures.oldest_ms, 0);
}

static void
what_waits_of_all_is_counted_once_in_some_seconds(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct trigger_figures figures;
	struct trigger *trigger;

	kit_deploy(kit, "greet");
	trigger = put(kit, "t", "{'function':'greet'}", NULL);
	queue_three(kit);
	look(kit, "");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 2);
	kit_count(kit, "DELETE FROM delivery RETURNING 1");
	kit->domain.triggers_looked_us = clock_mono_us();
	look(kit, "");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 2);
	kit->domain.triggers_looked_us = clock_mono_us() - 5000000;
	look(kit, "");
	trigger_figures(trigger, &figures);
	assert_int_equal(figures.n_waiting, 0);
}

/* Those that are there stand in its index only, so that the store need not write five hundred. */
static void
an_org_has_so_many_conditions_and_no_more(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(buf) struct buf text = BUF_INIT;
	OWN(trigger_filter) struct trigger_filter *filter = NULL;
	static struct trigger_place places[TRIGGERS_CONDITIONS_MAX / TRIGGER_CONDITIONS_MAX];
	size_t n = sizeof(places) / sizeof(places[0]);
	struct trigger_index *index;

	kit_deploy(kit, "greet");
	index = kit_org(kit, "acme")->trigger_index;
	for (int i = 0; i < TRIGGER_CONDITIONS_MAX; i++)
		buf_printf(&text, "%s{'suffix':{'n':'5'}}", i ? "," : "[");
	buf_add_char(&text, ']');
	OWN(json) json_t *json = event_json(text.at);

	assert_int_equal(trigger_filter_new(json, &filter, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		places[i] = (struct trigger_place){.filter = filter};
		trigger_index_add(index, &places[i]);
	}
	put(kit, "a", "{'function':'greet','filter':[{'exact':{'n':1}}]}", NULL);
	assert_int_equal(kit->code, ERR_CONFLICT);
	assert_string_equal(kit->err.field, "filter");
	put(kit, "a", "{'function':'greet','enabled':false,'filter':[{'exact':{'n':1}}]}", NULL);
	assert_int_equal(kit->code, 0);
	put(kit, "a", "{'function':'greet','filter':[{'exact':{'n':1}}]}", NULL);
	assert_int_equal(kit->code, ERR_CONFLICT);
	trigger_index_remove(index, &places[--n]);
	put(kit, "a", "{'function':'greet','filter':[{'exact':{'n':1}}]}", NULL);
	assert_int_equal(kit->code, 0);
	while (n)
		trigger_index_remove(index, &places[--n]);
}

/* ---- puts at the same time ---- */

struct at_once {
	unsigned n_asked, n_told, n_done;
	int code; /* of the last that was refused at once */
};

static void
on_put_at_once(int code, struct trigger *trigger, bool is_new, const struct err *err, void *arg)
{
	struct at_once *at_once = arg;

	at_once->n_told++;
	at_once->n_done += code == 0;
}

static bool
are_all_told(void *arg)
{
	const struct at_once *at_once = arg;

	return at_once->n_told == at_once->n_asked;
}

static void
put_at_once(struct kit *kit, struct at_once *at_once, unsigned number, const json_t *json) ON_LOOP
{
	OWN(mem) char *name = mem_printf("t%u", number);
	int rc = trigger_put(&kit->domain, kit_org(kit, "acme"), str_of(name), json, on_put_at_once,
		at_once, &kit->err);

	if (rc < 0)
		at_once->code = rc;
	else
		at_once->n_asked++;
}

static void
triggers_that_are_put_at_the_same_time_keep_within_the_limit(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(json) json_t *json = event_json("{'function':'greet'}");
	struct at_once at_once = {0};

	kit_deploy(kit, "greet");
	for (unsigned i = 0; i < TRIGGERS_MAX + 3; i++)
		put_at_once(kit, &at_once, i, json);
	assert_int_equal(at_once.code, ERR_CONFLICT);
	kit_until(kit, are_all_told, &at_once);
	assert_int_equal(at_once.n_done, TRIGGERS_MAX);
	assert_int_equal(kit_org(kit, "acme")->triggers.len, TRIGGERS_MAX);
	assert_int_equal(kit_org(kit, "acme")->n_triggers_coming, 0);
	at_once.code = 0;
	put_at_once(kit, &at_once, 0, json);
	assert_int_equal(at_once.code, 0);
	kit_until(kit, are_all_told, &at_once);
}

static void
conditions_that_are_put_at_the_same_time_keep_within_the_limit(void **state)
{
	const unsigned n_fit = TRIGGERS_CONDITIONS_MAX / TRIGGER_CONDITIONS_MAX;
	OWN(kit) struct kit *kit = kit_open();
	OWN(buf) struct buf text = BUF_INIT;
	struct at_once at_once = {0};

	buf_add_text(&text, "{'function':'greet','filter':");
	for (int i = 0; i < TRIGGER_CONDITIONS_MAX; i++)
		buf_printf(&text, "%s{'suffix':{'n':'5'}}", i ? "," : "[");
	buf_add_text(&text, "]}");
	OWN(json) json_t *json = event_json(text.at);

	kit_deploy(kit, "greet");
	for (unsigned i = 0; i < n_fit + 3; i++)
		put_at_once(kit, &at_once, i, json);
	assert_int_equal(at_once.code, ERR_CONFLICT);
	assert_string_equal(kit->err.field, "filter");
	kit_until(kit, are_all_told, &at_once);
	assert_int_equal(at_once.n_done, n_fit);
	assert_int_equal(trigger_index_conditions(kit_org(kit, "acme")->trigger_index),
		TRIGGERS_CONDITIONS_MAX);
	assert_int_equal(kit_org(kit, "acme")->n_conditions_coming, 0);
}

UNIT_TESTS(it(triggers_that_are_put_at_the_same_time_keep_within_the_limit),
	it(conditions_that_are_put_at_the_same_time_keep_within_the_limit),
	it(an_org_has_so_many_conditions_and_no_more), it(a_trigger_is_put_replaced_and_deleted),
	it(triggers_are_there_again_after_a_restart),
	it(a_stored_trigger_that_is_not_understood_is_kept_and_takes_nothing),
	it(a_trigger_goes_with_its_function),
	it(a_document_that_is_wrong_names_the_field_and_leaves_what_was),
	it(a_dry_run_says_why_for_each_trigger),
	it(what_waits_is_seen_per_trigger_and_what_ended_is_counted),
	it(what_waits_of_all_is_counted_once_in_some_seconds))
