/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/function.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "domain/build.h"
#include "domain/function_change.h"
#include "domain/pool.h"
#include "domain/shelf.h"

#define ROUTE_MAX 255

/* ---- state ---- */

static const char *const state_words[] = {
	[FUNCTION_INITIALIZING] = "initializing",
	[FUNCTION_READY] = "ready",
	[FUNCTION_UPDATING] = "updating",
	[FUNCTION_FAILED] = "failed",
	[FUNCTION_DELETING] = "deleting",
};

const char *
function_state_word(enum function_state state)
{
	return state_words[state];
}

/* Whether a version that is being made ready will serve by itself. */
static bool
function_awaits(const struct function *function, const struct version *version)
{
	return version->number > function->newest || version->number == function->wanted;
}

enum function_state
function_state(const struct function *function)
{
	bool is_awaiting = false, is_making = false;
	struct version *version;

	if (function->is_deleting)
		return FUNCTION_DELETING;
	list_each (&function->versions, version, link) {
		if (version->state != VERSION_INITIALIZING)
			continue;
		is_making = true;
		is_awaiting |= function_awaits(function, version);
	}
	if (function->active)
		return is_awaiting ? FUNCTION_UPDATING : FUNCTION_READY;
	return is_making ? FUNCTION_INITIALIZING : FUNCTION_FAILED;
}

/* ---- watchers ---- */

/* Who watches may stop, let others stop, or start to watch again while it is told. */
static void
function_changed(struct function *function, bool is_gone) ON_LOOP
{
	struct function_watch *watch;
	struct list told;

	list_init(&told);
	while ((watch = list_first(&function->watchers, struct function_watch, link))) {
		list_remove(&watch->link);
		list_push_back(&told, &watch->link);
	}
	while ((watch = list_first(&told, struct function_watch, link))) {
		list_remove(&watch->link);
		if (!is_gone)
			list_push_back(&function->watchers, &watch->link);
		watch->changed(watch, is_gone ? NULL : function);
	}
}

void
function_watch(struct function *function, struct function_watch *watch)
{
	list_push_back(&function->watchers, &watch->link);
}

void
function_unwatch(struct function_watch *watch)
{
	list_remove(&watch->link);
}

/* ---- finding ---- */

struct function *
function_find(const struct org *org, struct str name)
{
	return map_find(&org->functions, name);
}

struct version *
function_version(const struct function *function, uint32_t number)
{
	struct version *version;

	list_each (&function->versions, version, link)
		if (version->number == number)
			return version;
	return NULL;
}

/* No route is longer than ROUTE_MAX, so a path costs no more look-ups than that has segments. */
struct function *
function_route(const struct org *org, struct str path, struct str *ret_rest)
{
	for (size_t len = path.len < ROUTE_MAX + 1 ? path.len : ROUTE_MAX + 1; len > 0; len--) {
		struct function *function;

		if (len < path.len && path.at[len] != '/')
			continue;
		function = map_find(&org->routes, str_n(path.at, len));
		if (!function)
			continue;
		*ret_rest = str_n(path.at + len, path.len - len);
		return function;
	}
	return NULL;
}

/* ---- routes ---- */

static bool
is_route_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._~-", c));
}

