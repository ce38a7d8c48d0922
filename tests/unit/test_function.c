/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"

/* ---- names and routes ---- */

static void
routes_are_kept_without_slashes_at_their_ends(void **state)
{
	static const char *const good[][2] = {{"hello", "hello"}, {"/hello", "hello"},
		{"hello/", "hello"}, {"/shop/v1/", "shop/v1"}, {"A.b_c~d-9", "A.b_c~d-9"},
		{"...", "..."}};
	char route[FUNCTION_ROUTE_MAX + 1];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(function_check_route(str_of(good[i][0]), route, NULL), 0);
		assert_string_equal(route, good[i][1]);
	}
}

static void
routes_that_no_path_could_mean_are_refused(void **state)
{
	static const char *const bad[] = {"", "/", "//", "a//b", "//a", "a//", ".", "..", "a/..",
		"a/./b", "../a", "a b", "a%20b", "a?b", "a#b", "a\\b", "\xc3\xa4", "a:b", "{a}"};
	char route[FUNCTION_ROUTE_MAX + 1];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		assert_int_equal(function_check_route(str_of(bad[i]), route, &err), ERR_INVALID);
		assert_string_equal(err.field, "route");
	}
	assert_int_equal(function_check_route(str_n("a\0b", 3), route, NULL), ERR_INVALID);
}

static void
a_route_has_at_most_255_bytes(void **state)
{
	char long_route[257], route[FUNCTION_ROUTE_MAX + 1];

	memset(long_route, 'a', sizeof(long_route));
	assert_int_equal(function_check_route(str_n(long_route, 255), route, NULL), 0);
	assert_int_equal(strlen(route), 255);
	assert_int_equal(function_check_route(str_n(long_route, 256), route, NULL), ERR_INVALID);
}

static struct function *
add_route(struct org *org, const char *name, const char *route)
{
	return function_add(org, name, route);
}

static void
the_longest_route_of_whole_segments_is_found(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct org *org = kit_org(kit, "acme");
	const struct function *shop = add_route(org, "shop", "shop");
	const struct function *v1 = add_route(org, "v1", "shop/v1");
	const struct {
		const char *path;
		const struct function *function;
		const char *rest;
	} cases[] = {
		{"shop", shop, ""},
		{"shop/", shop, "/"},
		{"shop/x/y", shop, "/x/y"},
		{"shop/v1", v1, ""},
		{"shop/v1/", v1, "/"},
		{"shop/v1//x", v1, "//x"},
		{"shop/v12", shop, "/v12"},
		{"shop/v1x/v1", shop, "/v1x/v1"},
		{"shopping", NULL, NULL},
		{"sho", NULL, NULL},
		{"", NULL, NULL},
		{"/shop", NULL, NULL},
		{"Shop", NULL, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct str rest = STR_NONE;

		assert_ptr_equal(
			function_route(org, str_of(cases[i].path), &rest), cases[i].function);
		if (cases[i].function)
			assert_str(rest, cases[i].rest);
	}
}

static void
a_path_that_is_longer_than_any_route_is_matched_by_its_beginning(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct org *org = kit_org(kit, "acme");
	char longest[FUNCTION_ROUTE_MAX + 1] = "", path[4096];
	const struct function *function;
	struct str rest;

	memset(longest, 'a', sizeof(longest) - 1);
	function = add_route(org, "longest", longest);
	memset(path, 'a', sizeof(path));
	assert_null(function_route(org, str_n(path, sizeof(path)), &rest));
	path[FUNCTION_ROUTE_MAX] = '/';
	assert_ptr_equal(function_route(org, str_n(path, sizeof(path)), &rest), function);
	assert_int_equal(rest.len, sizeof(path) - FUNCTION_ROUTE_MAX);
	memset(path, '/', sizeof(path));
	assert_null(function_route(org, str_n(path, sizeof(path)), &rest));
}

/* ---- put ---- */

static void
a_function_becomes_ready_and_serves(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version = kit_put(kit, "hello");
	struct function *function = kit_function(kit, "hello");

	assert_non_null(version);
	assert_int_equal(version->number, 1);
	assert_int_equal(function_state(function), FUNCTION_INITIALIZING);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version"), 1);
	kit_settle(kit, version);
	assert_int_equal(function_state(function), FUNCTION_READY);
	assert_ptr_equal(function->active, version);
	assert_string_equal(version->handler, "index.handler");
	assert_string_equal(version->runtime, "node20");
	assert_string_equal(function->route, "hello");
	kit_turn(kit, 3);
	assert_int_equal(kit_count(kit, "SELECT active_version FROM function"), 1);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version WHERE state = 'ready'"), 1);
}

static void
assert_put_refused(struct kit *kit, const struct function_spec *spec, unsigned flags, int code,
	const char *field) ON_LOOP
{
	assert_null(kit_put_spec(kit, kit_org(kit, "acme"), spec, flags));
	assert_int_equal(kit->code, code);
	assert_string_equal(kit->err.field, field);
}

static void
what_a_function_may_not_be_names_its_field(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "hello");
	const struct function_spec good = spec;

	spec.name = STR("Hello");
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "name");
	spec = good;
	spec.runtime = STR("cobol");
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "runtime");
	assert_non_null(strstr(kit->err.text, "node20, python3.11"));
	spec = good;
	spec.route = STR("a//b");
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "route");
	spec = good;
	spec.handler = STR("a\nb");
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "handler");
	spec = good;
	spec.filename = STR("a/b.js");
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "filename");
	spec = good;
	spec.config.limits.memory_mib = 47;
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "limits.memory_mib");
	spec = good;
	memset(spec.source, 'f', 64);
	assert_put_refused(kit, &spec, 0, ERR_INVALID, "code");
	assert_null(kit_function(kit, "hello"));
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM function"), 0);
	assert_int_equal(kit->n_pools, 0);
}

