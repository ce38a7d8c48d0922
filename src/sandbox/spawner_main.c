/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-spawner - the one process of mayfly that holds privileges: starts sandboxes, watches
 * them, and tells the daemon how they ended.
 *
 *	mayfly-spawner DATA_DIR CGROUP_PARENT N_SANDBOXES UID_BASE LIBEXEC ROOT...
 *
 * The daemon is on descriptor 3 (spawner_protocol.h). One thread and one epoll: the daemon's
 * socket; of each seat its pid 1, its control socket, its OOM event, its keeper and its main
 * program, where that was forked from a template; the templates; the children that remove trees.
 * When the daemon's socket ends every sandbox is killed, every cgroup removed, and this exits 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/own.h"
#include "base/path.h"
#include "sandbox/landlock.h"
#include "sandbox/provision.h"
#include "sandbox/spawner_main.h"
#include "sandbox/stage.h"
#include "sandbox/template_host.h"
#include "sandbox/tree.h"
#include "sandbox/watch.h"

#define MAIN_RETRY_MS 2     /* between attempts to remove a cgroup */
#define MAIN_REST_MS  60000 /* while there are more spares than few */
#define MAIN_QUIET_MS 2     /* without work before a spare is made: starts do not wait for one */

struct spawner_main spawner;

/* Replies. */

static void
main_reply_with(enum spawner_event event, uint32_t sandbox, struct spawner_reply *reply,
	const int *fds, size_t n_fds)
{
	reply->magic = SPAWNER_MAGIC;
	reply->event = event;
	reply->sandbox = sandbox;
	reply->cgroup = spawner.seats.cgroups.ops ? spawner.seats.cgroups.ops->kind : CGROUP_NONE;
	if (spawner_protocol_send(SPAWNER_FD, reply, sizeof(*reply), fds, n_fds, 0) < 0)
		spawner.is_over = true;
}

void
spawner_main_reply_failure(enum spawner_event event, uint32_t sandbox, const struct err *failure)
{
	struct spawner_reply reply = {.exit.failure = *failure};

	main_reply_with(event, sandbox, &reply, NULL, 0);
}

static void
main_close(int *fd)
{
	own_fd(fd);
	*fd = -1;
}

/* Gives how many descriptors there are with them. */
static size_t
main_add_egress(struct spawner_reply *reply, const struct seat *seat, int *fds, size_t n)
{
	reply->has_dns = seat->n_egress > 0;
	reply->n_egress = seat->n_egress > ANYIP_TCP ? seat->n_egress - ANYIP_TCP : 0;
	memcpy(fds + n, seat->egress, seat->n_egress * sizeof(*fds));
	return n + seat->n_egress;
}

void
spawner_main_reply_started(struct seat *seat)
{
	struct spawner_reply reply = {0};
	struct cgroup_parent *cgroups = &spawner.seats.cgroups;
	int files[CGROUP_FILES], fds[SPAWNER_FDS_MAX];
	size_t n = 0;

	cgroups->ops->files(cgroups, seat->index, files);
	for (size_t i = 0; i < CGROUP_FILES; i++) {
		if (files[i] < 0)
			continue;
		reply.has_file |= 1u << i;
		fds[n++] = files[i];
	}
	reply.is_forked = seat->fork.is_forked;
	reply.has_keeper = seat->keeper.daemon >= 0 && !seat->keeper.is_ended;
	if (reply.has_keeper)
		fds[n++] = seat->keeper.daemon;
	reply.has_listener = seat->listener >= 0;
	if (reply.has_listener)
		fds[n++] = seat->listener;
	n = main_add_egress(&reply, seat, fds, n);
	main_reply_with(SPAWNER_STARTED, seat->sandbox, &reply, fds, n);
	for (size_t i = 0; i < CGROUP_FILES; i++)
		own_fd(&files[i]);
	main_close(&seat->listener);
	seat_close_egress(seat);
	main_close(&seat->keeper.daemon);
}

static void
main_reply_gone(const struct seat *seat)
{
	struct spawner_reply reply = {
		.exit = {.failure = seat->failure,
			.was_asked = seat->was_stopped,
			.status = seat->status,
			.usage = seat->usage},
	};

	main_reply_with(SPAWNER_GONE, seat->sandbox, &reply, NULL, 0);
}

/* Watching. */

int
spawner_main_watch(int fd, enum main_source source, unsigned index, struct err *err)
{
	return watch_add(fd, (uint64_t)source << 32 | index, err);
}

