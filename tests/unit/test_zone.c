/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/buf.h"
#include "base/civil.h"
#include "base/zone.h"
#include "base/zone_rule.h"

OWN_DEFINE(zone, struct zone *, zone_free)

static struct zone *
opened(const char *name)
{
	struct zone *zone = NULL;
	struct err err = {0};

	if (zone_open(str_of(name), &zone, &err) < 0)
		fail_msg("%s", err.text);
	return zone;
}

static int64_t
moment(int64_t year, unsigned month, unsigned day, int hour, int minute)
{
	return civil_days((struct civil){year, month, day}) * CIVIL_DAY_S + hour * 3600 +
	       minute * 60;
}

static void
a_zone_has_the_offset_of_its_season(void **state)
{
	OWN(zone) struct zone *zone = opened("Europe/Berlin");

	assert_string_equal(zone_name(zone), "Europe/Berlin");
	assert_int_equal(zone_offset(zone, moment(2026, 1, 1, 0, 0)), 3600);
	assert_int_equal(zone_offset(zone, moment(2026, 7, 1, 0, 0)), 7200);
	assert_int_equal(zone_offset(zone, moment(2026, 3, 29, 0, 59)), 3600);
	assert_int_equal(zone_offset(zone, moment(2026, 3, 29, 1, 0)), 7200);
}

static void
what_lies_behind_the_file_follows_its_footer(void **state)
{
	OWN(zone) struct zone *zone = opened("Europe/Berlin");

	assert_int_equal(zone_offset(zone, moment(2150, 1, 1, 0, 0)), 3600);
	assert_int_equal(zone_offset(zone, moment(2150, 7, 1, 0, 0)), 7200);
	assert_int_equal(
		zone_next_change(zone, moment(2150, 1, 1, 0, 0)), moment(2150, 3, 29, 1, 0));
	assert_int_equal(
		zone_next_change(zone, moment(2150, 3, 29, 1, 0)), moment(2150, 10, 25, 1, 0));
}

static void
a_zone_of_half_an_hour_of_summer_time_changes_by_half_an_hour(void **state)
{
	OWN(zone) struct zone *zone = opened("Australia/Lord_Howe");

	assert_int_equal(zone_offset(zone, moment(2026, 1, 1, 0, 0)), 11 * 3600);
	assert_int_equal(zone_offset(zone, moment(2026, 7, 1, 0, 0)), 10 * 3600 + 1800);
}

static void
a_zone_without_changes_has_one_offset_for_ever(void **state)
{
	OWN(zone) struct zone *west = opened("Etc/GMT+7");
	OWN(zone) struct zone *utc = opened("UTC");

	assert_int_equal(zone_offset(west, 0), -7 * 3600);
	assert_int_equal(zone_offset(west, moment(2300, 7, 1, 0, 0)), -7 * 3600);
	assert_true(zone_next_change(west, 0) == INT64_MAX);
	assert_int_equal(zone_offset(utc, INT64_MAX), 0);
	assert_int_equal(zone_offset(utc, INT64_MIN), 0);
}

static void
a_local_time_in_the_gap_is_the_end_of_the_gap(void **state)
{
	OWN(zone) struct zone *zone = opened("Europe/Berlin");
	int64_t first, second;

	assert_int_equal(zone_moments(zone, moment(2026, 3, 29, 2, 30), &first, &second), 0);
	assert_int_equal(first, moment(2026, 3, 29, 1, 0));
	assert_int_equal(second, first);
}

static void
a_local_time_that_comes_twice_has_two_moments(void **state)
{
	OWN(zone) struct zone *zone = opened("Europe/Berlin");
	int64_t first, second;

	assert_int_equal(zone_moments(zone, moment(2026, 10, 25, 2, 30), &first, &second), 2);
	assert_int_equal(first, moment(2026, 10, 25, 0, 30));
	assert_int_equal(second, moment(2026, 10, 25, 1, 30));
	assert_int_equal(zone_moments(zone, moment(2026, 10, 25, 3, 0), &first, &second), 1);
	assert_int_equal(first, moment(2026, 10, 25, 2, 0));
}

static void
what_is_no_name_of_a_zone_is_not_found(void **state)
{
	static const char *const names[] = {"", "Europe", "Europe/", "/Europe/Berlin",
		"Europe//Berlin", "../../../etc/passwd", "Europe/../Europe/Berlin", "Mars/Olympus",
		"tzdata.zi", "Europe/Berlin ", "Europe/Berlin/x",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct zone *zone = NULL;
		struct err err = {0};

		assert_int_equal(zone_open(str_of(names[i]), &zone, &err), ERR_NOT_FOUND);
		assert_null(zone);
		assert_non_null(strstr(err.text, "there is no time zone"));
	}
}

