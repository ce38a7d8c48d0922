/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_vcd_task - a function's answer, the event that it is an answer to, a post's URL, and what
 * vCloud Director says of a task: what goes out is bounded, and XML that reads back.
 */
#include "fuzz.h"

#include "base/xml.h"
#include "connect/vcd_task.h"

static void
look_at_answer(struct str bytes)
{
	OWN(buf) struct buf message = BUF_INIT;
	OWN(buf) struct buf xml = BUF_INIT;
	OWN(xml_doc) xmlDocPtr doc = NULL;
	enum vcd_task_action action;
	int rc = vcd_task_read(bytes, &action, &message);

	must(rc == 0 || (action == VCD_TASK_FAIL && message.len));
	must(message.len <= VCD_TASK_MESSAGE_MAX && xml_can_hold(buf_str(&message)));
	vcd_task_write(bytes, &xml);
	must(xml_parse(buf_str(&xml), &doc, NULL) == 0);
}

static void
look_at_event(struct str bytes)
{
	const struct delivery_task task = {.org = "acme",
		.function = "f",
		.id = "",
		.origin = "event",
		.event = bytes,
		.action = "fail",
		.reason = ""};
	OWN(buf) struct buf url = BUF_INIT;
	OWN(buf) struct buf body = BUF_INIT;
	char id[VCD_TASK_ID_SIZE];
	enum vcd_task_action action;

	if (vcd_task_post(&task, &url, &body, NULL) == 0)
		must(vcd_task_url(buf_str(&url), id, &action, NULL) == 0 &&
			action == VCD_TASK_FAIL);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	char id[VCD_TASK_ID_SIZE], status[VCD_TASK_STATUS_SIZE];
	struct str text = str_n(bytes, size);
	enum vcd_task_action action;
	bool is_over;

	look_at_answer(text);
	look_at_event(text);
	if (vcd_task_url(text, id, &action, NULL) == 0)
		must(id[0] && !strpbrk(id, "/.?#% "));
	if (vcd_task_read_status(text, status, &is_over, NULL) == 0)
		must(status[0] && strlen(status) < sizeof(status));
	return 0;
}
