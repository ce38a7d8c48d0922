/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_cron - a cron entry, in a zone that its first byte chooses: what comes next lies ahead and
 * within eight years and a bit, and asking from just before it gives it again.
 */
#include "fuzz.h"

#include "base/cron.h"

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char *const names[] = {
		"UTC", "Europe/Berlin", "Australia/Lord_Howe", "Africa/Casablanca"};
	static const uint64_t begin_ms = 1774742400000; /* 2026-03-29 */
	struct zone *zone = NULL;
	uint64_t at_ms = begin_ms;
	struct cron cron;

	if (!size || cron_parse(str_n(bytes + 1, size - 1), &cron, NULL) < 0)
		return 0;
	if (zone_open(str_of(names[bytes[0] % 4]), &zone, NULL) < 0)
		zone = zone_utc();
	for (unsigned i = 0; i < 20; i++) {
		uint64_t next_ms = cron_next(&cron, zone, begin_ms, at_ms);

		if (!next_ms)
			break;
		must(next_ms > at_ms && next_ms - at_ms < UINT64_C(2930) * 86400000);
		must(cron_next(&cron, zone, begin_ms, next_ms - 1) == next_ms);
		at_ms = next_ms;
	}
	zone_free(zone);
	return 0;
}
