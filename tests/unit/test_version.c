/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "domain/function.h"

struct reading {
	struct domain domain;
	struct version_config config;
	struct err err;
};

static inline void
own_reading(struct reading **reading)
{
	version_config_done(&(*reading)->config);
	free(*reading);
}

static struct reading *
reading_new(void)
{
	struct reading *reading = mem_new(sizeof(*reading));

	domain_config_default(&reading->domain.config);
	version_config_default(&reading->domain, &reading->config);
	return reading;
}

static int
read_text(struct reading *reading, const char *text)
{
	OWN(json) json_t *object = NULL;

	assert_int_equal(json_parse(str_of(text), &object, NULL), 0);
	reading->err = (struct err){0};
	return version_config_read(&reading->domain, object, "", &reading->config, &reading->err);
}

static void
assert_refused(struct reading *reading, const char *text, const char *field)
{
	assert_int_equal(read_text(reading, text), ERR_INVALID);
	assert_string_equal(reading->err.field, field);
}

static void
a_configuration_is_read_whole(void **state)
{
	OWN(reading) struct reading *reading = reading_new();

	assert_int_equal(
		read_text(reading, "{\"limits\":{\"memory_mib\":300},\"isolation\":\"instance\","
				   "\"concurrency\":7,\"max_instances\":3,\"idle_ms\":0,"
				   "\"keep_on_disconnect\":true,\"description\":\"d\","
				   "\"environment\":{\"A\":\"1\",\"_b2\":\"\"},\"name\":\"mine\"}"),
		0);
	assert_int_equal(reading->config.limits.memory_mib, 300);
	assert_int_equal(reading->config.concurrency, 7);
	assert_int_equal(reading->config.max_instances, 3);
	assert_int_equal(reading->config.idle_ms, 0);
	assert_int_equal(reading->config.isolation, VERSION_ISOLATION_INSTANCE);
	assert_true(reading->config.is_kept_on_disconnect);
	assert_string_equal(reading->config.description, "d");
	assert_int_equal(reading->config.n_environment, 2);
}

static void
what_is_not_said_stays_and_an_environment_replaces_the_one_before(void **state)
{
	OWN(reading) struct reading *reading = reading_new();

	assert_int_equal(read_text(reading, "{\"isolation\":\"instance\",\"concurrency\":7,"
					    "\"environment\":{\"A\":\"1\"}}"),
		0);
	assert_int_equal(read_text(reading, "{\"idle_ms\":5}"), 0);
	assert_int_equal(reading->config.concurrency, 7);
	assert_int_equal(reading->config.n_environment, 1);
	assert_int_equal(read_text(reading, "{\"environment\":{\"B\":\"2\"}}"), 0);
	assert_int_equal(reading->config.n_environment, 1);
	assert_string_equal(reading->config.environment[0].key, "B");
}

static void
what_is_refused_names_its_field_and_changes_nothing(void **state)
{
	OWN(reading) struct reading *reading = reading_new();

	assert_int_equal(read_text(reading, "{\"environment\":{\"A\":\"1\"}}"), 0);
	assert_refused(reading, "{\"concurrency\":0}", "concurrency");
	assert_refused(reading, "{\"concurrency\":1001}", "concurrency");
	assert_refused(reading, "{\"max_instances\":0}", "max_instances");
	assert_refused(reading, "{\"max_instances\":1001}", "max_instances");
	assert_refused(reading, "{\"idle_ms\":3600001}", "idle_ms");
	assert_refused(reading, "{\"isolation\":\"none\"}", "isolation");
	assert_refused(reading, "{\"mechanism\":\"none\"}", "mechanism");
	assert_refused(reading, "{\"min_instances\":1001}", "min_instances");
	assert_refused(reading, "{\"network\":{\"mode\":\"all\"}}", "network.mode");
	assert_refused(reading, "{\"keep_on_disconnect\":1}", "keep_on_disconnect");
	assert_refused(reading, "{\"limits\":[]}", "limits");
	assert_refused(reading, "{\"limits\":{\"tmp_mib\":0}}", "limits.tmp_mib");
	assert_refused(reading, "{\"environment\":[]}", "environment");
	assert_refused(reading, "{\"environment\":{\"B\":\"2\"},\"limits\":{\"x\":1}}", "limits.x");
	assert_int_equal(reading->config.concurrency, 1);
	assert_int_equal(reading->config.n_environment, 1);
	assert_string_equal(reading->config.environment[0].key, "A");
}

