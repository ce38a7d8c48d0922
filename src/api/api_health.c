/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

void
api_health_live(struct api_request *request)
{
	api_answer_json(request, 200, json_pack("{s:s}", "status", "ok"));
}

void
api_health_ready(struct api_request *request)
{
	const char *why = request->api->not_ready;
	struct err err = {0};

	if (!why) {
		api_answer_json(request, 200, json_pack("{s:s}", "status", "ready"));
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
