/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/function.h"

#include <inttypes.h>

#include "base/clock.h"
#include "base/log.h"
#include "domain/delivery.h"
#include "domain/function_change.h"
#include "domain/pool.h"
#include "domain/record.h"
#include "domain/schedule_inside.h"
#include "domain/trigger_inside.h"

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
void
function_changed(struct function *function, bool is_gone)
{
	struct function_watch *watch;
	struct list told;

	if (is_gone)
		delivery_function_gone(function);
	else
		delivery_function_changed(function);
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

/* No route is longer than FUNCTION_ROUTE_MAX, so a path costs no more look-ups than that has
 * segments. */
struct function *
function_route(const struct org *org, struct str path, struct str *ret_rest)
{
	for (size_t len = path.len < FUNCTION_ROUTE_MAX + 1 ? path.len : FUNCTION_ROUTE_MAX + 1;
		len > 0; len--) {
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
function_check_route(struct str route, char ret[static FUNCTION_ROUTE_MAX + 1], struct err *err)
{
	struct str rest;

	if (route.len && route.at[0] == '/')
		route = str_n(route.at + 1, route.len - 1);
	if (route.len && route.at[route.len - 1] == '/')
		route.len--;
	if (route.len > FUNCTION_ROUTE_MAX)
		return err_field(err, ERR_INVALID, "route", "route has more than %d bytes",
			FUNCTION_ROUTE_MAX);
	if (!route.len || route.at[route.len - 1] == '/')
		return err_field(err, ERR_INVALID, "route", "route has an empty segment");
	for (rest = route; rest.len;) {
		int rc = check_segment(str_cut(&rest, '/'), err);

		if (rc < 0)
			return rc;
	}
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
	function->renewals = renewal_tally_new(org->domain->renewals);
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
	trigger_function_gone(function->org, function->name);
	schedule_function_gone(function->org, function->name);
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
	if (!function_find(org, str_of(function->name))) /* there may be a new one of its name */
		record_forget(org->domain->records, org->name, function->name);
	renewal_tally_release(function->renewals);
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
	renewal_tally_release(function->renewals);
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

void
function_switch(struct function *function, struct version *version)
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
	if (!version->is_retried) {
		change = function_change_new(function, version, 0);
		change->stored = settled_stored;
		function_change_ask(change);
	}
	function_prune(function);
	function_changed(function, false);
}
