/* SPDX-License-Identifier: Apache-2.0 */
#include "cell_register.h"

int
cell_register_check_ours(const struct cell_service *wished, const json_t *record, struct err *err)
{
	const char *name = cell_service_of(record).name;

	if (strcmp(name, wished->name) == 0)
		return 0;
	return err_set(err, ERR_CONFLICT, "the namespace %s belongs to the service '%s', not '%s'",
		wished->namespace, name, wished->name);
}

/* Names of what differs between what is registered and what is wished. */
static json_t *
differences(const struct cell_service *is, const struct cell_service *wished)
{
	const struct {
		const char *name;
		bool is_other;
	} table[] = {
		{"enabled", is->is_enabled != wished->is_enabled},
		{"authorization", is->is_authorized != wished->is_authorized},
		{"exchange", strcmp(is->exchange, wished->exchange) != 0},
		{"routing_key", strcmp(is->routing_key, wished->routing_key) != 0},
		{"priority", is->priority != wished->priority},
	};
	json_t *out = json_array();

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].is_other)
			json_array_append_new(out, json_string(table[i].name));
	return out;
}

static const char *
pattern_of(const json_t *filter)
{
	const char *pattern = json_string_value(json_object_get(filter, "urlPattern"));

	return pattern ? pattern : "";
}

static bool
is_there(const json_t *filters, const char *pattern)
{
	const json_t *filter;
	size_t i;

	json_array_foreach (filters, i, filter)
		if (strcmp(pattern_of(filter), pattern) == 0)
			return true;
	return false;
}

static bool
is_wished(const json_t *patterns, const char *pattern)
{
	const json_t *wished;
	size_t i;

	json_array_foreach (patterns, i, wished)
		if (strcmp(json_string_value(wished), pattern) == 0)
			return true;
	return false;
}

static void
note(json_t *document, const char *key, const char *pattern)
{
	json_array_append_new(json_object_get(document, key), json_string(pattern));
}

static int
add_missing(struct cell *cell, const json_t *record, const json_t *filters, const json_t *patterns,
	json_t *document, struct err *err)
{
	const json_t *one;
	size_t i;

	json_array_foreach (patterns, i, one) {
		const char *pattern = json_string_value(one);
		bool is_known = is_there(filters, pattern);
		int rc = is_known ? 0 : cell_service_add_filter(cell, record, pattern, err);

		if (rc < 0)
			return err_wrap(err, rc, "filter %s", pattern);
		note(document, is_known ? "there" : "added", pattern);
	}
	return 0;
}

static int
remove_others(struct cell *cell, const json_t *filters, const json_t *patterns,
	enum cell_register_flags flags, json_t *document, struct err *err)
{
	bool is_pruned = flags & CELL_REGISTER_PRUNE;
	const json_t *filter;
	size_t i;

	json_array_foreach (filters, i, filter) {
		const char *pattern = pattern_of(filter);
		int rc = 0;

		if (is_wished(patterns, pattern))
			continue;
		if (is_pruned)
			rc = cell_service_remove_filter(cell, filter, err);
		if (rc < 0)
			return err_wrap(err, rc, "filter %s", pattern);
		note(document, is_pruned ? "removed" : "kept", pattern);
	}
	return 0;
}

static int
register_again(struct cell *cell, const struct cell_service *wished, const json_t *record,
	const json_t *patterns, enum cell_register_flags flags, json_t *document, struct err *err)
{
	const struct cell_service is = cell_service_of(record);
	json_t *changed = differences(&is, wished);
	OWN(json) json_t *filters = NULL;
	int rc = 0;

	json_object_set_new(document, "changed", changed);
	if (json_array_size(changed))
		rc = cell_service_change(cell, record, wished, err);
	if (rc == 0)
		rc = cell_service_filters(cell, record, &filters, err);
	if (rc == 0)
		rc = add_missing(cell, record, filters, patterns, document, err);
	return rc == 0 ? remove_others(cell, filters, patterns, flags, document, err) : rc;
}

int
cell_register(struct cell *cell, const struct cell_service *wished, const json_t *patterns,
	enum cell_register_flags flags, json_t *document, struct err *err)
{
	OWN(json) json_t *record = NULL;
	int rc = cell_service_find(cell, wished->namespace, &record, err);

	if (rc == 0 && record)
		rc = cell_register_check_ours(wished, record, err);
	if (rc < 0)
		return rc;
	json_object_update_new(
		document, json_pack("{s:b,s:[],s:[],s:[],s:[],s:[]}", "created", !record, "changed",
				  "added", "there", "removed", "kept"));
	if (record)
		return register_again(cell, wished, record, patterns, flags, document, err);
	rc = cell_service_create(cell, wished, patterns, err);
	json_object_set_new(document, "added", json_copy((json_t *)patterns));
	return rc;
}
