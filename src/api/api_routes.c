/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_routes.h"

#include <stdio.h>

#include "api/api_nouns.h"
#include "net/http.h"

#define ROUTE(method, path, right, run, ...)                                                       \
	{                                                                                          \
		method, path, right, run, ##__VA_ARGS__                                            \
	}

static const struct api_route api_routes[] = {
	ROUTE("GET", "/healthz", API_OPEN, api_health_live),
	ROUTE("GET", "/readyz", API_OPEN, api_health_ready),
	ROUTE("GET", "/metrics", TOKEN_MAY_READ, api_metrics_show),
	ROUTE("GET", "/openapi.yaml", API_OPEN, api_openapi_show),
	ROUTE("GET", "/v1/version", API_OPEN, api_health_version),
	ROUTE("GET", "/v1/runtimes", TOKEN_MAY_READ, api_runtime_list),
	ROUTE("GET", "/v1/limits", TOKEN_MAY_READ, api_limits_list),
	ROUTE("GET", "/v1/doctor", TOKEN_MAY_PROVIDER, api_doctor_show),
	ROUTE("GET", "/v1/token", TOKEN_MAY_READ, api_token_self),
	ROUTE("GET", "/v1/tokens", TOKEN_MAY_PROVIDER, api_token_list),
	ROUTE("POST", "/v1/tokens", TOKEN_MAY_PROVIDER, api_token_create),
	ROUTE("DELETE", "/v1/tokens/{token}", TOKEN_MAY_PROVIDER, api_token_delete),
	ROUTE("GET", "/v1/orgs", TOKEN_MAY_READ, api_org_list),
	ROUTE("POST", "/v1/orgs", TOKEN_MAY_PROVIDER, api_org_create),
	ROUTE("GET", "/v1/orgs/{org}", TOKEN_MAY_READ, api_org_show),
	ROUTE("DELETE", "/v1/orgs/{org}", TOKEN_MAY_PROVIDER, api_org_delete),
	ROUTE("GET", "/v1/orgs/{org}/tokens", TOKEN_MAY_TOKENS, api_token_list),
	ROUTE("POST", "/v1/orgs/{org}/tokens", TOKEN_MAY_TOKENS, api_token_create),
	ROUTE("DELETE", "/v1/orgs/{org}/tokens/{token}", TOKEN_MAY_TOKENS, api_token_delete),
	ROUTE("POST", "/v1/orgs/{org}/code", TOKEN_MAY_WRITE, api_code_upload, API_BODY_SOURCE),
	ROUTE("GET", "/v1/orgs/{org}/functions", TOKEN_MAY_READ, api_function_list),
	ROUTE("POST", "/v1/orgs/{org}/functions", TOKEN_MAY_WRITE, api_function_create,
		API_BODY_FUNCTION),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}", TOKEN_MAY_READ, api_function_show),
	ROUTE("PUT", "/v1/orgs/{org}/functions/{function}", TOKEN_MAY_WRITE, api_function_put,
		API_BODY_FUNCTION),
	ROUTE("DELETE", "/v1/orgs/{org}/functions/{function}", TOKEN_MAY_WRITE,
		api_function_delete),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}/versions", TOKEN_MAY_READ,
		api_version_list),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}/versions/{version}", TOKEN_MAY_READ,
		api_version_show),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}/versions/{version}/code", TOKEN_MAY_READ,
		api_code_download),
	ROUTE("POST", "/v1/orgs/{org}/functions/{function}/rollback", TOKEN_MAY_WRITE,
		api_function_rollback),
	ROUTE("POST", "/v1/orgs/{org}/functions/{function}/calls", TOKEN_MAY_CALL,
		api_invoke_direct, API_BODY_EVENT),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}/calls", TOKEN_MAY_READ, api_call_list),
	ROUTE("GET", "/v1/orgs/{org}/functions/{function}/logs", TOKEN_MAY_READ, api_log_show),
	ROUTE("GET", "/v1/orgs/{org}/calls", TOKEN_MAY_READ, api_call_list),
	ROUTE("GET", "/v1/orgs/{org}/calls/{call}", TOKEN_MAY_READ, api_call_show),
	ROUTE("DELETE", "/v1/orgs/{org}/calls/{call}", TOKEN_MAY_CALL, api_call_cancel),
	ROUTE("GET", "/v1/orgs/{org}/calls/{call}/logs", TOKEN_MAY_READ, api_call_logs),
	ROUTE("GET", "/v1/orgs/{org}/schedules", TOKEN_MAY_READ, api_schedule_list),
	ROUTE("GET", "/v1/orgs/{org}/schedules/{schedule}", TOKEN_MAY_READ, api_schedule_show),
	ROUTE("PUT", "/v1/orgs/{org}/schedules/{schedule}", TOKEN_MAY_WRITE, api_schedule_put),
	ROUTE("DELETE", "/v1/orgs/{org}/schedules/{schedule}", TOKEN_MAY_WRITE,
		api_schedule_delete),
	ROUTE("GET", "/v1/orgs/{org}/deliveries", TOKEN_MAY_READ, api_delivery_list),
	ROUTE("GET", "/v1/orgs/{org}/dead-letters", TOKEN_MAY_READ, api_dead_list),
	ROUTE("DELETE", "/v1/orgs/{org}/dead-letters", TOKEN_MAY_WRITE, api_dead_purge),
	ROUTE("POST", "/v1/orgs/{org}/dead-letters/redrive", TOKEN_MAY_CALL, api_dead_redrive_all),
	ROUTE("GET", "/v1/orgs/{org}/dead-letters/{call}", TOKEN_MAY_READ, api_dead_show),
	ROUTE("DELETE", "/v1/orgs/{org}/dead-letters/{call}", TOKEN_MAY_WRITE, api_dead_delete),
	ROUTE("POST", "/v1/orgs/{org}/dead-letters/{call}/redrive", TOKEN_MAY_CALL,
		api_dead_redrive),
	ROUTE("GET", "/v1/orgs/{org}/queues", TOKEN_MAY_READ, api_queue_list),
	ROUTE("GET", "/v1/orgs/{org}/callback-key", TOKEN_MAY_WRITE, api_callback_key_show),
	ROUTE("POST", "/v1/orgs/{org}/events", TOKEN_MAY_CALL, api_events_send, API_BODY_EVENTS),
	ROUTE("GET", "/v1/orgs/{org}/events", TOKEN_MAY_READ, api_events_list),
	ROUTE("GET", "/v1/orgs/{org}/triggers", TOKEN_MAY_READ, api_trigger_list),
	ROUTE("GET", "/v1/orgs/{org}/triggers/{trigger}", TOKEN_MAY_READ, api_trigger_show),
	ROUTE("PUT", "/v1/orgs/{org}/triggers/{trigger}", TOKEN_MAY_WRITE, api_trigger_put),
	ROUTE("DELETE", "/v1/orgs/{org}/triggers/{trigger}", TOKEN_MAY_WRITE, api_trigger_delete),
};