static int
check_segment(struct str segment, struct err *err)
{
	if (!segment.len)
		return err_field(err, ERR_INVALID, "route", "route has an empty segment");
	if (str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
		return err_field(err, ERR_INVALID, "route", "route has the segment '%.*s'",
			STR_ARG(segment));
	for (size_t i = 0; i < segment.len; i++)
		if (!is_route_char(segment.at[i]))
			return err_field(err, ERR_INVALID, "route",
				"route must have segments of letters, digits, '.', '_', '~' and "
				"'-', with '/' between them");
	return 0;
}

int
function_check_route(struct str route, char ret[static ROUTE_MAX + 1], struct err *err)
{
	struct str rest;

	if (route.len && route.at[0] == '/')
		route = str_n(route.at + 1, route.len - 1);
	if (route.len && route.at[route.len - 1] == '/')
		route.len--;
	if (route.len > ROUTE_MAX)
		return err_field(
			err, ERR_INVALID, "route", "route has more than %d bytes", ROUTE_MAX);
	rest = route;
	do {
		int rc = check_segment(str_cut(&rest, '/'), err);

		if (rc < 0)
			return rc;
	} while (rest.len);
	memcpy(ret, route.at, route.len);
	ret[route.len] = '\0';
	return 0;
}

/* ---- life ---- */

struct function *
function_add(struct org *org, const char *name, const char *route)
{
	struct function *function = mem_new(sizeof(*function));

	list_init(&function->link);
	list_init(&function->versions);
	list_init(&function->dropped);
	list_init(&function->watchers);
	function->org = org;
	snprintf(function->name, sizeof(function->name), "%s", name);
	snprintf(function->route, sizeof(function->route), "%s", route);
	map_put(&org->functions, str_of(function->name), function);
	map_put(&org->routes, str_of(function->route), function);
	return function;
}

void
function_leave(struct function *function)
{
	struct version *version;

	function->is_deleting = true;
	function->active = NULL;
	list_push_back(&function->org->domain->leaving, &function->link);
	function->org->n_leaving++;
	function_changed(function, true);
	function->n_calls++; /* so that it outlives its last version here */
	while ((version = list_first(&function->versions, struct version, link)))
		version_drop(version);
	function->n_calls--;
	function_settle(function);
}

void
function_settle(struct function *function)
{
	struct org *org = function->org;

	if (list_is_empty(&function->link) || function->n_calls ||
		!list_is_empty(&function->versions) || !list_is_empty(&function->dropped))
		return;
	list_remove(&function->link);
	free(function);
	org->n_leaving--;
	org_settle(org);
}

static void
free_versions(struct list *versions)
{
	struct version *version;

	while ((version = list_first(versions, struct version, link)))
		version_free(version);
}

void
function_free(struct function *function)
{
	free_versions(&function->versions);
	free_versions(&function->dropped);
	list_remove(&function->link);
	free(function);
}

/* ---- versions ---- */

static bool
can_go(const struct function *function, const struct version *version)
{
	return version != function->active && version->number != function->wanted &&
	       version->state != VERSION_INITIALIZING;
}

/* The oldest go when there are more than are kept. */
static void
function_prune(struct function *function) ON_LOOP
{
	unsigned keep = function->org->domain->config.keep_versions;
	struct version *version;
	unsigned n = 0;

	list_each (&function->versions, version, link)
		n++;
	list_each (&function->versions, version, link) {
		if (n <= keep)
			return;
		if (!can_go(function, version))
			continue;
		n--;
		function_change_forget(version);
		version_drop(version);
	}
}

static void
function_switch(struct function *function, struct version *version) ON_LOOP
{
	struct version *before = function->active;

	if (before == version)
		return;
	function->active = version;
	function->updated_ms = clock_unix_ms();
	if (version && version->pool)
		pool_serve(version->pool);
	if (before && before->pool)
		pool_retire(before->pool);
}

/* What was served already and is only brought back: the store knows it as it is. */
static bool
is_brought_back(const struct version *version)
{
	return version->ready_ms != 0 && version->state == VERSION_FAILED;
}

static void
settled_stored(struct function_change *change) ON_LOOP
{
	if (change->message.code < 0 && change->message.code != ERR_NOT_FOUND)
		log_error("version.not_stored", "org=%s function=%s version=%" PRIu32 " reason=%s",
			change->row.org, change->row.name, change->version_row.number,
			log_q(change->message.err.text));
}

/* Served before it is stored: what a crash forgets is made ready again. */
void
function_settled(struct version *version)
{
	struct function *function = version->function;
	struct function_change *change;

	if (version->state == VERSION_READY && function_awaits(function, version)) {
		if (version->number > function->newest)
			function->newest = version->number;
		function->wanted = 0;
		function_switch(function, version);
	} else if (version->state == VERSION_READY && version->pool) {
		pool_retire(version->pool);
	}
	if (!is_brought_back(version)) {
		change = function_change_new(function, version, 0);
		change->stored = settled_stored;
		function_change_ask(change);
	}
	function_prune(function);
	function_changed(function, false);
}

/* ---- put ---- */

static int
find_language(const struct function_spec *spec, const struct language **ret, struct err *err)
{
	OWN(mem) char *name = str_dup(spec->runtime);
	char known[160] = "";

	*ret = language_find(name);
	if (*ret)
		return 0;
	for (size_t i = 0; language_each(i); i++) {
		size_t len = strlen(known);

		snprintf(known + len, sizeof(known) - len, "%s%s", i ? ", " : "",
			language_each(i)->name);
	}
	return err_field(err, ERR_INVALID, "runtime",
		"runtime '%.32s' is not on this host; it has %s", name, known);
}

/* One line of text that ends up in an environment or in a path. */
static int
check_line(struct str text, const char *field, size_t max, struct err *err)
{
	if (text.len > max)
		return err_field(err, ERR_INVALID, field, "%s has more than %zu bytes", field, max);
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.at[i] < ' ' || text.at[i] == 127)
			return err_field(
				err, ERR_INVALID, field, "%s has a control character", field);
	if (!str_is_utf8(text))
		return err_field(err, ERR_INVALID, field, "%s is not UTF-8", field);
	return 0;
}

