/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"

#include "domain/build_lane.h"
#include "domain/build_plan.h"
#include "domain/build_reason.h"

#define DIGEST "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

/* What mayfly-unpack says of a tree with this package.json. */
static char *
report_of(const char *name, const char *text, const char *more)
{
	return mem_printf("file %s " DIGEST " %zu\ntext %s %zu\n%s\n%s", name, strlen(text), name,
		strlen(text), text, more);
}

static const char with_dependency[] = "{\"dependencies\":{\"left-pad\":\"1.3.0\"}}";

/* A version of a function whose tree has such a package.json, from the source `bytes`. */
static struct version *
put_source(struct kit *kit, const char *org, const char *name, const char *bytes) ON_LOOP
{
	struct function_spec spec = kit_spec(kit, name);
	struct version *version;

	kit_blob(kit, bytes, spec.source);
	version = kit_put_spec(kit, kit_org(kit, org), &spec, 0);
	assert_non_null(version);
	return version;
}

static struct version *
deploy_with_dependency(struct kit *kit, const char *name) ON_LOOP
{
	struct version *version = put_source(kit, "acme", name, name);

	kit_settle(kit, version);
	return version;
}

static void
assert_failed(const struct version *version, const char *reason)
{
	assert_int_equal(version->state, VERSION_FAILED);
	if (!strstr(version->reason, reason))
		fail_msg("the reason is: %s", version->reason);
}

/* Nothing is left that only a build had. */
static void
assert_given_back(struct kit *kit)
{
	struct build_stats stats;

	build_stats(kit->domain.builds, &stats);
	assert_int_equal(stats.n_active, 0);
	assert_int_equal(stats.n_installs, 0);
	assert_int_equal(kit->n_sandboxes, 0);
	assert_int_equal(kit->domain.n_instances, 0);
}

/* ---- the plan ---- */

static struct build_plan
plan_of(struct kit *kit, const char *runtime, const char *report) ON_LOOP
{
	struct function function = {.org = kit_org(kit, "acme")};
	struct version version = {.function = &function, .language = language_find(runtime)};
	struct build_plan plan;

	snprintf(version.source, sizeof(version.source), "%s", DIGEST);
	build_plan_read(&version, str_of(report), &plan);
	return plan;
}

static void
a_source_asks_for_dependencies_or_not(void **state)
{
	static const struct {
		const char *runtime, *name, *text, *more;
		bool asks;
	} cases[] = {
		{"node20", "package.json", with_dependency, "", true},
		{"node20", "package.json", "{\"optionalDependencies\":{\"a\":\"1\"}}", "", true},
		{"node20", "package.json", "{\"workspaces\":[\"a\"]}", "", true},
		{"node20", "package.json", "\xef\xbb\xbf{\"dependencies\":{\"a\":\"1\"}}", "",
			true},
		{"node20", "package.json", "{\"dependencies\":{}}", "", false},
		{"node20", "package.json", "{\"devDependencies\":{\"a\":\"1\"}}", "", false},
		{"node20", "package.json", "{\"type\":\"module\"}", "", false},
		{"node20", "package.json", "[1]", "", false},
		{"node20", "package.json", "{not json", "", true},
		{"node20", "package.json", with_dependency, "folder node_modules\n", false},
		{"node20", "requirements.txt", "requests\n", "", false},
		{"python3.11", "requirements.txt", "requests\n", "", true},
		{"python3.11", "requirements.txt", "# none\n\n  \r\n", "", false},
		{"python3.11", "requirements.txt", "", "", false},
		{"python3.11", "package.json", with_dependency, "", false},
		{"exec", "package.json", with_dependency, "", false},
	};
	OWN(kit) struct kit *kit = kit_open();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OWN(mem) char *report = report_of(cases[i].name, cases[i].text, cases[i].more);
		struct build_plan plan = plan_of(kit, cases[i].runtime, report);

		assert_int_equal(plan.manifest != NULL, cases[i].asks);
	}
	assert_null(plan_of(kit, "node20", "").manifest);
	assert_null(plan_of(kit, "node20", "text package.json 99999\n{").manifest);
	/* Too long for its text to be told. */
	assert_non_null(plan_of(kit, "node20", "file package.json " DIGEST " 70000\n").manifest);
}

