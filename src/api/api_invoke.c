/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_invoke.h"

#include "api/api_async.h"
#include "api/api_error.h"
#include "api/api_json_check.h"
#include "api/api_nouns.h"
#include "domain/call.h"

#define API_INVOKE_PREFIX     STR("/api/org/")
#define API_INVOKE_HEADERS    100 /* of an answer, as runtime/frame.h bounds them */
#define API_INVOKE_SPARES     256
#define API_INVOKE_KEEP_BYTES (64u << 10) /* of a spare's buffers */
#define API_INVOKE_QUEUE_HIGH (256u << 10)

struct api_invoke {
	struct list link;               /* in api.spare_invokes */
	struct api *api;                /* borrowed */
	struct http_exchange *exchange; /* borrowed */
	struct call *call;              /* borrowed; NULL once it is over */
	char id[ID_ULID_SIZE];
	bool is_direct, has_head, is_streaming, is_paused;
	int status;
	struct http_header headers[API_INVOKE_HEADERS + 2]; /* into `text` */
	size_t n_headers;
	struct buf text; /* owned: names and values of the headers */
	struct buf body; /* owned: of the answer, while it is held */
	struct loop_flush flush;
};

/* ---- life ---- */

static struct api_invoke *
api_invoke_new(struct api *api, struct http_exchange *exchange)
{
	struct api_invoke *invoke = list_first(&api->spare_invokes, struct api_invoke, link);

	if (invoke) {
		list_remove(&invoke->link);
		api->n_spare_invokes--;
	} else {
		invoke = mem_new(sizeof(*invoke));
		invoke->api = api;
		list_init(&invoke->link);
		list_init(&invoke->flush.link);
	}
	invoke->exchange = exchange;
	id_ulid(invoke->id);
	return invoke;
}

static void
api_invoke_delete(struct api_invoke *invoke)
{
	buf_done(&invoke->text);
	buf_done(&invoke->body);
	free(invoke);
}

static void
api_invoke_recycle(struct buf *buf)
{
	if (buf->cap > API_INVOKE_KEEP_BYTES)
		buf_done(buf);
	else
		buf_clear(buf);
}

/* The exchange and the call are behind it. */
static void
api_invoke_over(struct api_invoke *invoke)
{
	struct api *api = invoke->api;

	list_remove(&invoke->flush.link);
	if (api->n_spare_invokes >= API_INVOKE_SPARES) {
		api_invoke_delete(invoke);
		return;
	}
	invoke->exchange = NULL;
	invoke->call = NULL;
	invoke->is_direct = invoke->has_head = invoke->is_streaming = invoke->is_paused = false;
	invoke->n_headers = 0;
	api_invoke_recycle(&invoke->text);
	api_invoke_recycle(&invoke->body);
	list_push_front(&api->spare_invokes, &invoke->link);
	api->n_spare_invokes++;
}

void
api_invoke_done(struct api *api)
{
	struct api_invoke *invoke;

	list_each (&api->spare_invokes, invoke, link)
		api_invoke_delete(invoke);
	list_init(&api->spare_invokes);
}

/* ---- the client ---- */

static void
api_invoke_on_abort(struct http_exchange *exchange, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	if (invoke->call)
		call_leave(invoke->call);
	api_invoke_over(invoke);
}

static void
api_invoke_on_drain(struct http_exchange *exchange, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	if (!invoke->is_paused || !invoke->call)
		return;
	invoke->is_paused = false;
	call_pause(invoke->call, false);
}

static void
api_invoke_send(struct api_invoke *invoke, struct str bytes) ON_LOOP
{
	size_t n_queued = http_answer_write(invoke->exchange, bytes);

	if (n_queued <= API_INVOKE_QUEUE_HIGH || invoke->is_paused || !invoke->call)
		return;
	invoke->is_paused = true;
	call_pause(invoke->call, true);
}

/* The turn ends and the answer is not whole yet: its head and what is there go out now. */
static void
api_invoke_on_flush(struct loop_flush *flush)
{
	struct api_invoke *invoke = list_owner(flush, struct api_invoke, flush);

	thread_on_loop();
	invoke->is_streaming = true;
	http_on_drain(invoke->exchange, api_invoke_on_drain, invoke);
	http_answer_begin(invoke->exchange, invoke->status, invoke->headers, invoke->n_headers);
	if (invoke->body.len)
		api_invoke_send(invoke, buf_str(&invoke->body));
	buf_clear(&invoke->body);
}

/* ---- the answer ---- */

/* What only the platform says. */
static bool
api_invoke_is_ours(struct str name)
{
	return str_eq(name, STR("x-call-id")) || str_eq(name, STR("x-mayfly-error"));
}

static struct str
api_invoke_keep(struct api_invoke *invoke, struct str text)
{
	size_t at = invoke->text.len;

	buf_add_str(&invoke->text, text);
	return str_n(invoke->text.at + at, text.len);
}

