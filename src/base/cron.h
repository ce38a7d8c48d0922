/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cron - times that come again: five fields, @every, @hourly and its kin.
 *
 * Fields: minute hour day-of-month month day-of-week; lists, ranges, steps, names (jan, mon), 7 is
 * Sunday; when both days are restricted either is enough (POSIX crontab). Also @yearly @annually
 * @monthly @weekly @daily @midnight @hourly and @every <n>(s|m|h|d), at least 1 s, at most 366 d,
 * counted from `since`.
 * In a zone with summer time (Vixie cron's rule): a time that does not exist because the clock was
 * put forward comes at the first moment after the gap; one that exists twice comes the first time
 * only; entries with * in minute or hour follow the clock as it runs. Pure, any thread.
 */
#ifndef MAYFLY_BASE_CRON_H
#define MAYFLY_BASE_CRON_H

#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "base/zone.h"

struct cron {
	uint64_t minutes; /* bit n: minute n */
	uint32_t hours, days, months, weekdays;
	uint64_t every_ms;                            /* of @every, else 0 */
	bool is_any_day, is_any_weekday, is_floating; /* * in days; in minute or hour */
};

/* INVALID names the field and the rule: "hour: 25 is not between 0 and 23". */
int cron_parse(struct str text, struct cron *ret, struct err *err);
/* The first time after after_ms (Unix, ms), 0 when there is none in the next 8 years (30 feb). */
uint64_t cron_next(
	const struct cron *cron, const struct zone *zone, uint64_t since_ms, uint64_t after_ms);

#endif
