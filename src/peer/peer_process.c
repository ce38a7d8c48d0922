/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"

enum { PROCESS_END_MS = 2000, PROCESS_STEP_MS = 10 };

_Noreturn static void
process_exec(const char *program, uid_t uid, gid_t gid, int socket)
{
	char user[16], group[16];
	char *arguments[] = {(char *)program, user, group, NULL};

	snprintf(user, sizeof(user), "%u", (unsigned)uid);
	snprintf(group, sizeof(group), "%u", (unsigned)gid);
	/* A session of its own: what a terminal sends is for the daemon. */
	setsid();
	if (dup2(socket, PEER_FD) < 0 || close_range(PEER_FD + 1, ~0u, 0) < 0)
		_exit(126);
	if (socket == PEER_FD)
		fcntl(socket, F_SETFD, 0);
	execv(program, arguments);
	dprintf(STDERR_FILENO, "mayfly: cannot start %s: %s\n", program, strerror(errno));
	_exit(127);
}

int
peer_process_start(const char *program, unsigned n_lanes, uid_t uid, gid_t gid,
	struct peer_process *ret, struct err *err)
{
	int pair[2];

	must(n_lanes <= PEER_LANES_MAX);
	*ret = (struct peer_process){.fd = -1, .pid = -1, .n_lanes = n_lanes};
	if (access(program, X_OK) < 0)
		return err_sys(err, "starting %s", program);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "making the socket of %s", program);
	ret->pid = fork();
	if (ret->pid == 0)
		process_exec(program, uid, gid, pair[1]);
	close(pair[1]);
	if (ret->pid < 0) {
		close(pair[0]);
		return err_sys(err, "forking for %s", program);
	}
	ret->fd = pair[0];
	return 0;
}

static int
process_take_fd(struct msghdr *message)
{
	struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int fd = -1;

	if (control && control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_RIGHTS &&
		control->cmsg_len == CMSG_LEN(sizeof(fd)))
		memcpy(&fd, CMSG_DATA(control), sizeof(fd));
	return fd;
}

int
peer_process_lane(const struct peer_process *process, unsigned *ret, int *ret_fd)
{
	uint32_t lane;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
	struct iovec part = {&lane, sizeof(lane)};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(process->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	OWN(fd) int fd = n > 0 ? process_take_fd(&message) : -1;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return ERR_NOT_FOUND;
	if (n != (ssize_t)sizeof(lane) || fd < 0 || lane >= process->n_lanes)
		return ERR_UNAVAILABLE;
	*ret = lane;
	*ret_fd = take_fd(&fd);
	return 0;
}

void
peer_process_stop(struct peer_process *process)
{
	own_fd(&process->fd);
	process->fd = -1;
	if (process->pid <= 0)
		return;
	for (int ms = 0; ms < PROCESS_END_MS; ms += PROCESS_STEP_MS) {
		if (waitpid(process->pid, NULL, WNOHANG) != 0) {
			process->pid = -1;
			return;
		}
		poll(NULL, 0, PROCESS_STEP_MS);
	}
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	process->pid = -1;
}
