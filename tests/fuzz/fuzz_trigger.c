/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_trigger - a filter, a NUL, an event in the JSON format. What the index finds is what the
 * filter says, and so is the explanation.
 */
#include "fuzz.h"

#include "domain/trigger_index.h"

static void
on_found(struct trigger_place *place, void *arg)
{
	++*(unsigned *)arg;
}

static bool
is_found(const struct trigger_filter *filter, const struct event *event)
{
	struct trigger_index *index = trigger_index_new();
	struct trigger_place place = {.filter = filter};
	unsigned n = 0;

	trigger_index_add(index, &place);
	trigger_index_match(index, event, on_found, &n);
	trigger_index_remove(index, &place);
	trigger_index_free(index);
	must(n <= 1);
	return n;
}

static void
check(const struct trigger_filter *filter, const struct event *event)
{
	bool fits = trigger_filter_match(filter, event);
	OWN(buf) struct buf why = BUF_INIT;

	must(is_found(filter, event) == fits);
	must(trigger_filter_explain(filter, event, &why) == fits);
	must(why.len && str_is_utf8(buf_str(&why)));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const char usual[] = "{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\","
				    "\"type\":\"com.acme.vm.created\",\"subject\":\"a\",\"n\":5,"
				    "\"data\":{\"x\":[1,\"2\",{\"y\":true}]}}";
	struct str rest = str_n(bytes, size), text = str_cut(&rest, '\0');
	OWN(trigger_filter) struct trigger_filter *filter = NULL;
	OWN(json) json_t *document = NULL;
	OWN(event) struct event event = {0};
	json_t *json = NULL;
	struct err err = {0};

	if (json_parse(text, &document, NULL) < 0)
		return 0;
	if (trigger_filter_new(document, &filter, &err) < 0) {
		must(!filter && err.code == ERR_INVALID && err.field[0]);
		return 0;
	}
	if (json_parse(rest.len ? rest : str_of(usual), &json, NULL) == 0 &&
		event_adopt(json, STR_NONE, &event, NULL) == 0)
		check(filter, &event);
	return 0;
}
