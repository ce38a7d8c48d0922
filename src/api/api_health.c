/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"
#include "domain/delivery.h"

void
api_health_live(struct api_request *request)
{
	api_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

/* A broker may be away while the daemon is not; the store, which is embedded, may not. */
static void
api_health_add_bus(const struct delivery_host *host, json_t *ready) ON_LOOP
{
	bool is_up;
	const char *name = delivery_bus(host, &is_up);

	if (strcmp(name, "embedded") != 0)
		json_object_set_new(
			ready, "bus", json_pack("{s:s, s:b}", "name", name, "up", is_up));
}

/* The same holds for what else it is connected to. */
static void
api_health_add_connections(const struct api *api, json_t *ready) ON_LOOP
{
	struct doctor_finding found[API_CONNECTIONS_MAX];
	size_t n = api->look ? api->look(found, API_CONNECTIONS_MAX, api->arg) : 0;
	json_t *connections;

	if (!n)
		return;
	connections = json_object();
	for (size_t i = 0; i < n; i++)
		json_object_set_new(connections, strchr(found[i].name, '.') + 1,
			json_boolean(found[i].is_there));
	json_object_set_new(ready, "connections", connections);
}

void
api_health_ready(struct api_request *request)
{
	const char *why = request->api->not_ready;
	struct err err = {0};

	if (!why) {
		json_t *ready = json_pack("{s:s}", "status", "ready");

		api_health_add_bus(request->api->domain->deliveries, ready);
		api_health_add_connections(request->api, ready);
		api_answer_json(request, 200, ready);
		return;
	}
	err_set(&err, ERR_UNAVAILABLE, "%s", why);
	api_answer_error(request, &err);
}

void
api_health_version(struct api_request *request)
{
	api_answer_json(request, 200,
		json_pack("{s:s, s:s, s:o}", "name", "mayfly", "version", MAYFLY_VERSION,
			"started_at", api_json_time(request->api->started_ms)));
}

void
api_openapi_show(struct api_request *request)
{
	api_answer_bytes(request, 200, "application/yaml", buf_str(&request->api->openapi));
}