static void
a_route_belongs_to_one_function(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "b");
	struct str rest;

	kit_deploy(kit, "a");
	spec.route = STR("/a/");
	assert_put_refused(kit, &spec, 0, ERR_CONFLICT, "route");
	assert_non_null(strstr(kit->err.text, "function a"));
	spec.route = STR("a/deeper");
	assert_non_null(kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0));
	assert_non_null(kit_put_spec(kit, kit_org(kit, "other"), &spec, 0));
	spec.name = STR("a");
	spec.route = STR("moved");
	assert_non_null(kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0));
	assert_null(function_route(kit_org(kit, "acme"), STR("a"), &rest));
	assert_ptr_equal(
		function_route(kit_org(kit, "acme"), STR("moved"), &rest), kit_function(kit, "a"));
	spec.route = STR("");
	assert_non_null(kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0));
	assert_string_equal(kit_function(kit, "a")->route, "moved");
}

static void
what_must_be_new_is_refused_when_it_is_there(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "hello");

	assert_non_null(kit_put_spec(kit, kit_org(kit, "acme"), &spec, FUNCTION_MUST_BE_NEW));
	assert_put_refused(kit, &spec, FUNCTION_MUST_BE_NEW, ERR_CONFLICT, "name");
}

static void
two_puts_at_once_make_two_versions_and_the_newer_serves(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "hello");
	struct function *function;

	function_put(kit_org(kit, "acme"), &spec, 0, kit_told, kit);
	function_put(kit_org(kit, "acme"), &spec, 0, kit_told, kit);
	kit_await(kit);
	function = kit_function(kit, "hello");
	assert_int_equal(function->last_version, 2);
	kit_settle(kit, function_version(function, 1));
	kit_settle(kit, function_version(function, 2));
	assert_int_equal(function->active->number, 2);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version"), 2);
}

static void
only_so_many_versions_are_under_way(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function_spec spec = kit_spec(kit, "hello");

	kit->probe.is_held = true;
	for (unsigned i = 0; i < 16; i++)
		assert_non_null(kit_put(kit, "hello"));
	assert_put_refused(kit, &spec, 0, ERR_CONFLICT, "");
	kit->probe.is_held = false;
	kit_settle(kit, function_version(kit_function(kit, "hello"), 16));
	kit_deploy(kit, "hello");
	assert_int_equal(kit_function(kit, "hello")->active->number, 17);
}

