/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/template_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/template_start.h"
#include "sandbox/watch.h"

#define HOST_NAMESPACES (CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
#define HOST_SLOTS      3 /* of a root: one that is ready, the next, one that leaves */

#define HOST_AGE_MS   (60 * 60 * 1000)
#define HOST_FORKS    10000
#define HOST_BOOT_MS  (30 * 1000) /* one that is not ready by then is ended */
#define HOST_LEAVE_MS (10 * 1000) /* one that does not leave by itself */
#define HOST_AGAIN_MS 100         /* after the first failure */
#define HOST_WAIT_MAX (60 * 1000) /* after many */

enum host_state { HOST_FREE, HOST_BOOTING, HOST_READY, HOST_LEAVING };

struct host_template {
	enum host_state state;
	pid_t pid;
	int control; /* owned */
	int output;  /* owned: what it printed, read when it has ended */
	uint64_t since_ms;
	unsigned n_forks;
	struct err reason; /* why it ended, where it could say so */
};

struct host_root {
	const char *name; /* borrowed */
	bool has_command, is_distrusted;
	unsigned n_failures;
	uint64_t again_ms;
	struct host_template templates[HOST_SLOTS];
};

static struct {
	struct template_host_plan plan;
	struct host_root roots[SPAWNER_ROOTS_MAX];
	unsigned max_forks;
} host;

static uint64_t
host_now(void)
{
	return clock_mono_us() / 1000;
}

static struct host_template *
host_template_of(unsigned slot)
{
	return &host.roots[slot / HOST_SLOTS].templates[slot % HOST_SLOTS];
}

static struct host_template *
host_find(struct host_root *root, enum host_state state)
{
	for (size_t i = 0; i < HOST_SLOTS; i++) {
		if (root->templates[i].state == state)
			return &root->templates[i];
	}
	return NULL;
}

static unsigned
host_slot(const struct host_root *root, const struct host_template *template)
{
	return (unsigned)(root - host.roots) * HOST_SLOTS + (unsigned)(template - root->templates);
}

/* Starting. */

static int
host_clone(unsigned slot, int control, int output, struct err *err)
{
	struct cgroup_parent *cgroups = host.plan.cgroups;
	OWN(cgroup_place) struct cgroup_place place = {.into = -1};
	struct clone_args how = {.flags = HOST_NAMESPACES, .exit_signal = SIGCHLD};
	struct template_start start;
	pid_t pid;
	int rc;

	memset(place.procs, -1, sizeof(place.procs));
	rc = cgroups->ops->create(cgroups, host.plan.first_group + slot, err);
	if (rc == 0)
		rc = cgroups->ops->place(cgroups, host.plan.first_group + slot, &place, err);
	if (rc < 0)
		return rc;
	if (place.into >= 0) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)place.into;
	}
	start = (struct template_start){
		control, output, place, slot / HOST_SLOTS, host.plan.last_capability};
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		template_start_run(&start);
	return pid < 0 ? err_sys(err, "cloning a template") : pid;
}

static void
host_remove_group(unsigned slot)
{
	struct cgroup_parent *cgroups = host.plan.cgroups;
	struct err ignored = {0};

	for (int i = 0; i < 100; i++) {
		if (cgroups->ops->remove(cgroups, host.plan.first_group + slot, &ignored) !=
			ERR_CONFLICT)
			break;
		usleep(1000);
	}
}

static void
host_fail(struct host_root *root, const struct err *reason)
{
	unsigned shift = root->n_failures < 10 ? root->n_failures : 10;
	uint64_t wait = (uint64_t)HOST_AGAIN_MS << shift;

	root->n_failures++;
	root->again_ms = host_now() + (wait < HOST_WAIT_MAX ? wait : HOST_WAIT_MAX);
	log_warn("template.ended", "root=%s error=%s", root->name, log_q(reason->text));
}

/* Ours first. */
struct host_ends {
	int control[2], output[2];
};

static int
host_make_ends(struct host_ends *ends, struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends->control) < 0 ||
		pipe2(ends->output, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(err, "making the sockets of a template");
	return 0;
}

