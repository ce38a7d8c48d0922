/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "connect/vcd_notification.h"
#include "domain/event.h"

#define SOURCE "urn:vcloud:cell:1"

/* As VMware's guide for vCloud Director 5.5 has it, page 314. */
#define TASK                                                                                       \
	"{\"eventId\":\"e-1\",\"type\":\"com/vmware/vcloud/event/blockingtask/create\","           \
	"\"timestamp\":\"2011-06-18T14:33:27.787+03:00\",\"operationSuccess\":true,\"user\":"      \
	"\"urn:vcloud:user:44\",\"org\":\"urn:vcloud:org:70\",\"entity\":"                         \
	"\"urn:vcloud:blockingTask:25\",\"task\":\"urn:vcloud:task:34\",\"taskOwner\":"            \
	"\"urn:vcloud:vapp:26\"}"

#define XML(attributes, inside)                                                                    \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                             \
	"<vmext:Notification "                                                                     \
	"xmlns:vmext=\"http://www.vmware.com/vcloud/extension/v1.5\" " attributes ">" inside       \
	"</vmext:Notification>"

#define VM_CREATED                                                                                 \
	XML("type=\"com/vmware/vcloud/event/vm/create\" eventId=\"e-2\"",                          \
		"<vmext:Link rel=\"entityResolver\" href=\"https://vcd/api/entity/\"/>"            \
		"<vmext:EntityLink rel=\"entity\" type=\"vcloud:vm\" name=\"web &amp; co\" "       \
		"id=\"urn:vcloud:vm:5\"/>"                                                         \
		"<vmext:EntityLink rel=\"down\" id=\"urn:vcloud:user:44\"/>"                       \
		"<vmext:EntityLink rel=\"up\" href=\"https://vcd/api/entity/urn:vcloud:org:70\"/>" \
		"<vmext:EntityLink rel=\"task\" id=\"urn:vcloud:task:34\"/>"                       \
		"<vmext:EntityLink rel=\"task:owner\" id=\"urn:vcloud:vapp:26\"/>"                 \
		"<vmext:Timestamp> 2011-06-18T14:33:27.787+03:00 </vmext:Timestamp>"               \
		"<vmext:OperationSuccess>false</vmext:OperationSuccess>")

static json_t *
taken(const char *text)
{
	struct err err = {0};
	json_t *json = NULL;

	if (vcd_notification_read(str_of(text), SOURCE, &json, &err) < 0)
		fail_msg("%s", err.text);
	return json;
}

static const char *
text_of(const json_t *json, const char *key)
{
	const char *text = json_string_value(json_object_get(json, key));

	return text ? text : "";
}

static void
json_becomes_an_event(void **state)
{
	OWN(json) json_t *event = taken(TASK);
	const json_t *data = json_object_get(event, "data");

	assert_string_equal(text_of(event, "specversion"), "1.0");
	assert_string_equal(text_of(event, "type"), "com.vmware.vcloud.event.blockingtask.create");
	assert_string_equal(text_of(event, "id"), "e-1");
	assert_string_equal(text_of(event, "source"), SOURCE);
	assert_string_equal(text_of(event, "subject"), "urn:vcloud:blockingTask:25");
	assert_string_equal(text_of(event, "time"), "2011-06-18T14:33:27.787+03:00");
	assert_string_equal(text_of(event, "orgid"), "urn:vcloud:org:70");
	assert_string_equal(text_of(event, "userid"), "urn:vcloud:user:44");
	assert_string_equal(text_of(event, "taskid"), "urn:vcloud:task:34");
	assert_string_equal(text_of(event, "taskownerid"), "urn:vcloud:vapp:26");
	assert_true(json_is_true(json_object_get(event, "operationsuccess")));
	assert_string_equal(text_of(data, "type"), "com/vmware/vcloud/event/blockingtask/create");
	assert_string_equal(text_of(data, "taskOwner"), "urn:vcloud:vapp:26");
}

