/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_function_put.h"
#include "api/api_nouns.h"
#include "base/clock.h"
#include "domain/pool.h"

#define API_FUNCTION_WAIT_MS 60000 /* most that a GET may wait */

/* ---- as JSON ---- */

static const struct version *
api_function_newest(const struct function *function)
{
	return list_last(&function->versions, struct version, link);
}

/* Causes that never came are left out. */
static json_t *
api_function_renewals(const struct renewal_tally *tally)
{
	json_t *discarded = json_object();

	for (int i = 0; i < RENEWAL_CAUSES; i++)
		if (tally->n_discarded[i])
			json_object_set_new(discarded, renewal_cause_word((enum renewal_cause)i),
				json_integer((json_int_t)tally->n_discarded[i]));
	return json_pack("{s:I, s:o, s:s}", "renewed", (json_int_t)tally->n_renewed, "discarded",
		discarded, "last_spoilt", tally->last_spoilt);
}

static json_t *
api_function_failure(const struct pool_stats *stats)
{
	if (!stats->boot_reason)
		return json_null();
	return json_pack("{s:i, s:s, s:s, s:I}", "n", (int)stats->n_failed, "code",
		err_word(stats->boot_reason->code), "reason", stats->boot_reason->text, "retry_ms",
		(json_int_t)stats->retry_ms);
}

/* Of the version that is shown. */
static void
api_function_add_instances(json_t *json, const struct version *version)
{
	struct pool_stats stats = {0};

	if (version->pool)
		pool_stats(version->pool, &stats);
	json_object_set_new(json, "instances",
		json_pack("{s:i, s:i, s:i}", "starting", (int)stats.n_starting, "idle",
			(int)stats.n_idle, "busy", (int)(stats.n_ready - stats.n_idle)));
	json_object_set_new(json, "start_failure", api_function_failure(&stats));
}

/* What it runs with now stands beside it: the active version's configuration, else the newest's. */
json_t *
api_function_json(const struct function *function, bool with_values)
{
	const struct version *newest = api_function_newest(function);
	OWN(mem) char *url = mem_printf("/api/org/%s/%s", function->org->name, function->route);
	const struct version *serving = function->active ? function->active : newest;
	OWN(json) json_t *shown = api_version_json(serving, with_values);
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:o}", "org",
		function->org->name, "name", function->name, "route", function->route, "url", url,
		"state", function_state_word(function_state(function)), "reason",
		newest->reason ? newest->reason : "", "active_version",
		function->active ? json_integer(function->active->number) : json_null(),
		"last_version", (json_int_t)function->last_version, "n_calls",
		(json_int_t)function->n_calls, "created_at", api_json_time(function->created_ms),
		"updated_at", api_json_time(function->updated_ms));

	json_object_del(shown, "number");
	json_object_del(shown, "is_active");
	json_object_del(shown, "build_log");
	json_object_update_missing(json, shown);
	api_function_add_instances(json, serving);
	json_object_set_new(json, "renewals", api_function_renewals(function->renewals));
	json_object_set_new(json, "latest", api_version_json(newest, with_values));
	return json;
}

/* The entity tag is the number of the newest version: If-Match on it means "as I saw it". */
static void
api_function_answer(
	struct api_request *request, int status, const struct function *function) ON_LOOP
{
	OWN(mem) char *etag = mem_printf("\"%u\"", function->last_version);

	api_request_header(request, "etag", str_of(etag));
	api_answer_json(request, status,
		api_function_json(function, api_request_may(request, TOKEN_MAY_WRITE)));
}

int
api_function_match(struct api_request *request, const struct function *function, struct err *err)
{
	const struct http_request *http = http_request_of(request->exchange);
	struct str wanted = http_header(http, "if-match");
	OWN(mem) char *etag = NULL;

	if (str_eq(http_header(http, "if-none-match"), STR("*")) && function)
		return err_set(
			err, ERR_PRECONDITION, "function %s is there already", function->name);
	if (!wanted.len)
		return 0;
	if (!function)
		return err_set(err, ERR_PRECONDITION, "there is no such function");
	etag = mem_printf("\"%u\"", function->last_version);
	if (str_eq(wanted, STR("*")) || str_eq(wanted, str_of(etag)))
		return 0;
	return err_set(err, ERR_PRECONDITION, "the newest version of %s is %u", function->name,
		function->last_version);
}

/* ---- list ---- */

void
api_function_list(struct api_request *request)
{
	bool with_values = api_request_may(request, TOKEN_MAY_WRITE);
	const struct org *org = api_request_org(request);
	json_t *list;

	if (!org)
		return;
	list = json_array();
	map_each (&org->functions, entry) {
		const struct function *function = entry->value;

		if (!function->is_deleting && api_function_newest(function))
			json_array_append_new(list, api_function_json(function, with_values));
	}
	api_json_sort(list, "name");
	api_answer_json(request, 200, json_pack("{s:o}", "functions", list));
}

/* ---- show, and wait until it is settled ---- */

struct api_function_wait {
	struct api_waiter waiter;
	struct function_watch watch;
	struct loop_timer timer;
	struct api_request *request; /* borrowed; it borrows this as its user */
	struct function *function;   /* borrowed, while watched */
};

static bool
api_function_is_settled(const struct function *function)
{
	enum function_state state = function_state(function);

	return state != FUNCTION_INITIALIZING && state != FUNCTION_UPDATING;
}