static int
check_filename(struct str name, struct err *err)
{
	int rc = check_line(name, "filename", 127, err);

	if (rc < 0)
		return rc;
	if (memchr(name.len ? name.at : "", '/', name.len) || str_eq(name, STR(".")) ||
		str_eq(name, STR("..")))
		return err_field(
			err, ERR_INVALID, "filename", "filename must be a name without '/'");
	return 0;
}

static int
check_memory(const struct function_spec *spec, const struct language *language, struct err *err)
{
	if (spec->config.limits.memory_mib >= language->memory_floor_mib)
		return 0;
	return err_field(err, ERR_INVALID, "limits.memory_mib",
		"limits.memory_mib must be at least %" PRIu32 " for %s", language->memory_floor_mib,
		language->name);
}

static int
check_spec(const struct function_spec *spec, const struct language **ret, struct err *err)
{
	int rc = id_check_name(spec->name, "name", err);

	if (rc >= 0)
		rc = find_language(spec, ret, err);
	if (rc >= 0)
		rc = check_line(spec->handler, "handler", 255, err);
	if (rc >= 0)
		rc = check_filename(spec->filename, err);
	if (rc >= 0 && !id_is_sha256(str_of(spec->source)))
		rc = err_field(err, ERR_INVALID, "code", "code is named by 64 hex digits");
	if (rc >= 0)
		rc = check_memory(spec, *ret, err);
	return rc;
}

/* The route that the function will have: the one asked for, the one it has, or its name. */
static int
choose_route(const struct org *org, const struct function *function,
	const struct function_spec *spec, char ret[static ROUTE_MAX + 1], struct err *err)
{
	struct str wish = spec->route;
	struct function *other;
	int rc;

	if (!wish.len)
		wish = function ? str_of(function->route) : spec->name;
	rc = function_check_route(wish, ret, err);
	if (rc < 0)
		return rc;
	other = map_find(&org->routes, str_of(ret));
	if (other && other != function)
		return err_field(err, ERR_CONFLICT, "route", "route '%s' belongs to function %s",
			ret, other->name);
	return 0;
}

static void
set_route(struct function *function, const char *route)
{
	map_remove(&function->org->routes, str_of(function->route));
	snprintf(function->route, sizeof(function->route), "%s", route);
	map_put(&function->org->routes, str_of(function->route), function);
}