static void
the_key_is_of_all_that_the_result_depends_on(void **state)
{
	static const char lock[] = "file package-lock.json " DIGEST " 3\n";
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *plain = report_of("package.json", with_dependency, "");
	OWN(mem) char *locked = report_of("package.json", with_dependency, lock);
	struct function function = {.org = kit_org(kit, "acme")};
	struct version version = {.function = &function, .language = language_find("node20")};
	struct build_plan first, second;

	build_plan_read(&version, str_of(plain), &first);
	build_plan_read(&version, str_of(plain), &second);
	assert_string_equal(first.key, second.key);
	build_plan_read(&version, str_of(locked), &second);
	assert_string_not_equal(first.key, second.key);
	function.org = kit_org(kit, "other");
	build_plan_read(&version, str_of(plain), &second);
	assert_string_not_equal(first.key, second.key);
	function.org = kit_org(kit, "acme");
	version.language = language_find("node18");
	build_plan_read(&version, str_of(plain), &second);
	assert_string_not_equal(first.key, second.key);
}

static void
the_whole_source_is_in_the_key_when_the_installer_looks_at_it(void **state)
{
	static const struct {
		const char *runtime, *name, *text;
		bool looks;
	} cases[] = {
		{"node20", "package.json", "{\"dependencies\":{\"a\":\"1\"}}", false},
		{"node20", "package.json", "{\"dependencies\":{\"a\":\"file:../a\"}}", true},
		{"node20", "package.json", "{\"dependencies\":{\"a\":\"./a\"}}", true},
		{"node20", "package.json",
			"{\"dependencies\":{\"a\":\"1\"},\"scripts\":{\"postinstall\":\"x\"}}",
			true},
		{"node20", "package.json",
			"{\"dependencies\":{\"a\":\"1\"},\"scripts\":{\"test\":\"x\"}}", false},
		{"python3.11", "requirements.txt", "a==1\n", false},
		{"python3.11", "requirements.txt", "a==1\n-r more.txt\n", true},
		{"python3.11", "requirements.txt", "./local\n", true},
	};
	OWN(kit) struct kit *kit = kit_open();
	struct function function = {.org = kit_org(kit, "acme")};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		OWN(mem) char *report = report_of(cases[i].name, cases[i].text, "");
		struct version version = {
			.function = &function, .language = language_find(cases[i].runtime)};
		struct build_plan one, other;

		snprintf(version.source, sizeof(version.source), "%064d", 1);
		build_plan_read(&version, str_of(report), &one);
		snprintf(version.source, sizeof(version.source), "%064d", 2);
		build_plan_read(&version, str_of(report), &other);
		assert_int_equal(strcmp(one.key, other.key) != 0, cases[i].looks);
	}
}

static void
a_registry_has_a_host_and_a_port(void **state)
{
	static const char *const good[][2] = {
		{"https://registry.npmjs.org/", "registry.npmjs.org:443"},
		{"http://127.0.0.1:4873", "127.0.0.1:4873"},
		{"http://host/simple/", "host:80"},
		{"https://user:p@ss@host:8443/x?y", "host:8443"},
		{"https://[::1]/x", "[::1]:443"},
		{"https://[::1]:9/x", "[::1]:9"},
	};
	char host[280];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(build_plan_host(good[i][0], host, NULL), 0);
		assert_string_equal(host, good[i][1]);
	}
	assert_int_equal(build_plan_host("ftp://host/", host, NULL), ERR_INVALID);
	assert_int_equal(build_plan_host("https:///x", host, NULL), ERR_INVALID);
	assert_int_equal(build_plan_host("host", host, NULL), ERR_INVALID);
}

/* ---- lanes ---- */

struct walker {
	struct build_turn turn;
	char *log;
	char name;
};