static void
a_zone_that_counts_leap_seconds_is_refused(void **state)
{
	struct zone *zone = NULL;
	struct err err = {0};

	if (access("/usr/share/zoneinfo/right/UTC", R_OK) < 0)
		return;
	assert_int_equal(zone_open(STR("right/UTC"), &zone, &err), ERR_INVALID);
	assert_string_equal(err.text, "the time zone right/UTC: its times count leap seconds");
}

static void
a_file_that_is_cut_anywhere_is_refused(void **state)
{
	OWN(buf) struct buf file = BUF_INIT;
	struct err err = {0};

	assert_int_equal(path_read("/usr/share/zoneinfo/Europe/Berlin", 65536, &file, &err), 0);
	for (size_t size = 0; size < file.len; size++) {
		OWN(mem) char *part = mem_new(size + 1);
		struct zone *zone = NULL;

		memcpy(part, file.at, size);
		assert_int_equal(zone_parse(part, size, &zone, &err), ERR_INVALID);
		assert_null(zone);
	}
}

static int32_t
ruled(const char *text, int64_t at)
{
	struct zone_rule rule;
	struct err err = {0};

	if (zone_rule_parse(str_of(text), &rule, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return zone_rule_offset(&rule, at);
}

static void
a_rule_is_read_in_all_its_forms(void **state)
{
	assert_int_equal(ruled("UTC0", 0), 0);
	assert_int_equal(ruled("<+0330>-3:30", 0), 3 * 3600 + 1800);
	assert_int_equal(ruled("<-04>4:00:30", 0), -4 * 3600 - 30);
	assert_int_equal(ruled("IST-1GMT0,M10.5.0,M3.5.0/1", moment(2026, 1, 1, 0, 0)), 0);
	assert_int_equal(ruled("IST-1GMT0,M10.5.0,M3.5.0/1", moment(2026, 7, 1, 0, 0)), 3600);
	/* Summer time all the year, as RFC 8536 writes it. */
	assert_int_equal(ruled("XXX3EDT4,0/0,J365/23", moment(2026, 1, 1, 3, 0)), -4 * 3600);
	assert_int_equal(ruled("XXX3EDT4,0/0,J365/23", moment(2026, 12, 31, 23, 59)), -4 * 3600);
}

static void
a_julian_day_never_counts_the_29th_of_february(void **state)
{
	static const char julian[] = "AAA0BBB,J60/0,J61/0", zero[] = "AAA0BBB,60/0,61/0";

	assert_int_equal(ruled(julian, moment(2027, 3, 1, 0, 0)), 3600);
	assert_int_equal(ruled(julian, moment(2028, 3, 1, 0, 0)), 3600);
	assert_int_equal(ruled(julian, moment(2028, 2, 29, 23, 0)), 0);
	assert_int_equal(ruled(zero, moment(2027, 3, 2, 0, 0)), 3600);
	assert_int_equal(ruled(zero, moment(2028, 3, 1, 0, 0)), 3600);
}

static void
a_malformed_rule_is_refused(void **state)
{
	static const char *const rules[] = {"", "AB1", "ABC", "<AB>1", "<+01-1", "CET-25",
		"CET-1CEST", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
		"CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,J0,J365",
		"CET-1CEST,366,1", "CET-1CEST,M3.5.0/168,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/3x",
		"CET-1:60", "CET-1 "};

	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		struct zone_rule rule;

		if (zone_rule_parse(str_of(rules[i]), &rule, NULL) != ERR_INVALID)
			fail_msg("%s is taken", rules[i]);
	}
}

static void
days_are_the_calendars(void **state)
{
	struct civil date = civil_of(0);

	assert_int_equal(date.year, 1970);
	assert_int_equal(civil_weekday(0), 4);
	assert_int_equal(civil_weekday(-5), 6);
	for (int64_t day = -800000; day < 800000; day++)
		assert_true(civil_days(civil_of(day)) == day);
	assert_int_equal(civil_month_days(2000, 2), 29);
	assert_int_equal(civil_month_days(1900, 2), 28);
}

UNIT_TESTS(it(a_zone_has_the_offset_of_its_season),
	it(what_lies_behind_the_file_follows_its_footer),
	it(a_zone_of_half_an_hour_of_summer_time_changes_by_half_an_hour),
	it(a_zone_without_changes_has_one_offset_for_ever),
	it(a_local_time_in_the_gap_is_the_end_of_the_gap),
	it(a_local_time_that_comes_twice_has_two_moments),
	it(what_is_no_name_of_a_zone_is_not_found), it(a_zone_that_counts_leap_seconds_is_refused),
	it(a_file_that_is_cut_anywhere_is_refused), it(a_rule_is_read_in_all_its_forms),
	it(a_julian_day_never_counts_the_29th_of_february), it(a_malformed_rule_is_refused),
	it(days_are_the_calendars))