/* The probe of version 1 is answered after that of version 2. */
static void
an_older_version_that_becomes_ready_late_does_not_serve(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *first, *second;

	kit->probe.is_held = true;
	first = kit_put(kit, "hello");
	kit_turn(kit, 10);
	assert_int_equal(kit->n_probes, 1);
	struct list held = kit->probes;

	held.next->prev = held.prev->next = &held;
	list_init(&kit->probes);
	kit->probe.is_held = false;
	second = kit_deploy(kit, "hello");
	assert_ptr_equal(kit_function(kit, "hello")->active, second);
	list_insert_(held.next, &kit->probes, &kit->probes);
	kit_settle(kit, first);
	assert_int_equal(first->state, VERSION_READY);
	assert_ptr_equal(kit_function(kit, "hello")->active, second);
	assert_int_equal(function_state(kit_function(kit, "hello")), FUNCTION_READY);
}

static void
an_update_serves_only_when_it_is_ready(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *first = kit_deploy(kit, "hello"), *second;
	struct function *function = kit_function(kit, "hello");

	kit->probe.is_held = true;
	second = kit_put(kit, "hello");
	kit_turn(kit, 5);
	assert_int_equal(function_state(function), FUNCTION_UPDATING);
	assert_ptr_equal(function->active, first);
	kit->probe.is_held = false;
	kit_settle(kit, second);
	assert_int_equal(function_state(function), FUNCTION_READY);
	assert_ptr_equal(function->active, second);
}

static void
a_failed_update_leaves_what_serves(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *first = kit_deploy(kit, "hello"), *second;

	kit->probe.code = ERR_FUNCTION_FAILED;
	kit->probe.reason = "SyntaxError: Unexpected token (index.js:3)";
	second = kit_deploy(kit, "hello");
	assert_int_equal(second->state, VERSION_FAILED);
	assert_string_equal(second->reason, kit->probe.reason);
	assert_ptr_equal(kit_function(kit, "hello")->active, first);
	assert_int_equal(function_state(kit_function(kit, "hello")), FUNCTION_READY);
}

static void
a_first_version_that_fails_leaves_a_failed_function_that_can_be_put_again(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit->probe.code = ERR_FUNCTION_FAILED;
	kit->probe.reason = "no handler";
	kit_deploy(kit, "hello");
	assert_int_equal(function_state(kit_function(kit, "hello")), FUNCTION_FAILED);
	kit->probe.code = 0;
	kit_deploy(kit, "hello");
	assert_int_equal(function_state(kit_function(kit, "hello")), FUNCTION_READY);
	assert_int_equal(kit_function(kit, "hello")->active->number, 2);
}

static void
only_so_many_versions_are_kept(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function *function;

	kit->domain.config.keep_versions = 2;
	for (unsigned i = 0; i < 4; i++)
		kit_deploy(kit, "hello");
	kit_turn(kit, 5);
	function = kit_function(kit, "hello");
	assert_null(function_version(function, 2));
	assert_non_null(function_version(function, 3));
	assert_ptr_equal(function->active, function_version(function, 4));
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version"), 2);
	assert_int_equal(kit->n_pools, 2);
	assert_int_equal(kit_count(kit, "SELECT last_version FROM function"), 4);
}

/* ---- rollback ---- */

static int
rollback(struct kit *kit, uint32_t number) ON_LOOP
{
	kit->is_told = false;
	function_rollback(kit_function(kit, "hello"), number, kit_told, kit);
	kit_await(kit);
	return kit->code;
}

