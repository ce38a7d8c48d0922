/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_notification.h"

#include <stdio.h>
#include <stdlib.h>

#include "connect/vcd_notification_xml.h"

#define NOTIFICATION_TEXT_MAX 1024

static int
read_text(const json_t *data, const char *key, enum json_flags flags, const char **ret,
	struct err *err)
{
	*ret = NULL;
	return json_get_str(data, "", key, flags, NOTIFICATION_TEXT_MAX, ret, err);
}

/* "com/vmware/vcloud/event/vm/create" with dots, as routing keys have it. */
static char *
dotted(const char *type)
{
	char *text = str_dup(str_of(type));

	for (char *at = text; *at; at++)
		if (*at == '/')
			*at = '.';
	return text;
}

static void
set_text(json_t *event, const char *name, const char *value)
{
	if (value && *value)
		json_object_set_new(event, name, json_string(value));
}

static int
read_id_and_type(const json_t *data, const char **ret_id, const char **ret_type, struct err *err)
{
	int rc = read_text(data, "eventId", JSON_NEEDED, ret_id, err);

	if (rc == 0)
		rc = read_text(data, "type", JSON_NEEDED, ret_type, err);
	if (rc == 0 && !**ret_id)
		rc = err_field(err, ERR_INVALID, "eventId", "eventId is empty");
	if (rc == 0 && !**ret_type)
		rc = err_field(err, ERR_INVALID, "type", "type is empty");
	return rc;
}

static int
add_links(const json_t *data, json_t *event, struct err *err)
{
	static const struct {
		const char *key, *name;
	} links[] = {
		{"entity", "subject"},
		{"timestamp", "time"},
		{"org", "orgid"},
		{"user", "userid"},
		{"task", "taskid"},
		{"taskOwner", "taskownerid"},
	};

	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		const char *value;
		int rc = read_text(data, links[i].key, JSON_OPTIONAL, &value, err);

		if (rc < 0)
			return rc;
		set_text(event, links[i].name, value);
	}
	return 0;
}

/* The attributes; `data` is stolen. */
static int
make_event(json_t *data, const char *source, json_t **ret, struct err *err)
{
	OWN(json) json_t *owned = data;
	OWN(json) json_t *event = NULL;
	OWN(mem) char *type = NULL;
	const char *id, *name;
	bool is_success = true;
	int rc = read_id_and_type(data, &id, &name, err);

	if (rc == 0)
		rc = json_get_bool(data, "", "operationSuccess", JSON_OPTIONAL, &is_success, err);
	if (rc < 0)
		return rc;
	type = dotted(name);
	event = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "specversion", "1.0", "type", type,
		"id", id, "source", source, "operationsuccess", is_success, "datacontenttype",
		"application/json");
	must(event);
	rc = add_links(data, event, err);
	if (rc < 0)
		return rc;
	json_object_set(event, "data", owned);
	*ret = take_ptr(&event);
	return 0;
}

static int
read_json(struct str bytes, json_t **ret, struct err *err)
{
	OWN(json) json_t *json = NULL;
	int rc = json_parse(bytes, &json, err);

	if (rc == 0 && !json_is_object(json))
		rc = err_set(err, ERR_INVALID, "a notification is an object");
	if (rc == 0)
		*ret = take_ptr(&json);
	return rc;
}

static bool
is_xml(struct str bytes)
{
	static const char mark[] = "\xef\xbb\xbf";

	if (str_starts(bytes, str_of(mark)))
		return true;
	for (size_t i = 0; i < bytes.len; i++)
		if (!strchr(" \t\r\n", bytes.at[i]))
			return bytes.at[i] == '<';
	return false;
}

int
vcd_notification_read(struct str bytes, const char *source, json_t **ret, struct err *err)
{
	json_t *data = NULL;
	int rc;

	if (bytes.len > VCD_NOTIFICATION_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the notification has more than %d bytes",
			VCD_NOTIFICATION_BYTES_MAX);
	rc = is_xml(bytes) ? vcd_notification_xml_read(bytes, &data, err)
			   : read_json(bytes, &data, err);
	return rc < 0 ? rc : make_event(data, source, ret, err);
}
