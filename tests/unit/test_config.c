/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "daemon/config.h"
#include "domain/limits.h"

static struct config config;
static struct err err;

/* Reads flags with a file of that text; NULL for none. */
static int
read_config(const char *text, const char *const *flags)
{
	OWN(folder) char *folder = unit_folder();
	OWN(mem) char *file = path_join(folder, "mayfly.conf");
	char *argv[16] = {(char *)"mayfly-daemon"};
	int argc = 1;

	assert_int_equal(path_write(file, str_of(text ? text : ""), 0600, NULL), 0);
	argv[argc++] = (char *)"--config";
	argv[argc++] = file;
	while (flags && *flags)
		argv[argc++] = (char *)*flags++;
	err = (struct err){0};
	config_done(&config);
	return config_read(&config, argc, argv, &err);
}

#define FLAGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
every_default_is_good_and_stands_in_its_range(void **state)
{
	const struct config_key *key;
	size_t n = 0;

	for (; (key = config_each(n)); n++) {
		err = (struct err){0};
		if (config_set(NULL, key, key->value, &err) < 0)
			fail_msg("%s: %s", key->name, err.text);
		assert_true(key->text[0] && key->text[strlen(key->text) - 1] != '.');
	}
	assert_true(n > 40);
	assert_int_equal(read_config(NULL, NULL), 0);
}

static void
every_name_stands_once(void **state)
{
	const struct config_key *key, *other;

	for (size_t i = 0; (key = config_each(i)); i++)
		for (size_t j = i + 1; (other = config_each(j)); j++)
			assert_string_not_equal(key->name, other->name);
}

static void
defaults_are_those_of_the_rooms(void **state)
{
	struct domain_config domain, usual;
	struct http_limits http;

	assert_int_equal(read_config(NULL, NULL), 0);
	config_domain(&config, &domain);
	domain_config_default(&usual);
	assert_int_equal(domain.max_instances, usual.max_instances);
	assert_int_equal(domain.max_instances_total, usual.max_instances_total);
	assert_int_equal(domain.max_concurrency, usual.max_concurrency);
	assert_int_equal(domain.idle_ms, usual.idle_ms);
	assert_int_equal(domain.boot_ms, usual.boot_ms);
	assert_int_equal(domain.queue_calls, usual.queue_calls);
	assert_int_equal(domain.queue_bytes, usual.queue_bytes);
	assert_int_equal(domain.queue_ms, usual.queue_ms);
	assert_int_equal(domain.starts, usual.starts);
	assert_int_equal(domain.source_bytes, usual.source_bytes);
	assert_int_equal(domain.build_memory_bytes, usual.build_memory_bytes);
	assert_int_equal(domain.build_bytes, usual.build_bytes);
	assert_int_equal(domain.build_ms, usual.build_ms);
	assert_int_equal(domain.n_builds, usual.n_builds);
	assert_string_equal(domain.npm_registry, usual.npm_registry);
	assert_string_equal(domain.pip_index, usual.pip_index);
	assert_int_equal(domain.keep_calls, usual.keep_calls);
	assert_int_equal(domain.keep_days, usual.keep_days);
	assert_int_equal(domain.keep_versions, usual.keep_versions);
	config_http(&config, &http);
	assert_memory_equal(&http, &http_limits_default, sizeof(http));
}

static void
flags_have_their_value_behind_them_or_in_them(void **state)
{
	assert_int_equal(read_config(NULL, FLAGS("--data-dir", "/srv/a", "--grace=5s", "--listen",
						   "127.0.0.1:1", "--listen", "127.0.0.1:2")),
		0);
	assert_string_equal(config.data_dir, "/srv/a");
	assert_int_equal(config.grace_ms, 5000);
	assert_string_equal(config.listen[0], "127.0.0.1:1");
	assert_string_equal(config.listen[1], "127.0.0.1:2");
	assert_null(config.listen[2]);
}

static void
the_file_is_read_line_by_line(void **state)
{
	assert_int_equal(read_config("# a comment\n\n  data_dir =  /srv/b  \r\nsource_bytes=1MiB\n"
				     "listen = 127.0.0.1:1  127.0.0.1:2\nlisten = [::1]:3",
				 NULL),
		0);
	assert_string_equal(config.data_dir, "/srv/b");
	assert_int_equal(config.source_bytes, 1 << 20);
	assert_string_equal(config.listen[2], "[::1]:3");
	assert_null(config.listen[3]);
}

static void
a_flag_takes_the_place_of_the_files_whole_list(void **state)
{
	assert_int_equal(
		read_config("listen = 127.0.0.1:1\nlisten = 127.0.0.1:2\ndata_dir = /srv/c",
			FLAGS("--listen", "127.0.0.1:3")),
		0);
	assert_string_equal(config.listen[0], "127.0.0.1:3");
	assert_null(config.listen[1]);
	assert_string_equal(config.data_dir, "/srv/c");
}

