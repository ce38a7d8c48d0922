/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/call_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/own.h"

json_t *
call_list_json(const struct call *call)
{
	struct call_seen seen;
	char started[CLOCK_ISO_SIZE];

	call_see(call, &seen);
	clock_iso(seen.started_ms, started);
	return json_pack("{s:s, s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "id", call_id(call),
		"org", seen.function->org->name, "function", seen.function->name, "version",
		(int)seen.version->number, "trigger", seen.trigger, "method", seen.method, "path",
		seen.path, "state", seen.is_waiting ? "waiting" : "running", "started_at", started);
}

/* ULIDs sort as they were made. */
static int
call_list_compare(const void *a, const void *b)
{
	return strcmp(call_id(*(struct call *const *)b), call_id(*(struct call *const *)a));
}

static bool
call_list_is_asked(const struct call *call, struct str org, struct str function)
{
	struct call_seen seen;

	call_see(call, &seen);
	return str_eq(str_of(seen.function->org->name), org) &&
	       (!function.len || str_eq(str_of(seen.function->name), function));
}

json_t *
call_list(const struct domain *domain, struct str org, struct str function, size_t n)
{
	OWN(mem) struct call **calls = mem_new((domain->calls.len + 1) * sizeof(*calls));
	json_t *list = json_array();
	size_t n_calls = 0;

	map_each (&domain->calls, entry)
		if (call_list_is_asked(entry->value, org, function))
			calls[n_calls++] = entry->value;
	qsort(calls, n_calls, sizeof(*calls), call_list_compare);
	for (size_t i = 0; i < n_calls && i < n; i++)
		json_array_append_new(list, call_list_json(calls[i]));
	return list;
}
