/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "connect/vcd_task.h"

#define EVENT(more)                                                                                \
	"{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"urn:vcloud:cell:1\",\"type\":"       \
	"\"com.vmware.vcloud.event.blockingtask.create\",\"orgid\":\"urn:vcloud:org:70\"" more "}"
#define VIA   ",\"mayflyvia\":\"vcd\""
#define TASK  ",\"subject\":\"urn:vcloud:blockingTask:25\""
#define OTHER ",\"subject\":\"urn:vcloud:vm:25\""

/* ---- what an answer says ---- */

static void
says(const char *answer, enum vcd_task_action action, const char *message)
{
	OWN(buf) struct buf text = BUF_INIT;
	enum vcd_task_action found;

	assert_int_equal(vcd_task_read(str_of(answer), &found, &text), 0);
	assert_int_equal(found, action);
	assert_string_equal(text.len ? text.at : "", message);
}

static void
an_answer_says_what_is_to_be_done_and_why(void **state)
{
	says("{\"task\":\"resume\"}", VCD_TASK_RESUME, "");
	says("{\"task\":\"abort\",\"message\":\"too large\"}", VCD_TASK_ABORT, "too large");
	says(" {\"more\":1,\"message\":\"<no> & \\u00e4\",\"task\":\"fail\"} ", VCD_TASK_FAIL,
		"<no> & \xc3\xa4");
}

static void
an_answer_that_says_nothing_resumes(void **state)
{
	says("", VCD_TASK_RESUME, "");
	says("  ", VCD_TASK_RESUME, "");
	says("null", VCD_TASK_RESUME, "");
	says("{}", VCD_TASK_RESUME, "");
	says("{\"pages\":4,\"message\":\"printed\"}", VCD_TASK_RESUME, "");
}

static void
an_answer_that_is_not_understood_fails_and_says_so(void **state)
{
	static const char *const answers[] = {"resume", "\"resume\"", "true", "[]", "{\"task\":1}",
		"{\"task\":null}", "{\"task\":\"\"}", "{\"task\":\"Resume\"}",
		"{\"task\":\"resume\\u0000\"}", "{\"task\":\"delete\"}",
		"{\"task\":\"resume\",\"message\":7}", "{\"task\":\"resume\"", "\xff"};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		OWN(buf) struct buf text = BUF_INIT;
		enum vcd_task_action action;

		assert_int_equal(vcd_task_read(str_of(answers[i]), &action, &text), ERR_INVALID);
		assert_int_equal(action, VCD_TASK_FAIL);
		assert_non_null(strstr(text.at, "task must be"));
	}
}

static void
a_message_is_cut_between_characters_and_holds_what_xml_can(void **state)
{
	OWN(buf) struct buf answer = BUF_INIT;
	OWN(buf) struct buf text = BUF_INIT;
	OWN(buf) struct buf xml = BUF_INIT;
	enum vcd_task_action action;

	buf_add_text(&answer, "{\"task\":\"abort\",\"message\":\"a\\u0001\\ufffe");
	for (unsigned i = 0; i < VCD_TASK_MESSAGE_MAX; i++)
		buf_add_text(&answer, "\xc3\xa4");
	buf_add_text(&answer, "\"}");
	assert_int_equal(vcd_task_read(buf_str(&answer), &action, &text), 0);
	assert_int_equal(text.len, VCD_TASK_MESSAGE_MAX - 1);
	assert_memory_equal(text.at, "a  \xc3\xa4", 5);
	assert_true(str_is_utf8(buf_str(&text)));
	vcd_task_write(STR("</Message>&\"\x01"), &xml);
	assert_non_null(strstr(xml.at, "<Message>&#60;/Message&#62;&#38;&#34; </Message>"));
}

/* ---- the post ---- */

static int
post(struct delivery_task task, const char *event, struct buf *url, struct buf *body)
{
	struct err err = {0};

	task.org = "acme";
	task.function = "approve";
	task.id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
	task.event = str_of(event);
	if (!task.origin)
		task.origin = "event";
	if (!task.action)
		task.action = "";
	if (!task.reason)
		task.reason = "";
	buf_clear(url);
	buf_clear(body);
	return vcd_task_post(&task, url, body, &err);
}