static void
host_start(struct host_root *root, struct host_template *template)
{
	struct host_ends ends = {{-1, -1}, {-1, -1}};
	unsigned slot = host_slot(root, template);
	struct err err = {0};
	int rc = host_make_ends(&ends, &err);

	if (rc == 0)
		rc = host_clone(slot, ends.control[1], ends.output[1], &err);
	own_fd(&ends.control[1]);
	own_fd(&ends.output[1]);
	if (rc < 0) {
		own_fd(&ends.control[0]);
		own_fd(&ends.output[0]);
		host_remove_group(slot);
		host_fail(root, &err);
		return;
	}
	*template = (struct host_template){.state = HOST_BOOTING,
		.pid = rc,
		.control = ends.control[0],
		.output = ends.output[0],
		.since_ms = host_now()};
	host.plan.watch(template->control, slot, &err);
}

static bool
host_has_command(unsigned root)
{
	char path[64];

	snprintf(path, sizeof(path), "/roots/%u/" TEMPLATE_FILE, root);
	return access(path, R_OK) == 0;
}

void
template_host_open(const struct template_host_plan *plan)
{
	const char *forks = getenv("MAYFLY_TEMPLATE_FORKS");

	host.plan = *plan;
	host.max_forks = forks ? (unsigned)strtoul(forks, NULL, 10) : HOST_FORKS;
	for (unsigned i = 0; i < plan->n_roots; i++) {
		struct host_root *root = &host.roots[i];
		const char *slash = strrchr(plan->roots[i], '/');

		root->name = slash ? slash + 1 : plan->roots[i];
		root->has_command = host_has_command(i);
	}
	template_host_tick();
}

/* Ending. */

/* Reports and ends. */

/* It goes on with what it was asked, and ends. */
static void
host_retire(struct host_template *template)
{
	template->state = HOST_LEAVING;
	template->since_ms = host_now();
	shutdown(template->control, SHUT_WR);
}

static void
host_on_ready(unsigned slot)
{
	struct host_root *root = &host.roots[slot / HOST_SLOTS];
	struct host_template *template = host_template_of(slot), *old;

	if (template->state != HOST_BOOTING)
		return;
	old = host_find(root, HOST_READY);
	if (old)
		host_retire(old);
	log_info("template.ready", "root=%s ms=%u", root->name,
		(unsigned)(host_now() - template->since_ms));
	template->state = HOST_READY;
	template->since_ms = host_now();
	root->n_failures = 0;
}

static void
host_on_report(unsigned slot, struct template_report *report)
{
	report->err.text[sizeof(report->err.text) - 1] = '\0';
	report->err.field[sizeof(report->err.field) - 1] = '\0';
	if (report->event == TEMPLATE_READY)
		host_on_ready(slot);
	else if (report->event == TEMPLATE_FAILED && report->ticket == 0)
		host_template_of(slot)->reason = report->err;
	else
		host.plan.on_report(report);
}

/* False at the end of the socket. */
static bool
host_hear(unsigned slot)
{
	for (;;) {
		OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
		struct template_report report;
		ssize_t n = spawner_protocol_receive(host_template_of(slot)->control, &report,
			sizeof(report), &fds, MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n != (ssize_t)sizeof(report) || report.magic != TEMPLATE_MAGIC)
			return false;
		host_on_report(slot, &report);
	}
}

/* With all of its group: what was cloned and is not in its sandbox yet has nobody else. */
static void
host_bury(unsigned slot)
{
	pid_t pid = host_template_of(slot)->pid;

	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	host_hear(slot); /* its last words */
	kill(-pid, SIGKILL);
	while (waitpid(-pid, NULL, 0) > 0 || errno == EINTR)
		;
	watch_close(&host_template_of(slot)->control);
	host_remove_group(slot);
}

/* The last line that it printed, where it could not say better. */
static void
host_find_reason(struct host_template *template)
{
	char text[4096], *line;
	ssize_t n = read(template->output, text, sizeof(text) - 1);

	close(template->output);
	if (template->reason.code)
		return;
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n > 0 ? n : 0] = '\0';
	line = strrchr(text, '\n');
	err_set(&template->reason, ERR_SYSTEM, "%.200s",
		n <= 0 ? "it ended"
		: line ? line + 1
		       : text);
}