/* A new spare that is watched, or NULL. */
static struct seat *
main_make_seat(struct err *err)
{
	struct seat *seat = seat_make(&spawner.seats, err);

	if (!seat ||
		(spawner_main_watch(seat->pidfd, MAIN_PID, seat->index, err) == 0 &&
			spawner_main_watch(seat->control, MAIN_CONTROL, seat->index, err) == 0))
		return seat;
	seat_kill(&spawner.seats, seat);
	seat_died(&spawner.seats, seat);
	return NULL;
}

/* Ends. */

static void
main_clear(struct seat *seat)
{
	bool was_used = seat->sandbox < spawner.bounds.n_sandboxes &&
			spawner.by_sandbox[seat->sandbox] == seat;

	if (!seat_clear(&spawner.seats, seat))
		return;
	if (!was_used)
		return;
	spawner.by_sandbox[seat->sandbox] = NULL;
	main_reply_gone(seat);
}

static void
main_clear_all(void)
{
	struct seat *seat;

	list_each (&spawner.seats.ending, seat, link)
		main_clear(seat);
}

/* Reports of one seat. */

/* A build has one listener, a way out those of anyip.h. */
static void
main_take_sockets(struct seat *seat, struct spawner_fds *fds)
{
	if (seat->kind == SANDBOX_BUILD && fds->n == 1 && seat->listener < 0)
		seat->listener = take_fd(&fds->at[0]);
	if (seat->kind != SANDBOX_INSTANCE || seat->n_egress || fds->n > ANYIP_SOCKETS_MAX)
		return;
	for (; seat->n_egress < fds->n; seat->n_egress++)
		seat->egress[seat->n_egress] = take_fd(&fds->at[seat->n_egress]);
}

static void
main_on_report(struct seat *seat, const struct inside_report *report, struct spawner_fds *fds)
{
	switch (report->event) {
	case INSIDE_FAILED:
		seat->failure = report->err;
		seat->failure.text[sizeof(seat->failure.text) - 1] = '\0';
		seat->failure.field[sizeof(seat->failure.field) - 1] = '\0';
		spawner.is_spare_bad |= seat->state == SEAT_SPARE;
		break;
	case INSIDE_LISTENER:
		main_take_sockets(seat, fds);
		break;
	case INSIDE_STARTED:
		spawner_fork_on_walls(seat);
		break;
	case INSIDE_EXITED:
		seat->has_status = true;
		seat->status = report->status;
		break;
	default:
		break;
	}
}

/* Everything that a seat has said; what cannot be read any more is no news. */
static void
main_on_control(struct seat *seat)
{
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	struct inside_report report;

	while (seat->control >= 0) {
		ssize_t n = spawner_protocol_receive(
			seat->control, &report, sizeof(report), &fds, MSG_DONTWAIT);

		if (n == (ssize_t)sizeof(report))
			main_on_report(seat, &report, &fds);
		spawner_fds_done(&fds);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n != (ssize_t)sizeof(report))
			break;
	}
	if (seat->control >= 0)
		watch_forget(seat->control);
}

static void
main_on_pid(struct seat *seat)
{
	main_on_control(seat);
	seat_died(&spawner.seats, seat);
	if (spawner.by_sandbox[seat->sandbox] == seat) {
		if (!seat->is_started && seat->failure.code == 0)
			err_set(&seat->failure, ERR_SYSTEM, "the sandbox died while it was set up");
		spawner_tree_end(seat);
	}
}

/* The kernel killed one process of a group that is over its memory limit: the rest goes too. */
static void
main_on_oom(struct seat *seat)
{
	watch_forget(seat->oom);
	seat_kill(&spawner.seats, seat);
}

/* A sandbox goes on without its keeper: the daemon finds the end of its socket. */
static void
main_on_keeper(struct seat *seat)
{
	struct err err = {0};

	if (keeper_host_bury(&seat->keeper, &err) < 0)
		log_warn("keeper.failed", "sandbox=%u error=%s", seat->sandbox, log_q(err.text));
}

/* Requests. */

/* The mounts of a plan, owned by `fds`. */
static int
main_gather(const struct spawner_request *request, struct seat *seat, int fds[INSIDE_FDS],
	struct inside_plan *plan, struct err *err)
{
	bool has_modules = false;
	char path[32];
	int rc;

