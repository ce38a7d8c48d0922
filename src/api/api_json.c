/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api_json.h"

#include "base/clock.h"

json_t *
api_json_time(uint64_t unix_ms)
{
	char text[CLOCK_ISO_SIZE];

	if (!unix_ms)
		return json_null();
	clock_iso(unix_ms, text);
	return json_string(text);
}

static int
api_json_compare(const void *a, const void *b, void *key)
{
	const json_t *const *left = a, *const *right = b;

	return strcmp(json_string_value(json_object_get(*left, key)),
		json_string_value(json_object_get(*right, key)));
}

void
api_json_sort(json_t *array, const char *key)
{
	size_t n = json_array_size(array);
	OWN(mem) json_t **items = mem_new((n + 1) * sizeof(*items));

	for (size_t i = 0; i < n; i++)
		items[i] = json_incref(json_array_get(array, i));
	if (n > 1)
		qsort_r(items, n, sizeof(*items), api_json_compare, (void *)key);
	json_array_clear(array);
	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, items[i]);
}
