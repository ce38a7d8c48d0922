/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "keeper_kit.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIT_WAIT_MS 10000
#define KIT_ASIDE   64

_Noreturn static void
kit_become(int channel, int program, const char *const *argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	dup2(channel, 3);
	dup3(program, 4, O_CLOEXEC);
	syscall(SYS_close_range, 5, ~0u, 0);
	syscall(SYS_execveat, 4, "", argv, environ, AT_EMPTY_PATH);
	_exit(127);
}

/* What mayfly-init is to a sandbox: it buries orphans, ends as the program does, and all others
 * with it. */
_Noreturn static void
kit_be_init(int channel, const char *const *argv)
{
	/* What is below /tmp now is not to be seen from there any more. */
	int program = open(argv[0], O_PATH | O_CLOEXEC);
	int status = 0;
	pid_t main_pid, pid;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (chdir("/") < 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
		mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
		_exit(126);
	main_pid = fork();
	if (main_pid == 0)
		kit_become(channel, program, argv);
	close(channel);
	do {
		pid = waitpid(-1, &status, 0);
	} while (pid != main_pid);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

_Noreturn static void
kit_be_keeper(int daemon, int spawner)
{
	daemon = fcntl(daemon, F_DUPFD, KIT_ASIDE);
	spawner = fcntl(spawner, F_DUPFD, KIT_ASIDE);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(daemon, KEEPER_FD_DAEMON);
	dup2(spawner, KEEPER_FD_SPAWNER);
	syscall(SYS_close_range, KEEPER_FD_SPAWNER + 1, ~0u, 0);
	execl(getenv("MAYFLY_KEEPER"), "mayfly-keeper", NULL);
	_exit(127);
}

static void
kit_pair(int type, int ret[2])
{
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret), 0);
}

static void
kit_start_keeper(struct keeper_kit *kit)
{
	struct keeper_subject told = {.magic = KEEPER_MAGIC, .init_pid = kit->init, .channel = 3};
	int daemon[2], spawner[2];

	kit_pair(SOCK_SEQPACKET, daemon);
	kit_pair(SOCK_SEQPACKET, spawner);
	kit->keeper = fork();
	if (kit->keeper == 0)
		kit_be_keeper(daemon[1], spawner[1]);
	close(daemon[1]);
	close(spawner[1]);
	kit->keeper_fd = daemon[0];
	assert_int_equal(send(spawner[0], &told, sizeof(told), 0), sizeof(told));
	close(spawner[0]);
}

void
kit_start(struct keeper_kit *kit, const char *const *argv)
{
	char line[8192];
	int channel[2];

	kit_pair(SOCK_STREAM, channel);
	kit->init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (kit->init == 0)
		kit_be_init(channel[1], argv);
	close(channel[1]);
	kit->channel = channel[0];
	assert_true(kit_call(kit, "state", line, sizeof(line)) > 0);
	kit_start_keeper(kit);
}

void
kit_stop(struct keeper_kit *kit)
{
	close(kit->keeper_fd);
	waitpid(kit->keeper, NULL, 0);
	kill(kit->init, SIGKILL);
	waitpid(kit->init, NULL, 0);
	close(kit->channel);
}

size_t
kit_call(struct keeper_kit *kit, const char *line, char *ret, size_t size)
{
	struct pollfd watched = {kit->channel, POLLIN, 0};
	size_t len = 0;
	char text[8192];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	if (send(kit->channel, text, (size_t)n, MSG_NOSIGNAL) != n)
		return 0;
	do {
		ssize_t got;

		if (poll(&watched, 1, KIT_WAIT_MS) != 1)
			return 0;
		got = recv(kit->channel, ret + len, size - 1 - len, 0);
		if (got <= 0)
			return 0;
		len += (size_t)got;
	} while (ret[len - 1] != '\n' && len < size - 1);
	ret[len] = '\0';
	return len;
}

static struct keeper_reply
kit_ask(struct keeper_kit *kit, enum keeper_op op, enum keeper_mechanism mechanism)
{
	struct keeper_request request = {KEEPER_MAGIC, op, mechanism, 0};
	struct pollfd watched = {kit->keeper_fd, POLLIN, 0};
	struct keeper_reply reply = {0};

	assert_int_equal(send(kit->keeper_fd, &request, sizeof(request), 0), sizeof(request));
	assert_int_equal(poll(&watched, 1, KIT_WAIT_MS), 1);
	assert_int_equal(recv(kit->keeper_fd, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.magic, KEEPER_MAGIC);
	return reply;
}

struct keeper_reply
kit_keep(struct keeper_kit *kit, enum keeper_mechanism mechanism)
{
	return kit_ask(kit, KEEPER_KEEP, mechanism);
}

struct keeper_reply
kit_renew(struct keeper_kit *kit)
{
	return kit_ask(kit, KEEPER_RENEW, 0);
}

void
kit_keep_well(struct keeper_kit *kit, enum keeper_mechanism mechanism)
{
	struct keeper_reply reply = kit_keep(kit, mechanism);

	assert_string_equal(reply.text, "");
	assert_int_equal(reply.event, KEEPER_KEPT);
	assert_int_equal(reply.cause, KEEPER_CAUSE_NONE);
}

struct keeper_reply
kit_renew_well(struct keeper_kit *kit)
{
	struct keeper_reply reply = kit_renew(kit);

	if (reply.event != KEEPER_RENEWED)
		fail_msg("spoilt after %s: %s", kit->last_call, reply.text);
	assert_int_equal(reply.cause, KEEPER_CAUSE_NONE);
	return reply;
}

void
kit_call_well(struct keeper_kit *kit, const char *line, char ret[static KIT_ANSWER_MAX])
{
	kit->last_call = line;
	if (kit_call(kit, line, ret, KIT_ANSWER_MAX) == 0)
		fail_msg("no answer to %s", line);
}

pid_t
kit_program(const struct keeper_kit *kit)
{
	char path[64];
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", kit->init, kit->init);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &pid), 1);
	fclose(file);
	return pid;
}

int
kit_await_end(struct keeper_kit *kit)
{
	int pidfd = (int)syscall(SYS_pidfd_open, kit->init, 0), status = 0;
	struct pollfd watched = {pidfd, POLLIN, 0};

	assert_int_equal(poll(&watched, 1, KIT_WAIT_MS), 1);
	close(pidfd);
	assert_int_equal(waitpid(kit->init, &status, 0), kit->init);
	return status;
}