static void
members_that_do_not_go_together_are_refused(void **state)
{
	OWN(reading) struct reading *reading = reading_new();

	assert_refused(reading, "{\"concurrency\":2}", "concurrency");
	assert_string_equal(reading->err.text, "concurrency must be 1 with isolation call");
	assert_refused(reading, "{\"isolation\":\"instance\",\"mechanism\":\"once\"}", "mechanism");
	assert_refused(reading, "{\"min_instances\":3,\"max_instances\":2}", "min_instances");
	assert_int_equal(
		read_text(reading, "{\"isolation\":\"instance\",\"mechanism\":\"auto\"}"), 0);
	assert_int_equal(read_text(reading, "{\"isolation\":\"call\",\"mechanism\":\"fork\"}"), 0);
	assert_int_equal(reading->config.mechanism, MECHANISM_FORK);
}

static void
isolation_is_of_the_call_and_of_the_instance_for_what_the_store_has_from_before(void **state)
{
	OWN(reading) struct reading *reading = reading_new();
	struct domain *domain = &reading->domain;

	assert_int_equal(reading->config.isolation, VERSION_ISOLATION_CALL);
	assert_int_equal(version_config_restore(domain, "{\"concurrency\":8,\"max_instances\":2}",
				 &reading->config, &reading->err),
		0);
	assert_int_equal(reading->config.isolation, VERSION_ISOLATION_INSTANCE);
	assert_int_equal(reading->config.concurrency, 8);
}

static void
what_is_written_is_read_again_as_it_was(void **state)
{
	OWN(reading) struct reading *reading = reading_new();
	OWN(reading) struct reading *again = reading_new();
	OWN(buf) struct buf text = BUF_INIT;

	assert_int_equal(read_text(reading, "{\"mechanism\":\"once\",\"min_instances\":2,"
					    "\"network\":{\"mode\":\"egress\","
					    "\"allow\":[\"example.com:443\"]}}"),
		0);
	OWN(json) json_t *json = version_config_json(&reading->config, true);

	json_write(json, &text);
	assert_int_equal(
		version_config_restore(&again->domain, text.at, &again->config, &again->err), 0);
	assert_int_equal(again->config.isolation, VERSION_ISOLATION_CALL);
	assert_int_equal(again->config.mechanism, MECHANISM_ONCE);
	assert_int_equal(again->config.min_instances, 2);
	assert_true(network_is_equal(&again->config.network, &reading->config.network));
}

static void
a_variable_that_breaks_a_rule_is_refused(void **state)
{
	static const char *const texts[] = {"{\"environment\":{\"\":\"1\"}}",
		"{\"environment\":{\"1A\":\"1\"}}", "{\"environment\":{\"A-B\":\"1\"}}",
		"{\"environment\":{\"A=\":\"1\"}}", "{\"environment\":{\"MAYFLY_X\":\"1\"}}",
		"{\"environment\":{\"A\":1}}", "{\"environment\":{\"A\":null}}"};
	OWN(reading) struct reading *reading = reading_new();

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_refused(reading, texts[i], "environment");
	assert_int_equal(reading->config.n_environment, 0);
}

