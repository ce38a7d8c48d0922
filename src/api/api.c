/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include "api/api_code.h"
#include "api/api_error.h"
#include "api/api_invoke.h"
#include "api/api_private.h"
#include "api/api_request.h"
#include "base/path.h"

#define API_OPENAPI_BYTES (1u << 20)

static void
api_on_head(struct http_exchange *exchange, void *arg)
{
	struct api *api = arg;

	thread_on_loop();
	if (api_invoke_is_route(http_request_of(exchange)))
		api_invoke_head(api, exchange);
	else
		api_request_head(api, exchange);
}

static void
api_on_request(struct http_exchange *exchange, void *arg)
{
	struct api *api = arg;

	thread_on_loop();
	if (api_invoke_is_route(http_request_of(exchange)))
		api_invoke_run(api, exchange);
	else
		api_request_run(api, exchange);
}

/* Only a call has more to say than the server: its id and its record. */
static void
api_on_refused(struct http_exchange *exchange, const struct err *reason, void *arg)
{
	struct api *api = arg;

	thread_on_loop();
	if (api_invoke_is_route(http_request_of(exchange)))
		api_invoke_refused(api, exchange, reason);
	else
		api_request_refused(exchange, reason);
}

static void
api_write_error(int code, const char *text, struct buf *out, void *arg)
{
	struct err err = {0};

	err_set(&err, code, "%s", text);
	api_error_write(&err, NULL, out);
}

int
api_new(const struct api_config *config, struct api **ret, struct err *err)
{
	OWN(mem) char *path = path_join(path_share(), "openapi.yaml");
	struct api *api = mem_new(sizeof(*api));
	int rc = path_read(path, API_OPENAPI_BYTES, &api->openapi, err);

	if (rc < 0) {
		free(api);
		return rc;
	}
	api->domain = config->domain;
	api->findings = config->findings;
	api->n_findings = config->n_findings;
	api->is_metrics_open = config->is_metrics_open;
	api->look = config->look;
	api->write_metrics = config->write_metrics;
	api->arg = config->arg;
	api->not_ready = "starting";
	api->started_ms = clock_unix_ms();
	api->handler = (struct http_handler){
		.on_head = api_on_head,
		.on_request = api_on_request,
		.on_refused = api_on_refused,
		.write_error = api_write_error,
		.arg = api,
	};
	api_waiters_init(&api->waiters);
	api->waiters.max[API_WAITER_FOLLOWS] = config->max_followers;
	api->waiters.max_org[API_WAITER_FOLLOWS] = config->max_followers_org;
	api->waiters.max[API_WAITER_WAITS] = config->max_waits;
	api->waiters.max_org[API_WAITER_WAITS] = config->max_waits_org;
	list_init(&api->spare_invokes);
	list_init(&api->uploads_by_age);
	*ret = api;
	return 0;
}

void
api_free(struct api *api)
{
	if (!api)
		return;
	api_invoke_done(api);
	api_code_done(api);
	api_waiters_done(&api->waiters);
	buf_done(&api->openapi);
	buf_done(&api->path);
	buf_done(&api->event);
	free(api);
}

const struct http_handler *
api_handler(const struct api *api)
{
	return &api->handler;
}

void
api_set_server(struct api *api, const struct http_server *server)
{
	api->server = server;
}

void
api_set_ready(struct api *api, const char *why)
{
	api->not_ready = why;
}

void
api_stop(struct api *api)
{
	api_waiters_stop(&api->waiters);
}
