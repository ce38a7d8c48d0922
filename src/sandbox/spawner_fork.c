/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_main.h"

#include <errno.h>

#include "sandbox/template_host.h"

static void
main_be_started(struct seat *seat)
{
	seat_fork_forget(seat);
	seat->is_started = true;
	spawner_main_reply_started(seat);
	keeper_host_introduce(&seat->keeper, seat->pid, seat->fork.is_forked ? seat->fork.pid : 0);
}

/* No fork is to be had: pid 1, whose walls stand, starts the program after all. */
static void
main_boot(struct seat *seat)
{
	seat_tell(seat, INSIDE_BOOT);
	main_be_started(seat);
}

void
spawner_fork_on_walls(struct seat *seat)
{
	if (seat->is_started || seat->state != SEAT_TAKEN || seat->fork.ticket)
		return;
	if (!seat->fork.is_awaited)
		main_be_started(seat);
	else if (!seat_fork_ask(&spawner.seats, seat))
		main_boot(seat);
}

static void
main_lose_fork(struct seat *seat, const char *why)
{
	seat_fork_forget(seat);
	err_set(&seat->failure, ERR_SYSTEM, "%s", why);
	seat_kill(&spawner.seats, seat);
}

static void
main_on_forked(struct seat *seat)
{
	if (!seat->fork.has_entered || seat->fork.pid == 0)
		return;
	seat->fork.is_forked = true;
	seat_tell(seat, INSIDE_FORKED);
	main_be_started(seat);
}

static void
main_on_fork_pid(struct seat *seat, pid_t pid)
{
	struct err err = {0};

	if (seat_fork_hold(seat, pid, &err) < 0 ||
		spawner_main_watch(seat->fork.pidfd, MAIN_PROGRAM, seat->index, &err) < 0)
		main_lose_fork(seat, err.text);
	else
		main_on_forked(seat);
}

/* One that is refused may have lost its sandbox meanwhile. */
static void
main_on_no_fork(struct seat *seat, const struct template_report *report)
{
	if (report->event == TEMPLATE_FAILED || report->err.sys == EPERM)
		template_host_distrust((unsigned)seat->fork.slot, &report->err);
	main_boot(seat);
}

void
spawner_fork_on_report(const struct template_report *report)
{
	struct seat *seat = seat_fork_find(&spawner.seats, report->ticket);

	if (!seat || !seat->fork.is_awaited)
		return;
	if (report->event == TEMPLATE_FORKED) {
		main_on_fork_pid(seat, report->pid);
	} else if (report->event == TEMPLATE_ENTERED) {
		seat->fork.has_entered = true;
		main_on_forked(seat);
	} else {
		main_on_no_fork(seat, report);
	}
}

/* What it was asked and has not done is done without it. */
void
spawner_fork_on_template_end(unsigned slot)
{
	for (unsigned i = 0; i < spawner.seats.n; i++) {
		struct seat *seat = &spawner.seats.all[i];

		if (seat->state != SEAT_TAKEN || !seat->fork.is_awaited || seat->fork.ticket == 0 ||
			seat->fork.slot != (int)slot)
			continue;
		if (seat->fork.pid || seat->fork.has_entered)
			main_lose_fork(seat, "its template died while it was forked");
		else
			main_boot(seat);
	}
}

int
spawner_fork_watch_template(int fd, unsigned slot, struct err *err)
{
	return spawner_main_watch(fd, MAIN_TEMPLATE, slot, err);
}

/* The main program died. What it said on its way in may still be unread. */
void
spawner_fork_on_program(struct seat *seat)
{
	if (seat->fork.pidfd < 0)
		return;
	if (seat->fork.is_awaited)
		template_host_on_readable((unsigned)seat->fork.slot);
	seat_fork_bury(seat);
	if (seat->fork.is_forked)
		seat_kill(&spawner.seats, seat);
	else if (seat->fork.is_awaited)
		main_lose_fork(seat, "the main program died while it entered its sandbox");
}