static void
a_rollback_goes_to_a_version_or_to_the_one_before(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct function *function;

	for (unsigned i = 0; i < 3; i++)
		kit_deploy(kit, "hello");
	function = kit_function(kit, "hello");
	assert_int_equal(rollback(kit, 0), 0);
	assert_int_equal(function->active->number, 2);
	assert_int_equal(rollback(kit, 3), 0);
	assert_int_equal(function->active->number, 3);
	assert_int_equal(rollback(kit, 1), 0);
	assert_int_equal(function->active->number, 1);
	assert_int_equal(rollback(kit, 0), ERR_NOT_FOUND);
	assert_int_equal(rollback(kit, 9), ERR_NOT_FOUND);
	assert_int_equal(kit_count(kit, "SELECT active_version FROM function"), 1);
	kit_reopen(kit);
	assert_int_equal(kit_function(kit, "hello")->active->number, 1);
}

static void
a_version_that_failed_cannot_be_rolled_back_to(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit_deploy(kit, "hello");
	kit->probe.code = ERR_FUNCTION_FAILED;
	kit->probe.reason = "no";
	kit_deploy(kit, "hello");
	assert_int_equal(rollback(kit, 2), ERR_CONFLICT);
	assert_string_equal(kit->err.field, "version");
}

static void
a_rollback_wins_over_what_was_put_before_it(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *third;

	kit_deploy(kit, "hello");
	kit_deploy(kit, "hello");
	kit->probe.is_held = true;
	third = kit_put(kit, "hello");
	assert_int_equal(rollback(kit, 1), 0);
	kit->probe.is_held = false;
	kit_settle(kit, third);
	assert_int_equal(kit_function(kit, "hello")->active->number, 1);
	kit_deploy(kit, "hello");
	assert_int_equal(kit_function(kit, "hello")->active->number, 4);
}

static void
a_rollback_stays_one_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version;

	kit_deploy(kit, "hello");
	kit_deploy(kit, "hello");
	kit->probe.is_held = true;
	kit_put(kit, "hello");
	assert_int_equal(rollback(kit, 1), 0);
	kit_reopen(kit);
	assert_int_equal(kit_function(kit, "hello")->active->number, 1);
	kit->probe.is_held = false;
	version = function_version(kit_function(kit, "hello"), 3);
	kit_settle(kit, version);
	assert_int_equal(version->state, VERSION_READY);
}

/* ---- delete ---- */

static void
delete_now(struct kit *kit, const char *name) ON_LOOP
{
	kit->is_told = false;
	function_delete(kit_function(kit, name), kit_told, kit);
}

static void
a_deleted_function_is_not_found_at_once_and_its_name_is_free(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct str rest;

	kit_deploy(kit, "hello");
	delete_now(kit, "hello");
	assert_null(kit_function(kit, "hello"));
	assert_null(function_route(kit_org(kit, "acme"), STR("hello"), &rest));
	struct version *again = kit_deploy(kit, "hello");

	assert_int_equal(again->number, 1);
	assert_int_equal(function_state(again->function), FUNCTION_READY);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM function"), 1);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version"), 1);
	assert_int_equal(kit->n_pools, 1);
}

static void
what_only_a_deleted_function_used_leaves_the_disk(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit_deploy(kit, "a");
	kit_deploy(kit, "b");
	assert_int_equal(kit->trees.len, 1);
	delete_now(kit, "a");
	kit_await(kit);
	kit_turn(kit, 5);
	assert_int_equal(kit->trees.len, 1);
	delete_now(kit, "b");
	kit_await(kit);
	kit_turn(kit, 5);
	assert_int_equal(kit->trees.len, 0);
	assert_int_equal(kit->n_pools, 0);
	assert_int_equal(kit->domain.shelf.len, 0);
}

static void
a_deleted_function_lives_until_its_last_call_is_over(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version = kit_deploy(kit, "hello");
	struct function *function = version->function;

	version_hold(version);
	function->n_calls++;
	delete_now(kit, "hello");
	kit_await(kit);
	kit_turn(kit, 5);
	assert_int_equal(function_state(function), FUNCTION_DELETING);
	assert_int_equal(kit->trees.len, 1);
	assert_int_equal(kit->n_pools, 1);
	function->n_calls--;
	version_release(version);
	kit_turn(kit, 5);
	assert_true(list_is_empty(&kit->domain.leaving));
	assert_int_equal(kit->n_pools, 0);
	assert_int_equal(kit->trees.len, 0);
}