static char *
environment_of(unsigned n, size_t key_len, size_t value_len)
{
	struct buf text = BUF_INIT;

	buf_add_text(&text, "{\"environment\":{");
	for (unsigned i = 0; i < n; i++) {
		buf_printf(&text, "%s\"K%0*u\":\"", i ? "," : "", (int)key_len - 1, i);
		for (size_t k = 0; k < value_len; k++)
			buf_add_char(&text, 'v');
		buf_add_char(&text, '"');
	}
	buf_add_text(&text, "}}");
	return buf_take(&text, NULL);
}

static void
an_environment_has_its_limits(void **state)
{
	static const struct {
		unsigned n;
		size_t key, value;
		int code;
	} cases[] = {
		{100, 8, 8, 0},
		{101, 8, 8, ERR_INVALID},
		{1, 128, 8, 0},
		{1, 129, 8, ERR_INVALID},
		{1, 8, 32768, 0},
		{1, 8, 32769, ERR_INVALID},
		{2, 8, 32758, 0},
		{2, 8, 32759, ERR_INVALID},
	};
	OWN(reading) struct reading *reading = reading_new();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OWN(mem)
		char *text = environment_of(cases[i].n, cases[i].key, cases[i].value);

		assert_int_equal(read_text(reading, text), cases[i].code);
	}
}

static void
json_gives_back_what_was_read_and_hides_values(void **state)
{
	OWN(reading) struct reading *reading = reading_new();
	OWN(reading) struct reading *again = reading_new();

	assert_int_equal(read_text(reading, "{\"idle_ms\":9,\"environment\":{\"A\":\"s\"}}"), 0);
	OWN(json) json_t *shown = version_config_json(&reading->config, true);
	OWN(json) json_t *hidden = version_config_json(&reading->config, false);

	assert_int_equal(
		version_config_read(&again->domain, shown, "", &again->config, &again->err), 0);
	OWN(json) json_t *shown_again = version_config_json(&again->config, true);

	assert_true(json_equal(shown, shown_again));
	assert_true(json_is_null(json_object_get(json_object_get(hidden, "environment"), "A")));
}

static void
what_is_stored_is_cut_down_to_what_is_allowed(void **state)
{
	OWN(reading) struct reading *reading = reading_new();

	reading->domain.config.max_instances = 5;
	assert_int_equal(
		version_config_restore(&reading->domain,
			"{\"max_instances\":900,\"concurrency\":2,"
			"\"limits\":{\"memory_mib\":999999},\"environment\":{\"A\":\"1\"}}",
			&reading->config, &reading->err),
		0);
	assert_int_equal(reading->config.max_instances, 5);
	assert_int_equal(reading->config.concurrency, 2);
	assert_int_equal(reading->config.limits.memory_mib, 4096);
	assert_int_equal(reading->config.n_environment, 1);
}

static void
a_copy_has_its_own_environment(void **state)
{
	OWN(reading) struct reading *reading = reading_new();
	struct version_config copy;

	assert_int_equal(read_text(reading, "{\"environment\":{\"A\":\"1\"}}"), 0);
	version_config_copy(&reading->config, &copy);
	assert_ptr_not_equal(copy.environment, reading->config.environment);
	assert_string_equal(copy.environment[0].value, "1");
	version_config_done(&copy);
}

/* ---- mechanism ---- */

/* A version of a language on a machine that has a keeper and soft-dirty pages. */
struct served {
	struct org org;
	struct function function;
	struct version version;
};

/* The folder of mayfly's programs is found once. */
static void
programs_make(void)
{
	static char *folder;

	if (folder) {
		assert_int_equal(mkdir(folder, 0700), 0);
		return;
	}
	folder = unit_folder();
	setenv("MAYFLY_LIBEXEC", folder, 1);
}

static void
served_done(struct served *served)
{
	path_remove(path_libexec(), NULL);
}