static void
xml_becomes_the_same_kind_of_event(void **state)
{
	OWN(json) json_t *event = taken(VM_CREATED);
	const json_t *data = json_object_get(event, "data");
	const json_t *link = json_array_get(json_object_get(data, "links"), 1);

	assert_string_equal(text_of(event, "type"), "com.vmware.vcloud.event.vm.create");
	assert_string_equal(text_of(event, "id"), "e-2");
	assert_string_equal(text_of(event, "subject"), "urn:vcloud:vm:5");
	assert_string_equal(text_of(event, "orgid"), "urn:vcloud:org:70");
	assert_string_equal(text_of(event, "userid"), "urn:vcloud:user:44");
	assert_string_equal(text_of(event, "taskid"), "urn:vcloud:task:34");
	assert_string_equal(text_of(event, "time"), "2011-06-18T14:33:27.787+03:00");
	assert_true(json_is_false(json_object_get(event, "operationsuccess")));
	assert_string_equal(text_of(data, "eventId"), "e-2");
	assert_string_equal(text_of(data, "entity"), "urn:vcloud:vm:5");
	assert_int_equal(json_array_size(json_object_get(data, "links")), 6);
	assert_string_equal(text_of(link, "name"), "web & co");
}

static void
both_are_taken_for_events(void **state)
{
	static const char *const texts[] = {TASK, VM_CREATED};

	for (size_t i = 0; i < 2; i++) {
		OWN(event) struct event event = {0};
		struct err err = {0};

		if (event_adopt(taken(texts[i]), STR_NONE, &event, &err) < 0)
			fail_msg("%s", err.text);
		assert_string_equal(event.source, SOURCE);
	}
}

static void
what_is_no_notification_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} table[] = {
		{"", NULL},
		{"[]", "a notification is an object"},
		{"{}", "eventId is needed"},
		{"{\"eventId\":\"1\"}", "type is needed"},
		{"{\"eventId\":\"\",\"type\":\"x\"}", "eventId is empty"},
		{"{\"eventId\":\"1\",\"type\":\"x\",\"operationSuccess\":\"yes\"}", NULL},
		{"{\"eventId\":\"1\",\"type\":\"x\",\"entity\":5}", NULL},
		{"<a", "it is not well-formed XML"},
		{"<a/>", "it is not a Notification of vCloud Director"},
		{"<Notification type=\"a\" eventId=\"b\"/>",
			"it is not a Notification of vCloud Director"},
		{XML("type=\"a\"", ""), "eventId is needed"},
		{XML("type=\"a\" eventId=\"b\"",
			 "<vmext:OperationSuccess>maybe</vmext:OperationSuccess>"),
			"OperationSuccess is neither true nor false"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct err err = {0};
		json_t *json = NULL;

		if (vcd_notification_read(str_of(table[i].text), SOURCE, &json, &err) !=
			ERR_INVALID)
			fail_msg("%s is taken", table[i].text);
		if (table[i].why)
			assert_string_equal(err.text, table[i].why);
		assert_null(json);
	}
}

static void
a_document_type_is_refused_before_it_is_read(void **state)
{
	static const char *const texts[] = {
		"<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><x>&e;</x>",
		"<!DOCTYPE x SYSTEM \"http://127.0.0.1:1/x.dtd\"><x/>",
		("<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">"
		 "<!ENTITY c \"&b;&b;&b;&b;&b;&b;\">]><x a=\"&c;\"/>"),
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct err err = {0};
		json_t *json = NULL;

		assert_int_equal(
			vcd_notification_read(str_of(texts[i]), SOURCE, &json, &err), ERR_INVALID);
		assert_string_equal(err.text, "a document type is not taken");
	}
}

UNIT_TESTS(it(json_becomes_an_event), it(xml_becomes_the_same_kind_of_event),
	it(both_are_taken_for_events), it(what_is_no_notification_is_refused),
	it(a_document_type_is_refused_before_it_is_read))
