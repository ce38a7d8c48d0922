/* SPDX-License-Identifier: Apache-2.0 */
/*
 * civil - days and seconds of the proleptic Gregorian calendar, without a time zone.
 *
 * Days are counted from 1970-01-01, weekdays from Sunday (0). Good for years of ±2^40. Howard
 * Hinnant, "chrono-Compatible Low-Level Date Algorithms". Pure, any thread.
 */
#ifndef MAYFLY_BASE_CIVIL_H
#define MAYFLY_BASE_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CIVIL_DAY_S 86400

struct civil {
	int64_t year;
	unsigned month, day; /* from 1 */
};

/* Rounds down, also below zero. */
static inline int64_t
civil_div(int64_t number, int64_t by)
{
	return number / by - (number % by < 0);
}

static inline int64_t
civil_days(struct civil date)
{
	int64_t year = date.month <= 2 ? date.year - 1 : date.year;
	int64_t era = civil_div(year, 400);
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * ((date.month + 9) % 12) + 2) / 5 + date.day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static inline struct civil
civil_of(int64_t days)
{
	int64_t since = days + 719468;
	int64_t era = civil_div(since, 146097);
	int64_t day = since - era * 146097;
	int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
	int64_t day_of_year = day - (365 * year + year / 4 - year / 100);
	unsigned month = (unsigned)((5 * day_of_year + 2) / 153);

	return (struct civil){
		.year = year + era * 400 + (month >= 10),
		.month = month < 10 ? month + 3 : month - 9,
		.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1),
	};
}

static inline unsigned
civil_weekday(int64_t days)
{
	return (unsigned)(days + 4 - civil_div(days + 4, 7) * 7);
}

static inline bool
civil_is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static inline unsigned
civil_month_days(int64_t year, unsigned month)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return month == 2 && civil_is_leap(year) ? 29 : days[month - 1];
}

#endif
