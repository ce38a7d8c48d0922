/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <inttypes.h>

#include "domain/limits.h"

static json_t *
parse(const char *text)
{
	json_t *object = NULL;

	assert_int_equal(json_parse(str_of(text), &object, NULL), 0);
	return object;
}

static int
read_text(const char *text, struct limits *ret, struct err *err)
{
	OWN(json) json_t *object = parse(text);

	return limits_read(object, "limits", ret, err);
}

static void
defaults_lie_between_their_floors_and_ceilings(void **state)
{
	for (size_t i = 0; i < LIMITS_N; i++) {
		assert_true(limits_table[i].floor <= limits_table[i].value);
		assert_true(limits_table[i].value <= limits_table[i].ceiling);
	}
}

static void
what_is_not_said_stays_as_it_is(void **state)
{
	struct limits limits;
	struct err err = {0};

	limits_default(&limits);
	limits.timeout_ms = 77;
	assert_int_equal(read_text("{\"memory_mib\":512,\"cpu_ms\":null}", &limits, &err), 0);
	assert_int_equal(limits.memory_mib, 512);
	assert_int_equal(limits.timeout_ms, 77);
	assert_int_equal(limits.cpu_ms, 10000);
}

static void
floor_and_ceiling_are_allowed_and_what_is_beyond_is_named(void **state)
{
	struct limits limits;
	struct err err = {0};

	limits_default(&limits);
	assert_int_equal(read_text("{\"memory_mib\":32}", &limits, &err), 0);
	assert_int_equal(read_text("{\"memory_mib\":4096}", &limits, &err), 0);
	assert_int_equal(read_text("{\"memory_mib\":31}", &limits, &err), ERR_INVALID);
	assert_string_equal(err.field, "limits.memory_mib");
	assert_string_equal(err.text, "limits.memory_mib must be between 32 and 4096");
	assert_int_equal(read_text("{\"memory_mib\":4097}", &limits, &err), ERR_INVALID);
	assert_int_equal(limits.memory_mib, 4096);
}

static void
what_is_no_whole_number_is_refused(void **state)
{
	static const char *const texts[] = {
		"{\"cpu_ms\":\"5\"}", "{\"cpu_ms\":5.5}", "{\"cpu_ms\":true}", "{\"cpu_ms\":[]}"};
	struct limits limits;

	limits_default(&limits);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err err = {0};

		assert_int_equal(read_text(texts[i], &limits, &err), ERR_INVALID);
		assert_string_equal(err.field, "limits.cpu_ms");
		assert_string_equal(
			err.text, "limits.cpu_ms must be a whole number between 1 and 900000");
	}
	assert_int_equal(read_text("{\"cpu_ms\":-1}", &limits, NULL), ERR_INVALID);
}

static void
an_unknown_limit_is_refused_and_nothing_is_taken(void **state)
{
	struct limits limits, before;
	struct err err = {0};

	limits_default(&limits);
	before = limits;
	assert_int_equal(
		read_text("{\"memory_mib\":512,\"memory\":1}", &limits, &err), ERR_INVALID);
	assert_string_equal(err.field, "limits.memory");
	assert_memory_equal(&limits, &before, sizeof(limits));
}

static void
json_gives_back_what_was_read(void **state)
{
	struct limits limits, again;
	struct err err = {0};

	limits_default(&limits);
	limits.processes = 99;
	OWN(json) json_t *object = limits_json(&limits);

	limits_default(&again);
	assert_int_equal(json_object_size(object), LIMITS_N);
	assert_int_equal(limits_read(object, "", &again, &err), 0);
	assert_memory_equal(&limits, &again, sizeof(limits));
}

static void
the_provider_moves_defaults_and_ceilings_but_no_floors(void **state)
{
	struct limits_rule before = limits_table[0];
	struct err err = {0};
	struct limits limits;

	assert_int_equal(limits_configure("memory_mib", "ceiling", 128, &err), 0);
	limits_default(&limits);
	assert_int_equal(limits.memory_mib, 128);
	assert_int_equal(limits_configure("memory_mib", "value", 129, &err), ERR_INVALID);
	assert_int_equal(limits_configure("memory_mib", "value", 64, &err), 0);
	assert_int_equal(limits_configure("memory_mib", "floor", 1, &err), ERR_INVALID);
	assert_int_equal(limits_configure("memory_mib", "ceiling", 31, &err), ERR_INVALID);
	assert_int_equal(limits_configure("memory_mib", "ceiling", 1ull << 32, &err), ERR_INVALID);
	assert_int_equal(limits_configure("memory", "ceiling", 64, &err), ERR_INVALID);
	assert_int_equal(limits_table[0].value, 64);
	limits_table[0] = before;
}

static void
what_is_stored_is_cut_down_to_what_is_allowed(void **state)
{
	OWN(json) json_t *object = parse("{\"memory_mib\":1000000,\"cpu_ms\":0,\"gone\":1}");
	struct limits limits;

	limits_default(&limits);
	limits_restore(object, &limits);
	assert_int_equal(limits.memory_mib, 4096);
	assert_int_equal(limits.cpu_ms, 1);
	assert_int_equal(limits.timeout_ms, 30000);
}

/* A row of the table in docs/limits.md: | `field` | default | floor | ceiling | text | */
static void
the_documentation_has_each_limit_as_it_is(void **state)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};

	assert_int_equal(path_read(getenv("MAYFLY_DOC_LIMITS"), 1 << 20, &text, &err), 0);
	for (size_t i = 0; i < LIMITS_N; i++) {
		const struct limits_rule *rule = &limits_table[i];
		OWN(mem)
		char *row = mem_printf("| `%s` | %" PRIu64 " | %" PRIu64 " | %" PRIu64 " | %s |\n",
			rule->field, rule->value, rule->floor, rule->ceiling, rule->text);

		if (!strstr(text.at, row))
			fail_msg("docs/limits.md has no row\n%s", row);
	}
}

UNIT_TESTS(it(defaults_lie_between_their_floors_and_ceilings), it(what_is_not_said_stays_as_it_is),
	it(floor_and_ceiling_are_allowed_and_what_is_beyond_is_named),
	it(what_is_no_whole_number_is_refused),
	it(an_unknown_limit_is_refused_and_nothing_is_taken), it(json_gives_back_what_was_read),
	it(the_provider_moves_defaults_and_ceilings_but_no_floors),
	it(what_is_stored_is_cut_down_to_what_is_allowed),
	it(the_documentation_has_each_limit_as_it_is))