static void
api_function_wait_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct api_function_wait, timer));
}

static void
api_function_wait_end(struct api_function_wait *wait) ON_LOOP
{
	api_waiter_leave(&wait->waiter);
	function_unwatch(&wait->watch);
	wait->request->on_leave = NULL;
	loop_timer_close(&wait->timer, api_function_wait_closed);
}

static void
api_function_on_leave(struct api_request *request)
{
	thread_on_loop();
	api_function_wait_end(request->user);
}

static void
api_function_answer_now(struct api_function_wait *wait) ON_LOOP
{
	api_function_wait_end(wait);
	api_function_answer(wait->request, 200, wait->function);
}

static void
api_function_on_timeout(struct loop_timer *timer)
{
	thread_on_loop();
	api_function_answer_now(list_owner(timer, struct api_function_wait, timer));
}

static void
api_function_on_stop(struct api_waiter *waiter)
{
	thread_on_loop();
	api_function_answer_now(list_owner(waiter, struct api_function_wait, waiter));
}

static void
api_function_on_changed(struct function_watch *watch, struct function *function)
{
	struct api_function_wait *wait = list_owner(watch, struct api_function_wait, watch);
	struct err err = {0};

	thread_on_loop();
	if (function && !function->is_deleting && !api_function_is_settled(function))
		return;
	api_function_wait_end(wait);
	if (function && !function->is_deleting) {
		api_function_answer(wait->request, 200, function);
		return;
	}
	err_set(&err, ERR_NOT_FOUND, "the function was deleted");
	api_answer_error(wait->request, &err);
}

static void
api_function_wait(struct api_request *request, struct function *function, uint64_t wait_ms) ON_LOOP
{
	struct api_function_wait *wait = mem_new(sizeof(*wait));
	struct err err = {0};

	wait->waiter.stop = api_function_on_stop;
	if (api_waiter_join(&request->api->waiters, &wait->waiter, API_WAITER_WAITS,
		    request->params[0], &err) < 0) {
		free(wait);
		api_answer_error(request, &err);
		return;
	}
	wait->request = request;
	wait->function = function;
	list_init(&wait->watch.link);
	wait->watch.changed = api_function_on_changed;
	request->user = wait;
	request->on_leave = api_function_on_leave;
	function_watch(function, &wait->watch);
	loop_timer_start(
		request->api->domain->loop, &wait->timer, wait_ms, api_function_on_timeout);
}

static int
api_function_read_wait(struct api_request *request, uint64_t *ret_ms, struct err *err)
{
	static const char *const known[] = {"wait", "for", NULL};
	char text[16], what[16];
	bool has_wait, has_what;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_str(request, "wait", text, sizeof(text), &has_wait, err);
	if (rc == 0)
		rc = api_query_str(request, "for", what, sizeof(what), &has_what, err);
	if (rc < 0)
		return rc;
	if (has_what && strcmp(what, "settled") != 0)
		return err_field(err, ERR_INVALID, "for", "for must be settled");
	if (has_wait && (!clock_parse_ms(str_of(text), ret_ms) || *ret_ms > API_FUNCTION_WAIT_MS))
		return err_field(err, ERR_INVALID, "wait",
			"wait must be a duration like 500ms or 30s, at most 60s");
	return 0;
}

void
api_function_show(struct api_request *request)
{
	struct function *function = api_request_function(request);
	struct err err = {0};
	uint64_t wait_ms = 0;

	if (!function)
		return;
	if (api_function_read_wait(request, &wait_ms, &err) < 0)
		api_answer_error(request, &err);
	else if (wait_ms && !api_function_is_settled(function))
		api_function_wait(request, function, wait_ms);
	else
		api_function_answer(request, 200, function);
}

/* ---- rollback, delete ---- */

static void
api_function_on_rolled_back(int code, struct function *function, struct version *version,
	const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_function_answer(request, 200, function);
}

void
api_function_rollback(struct api_request *request)
{
	static const char *const known[] = {"version", NULL};
	struct function *function = api_request_function(request);
	OWN(json) json_t *json = NULL;
	struct err err = {0};
	uint64_t number = 0;
	int rc = 0;

	if (!function)
		return;
	if (http_request_of(request->exchange)->body.len)
		rc = api_request_json(request, known, &json, &err);
	if (rc == 0 && json)
		rc = json_get_u64(json, "", "version", JSON_OPTIONAL, 1, UINT32_MAX, &number, &err);
	if (rc == 0)
		rc = api_function_match(request, function, &err);
	if (rc < 0) {
		api_answer_error(request, &err);
		return;
	}
	function_rollback(function, (uint32_t)number, api_function_on_rolled_back, request);
}

static void
api_function_on_deleted(int code, struct function *function, struct version *version,
	const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_empty(request);
}

void
api_function_delete(struct api_request *request)
{
	struct function *function = api_request_function(request);
	struct err err = {0};

	if (!function)
		return;
	if (api_function_match(request, function, &err) < 0)
		api_answer_error(request, &err);
	else
		function_delete(function, api_function_on_deleted, request);
}

void
api_function_answer_put(struct api_request *request, int status, const struct function *function)
{
	OWN(mem)
	char *location =
		mem_printf("/v1/orgs/%s/functions/%s", function->org->name, function->name);

	if (status == 201)
		api_request_header(request, "location", str_of(location));
	api_function_answer(request, status, function);
}
