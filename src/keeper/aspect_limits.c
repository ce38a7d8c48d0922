/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process may do to itself with one system call each: limits, mask, name, attributes,
 * working directory. What the main program can set again it sets each time, in the batch: that
 * costs less than asking. The rest is compared, here and by thread_facts.h.
 *
 * Users, capabilities and filters of system calls are not looked at: in a sandbox there is one
 * user, no capability to lose or gain, and no way to add a filter (sandbox/syscall_table.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/aspect.h"
#include "keeper/procfile.h"
#include "keeper/thread_facts.h"

#define LIMITS_NAME_SIZE  16
#define LIMITS_XCOMP_PERM 0x1022 /* ARCH_GET_XCOMP_PERM */

/* What the main program is asked for at KEEP, and told at RENEW. */
struct limits_asked {
	struct rlimit64 limits[RLIM_NLIMITS];
	uint64_t robust_head, robust_size;
	uint64_t clear_tid; /* 0: the kernel does not tell */
	uint64_t extended;  /* register sets that need a permission and have it */
	int32_t on_parent_death, is_reaper;
	char name[LIMITS_NAME_SIZE];
};

static struct {
	struct limits_asked asked;
	uint64_t asked_at; /* in the batch's scratch */
	size_t first, n;   /* calls in the batch */
	size_t dumpable, extended;
	int64_t is_dumpable;
	uint64_t umask;
	char folder[PATH_MAX];
	pid_t group, session;  /* as the keeper sees them */
	uint64_t group_inside; /* 0: outside of the sandbox */
	bool is_group_mended;
} limits;

#define LIMITS_AT(field) (limits.asked_at + offsetof(struct limits_asked, field))

/* ---- KEEP ---- */

/* Its path must lead there, for it is the way back. */
static int
limits_learn_folder(struct subject *subject, struct keeper_reply *reply)
{
	struct stat here, there;
	char path[PATH_MAX + 8];
	ssize_t n = readlinkat(subject->proc, "cwd", limits.folder, sizeof(limits.folder) - 1);

	limits.folder[n > 0 ? n : 0] = '\0';
	snprintf(path, sizeof(path), "root%s", limits.folder);
	if (n <= 0 || fstatat(subject->proc, "cwd/.", &here, 0) < 0 ||
		fstatat(subject->proc, path, &there, 0) < 0 || here.st_ino != there.st_ino ||
		here.st_dev != there.st_dev)
		return verdict(
			reply, KEEPER_CAUSE_LIMITS, "its working directory is not where it was");
	return 0;
}

static void
limits_ask(struct subject *subject)
{
	limits.asked_at = subject_reserve(subject, NULL, sizeof(limits.asked));
	limits.first = subject->n_batch;
	for (uint64_t i = 0; i < RLIM_NLIMITS; i++)
		subject_add_call(subject, SYS_prlimit64, 0, i, 0,
			LIMITS_AT(limits) + i * sizeof(struct rlimit64));
	subject_add_call(
		subject, SYS_get_robust_list, 0, LIMITS_AT(robust_head), LIMITS_AT(robust_size));
	subject_add_call(subject, SYS_prctl, PR_GET_PDEATHSIG, LIMITS_AT(on_parent_death));
	subject_add_call(subject, SYS_prctl, PR_GET_CHILD_SUBREAPER, LIMITS_AT(is_reaper));
	subject_add_call(subject, SYS_prctl, PR_GET_NAME, LIMITS_AT(name));
	limits.dumpable = subject_add_call(subject, SYS_prctl, PR_GET_DUMPABLE);
	limits.n = subject->n_batch - limits.first;
	/* These two some kernels do not know. */
	subject_add_call(subject, SYS_prctl, PR_GET_TID_ADDRESS, LIMITS_AT(clear_tid));
#ifdef __x86_64__
	subject_add_call(subject, SYS_arch_prctl, LIMITS_XCOMP_PERM, LIMITS_AT(extended));
#endif
}

/* The last of "<outside> <inside>", 0 for a group that is not seen inside. */
static uint64_t
limits_number_inside(struct str value)
{
	struct str number = STR_NONE;
	uint64_t ret = 0;

	while (value.len > 0)
		number = str_cut(&value, '\t');
	str_to_u64(number, &ret);
	return ret;
}

static int
limits_learn_status(struct subject *subject, struct keeper_reply *reply)
{
	char text[4096];

	if (subject_read(subject, "status", text, sizeof(text), reply) < 0)
		return -1;
	limits.umask = strtoull(procfile_value(text, "Umask").at ?: "", NULL, 8);
	limits.group_inside = limits_number_inside(procfile_value(text, "NSpgid"));
	limits.group = getpgid(subject->main_pid);
	limits.session = getsid(subject->main_pid);
	return 0;
}

static int
limits_learn(struct subject *subject, struct keeper_reply *reply)
{
	if (limits_learn_folder(subject, reply) < 0 || limits_learn_status(subject, reply) < 0 ||
		thread_facts_learn(subject, reply) < 0)
		return -1;
	limits_ask(subject);
	return 0;
}

static int
limits_are_done(struct subject *subject, struct keeper_reply *reply)
{
	for (size_t i = limits.first; i < limits.first + limits.n; i++) {
		const struct subject_op *op = &subject->batch[i];

		if (op->result < 0)
			return verdict(reply, KEEPER_CAUSE_LIMITS, "system call %llu, %llu: %s",
				(unsigned long long)op->number, (unsigned long long)op->args[0],
				strerror((int)-op->result));
	}
	return 0;
}

static int
limits_learnt(struct subject *subject, struct keeper_reply *reply)
{
	if (limits_are_done(subject, reply) < 0)
		return -1;
	memcpy(&limits.asked, subject_scratch(subject, limits.asked_at), sizeof(limits.asked));
	limits.is_dumpable = subject->batch[limits.dumpable].result;
	/* 2 is set by an exec only. */
	if (limits.is_dumpable > 1)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "it is a program that nobody may read");
	return 0;
}