static void
served_init(struct served *served, const struct language *language)
{
	const struct doctor_finding findings[] = {
		{"rollback.soft_dirty", DOCTOR_MECHANISM, true, false, ""},
		{"rollback.userfaultfd", DOCTOR_MECHANISM, true, false, ""}};
	OWN(mem) char *keeper = NULL;

	programs_make();
	keeper = path_join(path_libexec(), "mayfly-keeper");
	assert_int_equal(path_write(keeper, STR("x"), 0700, NULL), 0);
	mechanism_examine(findings, 2);
	served->function.org = &served->org;
	served->version.function = &served->function;
	served->version.language = language;
	served->version.config.mechanism = MECHANISM_AUTO;
	version_choose_mechanism(&served->version);
}

#define SERVED(name) __attribute__((cleanup(served_done))) struct served name = {0}

static const struct language python = {.name = "python3.11", .family = "python"};

static void
a_program_that_cannot_be_kept_is_served_by_the_next_mechanism(void **state)
{
	SERVED(one);

	thread_on_loop();
	served_init(&one, &python);
	assert_int_equal(version_mechanism(&one.version), MECHANISM_ROLLBACK);
	assert_string_equal(one.version.mechanism_reason, "");
	version_mechanism_failed(&one.version, MECHANISM_ROLLBACK,
		(enum renewal_cause)KEEPER_CAUSE_SHARED, "shared: a page");
	assert_int_equal(version_mechanism(&one.version), MECHANISM_FORK);
	assert_string_equal(one.version.mechanism_reason, "rollback: shared: a page");
	version_mechanism_failed(&one.version, MECHANISM_ROLLBACK,
		(enum renewal_cause)KEEPER_CAUSE_SHARED, "shared: another that began before");
	assert_int_equal(version_mechanism(&one.version), MECHANISM_FORK);
	version_mechanism_failed(&one.version, MECHANISM_FORK,
		(enum renewal_cause)KEEPER_CAUSE_THREADS, "threads: 2");
	assert_int_equal(version_mechanism(&one.version), MECHANISM_ONCE);
}

static void
what_may_be_chance_is_tried_again(void **state)
{
	SERVED(one);

	thread_on_loop();
	served_init(&one, &python);
	for (int i = 0; i < 2; i++)
		version_mechanism_failed(&one.version, MECHANISM_ROLLBACK, RENEWAL_CAUSE_SILENT,
			"mayfly-keeper did not answer in time");
	assert_int_equal(version_mechanism(&one.version), MECHANISM_ROLLBACK);
	version_mechanism_failed(&one.version, MECHANISM_ROLLBACK, RENEWAL_CAUSE_SILENT,
		"mayfly-keeper did not answer in time");
	assert_int_equal(version_mechanism(&one.version), MECHANISM_FORK);
	one.version.retry_ms = 1;
	assert_int_equal(version_mechanism(&one.version), MECHANISM_ROLLBACK);
	assert_string_equal(one.version.mechanism_reason, "");
}

static void
isolation_instance_has_no_mechanism(void **state)
{
	SERVED(one);

	served_init(&one, &python);
	one.version.config.isolation = VERSION_ISOLATION_INSTANCE;
	version_choose_mechanism(&one.version);
	assert_int_equal(version_mechanism(&one.version), MECHANISM_NONE);
}

UNIT_TESTS(it(a_configuration_is_read_whole),
	it(what_is_not_said_stays_and_an_environment_replaces_the_one_before),
	it(what_is_refused_names_its_field_and_changes_nothing),
	it(members_that_do_not_go_together_are_refused),
	it(isolation_is_of_the_call_and_of_the_instance_for_what_the_store_has_from_before),
	it(what_is_written_is_read_again_as_it_was), it(a_variable_that_breaks_a_rule_is_refused),
	it(an_environment_has_its_limits), it(json_gives_back_what_was_read_and_hides_values),
	it(what_is_stored_is_cut_down_to_what_is_allowed), it(a_copy_has_its_own_environment),
	it(a_program_that_cannot_be_kept_is_served_by_the_next_mechanism),
	it(what_may_be_chance_is_tried_again), it(isolation_instance_has_no_mechanism))
