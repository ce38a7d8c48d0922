/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"

#include "domain/schedule_inside.h"

#define MINUTE 60000
#define HOUR   3600000
#define DAY    86400000

/* ---- what is put: played, it is taken down ---- */

struct put_seen {
	char org[64], function[64], source[64], key[128], id[ID_ULID_SIZE];
	char *body;
	unsigned attempts;
};

static struct {
	struct put_seen at[64];
	unsigned n, n_known;
	struct err refusal; /* what every put gets; code 0: none */
	bool is_held;       /* done() waits for put_release() */
	delivery_put_fn *done;
	void *arg;
} queue;

static struct put_seen *
put_find(const char *key)
{
	for (unsigned i = 0; i < queue.n; i++)
		if (strcmp(queue.at[i].key, key) == 0)
			return &queue.at[i];
	return NULL;
}

static struct put_seen *
put_keep(const struct delivery_request *request)
{
	struct put_seen *seen = &queue.at[queue.n++];

	assert_true(queue.n < 64);
	assert_string_equal(request->origin, "schedule");
	assert_int_equal(request->frame, FRAME_DIRECT);
	snprintf(seen->org, sizeof(seen->org), "%s", request->function->org->name);
	snprintf(seen->function, sizeof(seen->function), "%s", request->function->name);
	snprintf(seen->source, sizeof(seen->source), "%s", request->source);
	snprintf(seen->key, sizeof(seen->key), "%.*s", STR_ARG(request->idempotency_key));
	seen->body = str_dup(request->body);
	seen->attempts = request->policy ? request->policy->attempts : 0;
	id_ulid(seen->id);
	return seen;
}

static void
put_tell(delivery_put_fn *done, void *arg, const struct put_seen *seen, bool is_known)
{
	struct delivery_accepted accepted = {.is_known = is_known};

	memcpy(accepted.id, seen->id, sizeof(accepted.id));
	done(0, &accepted, NULL, arg);
}

void
delivery_put(struct delivery_host *host, const struct delivery_request *request,
	delivery_put_fn *done, void *arg)
{
	OWN(mem) char *key = str_dup(request->idempotency_key);
	struct put_seen *seen = put_find(key);
	bool is_known = seen;

	if (queue.refusal.code < 0) {
		done(queue.refusal.code, NULL, &queue.refusal, arg);
		return;
	}
	queue.n_known += is_known;
	if (!seen)
		seen = put_keep(request);
	if (queue.is_held) {
		queue.done = done;
		queue.arg = arg;
		return;
	}
	put_tell(done, arg, seen, is_known);
}

void
delivery_function_changed(struct function *function)
{
}

bool
delivery_has_tasks(const struct delivery_host *host)
{
	return false;
}

void
delivery_function_gone(struct function *function)
{
}

void
delivery_org_gone(struct domain *domain, const char *org)
{
}

static void
put_release(void)
{
	queue.is_held = false;
	put_tell(queue.done, queue.arg, &queue.at[queue.n - 1], false);
}

static const char *
put_last(void)
{
	return queue.n ? queue.at[queue.n - 1].key : "";
}

/* ---- the clock: played ---- */

static uint64_t wall_ms;

static uint64_t
wall(void)
{
	return wall_ms;
}

static uint64_t
moment(const char *text)
{
	OWN(json) json_t *json = json_pack("{s:s}", "at", text);
	struct schedule_plan plan;
	struct err err = {0};
	uint64_t at_ms;

	if (schedule_plan_restore(json, &plan, &err) < 0)
		fail_msg("%s", err.text);
	at_ms = plan.at_ms;
	schedule_plan_done(&plan);
	return at_ms;
}

static struct schedule_clock *
the_clock(struct kit *kit)
{
	return kit->domain.schedules;
}

static void
start(struct kit *kit) ON_LOOP
{
	the_clock(kit)->now_ms = wall;
	schedule_clock_start(the_clock(kit));
}

static void
look_at(struct kit *kit, uint64_t at_ms) ON_LOOP
{
	wall_ms = at_ms;
	schedule_clock_look(the_clock(kit));
}

static struct kit *
open_kit(const char *now) THREAD_ENTERS(thread_role_loop)
{
	struct kit *kit = kit_open();

	thread_on_loop();
	for (unsigned i = 0; i < queue.n; i++)
		free(queue.at[i].body);
	memset(&queue, 0, sizeof(queue));
	kit_deploy(kit, "hello");
	wall_ms = moment(now);
	start(kit);
	return kit;
}

