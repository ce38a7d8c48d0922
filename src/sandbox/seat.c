/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seat.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/enclose.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/watch.h"

/* The seventh, of cgroups, the child makes for itself when it is in its group. */
#define SEAT_NAMESPACES                                                                            \
	(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)

uid_t
seat_uid(const struct seats *seats, const struct seat *seat)
{
	return seats->is_user_shared ? 0 : seats->uid_base + seat->index;
}

int
seat_open(struct seats *seats, unsigned n, struct err *err)
{
	size_t size = n * sizeof(*seats->all);

	seats->n = n;
	list_init(&seats->spares);
	list_init(&seats->ending);
	seats->all = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (seats->all == MAP_FAILED || madvise(seats->all, size, MADV_DONTFORK) < 0)
		return err_sys(err, "making %u seats", n);
	return 0;
}

/* Numbers are used in turn, so that a user id rests as long as it can. */
static struct seat *
seat_find_free(struct seats *seats)
{
	for (unsigned i = 0; i < seats->n; i++) {
		struct seat *seat = &seats->all[(seats->next + i) % seats->n];

		if (seat->state == SEAT_FREE) {
			seats->next = (seats->next + i + 1) % seats->n;
			return seat;
		}
	}
	return NULL;
}

static void
seat_reset(struct seats *seats, struct seat *seat)
{
	unsigned index = (unsigned)(seat - seats->all);

	*seat = (struct seat){.index = index,
		.pidfd = -1,
		.control = -1,
		.oom = -1,
		.listener = -1,
		.keeper = KEEPER_HOST_NONE,
		.fork = SEAT_FORK_NONE};
	list_init(&seat->link);
}

/* Never comes back in the child. */
static int
seat_clone(struct seats *seats, struct seat *seat, int control, struct err *err)
{
	OWN(cgroup_place) struct cgroup_place place = {.into = -1};
	struct clone_args how = {
		.flags = SEAT_NAMESPACES | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&seat->pidfd,
		.exit_signal = SIGCHLD,
	};
	struct enclosure enclosure;
	pid_t pid;
	int rc;

	memset(place.procs, -1, sizeof(place.procs));
	rc = seats->cgroups.ops->place(&seats->cgroups, seat->index, &place, err);
	if (rc < 0)
		return rc;
	if (place.into >= 0) {
		how.flags |= CLONE_INTO_CGROUP;
		how.cgroup = (uint64_t)place.into;
	}
	enclosure = (struct enclosure){
		.control = control,
		.init = seats->init,
		.place = place,
		.last_capability = seats->last_capability,
		.is_user_shared = seats->is_user_shared,
	};
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0)
		enclose_run(&enclosure);
	seat->pid = pid; /* the child has no seats: a write there would be its end */
	return pid < 0 ? err_sys(err, "cloning a sandbox") : 0;
}

static int
seat_write_map(const struct seat *seat, const char *file, uid_t outside, struct err *err)
{
	char path[40], map[40];
	int n = snprintf(map, sizeof(map), "%d %u 1\n", INSIDE_USER, outside);
	OWN(fd) int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/%s", seat->pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, map, (size_t)n) != n ? err_sys(err, "writing %s", file) : 0;
}

int
seat_tell(const struct seat *seat, enum inside_word word)
{
	char byte = (char)word;

	return spawner_protocol_send(seat->control, &byte, 1, NULL, 0, 0);
}

static int
seat_let_go(struct seats *seats, struct seat *seat, struct err *err)
{
	uid_t uid = seat_uid(seats, seat);
	int rc = seat_write_map(seat, "gid_map", uid, err);

	if (rc == 0)
		rc = seat_write_map(seat, "uid_map", uid, err);
	if (rc == 0 && seat_tell(seat, INSIDE_GO) < 0)
		rc = err_sys(err, "telling a sandbox to go on");
	return rc;
}

/* What a birth that failed has taken. */
static void
seat_unmake(struct seats *seats, struct seat *seat)
{
	if (seat->pidfd >= 0) {
		seat_kill(seats, seat);
		seat_died(seats, seat);
	}
	seat->state = SEAT_ENDING;
	while (!seat_clear(seats, seat))
		usleep(1000);
}

static int
seat_bear(struct seats *seats, struct seat *seat, struct err *err)
{
	int pair[2], rc;
	OWN(fd) int childs = -1;

	rc = seats->cgroups.ops->create(&seats->cgroups, seat->index, err);
	if (rc < 0)
		return rc;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "making the control socket of a sandbox");
	seat->control = pair[0];
	childs = pair[1];
	seat->oom = seats->cgroups.ops->watch_oom(&seats->cgroups, seat->index);
	rc = seat_clone(seats, seat, childs, err);
	return rc < 0 ? rc : seat_let_go(seats, seat, err);
}

struct seat *
seat_make(struct seats *seats, struct err *err)
{
	struct seat *seat = seat_find_free(seats);

	if (!seat) {
		err_set(err, ERR_UNAVAILABLE, "all %u sandboxes are in use", seats->n);
		return NULL;
	}
	seat_reset(seats, seat);
	seats->n_used++;
	if (seat_bear(seats, seat, err) < 0) {
		seat_unmake(seats, seat);
		return NULL;
	}
	seat->state = SEAT_SPARE;
	seats->n_spare++;
	list_push_back(&seats->spares, &seat->link);
	return seat;
}