	snprintf(path, sizeof(path), "/roots/%u", request->root);
	fds[INSIDE_FD_ROOT] = stage_copy(path, STAGE_READ_ONLY | STAGE_NO_DEVICES);
	if (fds[INSIDE_FD_ROOT] < 0)
		return err_sys(err, "copying the mount of root %u", request->root);
	if (request->kind == SANDBOX_UNPACK)
		return spawner_tree_copy_out(seat, &fds[INSIDE_FD_OUT], err);
	rc = spawner_tree_copy(request->tree, &fds[INSIDE_FD_CODE], &has_modules, err);
	if (rc == 0 && request->deps[0])
		rc = spawner_tree_copy(request->deps, &fds[INSIDE_FD_DEPS], NULL, err);
	plan->deps_are_node_modules = has_modules && request->kind == SANDBOX_INSTANCE;
	return rc;
}

/* One that cannot have a keeper does without. */
static void
main_start_keeper(struct seat *seat)
{
	struct err err = {0};
	int rc;

	rc = seat_start_keeper(&spawner.seats, seat, &err);
	if (rc == 0)
		rc = spawner_main_watch(seat->keeper.pidfd, MAIN_KEEPER, seat->index, &err);
	if (rc == 0 || rc == ERR_NOT_FOUND)
		return;
	log_warn("keeper.failed", "sandbox=%u error=%s", seat->sandbox, log_q(err.text));
	keeper_host_end(&seat->keeper);
	main_on_keeper(seat);
}

/* A spare may have one already. */
static void
main_want_keeper(struct seat *seat, bool is_wanted)
{
	if (seat->kind == SANDBOX_INSTANCE)
		spawner.wants_keepers = is_wanted;
	if (!is_wanted)
		keeper_host_end(&seat->keeper);
	else if (seat->keeper.pidfd < 0)
		main_start_keeper(seat);
}

static int
main_start(const struct spawner_request *request, struct seat *seat, const int *request_fds,
	struct err *err)
{
	struct inside_plan plan = {
		.kind = request->kind,
		.limits = request->limits,
		.has_egress = request->has_egress,
		.n_egress_ports = request->n_egress_ports,
		.awaits_fork = request->wants_template && template_host_is_ready(request->root),
	};
	int fds[INSIDE_FDS], owned[INSIDE_FDS], rc;

	memcpy(plan.egress_ports, request->egress_ports, sizeof(plan.egress_ports));
	memset(owned, -1, sizeof(owned));
	rc = main_gather(request, seat, owned, &plan, err);
	if (rc == 0) {
		memcpy(fds, owned, sizeof(fds));
		fds[INSIDE_FD_CHANNEL] = request_fds[SPAWNER_CHANNEL];
		fds[INSIDE_FD_STDOUT] = request_fds[SPAWNER_STDOUT];
		fds[INSIDE_FD_STDERR] = request_fds[SPAWNER_STDERR];
		fds[INSIDE_FD_OUTPUT] = request->has_output ? request_fds[SPAWNER_OUTPUT] : -1;
		if (plan.awaits_fork)
			seat_fork_await(seat, request, request_fds);
		rc = seat_use(&spawner.seats, seat, &plan, fds, err);
	}
	for (size_t i = 0; i < INSIDE_FDS; i++)
		own_fd(&owned[i]);
	return rc;
}

static void
main_on_start(const struct spawner_request *request, const struct spawner_fds *fds)
{
	struct err err = {0};
	struct seat *seat;

	if (spawner.by_sandbox[request->sandbox]) {
		err_set(&err, ERR_CONFLICT, "sandbox %u is in use", request->sandbox);
		spawner_main_reply_failure(SPAWNER_GONE, request->sandbox, &err);
		return;
	}
	spares_take(&spawner.spares, spawner.seats.n_spare);
	seat = list_first(&spawner.seats.spares, struct seat, link);
	if (!seat)
		seat = main_make_seat(&err);
	if (!seat) {
		spawner_main_reply_failure(SPAWNER_GONE, request->sandbox, &err);
		return;
	}
	spawner.is_spare_bad = false;
	seat_take(&spawner.seats, seat);
	seat->sandbox = request->sandbox;
	seat->kind = request->kind;
	memcpy(seat->tree, request->tree, sizeof(seat->tree));
	spawner.by_sandbox[request->sandbox] = seat;
	if (main_start(request, seat, fds->at, &seat->failure) < 0) {
		seat_kill(&spawner.seats, seat);
		return;
	}
	if (seat->oom >= 0)
		spawner_main_watch(seat->oom, MAIN_OOM, seat->index, &err);
	main_want_keeper(seat, request->wants_keeper);
}

static void
main_on_stop(const struct spawner_request *request)
{
	struct seat *seat = spawner.by_sandbox[request->sandbox];

	if (!seat || seat->state == SEAT_ENDING)
		return;
	seat->was_stopped = true;
	seat_kill(&spawner.seats, seat);
}

