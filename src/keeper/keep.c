/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keep.h"

#include <sys/syscall.h>
#include <time.h>

#include "base/clock.h"
#include "keeper/aspect.h"
#include "keeper/deadline.h"
#include "keeper/registers.h"

#define KEEP_CALM_US  100000 /* that all threads get to come to rest */
#define KEEP_PAUSE_NS 1000000

const struct keep_mechanism *
keep_find(uint32_t number)
{
	static const struct keep_mechanism *const all[] = {&keep_by_rollback, &keep_by_fork};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		if (all[i]->number == number)
			return all[i];
	}
	return NULL;
}

int
keep_stop_calm(struct subject *subject, struct keeper_reply *reply)
{
	const struct timespec pause = {0, KEEP_PAUSE_NS};
	uint64_t patient_until = clock_mono_us() + KEEP_CALM_US;

	for (;;) {
		enum registers_calm calm;

		if (subject_stop(subject, reply) < 0 || registers_look(subject, &calm, reply) < 0)
			return -1;
		if (calm == REGISTERS_ALL_WAIT)
			return 0;
		if (calm == REGISTERS_MAIN_WAITS && clock_mono_us() > patient_until)
			return 0;
		if (registers_wait_again(subject, reply) < 0)
			return -1;
		if (deadline_is_over())
			return verdict(reply, KEEPER_CAUSE_BUSY, "it does not come to wait");
		subject_let_go(subject);
		nanosleep(&pause, NULL);
	}
}

int
keep_learn(struct subject *subject, uint64_t *ret_brk, struct keeper_reply *reply)
{
	size_t brk;

	if (aspect_learn_all(subject, reply) < 0)
		return -1;
	brk = subject_add_call(subject, SYS_brk, 0);
	if (subject_run(subject, reply) < 0 || aspect_learnt_all(subject, reply) < 0)
		return -1;
	*ret_brk = (uint64_t)subject->batch[brk].result;
	return subject_wipe(subject, reply);
}
