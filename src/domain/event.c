/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event.h"

#include "base/base64.h"
#include "base/clock.h"
#include "domain/event_attribute.h"

void
event_done(struct event *event)
{
	json_decref(event->json);
	free(event->text);
	*event = (struct event){0};
}

void
event_list_done(struct event_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		event_done(&list->at[i]);
	free(list->at);
	*list = (struct event_list){0};
}

/* ---- the rules of the JSON format ---- */

static bool
is_data(const char *name)
{
	return strcmp(name, "data") == 0 || strcmp(name, "data_base64") == 0;
}

/* An attribute that is null is one that is not there. */
static void
drop_nulls(json_t *json)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(
		json, next, name, value) if (json_is_null(value) && strcmp(name, "data") != 0)
		json_object_del(json, name);
}

static int
check_data(const json_t *json, struct err *err)
{
	const json_t *coded = json_object_get(json, "data_base64");
	OWN(buf) struct buf bytes = BUF_INIT;

	if (!coded)
		return 0;
	if (json_object_get(json, "data"))
		return err_field(err, ERR_INVALID, "data_base64",
			"data and data_base64 must not both be there");
	if (!json_is_string(coded) ||
		!base64_decode(str_n(json_string_value(coded), json_string_length(coded)), &bytes))
		return err_field(err, ERR_INVALID, "data_base64",
			"data_base64 must be a string of base64 (RFC 4648)");
	return 0;
}

static int
check_attributes(json_t *json, struct err *err)
{
	unsigned n = 0;
	const char *name;
	json_t *value;

	json_object_foreach (json, name, value) {
		int rc = is_data(name) ? 0 : event_attribute_check(name, value, err);

		if (rc < 0)
			return rc;
		if (++n > EVENT_ATTRIBUTES_MAX)
			return err_set(err, ERR_INVALID, "there are more than %d attributes",
				EVENT_ATTRIBUTES_MAX);
	}
	return check_data(json, err);
}

static int
check_needed(const json_t *json, struct err *err)
{
	static const char *const needed[] = {"specversion", "id", "source", "type"};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!json_object_get(json, needed[i]))
			return err_field(err, ERR_INVALID, needed[i], "%s is missing", needed[i]);
	return 0;
}

static int
check_event(json_t *json, struct err *err)
{
	int rc;

	if (!json_is_object(json))
		return err_set(err, ERR_INVALID, "an event must be a JSON object");
	drop_nulls(json);
	rc = check_needed(json, err);
	return rc < 0 ? rc : check_attributes(json, err);
}

static const char *
text_of(const json_t *json, const char *name)
{
	return json_string_value(json_object_get(json, name));
}

int
event_adopt(json_t *json, struct str text, struct event *ret, struct err *err)
{
	OWN(json) json_t *owned = json;
	OWN(buf) struct buf written = BUF_INIT;
	int rc = check_event(json, err);

	if (rc < 0)
		return rc;
	if (text.len)
		buf_add_str(&written, text);
	else
		json_write(json, &written);
	if (written.len > EVENT_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "an event must have at most %d KiB",
			EVENT_BYTES_MAX >> 10);
	ret->json = take_ptr(&owned);
	ret->text = buf_take(&written, &ret->text_len);
	ret->id = text_of(json, "id");
	ret->source = text_of(json, "source");
	ret->type = text_of(json, "type");
	ret->subject = text_of(json, "subject");
	ret->time = text_of(json, "time");
	return 0;
}

int
event_make(const char *source, const char *type, const char *subject, const json_t *data,
	struct event *ret, struct err *err)
{
	char id[ID_ULID_SIZE], time[CLOCK_ISO_SIZE];
	json_t *json;

	id_ulid(id);
	clock_iso(clock_unix_ms(), time);
	json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "specversion", "1.0", "id", id, "source",
		source, "type", type, "time", time);
	if (!json)
		return err_set(err, ERR_INVALID, "source and type must be UTF-8");
	if (subject && json_object_set_new(json, "subject", json_string(subject)) < 0) {
		json_decref(json);
		return err_field(err, ERR_INVALID, "subject", "subject is not UTF-8");
	}
	if (data) {
		json_object_set_new(json, "datacontenttype", json_string("application/json"));
		json_object_set_new(json, "data", json_incref((json_t *)data));
	}
	return event_adopt(json, STR_NONE, ret, err);
}
