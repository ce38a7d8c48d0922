/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/template_enter.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/inside.h"
#include "sandbox/walls.h"

#define ENTER_NAMESPACES                                                                           \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP)

/* As a thread of its own: to move a whole process waits for a grace period of the kernel. */
static int
enter_cgroup(void *state, struct err *err)
{
	const struct template_birth *birth = state;

	if (birth->request->is_born_inside)
		return 0;
	for (size_t i = TEMPLATE_PLACE; i < birth->fds->n; i++) {
		if (write(birth->fds->at[i], "0", 1) != 1)
			return err_sys(err, "write");
	}
	return 0;
}

/* Whoever made a user namespace has every right in it: pid 1 need not let itself be looked at. */
static int
enter_namespaces(void *state, struct err *err)
{
	const struct template_birth *birth = state;

	if (setns(birth->fds->at[TEMPLATE_INIT], ENTER_NAMESPACES) < 0)
		return err_sys(err, "setns");
	return chdir("/code") < 0 ? err_sys(err, "chdir /code") : 0;
}

/* A session of its own: the template's group would be reached by kill(0, ...). */
static int
enter_session(void *state, struct err *err)
{
	umask(022);
	return setsid() < 0 ? err_sys(err, "setsid") : 0;
}

static int
enter_limits(void *state, struct err *err)
{
	const struct template_request *request = ((const struct template_birth *)state)->request;

	return walls_set_limits(&request->limits, request->has_cgroup, err);
}

/* A process that changed its user hides from that user, which one that was exec'd does not. */
static int
enter_user(void *state, struct err *err)
{
	const struct template_birth *birth = state;
	int rc = walls_become_user(birth->request->is_user_shared, err);

	if (rc == 0 && prctl(PR_SET_DUMPABLE, 1) < 0)
		return err_sys(err, "prctl");
	return rc;
}

static int
enter_descriptors(void *state, struct err *err)
{
	const struct template_birth *birth = state;
	static const struct {
		enum template_fd from;
		int to;
	} moves[] = {
		{TEMPLATE_STDOUT, 1}, {TEMPLATE_STDERR, 2}, {TEMPLATE_CHANNEL, INSIDE_CHANNEL}};

	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		if (dup2(birth->fds->at[moves[i].from], moves[i].to) < 0)
			return err_sys(err, "descriptor %d", moves[i].to);
	}
	return 0;
}

static int
enter_without_capabilities(void *state, struct err *err)
{
	const struct template_birth *birth = state;
	int rc = walls_drop_bounding(birth->request->last_capability, err);

	if (rc == 0)
		rc = walls_drop_capabilities(err);
	return rc == 0 ? walls_promise_no_privileges(err) : rc;
}

static int
enter_landlock(void *state, struct err *err)
{
	const struct template_birth *birth = state;

	return walls_enter_landlock(birth->request->landlock_abi, SANDBOX_INSTANCE, err);
}

static int
enter_filter(void *state, struct err *err)
{
	return syscall_filter_install(
		&((const struct template_birth *)state)->request->filter, err);
}

static const struct inside_step enter_steps[] = {
	{"joining its cgroup", enter_cgroup, INSIDE_IS_INSTANCE},
	{"entering its namespaces", enter_namespaces, INSIDE_IS_INSTANCE},
	{"setting resource limits", enter_limits, INSIDE_IS_INSTANCE},
	{"becoming user 1000", enter_user, INSIDE_IS_INSTANCE},
	{"placing descriptors", enter_descriptors, INSIDE_IS_INSTANCE},
	{"dropping capabilities", enter_without_capabilities, INSIDE_IS_INSTANCE},
	{"entering Landlock", enter_landlock, INSIDE_IS_INSTANCE},
	/* Until here it goes when the template's process group is killed. */
	{"leaving the template's session", enter_session, INSIDE_IS_INSTANCE},
	{"filtering system calls", enter_filter, INSIDE_IS_INSTANCE},
};

static void
enter_report(const struct template_birth *birth, enum template_event event, const struct err *err)
{
	struct template_report report = {
		.magic = TEMPLATE_MAGIC, .event = event, .ticket = birth->request->ticket};

	if (err)
		report.err = *err;
	spawner_protocol_send(birth->control, &report, sizeof(report), NULL, 0, 0);
}

/* All but the first four and those that the interpreter keeps. */
static void
enter_close(const struct template_birth *birth)
{
	unsigned from = INSIDE_CHANNEL + 1;

	for (size_t i = 0; i < birth->hooks->n_kept; i++) {
		unsigned kept = (unsigned)birth->hooks->kept[i];

		if (kept < from || (int)kept == birth->control)
			continue;
		if (kept > from)
			close_range(from, kept - 1, 0);
		from = kept + 1;
	}
	close_range(from, ~0u, 0);
}

void
template_enter(const struct template_birth *birth)
{
	struct err err = {0};

	for (size_t i = 0; i < sizeof(enter_steps) / sizeof(*enter_steps); i++) {
		if (enter_steps[i].run((void *)birth, &err) == 0)
			continue;
		err_wrap(&err, err.code, "%s", enter_steps[i].doing);
		enter_report(birth, TEMPLATE_FAILED, &err);
		_exit(1);
	}
	enter_report(birth, TEMPLATE_ENTERED, NULL);
	enter_close(birth);
}
