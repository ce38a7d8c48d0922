/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers and the alternate stack are set anew each time, which costs less than asking. Signals
 * that wait for the main thread or for any are taken by the main thread, in the batch, in which
 * none is handled, until it says that there are no more: so no file of /proc has to be read for
 * them. Timers have been stopped before that in the same batch, and nobody else is left who could
 * send one. Masks belong to the registers, what waits for another thread to thread_facts.h.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "keeper/aspect.h"
#include "keeper/thread_facts.h"

#define SIGNALS_LAST  64
#define SIGNALS_MASK  8  /* bytes of a set, as the kernel has it */
#define SIGNALS_MORE  3  /* that come while others are taken, and the end */
#define SIGNALS_MANY  64 /* that cannot be counted */
#define SIGNALS_TAKEN 400

/* As rt_sigaction(2) has it in the kernel. */
struct signals_action {
	uint64_t handler, flags, restorer, mask;
};

static struct {
	struct signals_action actions[SIGNALS_LAST + 1];
	stack_t stack;
	uint64_t actions_at, stack_at; /* in the batch's scratch */
	size_t first;                  /* of the handlers and the stack in the batch */
	size_t n;
	size_t last_taken;
	uint64_t pending_at;
} signals;

/* SIGKILL and SIGSTOP have no handlers. */
static bool
signals_has_handler(int number)
{
	return number != SIGKILL && number != SIGSTOP;
}

static int
signals_learn(struct subject *subject, struct keeper_reply *reply)
{
	signals.actions_at = subject_reserve(subject, NULL, sizeof(signals.actions));
	signals.stack_at = subject_reserve(subject, NULL, sizeof(signals.stack));
	signals.pending_at = subject_reserve(subject, NULL, sizeof(uint64_t));
	signals.first = subject_add_call(subject, SYS_sigaltstack, 0, signals.stack_at);
	for (int i = 1; i <= SIGNALS_LAST; i++) {
		uint64_t at = signals.actions_at + (uint64_t)i * sizeof(*signals.actions);

		if (signals_has_handler(i))
			subject_add_call(
				subject, SYS_rt_sigaction, (uint64_t)i, 0, at, SIGNALS_MASK);
	}
	subject_add_call(subject, SYS_rt_sigpending, signals.pending_at, SIGNALS_MASK);
	signals.n = subject->n_batch - signals.first;
	return 0;
}

static int
signals_are_done(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = signals.first; i < signals.first + signals.n; i++) {
		int64_t result = subject->batch[i].result;

		if (result < 0)
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "%s: %s",
				i == signals.first ? "sigaltstack" : "handlers",
				strerror((int)-result));
	}
	return 0;
}

static int
signals_learnt(struct subject *subject, struct keeper_reply *reply)
{
	uint64_t pending;

	if (signals_are_done(subject, reply) < 0)
		return -1;
	memcpy(signals.actions, subject_scratch(subject, signals.actions_at),
		sizeof(signals.actions));
	memcpy(&signals.stack, subject_scratch(subject, signals.stack_at), sizeof(signals.stack));
	/* What the kernel says of a stack in use is not for setting one. */
	signals.stack.ss_flags &= ~SS_ONSTACK;
	memcpy(&pending, subject_scratch(subject, signals.pending_at), sizeof(pending));
	if (pending)
		return verdict(reply, KEEPER_CAUSE_SIGNALS, "a signal waits for it");
	return 0;
}

/* As many as are queued, and more, until there is none: one for which there was no memory is in no
 * queue. */
static void
signals_take(struct subject *subject)
{
	static const uint64_t all = ~0ull;
	uint64_t set = subject_reserve(subject, &all, sizeof(all));
	uint64_t now = subject_reserve(subject, NULL, sizeof(struct timespec));
	unsigned own = thread_facts_count_signals(subject->main_pid, false);
	unsigned shared = thread_facts_count_signals(subject->main_pid, true);
	unsigned n = own + shared + SIGNALS_MORE;

	if (own == SIGNALS_MANY || shared == SIGNALS_MANY)
		n = SIGNALS_TAKEN;
	for (unsigned i = 0; i < n; i++)
		signals.last_taken =
			subject_add_call(subject, SYS_rt_sigtimedwait, set, 0, now, SIGNALS_MASK);
}

static int
signals_look(struct subject *subject, struct keeper_reply *reply)
{
	uint64_t actions = subject_reserve(subject, signals.actions, sizeof(signals.actions));
	uint64_t stack = subject_reserve(subject, &signals.stack, sizeof(signals.stack));

	signals.first = subject_add_call(subject, SYS_sigaltstack, stack);
	for (int i = 1; i <= SIGNALS_LAST; i++) {
		if (signals_has_handler(i))
			subject_add_call(subject, SYS_rt_sigaction, (uint64_t)i,
				actions + (uint64_t)i * sizeof(*signals.actions), 0, SIGNALS_MASK);
	}
	signals.n = subject->n_batch - signals.first;
	signals_take(subject);
	return 0;
}

static int
signals_check(struct subject *subject, struct keeper_reply *reply)
{
	if (signals_are_done(subject, reply) < 0)
		return -1;
	if (subject->batch[signals.last_taken].result != -EAGAIN)
		return verdict(reply, KEEPER_CAUSE_SIGNALS, "signals are left");
	return 0;
}

const struct aspect aspect_signals = {
	"signals", signals_learn, signals_learnt, signals_look, signals_check};