/* ---- what is asked for ---- */

static bool told_is_new;

static void
on_put(int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg)
{
	struct kit *kit = arg;

	told_is_new = is_new;
	kit->code = code;
	kit->is_told = true;
	if (err)
		kit->err = *err;
}

static void
on_gone(int code, const struct err *err, void *arg)
{
	on_put(code, NULL, false, err, arg);
}

static int
try_put(struct kit *kit, const char *name, const char *text) ON_LOOP
{
	OWN(json) json_t *json = NULL;

	kit->err = (struct err){0};
	assert_int_equal(json_parse(str_of(text), &json, &kit->err), 0);
	kit->is_told = false;
	kit->code = schedule_put(
		&kit->domain, kit_org(kit, "acme"), str_of(name), json, on_put, kit, &kit->err);
	if (kit->code == 0)
		kit_await(kit);
	return kit->code;
}

static struct schedule *
put(struct kit *kit, const char *name, const char *text) ON_LOOP
{
	if (try_put(kit, name, text) < 0)
		fail_msg("%s", kit->err.text);
	return schedule_find(kit_org(kit, "acme"), str_of(name));
}

#define NIGHTLY "{\"function\": \"hello\", \"cron\": \"30 2 * * *\", \"zone\": \"Europe/Berlin\"}"
#define HOURLY  "{\"function\": \"hello\", \"cron\": \"0 * * * *\"}"
#define MADE_UP "{\"function\": \"hello\", \"cron\": \"0 * * * *\", \"missed\": \"once\"}"

