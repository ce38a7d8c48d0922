/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/civil.h"
#include "base/clock.h"
#include "base/cron.h"

OWN_DEFINE(zone, struct zone *, zone_free)

/* "2026-03-29T01:00" in UTC */
static uint64_t
moment(const char *text)
{
	int year;
	unsigned month, day, hour, minute;

	assert_int_equal(
		sscanf(text, "%d-%2u-%2uT%2u:%2u", &year, &month, &day, &hour, &minute), 5);
	return (uint64_t)(civil_days((struct civil){year, month, day}) * CIVIL_DAY_S + hour * 3600 +
			  minute * 60) *
	       1000;
}

struct known {
	const char *zone, *cron, *after, *next; /* in UTC; "" for never */
};

static void
check(const struct known *known)
{
	OWN(zone) struct zone *zone = NULL;
	char found[CLOCK_ISO_SIZE] = "";
	struct cron cron;
	struct err err = {0};
	uint64_t next_ms;

	assert_int_equal(zone_open(str_of(known->zone), &zone, &err), 0);
	if (cron_parse(str_of(known->cron), &cron, &err) < 0)
		fail_msg("%s: %s", known->cron, err.text);
	next_ms = cron_next(&cron, zone, 0, moment(known->after));
	if (next_ms)
		clock_iso(next_ms, found);
	if (next_ms != (known->next[0] ? moment(known->next) : 0))
		fail_msg("%s %s after %s: %s, not %s", known->zone, known->cron, known->after,
			found, known->next);
}

