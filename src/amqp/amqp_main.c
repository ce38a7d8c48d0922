/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-amqp - speaks to a RabbitMQ for the daemon (amqp_process.h), with no rights of its own.
 *
 *	mayfly-amqp UID GID     the parent: starts a child for each lane, and another when one ends
 *	mayfly-amqp --lane N    the child: librabbitmq reads what a broker sends here, and only here
 *
 * Both end when the daemon's end of their socket is closed.
 */
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "amqp/amqp_guard.h"
#include "amqp/amqp_process.h"
#include "amqp/broker.h"
#include "base/own.h"

enum {
	MAIN_AGAIN_MS = 500, /* before a child that ended is started again */
	MAIN_TICK_MS = 1000, /* the heartbeat is looked after as often */
	MAIN_READ_BYTES = 256 * 1024,
	MAIN_READS = 16, /* in one turn */
};

/* ---- the child ---- */

/* The daemon reads always: it may be waited for. */
static bool
main_write(struct buf *out)
{
	while (out->len) {
		ssize_t n = send(AMQP_PROCESS_FD, out->at, out->len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf_eat(out, (size_t)n);
	}
	return true;
}

static bool
main_do_frames(struct broker *broker, struct buf *in)
{
	size_t used = 0;

	for (;;) {
		struct amqp_frame frame;
		struct str texts;
		struct err err = {0};
		int64_t n =
			amqp_frame_next(str_n(in->at + used, in->len - used), &frame, &texts, &err);

		if (n < 0 || (n > 0 && !broker_ask(broker, &frame, texts)))
			return false;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	if (used)
		buf_eat(in, used);
	return true;
}

/* False at the end of the daemon. */
static bool
main_read(struct broker *broker, struct buf *in)
{
	for (int i = 0; i < MAIN_READS; i++) {
		ssize_t n = recv(AMQP_PROCESS_FD, buf_room(in, MAIN_READ_BYTES), MAIN_READ_BYTES,
			MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return false;
		if (n < 0)
			break;
		buf_grew(in, (size_t)n);
	}
	return main_do_frames(broker, in);
}

static void
main_serve(struct broker *broker, struct buf *out)
{
	OWN(buf) struct buf in = BUF_INIT;
	bool is_more = false;

	for (;;) {
		struct pollfd watched[] = {
			{AMQP_PROCESS_FD, POLLIN, 0}, {broker_fd(broker), POLLIN, 0}};

		if (poll(watched, 2, is_more ? 0 : MAIN_TICK_MS) < 0 && errno != EINTR)
			return;
		if (watched[0].revents && !main_read(broker, &in))
			return;
		is_more = broker_turn(broker);
		if (!main_write(out))
			return;
	}
}

static int
main_lane(const char *lane)
{
	OWN(buf) struct buf out = BUF_INIT;
	struct err err = {0};
	struct broker *broker;

	/* It was exec'd by a link, which gives another. */
	prctl(PR_SET_NAME, "mayfly-amqp");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	amqp_initialize_ssl_library();
	if (amqp_guard_shut(&err) < 0) {
		fprintf(stderr, "mayfly-amqp: lane %s: %s\n", lane, err.text);
		return 1;
	}
	broker = broker_new(&out);
	main_serve(broker, &out);
	broker_free(broker);
	return 0;
}

/* ---- the parent ---- */

struct main_child {
	pid_t pid;
	int pidfd; /* owned */
};

_Noreturn static void
main_exec_lane(unsigned lane, int socket)
{
	char number[8];
	char *arguments[] = {(char *)"mayfly-amqp", (char *)"--lane", number, NULL};

	snprintf(number, sizeof(number), "%u", lane);
	if (dup2(socket, AMQP_PROCESS_FD) < 0 || close_range(AMQP_PROCESS_FD + 1, ~0u, 0) < 0)
		_exit(126);
	/* A fork alone would have the addresses of all that were before it. */
	execv("/proc/self/exe", arguments);
	_exit(127);
}

static bool
main_hand_over(unsigned lane, int socket)
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
	return sendmsg(AMQP_PROCESS_FD, &message, MSG_NOSIGNAL) == (ssize_t)sizeof(number);
}

static bool
main_start(struct main_child *child, unsigned lane)
{
	int pair[2];
	bool is_told;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	child->pid = fork();
	if (child->pid == 0)
		main_exec_lane(lane, pair[1]);
	close(pair[1]);
	is_told = child->pid > 0 && main_hand_over(lane, pair[0]);
	close(pair[0]);
	if (child->pid > 0)
		child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	return is_told && child->pidfd >= 0;
}

/* They close their connections when the daemon's end is gone, and are not waited for for long. */
static void
main_await_end(struct main_child children[AMQP_LANES])
{
	for (unsigned i = 0; i < AMQP_LANES; i++) {
		struct pollfd watched = {children[i].pidfd, POLLIN, 0};

		poll(&watched, 1, MAIN_AGAIN_MS);
	}
}

static int
main_watch(struct main_child children[AMQP_LANES])
{
	for (;;) {
		struct pollfd watched[AMQP_LANES + 1] = {{AMQP_PROCESS_FD, POLLIN, 0}};

		for (unsigned i = 0; i < AMQP_LANES; i++)
			watched[i + 1] = (struct pollfd){children[i].pidfd, POLLIN, 0};
		if (poll(watched, AMQP_LANES + 1, -1) < 0 && errno != EINTR)
			return 1;
		if (watched[0].revents) {
			main_await_end(children);
			return 0;
		}
		for (unsigned i = 0; i < AMQP_LANES; i++) {
			if (!watched[i + 1].revents)
				continue;
			own_fd(&children[i].pidfd);
			waitpid(children[i].pid, NULL, 0);
			poll(NULL, 0, MAIN_AGAIN_MS);
			if (!main_start(&children[i], i))
				return 1;
		}
	}
}

static int
main_parent(const char *user, const char *group)
{
	struct main_child children[AMQP_LANES];
	struct err err = {0};

	signal(SIGPIPE, SIG_IGN);
	fcntl(AMQP_PROCESS_FD, F_SETFD, FD_CLOEXEC);
	if (amqp_guard_become(
		    (uid_t)strtoul(user, NULL, 10), (gid_t)strtoul(group, NULL, 10), &err) < 0) {
		fprintf(stderr, "mayfly-amqp: %s\n", err.text);
		return 1;
	}
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (unsigned i = 0; i < AMQP_LANES; i++)
		if (!main_start(&children[i], i))
			return 1;
	return main_watch(children);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--lane") == 0)
		return main_lane(argv[2]);
	if (argc == 3)
		return main_parent(argv[1], argv[2]);
	fputs("mayfly-amqp is started by mayfly-daemon\n", stderr);
	return 2;
}