static struct version *
add_version(struct function *function, const struct function_spec *spec,
	const struct language *language)
{
	struct version *version = version_new(function, ++function->last_version);
	const char *handler = language->handler ? language->handler : "";

	version->language = language;
	version->created_ms = clock_unix_ms();
	snprintf(version->runtime, sizeof(version->runtime), "%s", language->name);
	snprintf(version->handler, sizeof(version->handler), "%.*s",
		STR_ARG(spec->handler.len ? spec->handler : str_of(handler)));
	snprintf(version->source, sizeof(version->source), "%s", spec->source);
	snprintf(version->filename, sizeof(version->filename), "%.*s", STR_ARG(spec->filename));
	version_config_copy(&spec->config, &version->config);
	version->pool = pool_new(version);
	return version;
}

/* The store refused: as if it had not been asked. */
static void
put_undo(struct function_change *change) ON_LOOP
{
	struct function *function = change->function;

	version_drop(change->version);
	if (function->is_deleting)
		return;
	if (strcmp(function->route, change->row.route) == 0 &&
		!map_find(&function->org->routes, str_of(change->route_before)))
		set_route(function, change->route_before);
	if (function->is_stored || !list_is_empty(&function->versions)) {
		function_changed(function, false);
		return;
	}
	map_remove(&function->org->functions, str_of(function->name));
	map_remove(&function->org->routes, str_of(function->route));
	function_leave(function);
}

static void
put_stored(struct function_change *change) ON_LOOP
{
	struct function *function = change->function;
	struct version *version = change->version;

	if (change->message.code < 0) {
		put_undo(change);
		change->done(change->message.code, NULL, NULL, &change->message.err, change->arg);
		return;
	}
	function->is_stored = true;
	if (!function->is_deleting && !version->is_dropped)
		build_start(version);
	change->done(0, function, version, NULL, change->arg);
}

void
function_put(struct org *org, const struct function_spec *spec, unsigned flags,
	function_done_fn *done, void *arg)
{
	struct function *function = function_find(org, spec->name);
	bool is_new = !function;
	const struct language *language;
	struct function_change *change;
	char route[ROUTE_MAX + 1];
	struct err err = {0};
	int rc = check_spec(spec, &language, &err);

	if (rc >= 0 && function && (flags & FUNCTION_MUST_BE_NEW))
		rc = err_field(&err, ERR_CONFLICT, "name", "there is a function %s already",
			function->name);
	if (rc >= 0)
		rc = choose_route(org, function, spec, route, &err);
	if (rc < 0) {
		done(rc, NULL, NULL, &err, arg);
		return;
	}
	if (is_new) {
		OWN(mem) char *name = str_dup(spec->name);

		function = function_add(org, name, route);
		function->created_ms = clock_unix_ms();
	}
	OWN(mem) char *route_before = str_dup(str_of(function->route));

	set_route(function, route);
	function->updated_ms = clock_unix_ms();
	change = function_change_new(function, add_version(function, spec, language),
		FUNCTION_CHANGE_NEW_VERSION | (is_new ? FUNCTION_CHANGE_NEW : 0));
	snprintf(change->route_before, sizeof(change->route_before), "%s", route_before);
	change->stored = put_stored;
	change->done = done;
	change->arg = arg;
	function_change_ask(change);
	function_changed(function, false);
}

/* ---- rollback ---- */

static struct version *
ready_before(const struct function *function, uint32_t number)
{
	struct version *found = NULL;
	struct version *version;

	list_each (&function->versions, version, link)
		if (version->number < number && version->state == VERSION_READY)
			found = version;
	return found;
}

static int
choose_version(
	const struct function *function, uint32_t number, struct version **ret, struct err *err)
{
	uint32_t active = function->active ? function->active->number : 0;

	*ret = number ? function_version(function, number) : ready_before(function, active);
	if (!*ret && number)
		return err_field(err, ERR_NOT_FOUND, "version", "%s has no version %" PRIu32,
			function->name, number);
	if (!*ret)
		return err_field(err, ERR_NOT_FOUND, "version",
			"%s has no ready version before %" PRIu32, function->name, active);
	if ((*ret)->state != VERSION_READY)
		return err_field(err, ERR_CONFLICT, "version",
			"version %" PRIu32 " of %s is %s and cannot serve", number, function->name,
			version_state_word((*ret)->state));
	return 0;
}

