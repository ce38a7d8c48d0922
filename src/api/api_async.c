/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_async.h"

#include <stdlib.h>

#include "api/api_error.h"
#include "base/clock.h"

/* By route anybody calls, and what waits takes the place of what others put. */
#define API_ASYNC_DELAY_S       (14 * 86400u)
#define API_ASYNC_ROUTE_DELAY_S 900u

int
api_async_mode(const struct http_request *http, struct err *err)
{
	struct str mode = http_header(http, "x-mayfly-mode");

	if (!mode.len || str_eq(mode, STR("sync")))
		return 0;
	if (str_eq(mode, STR("async")))
		return 1;
	return err_field(err, ERR_INVALID, "X-Mayfly-Mode", "X-Mayfly-Mode must be async or sync");
}

/* Those that mayfly puts itself stand under keys of its own, which nobody else may take: an event
 * or a run whose key is known already is not put. */
static int
api_async_check_key(struct str key, struct err *err)
{
	static const char *const own[] = {"event/", "schedule/", "redrive/", "destination/"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (str_starts(key, str_of(own[i])))
			return err_field(err, ERR_INVALID, "Idempotency-Key",
				"Idempotency-Key must not begin with %s, as keys of mayfly's own",
				own[i]);
	return 0;
}

static int
api_async_read(const struct http_request *http, unsigned max_delay_s, struct delivery_request *ret,
	struct err *err)
{
	struct str delay = http_header(http, "x-mayfly-delay");
	uint64_t delay_s = 0;

	ret->origin = "async";
	ret->body = http->body;
	ret->order_key = http_header(http, "x-mayfly-order-key");
	ret->idempotency_key = http_header(http, "idempotency-key");
	ret->callback_url = http_header(http, "x-callback-url");
	if (delay.len && (!str_to_u64(delay, &delay_s) || delay_s > max_delay_s))
		return err_field(err, ERR_INVALID, "X-Mayfly-Delay",
			"X-Mayfly-Delay must be 0 to %u seconds", max_delay_s);
	if (delay_s)
		ret->due_ms = clock_unix_ms() + delay_s * 1000;
	return api_async_check_key(ret->idempotency_key, err);
}

static json_t *
api_async_json(const struct delivery_accepted *accepted)
{
	return json_pack("{s:s, s:s, s:b}", "id", accepted->id, "state", "queued", "known",
		accepted->is_known);
}

/* ---- directly ---- */

static void
api_async_on_put(
	int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	struct api_request *request = arg;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	api_request_header(request, "x-call-id", str_of(accepted->id));
	api_answer_json(request, 202, api_async_json(accepted));
}

void
api_async_direct(struct api_request *request, struct function *function, uint32_t version)
{
	struct delivery_request wanted = {
		.function = function,
		.version = version,
		.frame = FRAME_DIRECT,
	};
	struct err err = {0};

	if (api_async_read(http_request_of(request->exchange), API_ASYNC_DELAY_S, &wanted, &err) <
		0)
		api_answer_error(request, &err);
	else
		delivery_put(request->api->domain->deliveries, &wanted, api_async_on_put, request);
}

/* ---- by route ---- */

struct api_async {
	struct http_exchange *exchange; /* borrowed; NULL once the client is gone */
};

static void
api_async_on_abort(struct http_exchange *exchange, void *arg)
{
	((struct api_async *)arg)->exchange = NULL;
}

static void
api_async_on_routed(
	int code, const struct delivery_accepted *accepted, const struct err *err, void *arg)
{
	OWN(mem) struct api_async *async = arg;
	OWN(buf) struct buf text = BUF_INIT;
	OWN(json) json_t *json = NULL;

	thread_on_loop();
	if (!async->exchange)
		return;
	if (code < 0) {
		api_error_answer(async->exchange, err, NULL);
		return;
	}
	const struct http_header headers[] = {{STR("x-call-id"), str_of(accepted->id)},
		{STR("content-type"), STR("application/json")}};

	json = api_async_json(accepted);
	json_write(json, &text);
	buf_add_char(&text, '\n');
	http_answer(async->exchange, 202, headers, 2, buf_str(&text));
}

void
api_async_route(
	struct http_exchange *exchange, struct function *function, const char *id, struct str head)
{
	const struct http_request *http = http_request_of(exchange);
	struct delivery_request wanted = {
		.function = function,
		.id = id,
		.frame = FRAME_HTTP,
		.method = http->method,
		.path = http->path,
		.head = head,
	};
	struct api_async *async;
	struct err err = {0};

	if (api_async_read(http, API_ASYNC_ROUTE_DELAY_S, &wanted, &err) < 0) {
		api_error_answer(exchange, &err, NULL);
		return;
	}
	async = mem_new(sizeof(*async));
	async->exchange = exchange;
	http_on_abort(exchange, api_async_on_abort, async);
	delivery_put(function->org->domain->deliveries, &wanted, api_async_on_routed, async);
}
