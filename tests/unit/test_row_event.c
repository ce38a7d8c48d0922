/* SPDX-License-Identifier: Apache-2.0 */
/* What every implementation of rows.h must do with events, triggers and schedules. */
#include "store_unit.h"

#include <string.h>

#include "base/buf.h"

/* ---- events ---- */

static void
an_event_is_accepted_once_within_its_time(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	ok(rows, row_event_insert(&rows->db, "acme", "/src", "1", 100, 0, &rows->err));
	assert_int_equal(row_event_insert(&rows->db, "acme", "/src", "1", 200, 100, &rows->err),
		ERR_CONFLICT);
	ok(rows, row_event_insert(&rows->db, "acme", "/src", "2", 200, 100, &rows->err));
	ok(rows, row_event_insert(&rows->db, "acme", "/other", "1", 200, 100, &rows->err));
	ok(rows, row_event_insert(&rows->db, "acme", "/src", "1", 300, 101, &rows->err));
	assert_int_equal(row_event_insert(&rows->db, "acme", "/src", "1", 301, 101, &rows->err),
		ERR_CONFLICT);
}

static void
each_org_has_events_of_its_own(void **state)
{
	OWN(rows) struct rows *rows = rows_open();

	add_org(rows, "bee");
	ok(rows, row_event_insert(&rows->db, "acme", "/src", "1", 100, 0, &rows->err));
	ok(rows, row_event_insert(&rows->db, "bee", "/src", "1", 100, 0, &rows->err));
	assert_int_equal(row_event_insert(&rows->db, "none", "/src", "1", 100, 0, &rows->err),
		ERR_NOT_FOUND);
	ok(rows, row_org_delete(&rows->db, "acme", &rows->err));
	assert_int_equal(rows_count(rows, "SELECT count(*) FROM event"), 1);
}

static void
whether_an_event_is_known_is_asked_without_a_trace(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	bool is_known = true;

	ok(rows, row_event_is_known(&rows->db, "acme", "/src", "1", 0, &is_known, &rows->err));
	assert_false(is_known);
	ok(rows, row_event_insert(&rows->db, "acme", "/src", "1", 100, 0, &rows->err));
	ok(rows, row_event_is_known(&rows->db, "acme", "/src", "1", 100, &is_known, &rows->err));
	assert_true(is_known);
	ok(rows, row_event_is_known(&rows->db, "acme", "/src", "1", 101, &is_known, &rows->err));
	assert_false(is_known);
	ok(rows, row_event_is_known(&rows->db, "acme", "/src", "2", 0, &is_known, &rows->err));
	assert_false(is_known);
}

static void
old_events_are_forgotten_a_few_at_a_time(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	unsigned n = 99;

	for (unsigned i = 1; i <= 5; i++) {
		char id[2] = {'0' + i, '\0'};

		ok(rows, row_event_insert(&rows->db, "acme", "/src", id, 6 - i, 0, &rows->err));
	}
	ok(rows, row_event_trim(&rows->db, 4, 2, &n, &rows->err));
	assert_int_equal(n, 2);
	assert_int_equal(rows_count(rows, "SELECT min(accepted_ms) FROM event"), 3);
	ok(rows, row_event_trim(&rows->db, 4, 2, &n, &rows->err));
	assert_int_equal(n, 1);
	assert_int_equal(rows_count(rows, "SELECT min(accepted_ms) FROM event"), 4);
}

static bool
see_event(const struct row_event *row, void *arg)
{
	buf_printf(arg, "%u %s %s %s;", (unsigned)row->accepted_ms, row->org, row->source, row->id);
	return true;
}

