/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

static json_t *
api_version_digest(const char *digest)
{
	return digest[0] ? json_string(digest) : json_null();
}

static json_t *
api_version_code(const struct version *version)
{
	return json_pack("{s:s, s:o}", "digest", version->source, "filename",
		api_version_digest(version->filename));
}

static json_t *
api_version_mechanism(const struct version *version)
{
	return version->mechanism == MECHANISM_NONE
		       ? json_null()
		       : json_string(mechanism_word(version->mechanism));
}

json_t *
api_version_json(const struct version *version, bool with_values)
{
	json_t *json = json_pack("{s:I, s:s, s:s, s:s, s:b, s:s, s:s, s:o, s:o, s:o, s:o}",
		"number", (json_int_t)version->number, "state", version_state_word(version->state),
		"reason", version->reason ? version->reason : "", "build_log",
		version->build_log ? version->build_log : "", "is_active",
		version->function->active == version, "runtime", version->runtime, "handler",
		version->handler, "code", api_version_code(version), "dependencies",
		api_version_digest(version->deps), "created_at", api_json_time(version->created_ms),
		"ready_at", api_json_time(version->ready_ms));

	json_object_update_new(json, version_config_json(&version->config, with_values));
	json_object_set_new(json, "mechanism_in_use", api_version_mechanism(version));
	json_object_set_new(json, "mechanism_reason", json_string(version->mechanism_reason));
	return json;
}

struct version *
api_version_of(struct api_request *request)
{
	struct function *function = api_request_function(request);
	struct version *version = NULL;
	struct err err = {0};
	uint64_t number;

	if (!function)
		return NULL;
	if (str_to_u64(str_of(request->params[2]), &number) && number <= UINT32_MAX)
		version = function_version(function, (uint32_t)number);
	if (version)
		return version;
	err_set(&err, ERR_NOT_FOUND, "function %s has no version %s", function->name,
		request->params[2]);
	api_answer_error(request, &err);
	return NULL;
}

void
api_version_list(struct api_request *request)
{
	bool with_values = api_request_may(request, TOKEN_MAY_WRITE);
	const struct function *function = api_request_function(request);
	json_t *list;
	struct version *version;

	if (!function)
		return;
	list = json_array();
	list_each (&function->versions, version, link)
		json_array_insert_new(list, 0, api_version_json(version, with_values));
	api_answer_json(request, 200, json_pack("{s:o}", "versions", list));
}

void
api_version_show(struct api_request *request)
{
	bool with_values = api_request_may(request, TOKEN_MAY_WRITE);
	const struct version *version = api_version_of(request);

	if (version)
		api_answer_json(request, 200, api_version_json(version, with_values));
}