#define API_ROUTES_N (sizeof(api_routes) / sizeof(api_routes[0]))

/* Whether a path has the shape of a row; notes the segments that stand for parameters. */
static bool
api_routes_fits(const char *pattern, struct str path, struct str params[static API_ROUTE_PARAMS])
{
	struct str want = str_of(pattern);
	size_t n = 0;

	for (;;) {
		struct str wanted = str_cut(&want, '/');
		struct str got = str_cut(&path, '/');

		if (wanted.len && wanted.at[0] == '{') {
			if (!got.len)
				return false;
			params[n++] = got;
		} else if (!str_eq(wanted, got)) {
			return false;
		}
		if (!want.at || !path.at)
			return !want.at && !path.at;
	}
}

static bool
api_routes_decode(struct str raw, char ret[static API_ROUTE_PARAM_SIZE])
{
	OWN(buf) struct buf text = BUF_INIT;

	if (!http_percent_decode(raw, false, &text) || text.len >= API_ROUTE_PARAM_SIZE)
		return false;
	memcpy(ret, text.at ? text.at : "", text.len);
	ret[text.len] = 0;
	return true;
}

static void
api_routes_allow(const char *method, char *allow, size_t size)
{
	size_t len = strlen(allow);

	snprintf(allow + len, size - len, "%s%s%s", len ? ", " : "", method,
		strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int
api_routes_find(struct str method, struct str path, const struct api_route **ret,
	char params[static API_ROUTE_PARAMS][API_ROUTE_PARAM_SIZE], char *ret_allow, size_t size)
{
	struct str wanted = str_eq(method, STR("HEAD")) ? STR("GET") : method;

	ret_allow[0] = 0;
	for (size_t i = 0; i < API_ROUTES_N; i++) {
		struct str raw[API_ROUTE_PARAMS] = {0};

		if (!api_routes_fits(api_routes[i].path, path, raw))
			continue;
		if (!str_eq(str_of(api_routes[i].method), wanted)) {
			api_routes_allow(api_routes[i].method, ret_allow, size);
			continue;
		}
		ret_allow[0] = 0;
		for (size_t n = 0; n < API_ROUTE_PARAMS; n++)
			if (!api_routes_decode(raw[n], params[n]))
				return ERR_NOT_FOUND;
		*ret = &api_routes[i];
		return 0;
	}
	return ret_allow[0] ? ERR_METHOD : ERR_NOT_FOUND;
}
