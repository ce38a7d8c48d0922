/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/seat.h"
#include "sandbox/template_host.h"
#include "sandbox/watch.h"

#define SEAT_TICKET_BITS 16 /* of a ticket are the index of its seat */
_Static_assert(SPAWNER_SANDBOXES_MAX <= 1 << SEAT_TICKET_BITS, "every seat has tickets");

void
seat_fork_await(
	struct seat *seat, const struct spawner_request *request, const int fds[SPAWNER_START_FDS])
{
	seat->fork.is_awaited = true;
	seat->fork.root = request->root;
	seat->fork.limits = request->limits;
	for (size_t i = 0; i < SPAWNER_OUTPUT; i++)
		seat->fork.loan[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
}

/* Another one for each request: what comes late from one is not taken for the next one's. */
static uint32_t
seat_new_ticket(const struct seat *seat)
{
	static uint32_t n;

	n = n % 0xfffe + 1;
	return n << SEAT_TICKET_BITS | seat->index;
}

struct seat *
seat_fork_find(struct seats *seats, uint32_t ticket)
{
	unsigned index = ticket & ((1u << SEAT_TICKET_BITS) - 1);
	struct seat *seat = index < seats->n ? &seats->all[index] : NULL;

	return seat && seat->state == SEAT_TAKEN && seat->fork.ticket == ticket ? seat : NULL;
}

static size_t
seat_gather_places(const struct cgroup_place *place, int *fds, size_t n)
{
	if (place->into >= 0)
		fds[n++] = place->into;
	for (size_t i = 0; i < CGROUP_HIERARCHIES; i++) {
		if (place->procs[i] >= 0)
			fds[n++] = place->procs[i];
	}
	return n;
}

bool
seat_fork_ask(struct seats *seats, struct seat *seat)
{
	OWN(cgroup_place) struct cgroup_place place = {.into = -1};
	int fds[TEMPLATE_PLACE + CGROUP_HIERARCHIES + 1] = {
		[TEMPLATE_INIT] = seat->pidfd,
		[TEMPLATE_CHANNEL] = seat->fork.loan[SPAWNER_CHANNEL],
		[TEMPLATE_STDOUT] = seat->fork.loan[SPAWNER_STDOUT],
		[TEMPLATE_STDERR] = seat->fork.loan[SPAWNER_STDERR],
	};
	struct template_request request = {
		.magic = TEMPLATE_MAGIC,
		.ticket = seat_new_ticket(seat),
		.has_cgroup = (seats->cgroups.enforced & CGROUP_HOLDS_PROCESSES) != 0,
		.is_user_shared = seats->is_user_shared,
		.landlock_abi = seats->landlock_abi,
		.last_capability = seats->last_capability,
		.limits = seat->fork.limits,
		.filter = seats->filter,
	};
	struct err ignored = {0};
	size_t n;

	memset(place.procs, -1, sizeof(place.procs));
	if (seats->cgroups.ops->place(&seats->cgroups, seat->index, &place, &ignored) < 0)
		return false;
	n = seat_gather_places(&place, fds, TEMPLATE_PLACE);
	request.n_groups = (uint32_t)(n - TEMPLATE_PLACE);
	request.is_born_inside = place.into >= 0;
	seat->fork.slot = template_host_ask(seat->fork.root, &request, fds, n);
	if (seat->fork.slot < 0)
		return false;
	seat->fork.ticket = request.ticket;
	return true;
}

/* It is a child of this process, so nobody else can have its number. */
int
seat_fork_hold(struct seat *seat, pid_t pid, struct err *err)
{
	seat->fork.pid = pid;
	seat->fork.pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	return seat->fork.pidfd < 0 ? err_sys(err, "watching a fork") : 0;
}

/* Who dies while it is traced is its tracer's to bury first. */
void
seat_fork_bury(struct seat *seat)
{
	siginfo_t how = {0};

	if (seat->fork.pidfd < 0)
		return;
	keeper_host_end(&seat->keeper);
	syscall(SYS_pidfd_send_signal, seat->fork.pidfd, SIGKILL, NULL, 0);
	while (waitid(P_PIDFD, (id_t)seat->fork.pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	watch_close(&seat->fork.pidfd);
	if (!seat->fork.is_forked || seat->has_status)
		return;
	seat->has_status = true;
	seat->status = how.si_code == CLD_EXITED ? how.si_status : -how.si_status;
}

void
seat_fork_forget(struct seat *seat)
{
	seat->fork.is_awaited = false;
	for (size_t i = 0; i < SPAWNER_START_FDS; i++) {
		own_fd(&seat->fork.loan[i]);
		seat->fork.loan[i] = -1;
	}
}