static void
on_turn(struct build_turn *turn)
{
	struct walker *walker = list_owner(turn, struct walker, turn);
	size_t len = strlen(walker->log);

	walker->log[len] = walker->name;
	walker->log[len + 1] = '\0';
}

static void
orgs_take_turns_however_many_one_of_them_has(void **state)
{
	struct build_lane lane;
	struct walker walkers[6];
	char log[16] = "";

	build_lane_init(&lane, 1);
	for (int i = 0; i < 6; i++) {
		walkers[i] = (struct walker){.log = log, .name = (char)('a' + i)};
		list_init(&walkers[i].turn.link);
		build_lane_enter(&lane,
			i < 4    ? "flood"
			: i == 4 ? "calm"
				 : "still",
			&walkers[i].turn, on_turn);
	}
	assert_string_equal(log, "a");
	build_lane_leave(&walkers[2].turn);
	for (int i = 0; i < 6; i++)
		for (int k = 0; k < 6; k++)
			if (walkers[k].turn.lane) {
				build_lane_leave(&walkers[k].turn);
				break;
			}
	assert_int_equal(strlen(log), 5);
	assert_string_equal(log, "abefd");
	assert_int_equal(lane.n_running, 0);
	build_lane_done(&lane);
}

/* ---- the steps ---- */

static void
a_source_file_gets_its_name_in_front_of_it(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "archive");

	kit_deploy(kit, "hello");
	assert_str(kit->seen, "mayfly-source index.js\nx");
	spec.filename = STR("");
	kit_settle(kit, kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0));
	assert_str(kit->seen, "x");
	assert_int_equal(kit->trees.len, 2);
}

static void
a_source_without_dependencies_needs_no_installation(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version = kit_deploy(kit, "hello");

	assert_int_equal(version->state, VERSION_READY);
	assert_int_equal(kit->n_installs, 0);
	assert_string_equal(version->deps, "");
	assert_given_back(kit);
}

static void
dependencies_are_installed_once_for_the_same_manifests(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *first, *second;

	kit->unpack.answer = report;
	kit->install.output = "packed";
	kit->install.printed = "added 1 package\n";
	first = deploy_with_dependency(kit, "a");
	assert_int_equal(first->state, VERSION_READY);
	assert_true(id_is_sha256(str_of(first->deps)));
	assert_string_equal(first->build_log, "added 1 package");
	assert_str(kit->seen, "packed");
	second = deploy_with_dependency(kit, "b");
	assert_string_equal(second->deps, first->deps);
	assert_int_equal(kit->n_installs, 1);
	assert_int_equal(kit->trees.len, 3);
	kit_turn(kit, 5);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM build"), 1);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version WHERE deps <> ''"), 2);
	assert_given_back(kit);
}

static void
an_installer_is_told_its_command_and_its_registry(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");

	kit->domain.config.npm_registry = "http://127.0.0.1:4873/";
	kit->unpack.answer = report;
	kit->install.output = "packed";
	assert_int_equal(deploy_with_dependency(kit, "a")->state, VERSION_READY);
	assert_non_null(strstr(kit->init, "MAYFLY_COMMAND_0=/usr/bin/played\n"));
	assert_non_null(strstr(kit->init, "MAYFLY_REGISTRY=http://127.0.0.1:4873/\n"));
}

static void
the_same_installation_at_the_same_time_is_done_once(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *versions[3];

	kit->domain.config.n_builds = 2;
	kit->unpack.answer = report;
	kit->install.output = "packed";
	kit->install.is_held = true;
	versions[0] = put_source(kit, "acme", "a", "1");
	versions[1] = put_source(kit, "acme", "b", "2");
	versions[2] = put_source(kit, "acme", "c", "3");
	kit_turn(kit, 20);
	assert_int_equal(kit->n_installs, 1);
	kit->install.is_held = false;
	for (unsigned i = 0; i < 3; i++) {
		kit_settle(kit, versions[i]);
		assert_int_equal(versions[i]->state, VERSION_READY);
	}
	assert_int_equal(kit->n_installs, 1);
	assert_given_back(kit);
}

