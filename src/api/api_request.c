/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_request.h"

#include "api/api_error.h"
#include "api/api_nouns.h"
#include "domain/event.h"

#define API_BODY_PLAIN_BYTES    (64u << 10)
#define API_BODY_FUNCTION_BYTES (8u << 20) /* larger sources are uploaded to …/code first */

/* ---- from the head to the route's function ---- */

static void
api_request_on_abort(struct http_exchange *exchange, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	request->exchange = NULL;
	if (request->on_leave)
		request->on_leave(request);
	if (request->on_leave || !request->is_running)
		api_request_free(request);
}

static struct str
api_request_secret(const struct http_request *http)
{
	struct str value = http_header(http, "authorization");
	struct str scheme = str_cut(&value, ' ');

	return str_eq_case(scheme, STR("bearer")) ? str_trim(value) : STR_NONE;
}

static bool
api_request_is_open(const struct api_request *request)
{
	if (request->route->run == api_metrics_show && request->api->is_metrics_open)
		return true;
	return request->route->right == API_OPEN;
}

/* The org that a path names decides whose right it takes; other paths belong to no org. */
static struct str
api_request_org_name(const struct api_request *request)
{
	bool has_org = strncmp(request->route->path, "/v1/orgs/{", 10) == 0;

	return has_org ? str_of(request->params[0]) : STR("");
}

static int
api_request_authorize(struct api_request *request, struct err *err) ON_LOOP
{
	struct str secret = api_request_secret(http_request_of(request->exchange));
	const struct token *token = NULL;

	if (secret.len)
		token = token_check(request->api->domain, secret);
	if (token)
		request->token = *token;
	if (api_request_is_open(request))
		return 0;
	if (!secret.len)
		return err_set(err, ERR_UNAUTHENTICATED,
			"a token is needed: Authorization: Bearer mf_...");
	if (!token)
		return err_set(err, ERR_UNAUTHENTICATED, "the token is not valid");
	return token_may(&request->token, (enum token_right)request->route->right,
		api_request_org_name(request), err);
}

/* A direct call's body is bounded by the function that it asks for. */
static size_t
api_request_event_bytes(const struct api_request *request) ON_LOOP
{
	const struct org *org = org_find(request->api->domain, str_of(request->params[0]));
	const struct function *function =
		org ? function_find(org, str_of(request->params[1])) : NULL;

	if (!function || !function->active)
		return API_BODY_PLAIN_BYTES;
	return function->active->config.limits.request_bytes;
}

static void
api_request_limit_body(struct api_request *request) ON_LOOP
{
	size_t bytes = API_BODY_PLAIN_BYTES;

	if (request->route->body == API_BODY_FUNCTION)
		bytes = API_BODY_FUNCTION_BYTES;
	else if (request->route->body == API_BODY_SOURCE)
		bytes = request->api->domain->config.source_bytes;
	else if (request->route->body == API_BODY_EVENT)
		bytes = api_request_event_bytes(request);
	else if (request->route->body == API_BODY_EVENTS)
		bytes = EVENT_BATCH_BYTES_MAX;
	http_limit_body(request->exchange, bytes);
}

void
api_request_head(struct api *api, struct http_exchange *exchange)
{
	const struct http_request *http = http_request_of(exchange);
	struct api_request *request = mem_new(sizeof(*request));
	struct err err = {0};
	char allow[64];
	int rc;

	request->api = api;
	request->exchange = exchange;
	rc = api_routes_find(
		http->method, http->path, &request->route, request->params, allow, sizeof(allow));
	if (rc == ERR_METHOD)
		err_set(&err, rc, "this path answers %s", allow);
	else if (rc < 0)
		err_set(&err, rc, "there is nothing at this path");
	else
		rc = api_request_authorize(request, &err);
	if (rc < 0) {
		api_error_answer(exchange, &err, rc == ERR_METHOD ? allow : NULL);
		api_request_free(request);
		return;
	}
	api_request_limit_body(request);
	http_set_user(exchange, request);
	http_on_abort(exchange, api_request_on_abort, request);
}