static void
host_end(unsigned slot)
{
	struct host_root *root = &host.roots[slot / HOST_SLOTS];
	struct host_template *template = host_template_of(slot);
	struct err reason = {0};
	enum host_state state = template->state;

	host_bury(slot);
	host_find_reason(template);
	reason = template->reason;
	*template = (struct host_template){.state = HOST_FREE};
	if (state != HOST_LEAVING)
		host_fail(root, &reason);
	host.plan.on_end(slot);
}

void
template_host_on_readable(unsigned slot)
{
	if (host_template_of(slot)->state != HOST_FREE && !host_hear(slot))
		host_end(slot);
}

/* Asking. */

bool
template_host_is_ready(unsigned root)
{
	return host_find(&host.roots[root], HOST_READY);
}

int
template_host_ask(
	unsigned root, const struct template_request *request, const int *fds, size_t n_fds)
{
	struct host_template *template = host_find(&host.roots[root], HOST_READY);

	if (!template || spawner_protocol_send(template->control, request, sizeof(*request), fds,
				 n_fds, MSG_DONTWAIT) < 0)
		return -1;
	template->n_forks++;
	return (int)host_slot(&host.roots[root], template);
}

void
template_host_distrust(unsigned slot, const struct err *reason)
{
	struct host_root *root = &host.roots[slot / HOST_SLOTS];

	if (root->is_distrusted)
		return;
	root->is_distrusted = true;
	log_warn("template.unusable", "root=%s error=%s", root->name, log_q(reason->text));
	for (size_t i = 0; i < HOST_SLOTS; i++) {
		if (root->templates[i].state != HOST_FREE)
			host_retire(&root->templates[i]);
	}
}

/* Time. */

/* Gives when something is due, 0 for never. */
static uint64_t
host_tick_template(struct host_template *template, uint64_t now)
{
	uint64_t due = template->since_ms +
		       (template->state == HOST_BOOTING ? HOST_BOOT_MS : HOST_LEAVE_MS);

	if (template->state != HOST_BOOTING && template->state != HOST_LEAVING)
		return 0;
	if (now < due)
		return due;
	kill(template->pid, SIGKILL);
	return now + 1000;
}

/* When the next one is to be started. */
static uint64_t
host_due(const struct host_root *root, const struct host_template *ready, uint64_t now)
{
	uint64_t due = now;

	if (ready && ready->n_forks < host.max_forks)
		due = ready->since_ms + HOST_AGE_MS;
	return due > root->again_ms ? due : root->again_ms;
}

static uint64_t
host_tick_root(struct host_root *root, uint64_t now)
{
	struct host_template *free = host_find(root, HOST_FREE);
	uint64_t next = UINT64_MAX;

	if (root->has_command && !root->is_distrusted && !host_find(root, HOST_BOOTING) && free) {
		next = host_due(root, host_find(root, HOST_READY), now);
		if (next <= now) {
			host_start(root, free);
			next = root->again_ms > now ? root->again_ms : UINT64_MAX;
		}
	}
	for (size_t i = 0; i < HOST_SLOTS; i++) {
		uint64_t due = host_tick_template(&root->templates[i], now);

		if (due && due < next)
			next = due;
	}
	return next;
}

int
template_host_tick(void)
{
	uint64_t now = host_now(), next = UINT64_MAX;

	for (unsigned i = 0; i < host.plan.n_roots; i++) {
		uint64_t due = host_tick_root(&host.roots[i], now);

		if (due < next)
			next = due;
	}
	if (next == UINT64_MAX)
		return -1;
	return next <= now ? 1 : next - now > HOST_WAIT_MAX ? HOST_WAIT_MAX : (int)(next - now);
}

void
template_host_close(void)
{
	for (unsigned i = 0; i < host.plan.n_roots * HOST_SLOTS; i++) {
		if (host_template_of(i)->state == HOST_FREE)
			continue;
		host_bury(i);
		close(host_template_of(i)->output);
		host_template_of(i)->state = HOST_FREE;
	}
}
