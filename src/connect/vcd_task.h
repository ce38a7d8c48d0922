/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_task - blocking tasks of vCloud Director, resumed, aborted or failed by a function's answer.
 *
 *	notification ─▶ event (mayflyvia: vcd) ─▶ trigger ─▶ function ─▶ vcd_task_post()
 *	   ─ on disk ─▶ post to vcd-task:<id>/<action> ─▶ vcd_task_send() ─▶ vCloud Director
 *
 * The credentials are the provider's, and what a tenant says decides: so a post is made only of a
 * delivery that a trigger made of an event which came over vCloud Director's notifications and is
 * of a blocking task; and it is sent only while the task's org belongs to the org that decides. A
 * task that is over already (somebody else was faster, it timed out, the post was sent before a
 * crash) is no failure. Fuzzed by fuzz_vcd_task. Reading is pure, the rest ON_LOOP.
 */
#ifndef MAYFLY_CONNECT_VCD_TASK_H
#define MAYFLY_CONNECT_VCD_TASK_H

#include "connect/vcd_org.h"
#include "connect/vcd_session.h"
#include "domain/delivery.h"

enum vcd_task_action { VCD_TASK_RESUME, VCD_TASK_ABORT, VCD_TASK_FAIL };
enum {
	VCD_TASK_ACTIONS = 3,
	VCD_TASK_MESSAGE_MAX = 1000, /* bytes; what is longer is cut */
	VCD_TASK_ID_SIZE = 65,
	VCD_TASK_STATUS_SIZE = 33,
};

const char *vcd_task_action_word(enum vcd_task_action action);

/* What a function's answer says: {"task": "resume|abort|fail", "message": "…"}. An answer that is
 * empty, null, or an object without "task" says resume; one that means something else says fail,
 * with INVALID, and the message says so. */
int vcd_task_read(struct str answer, enum vcd_task_action *ret, struct buf *ret_message);

/* delivery_config.task: the post that answers the task. FORBIDDEN: the delivery may not; INVALID:
 * its event is of no blocking task. */
int vcd_task_post(const struct delivery_task *task, struct buf *ret_url, struct buf *ret_body,
	struct err *err);

/* "vcd-task:<id>/<action>"; INVALID for anything else. */
int vcd_task_url(struct str url, char ret_id[static VCD_TASK_ID_SIZE],
	enum vcd_task_action *ret_action, struct err *err);
/* The body of resume, abort and fail. */
void vcd_task_write(struct str message, struct buf *out);
/* The status of a BlockingTask document, and whether it means that it is over. */
int vcd_task_read_status(
	struct str xml, char ret[static VCD_TASK_STATUS_SIZE], bool *ret_is_over, struct err *err);

struct vcd_task_stats {
	struct {
		uint64_t n_answered, n_over, n_failed; /* n_failed: attempts */
	} of[VCD_TASK_ACTIONS];
};

struct vcd_tasks {
	struct vcd_session *session;    /* borrowed; NULL where there is no vcd_url */
	const struct vcd_org_map *orgs; /* borrowed */
	struct vcd_task_stats stats;
};
/* delivery_config.send. A task that is over is told as 200 with a note. */
void vcd_task_send(struct vcd_tasks *tasks, const char *org, const char *url, struct str body,
	void (*done)(int status, const struct err *err, void *arg), void *arg) ON_LOOP;
/* Rows of /metrics. */
void vcd_task_metrics(const struct vcd_tasks *tasks, struct buf *out) ON_LOOP;

#endif