/* The first fails: who waited for it tries for itself. */
static void
who_waits_for_an_installation_that_fails_does_it_again(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *first, *second;

	kit->unpack.answer = report;
	kit->install.status = 1;
	kit->install.is_held = true;
	first = put_source(kit, "acme", "a", "1");
	second = put_source(kit, "acme", "b", "2");
	kit_turn(kit, 20);
	kit_release(kit);
	assert_int_equal(first->state, VERSION_FAILED);
	kit->install.status = 0;
	kit->install.output = "packed";
	kit->install.is_held = false;
	kit_settle(kit, second);
	assert_int_equal(second->state, VERSION_READY);
	assert_int_equal(kit->n_installs, 2);
	assert_given_back(kit);
}

static void
only_so_many_installations_go_on_at_once(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *versions[6];

	kit->install.output = "packed";
	kit->install.is_held = true;
	for (int i = 0; i < 6; i++) {
		OWN(mem)
		char *text = mem_printf("{\"dependencies\":{\"a\":\"%d\"},\"workspaces\":[1]}", i);
		OWN(mem) char *report = report_of("package.json", text, "");
		char name[2] = {(char)('a' + i), 0};

		kit->unpack.answer = report;
		versions[i] = put_source(kit, i < 4 ? "acme" : "other", name, name);
		kit_turn(kit, 20);
		kit->unpack.answer = NULL;
	}
	assert_int_equal(kit->n_installs, 2);
	kit->install.is_held = false;
	for (int i = 0; i < 6; i++) {
		kit_settle(kit, versions[i]);
		assert_int_equal(versions[i]->state, VERSION_READY);
	}
	assert_int_equal(kit->n_most_installs_at_once, 2);
	assert_int_equal(kit->n_installs, 6);
	assert_given_back(kit);
}

static void
a_tree_that_many_need_is_unpacked_once(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *first, *second;

	kit->unpack.is_held = true;
	first = kit_put(kit, "a");
	second = kit_put(kit, "b");
	kit_turn(kit, 10);
	assert_int_equal(kit->n_unpacks, 1);
	kit->unpack.is_held = false;
	kit_settle(kit, first);
	kit_settle(kit, second);
	assert_int_equal(second->state, VERSION_READY);
	assert_int_equal(kit->n_unpacks, 1);
}

/* ---- each step fails in turn ---- */

static void
a_source_that_cannot_be_unpacked_says_why(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit->unpack.status = 1;
	kit->unpack.printed = "main.py/../../etc: the path has '..'\n";
	assert_failed(kit_deploy(kit, "hello"), "main.py/../../etc: the path has '..'");
	assert_int_equal(kit->n_probes, 0);
	assert_given_back(kit);
	kit->unpack.status = 0;
	assert_int_equal(kit_deploy(kit, "hello")->state, VERSION_READY);
}

static void
a_source_that_needs_too_much_memory_says_so(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit->unpack.status = -9;
	kit->unpack.n_oom = 1;
	assert_failed(kit_deploy(kit, "hello"), "too much memory");
	assert_given_back(kit);
}

static void
a_sandbox_that_cannot_be_had_is_the_reason(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit->unpack.is_refused = true;
	assert_failed(kit_deploy(kit, "hello"), "no sandbox is free");
	kit->unpack.is_refused = false;
	kit->unpack.failure = ERR_SYSTEM;
	assert_failed(kit_deploy(kit, "hello"), "it could not be set up");
	assert_given_back(kit);
}

static void
what_the_platform_failed_in_is_tried_again_at_the_next_start(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *version;

	kit->unpack.answer = report;
	kit->install.output = "packed";
	kit->install.failure = ERR_UNAVAILABLE;
	assert_failed(deploy_with_dependency(kit, "hello"), "it could not be set up");
	kit->install.failure = 0;
	kit_reopen(kit);
	version = function_version(kit_function(kit, "hello"), 1);
	assert_int_equal(version->state, VERSION_INITIALIZING);
	kit_settle(kit, version);
	assert_int_equal(version->state, VERSION_READY);
	kit_turn(kit, 5);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version WHERE state = 'ready'"), 1);
}

