/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_unit - events and filters of their own for the tests of both.
 */
#ifndef MAYFLY_EVENT_UNIT_H
#define MAYFLY_EVENT_UNIT_H

#include "unit.h"

#include "domain/trigger_filter.h"

/* Single quotes stand for double ones. */
static inline char *
event_quoted(const char *text)
{
	char *copy = str_dup(str_of(text));

	for (char *at = copy; *at; at++)
		*at = *at == '\'' ? '"' : *at;
	return copy;
}

static inline json_t *
event_json(const char *text)
{
	OWN(mem) char *quoted = event_quoted(text);
	struct err err = {0};
	json_t *json = NULL;

	if (json_parse(str_of(quoted), &json, &err) < 0)
		print_error("%s: %s\n", text, err.text);
	assert_non_null(json);
	return json;
}

/* specversion, id and source are there; `more` are further members. */
static inline struct event
event_of(const char *type, const char *more)
{
	OWN(mem)
	char *text = mem_printf("{'specversion':'1.0','id':'1','source':'/s','type':'%s'%s%s}",
		type, *more ? "," : "", more);
	struct event event = {0};
	struct err err = {0};

	if (event_adopt(event_json(text), STR_NONE, &event, &err) < 0)
		print_error("%s\n", err.text);
	assert_non_null(event.json);
	return event;
}

#endif
