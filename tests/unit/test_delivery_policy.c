/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <string.h>

#include "domain/delivery_policy.h"

static int
read_text(const char *text, struct delivery_policy *policy, struct err *err)
{
	OWN(json) json_t *object = NULL;

	assert_int_equal(json_parse(str_of(text), &object, err), 0);
	return delivery_policy_read(object, "queue", policy, err);
}

static void
what_is_not_said_is_the_default(void **state)
{
	struct delivery_policy policy;
	struct err err = {0};

	delivery_policy_default(&policy);
	assert_int_equal(read_text("{\"attempts\": 3}", &policy, &err), 0);
	assert_int_equal(policy.attempts, 3);
	assert_int_equal(policy.backoff_ms, 1000);
	assert_int_equal(policy.length, 10000);
	assert_int_equal(policy.on_success.n, 0);
	delivery_policy_done(&policy);
}

static void
what_is_written_is_read_again(void **state)
{
	static const char text[] =
		"{\"attempts\": 7, \"backoff_ms\": 20, \"backoff_max_ms\": 40, \"max_age_s\": 60,"
		" \"concurrency\": 2, \"length\": 9, \"keep_result_s\": 0, \"on_success\":"
		" [\"function:audit\", \"event:order.done\"], \"on_failure\":"
		" [\"https://example.com/x?y=1\"]}";
	struct delivery_policy first, second;
	struct err err = {0};

	delivery_policy_default(&first);
	delivery_policy_default(&second);
	assert_int_equal(read_text(text, &first, &err), 0);
	assert_int_equal(first.on_success.at[1].kind, DELIVERY_TO_EVENT);
	assert_string_equal(first.on_success.at[1].to, "order.done");
	assert_int_equal(first.on_failure.at[0].kind, DELIVERY_TO_URL);
	OWN(json) json_t *json = delivery_policy_json(&first);
	assert_int_equal(delivery_policy_read(json, "queue", &second, &err), 0);
	OWN(json) json_t *again = delivery_policy_json(&second);
	assert_true(json_equal(json, again));
	delivery_policy_done(&first);
	delivery_policy_done(&second);
}

static void
what_breaks_a_rule_is_named_and_changes_nothing(void **state)
{
	static const struct {
		const char *text, *field;
	} cases[] = {
		{"{\"attempts\": 0}", "queue.attempts"},
		{"{\"attempts\": 101}", "queue.attempts"},
		{"{\"backoff_ms\": 9}", "queue.backoff_ms"},
		{"{\"backoff_ms\": 1000, \"backoff_max_ms\": 999}", "queue.backoff_max_ms"},
		{"{\"concurrency\": 1001}", "queue.concurrency"},
		{"{\"length\": 0}", "queue.length"},
		{"{\"max_age_s\": \"1d\"}", "queue.max_age_s"},
		{"{\"try\": 1}", "queue.try"},
		{"{\"on_success\": \"function:a\"}", "queue.on_success"},
		{"{\"on_success\": [\"function:A\"]}", "queue.on_success"},
		{"{\"on_success\": [\"function:a\", 5]}", "queue.on_success"},
		{"{\"on_failure\": [\"ftp://a/b\"]}", "queue.on_failure"},
		{"{\"on_failure\": [\"http://u:p@a/b\"]}", "queue.on_failure"},
		{"{\"on_failure\": [\"event:\"]}", "queue.on_failure"},
		{"{\"on_failure\": [\"event:a b\"]}", "queue.on_failure"},
		{"{\"on_failure\": [\"event:a\",\"event:a\",\"event:a\",\"event:a\",\"event:a\","
		 "\"event:a\"]}",
			"queue.on_failure"},
	};
	struct delivery_policy policy;

	delivery_policy_default(&policy);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};

		assert_int_equal(read_text(cases[i].text, &policy, &err), ERR_INVALID);
		assert_string_equal(err.field, cases[i].field);
		assert_int_equal(policy.attempts, 5);
		assert_int_equal(policy.on_success.n + policy.on_failure.n, 0);
	}
	delivery_policy_done(&policy);
}

static void
the_pause_doubles_up_to_its_bound_and_is_spread_over_its_upper_half(void **state)
{
	struct delivery_policy policy;

	delivery_policy_default(&policy);
	policy.backoff_ms = 100;
	policy.backoff_max_ms = 1000;
	for (unsigned attempt = 1; attempt < 100; attempt++) {
		uint64_t most = attempt > 4 ? 1000 : 100u << (attempt - 1);
		uint64_t least_seen = UINT64_MAX, most_seen = 0;

		for (int i = 0; i < 200; i++) {
			uint64_t pause = delivery_policy_backoff(&policy, attempt);

			assert_in_range(pause, most / 2, most);
			least_seen = pause < least_seen ? pause : least_seen;
			most_seen = pause > most_seen ? pause : most_seen;
		}
		assert_true(most_seen - least_seen > most / 4);
	}
}

static void
only_a_trigger_s_policy_answers_tasks(void **state)
{
	static const char text[] = "{\"on_success\": [\"vcd:task\", \"vcd:task:fail\"],"
				   " \"on_failure\": [\"vcd:task:abort\", \"function:f\"]}";
	struct delivery_policy policy, copy;
	struct err err = {0};

	delivery_policy_default(&policy);
	assert_int_equal(read_text(text, &policy, &err), ERR_INVALID);
	assert_string_equal(err.field, "queue.on_success");
	assert_false(delivery_policy_has_task(&policy));
	policy.is_of_trigger = true;
	assert_int_equal(read_text(text, &policy, &err), 0);
	assert_true(delivery_policy_has_task(&policy));
	assert_int_equal(policy.on_success.at[0].kind, DELIVERY_TO_TASK);
	assert_string_equal(delivery_policy_action(&policy.on_success.at[0]), "");
	assert_string_equal(delivery_policy_action(&policy.on_success.at[1]), "fail");
	assert_string_equal(delivery_policy_action(&policy.on_failure.at[0]), "abort");
	OWN(json) json_t *json = delivery_policy_json(&policy);
	delivery_policy_default(&copy);
	copy.is_of_trigger = true;
	assert_int_equal(delivery_policy_read(json, "queue", &copy, &err), 0);
	OWN(json) json_t *again = delivery_policy_json(&copy);
	assert_true(json_equal(json, again));
	delivery_policy_done(&policy);
	delivery_policy_done(&copy);
}

static void
a_task_s_destination_names_an_action_that_there_is(void **state)
{
	static const char *const wrong[] = {"{\"on_failure\": [\"vcd:task\"]}",
		"{\"on_failure\": [\"vcd:task:\"]}", "{\"on_success\": [\"vcd:task:delete\"]}",
		"{\"on_success\": [\"vcd:tasks\"]}", "{\"on_success\": [\"vcd:task:fail \"]}"};
	struct delivery_policy policy;
	struct err err = {0};

	delivery_policy_default(&policy);
	policy.is_of_trigger = true;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(read_text(wrong[i], &policy, &err), ERR_INVALID);
		assert_non_null(strstr(err.text, "vcd:task:resume"));
	}
	delivery_policy_done(&policy);
}

UNIT_TESTS(it(what_is_not_said_is_the_default), it(what_is_written_is_read_again),
	it(what_breaks_a_rule_is_named_and_changes_nothing),
	it(only_a_trigger_s_policy_answers_tasks),
	it(a_task_s_destination_names_an_action_that_there_is),
	it(the_pause_doubles_up_to_its_bound_and_is_spread_over_its_upper_half))
