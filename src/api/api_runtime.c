/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_nouns.h"
#include "runtime/mechanism.h"

/* The family's name means its newest. */
static json_t *
api_runtime_aliases(const struct language *language)
{
	json_t *aliases = json_array();
	const struct language *newest = language_find(language->family);

	if (newest == language && strcmp(language->family, language->name) != 0)
		json_array_append_new(aliases, json_string(language->family));
	return aliases;
}

/* How calls are kept from each other, the best way first, and what stands in the way of others. */
static json_t *
api_runtime_mechanisms(const struct language *language)
{
	json_t *list = json_array();

	for (int i = MECHANISM_ROLLBACK; i < MECHANISMS; i++) {
		const char *why = mechanism_obstacle(language, (enum mechanism)i);

		json_array_append_new(list,
			json_pack("{s:s, s:b, s:s}", "name", mechanism_word((enum mechanism)i),
				"available", !why, "why", why ? why : ""));
	}
	return list;
}

static json_t *
api_runtime_json(const struct language *language)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:s, s:s, s:b, s:I, s:o}", "name",
		language->name, "family", language->family, "version", language->version, "aliases",
		api_runtime_aliases(language), "default_handler",
		language->handler ? language->handler : "", "default_filename",
		language->file ? language->file : "", "path", language->path, "has_dependencies",
		language->build != NULL, "memory_floor_mib", (json_int_t)language->memory_floor_mib,
		"mechanisms", api_runtime_mechanisms(language));
}

void
api_runtime_list(struct api_request *request)
{
	json_t *list = json_array();
	const struct language *language;

	for (size_t i = 0; (language = language_each(i)); i++)
		json_array_append_new(list, api_runtime_json(language));
	api_answer_json(request, 200, json_pack("{s:o}", "runtimes", list));
}
