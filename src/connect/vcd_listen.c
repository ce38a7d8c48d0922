/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_listen - notifications become events of the org that they are about.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"
#include "connect/vcd_inside.h"
#include "connect/vcd_notification.h"
#include "domain/event.h"
#include "domain/org.h"

#define LISTEN_AGAIN_MS 1000 /* behind one that could not be accepted */

struct vcd_notice {
	struct vcd *vcd; /* borrowed: waits for this */
	struct amqp_consumer *consumer;
	uint64_t tag;
	struct loop_timer timer;
};

static void
notice_freed(struct loop_timer *timer)
{
	free(list_owner(timer, struct vcd_notice, timer));
}

static void
notice_over(struct vcd_notice *notice) ON_LOOP
{
	notice->vcd->n_listening--;
	loop_timer_close(&notice->timer, notice_freed);
}

/* When nothing is taken any more the queue has it again by itself. */
static void
notice_again(struct loop_timer *timer)
{
	struct vcd_notice *notice = list_owner(timer, struct vcd_notice, timer);

	thread_on_loop();
	notice->vcd->stats.n_again++;
	if (notice->vcd->notifications)
		amqp_reject(notice->consumer, notice->tag, true);
	notice_over(notice);
}

/* What comes again would be refused again, and stand before the others. */
static bool
is_for_good(int code)
{
	return code == ERR_INVALID || code == ERR_TOO_LARGE || code == ERR_NOT_FOUND;
}

static void
notice_settled(struct vcd_notice *notice) ON_LOOP
{
	if (notice->vcd->notifications)
		amqp_ack(notice->consumer, notice->tag);
	notice_over(notice);
}

static void
notice_accepted(int code, const struct event_accepted *accepted, const struct err *err, void *arg)
{
	struct vcd_notice *notice = arg;
	struct vcd *vcd = notice->vcd;

	thread_on_loop();
	if (code < 0) {
		log_warn(
			"vcd.event_refused", "code=%s reason=%s", err_word(code), log_q(err->text));
		if (is_for_good(code)) {
			vcd->stats.n_dropped++;
			notice_settled(notice);
			return;
		}
		loop_timer_start(
			vcd->config.domain->loop, &notice->timer, LISTEN_AGAIN_MS, notice_again);
		return;
	}
	vcd->stats.n_accepted++;
	notice_settled(notice);
}

/* The event and the org that it is of; NULL when it is nobody's, or is none. */
static struct org *
listen_read(struct vcd *vcd, struct str body, struct event *ret) ON_LOOP
{
	json_t *json = NULL;
	struct org *org = NULL;
	struct err err = {0};
	const char *urn;
	int rc = vcd_notification_read(body, vcd->config.source, &json, &err);

	if (rc == 0) {
		json_object_set_new(json, VCD_VIA, json_string(VCD_VIA_HERE));
		rc = event_adopt(json, STR_NONE, ret, &err);
	}
	if (rc < 0) {
		vcd->stats.n_misread++;
		log_warn("vcd.notification_malformed", "reason=%s", log_q(err.text));
		return NULL;
	}
	urn = json_string_value(json_object_get(ret->json, "orgid"));
	if (urn)
		org = org_find(vcd->config.domain, str_of(vcd_org_of(&vcd->orgs, str_of(urn))));
	return org;
}

void
vcd_listen(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
	struct vcd *vcd = arg;
	OWN(event) struct event event = {0};
	struct org *org;
	struct event_list list = {.n = 1};
	struct vcd_notice *notice;

	thread_on_loop();
	org = listen_read(vcd, message->body, &event);
	vcd->stats.n_notifications++;
	if (!org) {
		vcd->stats.n_dropped += event.json != NULL;
		amqp_ack(consumer, message->tag);
		return;
	}
	list.at = mem_new(sizeof(*list.at));
	list.at[0] = event;
	event = (struct event){0};
	notice = mem_new(sizeof(*notice));
	notice->vcd = vcd;
	notice->consumer = consumer;
	notice->tag = message->tag;
	vcd->n_listening++;
	event_accept(vcd->config.domain, org, &list, notice_accepted, notice);
}
