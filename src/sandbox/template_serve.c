/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/template_serve.h"

#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/template.h"
#include "sandbox/template_enter.h"

/* What libc keeps of the calling thread by the kernel's help, to be right in a child too. */
struct serve_thread {
	int *tid; /* libc's copy of its number, which the kernel clears when it ends */
	void *robust_list;
	size_t robust_size;
};

static int
serve_look_at_thread(struct serve_thread *ret)
{
	return prctl(PR_GET_TID_ADDRESS, &ret->tid) < 0 ||
			       syscall(SYS_get_robust_list, 0, &ret->robust_list,
				       &ret->robust_size) < 0
		       ? -1
		       : 0;
}

static void
serve_report(int control, enum template_event event, const struct template_request *request,
	pid_t pid, const struct err *err)
{
	struct template_report report = {
		.magic = TEMPLATE_MAGIC, .event = event, .ticket = request->ticket, .pid = pid};

	if (err)
		report.err = *err;
	spawner_protocol_send(control, &report, sizeof(report), NULL, 0, 0);
}

/* Gives what clone3(2) gives. */
static pid_t
serve_clone(const struct serve_thread *thread, const struct template_request *request,
	const struct spawner_fds *fds)
{
	struct clone_args how = {
		.flags = CLONE_PARENT | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID,
		.child_tid = (uint64_t)(uintptr_t)thread->tid,
	};
	pid_t pid;

	if (request->is_born_inside) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)fds->at[TEMPLATE_PLACE];
	}
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		syscall(SYS_set_robust_list, thread->robust_list, thread->robust_size);
	return pid;
}

/* The pid namespace of what is cloned is this thread's to choose, and chosen back after it: a
 * thread of another one cannot be made. Gives 1 in the child. */
static int
serve_fork(
	int control, int own, const struct serve_thread *thread, const struct template_birth *birth)
{
	struct err err = {0};
	pid_t pid;

	if (setns(birth->fds->at[TEMPLATE_INIT], CLONE_NEWPID) < 0) {
		err_sys(&err, "entering the sandbox's pid namespace");
		serve_report(control, TEMPLATE_REFUSED, birth->request, 0, &err);
		return 0;
	}
	pid = serve_clone(thread, birth->request, birth->fds);
	if (pid == 0) {
		template_enter(birth);
		return 1;
	}
	if (pid < 0)
		err_sys(&err, "cloning a template");
	setns(own, CLONE_NEWPID);
	serve_report(
		control, pid < 0 ? TEMPLATE_REFUSED : TEMPLATE_FORKED, birth->request, pid, &err);
	return 0;
}

static bool
serve_is_whole(const struct template_request *request, ssize_t size, const struct spawner_fds *fds)
{
	return size == (ssize_t)sizeof(*request) && request->magic == TEMPLATE_MAGIC &&
	       fds->n == TEMPLATE_PLACE + request->n_groups;
}

/* Gives 1 in a child, 0 at the end of the socket, -1 with errno; else the next request is to come.
 */
static int
serve_next(
	int control, int own, const struct serve_thread *thread, const struct template_hooks *hooks)
{
	static struct template_request request;
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	struct template_birth birth = {control, &request, &fds, hooks};
	ssize_t size = spawner_protocol_receive(control, &request, sizeof(request), &fds, 0);
	int rc;

	if (size <= 0)
		return size == 0 ? 0 : errno == EINTR ? 2 : -1;
	if (!serve_is_whole(&request, size, &fds)) {
		errno = EPROTO;
		return -1;
	}
	if (hooks->on_fork)
		hooks->on_fork(hooks->arg);
	rc = serve_fork(control, own, thread, &birth);
	if (rc == 0)
		return 2;
	fds.n = 0; /* closed with the rest, when it entered */
	return 1;
}

int
template_serve(int control, const struct template_hooks *hooks)
{
	static const struct template_request none;
	struct serve_thread thread;
	OWN(fd) int own = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int rc = 2;

	if (own < 0 || serve_look_at_thread(&thread) < 0)
		return -1;
	serve_report(control, TEMPLATE_READY, &none, 0, NULL);
	while (rc == 2)
		rc = serve_next(control, own, &thread, hooks);
	if (rc == 1)
		own = -1;
	return rc;
}
