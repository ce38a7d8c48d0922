/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/furnish.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/anyip.h"
#include "sandbox/spawner_protocol.h"
#include "sandbox/walls.h"

static struct inside_plan furnish_plan;
static int furnish_fds[INSIDE_FDS]; /* -1 where there is none */

static int
furnish_await_plan(void *state, struct err *err)
{
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	ssize_t n = spawner_protocol_receive(
		INSIDE_CONTROL, &furnish_plan, sizeof(furnish_plan), &fds, 0);
	size_t next = 0;

	/* The spawner is gone: nobody is left to tell. */
	if (n != sizeof(furnish_plan))
		_exit(1);
	for (size_t i = 0; i < INSIDE_FDS; i++) {
		bool is_there = furnish_plan.has_fd & (1u << i);

		must(!is_there || next < fds.n);
		furnish_fds[i] = is_there ? take_fd(&fds.at[next++]) : -1;
	}
	return 0;
}

static int
furnish_attach(enum inside_fd which, const char *at, struct err *err)
{
	if (furnish_fds[which] < 0)
		return 0;
	if (move_mount(furnish_fds[which], "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "at /%s", at);
	return 0;
}

static int
furnish_mount_root(void *state, struct err *err)
{
	int rc = furnish_attach(INSIDE_FD_ROOT, "root", err);

	return rc == 0 && chdir("/root") < 0 ? err_sys(err, "chdir") : rc;
}

static int
furnish_mount_code(void *state, struct err *err)
{
	return furnish_attach(
		INSIDE_FD_CODE, furnish_plan.kind == SANDBOX_BUILD ? "source" : "code", err);
}

static int
furnish_mount_deps(void *state, struct err *err)
{
	return furnish_attach(INSIDE_FD_DEPS,
		furnish_plan.deps_are_node_modules ? "code/node_modules" : "deps", err);
}

static int
furnish_mount_out(void *state, struct err *err)
{
	return furnish_attach(INSIDE_FD_OUT, "out", err);
}

/* Size and number of files of /tmp and /build, as mount options. */
static void
furnish_tmpfs_options(char *ret, size_t size)
{
	uint64_t bytes = furnish_plan.limits.tmp_bytes;
	uint64_t inodes = bytes / 4096;

	if (inodes < 1024)
		inodes = 1024;
	if (inodes > 262144)
		inodes = 262144;
	snprintf(ret, size, "size=%llu,nr_inodes=%llu,mode=1777,uid=%d,gid=%d",
		(unsigned long long)bytes, (unsigned long long)inodes, INSIDE_USER, INSIDE_USER);
}

/* From the anteroom into the root. */
static int
furnish_carry(const char *from, const char *to, struct err *err)
{
	return mount(from, to, NULL, MS_MOVE, NULL) < 0 ? err_sys(err, "mount") : 0;
}

static int
furnish_mount_tmp(void *state, struct err *err)
{
	char options[128];

	furnish_tmpfs_options(options, sizeof(options));
	if (mount(NULL, "/tmp", NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOATIME, options) < 0)
		return err_sys(err, "giving it its size");
	return furnish_carry("/tmp", "tmp", err);
}

static int
furnish_mount_build(void *state, struct err *err)
{
	char options[128];

	furnish_tmpfs_options(options, sizeof(options));
	if (mount("tmpfs", "build", "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
		return err_sys(err, "mount");
	return 0;
}

static int
furnish_mount_proc(void *state, struct err *err)
{
	return furnish_carry("/proc", "proc", err);
}

static int
furnish_mount_dev(void *state, struct err *err)
{
	return furnish_carry("/dev", "dev", err);
}

/* What lies below the root after this is the anteroom, and that is empty: it would be seen by
 * whoever could leave a chroot, which takes a capability that is about to go. pivot_root(2), done
 * when the host's mounts were left, would cost a seventh of the whole start. */
static int
furnish_move_in(void *state, struct err *err)
{
	static const char *const start[] = {[SANDBOX_INSTANCE] = "/code",
		[SANDBOX_UNPACK] = "/out",
		[SANDBOX_BUILD] = "/build"};

	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0)
		return err_sys(err, "mount");
	if (chroot(".") < 0)
		return err_sys(err, "chroot");
	if (chdir(start[furnish_plan.kind]) < 0)
		return err_sys(err, "chdir %s", start[furnish_plan.kind]);
	return 0;
}

/* Where the daemon's proxy will accept: made here, since only here is this network. */
static int
furnish_listen(void *state, struct err *err)
{
	OWN(fd) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(INSIDE_PROXY_PORT),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct inside_report report = {.event = INSIDE_LISTENER};

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 128) < 0)
		return err_sys(err, "port %d", INSIDE_PROXY_PORT);
	if (spawner_protocol_send(INSIDE_CONTROL, &report, sizeof(report), &fd, 1, 0) < 0)
		return err_sys(err, "passing it on");
	return 0;
}

/* The way out of a function that has one: made while the rights over its network are there. */
static int
furnish_open_egress(void *state, struct err *err)
{
	struct inside_report report = {.event = INSIDE_LISTENER};
	int fds[ANYIP_SOCKETS_MAX], rc;

	if (!furnish_plan.has_egress)
		return 0;
	rc = anyip_open(furnish_plan.egress_ports, furnish_plan.n_egress_ports, fds, err);
	if (rc == 0 && spawner_protocol_send(INSIDE_CONTROL, &report, sizeof(report), fds,
			       ANYIP_TCP + furnish_plan.n_egress_ports, 0) < 0)
		rc = err_sys(err, "passing it on");
	for (size_t i = 0; i < ANYIP_SOCKETS_MAX; i++)
		own_fd(&fds[i]);
	return rc;
}

static int
furnish_set_limits(void *state, struct err *err)
{
	return walls_set_limits(&furnish_plan.limits, furnish_plan.has_cgroup, err);
}

static int
furnish_place_descriptors(void *state, struct err *err)
{
	static const struct {
		enum inside_fd from;
		int to;
	} moves[] = {
		{INSIDE_FD_STDOUT, 1},
		{INSIDE_FD_STDERR, 2},
		{INSIDE_FD_CHANNEL, INSIDE_CHANNEL},
		{INSIDE_FD_OUTPUT, INSIDE_OUTPUT},
	};
	OWN(fd) int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0)
		return err_sys(err, "/dev/null");
	for (size_t i = 0; i < sizeof(moves) / sizeof(*moves); i++) {
		int from = furnish_fds[moves[i].from];

		if (from < 0)
			close(moves[i].to);
		else if (dup2(from, moves[i].to) < 0)
			return err_sys(err, "descriptor %d", moves[i].to);
	}
	return close_range(INSIDE_INIT, ~0u, 0) < 0 ? err_sys(err, "close_range") : 0;
}

