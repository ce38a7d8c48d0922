/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"
#include "base/clock.h"
#include "domain/call_list.h"
#include "domain/delivery.h"
#include "domain/record.h"

#define API_CALL_PAGE     50
#define API_CALL_MAX_PAGE 1000
#define API_CALL_WAIT_MS  60000 /* most that a GET may wait */

/* ---- list ---- */

struct api_call_filter {
	char function[API_ROUTE_PARAM_SIZE], code[32], before[ID_ULID_SIZE];
	bool is_failed;
	uint64_t n;
};

static int
api_call_read_filter(struct api_request *request, struct api_call_filter *ret, struct err *err)
{
	static const char *const known[] = {"function", "code", "failed", "before", "n", NULL};
	bool has_before, is_found;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_str(
			request, "function", ret->function, sizeof(ret->function), &is_found, err);
	if (rc == 0)
		rc = api_query_str(request, "code", ret->code, sizeof(ret->code), &is_found, err);
	if (rc == 0)
		rc = api_query_str(
			request, "before", ret->before, sizeof(ret->before), &has_before, err);
	if (rc == 0)
		rc = api_query_bool(request, "failed", &ret->is_failed, err);
	if (rc == 0)
		rc = api_query_u64(request, "n", 1, API_CALL_MAX_PAGE, &ret->n, err);
	if (rc == 0 && has_before && !id_is_ulid(str_of(ret->before)))
		rc = err_field(err, ERR_INVALID, "before", "before must be the id of a call");
	return rc;
}

/* What is kept while the store is asked. */
struct api_call_page {
	uint64_t n;    /* records of a full page */
	json_t *calls; /* owned: those in flight, and the records behind them */
};

/* A page that is full may have another behind it, from its last id on. */
static void
api_call_on_list(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	OWN(mem) struct api_call_page *page = request->user;
	json_t *call;
	const char *next = NULL;
	size_t i;

	thread_on_loop();
	json_array_foreach (json, i, call) {
		call = json_copy(call);
		json_object_set_new(call, "state", json_string("done"));
		json_array_append_new(page->calls, call);
		if (i + 1 == page->n)
			next = json_string_value(json_object_get(call, "id"));
	}
	if (code < 0) {
		json_decref(page->calls);
		api_answer_error(request, err);
		return;
	}
	api_answer_json(request, 200, json_pack("{s:s?, s:o}", "next", next, "calls", page->calls));
}

/* Calls in flight stand on the first page only, and have no code to be asked for yet. They are
 * noted before the store is asked: one that ends meanwhile is not among the records. */
static struct api_call_page *
api_call_page_new(const struct api_request *request, const struct api_call_filter *filter) ON_LOOP
{
	struct api_call_page *page = mem_new(sizeof(*page));
	bool has_running = !filter->before[0] && !filter->code[0] && !filter->is_failed;

	page->n = filter->n;
	page->calls = call_list(request->api->domain, str_of(request->params[0]),
		str_of(filter->function), has_running ? filter->n : 0);
	return page;
}

void
api_call_list(struct api_request *request)
{
	bool has_function = strstr(request->route->path, "{function}");
	struct api_call_filter filter = {.n = API_CALL_PAGE};
	struct err err = {0};

	if (has_function ? !api_request_function(request) : !api_request_org(request))
		return;
	if (api_call_read_filter(request, &filter, &err) < 0) {
		api_answer_error(request, &err);
		return;
	}
	if (has_function)
		snprintf(filter.function, sizeof(filter.function), "%s", request->params[1]);
	const struct row_call_query query = {
		.org = request->params[0],
		.function = filter.function[0] ? filter.function : NULL,
		.code = filter.code[0] ? filter.code : NULL,
		.before = filter.before[0] ? filter.before : NULL,
		.is_failed_only = filter.is_failed,
		.n = (unsigned)filter.n,
	};

	request->user = api_call_page_new(request, &filter);
	record_list(request->api->domain->records, &query, api_call_on_list, request);
}

/* ---- one ---- */

static bool
api_call_has_id(struct api_request *request) ON_LOOP
{
	struct err err = {0};

	if (!api_request_org(request))
		return false;
	if (id_is_ulid(str_of(request->params[1])))
		return true;
	err_set(&err, ERR_NOT_FOUND, "there is no call %s", request->params[1]);
	api_answer_error(request, &err);
	return false;
}

static struct call *
api_call_running(const struct api_request *request)
{
	return call_find(
		request->api->domain, str_of(request->params[0]), str_of(request->params[1]));
}

/* Of a durable call the record is the one of its first attempt, and its attempts tell the rest. */
struct api_call_wait {
	struct api_waiter waiter;
	struct api_request *request; /* borrowed; it borrows this as its user */
	struct delivery_wait *wait;  /* borrowed; NULL once it was told */
	json_t *delivery;            /* owned */
};

static void
api_call_on_record(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	OWN(mem) struct api_call_wait *wait = request->user;
	OWN(json) json_t *delivery = wait->delivery;
	json_t *call;

	thread_on_loop();
	if (code < 0 && (code != ERR_NOT_FOUND || !delivery)) {
		api_answer_error(request, err);
		return;
	}
	call = code < 0 ? json_pack("{s:s, s:s, s:O}", "id", request->params[1], "org",
				  request->params[0], "function",
				  json_object_get(delivery, "function"))
			: json_copy((json_t *)json);
	json_object_set_new(call, "state", json_string("done"));
	if (delivery) {
		json_object_set(call, "state", json_object_get(delivery, "state"));
		json_object_set(call, "delivery", delivery);
	}
	api_answer_json(request, 200, call);
}