static void
main_on_request(const struct spawner_request *request, size_t size, struct spawner_fds *fds)
{
	struct err err = {0};

	if (spawner_protocol_check(request, size, fds->n, &spawner.bounds, &err) < 0) {
		log_warn(
			"spawner.request_refused", "error=%s field=%s", log_q(err.text), err.field);
		if (size != sizeof(*request))
			return;
		if (request->op == SPAWNER_START || request->op == SPAWNER_REMOVE)
			spawner_main_reply_failure(
				request->op == SPAWNER_START ? SPAWNER_GONE : SPAWNER_REMOVED,
				request->sandbox, &err);
		return;
	}
	if (request->op == SPAWNER_START)
		main_on_start(request, fds);
	else if (request->op == SPAWNER_STOP)
		main_on_stop(request);
	else
		spawner_tree_on_remove(request);
}

static void
main_on_daemon(void)
{
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	struct spawner_request request;
	ssize_t n =
		spawner_protocol_receive(SPAWNER_FD, &request, sizeof(request), &fds, MSG_DONTWAIT);

	if (n > 0)
		main_on_request(&request, (size_t)n, &fds);
	else if (n == 0 || (errno != EAGAIN && errno != EBADMSG))
		spawner.is_over = true;
}

/* The loop. */

static void
main_on_event(uint64_t data)
{
	enum main_source source = (enum main_source)(data >> 32);
	unsigned index = (unsigned)data;
	struct seat *seat = &spawner.seats.all[index];

	if (source == MAIN_DAEMON)
		main_on_daemon();
	else if (source == MAIN_REMOVAL)
		spawner_tree_on_removal(&spawner.removals[index]);
	else if (source == MAIN_TEMPLATE)
		template_host_on_readable(index);
	else if (source == MAIN_KEEPER)
		main_on_keeper(seat);
	else if (source == MAIN_PROGRAM)
		spawner_fork_on_program(seat);
	else if (seat->state != SEAT_SPARE && seat->state != SEAT_TAKEN)
		return; /* its pid 1 was buried earlier in this turn */
	else if (source == MAIN_PID)
		main_on_pid(seat);
	else if (source == MAIN_CONTROL)
		main_on_control(seat);
	else
		main_on_oom(seat);
}

static bool
main_wants_spare(void)
{
	unsigned wanted = spares_wanted(&spawner.spares, clock_mono_us() / 1000);

	return !spawner.is_spare_bad && spawner.seats.n_spare < wanted &&
	       spawner.seats.n_used < spawner.seats.n;
}

/* The oldest goes; what was made for a burst is not kept for ever. */
static void
main_drop_spare(void)
{
	struct seat *seat = list_first(&spawner.seats.spares, struct seat, link);

	if (spawner.seats.n_spare <= spares_wanted(&spawner.spares, clock_mono_us() / 1000))
		return;
	seat_take(&spawner.seats, seat);
	seat_kill(&spawner.seats, seat);
}

static void
main_make_spare(void)
{
	struct err err = {0};
	struct seat *seat = main_make_seat(&err);

	if (seat && spawner.wants_keepers)
		main_start_keeper(seat);
	if (seat)
		return;
	spawner.is_spare_bad = true;
	log_warn("spawner.spare_failed", "error=%s", log_q(err.text));
}

static void
main_turn(void)
{
	uint64_t whose[WATCH_MOST];
	bool wants_spare = main_wants_spare();
	int patience = template_host_tick();
	int n;

	if (wants_spare)
		patience = MAIN_QUIET_MS;
	else if (!list_is_empty(&spawner.seats.ending))
		patience = MAIN_RETRY_MS;
	else if (spawner.seats.n_spare > SPARES_MIN && patience < 0)
		patience = MAIN_REST_MS;
	n = watch_wait(whose, patience);

	if (n == 0 && wants_spare)
		main_make_spare();
	else if (n == 0)
		main_drop_spare();
	for (int i = 0; i < n && !spawner.is_over; i++)
		main_on_event(whose[i]);
	main_clear_all();
}

