/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_over_mqtt - the topics of an API extension at vCloud Director's own broker: requests in,
 * answers out.
 */
#include "base/log.h"
#include "base/own.h"
#include "connect/vcd_envelope.h"
#include "connect/vcd_inside.h"

static void
answers_lost(unsigned n, const struct err *why, void *arg)
{
	log_warn("vcd.answer_lost", "n=%u code=%s reason=%s", n, err_word(why->code),
		log_q(why->text));
}

static void
send_answer(struct vcd *vcd, const struct vcd_return *to, const struct vcd_answer *answer) ON_LOOP
{
	OWN(buf) struct buf body = BUF_INIT;
	struct err err = {0};

	vcd_envelope_write(answer, &body);
	if (mqtt_publish(vcd->config.mqtt, str_of(vcd->respond), buf_str(&body), &err) < 0)
		answers_lost(1, &err, vcd);
}

static void
on_message(struct str body, bool is_too_large, void *arg)
{
	OWN(vcd_request) struct vcd_request request = {.path = BUF_INIT};
	struct vcd_return to = {.send = send_answer};
	struct err err = {0};
	int rc;

	thread_on_loop();
	if (is_too_large)
		rc = err_set(&err, ERR_TOO_LARGE, "the message has more than %d bytes",
			VCD_MESSAGE_BYTES_MAX);
	else
		rc = vcd_envelope_read(body, &request, &err);
	vcd_take(arg, &request, rc, &err, &to);
}

static const struct mqtt_events events = {.on_message = on_message, .on_lost = answers_lost};

void
vcd_over_mqtt_open(struct vcd *vcd)
{
	if (!vcd->config.mqtt)
		return;
	vcd->respond = mem_printf("topic/extension/%s/vcd", vcd->config.mqtt_name);
	mqtt_attach(vcd->config.mqtt, &events, vcd);
}

void
vcd_over_mqtt_stop(struct vcd *vcd)
{
	if (vcd->config.mqtt)
		mqtt_attach(vcd->config.mqtt, NULL, NULL);
}
