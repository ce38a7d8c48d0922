/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_parent.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "peer/peer_guard.h"
#include "peer/peer_process.h"

enum { PARENT_AGAIN_MS = 500 }; /* before a child that ended is started again */

struct parent_child {
	pid_t pid;
	int pidfd; /* owned */
};

struct parent {
	const char *name; /* borrowed */
	unsigned n_lanes;
	struct parent_child children[PEER_LANES_MAX];
};

_Noreturn static void
parent_exec_lane(const char *name, unsigned lane, int socket)
{
	char number[8];
	char *arguments[] = {(char *)name, (char *)"--lane", number, NULL};

	snprintf(number, sizeof(number), "%u", lane);
	if (dup2(socket, PEER_FD) < 0 || close_range(PEER_FD + 1, ~0u, 0) < 0)
		_exit(126);
	/* A fork alone would have the addresses of all that were before it. */
	execv("/proc/self/exe", arguments);
	_exit(127);
}

static bool
parent_hand_over(unsigned lane, int socket)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	uint32_t number = lane;
	struct iovec part = {&number, sizeof(number)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(socket));
	memcpy(CMSG_DATA(head), &socket, sizeof(socket));
	return sendmsg(PEER_FD, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(number);
}

static bool
parent_start(struct parent *parent, unsigned lane)
{
	struct parent_child *child = &parent->children[lane];
	int pair[2];
	bool is_told;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	child->pid = fork();
	if (child->pid == 0)
		parent_exec_lane(parent->name, lane, pair[1]);
	close(pair[1]);
	is_told = child->pid > 0 && parent_hand_over(lane, pair[0]);
	close(pair[0]);
	if (child->pid > 0)
		child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	return is_told && child->pidfd >= 0;
}

/* They close their connections when the daemon's end is gone, and are not waited for for long. */
static void
parent_await_end(struct parent *parent)
{
	for (unsigned i = 0; i < parent->n_lanes; i++) {
		struct pollfd watched = {parent->children[i].pidfd, POLLIN, 0};

		poll(&watched, 1, PARENT_AGAIN_MS);
	}
}

static int
parent_watch(struct parent *parent)
{
	for (;;) {
		struct pollfd watched[PEER_LANES_MAX + 1] = {{PEER_FD, POLLIN, 0}};

		for (unsigned i = 0; i < parent->n_lanes; i++)
			watched[i + 1] = (struct pollfd){parent->children[i].pidfd, POLLIN, 0};
		if (poll(watched, parent->n_lanes + 1, -1) < 0 && errno != EINTR)
			return 1;
		if (watched[0].revents) {
			parent_await_end(parent);
			return 0;
		}
		for (unsigned i = 0; i < parent->n_lanes; i++) {
			if (!watched[i + 1].revents)
				continue;
			own_fd(&parent->children[i].pidfd);
			waitpid(parent->children[i].pid, NULL, 0);
			poll(NULL, 0, PARENT_AGAIN_MS);
			if (!parent_start(parent, i))
				return 1;
		}
	}
}

int
peer_parent_main(const char *name, unsigned n_lanes, const char *user, const char *group)
{
	struct parent parent = {.name = name, .n_lanes = n_lanes};
	struct err err = {0};

	must(n_lanes <= PEER_LANES_MAX);
	signal(SIGPIPE, SIG_IGN);
	fcntl(PEER_FD, F_SETFD, FD_CLOEXEC);
	if (peer_guard_become(
		    (uid_t)strtoul(user, NULL, 10), (gid_t)strtoul(group, NULL, 10), &err) < 0) {
		fprintf(stderr, "%s: %s\n", name, err.text);
		return 1;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned i = 0; i < n_lanes; i++)
		if (!parent_start(&parent, i))
			return 1;
	return parent_watch(&parent);
}
