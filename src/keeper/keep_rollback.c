/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/aspect.h"
#include "keeper/keep.h"
#include "keeper/layout.h"
#include "keeper/memory.h"
#include "keeper/mould.h"
#include "keeper/registers.h"
#include "keeper/tracker.h"

static struct layout rollback_layout;

static int
rollback_learn(struct subject *subject, struct keeper_reply *reply)
{
	const struct tracker *tracker;
	uint64_t brk;

	if (subject_settle(subject, reply) < 0)
		return -1;
	tracker = tracker_choose(subject, reply);
	if (!tracker || keep_learn(subject, &brk, reply) < 0 ||
		layout_learn(&rollback_layout, subject, brk, reply) < 0)
		return -1;
	if (mould_make(subject, str_n(rollback_layout.text, rollback_layout.len), reply) < 0 ||
		memory_learn(tracker, &rollback_layout, subject, reply) < 0)
		return -1;
	return layout_know(&rollback_layout, subject, reply);
}

static int
rollback_keep(struct subject *subject, struct keeper_reply *reply)
{
	int rc = keep_stop_calm(subject, reply);

	if (rc == 0 && (rc = registers_learn(subject, reply)) == 0) {
		rc = rollback_learn(subject, reply);
		if (registers_restore(subject, reply) < 0)
			rc = -1;
	}
	if (rc == 0)
		subject_know_threads(subject);
	subject_let_go(subject);
	return rc;
}

/* Until it is as it was, and all of it is watched: at most twice, then it is a verdict. */
static int
rollback_mend_layout(struct subject *subject, struct keeper_reply *reply)
{
	for (int i = 0; i < 3; i++) {
		int rc;

		if (memory_rewatch(&rollback_layout, reply) < 0)
			return -1;
		rc = memory_find(subject, &rollback_layout, reply);
		if (rc == 0)
			rc = layout_check(&rollback_layout, subject, reply);
		if (rc <= 0)
			return rc;
		if (subject_run(subject, reply) < 0)
			return -1;
	}
	return verdict(reply, KEEPER_CAUSE_LAYOUT, "its mappings do not become what they were");
}

static int
rollback_renew(struct subject *subject, struct keeper_reply *reply)
{
	if (subject_stop(subject, reply) < 0 || aspect_look_all(subject, reply) < 0 ||
		subject_check_stub(subject, reply) < 0 || subject_end_threads(subject, reply) < 0 ||
		mould_check(reply) < 0 || layout_look(&rollback_layout, subject, reply) < 0)
		return -1;
	if (subject_run(subject, reply) < 0 || aspect_check_all(subject, reply) < 0 ||
		layout_check_heap(&rollback_layout, subject, reply) < 0)
		return -1;
	if (rollback_mend_layout(subject, reply) < 0 || memory_restore(subject, reply) < 0 ||
		registers_restore(subject, reply) < 0)
		return -1;
	subject_let_go(subject);
	return 0;
}

const struct keep_mechanism keep_by_rollback = {
	.number = KEEPER_ROLLBACK,
	.name = "rollback",
	.keep = rollback_keep,
	.renew = rollback_renew,
};
