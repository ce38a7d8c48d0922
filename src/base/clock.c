/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

#include "base/err.h"

uint64_t
clock_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t
clock_unix_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
clock_iso(uint64_t unix_ms, char ret[static CLOCK_ISO_SIZE])
{
	time_t seconds = (time_t)(unix_ms / 1000);
	char day_and_time[32];
	struct tm utc;

	must(gmtime_r(&seconds, &utc));
	must(strftime(day_and_time, sizeof(day_and_time), "%Y-%m-%dT%H:%M:%S", &utc) > 0);
	snprintf(ret, CLOCK_ISO_SIZE, "%.19s.%03uZ", day_and_time, (unsigned)(unix_ms % 1000));
}

bool
clock_parse_ms(struct str text, uint64_t *ret)
{
	static const struct {
		struct str unit;
		uint64_t ms;
	} units[] = {
		{STR("ms"), 1},
		{STR("s"), 1000},
		{STR("m"), 60 * 1000},
		{STR("h"), 3600 * 1000},
		{STR("d"), 86400 * 1000},
	};
	uint64_t number;

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!str_ends(text, units[i].unit))
			continue;
		if (!str_to_u64(str_n(text.at, text.len - units[i].unit.len), &number))
			continue;
		if (__builtin_mul_overflow(number, units[i].ms, &number))
			return false;
		*ret = number;
		return true;
	}
	return false;
}
