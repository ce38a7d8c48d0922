/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_zone - a TZif file: what is taken has offsets within a day or so, changes that go forward
 * and are changes, and moments whose local time is the one that was asked for.
 */
#include "fuzz.h"

#include "base/zone.h"

static void
check_moments(const struct zone *zone, int64_t local)
{
	int64_t first, second;
	int n = zone_moments(zone, local, &first, &second);

	must(n >= 0 && n <= 2 && first <= second);
	must(n == 2 || first == second);
	must(n == 0 || first + zone_offset(zone, first) == local);
	must(n == 0 || second + zone_offset(zone, second) == local);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct zone *zone = NULL;
	int64_t at = INT64_MIN;

	if (zone_parse(bytes, size, &zone, NULL) < 0)
		return 0;
	for (unsigned i = 0; i < 64 && at != INT64_MAX; i++) {
		int64_t next = zone_next_change(zone, at);

		must(next > at);
		must(zone_offset(zone, at) >= -26 * 3600 && zone_offset(zone, at) <= 26 * 3600);
		must(next == INT64_MAX || zone_offset(zone, next) != zone_offset(zone, next - 1));
		check_moments(zone, next == INT64_MAX ? 0 : next);
		check_moments(zone, (int64_t)i * 86400 * 137);
		at = next;
	}
	zone_free(zone);
	return 0;
}