static void
events_are_listed_behind_one_of_them(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	const struct row_event none = {.source = "", .id = "", .accepted_ms = 2},
			       one = {.org = "acme", .source = "/b", .id = "1", .accepted_ms = 2};
	OWN(buf) struct buf text = BUF_INIT;

	add_org(rows, "bee");
	ok(rows, row_event_insert(&rows->db, "acme", "/a", "1", 1, 0, &rows->err));
	ok(rows, row_event_insert(&rows->db, "bee", "/a", "1", 2, 0, &rows->err));
	ok(rows, row_event_insert(&rows->db, "acme", "/b", "2", 2, 0, &rows->err));
	ok(rows, row_event_insert(&rows->db, "acme", "/b", "1", 2, 0, &rows->err));
	ok(rows, row_event_insert(&rows->db, "acme", "/a", "3", 3, 0, &rows->err));
	ok(rows, row_event_list(&rows->db, &none, 2, see_event, &text, &rows->err));
	assert_string_equal(text.at, "2 acme /b 1;2 acme /b 2;");
	buf_clear(&text);
	ok(rows, row_event_list(&rows->db, &one, 9, see_event, &text, &rows->err));
	assert_string_equal(text.at, "2 acme /b 2;2 bee /a 1;3 acme /a 3;");
}

/* ---- triggers ---- */

static struct row_trigger
trigger_named(const char *org, const char *name, const char *function)
{
	struct row_trigger trigger = {
		.document = "{\"a\":1}", .is_enabled = true, .created_ms = 1, .updated_ms = 2};

	snprintf(trigger.org, sizeof(trigger.org), "%s", org);
	snprintf(trigger.name, sizeof(trigger.name), "%s", name);
	snprintf(trigger.function, sizeof(trigger.function), "%s", function);
	return trigger;
}

static bool
see_trigger(const struct row_trigger *row, void *arg)
{
	buf_printf(arg, "%s/%s %s %s %d %u %u;", row->org, row->name, row->function, row->document,
		row->is_enabled, (unsigned)row->created_ms, (unsigned)row->updated_ms);
	return true;
}

static void
expect_triggers(struct rows *rows, const char *want) ON_STORE
{
	OWN(buf) struct buf text = BUF_INIT;

	ok(rows, row_trigger_list(&rows->db, see_trigger, &text, &rows->err));
	assert_string_equal(text.len ? text.at : "", want);
}

static void
triggers_are_listed_by_org_and_name_as_they_were_last_written(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_trigger z = trigger_named("acme", "z", "f"), a = trigger_named("acme", "a", "f");

	add_function(rows, "acme", "f");
	add_function(rows, "acme", "g");
	ok(rows, row_trigger_insert(&rows->db, &z, &rows->err));
	ok(rows, row_trigger_insert(&rows->db, &a, &rows->err));
	expect_triggers(rows, "acme/a f {\"a\":1} 1 1 2;acme/z f {\"a\":1} 1 1 2;");
	z = trigger_named("acme", "z", "g");
	z.document = "{}";
	z.is_enabled = false;
	z.updated_ms = 9;
	ok(rows, row_trigger_update(&rows->db, &z, &rows->err));
	ok(rows, row_trigger_delete(&rows->db, "acme", "a", &rows->err));
	expect_triggers(rows, "acme/z g {} 0 1 9;");
}

