/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_request - one request to the control plane, from its head to its answer.
 *
 *	 on_head: route, token, right ─▶ on_request: route->run(request) ─▶ api_answer_…(): gone
 *	      └─ refused: answered with the error, no body is read
 *
 * A route's function answers exactly once, now or from a callback; the answer frees the request.
 * If the client goes away before, `exchange` becomes NULL and an answer only frees; a function that
 * waits for something it can let go of sets `on_leave`, which then frees what it holds (the request
 * itself is freed behind it). ON_LOOP.
 */
#ifndef MAYFLY_API_API_REQUEST_H
#define MAYFLY_API_API_REQUEST_H

#include "api/api_private.h"
#include "api/api_routes.h"
#include "base/json.h"
#include "domain/function.h"
#include "domain/token.h"

#define API_REQUEST_HEADERS 4

struct api_request {
	struct api *api;                /* borrowed */
	struct http_exchange *exchange; /* borrowed; NULL once the client is gone */
	const struct api_route *route;
	char params[API_ROUTE_PARAMS][API_ROUTE_PARAM_SIZE]; /* decoded, in the path's order */
	struct token token; /* a copy: the original may be revoked while this waits */
	struct http_header headers[API_REQUEST_HEADERS]; /* of the answer; values owned */
	size_t n_headers;
	bool is_running; /* the route's function has it */
	void (*on_leave)(struct api_request *request);
	void *user; /* the route's own */
};

/* The handler's two callbacks for whatever is not a call by route. */
void api_request_head(struct api *api, struct http_exchange *exchange) ON_LOOP;
void api_request_run(struct api *api, struct http_exchange *exchange) ON_LOOP;
/* The server does not take the body: it answers, but for a direct call. */
void api_request_refused(struct http_exchange *exchange, const struct err *reason) ON_LOOP;

/* ---- what is asked ---- */
/* The org or function that the path names; answers 404 and gives NULL where there is none. */
struct org *api_request_org(struct api_request *request) ON_LOOP;
struct function *api_request_function(struct api_request *request) ON_LOOP;

/* True when the token may do `right` in the org of the path. */
bool api_request_may(const struct api_request *request, enum token_right right);

/* A parameter of the query, decoded and terminated. Absent: *ret_found false. One that is too long
 * for `size` or badly encoded is ERR_INVALID. */
int api_query_str(struct api_request *request, const char *name, char *ret, size_t size,
	bool *ret_found, struct err *err);
int api_query_u64(struct api_request *request, const char *name, uint64_t min, uint64_t max,
	uint64_t *ret, struct err *err);
int api_query_bool(struct api_request *request, const char *name, bool *ret, struct err *err);
/* ERR_INVALID for the first parameter that is not in the NULL-terminated list. */
int api_query_check(struct api_request *request, const char *const *known, struct err *err);

/* The body as a JSON object, whose keys must be in the list. */
int api_request_json(
	struct api_request *request, const char *const *known, json_t **ret, struct err *err);

/* ---- what is answered ---- */
/* A header of the answer; the name is static, the value copied. */
void api_request_header(struct api_request *request, const char *name, struct str value);
void api_answer_bytes(
	struct api_request *request, int status, const char *type, struct str body) ON_LOOP;
void api_answer_json(struct api_request *request, int status, json_t *json /* stolen */) ON_LOOP;
void api_answer_empty(struct api_request *request) ON_LOOP; /* 204 */
/* What a change that has nothing to show calls back: 204, or the error. arg is the request. */
void api_answer_done(int code, const struct err *err, void *arg);
void api_answer_error(struct api_request *request, const struct err *err) ON_LOOP;

/* Frees without answering: after the route's function answered through the exchange itself. */
void api_request_free(struct api_request *request);

#endif