/* The daemon is gone. Nobody is told, everything ends. */
static void
main_end(void)
{
	struct seat *all = spawner.seats.all;

	template_host_close();
	for (unsigned i = 0; i < spawner.seats.n; i++) {
		if (all[i].state == SEAT_SPARE || all[i].state == SEAT_TAKEN)
			seat_kill(&spawner.seats, &all[i]);
	}
	for (unsigned i = 0; i < spawner.seats.n; i++) {
		if (all[i].state == SEAT_FREE)
			continue;
		if (all[i].state == SEAT_SPARE || all[i].state == SEAT_TAKEN)
			seat_died(&spawner.seats, &all[i]);
		main_on_keeper(&all[i]);
		while (all[i].state == SEAT_ENDING && !seat_clear(&spawner.seats, &all[i]))
			usleep(1000);
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	tree_close();
	cgroup_close(&spawner.seats.cgroups);
}

/* The start. */

static int
main_set_up_seats(unsigned n, unsigned uid_base, struct err *err)
{
	struct seats *seats = &spawner.seats;
	int rc = seat_open(seats, n, err);

	seats->uid_base = uid_base;
	seats->is_user_shared = stage_is_user_shared(uid_base, n);
	seats->landlock_abi = landlock_abi();
	seats->last_capability = provision_last_capability();
	spawner.by_sandbox = mem_new(n * sizeof(struct seat *));
	return rc < 0 ? rc : syscall_filter_compile(&seats->filter, err);
}

static void
main_say_what_is_missing(void)
{
	const struct cgroup_parent *cgroups = &spawner.seats.cgroups;

	if (cgroups->missing[0])
		log_warn("limit.unavailable", "cgroup=%s reason=%s", cgroups->ops->name,
			log_q(cgroups->missing));
	if (spawner.seats.is_user_shared)
		log_warn("protection.unavailable",
			"what=user.own reason=\"no range of user ids: all sandboxes share one\"");
	if (spawner.seats.keeper < 0)
		log_warn("protection.unavailable",
			"what=keeper reason=\"mayfly-keeper is not installed\"");
	if (spawner.seats.landlock_abi == 0)
		log_warn("protection.unavailable", "what=landlock reason=\"not in this kernel\"");
}

static void
main_open_templates(const struct stage_plan *stage)
{
	struct template_host_plan plan = {
		.cgroups = &spawner.seats.cgroups,
		.first_group = spawner.seats.n,
		.roots = stage->roots,
		.n_roots = (unsigned)stage->n_roots,
		.last_capability = spawner.seats.last_capability,
		.watch = spawner_fork_watch_template,
		.on_report = spawner_fork_on_report,
		.on_end = spawner_fork_on_template_end,
	};

	template_host_open(&plan);
}

/* Fewer at most, for who counts what is there. */
static void
main_open_spares(void)
{
	const char *max = getenv("MAYFLY_SPARES");

	spares_init(&spawner.spares, max ? (unsigned)strtoul(max, NULL, 10) : SPARES_MAX,
		clock_mono_us() / 1000);
}

static int
main_set_up(char **argv, int argc, struct err *err)
{
	struct stage_plan stage = {argv[1], (const char *const *)argv + 6, (size_t)argc - 6};
	struct err ignored = {0};
	int rc;

	spawner.bounds.n_sandboxes = (unsigned)strtoul(argv[3], NULL, 10);
	main_open_spares();
	spawner.bounds.n_roots = (unsigned)stage.n_roots;
	for (size_t i = 0; i < MAIN_REMOVALS_MAX; i++)
		spawner.removals[i].pidfd = -1;
	provision_open_files();
	spawner.seats.init = provision_program(argv[5], "mayfly-init", err);
	if (spawner.seats.init < 0)
		return spawner.seats.init;
	spawner.seats.keeper = provision_program(argv[5], "mayfly-keeper", &ignored);
	rc = cgroup_open(&spawner.seats.cgroups, argv[2], err);
	if (rc == 0)
		rc = stage_enter(&stage, err);
	if (rc == 0)
		rc = tree_open(err);
	if (rc == 0)
		rc = main_set_up_seats(
			spawner.bounds.n_sandboxes, (unsigned)strtoul(argv[4], NULL, 10), err);
	if (rc == 0)
		rc = watch_open(err);
	if (rc == 0)
		rc = spawner_main_watch(SPAWNER_FD, MAIN_DAEMON, 0, err);
	if (rc == 0)
		main_open_templates(&stage);
	return rc;
}

int
main(int argc, char **argv)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
	struct log_config log = {.level = LOG_INFO, .process = "spawner"};
	struct err err = {0};

	if (argc < 6 || argc - 6 > SPAWNER_ROOTS_MAX)
		return 2;
	/* A signal to the whole group is the daemon's to answer: its end is this one's. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	log_setup(&log);
	if (main_set_up(argv, argc, &err) < 0) {
		spawner_main_reply_failure(SPAWNER_READY, 0, &err);
		return 1;
	}
	main_say_what_is_missing();
	spawner_main_reply_failure(SPAWNER_READY, 0, &err);
	while (!spawner.is_over)
		main_turn();
	main_end();
	return 0;
}
