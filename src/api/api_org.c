/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

static json_t *
api_org_json(const struct org *org)
{
	return json_pack("{s:s, s:o, s:I}", "name", org->name, "created_at",
		api_json_time(org->created_ms), "n_functions", (json_int_t)org->functions.len);
}

/* Each token sees what it may read: the provider's all, another its own. */
void
api_org_list(struct api_request *request)
{
	json_t *list = json_array();

	map_each (&request->api->domain->orgs, entry) {
		const struct org *org = entry->value;
		bool is_seen =
			token_may(&request->token, TOKEN_MAY_READ, str_of(org->name), NULL) == 0;

		if (is_seen && !org->is_deleting)
			json_array_append_new(list, api_org_json(org));
	}
	api_json_sort(list, "name");
	api_answer_json(request, 200, json_pack("{s:o}", "orgs", list));
}

void
api_org_show(struct api_request *request)
{
	const struct org *org = api_request_org(request);

	if (org)
		api_answer_json(request, 200, api_org_json(org));
}

/* ---- creating ---- */

static void
api_org_on_created(int code, const struct err *err, void *arg)
{
	struct api_request *request = arg;
	const struct org *org;

	thread_on_loop();
	if (code < 0) {
		api_answer_error(request, err);
		return;
	}
	org = org_find(request->api->domain, str_of(request->params[0]));
	must(org);
	OWN(mem) char *location = mem_printf("/v1/orgs/%s", org->name);

	api_request_header(request, "location", str_of(location));
	api_answer_json(request, 201, api_org_json(org));
}

void
api_org_create(struct api_request *request)
{
	static const char *const known[] = {"name", NULL};
	OWN(json) json_t *json = NULL;
	const char *name = NULL;
	struct err err = {0};
	int rc = api_request_json(request, known, &json, &err);

	if (rc == 0)
		rc = json_get_str(json, "", "name", JSON_NEEDED, 63, &name, &err);
	if (rc == 0)
		rc = id_check_name(str_of(name), "name", &err);
	if (rc < 0) {
		api_answer_error(request, &err);
		return;
	}
	memcpy(request->params[0], name, strlen(name) + 1);
	org_create(request->api->domain, str_of(name), api_org_on_created, request);
}

/* ---- deleting ---- */

void
api_org_delete(struct api_request *request)
{
	struct org *org = api_request_org(request);

	if (org)
		org_delete(org, api_answer_done, request);
}
