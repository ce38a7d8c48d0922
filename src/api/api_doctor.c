/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

static const char *const api_doctor_groups[] = {
	[DOCTOR_PROTECTION] = "protection",
	[DOCTOR_LIMIT] = "limit",
	[DOCTOR_MECHANISM] = "mechanism",
	[DOCTOR_CONNECTION] = "connection",
};

static void
api_doctor_add(json_t *list, const struct doctor_finding *findings, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct doctor_finding *finding = &findings[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:b, s:s}", "name", finding->name, "group",
				api_doctor_groups[finding->group], "available", finding->is_there,
				"needed", finding->is_needed, "why", finding->why));
	}
}

void
api_doctor_show(struct api_request *request)
{
	struct doctor_finding connections[API_CONNECTIONS_MAX];
	const struct api *api = request->api;
	json_t *list = json_array();

	api_doctor_add(list, api->findings, api->n_findings);
	if (api->look)
		api_doctor_add(
			list, connections, api->look(connections, API_CONNECTIONS_MAX, api->arg));
	api_answer_json(request, 200, json_pack("{s:o}", "findings", list));
}