static void
the_environment_stands_between_flag_and_file(void **state)
{
	setenv("MAYFLY_DATA_DIR", "/srv/env", 1);
	setenv("MAYFLY_UNHEARD_OF", "x", 1);
	assert_int_equal(read_config("data_dir = /srv/file", NULL), 0);
	assert_string_equal(config.data_dir, "/srv/env");
	assert_int_equal(read_config("data_dir = /srv/file", FLAGS("--data-dir", "/srv/flag")), 0);
	assert_string_equal(config.data_dir, "/srv/flag");
	unsetenv("MAYFLY_DATA_DIR");
	unsetenv("MAYFLY_UNHEARD_OF");
}

static void
a_mistake_in_the_file_is_named_by_its_line(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {{"data_dir = /a\nno_such = 1", ":2: there is no key no_such"},
		{"\n\ndata_dir", ":3: a line is `key = value`"},
		{"grace = 1", ":1: grace must be a duration"},
		{"grace = 1s\ngrace = 1s", ":2: grace is said twice"},
		{"source_bytes = 99999999999GiB", ":1: source_bytes must be a size"},
		{"max_sandboxes = 5000", ":1: max_sandboxes must be a number, from 1 to 4096"},
		{"log_format = xml", ":1: log_format must be one of: logfmt json"},
		{"= 1", ":1: there is no key "}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_config(rows[i].text, NULL), ERR_INVALID);
		if (!strstr(err.text, rows[i].says))
			fail_msg("'%s' does not say '%s'", err.text, rows[i].says);
	}
}

static void
a_mistake_in_a_flag_is_named(void **state)
{
	static const struct {
		const char *flags[3], *says;
	} rows[] = {{{"--no-such", "x"}, "there is no flag --no-such"},
		{{"--grace"}, "--grace needs a value"}, {{"stray"}, "'stray' is no flag"},
		{{"--grace", "soon"}, "--grace: grace must be"},
		{{"--ready-fd", "-1"}, "--ready-fd needs"},
		{{"--tls-listen", "127.0.0.1:0"}, "needs tls_certificate"},
		{{"--uid-base", "4000000001"}, "uid_base must be"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(read_config(NULL, rows[i].flags), ERR_INVALID);
		if (!strstr(err.text, rows[i].says))
			fail_msg("'%s' does not say '%s'", err.text, rows[i].says);
	}
}

static void
a_file_that_was_asked_for_must_be_there(void **state)
{
	char *argv[] = {
		(char *)"mayfly-daemon", (char *)"--config", (char *)"/nonexistent/x", NULL};

	err = (struct err){0};
	config_done(&config);
	assert_int_equal(config_read(&config, 3, argv, &err), ERR_NOT_FOUND);
}

static void
sizes_and_durations_have_units(void **state)
{
	assert_int_equal(read_config("source_bytes = 2048\nbuild_bytes = 3GiB\nidle_time = 250ms\n"
				     "grace = 2m",
				 NULL),
		0);
	assert_int_equal(config.source_bytes, 2048);
	assert_int_equal(config.build_bytes, 3ull << 30);
	assert_int_equal(config.idle_ms, 250);
	assert_int_equal(config.grace_ms, 120000);
}

/* Last: limits are the process's. */
static void
limits_of_functions_are_set_ceilings_first(void **state)
{
	struct limits limits;

	assert_int_equal(
		read_config("limit_memory_mib = 8000\nlimit_memory_mib_max = 9000", NULL), 0);
	limits_default(&limits);
	assert_int_equal(limits.memory_mib, 8000);
	assert_int_equal(read_config("limit_open_files = 5000", NULL), ERR_INVALID);
	assert_non_null(strstr(err.text, "limit_open_files"));
	assert_int_equal(read_config("limit_processes_max = 15", NULL), ERR_INVALID);
	config_done(&config);
}

UNIT_TESTS(it(every_default_is_good_and_stands_in_its_range), it(every_name_stands_once),
	it(defaults_are_those_of_the_rooms), it(flags_have_their_value_behind_them_or_in_them),
	it(the_file_is_read_line_by_line), it(a_flag_takes_the_place_of_the_files_whole_list),
	it(the_environment_stands_between_flag_and_file),
	it(a_mistake_in_the_file_is_named_by_its_line), it(a_mistake_in_a_flag_is_named),
	it(a_file_that_was_asked_for_must_be_there), it(sizes_and_durations_have_units),
	it(limits_of_functions_are_set_ceilings_first))