static void
known_times_come_when_they_should(void **state)
{
	static const struct known table[] = {
		{"UTC", "* * * * *", "2026-01-01T00:00", "2026-01-01T00:01"},
		{"UTC", "0 0 * * *", "2026-01-01T00:00", "2026-01-02T00:00"},
		{"UTC", "0 0 1 1 *", "2026-01-01T00:00", "2027-01-01T00:00"},
		{"UTC", "0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"},
		{"UTC", "0 0 29 2 *", "2096-03-01T00:00", "2104-02-29T00:00"},
		{"UTC", "0 0 30 2 *", "2026-01-01T00:00", ""},
		{"UTC", "0 0 31 4 *", "2026-01-01T00:00", ""},
		{"UTC", "0 12 * * mon-fri", "2026-11-20T12:00", "2026-11-23T12:00"},
		{"UTC", "0 0 13 * fri", "2026-11-14T00:00", "2026-11-20T00:00"},
		{"UTC", "0 0 * * 7", "2026-11-21T00:00", "2026-11-22T00:00"},
		{"UTC", "0 0 * * sat-sun", "2026-11-21T00:00", "2026-11-22T00:00"},
		{"UTC", "@weekly", "2026-11-21T00:00", "2026-11-22T00:00"},
		{"UTC", "@hourly", "2026-11-21T00:00", "2026-11-21T01:00"},
		{"UTC", "@yearly", "2026-11-21T00:00", "2027-01-01T00:00"},
		{"UTC", "*/7 * * * *", "2026-11-21T00:56", "2026-11-21T01:00"},
		{"UTC", "10-50/20 3 * * *", "2026-11-21T03:10", "2026-11-21T03:30"},

		/* Berlin: 29 March 2026, 02:00 becomes 03:00; 25 October, 03:00 becomes 02:00. */
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:00"},
		{"Europe/Berlin", "30 2 * * *", "2026-03-29T01:00", "2026-03-30T00:30"},
		{"Europe/Berlin", "0 3 * * *", "2026-03-28T12:00", "2026-03-29T01:00"},
		{"Europe/Berlin", "30 1,2 * * *", "2026-03-29T00:30", "2026-03-29T01:00"},
		{"Europe/Berlin", "*/30 * * * *", "2026-03-29T00:30", "2026-03-29T01:00"},
		{"Europe/Berlin", "*/30 * * * *", "2026-03-29T01:00", "2026-03-29T01:30"},
		{"Europe/Berlin", "*/30 2 * * *", "2026-03-28T12:00", "2026-03-30T00:00"},
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", "2026-10-25T00:30"},
		{"Europe/Berlin", "30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"},
		{"Europe/Berlin", "*/30 2 * * *", "2026-10-25T00:30", "2026-10-25T01:00"},
		{"Europe/Berlin", "@hourly", "2026-10-25T00:00", "2026-10-25T01:00"},

		/* New York: 8 March 2026, 02:00 becomes 03:00; 1 November, 02:00 becomes 01:00. */
		{"America/New_York", "15 2 * * *", "2026-03-08T00:00", "2026-03-08T07:00"},
		{"America/New_York", "15 1 * * *", "2026-11-01T00:00", "2026-11-01T05:15"},
		{"America/New_York", "15 1 * * *", "2026-11-01T05:15", "2026-11-02T06:15"},
		{"America/New_York", "15 * * * *", "2026-11-01T05:15", "2026-11-01T06:15"},

		/* Lord Howe: 5 April 2026, 02:00 becomes 01:30; 4 October, 02:00 becomes 02:30. */
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T12:00", "2026-04-04T14:45"},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T14:45", "2026-04-05T15:15"},
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", "2026-10-03T15:30"},
		{"Australia/Lord_Howe", "45 2 * * *", "2026-10-03T12:00", "2026-10-03T15:45"},

		/* Casablanca: back by an hour for Ramadan, 15 February to 22 March 2026. */
		{"Africa/Casablanca", "30 2 * * *", "2026-02-14T12:00", "2026-02-15T01:30"},
		{"Africa/Casablanca", "30 2 * * *", "2026-02-15T01:30", "2026-02-16T02:30"},
		{"Africa/Casablanca", "30 2 * * *", "2026-03-21T12:00", "2026-03-22T02:00"},

		{"Asia/Kolkata", "0 9 * * *", "2026-06-01T00:00", "2026-06-01T03:30"},
		{"Etc/GMT+7", "0 9 * * *", "2026-06-01T00:00", "2026-06-01T16:00"},
		/* 30 December 2011 did not come there. */
		{"Pacific/Apia", "0 12 * * *", "2011-12-29T23:00", "2011-12-30T10:00"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		check(&table[i]);
}

static void
every_is_counted_from_its_beginning(void **state)
{
	OWN(zone) struct zone *zone = zone_utc();
	struct cron cron;
	struct err err = {0};

	assert_int_equal(cron_parse(STR("@every 90s"), &cron, &err), 0);
	assert_int_equal(cron_next(&cron, zone, 1000, 1000), 91000);
	assert_int_equal(cron_next(&cron, zone, 1000, 0), 91000);
	assert_int_equal(cron_next(&cron, zone, 1000, 90999), 91000);
	assert_int_equal(cron_next(&cron, zone, 1000, 91000), 181000);
	assert_int_equal(cron_next(&cron, zone, 1000, 100 * 90000), 1000 + 100 * 90000);
}

static void
what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"0 25 * * *", "hour: 25 is not between 0 and 23"},
		{"60 * * * *", "minute: 60 is not between 0 and 59"},
		{"* * 0 * *", "day of month: 0 is not between 1 and 31"},
		{"* * * 13 *", "month: 13 is not between 1 and 12"},
		{"* * * * 8", "day of week: 8 is not between 0 and 7"},
		{"x * * * *", "minute: \"x\" is not a number"},
		{"* * * * mo", "day of week: \"mo\" is not a number or a name like mon or jan"},
		{"5-1 * * * *", "minute: the range from 5 to 1 goes backwards"},
		{"5/10 * * * *", "minute: a step needs * or a range before it, as */5"},
		{"*/0 * * * *", "minute: the step \"0\" is not between 1 and 59"},
		{"*/60 * * * *", "minute: the step \"60\" is not between 1 and 59"},
		{"1,,2 * * * *", "minute: a part of the list is empty"},
		{"1- * * * *", "minute: \"\" is not a number"},
		{"-1 * * * *", "minute: \"\" is not a number"},
		{"*-5 * * * *", "minute: \"*\" is not a number"},
		{"* * * *",
			"there are 4 fields, five are needed: minute, hour, day of month, month, "
			"day of week"},
		{"", "there are 0 fields, five are needed: minute, hour, day of month, month, day "
		     "of week"},
		{"* * * * * *", "there are more than five fields"},
		{"@often", "\"@often\" is not @every, @hourly, @daily, @weekly, @monthly or "
			   "@yearly"},
		{"@every 1500ms", "@every: \"1500ms\" is not a number with s, m, h or d, at least "
				  "1s and at most 366d"},
		{"@every 0s",
			"@every: \"0s\" is not a number with s, m, h or d, at least 1s and at "
			"most 366d"},
		{"@every 367d", "@every: \"367d\" is not a number with s, m, h or d, at least 1s "
				"and at most 366d"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct cron cron;
		struct err err = {0};

		assert_int_equal(cron_parse(str_of(table[i].text), &cron, &err), ERR_INVALID);
		assert_string_equal(err.text, table[i].why);
	}
}

UNIT_TESTS(it(known_times_come_when_they_should), it(every_is_counted_from_its_beginning),
	it(what_is_wrong_is_named))