/* ---- RENEW ---- */

static void
limits_tell(struct subject *subject)
{
	uint64_t folder = subject_reserve(subject, limits.folder, strlen(limits.folder) + 1);

	limits.asked_at = subject_reserve(subject, &limits.asked, sizeof(limits.asked));
	limits.first = subject->n_batch;
	for (uint64_t i = 0; i < RLIM_NLIMITS; i++)
		subject_add_call(subject, SYS_prlimit64, 0, i,
			LIMITS_AT(limits) + i * sizeof(struct rlimit64));
	subject_add_call(subject, SYS_umask, limits.umask);
	subject_add_call(subject, SYS_chdir, folder);
	subject_add_call(
		subject, SYS_set_robust_list, limits.asked.robust_head, limits.asked.robust_size);
	subject_add_call(
		subject, SYS_prctl, PR_SET_PDEATHSIG, (uint64_t)limits.asked.on_parent_death);
	subject_add_call(
		subject, SYS_prctl, PR_SET_CHILD_SUBREAPER, (uint64_t)limits.asked.is_reaper);
	subject_add_call(subject, SYS_prctl, PR_SET_NAME, LIMITS_AT(name));
	subject_add_call(subject, SYS_prctl, PR_SET_DUMPABLE, (uint64_t)limits.is_dumpable);
	if (limits.asked.clear_tid)
		subject_add_call(subject, SYS_set_tid_address, limits.asked.clear_tid);
	limits.n = subject->n_batch - limits.first;
#ifdef __x86_64__
	subject_add_call(subject, SYS_arch_prctl, LIMITS_XCOMP_PERM, LIMITS_AT(extended));
#endif
}

/* A session that was left cannot be entered again, a group of the same can. */
static int
limits_look_at_group(struct subject *subject, struct keeper_reply *reply)
{
	if (getsid(subject->main_pid) != limits.session)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "it has left its session");
	limits.is_group_mended = getpgid(subject->main_pid) != limits.group;
	if (limits.is_group_mended)
		subject_add_call(subject, SYS_setpgid, 0, limits.group_inside);
	return 0;
}

static int
limits_look(struct subject *subject, struct keeper_reply *reply)
{
	if (limits_look_at_group(subject, reply) < 0 || thread_facts_look(subject, reply) < 0)
		return -1;
	limits_tell(subject);
	return 0;
}

static int
limits_check(struct subject *subject, struct keeper_reply *reply)
{
	const struct limits_asked *asked = subject_scratch(subject, limits.asked_at);

	if (limits_are_done(subject, reply) < 0)
		return -1;
	if (asked->extended != limits.asked.extended)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "it may use other registers");
	if (limits.is_group_mended && getpgid(subject->main_pid) != limits.group)
		return verdict(reply, KEEPER_CAUSE_LIMITS, "it has left its process group");
	return thread_facts_check(subject, reply);
}

const struct aspect aspect_limits = {
	"limits", limits_learn, limits_learnt, limits_look, limits_check};