static void
a_long_report_is_not_kept_and_asked_for_again(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *text = mem_printf("{\"dependencies\":{\"a\":\"%2500d\"}}", 1);
	OWN(mem) char *report = report_of("package.json", text, "");
	struct version *version;

	kit->unpack.answer = report;
	kit->install.output = "packed";
	version = deploy_with_dependency(kit, "hello");
	assert_int_equal(version->state, VERSION_READY);
	assert_str(shelf_report(&kit->domain, version->tree), "");
	kit_settle(kit, put_source(kit, "acme", "hello", "hello"));
	assert_int_equal(kit_function(kit, "hello")->active->number, 2);
	assert_int_equal(kit->n_installs, 1);
	assert_int_equal(kit->n_unpacks, 3);
}

static void
an_installer_that_fails_is_quoted(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *version;

	kit->unpack.answer = report;
	kit->install.status = 1;
	kit->install.printed = "\x1b[31mnpm error\x1b[0m code E404\nnpm error 404 no \xff such\n\n";
	version = deploy_with_dependency(kit, "hello");
	assert_failed(version, "installing the dependencies of package.json failed:\n"
			       "npm error code E404\nnpm error 404 no \xef\xbf\xbd such");
	assert_non_null(strstr(version->build_log, "npm error code E404"));
	assert_int_equal(kit->n_probes, 0);
	assert_given_back(kit);
	kit_turn(kit, 5);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM build"), 0);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version WHERE state = 'failed'"), 1);
}

static void
what_mayfly_knows_better_comes_first(void **state)
{
	static const struct {
		struct job_end end;
		const char *reason;
	} cases[] = {
		{{.status = -9, .usage.n_oom_kills = 1},
			"the build used more than its 1024 MiB of memory"},
		{{.status = 228, .printed = STR("npm error ENOSPC: no space left on device\n")},
			"the dependencies of package.json need more than 512 MiB"},
		{{.status = -9, .is_over_deadline = true},
			"installing the dependencies of package.json took more than 300 s"},
		{{.status = 1, .refused = "evil.example:443"},
			"a build may not reach evil.example:443"},
		{{.status = -11}, "was ended by signal 11"},
	};
	struct domain_config config;

	domain_config_default(&config);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct job_end end = cases[i].end;

		if (!end.refused)
			end.refused = "";
		OWN(mem) char *reason = build_reason(&config, "package.json", &end);

		if (!reason || !strstr(reason, cases[i].reason))
			fail_msg("the reason is: %s", reason ? reason : "none");
	}
	struct job_end good = {.refused = "a:1", .usage.n_oom_kills = 1};

	assert_null(build_reason(&config, "package.json", &good));
}

static void
only_the_last_lines_of_an_installer_are_a_reason(void **state)
{
	struct domain_config config;
	OWN(buf) struct buf text = BUF_INIT;
	struct job_end end = {.status = 1, .refused = ""};

	domain_config_default(&config);
	for (unsigned i = 0; i < 100; i++)
		buf_printf(&text, "line %u\n", i);
	end.printed = buf_str(&text);
	OWN(mem) char *reason = build_reason(&config, "requirements.txt", &end);

	assert_non_null(strstr(reason, "line 92\n"));
	assert_null(strstr(reason, "line 91\n"));
	assert_string_equal(reason + strlen(reason) - 7, "line 99");
}

static void
a_host_without_an_installer_says_so(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct function_spec spec = kit_spec(kit, "hello");
	struct version *version;

	kit->unpack.answer = report;
	spec.runtime = STR("node18");
	version = kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0);
	kit_settle(kit, version);
	assert_failed(version, "there is no installer for node18");
	assert_given_back(kit);
}

static void
dependencies_that_cannot_be_unpacked_say_why(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *version;

	kit->unpack.answer = report;
	kit->install.is_held = true;
	kit->install.output = "packed";
	version = put_source(kit, "acme", "hello", "1");
	kit_turn(kit, 20);
	assert_int_equal(kit->n_installs, 1);
	kit->unpack.status = 1;
	kit->unpack.printed = "the archive is broken\n";
	kit->install.is_held = false;
	kit_settle(kit, version);
	assert_failed(version, "the dependencies: the archive is broken");
	assert_given_back(kit);
}