static void
a_function_that_is_deleted_while_it_is_built_is_gone(void **state)
{
	OWN(kit) struct kit *kit = kit_open();

	kit->unpack.is_held = true;
	kit_put(kit, "hello");
	kit_turn(kit, 5);
	assert_int_equal(kit->n_sandboxes, 1);
	delete_now(kit, "hello");
	kit_await(kit);
	kit_turn(kit, 10);
	assert_int_equal(kit->n_sandboxes, 0);
	assert_int_equal(kit->n_pools, 0);
	assert_int_equal(kit->trees.len, 0);
	assert_true(list_is_empty(&kit->domain.leaving));
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM version"), 0);
}

static void
an_org_goes_with_its_functions(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version = kit_deploy(kit, "hello");

	version_hold(version);
	version->function->n_calls++;
	kit->is_told = false;
	org_delete(kit_org(kit, "acme"), kit_org_told, kit);
	assert_null(org_find(&kit->domain, STR("acme")));
	kit_await(kit);
	kit_turn(kit, 5);
	assert_string_equal(version->function->org->name, "acme");
	version->function->n_calls--;
	version_release(version);
	kit_turn(kit, 5);
	assert_int_equal(kit->n_pools, 0);
	assert_int_equal(kit->trees.len, 0);
	assert_int_equal(kit_count(kit, "SELECT count(*) FROM function"), 0);
	assert_non_null(kit_org(kit, "acme"));
	org_create(&kit->domain, STR("acme"), kit_org_told, kit);
	kit_await(kit);
	assert_int_equal(kit->code, ERR_CONFLICT);
}

/* ---- watching ---- */

struct watching {
	struct function_watch watch;
	char states[256];
	bool is_gone;
};

static void
on_changed(struct function_watch *watch, struct function *function)
{
	struct watching *watching = list_owner(watch, struct watching, watch);
	size_t len = strlen(watching->states);

	if (function)
		snprintf(watching->states + len, sizeof(watching->states) - len, "%s ",
			function_state_word(function_state(function)));
	else
		watching->is_gone = true;
}

static void
who_watches_sees_each_state_and_the_end(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct watching watching = {.watch.changed = on_changed};
	struct version *version = kit_put(kit, "hello");

	list_init(&watching.watch.link);
	function_watch(version->function, &watching.watch);
	kit_settle(kit, version);
	kit_deploy(kit, "hello");
	delete_now(kit, "hello");
	kit_await(kit);
	assert_string_equal(watching.states, "ready updating ready deleting ");
	assert_true(watching.is_gone);
	assert_true(list_is_empty(&watching.watch.link));
}

static void
who_stops_to_watch_is_not_told(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct watching watching = {.watch.changed = on_changed};
	struct version *version = kit_put(kit, "hello");

	list_init(&watching.watch.link);
	function_watch(version->function, &watching.watch);
	function_unwatch(&watching.watch);
	kit_settle(kit, version);
	assert_string_equal(watching.states, "");
}

/* ---- restart ---- */

static void
a_restart_brings_every_function_back_to_its_state(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	unsigned n_probes;

	kit_deploy(kit, "ready");
	kit->probe.code = ERR_FUNCTION_FAILED;
	kit->probe.reason = "because";
	kit_deploy(kit, "failed");
	kit->probe.code = 0;
	kit_turn(kit, 5);
	n_probes = kit->n_probes;
	kit_reopen(kit);
	kit_turn(kit, 10);
	assert_int_equal(function_state(kit_function(kit, "ready")), FUNCTION_READY);
	assert_int_equal(function_state(kit_function(kit, "failed")), FUNCTION_FAILED);
	assert_string_equal(function_version(kit_function(kit, "failed"), 1)->reason, "because");
	assert_int_equal(kit->n_probes, n_probes);
	assert_int_equal(kit->trees.len, 1);
}