static void
a_delivery_of_a_notification_becomes_a_post(void **state)
{
	static const char event[] = EVENT(VIA TASK);
	OWN(buf) struct buf url = BUF_INIT;
	OWN(buf) struct buf body = BUF_INIT;

	assert_int_equal(post((struct delivery_task){.answer = STR("{\"task\":\"abort\","
								   "\"message\":\"no\"}")},
				 event, &url, &body),
		0);
	assert_string_equal(url.at, "vcd-task:25/abort");
	assert_string_equal(body.at, "{\"org\":\"urn:vcloud:org:70\",\"message\":\"no\"}");
	assert_int_equal(
		post((struct delivery_task){.answer = STR("null")}, event, &url, &body), 0);
	assert_string_equal(url.at, "vcd-task:25/resume");
	assert_non_null(strstr(body.at, "decided by the function approve"));
	assert_int_equal(post((struct delivery_task){.answer = STR("7")}, event, &url, &body), 0);
	assert_string_equal(url.at, "vcd-task:25/fail");
	assert_non_null(strstr(body.at, "task must be"));
	assert_int_equal(post((struct delivery_task){.action = "fail", .reason = "it threw"}, event,
				 &url, &body),
		0);
	assert_string_equal(url.at, "vcd-task:25/fail");
	assert_non_null(strstr(body.at, "it threw"));
}

static void
what_did_not_come_over_a_notification_becomes_none(void **state)
{
	OWN(buf) struct buf url = BUF_INIT;
	OWN(buf) struct buf body = BUF_INIT;
	static const char *const origins[] = {
		"async", "schedule", "redrive", "destination", "queue", "task", ""};
	static const char *const forged[] = {EVENT(TASK), EVENT(TASK ",\"mayflyvia\":\"VCD\""),
		EVENT(TASK ",\"mayflyvia\":true"), EVENT(TASK ",\"data\":{\"mayflyvia\":\"vcd\"}"),
		"", "null", "[]", "\"vcd\"", EVENT(VIA TASK) "{"};
	static const char *const others[] = {EVENT(VIA), EVENT(VIA OTHER),
		EVENT(VIA ",\"subject\":\"urn:vcloud:blockingTask:\""),
		EVENT(VIA ",\"subject\":\"urn:vcloud:blockingTask:1/../2\""),
		EVENT(VIA ",\"subject\":\"urn:vcloud:blockingTask:1?x\"")};

	for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++)
		assert_int_equal(post((struct delivery_task){.origin = origins[i]}, EVENT(VIA TASK),
					 &url, &body),
			ERR_FORBIDDEN);
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++)
		assert_int_equal(
			post((struct delivery_task){0}, forged[i], &url, &body), ERR_FORBIDDEN);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(
			post((struct delivery_task){0}, others[i], &url, &body), ERR_INVALID);
	assert_int_equal(url.len + body.len, 0);
}

/* ---- where it goes ---- */

static void
the_url_of_a_post_names_a_task_and_what_is_done_with_it(void **state)
{
	static const char *const none[] = {"", "vcd-task:", "vcd-task:25", "vcd-task:25/",
		"vcd-task:25/delete", "vcd-task:/resume", "vcd-task:25/resume/",
		"vcd-task:2%35/fail", "http://vcd/25/resume", "vcd-task:../25/resume"};
	char id[VCD_TASK_ID_SIZE];
	enum vcd_task_action action;

	assert_int_equal(vcd_task_url(STR("vcd-task:7d0c4e0f-1e7c/resume"), id, &action, NULL), 0);
	assert_string_equal(id, "7d0c4e0f-1e7c");
	assert_int_equal(action, VCD_TASK_RESUME);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(vcd_task_url(str_of(none[i]), id, &action, NULL), ERR_INVALID);
}

/* ---- how a task is ---- */