static void
api_invoke_keep_headers(struct api_invoke *invoke, const struct http_header *headers, size_t n)
{
	size_t size = 0;
	bool has_type = false;

	must(n <= API_INVOKE_HEADERS);
	for (size_t i = 0; i < n; i++)
		size += headers[i].name.len + headers[i].value.len;
	buf_room(&invoke->text, size + 1); /* the views below must not move */
	for (size_t i = 0; i < n; i++) {
		struct http_header *copy = &invoke->headers[invoke->n_headers];

		if (api_invoke_is_ours(headers[i].name))
			continue;
		has_type = has_type || str_eq(headers[i].name, STR("content-type"));
		copy->name = api_invoke_keep(invoke, headers[i].name);
		copy->value = api_invoke_keep(invoke, headers[i].value);
		invoke->n_headers++;
	}
	invoke->headers[invoke->n_headers++] =
		(struct http_header){STR("x-call-id"), str_n(invoke->id, ID_ULID_SIZE - 1)};
	if (invoke->is_direct && !has_type)
		invoke->headers[invoke->n_headers++] =
			(struct http_header){STR("content-type"), STR("application/json")};
}

static void
api_invoke_on_head(
	struct call *call, int status, const struct http_header *headers, size_t n, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	invoke->call = call;
	invoke->has_head = true;
	invoke->status = status;
	api_invoke_keep_headers(invoke, headers, n);
	invoke->flush.run = api_invoke_on_flush;
	loop_flush_soon(invoke->api->domain->loop, &invoke->flush);
}

static void
api_invoke_on_body(struct call *call, struct str bytes, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	if (invoke->is_streaming)
		api_invoke_send(invoke, bytes);
	else
		buf_add_str(&invoke->body, bytes);
}

static void
api_invoke_on_end(struct call *call, const struct call_figures *figures, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	invoke->call = NULL;
	if (invoke->is_streaming)
		http_answer_end(invoke->exchange);
	else
		http_answer(invoke->exchange, invoke->status, invoke->headers, invoke->n_headers,
			buf_str(&invoke->body));
	api_invoke_over(invoke);
}

static void
api_invoke_on_failure(struct call *call, const struct err *reason, struct str trace,
	const struct call_figures *figures, void *arg)
{
	struct api_invoke *invoke = arg;

	thread_on_loop();
	invoke->call = NULL;
	if (invoke->is_streaming)
		http_answer_cut(invoke->exchange);
	else
		api_error_answer_call(invoke->exchange, reason, invoke->id, figures->retry_after_s);
	api_invoke_over(invoke);
}

/* ---- the call ---- */

static void
api_invoke_start(struct api_invoke *invoke, struct call_request *request) ON_LOOP
{
	const struct call_events events = {
		.on_head = api_invoke_on_head,
		.on_body = api_invoke_on_body,
		.on_end = api_invoke_on_end,
		.on_failure = api_invoke_on_failure,
		.arg = invoke,
	};
	struct call *call;

	memcpy(request->id, invoke->id, sizeof(request->id));
	if (!request->refusal)
		request->body = http_take_body(invoke->exchange, &request->body_len);
	http_on_abort(invoke->exchange, api_invoke_on_abort, invoke);
	call = call_start(invoke->api->domain, request, &events);
	if (call)
		invoke->call = call;
}

/* ---- by route ---- */

bool
api_invoke_is_route(const struct http_request *http)
{
	return str_starts(http->path, API_INVOKE_PREFIX);
}

/* An encoded slash counts as a slash: a route is found by what the path says, not how. */
static bool
api_invoke_decode(struct str *path, struct buf *scratch)
{
	if (!path->len || !memchr(path->at, '%', path->len))
		return true;
	buf_clear(scratch);
	if (!http_percent_decode(*path, false, scratch))
		return false;
	*path = buf_str(scratch);
	return true;
}

/* NULL for an org, a route or an encoding that is not there: callers must not learn which. */
static struct function *
api_invoke_find(struct api *api, const struct http_request *http, struct str *ret_rest) ON_LOOP
{
	struct str prefix = API_INVOKE_PREFIX;
	struct str path = str_n(http->path.at + prefix.len, http->path.len - prefix.len);
	struct str name = str_cut(&path, '/');
	const struct org *org = org_find(api->domain, name);

	if (!org || org->is_deleting || !api_invoke_decode(&path, &api->path))
		return NULL;
	return function_route(org, path, ret_rest);
}

static void
api_invoke_refuse(struct http_exchange *exchange) ON_LOOP
{
	struct err err = {0};

	err_set(&err, ERR_NOT_FOUND, "there is no function at this path");
	api_error_answer(exchange, &err, NULL);
}

/* Where no body comes there is nothing to limit, and whether the function is there is asked when it
 * is called. */
void
api_invoke_head(struct api *api, struct http_exchange *exchange)
{
	const struct function *function;
	struct str rest;

	if (http_is_bodiless(exchange))
		return;
	function = api_invoke_find(api, http_request_of(exchange), &rest);
	if (!function)
		api_invoke_refuse(exchange);
	else if (function->active)
		http_limit_body(exchange, function->active->config.limits.request_bytes);
}