static void
a_run_is_put_when_its_time_has_come(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "nightly",
		"{\"function\": \"hello\", \"cron\": \"30 2 * * *\", \"zone\": \"Europe/Berlin\","
		" \"payload\": {\"a\": [1]}, \"queue\": {\"attempts\": 2}}");

	assert_true(told_is_new);
	look_at(kit, moment("2030-01-01T01:29:59.999Z"));
	assert_int_equal(queue.n, 0);
	look_at(kit, moment("2030-01-01T01:30:00Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(queue.at[0].org, "acme");
	assert_string_equal(queue.at[0].function, "hello");
	assert_string_equal(queue.at[0].source, "nightly");
	assert_int_equal(queue.at[0].attempts, 2);
	assert_string_equal(queue.at[0].key, "schedule/nightly/1893461400000");
	assert_string_equal(queue.at[0].body,
		"{\"schedule\":\"nightly\",\"planned\":"
		"\"2030-01-01T01:30:00.000Z\",\"payload\":{\"a\":[1]}}");
	assert_true(schedule->last_ms == moment("2030-01-01T01:30:00Z"));
	look_at(kit, moment("2030-01-01T01:30:01Z"));
	assert_int_equal(queue.n + queue.n_known, 1);
	look_at(kit, moment("2030-01-02T01:30:00Z"));
	assert_int_equal(queue.n, 2);
}

static void
a_run_that_is_a_little_late_is_not_missed(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	look_at(kit, moment("2030-01-01T01:01:00Z"));
	assert_string_equal(put_last(), "schedule/hourly/1893459600000");
}

static void
missed_runs_are_skipped(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	look_at(kit, moment("2030-01-01T05:01:01Z"));
	assert_int_equal(queue.n, 0);
	look_at(kit, moment("2030-01-01T06:00:00Z"));
	assert_int_equal(queue.n, 1);
	assert_true(schedule_find(kit_org(kit, "acme"), STR("hourly"))->last_ms ==
		    moment("2030-01-01T06:00:00Z"));
}

static void
missed_runs_are_made_up_for_by_one(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", MADE_UP);
	look_at(kit, moment("2030-01-01T05:30:00Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(put_last(), "schedule/hourly/1893474000000"); /* 05:00 */
	look_at(kit, moment("2030-01-01T06:00:00Z"));
	assert_int_equal(queue.n, 2);
}

static void
of_several_that_are_due_the_last_is_put(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	uint64_t begin_ms = wall_ms;

	put(kit, "often", "{\"function\": \"hello\", \"every\": \"1s\"}");
	look_at(kit, begin_ms + 3500);
	assert_int_equal(queue.n, 1);
	assert_string_equal(put_last(), "schedule/often/1893456003000");
	look_at(kit, begin_ms + 4000);
	assert_int_equal(queue.n, 2);
}

static void
an_interval_is_counted_from_when_it_was_put(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:10Z");
	uint64_t begin_ms = wall_ms;

	put(kit, "often", "{\"function\": \"hello\", \"every\": \"90s\"}");
	look_at(kit, begin_ms + 89999);
	assert_int_equal(queue.n, 0);
	look_at(kit, begin_ms + 90000);
	assert_int_equal(queue.n, 1);
	look_at(kit, begin_ms + 179999);
	assert_int_equal(queue.n, 1);
}

static void
what_is_put_again_as_it_was_goes_on(void **state)
{
	static const char often[] = "{\"function\": \"hello\", \"every\": \"90s\"}";
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	uint64_t since_ms = put(kit, "often", often)->since_ms;

	wall_ms += 10000;
	assert_int_equal(try_put(kit, "often", often), 0);
	assert_false(told_is_new);
	assert_true(schedule_find(kit_org(kit, "acme"), STR("often"))->since_ms == since_ms);
	assert_int_equal(try_put(kit, "often", "{\"function\": \"hello\", \"every\": \"91s\"}"), 0);
	assert_true(schedule_find(kit_org(kit, "acme"), STR("often"))->since_ms != since_ms);
}

static void
a_run_does_not_come_twice_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", MADE_UP);
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_int_equal(queue.n, 1);
	kit_reopen(kit);
	start(kit);
	look_at(kit, moment("2030-01-01T01:00:01Z"));
	assert_int_equal(queue.n + queue.n_known, 1);
	look_at(kit, moment("2030-01-01T02:00:00Z"));
	assert_int_equal(queue.n, 2);
}

/* Killed between the delivery and the note of it: the key is the same. */
static void
a_run_whose_note_was_lost_is_known_by_its_key(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "hourly", MADE_UP);

	look_at(kit, moment("2030-01-01T01:00:00Z"));
	schedule->last_ms = 0;
	schedule_note(schedule);
	kit_reopen(kit);
	start(kit);
	look_at(kit, moment("2030-01-01T01:00:01Z"));
	assert_int_equal(queue.n, 1);
	assert_int_equal(queue.n_known, 1);
	schedule = schedule_find(kit_org(kit, "acme"), STR("hourly"));
	assert_true(schedule->last_ms == moment("2030-01-01T01:00:00Z"));
	assert_string_equal(schedule->last_id, queue.at[0].id);
}

static void
what_was_missed_while_nothing_served_is_told_at_the_start(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "skipped", HOURLY);
	put(kit, "made-up", MADE_UP);
	kit_reopen(kit);
	start(kit);
	look_at(kit, moment("2030-01-03T10:20:00Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(queue.at[0].source, "made-up");
	assert_string_equal(put_last(), "schedule/made-up/1893664800000"); /* 10:00 */
}

static void
a_clock_that_goes_back_an_hour_repeats_nothing(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	look_at(kit, moment("2030-01-01T02:00:00Z"));
	assert_int_equal(queue.n, 2);
	for (unsigned minute = 0; minute < 120; minute++)
		look_at(kit, moment("2030-01-01T01:00:00Z") + minute * MINUTE);
	assert_int_equal(queue.n + queue.n_known, 2);
	look_at(kit, moment("2030-01-01T03:00:00Z"));
	assert_int_equal(queue.n, 3);
}

static void
a_clock_that_was_years_ahead_is_followed_when_it_is_right(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	look_at(kit, moment("2035-01-01T01:00:00Z"));
	assert_int_equal(queue.n, 1);
	look_at(kit, moment("2030-01-01T00:10:00Z"));
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_int_equal(queue.n, 2);
	assert_string_equal(put_last(), "schedule/hourly/1893459600000");
}

static void
a_clock_that_goes_forward_makes_due_what_it_passed(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "made-up", MADE_UP);
	put(kit, "skipped", HOURLY);
	look_at(kit, moment("2030-01-01T00:00:05Z"));
	look_at(kit, moment("2030-01-02T00:30:00Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(queue.at[0].source, "made-up");
}

static void
an_interval_begins_anew_when_the_clock_goes_back(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	uint64_t begin_ms = wall_ms;

	put(kit, "often", "{\"function\": \"hello\", \"every\": \"1m\"}");
	look_at(kit, begin_ms + MINUTE);
	assert_int_equal(queue.n, 1);
	look_at(kit, begin_ms - HOUR);
	look_at(kit, begin_ms - HOUR + MINUTE - 1);
	assert_int_equal(queue.n, 1);
	look_at(kit, begin_ms - HOUR + MINUTE);
	assert_int_equal(queue.n, 2);
}

static void
a_time_that_comes_once_is_kept_as_past(void **state)
{
	static const char once[] =
		"{\"function\": \"hello\", \"at\": \"2040-06-01T12:00:00\", \"zone\": "
		"\"America/New_York\"}";
	OWN(kit) struct kit *kit = open_kit("2040-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "once", once);
	OWN(json) json_t *before = schedule_json(schedule), *after = NULL;

	assert_string_equal(json_string_value(json_object_get(before, "state")), "waiting");
	assert_string_equal(json_string_value(json_array_get(json_object_get(before, "next"), 0)),
		"2040-06-01T16:00:00.000Z");
	assert_string_equal(json_string_value(json_object_get(before, "missed")), "once");
	look_at(kit, moment("2040-06-01T16:00:00Z"));
	assert_int_equal(queue.n, 1);
	after = schedule_json(schedule);
	look_at(kit, moment("2040-06-01T15:00:00Z"));
	look_at(kit, moment("2040-06-01T16:00:00Z"));
	look_at(kit, moment("2041-06-01T16:00:00Z"));
	assert_int_equal(queue.n + queue.n_known, 1);
	kit_reopen(kit);
	start(kit);
	look_at(kit, moment("2041-06-02T16:00:00Z"));
	assert_int_equal(queue.n + queue.n_known, 1);
}

static void
a_time_that_comes_once_and_was_missed_is_made_up_for(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2040-01-01T00:00:00Z");

	put(kit, "once", "{\"function\": \"hello\", \"at\": \"2040-01-02T00:00:00Z\"}");
	put(kit, "never",
		"{\"function\": \"hello\", \"at\": \"2040-01-02T00:00:00Z\", \"missed\": "
		"\"skip\"}");
	kit_reopen(kit);
	start(kit);
	look_at(kit, moment("2040-01-05T00:00:00Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(queue.at[0].source, "once");
}

static void
what_is_disabled_does_not_run_and_misses_nothing(void **state)
{
	static const char off[] =
		"{\"function\": \"hello\", \"cron\": \"0 * * * *\", \"missed\": \"once\", "
		"\"enabled\": false}";
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	OWN(json) json_t *json = NULL;

	put(kit, "hourly", off);
	look_at(kit, moment("2030-01-01T05:00:30Z"));
	assert_int_equal(queue.n, 0);
	json = schedule_json(schedule_find(kit_org(kit, "acme"), STR("hourly")));
	assert_string_equal(json_string_value(json_object_get(json, "state")), "disabled");
	put(kit, "hourly", MADE_UP);
	look_at(kit, moment("2030-01-01T05:59:59Z"));
	assert_int_equal(queue.n, 0);
	look_at(kit, moment("2030-01-01T06:00:00Z"));
	assert_int_equal(queue.n, 1);
}

static void
a_run_that_is_refused_is_tried_again_and_then_missed(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "hourly", HOURLY);

	err_set(&queue.refusal, ERR_UNAVAILABLE, "the broker is away");
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_string_equal(schedule->failure, "the broker is away");
	assert_int_equal(schedule->last_ms, 0);
	for (unsigned second = 1; second < 10; second++) {
		look_at(kit, moment("2030-01-01T01:00:00Z") + second * 1000);
		if (second == 5)
			queue.refusal.code = 0;
		assert_int_equal(queue.n, 0);
	}
	look_at(kit, moment("2030-01-01T01:00:10Z"));
	assert_int_equal(queue.n, 1);
	assert_string_equal(schedule->failure, "");
	err_set(&queue.refusal, ERR_RATE, "the queue is full");
	for (unsigned i = 0; i <= 80; i++)
		look_at(kit, moment("2030-01-01T02:00:00Z") + i * 1000);
	queue.refusal.code = 0;
	look_at(kit, moment("2030-01-01T02:02:00Z"));
	assert_int_equal(queue.n, 1);
	assert_true(schedule->base_ms == moment("2030-01-01T02:00:00Z"));
}

static void
a_schedule_goes_while_its_run_is_put(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "hourly", HOURLY);

	queue.is_held = true;
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	kit->is_told = false;
	schedule_delete(schedule, on_gone, kit);
	kit_await(kit);
	assert_int_equal(kit->code, 0);
	assert_null(schedule_find(kit_org(kit, "acme"), STR("hourly")));
	put_release();
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM schedule"), 0);
}

static void
a_change_while_a_run_is_put_keeps_both(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	struct schedule *schedule = put(kit, "hourly", HOURLY);

	queue.is_held = true;
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_int_equal(try_put(kit, "hourly", NIGHTLY), 0);
	put_release();
	kit_reopen(kit);
	schedule = schedule_find(kit_org(kit, "acme"), STR("hourly"));
	assert_string_equal(
		json_string_value(json_object_get(schedule->plan.document, "cron")), "30 2 * * *");
	assert_true(schedule->last_ms == moment("2030-01-01T01:00:00Z"));
}

static void
with_its_function_a_schedule_goes(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	kit->is_told = false;
	function_delete(kit_function(kit, "hello"), kit_told, kit);
	kit_await(kit);
	assert_null(schedule_find(kit_org(kit, "acme"), STR("hourly")));
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM schedule"), 0);
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_int_equal(queue.n, 0);
}

static void
many_come_in_the_order_of_their_times(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	for (unsigned i = 0; i < 40; i++) {
		OWN(mem) char *name = mem_printf("s%u", i);
		OWN(mem)
		char *text = mem_printf(
			"{\"function\": \"hello\", \"cron\": \"%u 1 * * *\"}", (i * 7) % 40);

		put(kit, name, text);
	}
	for (unsigned minute = 0; minute < 40; minute++) {
		look_at(kit, moment("2030-01-01T01:00:00Z") + minute * MINUTE);
		assert_int_equal(queue.n, minute + 1);
	}
}

static void
each_org_has_its_own(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	put(kit, "hourly", HOURLY);
	assert_null(schedule_find(kit_org(kit, "other"), STR("hourly")));
}

static void
a_document_of_the_store_that_is_not_understood_says_so(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");
	OWN(json) json_t *json = NULL;
	const struct row_schedule row = {.org = "acme",
		.name = "odd",
		.function = "hello",
		.document = "{\"cron\": \"0 * * * *\", \"zone\": \"Atlantis/Port\"}",
		.is_enabled = true,
		.updated_ms = wall_ms};

	schedule_add(&kit->domain, &row);
	json = schedule_json(schedule_find(kit_org(kit, "acme"), STR("odd")));
	assert_string_equal(json_string_value(json_object_get(json, "state")), "broken");
	assert_non_null(
		strstr(json_string_value(json_object_get(json, "failure")), "Atlantis/Port"));
	look_at(kit, moment("2030-01-01T01:00:00Z"));
	assert_int_equal(queue.n, 0);
}

static void
a_wrong_document_is_refused_with_its_field(void **state)
{
	static const struct {
		const char *text, *field, *why;
	} table[] = {
		{"{}", "function", "function is needed"},
		{"{\"function\": \"none\", \"cron\": \"* * * * *\"}", "function",
			"there is no function none"},
		{"{\"function\": \"hello\"}", "cron", "one of cron, every and at is needed"},
		{"{\"function\": \"hello\", \"cron\": \"* * * * *\", \"every\": \"1m\"}", "cron",
			"one of cron, every and at is needed"},
		{"{\"function\": \"hello\", \"cron\": \"0 25 * * *\"}", "cron",
			"cron: hour: 25 is not between 0 and 23"},
		{"{\"function\": \"hello\", \"cron\": \"0 0 30 2 *\"}", "cron",
			"cron: no such day comes in eight years"},
		{"{\"function\": \"hello\", \"every\": \"1\"}", "every",
			"every must be like 90s, 5m, 2h or 1d, at least 1s and at most 366d"},
		{"{\"function\": \"hello\", \"at\": \"2020-01-01T00:00:00Z\"}", "at",
			"at lies in the past"},
		{"{\"function\": \"hello\", \"at\": \"2040-02-30T00:00:00Z\"}", "at",
			"at must be a time like 2027-01-01T00:00:00Z, without Z in the zone's "
			"time"},
		{"{\"function\": \"hello\", \"at\": \"2040-02-20T00:00:00+2\"}", "at",
			"at must be a time like 2027-01-01T00:00:00Z, without Z in the zone's "
			"time"},
		{"{\"function\": \"hello\", \"cron\": \"@daily\", \"zone\": \"Mars/Crater\"}",
			"zone",
			"there is no time zone Mars/Crater; names are like Europe/Berlin or UTC"},
		{"{\"function\": \"hello\", \"cron\": \"@daily\", \"missed\": \"all\"}", "missed",
			"missed must be skip or once"},
		{"{\"function\": \"hello\", \"cron\": \"@daily\", \"name\": \"b\"}", "name",
			"name is another than in the path"},
	};
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:00Z");

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(try_put(kit, "a", table[i].text), ERR_INVALID);
		assert_string_equal(kit->err.field, table[i].field);
		if (i)
			assert_string_equal(kit->err.text, table[i].why);
	}
	assert_int_equal(try_put(kit, "Not a name", HOURLY), ERR_INVALID);
	assert_int_equal(
		try_put(kit, "a", "{\"function\": \"hello\", \"cron\": \"@daily\", \"x\": 1}"),
		ERR_INVALID);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM schedule"), 0);
}

static void
a_time_is_read_in_all_its_forms(void **state)
{
	assert_true(moment("1970-01-01T00:00:00Z") == 0);
	assert_true(moment("1970-01-02t00:00:00.25z") == DAY + 250);
	assert_true(moment("1970-01-02 00:00:00.0019Z") == DAY + 1);
	assert_true(moment("1970-01-02T02:00:00+02:00") == DAY);
	assert_true(moment("1970-01-01T21:30:00-02:30") == DAY);
}

/* ---- puts at the same time ---- */

struct at_once {
	unsigned n_asked, n_told, n_done;
};

static void
on_put_at_once(int code, struct schedule *schedule, bool is_new, const struct err *err, void *arg)
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
schedules_that_are_put_at_the_same_time_keep_within_the_limit(void **state)
{
	OWN(kit) struct kit *kit = open_kit("2030-01-01T00:00:30Z");
	OWN(json) json_t *json = json_pack("{s:s, s:s}", "function", "hello", "cron", "0 0 1 1 *");
	struct org *org = kit_org(kit, "acme");
	struct at_once at_once = {0};
	unsigned n_refused = 0;

	for (unsigned i = 0; i < SCHEDULE_MAX + 3; i++) {
		OWN(mem) char *name = mem_printf("s%u", i);

		if (schedule_put(&kit->domain, org, str_of(name), json, on_put_at_once, &at_once,
			    &kit->err) == ERR_CONFLICT)
			n_refused++;
		else
			at_once.n_asked++;
	}
	kit_until(kit, are_all_told, &at_once);
	assert_int_equal(n_refused, 3);
	assert_int_equal(at_once.n_done, SCHEDULE_MAX);
	assert_int_equal(org->schedules.len, SCHEDULE_MAX);
	assert_int_equal(org->n_schedules_coming, 0);
}

UNIT_TESTS(it(schedules_that_are_put_at_the_same_time_keep_within_the_limit),
	it(a_run_is_put_when_its_time_has_come), it(a_run_that_is_a_little_late_is_not_missed),
	it(missed_runs_are_skipped), it(missed_runs_are_made_up_for_by_one),
	it(of_several_that_are_due_the_last_is_put),
	it(an_interval_is_counted_from_when_it_was_put), it(what_is_put_again_as_it_was_goes_on),
	it(a_run_does_not_come_twice_after_a_restart),
	it(a_run_whose_note_was_lost_is_known_by_its_key),
	it(what_was_missed_while_nothing_served_is_told_at_the_start),
	it(a_clock_that_goes_back_an_hour_repeats_nothing),
	it(a_clock_that_was_years_ahead_is_followed_when_it_is_right),
	it(a_clock_that_goes_forward_makes_due_what_it_passed),
	it(an_interval_begins_anew_when_the_clock_goes_back),
	it(a_time_that_comes_once_is_kept_as_past),
	it(a_time_that_comes_once_and_was_missed_is_made_up_for),
	it(what_is_disabled_does_not_run_and_misses_nothing),
	it(a_run_that_is_refused_is_tried_again_and_then_missed),
	it(a_schedule_goes_while_its_run_is_put), it(a_change_while_a_run_is_put_keeps_both),
	it(with_its_function_a_schedule_goes), it(many_come_in_the_order_of_their_times),
	it(each_org_has_its_own), it(a_document_of_the_store_that_is_not_understood_says_so),
	it(a_wrong_document_is_refused_with_its_field), it(a_time_is_read_in_all_its_forms))