#define BLOCKING(attributes)                                                                       \
	"<?xml version=\"1.0\"?><vmext:BlockingTask "                                              \
	"xmlns:vmext=\"http://www.vmware.com/vcloud/extension/v1.5\" " attributes "/>"

static void
a_task_that_was_answered_is_over(void **state)
{
	char status[VCD_TASK_STATUS_SIZE];
	bool is_over;

	assert_int_equal(
		vcd_task_read_status(STR(BLOCKING("status=\"aborted\"")), status, &is_over, NULL),
		0);
	assert_true(is_over);
	assert_string_equal(status, "aborted");
	assert_int_equal(vcd_task_read_status(
				 STR(BLOCKING("status=\"activeTask\"")), status, &is_over, NULL),
		0);
	assert_false(is_over);
	assert_int_equal(vcd_task_read_status(STR(BLOCKING("status=\"something&#10;new\"")), status,
				 &is_over, NULL),
		0);
	assert_false(is_over);
	assert_string_equal(status, "something?new");
}

static void
what_is_no_task_has_no_status(void **state)
{
	static const char *const none[] = {"", "<", "{}", BLOCKING(""), BLOCKING("status=\"\""),
		"<BlockingTask status=\"aborted\"/>",
		"<!DOCTYPE x><BlockingTask status=\"aborted\"/>"};
	char status[VCD_TASK_STATUS_SIZE];
	bool is_over;

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(
			vcd_task_read_status(str_of(none[i]), status, &is_over, NULL), ERR_INVALID);
}

/* ---- settings ---- */

static void
settings_of_a_session_are_judged(void **state)
{
	struct err err = {0};

	assert_int_equal(vcd_session_check("https://vcd.example", "admin@System", "36.0", &err), 0);
	assert_int_equal(vcd_session_check("https://[::1]:8443", "a@b", "39.0.0-alpha", &err), 0);
	assert_int_equal(vcd_session_check("ftp://vcd", "admin@System", "36.0", &err), ERR_INVALID);
	assert_string_equal(err.field, "vcd_url");
	assert_int_equal(
		vcd_session_check("https://u:p@vcd", "admin@System", "36.0", &err), ERR_INVALID);
	assert_int_equal(
		vcd_session_check("https://vcd/?x", "admin@System", "36.0", &err), ERR_INVALID);
	assert_int_equal(
		vcd_session_check("https://vcd/api", "admin@System", "36.0", &err), ERR_INVALID);
	assert_int_equal(
		vcd_session_check("http://vcd", "admin@System", "36.0", &err), ERR_INVALID);
	assert_int_equal(vcd_session_check("http://127.example.com", "admin@System", "36.0", &err),
		ERR_INVALID);
	assert_int_equal(
		vcd_session_check("http://localhost:8080", "admin@System", "36.0", &err), 0);
	assert_int_equal(vcd_session_check("https://vcd", "admin", "36.0", &err), ERR_INVALID);
	assert_string_equal(err.field, "vcd_user");
	assert_int_equal(vcd_session_check("https://vcd", "a:b@System", "36.0", &err), ERR_INVALID);
	for (const char *const *bad =
			(const char *const[]){"", "36", "36.", ".0", "x.0", "36.0\r", NULL};
		*bad; bad++) {
		assert_int_equal(
			vcd_session_check("https://vcd", "a@System", *bad, &err), ERR_INVALID);
		assert_string_equal(err.field, "vcd_api_version");
	}
}

UNIT_TESTS(it(an_answer_says_what_is_to_be_done_and_why), it(an_answer_that_says_nothing_resumes),
	it(an_answer_that_is_not_understood_fails_and_says_so),
	it(a_message_is_cut_between_characters_and_holds_what_xml_can),
	it(a_delivery_of_a_notification_becomes_a_post),
	it(what_did_not_come_over_a_notification_becomes_none),
	it(the_url_of_a_post_names_a_task_and_what_is_done_with_it),
	it(a_task_that_was_answered_is_over), it(what_is_no_task_has_no_status),
	it(settings_of_a_session_are_judged))