void
api_request_run(struct api *api, struct http_exchange *exchange)
{
	struct api_request *request = http_user(exchange);

	must(request && request->api == api);
	request->is_running = true;
	request->route->run(request);
}

void
api_request_refused(struct http_exchange *exchange, const struct err *reason)
{
	struct api_request *request = http_user(exchange);

	if (request->route->body == API_BODY_EVENT)
		api_invoke_direct_refused(request, reason);
}

void
api_request_free(struct api_request *request)
{
	for (size_t i = 0; i < request->n_headers; i++)
		free((char *)request->headers[i].value.at);
	free(request);
}

/* ---- what is asked ---- */

struct org *
api_request_org(struct api_request *request)
{
	struct org *org = org_find(request->api->domain, str_of(request->params[0]));
	struct err err = {0};

	if (org && !org->is_deleting)
		return org;
	err_set(&err, ERR_NOT_FOUND, "there is no org %s", request->params[0]);
	api_answer_error(request, &err);
	return NULL;
}

struct function *
api_request_function(struct api_request *request)
{
	struct org *org = api_request_org(request);
	struct function *function;
	struct err err = {0};

	if (!org)
		return NULL;
	function = function_find(org, str_of(request->params[1]));
	if (function && !function->is_deleting)
		return function;
	err_set(&err, ERR_NOT_FOUND, "org %s has no function %s", org->name, request->params[1]);
	api_answer_error(request, &err);
	return NULL;
}

bool
api_request_may(const struct api_request *request, enum token_right right)
{
	return token_may(&request->token, right, api_request_org_name(request), NULL) == 0;
}

int
api_request_json(
	struct api_request *request, const char *const *known, json_t **ret, struct err *err)
{
	OWN(json) json_t *json = NULL;
	int rc = json_parse(http_request_of(request->exchange)->body, &json, err);

	if (rc < 0)
		return err_wrap(err, rc, "the body");
	if (!json_is_object(json))
		return err_set(err, ERR_INVALID, "the body must be a JSON object");
	rc = json_check_keys(json, "", known, err);
	if (rc < 0)
		return rc;
	*ret = take_ptr(&json);
	return 0;
}

/* ---- what is answered ---- */

void
api_request_header(struct api_request *request, const char *name, struct str value)
{
	must(request->n_headers < API_REQUEST_HEADERS);
	request->headers[request->n_headers++] =
		(struct http_header){str_of(name), str_n(str_dup(value), value.len)};
}

void
api_answer_bytes(struct api_request *request, int status, const char *type, struct str body)
{
	struct http_header headers[API_REQUEST_HEADERS + 1];
	size_t n = request->n_headers;

	if (request->exchange) {
		memcpy(headers, request->headers, n * sizeof(headers[0]));
		if (type)
			headers[n++] = (struct http_header){STR("content-type"), str_of(type)};
		http_answer(request->exchange, status, headers, n, body);
	}
	api_request_free(request);
}

void
api_answer_json(struct api_request *request, int status, json_t *json)
{
	OWN(json) json_t *stolen = json;
	OWN(buf) struct buf body = BUF_INIT;

	if (request->exchange) {
		json_write(stolen, &body);
		buf_add_char(&body, '\n');
	}
	api_answer_bytes(request, status, "application/json", buf_str(&body));
}

void
api_answer_empty(struct api_request *request)
{
	api_answer_bytes(request, 204, NULL, STR_NONE);
}

void
api_answer_done(int code, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0)
		api_answer_error(request, err);
	else
		api_answer_empty(request);
}

void
api_answer_error(struct api_request *request, const struct err *err)
{
	if (request->exchange)
		api_error_answer(request->exchange, err, NULL);
	api_request_free(request);
}