static void
api_invoke_by_route(
	struct api *api, struct http_exchange *exchange, const struct err *refusal) ON_LOOP
{
	const struct http_request *http = http_request_of(exchange);
	struct str rest = STR_NONE;
	struct function *function = api_invoke_find(api, http, &rest);
	struct api_invoke *invoke;
	struct err err = {0};
	int mode;

	if (!function) {
		api_invoke_refuse(exchange);
		return;
	}
	mode = api_async_mode(http, &err);
	if (mode < 0 || (mode > 0 && refusal)) {
		api_error_answer(exchange, mode < 0 ? &err : refusal, NULL);
		return;
	}
	invoke = api_invoke_new(api, exchange);
	uint64_t now_ms = clock_unix_ms();
	const struct api_event event = {
		.http = http,
		.org = str_of(function->org->name),
		.function = str_of(function->name),
		.proxy = rest.len ? str_n(rest.at + 1, rest.len - 1) : STR_NONE,
		.call_id = invoke->id,
		.time = api_event_time(&api->clock, now_ms),
		.unix_ms = now_ms,
	};
	struct call_request request = {
		.function = function,
		.trigger = FRAME_HTTP,
		.method = http->method,
		.path = http->path,
		.refusal = refusal,
	};

	buf_clear(&api->event);
	api_event_write(&event, &api->event);
	request.head = buf_str(&api->event);
	if (mode > 0) {
		api_async_route(exchange, function, invoke->id, request.head);
		api_invoke_over(invoke);
	} else {
		api_invoke_start(invoke, &request);
	}
}

void
api_invoke_run(struct api *api, struct http_exchange *exchange)
{
	api_invoke_by_route(api, exchange, NULL);
}

void
api_invoke_refused(struct api *api, struct http_exchange *exchange, const struct err *reason)
{
	api_invoke_by_route(api, exchange, reason);
}

/* ---- directly ---- */

/* What a direct call says beside its event. */
struct api_invoke_wish {
	struct version *version; /* NULL for the active one */
	bool is_async;
};

static int
api_invoke_mode(struct api_request *request, struct api_invoke_wish *ret, struct err *err)
{
	int mode = api_async_mode(http_request_of(request->exchange), err);
	bool is_found = false;
	char word[8] = "";
	int rc;

	if (mode < 0)
		return mode;
	rc = api_query_str(request, "mode", word, sizeof(word), &is_found, err);
	if (rc < 0)
		return rc;
	if (is_found && strcmp(word, "async") != 0 && strcmp(word, "sync") != 0)
		return err_field(err, ERR_INVALID, "mode", "mode must be async or sync");
	ret->is_async = is_found ? word[0] == 'a' : mode > 0;
	return 0;
}

static int
api_invoke_read_wish(struct api_request *request, const struct function *function,
	struct api_invoke_wish *ret, struct err *err)
{
	static const char *const known[] = {"version", "mode", NULL};
	uint64_t number = 0;
	int rc = api_query_check(request, known, err);

	if (rc == 0)
		rc = api_query_u64(request, "version", 1, UINT32_MAX, &number, err);
	if (rc == 0)
		rc = api_invoke_mode(request, ret, err);
	if (rc < 0 || !number)
		return rc;
	ret->version = function_version(function, (uint32_t)number);
	if (!ret->version)
		return err_field(err, ERR_NOT_FOUND, "version", "%s has no version %u",
			function->name, (unsigned)number);
	return 0;
}

static int
api_invoke_check_event(const struct api_request *request, struct err *err)
{
	struct str body = http_request_of(request->exchange)->body;
	size_t at = 0;

	if (!body.len || api_json_check(body, &at))
		return 0;
	return err_set(err, ERR_INVALID, "the event is not JSON: byte %zu breaks it", at + 1);
}

static void
api_invoke_directly(struct api_request *request, const struct err *refusal) ON_LOOP
{
	struct function *function = api_request_function(request);
	struct api_invoke_wish wish = {0};
	struct api_invoke *invoke;
	struct err err = {0};
	int rc;

	if (!function)
		return;
	rc = api_invoke_read_wish(request, function, &wish, &err);
	if (rc == 0 && !refusal)
		rc = api_invoke_check_event(request, &err);
	if (rc < 0 || (wish.is_async && refusal)) {
		api_answer_error(request, rc < 0 ? &err : refusal);
		return;
	}
	if (wish.is_async) {
		api_async_direct(request, function, wish.version ? wish.version->number : 0);
		return;
	}
	struct call_request call = {
		.function = function,
		.version = wish.version,
		.trigger = FRAME_DIRECT,
		.refusal = refusal,
	};

	invoke = api_invoke_new(request->api, request->exchange);
	invoke->is_direct = true;
	api_request_free(request);
	api_invoke_start(invoke, &call);
}

void
api_invoke_direct(struct api_request *request)
{
	api_invoke_directly(request, NULL);
}

void
api_invoke_direct_refused(struct api_request *request, const struct err *reason)
{
	api_invoke_directly(request, reason);
}
