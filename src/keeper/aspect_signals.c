/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handlers and the alternate stack are set anew each time, which costs less than asking; pending
 * signals are taken by the program itself, in the batch, in which all are blocked. Masks belong to
 * the registers.
 *
 * A timer may still go off between the look and the batch that stops it: aspect_timers looks for
 * that. Nobody else is left who could send a signal.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "keeper/aspect.h"
#include "keeper/procfile.h"
#include "keeper/status.h"

#define SIGNALS_LAST     64
#define SIGNALS_MASK     8   /* bytes of a set, as the kernel has it */
#define SIGNALS_REALTIME 32  /* from here on one may wait many times */
#define SIGNALS_TAKEN    256 /* at most */

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
	bool is_any_taken;
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
	if (status_learn(subject, reply) < 0)
		return -1;
	signals.actions_at = subject_reserve(subject, NULL, sizeof(signals.actions));
	signals.stack_at = subject_reserve(subject, NULL, sizeof(signals.stack));
	signals.first = subject_add_call(subject, SYS_sigaltstack, 0, signals.stack_at);
	signals.n = 1;
	for (int i = 1; i <= SIGNALS_LAST; i++) {
		uint64_t at = signals.actions_at + (uint64_t)i * sizeof(*signals.actions);

		if (signals_has_handler(i)) {
			subject_add_call(
				subject, SYS_rt_sigaction, (uint64_t)i, 0, at, SIGNALS_MASK);
			signals.n++;
		}
	}
	return 0;
}

static int
signals_are_done(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = signals.first; i < signals.first + signals.n; i++) {
		int64_t result = subject->batch[i].result;

		if (result < 0)
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "%s: %s",
				i == signals.first ? "sigaltstack" : "rt_sigaction",
				strerror((int)-result));
	}
	return 0;
}

static bool
signals_is_pending(size_t thread, const char *key)
{
	struct str bits = status_was(thread, key);

	for (size_t i = 0; i < bits.len; i++) {
		if (bits.at[i] != '0')
			return true;
	}
	return false;
}

static int
signals_learnt(struct subject *subject, struct keeper_reply *reply)
{
	if (signals_are_done(subject, reply) < 0)
		return -1;
	memcpy(signals.actions, subject_scratch(subject, signals.actions_at),
		sizeof(signals.actions));
	memcpy(&signals.stack, subject_scratch(subject, signals.stack_at), sizeof(signals.stack));
	/* What the kernel says of a stack in use is not for setting one. */
	signals.stack.ss_flags &= ~SS_ONSTACK;
	for (size_t i = 0; i < subject->n_threads; i++) {
		if (signals_is_pending(i, "SigPnd") || signals_is_pending(i, "ShdPnd"))
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "a signal waits for it");
	}
	return 0;
}

/* Once for what waits for the thread and once for what waits for all; real-time ones queue up. */
static void
signals_take(struct subject *subject, uint64_t pending)
{
	uint64_t set = subject_reserve(subject, &pending, sizeof(pending));
	uint64_t now = subject_reserve(subject, NULL, sizeof(struct timespec));
	size_t n = (size_t)__builtin_popcountll(pending) * 2;

	if (pending >> (SIGNALS_REALTIME - 1))
		n = SIGNALS_TAKEN;
	for (size_t i = 0; i < n; i++)
		subject_add_call(subject, SYS_rt_sigtimedwait, set, 0, now, SIGNALS_MASK);
	signals.is_any_taken = true;
}

static int
signals_look_at_pending(struct subject *subject, struct keeper_reply *reply)
{
	const struct status_difference *differences;
	size_t n = status_differences(&differences);
	uint64_t pending = 0;

	for (size_t i = 0; i < n; i++) {
		bool is_shared = str_eq(differences[i].key, STR("ShdPnd"));

		if (!is_shared && !str_eq(differences[i].key, STR("SigPnd")))
			continue;
		if (!is_shared && differences[i].thread > 0)
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "a signal waits for a thread");
		/* It ends at the end of its line. */
		pending |= strtoull(differences[i].is.at, NULL, 16);
	}
	if (pending)
		signals_take(subject, pending);
	return 0;
}

static int
signals_look(struct subject *subject, struct keeper_reply *reply)
{
	uint64_t actions, stack;

	signals.is_any_taken = false;
	if (status_look(subject, reply) < 0 || signals_look_at_pending(subject, reply) < 0)
		return -1;
	actions = subject_reserve(subject, signals.actions, sizeof(signals.actions));
	stack = subject_reserve(subject, &signals.stack, sizeof(signals.stack));
	signals.first = subject_add_call(subject, SYS_sigaltstack, stack);
	for (int i = 1; i <= SIGNALS_LAST; i++) {
		if (signals_has_handler(i))
			subject_add_call(subject, SYS_rt_sigaction, (uint64_t)i,
				actions + (uint64_t)i * sizeof(*signals.actions), 0, SIGNALS_MASK);
	}
	return 0;
}

/* Handlers that ignore have thrown their signals away by now. */
static int
signals_check(struct subject *subject, struct keeper_reply *reply)
{
	const struct status_difference *differences;
	size_t n;

	if (signals_are_done(subject, reply) < 0)
		return -1;
	if (!signals.is_any_taken)
		return 0;
	if (status_look(subject, reply) < 0)
		return -1;
	n = status_differences(&differences);
	for (size_t i = 0; i < n; i++) {
		if (str_eq(differences[i].key, STR("ShdPnd")) ||
			str_eq(differences[i].key, STR("SigPnd")))
			return verdict(reply, KEEPER_CAUSE_SIGNALS, "signals are left");
	}
	return 0;
}

const struct aspect aspect_signals = {
	"signals", signals_learn, signals_learnt, signals_look, signals_check};