static void
what_was_initializing_is_built_again_after_a_restart(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version;

	kit->probe.is_held = true;
	kit_put(kit, "hello");
	kit_turn(kit, 10);
	kit_reopen(kit);
	kit->probe.is_held = false;
	version = function_version(kit_function(kit, "hello"), 1);
	assert_int_equal(version->state, VERSION_INITIALIZING);
	kit_settle(kit, version);
	assert_ptr_equal(kit_function(kit, "hello")->active, version);
}

static void
trees_that_are_lost_are_unpacked_again_without_an_instance(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	struct version *version;
	unsigned n_probes;

	kit_deploy(kit, "hello");
	kit_deploy(kit, "hello");
	kit_turn(kit, 5);
	n_probes = kit->n_probes;
	map_done(&kit->trees);
	kit->unpack.is_held = true;
	kit_reopen(kit);
	version = function_version(kit_function(kit, "hello"), 2);
	assert_int_equal(function_state(kit_function(kit, "hello")), FUNCTION_INITIALIZING);
	kit->unpack.is_held = false;
	kit_settle(kit, version);
	assert_ptr_equal(kit_function(kit, "hello")->active, version);
	assert_int_equal(kit->n_probes, n_probes);
	assert_int_equal(kit->trees.len, 1);
	map_done(&kit->trees);
	map_remove(&kit->domain.shelf, STR("none"));
	assert_int_equal(rollback(kit, 1), 0);
	kit_settle(kit, function_version(kit_function(kit, "hello"), 1));
	assert_int_equal(kit_function(kit, "hello")->active->number, 1);
}

static void
trees_that_nobody_uses_leave_the_disk_at_a_start(void **state)
{
	OWN(kit) struct kit *kit = kit_open();
	OWN(mem)
	char *path = mem_printf("%s/trees/%064d", kit->folder, 7);
	char name[ID_SHA256_SIZE];

	snprintf(name, sizeof(name), "%064d", 7);
	assert_int_equal(path_make(path, 0755, &kit->err), 0);
	map_put(&kit->trees, str_of(name), kit);
	kit_reopen(kit);
	kit_turn(kit, 5);
	assert_int_equal(kit->trees.len, 0);
}

UNIT_TESTS(it(routes_are_kept_without_slashes_at_their_ends),
	it(routes_that_no_path_could_mean_are_refused), it(a_route_has_at_most_255_bytes),
	it(the_longest_route_of_whole_segments_is_found),
	it(a_path_that_is_longer_than_any_route_is_matched_by_its_beginning),
	it(a_function_becomes_ready_and_serves), it(what_a_function_may_not_be_names_its_field),
	it(a_route_belongs_to_one_function), it(what_must_be_new_is_refused_when_it_is_there),
	it(two_puts_at_once_make_two_versions_and_the_newer_serves),
	it(only_so_many_versions_are_under_way),
	it(an_older_version_that_becomes_ready_late_does_not_serve),
	it(an_update_serves_only_when_it_is_ready), it(a_failed_update_leaves_what_serves),
	it(a_first_version_that_fails_leaves_a_failed_function_that_can_be_put_again),
	it(only_so_many_versions_are_kept), it(a_rollback_goes_to_a_version_or_to_the_one_before),
	it(a_version_that_failed_cannot_be_rolled_back_to),
	it(a_rollback_wins_over_what_was_put_before_it), it(a_rollback_stays_one_after_a_restart),
	it(a_deleted_function_is_not_found_at_once_and_its_name_is_free),
	it(what_only_a_deleted_function_used_leaves_the_disk),
	it(a_deleted_function_lives_until_its_last_call_is_over),
	it(a_function_that_is_deleted_while_it_is_built_is_gone),
	it(an_org_goes_with_its_functions), it(who_watches_sees_each_state_and_the_end),
	it(who_stops_to_watch_is_not_told), it(a_restart_brings_every_function_back_to_its_state),
	it(what_was_initializing_is_built_again_after_a_restart),
	it(trees_that_are_lost_are_unpacked_again_without_an_instance),
	it(trees_that_nobody_uses_leave_the_disk_at_a_start))