static void
a_trigger_is_refused_twice_and_without_its_function(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_trigger trigger = trigger_named("acme", "t", "f");

	assert_int_equal(row_trigger_insert(&rows->db, &trigger, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_trigger_update(&rows->db, &trigger, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_trigger_delete(&rows->db, "acme", "t", &rows->err), ERR_NOT_FOUND);
	add_function(rows, "acme", "f");
	ok(rows, row_trigger_insert(&rows->db, &trigger, &rows->err));
	assert_int_equal(row_trigger_insert(&rows->db, &trigger, &rows->err), ERR_CONFLICT);
}

/* ---- schedules ---- */

static struct row_schedule
schedule_named(const char *org, const char *name, const char *function)
{
	struct row_schedule schedule = {
		.document = "{\"a\":1}", .is_enabled = true, .created_ms = 1, .updated_ms = 2};

	snprintf(schedule.org, sizeof(schedule.org), "%s", org);
	snprintf(schedule.name, sizeof(schedule.name), "%s", name);
	snprintf(schedule.function, sizeof(schedule.function), "%s", function);
	return schedule;
}

static bool
see_schedule(const struct row_schedule *row, void *arg)
{
	buf_printf(arg, "%s/%s %s %s %d %u %u %u;", row->org, row->name, row->function,
		row->document, row->is_enabled, (unsigned)row->last_ms, (unsigned)row->created_ms,
		(unsigned)row->updated_ms);
	return true;
}

static void
expect_schedules(struct rows *rows, const char *want) ON_STORE
{
	OWN(buf) struct buf text = BUF_INIT;

	ok(rows, row_schedule_list(&rows->db, see_schedule, &text, &rows->err));
	assert_string_equal(text.len ? text.at : "", want);
}

static void
schedules_are_listed_by_org_and_name_as_they_were_last_written(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_schedule z = schedule_named("acme", "z", "f"),
			    a = schedule_named("acme", "a", "f");

	add_function(rows, "acme", "f");
	add_function(rows, "acme", "g");
	ok(rows, row_schedule_insert(&rows->db, &z, &rows->err));
	ok(rows, row_schedule_insert(&rows->db, &a, &rows->err));
	expect_schedules(rows, "acme/a f {\"a\":1} 1 0 1 2;acme/z f {\"a\":1} 1 0 1 2;");
	z = schedule_named("acme", "z", "g");
	z.document = "{}";
	z.is_enabled = false;
	z.last_ms = 77;
	z.updated_ms = 9;
	ok(rows, row_schedule_update(&rows->db, &z, &rows->err));
	ok(rows, row_schedule_delete(&rows->db, "acme", "a", &rows->err));
	expect_schedules(rows, "acme/z g {} 0 77 1 9;");
}

static void
a_schedule_is_refused_twice_and_without_its_function(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_schedule schedule = schedule_named("acme", "s", "f");

	assert_int_equal(row_schedule_insert(&rows->db, &schedule, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_schedule_update(&rows->db, &schedule, &rows->err), ERR_NOT_FOUND);
	assert_int_equal(row_schedule_delete(&rows->db, "acme", "s", &rows->err), ERR_NOT_FOUND);
	add_function(rows, "acme", "f");
	ok(rows, row_schedule_insert(&rows->db, &schedule, &rows->err));
	assert_int_equal(row_schedule_insert(&rows->db, &schedule, &rows->err), ERR_CONFLICT);
}

static void
triggers_and_schedules_go_with_their_function(void **state)
{
	OWN(rows) struct rows *rows = rows_open();
	struct row_trigger trigger = trigger_named("acme", "t", "f"),
			   kept = trigger_named("acme", "kept", "g");
	struct row_schedule schedule = schedule_named("acme", "s", "f");

	add_function(rows, "acme", "f");
	add_function(rows, "acme", "g");
	ok(rows, row_trigger_insert(&rows->db, &trigger, &rows->err));
	ok(rows, row_trigger_insert(&rows->db, &kept, &rows->err));
	ok(rows, row_schedule_insert(&rows->db, &schedule, &rows->err));
	ok(rows, row_function_delete(&rows->db, "acme", "f", &rows->err));
	expect_triggers(rows, "acme/kept g {\"a\":1} 1 1 2;");
	expect_schedules(rows, "");
}

UNIT_TESTS(it(an_event_is_accepted_once_within_its_time), it(each_org_has_events_of_its_own),
	it(whether_an_event_is_known_is_asked_without_a_trace),
	it(old_events_are_forgotten_a_few_at_a_time), it(events_are_listed_behind_one_of_them),
	it(triggers_are_listed_by_org_and_name_as_they_were_last_written),
	it(a_trigger_is_refused_twice_and_without_its_function),
	it(schedules_are_listed_by_org_and_name_as_they_were_last_written),
	it(a_schedule_is_refused_twice_and_without_its_function),
	it(triggers_and_schedules_go_with_their_function))