/* A later decision stands: what is undone is only this one. */
static void
rollback_stored(struct function_change *change) ON_LOOP
{
	struct function *function = change->function;
	int code = change->message.code;

	if (code < 0 && function->active == change->version && change->before &&
		!change->before->is_dropped && !function->is_deleting) {
		function_switch(function, change->before);
		function_changed(function, false);
	}
	if (code < 0)
		change->done(code, NULL, NULL, &change->message.err, change->arg);
	else
		change->done(0, function, change->version, NULL, change->arg);
	if (change->before)
		version_release(change->before);
}

/* What is not on disk any more is brought back, and serves then. */
static void
rollback_switch(struct function *function, struct version *version) ON_LOOP
{
	struct domain *domain = function->org->domain;

	function->newest = function->last_version;
	if (shelf_has(domain, version->tree) && shelf_has(domain, version->deps)) {
		function->wanted = 0;
		function_switch(function, version);
		return;
	}
	function->wanted = version->number;
	version->state = VERSION_INITIALIZING;
	build_start(version);
}

void
function_rollback(struct function *function, uint32_t number, function_done_fn *done, void *arg)
{
	struct version *before = function->active;
	struct function_change *change;
	struct version *version;
	struct err err = {0};
	int rc = choose_version(function, number, &version, &err);

	if (rc < 0) {
		done(rc, NULL, NULL, &err, arg);
		return;
	}
	rollback_switch(function, version);
	change = function_change_new(function, version, 0);
	change->before = before;
	if (before)
		version_hold(before);
	change->stored = rollback_stored;
	change->done = done;
	change->arg = arg;
	function_change_ask(change);
	function_changed(function, false);
}

/* ---- delete ---- */

struct function_deletion {
	struct store_message message;
	struct function *function; /* borrowed: it goes when this is done */
	char org[64], name[64];
	function_done_fn *done;
	void *arg; /* borrowed */
};

static int
delete_work(struct store_db *db, struct store_message *message, struct err *err)
{
	struct function_deletion *deletion = list_owner(message, struct function_deletion, message);
	int rc;

	thread_on_store();
	rc = row_function_delete(db, deletion->org, deletion->name, err);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The store kept it: it is there again, unless its name or route is another's by now. */
static void
delete_undo(struct function *function) ON_LOOP
{
	struct org *org = function->org;

	if (org->is_deleting || function_find(org, str_of(function->name)) ||
		map_find(&org->routes, str_of(function->route))) {
		function_leave(function);
		return;
	}
	function->is_deleting = false;
	map_put(&org->functions, str_of(function->name), function);
	map_put(&org->routes, str_of(function->route), function);
	function_changed(function, false);
}

static void
delete_done(struct store_message *message)
{
	OWN(mem)
	struct function_deletion *deletion = list_owner(message, struct function_deletion, message);

	thread_on_loop();
	if (message->code < 0)
		delete_undo(deletion->function);
	else
		function_leave(deletion->function);
	deletion->done(
		message->code, NULL, NULL, message->code < 0 ? &message->err : NULL, deletion->arg);
}

void
function_delete(struct function *function, function_done_fn *done, void *arg)
{
	struct function_deletion *deletion = mem_new(sizeof(*deletion));
	struct org *org = function->org;

	must(!function->is_deleting);
	function->is_deleting = true;
	map_remove(&org->functions, str_of(function->name));
	map_remove(&org->routes, str_of(function->route));
	deletion->function = function;
	snprintf(deletion->org, sizeof(deletion->org), "%s", org->name);
	snprintf(deletion->name, sizeof(deletion->name), "%s", function->name);
	deletion->done = done;
	deletion->arg = arg;
	deletion->message.work = delete_work;
	deletion->message.done = delete_done;
	store_ask(org->domain->store, &deletion->message);
	function_changed(function, false);
}
