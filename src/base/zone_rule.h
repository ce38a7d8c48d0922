/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zone_rule - the footer of a TZif file: a POSIX TZ string (RFC 8536, section 3.3.1).
 *
 * "CET-1CEST,M3.5.0,M10.5.0/3": an offset, and for zones with summer time a second one with the two
 * changes of each year. Hours of a change go from -167 to 167. Pure, any thread.
 */
#ifndef MAYFLY_BASE_ZONE_RULE_H
#define MAYFLY_BASE_ZONE_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum zone_rule_day {
	ZONE_RULE_JULIAN,   /* Jn: 1 to 365, 29 February is never counted */
	ZONE_RULE_ZERO_DAY, /* n: 0 to 365, 29 February counts */
	ZONE_RULE_WEEKDAY,  /* Mm.w.d */
};

struct zone_rule_change {
	enum zone_rule_day kind;
	unsigned month, week, day;
	int32_t time_s; /* after local midnight of that day */
};

struct zone_rule {
	int32_t standard, summer; /* seconds east */
	bool has_summer;
	struct zone_rule_change to_summer, to_standard;
};

int zone_rule_parse(struct str text, struct zone_rule *ret, struct err *err);
int32_t zone_rule_offset(const struct zone_rule *rule, int64_t unix_s);
/* The first change after unix_s, INT64_MAX if there is none. */
int64_t zone_rule_next(const struct zone_rule *rule, int64_t unix_s);

#endif