static int
furnish_drop_capabilities(void *state, struct err *err)
{
	return walls_drop_capabilities(err);
}

static int
furnish_enter_landlock(void *state, struct err *err)
{
	return walls_enter_landlock(
		furnish_plan.landlock_abi, (enum sandbox_kind)furnish_plan.kind, err);
}

static int
furnish_install_filter(void *state, struct err *err)
{
	return syscall_filter_install(&furnish_plan.filter, err);
}

/* Set by the spawner meanwhile. */
static int
furnish_await_limits(void *state, struct err *err)
{
	char go;

	if (recv(INSIDE_CONTROL, &go, 1, 0) != 1)
		_exit(1);
	return 0;
}

static const struct inside_step furnish_steps[] = {
	{"waiting for its plan", furnish_await_plan, INSIDE_ALL},
	{"mounting the root", furnish_mount_root, INSIDE_ALL},
	{"mounting the code", furnish_mount_code, INSIDE_IS_INSTANCE | INSIDE_IS_BUILD},
	{"mounting the dependencies", furnish_mount_deps, INSIDE_IS_INSTANCE | INSIDE_IS_BUILD},
	{"mounting the new tree", furnish_mount_out, INSIDE_IS_UNPACK},
	{"mounting /tmp", furnish_mount_tmp, INSIDE_ALL},
	{"mounting /build", furnish_mount_build, INSIDE_IS_BUILD},
	{"mounting /proc", furnish_mount_proc, INSIDE_ALL},
	{"mounting /dev", furnish_mount_dev, INSIDE_ALL},
	{"moving into its root", furnish_move_in, INSIDE_ALL},
	{"listening for its proxy", furnish_listen, INSIDE_IS_BUILD},
	{"opening its way out", furnish_open_egress, INSIDE_IS_INSTANCE},
	{"setting resource limits", furnish_set_limits, INSIDE_ALL},
	{"placing descriptors", furnish_place_descriptors, INSIDE_ALL},
	{"dropping capabilities", furnish_drop_capabilities, INSIDE_ALL},
	{"entering Landlock", furnish_enter_landlock, INSIDE_ALL},
	{"filtering system calls", furnish_install_filter, INSIDE_ALL},
	{"waiting for its cgroup's limits", furnish_await_limits, INSIDE_ALL},
};

const struct inside_plan *
furnish_run(void)
{
	static const int control = INSIDE_CONTROL;

	inside_walk(furnish_steps, sizeof(furnish_steps) / sizeof(*furnish_steps),
		&furnish_plan.kind, NULL, &control);
	return &furnish_plan;
}