static void
api_call_on_delivery(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_call_wait *wait = arg;
	struct api_request *request = wait->request;
	const struct call *call;

	thread_on_loop();
	api_waiter_leave(&wait->waiter);
	request->on_leave = NULL;
	wait->wait = NULL;
	call = api_call_running(request);
	if (code < 0 && (code != ERR_NOT_FOUND || call)) {
		free(wait);
		if (call)
			api_answer_json(request, 200, call_list_json(call));
		else
			api_answer_error(request, err);
		return;
	}
	if (json) {
		wait->delivery = json_copy((json_t *)json);
		json_object_del(wait->delivery, "payload");
	}
	record_get(request->api->domain->records, str_of(request->params[0]),
		str_of(request->params[1]), api_call_on_record, request);
}

static void
api_call_on_leave(struct api_request *request)
{
	struct api_call_wait *wait = request->user;

	thread_on_loop();
	api_waiter_leave(&wait->waiter);
	delivery_get_leave(wait->wait);
	free(wait);
}

static void
api_call_on_stop(struct api_waiter *waiter)
{
	struct api_call_wait *wait = list_owner(waiter, struct api_call_wait, waiter);

	thread_on_loop();
	api_waiter_leave(waiter);
	delivery_get_stop(wait->wait);
}

static int
api_call_read_wait(struct api_request *request, uint64_t *ret_ms, struct err *err)
{
	static const char *const known[] = {"wait", NULL};
	char text[16];
	bool is_found;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_str(request, "wait", text, sizeof(text), &is_found, err);
	if (rc == 0 && is_found &&
		(!clock_parse_ms(str_of(text), ret_ms) || *ret_ms > API_CALL_WAIT_MS))
		rc = err_field(err, ERR_INVALID, "wait",
			"wait must be a duration like 500ms or 30s, at most 60s");
	return rc;
}

/* Calls that are not durable are not waited for: who made one has its answer. */
static bool
api_call_is_durable(const struct call *call)
{
	struct call_seen seen;

	call_see(call, &seen);
	return strcmp(seen.trigger, "http") != 0 && strcmp(seen.trigger, "direct") != 0;
}

void
api_call_show(struct api_request *request)
{
	const struct call *call;
	struct api_call_wait *wait;
	struct err err = {0};
	uint64_t wait_ms = 0;

	if (!api_call_has_id(request))
		return;
	if (api_call_read_wait(request, &wait_ms, &err) < 0) {
		api_answer_error(request, &err);
		return;
	}
	call = api_call_running(request);
	if (call && !api_call_is_durable(call)) {
		api_answer_json(request, 200, call_list_json(call));
		return;
	}
	wait = mem_new(sizeof(*wait));
	wait->request = request;
	wait->waiter.stop = api_call_on_stop;
	if (wait_ms && api_waiter_join(&request->api->waiters, &wait->waiter, API_WAITER_WAITS,
			       request->params[0], &err) < 0) {
		free(wait);
		api_answer_error(request, &err);
		return;
	}
	request->user = wait;
	request->on_leave = api_call_on_leave;
	wait->wait = delivery_get(request->api->domain->deliveries, str_of(request->params[0]),
		str_of(request->params[1]), (unsigned)wait_ms, api_call_on_delivery, wait);
}

static void
api_call_answer_cancelled(struct api_request *request) ON_LOOP
{
	api_answer_json(request, 200,
		json_pack("{s:s, s:s, s:s}", "id", request->params[1], "org", request->params[0],
			"state", "cancelled"));
}

/* An attempt that has an id of its own is cancelled by it too, and its delivery with it. */
static void
api_call_on_cancelled(int code, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	struct call *call = api_call_running(request);
	struct err missing = {0};

	thread_on_loop();
	if (code == ERR_NOT_FOUND && call) {
		call_cancel(call);
		code = 0;
	}
	if (code == ERR_NOT_FOUND) {
		err_set(&missing, ERR_NOT_FOUND, "call %s is not in flight", request->params[1]);
		err = &missing;
	}
	if (code < 0)
		api_answer_error(request, err);
	else
		api_call_answer_cancelled(request);
}

void
api_call_cancel(struct api_request *request)
{
	struct call *call;

	if (!api_call_has_id(request))
		return;
	call = api_call_running(request);
	if (call && !api_call_is_durable(call)) {
		call_cancel(call);
		api_call_answer_cancelled(request);
		return;
	}
	delivery_cancel(request->api->domain->deliveries, str_of(request->params[0]),
		str_of(request->params[1]), api_call_on_cancelled, request);
}

static void
api_call_on_logs(int code, const json_t *json, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	json_t *lines;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	lines = json_array();
	api_log_lines(json, lines);
	api_answer_json(request, 200,
		json_pack("{s:o, s:b}", "lines", lines, "is_truncated",
			json_is_true(json_object_get(json, "log_truncated"))));
}

void
api_call_logs(struct api_request *request)
{
	if (api_call_has_id(request))
		record_get(request->api->domain->records, str_of(request->params[0]),
			str_of(request->params[1]), api_call_on_logs, request);
}
