/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/thread_facts.h"

#include <linux/sched/types.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"
#include "keeper/status.h"

#define FACTS_IOPRIO_PROCESS 1      /* IOPRIO_WHO_PROCESS */
#define FACTS_GET_RSEQ       0x420f /* PTRACE_GET_RSEQ_CONFIGURATION, Linux 5.13 */
#define FACTS_CPUS_SIZE      1024   /* bytes of a set */

/* struct ptrace_rseq_configuration */
struct facts_rseq {
	uint64_t address;
	uint32_t size, signature, flags, zero;
};

struct facts {
	struct sched_attr schedule;
	struct facts_rseq rseq;
	uint64_t robust_head;
	int io_priority;
	uint8_t cpus[FACTS_CPUS_SIZE];
	size_t cpus_size;
};

static struct {
	struct facts threads[STATUS_THREADS_MAX], init;
	pid_t inside[STATUS_THREADS_MAX]; /* their numbers in the sandbox */
	size_t n_threads;
	bool is_any_mended;
} facts;

static void
facts_see(pid_t tid, bool is_traced, struct facts *ret)
{
	size_t length;
	long size;

	memset(ret, 0, offsetof(struct facts, cpus));
	syscall(SYS_sched_getattr, tid, &ret->schedule, sizeof(ret->schedule), 0);
	ret->io_priority = (int)syscall(SYS_ioprio_get, FACTS_IOPRIO_PROCESS, tid);
	size = syscall(SYS_sched_getaffinity, tid, sizeof(ret->cpus), ret->cpus);
	ret->cpus_size = size > 0 ? (size_t)size : 0;
	if (!is_traced)
		return;
	syscall(SYS_get_robust_list, tid, &ret->robust_head, &length);
	ptrace(FACTS_GET_RSEQ, tid, sizeof(ret->rseq), &ret->rseq);
}

/* The last of "<outside> <inside>". */
static pid_t
facts_number_inside(size_t thread)
{
	struct str rest = status_was(thread, "NSpid"), number = STR_NONE;
	uint64_t ret = 0;

	while (rest.len > 0)
		number = str_cut(&rest, '\t');
	str_to_u64(number, &ret);
	return (pid_t)ret;
}

int
thread_facts_learn(struct subject *subject, struct keeper_reply *reply)
{
	must(subject->n_threads <= STATUS_THREADS_MAX);
	facts.n_threads = subject->n_threads;
	for (size_t i = 0; i < facts.n_threads; i++) {
		facts_see(subject->threads[i].tid, true, &facts.threads[i]);
		facts.inside[i] = facts_number_inside(i);
		if (facts.inside[i] == 0)
			return verdict(reply, KEEPER_CAUSE_KERNEL, "a thread has no number");
	}
	facts_see(subject->init_pid, false, &facts.init);
	return 0;
}

static bool
facts_are_same_cpus(const struct facts *was, const struct facts *is)
{
	return was->cpus_size == is->cpus_size && memcmp(was->cpus, is->cpus, is->cpus_size) == 0;
}

static bool
facts_are_same_schedule(const struct facts *was, const struct facts *is)
{
	return memcmp(&was->schedule, &is->schedule, sizeof(is->schedule)) == 0;
}

/* The program itself may raise no priority that it has lowered: then check finds it changed. */
static void
facts_mend(struct subject *subject, const struct facts *was, const struct facts *is, pid_t inside)
{
	uint64_t tid = (uint64_t)inside;

	if (!facts_are_same_schedule(was, is))
		subject_add_call(subject, SYS_sched_setattr, tid,
			subject_reserve(subject, &was->schedule, sizeof(was->schedule)), 0);
	if (was->io_priority != is->io_priority)
		subject_add_call(subject, SYS_ioprio_set, FACTS_IOPRIO_PROCESS, tid,
			(uint64_t)was->io_priority);
	if (!facts_are_same_cpus(was, is))
		subject_add_call(subject, SYS_sched_setaffinity, tid, was->cpus_size,
			subject_reserve(subject, was->cpus, was->cpus_size));
}

static bool
facts_are_same(const struct facts *was, const struct facts *is)
{
	return facts_are_same_schedule(was, is) && was->io_priority == is->io_priority &&
	       facts_are_same_cpus(was, is);
}

/* The list of the main thread is set each time, by aspect_limits. */
static bool
facts_are_same_areas(const struct facts *was, const struct facts *is, size_t thread)
{
	return memcmp(&was->rseq, &is->rseq, sizeof(is->rseq)) == 0 &&
	       (thread == 0 || was->robust_head == is->robust_head);
}

int
thread_facts_look(struct subject *subject, struct keeper_reply *reply)
{
	struct facts is;

	facts.is_any_mended = false;
	for (size_t i = 0; i < facts.n_threads; i++) {
		const struct facts *was = &facts.threads[i];

		facts_see(subject->threads[i].tid, true, &is);
		if (!facts_are_same_areas(was, &is, i))
			return verdict(
				reply, KEEPER_CAUSE_LIMITS, "a thread tells of itself elsewhere");
		if (!facts_are_same(was, &is)) {
			facts_mend(subject, was, &is, facts.inside[i]);
			facts.is_any_mended = true;
		}
	}
	facts_see(subject->init_pid, false, &is);
	if (!facts_are_same(&facts.init, &is)) {
		facts_mend(subject, &facts.init, &is, 1);
		facts.is_any_mended = true;
	}
	return 0;
}

int
thread_facts_check(struct subject *subject, struct keeper_reply *reply)
{
	struct facts is;

	if (!facts.is_any_mended)
		return 0;
	for (size_t i = 0; i <= facts.n_threads; i++) {
		bool is_init = i == facts.n_threads;
		pid_t tid = is_init ? subject->init_pid : subject->threads[i].tid;

		facts_see(tid, !is_init, &is);
		if (!facts_are_same(is_init ? &facts.init : &facts.threads[i], &is))
			return verdict(reply, KEEPER_CAUSE_LIMITS, "a priority cannot be put back");
	}
	return 0;
}