static void
a_handler_that_does_not_load_is_the_reason(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version;

	kit->probe.code = ERR_FUNCTION_FAILED;
	kit->probe.reason = "SyntaxError: Unexpected token ')' (index.js:3)";
	kit->probe.log = "loading\n";
	version = kit_deploy(kit, "hello");
	assert_failed(version, "SyntaxError: Unexpected token ')' (index.js:3)");
	assert_string_equal(version->build_log, "loading");
	assert_given_back(kit);
}

static void
a_deletion_ends_a_build_at_every_step(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");

	kit->unpack.answer = report;
	kit->install.output = "packed";
	kit->unpack.is_held = kit->install.is_held = kit->probe.is_held = true;
	for (unsigned n_turns = 0; n_turns < 14; n_turns++) {
		put_source(kit, "acme", "hello", "1");
		for (unsigned i = 0; i < n_turns; i++) {
			kit_turn(kit, 1);
			if (i % 3 == 2)
				kit_release(kit);
		}
		kit->is_told = false;
		function_delete(kit_function(kit, "hello"), kit_told, kit);
		kit_await(kit);
		kit_turn(kit, 12);
		assert_given_back(kit);
		assert_int_equal(kit->n_pools, 0);
		assert_int_equal(kit->trees.len, 0);
	}
}

static void
a_stop_leaves_every_step_to_the_next_start(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem) char *report = report_of("package.json", with_dependency, "");
	struct version *version;

	kit->unpack.answer = report;
	kit->install.output = "packed";
	kit->unpack.is_held = kit->install.is_held = kit->probe.is_held = true;
	put_source(kit, "acme", "hello", "1");
	for (unsigned n_turns = 0; n_turns < 8; n_turns++) {
		for (unsigned i = 0; i < n_turns; i++)
			kit_turn(kit, 1);
		kit_release(kit);
		kit_reopen(kit);
		version = function_version(kit_function(kit, "hello"), 1);
		assert_int_equal(version->state, VERSION_INITIALIZING);
	}
	kit->unpack.is_held = kit->install.is_held = kit->probe.is_held = false;
	version = function_version(kit_function(kit, "hello"), 1);
	kit_settle(kit, version);
	assert_int_equal(version->state, VERSION_READY);
	assert_given_back(kit);
}

UNIT_TESTS(it(a_source_asks_for_dependencies_or_not),
	it(the_key_is_of_all_that_the_result_depends_on),
	it(the_whole_source_is_in_the_key_when_the_installer_looks_at_it),
	it(a_registry_has_a_host_and_a_port), it(orgs_take_turns_however_many_one_of_them_has),
	it(a_source_file_gets_its_name_in_front_of_it),
	it(a_source_without_dependencies_needs_no_installation),
	it(dependencies_are_installed_once_for_the_same_manifests),
	it(an_installer_is_told_its_command_and_its_registry),
	it(the_same_installation_at_the_same_time_is_done_once),
	it(who_waits_for_an_installation_that_fails_does_it_again),
	it(only_so_many_installations_go_on_at_once), it(a_tree_that_many_need_is_unpacked_once),
	it(a_source_that_cannot_be_unpacked_says_why),
	it(a_source_that_needs_too_much_memory_says_so),
	it(a_sandbox_that_cannot_be_had_is_the_reason),
	it(what_the_platform_failed_in_is_tried_again_at_the_next_start),
	it(a_long_report_is_not_kept_and_asked_for_again), it(an_installer_that_fails_is_quoted),
	it(what_mayfly_knows_better_comes_first),
	it(only_the_last_lines_of_an_installer_are_a_reason),
	it(a_host_without_an_installer_says_so), it(dependencies_that_cannot_be_unpacked_say_why),
	it(a_handler_that_does_not_load_is_the_reason), it(a_deletion_ends_a_build_at_every_step),
	it(a_stop_leaves_every_step_to_the_next_start))
