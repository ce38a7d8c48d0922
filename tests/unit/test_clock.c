/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/clock.h"

static void
a_known_instant_is_written_in_rfc_3339(void **state)
{
	char text[CLOCK_ISO_SIZE];

	clock_iso(1795264200123, text);
	assert_string_equal(text, "2026-11-21T12:30:00.123Z");
	clock_iso(0, text);
	assert_string_equal(text, "1970-01-01T00:00:00.000Z");
	clock_iso(951782400005, text);
	assert_string_equal(text, "2000-02-29T00:00:00.005Z");
}

static void
the_monotonic_clock_does_not_go_back(void **state)
{
	uint64_t before = clock_mono_us();

	for (int i = 0; i < 1000; i++) {
		uint64_t now = clock_mono_us();

		assert_true(now >= before);
		before = now;
	}
}

static void
durations_are_read_with_their_unit(void **state)
{
	uint64_t ms = 0;

	assert_true(clock_parse_ms(STR("250ms"), &ms));
	assert_int_equal(ms, 250);
	assert_true(clock_parse_ms(STR("30s"), &ms));
	assert_int_equal(ms, 30000);
	assert_true(clock_parse_ms(STR("5m"), &ms));
	assert_int_equal(ms, 300000);
	assert_true(clock_parse_ms(STR("2h"), &ms));
	assert_int_equal(ms, 7200000);
	assert_true(clock_parse_ms(STR("1d"), &ms));
	assert_int_equal(ms, 86400000);
}

static void
what_is_no_duration_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[] = {"", "5", "s", "ms", "-1s", "+1s", "1.5s", "1 s", "1w",
		"1S", "18446744073709551615d", "99999999999999999999ms", "1ms "};
	uint64_t ms = 42;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(clock_parse_ms(str_of(bad[i]), &ms));
	assert_int_equal(ms, 42);
}

UNIT_TESTS(it(a_known_instant_is_written_in_rfc_3339), it(the_monotonic_clock_does_not_go_back),
	it(durations_are_read_with_their_unit),
	it(what_is_no_duration_is_refused_and_changes_nothing))
