/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"

static json_t *
api_limits_json(const struct limits_rule *rule)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "field", rule->field, "description",
		rule->text, "default", (json_int_t)rule->value, "floor", (json_int_t)rule->floor,
		"ceiling", (json_int_t)rule->ceiling);
}

/* What holds for everybody on this machine, beside the limits of each function. */
static json_t *
api_limits_provider(const struct domain_config *config)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "source_bytes",
		(json_int_t)config->source_bytes, "max_instances",
		(json_int_t)config->max_instances, "max_instances_total",
		(json_int_t)config->max_instances_total, "max_concurrency",
		(json_int_t)config->max_concurrency, "queue_calls", (json_int_t)config->queue_calls,
		"build_ms", (json_int_t)config->build_ms, "build_bytes",
		(json_int_t)config->build_bytes, "keep_calls", (json_int_t)config->keep_calls,
		"keep_days", (json_int_t)config->keep_days, "keep_versions",
		(json_int_t)config->keep_versions);
}

void
api_limits_list(struct api_request *request)
{
	json_t *list = json_array();

	for (size_t i = 0; i < LIMITS_N; i++)
		json_array_append_new(list, api_limits_json(&limits_table[i]));
	api_answer_json(request, 200,
		json_pack("{s:o, s:o}", "limits", list, "provider",
			api_limits_provider(&request->api->domain->config)));
}