static size_t
seat_gather(const int fds[INSIDE_FDS], struct inside_plan *plan, int ret[INSIDE_FDS])
{
	size_t n = 0;

	plan->has_fd = 0;
	for (size_t i = 0; i < INSIDE_FDS; i++) {
		if (fds[i] < 0)
			continue;
		plan->has_fd |= 1u << i;
		ret[n++] = fds[i];
	}
	return n;
}

void
seat_take(struct seats *seats, struct seat *seat)
{
	must(seat->state == SEAT_SPARE);
	seat->state = SEAT_TAKEN;
	seats->n_spare--;
	list_remove(&seat->link);
}

int
seat_use(struct seats *seats, struct seat *seat, struct inside_plan *plan,
	const int fds[INSIDE_FDS], struct err *err)
{
	int there[INSIDE_FDS], rc;
	size_t n = seat_gather(fds, plan, there);

	must(seat->state == SEAT_TAKEN);
	plan->has_cgroup = seats->cgroups.enforced & CGROUP_HOLDS_PROCESSES;
	plan->landlock_abi = seats->landlock_abi;
	plan->filter = seats->filter;
	if (spawner_protocol_send(seat->control, plan, sizeof(*plan), there, n, 0) < 0)
		return err_sys(err, "giving a sandbox its plan");
	/* While it mounts its root; before it starts a program it waits for the word. */
	rc = seats->cgroups.ops->set(&seats->cgroups, seat->index, &plan->limits, err);
	if (rc == 0 && seat_tell(seat, INSIDE_GO) < 0)
		rc = err_sys(err, "telling a sandbox to go on");
	return rc;
}

int
seat_start_keeper(struct seats *seats, struct seat *seat, struct err *err)
{
	struct keeper_host_plan plan = {
		.program = seats->keeper,
		.seat = seat->pidfd,
		.is_user_shared = seats->is_user_shared,
	};

	if (seats->keeper < 0)
		return err_set(err, ERR_NOT_FOUND, "mayfly-keeper is not installed");
	return keeper_host_start(&seat->keeper, &plan, err);
}

void
seat_kill(struct seats *seats, struct seat *seat)
{
	/* With pid 1 the kernel ends everything of its pid namespace. */
	if (seat->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, seat->pidfd, SIGKILL, NULL, 0);
	keeper_host_end(&seat->keeper);
}

static void
seat_read_usage(struct seats *seats, struct seat *seat)
{
	int files[CGROUP_FILES];
	uint64_t n_events;

	seats->cgroups.ops->files(&seats->cgroups, seat->index, files);
	cgroup_usage(seats->cgroups.ops->kind, files, &seat->usage);
	for (size_t i = 0; i < CGROUP_FILES; i++)
		own_fd(&files[i]);
	/* The event comes before the kernel has chosen whom to kill; who is dead by then is not
	 * counted as killed. */
	if (seat->oom >= 0 && seat->usage.n_oom_kills == 0 &&
		read(seat->oom, &n_events, sizeof(n_events)) == sizeof(n_events))
		seat->usage.n_oom_kills = 1;
}

static void
seat_close(int *fd)
{
	own_fd(fd);
	*fd = -1;
}

void
seat_close_egress(struct seat *seat)
{
	while (seat->n_egress > 0)
		seat_close(&seat->egress[--seat->n_egress]);
}

void
seat_died(struct seats *seats, struct seat *seat)
{
	siginfo_t how = {0};

	keeper_host_end(&seat->keeper);
	seat_fork_bury(seat);
	while (waitid(P_PIDFD, (id_t)seat->pidfd, &how, WEXITED) < 0 && errno == EINTR)
		;
	if (!seat->has_status)
		seat->status = how.si_code == CLD_EXITED ? how.si_status : -how.si_status;
	seat_read_usage(seats, seat);
	watch_close(&seat->pidfd);
	watch_close(&seat->control);
	watch_close(&seat->oom);
	seat_close(&seat->listener);
	seat_close_egress(seat);
	seat_fork_forget(seat);
	seats->n_spare -= seat->state == SEAT_SPARE;
	seat->state = SEAT_ENDING;
	list_remove(&seat->link);
	list_push_back(&seats->ending, &seat->link);
}

bool
seat_clear(struct seats *seats, struct seat *seat)
{
	struct err err = {0};
	int rc;

	if (seat->keeper.pidfd >= 0)
		return false;
	rc = seats->cgroups.ops->remove(&seats->cgroups, seat->index, &err);

	if (rc == ERR_CONFLICT) {
		seats->cgroups.ops->kill(&seats->cgroups, seat->index);
		return false;
	}
	watch_close(&seat->control);
	watch_close(&seat->oom);
	list_remove(&seat->link);
	seat->state = SEAT_FREE;
	seats->n_used--;
	return true;
}
