/* SPDX-License-Identifier: Apache-2.0 */
/* put: a function is created, or gets a new version. */
#include "domain/function.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/own.h"
#include "domain/build.h"
#include "domain/function_change.h"
#include "domain/pool.h"

#define UNDER_WAY_MAX 16

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

/* A wish is for this machine: who says `fork` wants no other way. */
static int
check_mechanism(const struct function_spec *spec, const struct language *language, struct err *err)
{
	enum mechanism wish = spec->config.mechanism;
	const char *obstacle = wish == MECHANISM_AUTO ? NULL : mechanism_obstacle(language, wish);

	if (!obstacle)
		return 0;
	return err_field(err, ERR_INVALID, "mechanism", "mechanism %s does not serve %s here: %s",
		mechanism_word(wish), language->name, obstacle);
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
	if (rc >= 0)
		rc = check_mechanism(spec, *ret, err);
	return rc;
}

/* The route that the function will have: the one asked for, the one it has, or its name. */
static int
choose_route(const struct org *org, const struct function *function,
	const struct function_spec *spec, char ret[static FUNCTION_ROUTE_MAX + 1], struct err *err)
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

/* What is under way is bounded for every function: each holds memory, and a place in the queue. */
static int
check_under_way(const struct function *function, struct err *err)
{
	struct version *version;
	unsigned n = 0;

	list_each (&function->versions, version, link)
		n += version->state == VERSION_INITIALIZING;
	if (n < UNDER_WAY_MAX)
		return 0;
	return err_set(
		err, ERR_CONFLICT, "%s has %u versions that are not ready yet", function->name, n);
}

static void
set_route(struct function *function, const char *route)
{
	map_remove(&function->org->routes, str_of(function->route));
	snprintf(function->route, sizeof(function->route), "%s", route);
	map_put(&function->org->routes, str_of(function->route), function);
}

/* The language's own; of a source that is one file, what that file is called: "job.js" is
 * "job.handler", and a program is itself. */
static void
set_handler(
	struct version *version, const struct function_spec *spec, const struct language *language)
{
	const char *usual = language->handler ? language->handler : "";
	const char *member = strchr(usual, '.');
	struct str stem = spec->filename;

	while (member && stem.len && stem.at[stem.len - 1] != '.')
		stem.len--;
	if (spec->handler.len)
		snprintf(
			version->handler, sizeof(version->handler), "%.*s", STR_ARG(spec->handler));
	else if (member && stem.len > 1)
		snprintf(version->handler, sizeof(version->handler), "%.*s%s", (int)stem.len - 1,
			stem.at, member);
	else if (!member && spec->filename.len)
		snprintf(version->handler, sizeof(version->handler), "%.*s",
			STR_ARG(spec->filename));
	else
		snprintf(version->handler, sizeof(version->handler), "%s", usual);
}

static struct version *
add_version(struct function *function, const struct function_spec *spec,
	const struct language *language)
{
	struct version *version = version_new(function, ++function->last_version);

	version->language = language;
	version->created_ms = clock_unix_ms();
	snprintf(version->runtime, sizeof(version->runtime), "%s", language->name);
	set_handler(version, spec, language);
	snprintf(version->source, sizeof(version->source), "%s", spec->source);
	snprintf(version->filename, sizeof(version->filename), "%.*s", STR_ARG(spec->filename));
	version_config_copy(&spec->config, &version->config);
	version_choose_mechanism(version);
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
	char route[FUNCTION_ROUTE_MAX + 1];
	struct err err = {0};
	int rc = check_spec(spec, &language, &err);

	if (rc >= 0 && function && (flags & FUNCTION_MUST_BE_NEW))
		rc = err_field(&err, ERR_CONFLICT, "name", "there is a function %s already",
			function->name);
	if (rc >= 0 && function)
		rc = check_under_way(function, &err);
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
