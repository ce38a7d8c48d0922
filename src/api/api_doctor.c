/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

static const char *const api_doctor_groups[] = {
	[DOCTOR_PROTECTION] = "protection",
	[DOCTOR_LIMIT] = "limit",
	[DOCTOR_MECHANISM] = "mechanism",
};

void
api_doctor_show(struct api_request *request)
{
	const struct api *api = request->api;
	json_t *list = json_array();

	for (size_t i = 0; i < api->n_findings; i++) {
		const struct doctor_finding *finding = &api->findings[i];

		json_array_append_new(list,
			json_pack("{s:s, s:s, s:b, s:b, s:s}", "name", finding->name, "group",
				api_doctor_groups[finding->group], "available", finding->is_there,
				"needed", finding->is_needed, "why", finding->why));
	}
	api_answer_json(request, 200, json_pack("{s:o}", "findings", list));
}
