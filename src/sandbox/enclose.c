/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/enclose.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/inside.h"
#include "sandbox/stage.h"
#include "sandbox/walls.h"

static int
enclose_join_cgroup(void *state, struct err *err)
{
	struct enclosure *enclosure = state;

	return cgroup_join(&enclosure->place, err);
}

/* Low numbers are held so that what comes with the plan does not get them. */
static int
enclose_keep_two(void *state, struct err *err)
{
	struct enclosure *enclosure = state;
	int control = fcntl(enclosure->control, F_DUPFD_CLOEXEC, 64);
	int init = fcntl(enclosure->init, F_DUPFD_CLOEXEC, 64);

	if (control < 0 || init < 0 || dup2(control, INSIDE_CONTROL) < 0 ||
		dup3(init, INSIDE_INIT, O_CLOEXEC) < 0)
		return err_sys(err, "moving descriptors");
	enclosure->control = INSIDE_CONTROL;
	for (int fd = 0; fd < INSIDE_CONTROL; fd++) {
		if (dup2(control, fd) < 0)
			return err_sys(err, "holding descriptor %d", fd);
	}
	if (close_range(INSIDE_INIT + 1, ~0u, 0) < 0)
		return err_sys(err, "closing the spawner's descriptors");
	return 0;
}

static int
enclose_reset_signals(void *state, struct err *err)
{
	sigset_t none;

	sigemptyset(&none);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	return sigprocmask(SIG_SETMASK, &none, NULL) < 0 ? err_sys(err, "the signal mask") : 0;
}

static int
enclose_await_map(void *state, struct err *err)
{
	char go;

	/* The spawner is gone: nobody is left to tell. */
	if (recv(INSIDE_CONTROL, &go, 1, 0) != 1)
		_exit(1);
	return 0;
}

/* Not at clone(2): the group that it is in by then is what it shall see as the top. */
static int
enclose_own_cgroup_view(void *state, struct err *err)
{
	return unshare(CLONE_NEWCGROUP) < 0 ? err_sys(err, "unshare") : 0;
}

/* When the machine runs out of memory a sandbox goes first. */
static int
enclose_offer_to_oom(void *state, struct err *err)
{
	OWN(fd) int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, "1000", 4) != 4 ? err_sys(err, "oom_score_adj") : 0;
}

static int
enclose_become_user(void *state, struct err *err)
{
	const struct enclosure *enclosure = state;

	return walls_become_user(enclosure->is_user_shared, err);
}

static int
enclose_die_with_spawner(void *state, struct err *err)
{
	/* A spawner that died before this is found by the next receive: the socket is at its end.
	 */
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? err_sys(err, "prctl") : 0;
}

/* An ordinary user loses its capabilities at an exec, but for those it made ambient: mounting,
 * moving in and the way out are still to come. furnish.c gives them up. */
static int
enclose_keep_rights(void *state, struct err *err)
{
	static const unsigned kept[] = {
		CAP_SYS_ADMIN, CAP_SYS_CHROOT, CAP_NET_ADMIN, CAP_NET_BIND_SERVICE};
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, sets) < 0)
		return err_sys(err, "capget");
	sets[0].inheritable = 0;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		sets[0].inheritable |= 1u << kept[i];
	if (syscall(SYS_capset, &head, sets) < 0)
		return err_sys(err, "capset");
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept[i], 0, 0) < 0)
			return err_sys(err, "prctl");
	}
	return 0;
}

/* An empty place in which what every sandbox has stands ready. */
static int
enclose_make_anteroom(void *state, struct err *err)
{
	static const char *const folders[] = {"root", "proc", "dev", "tmp"};

	if (mount("tmpfs", "/root", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		    "size=64k,nr_inodes=16,mode=755,uid=1000,gid=1000") < 0 ||
		chdir("/root") < 0)
		return err_sys(err, "mount");
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++) {
		if (mkdir(folders[i], 0755) < 0)
			return err_sys(err, "%s", folders[i]);
	}
	return 0;
}

/* Processes only: nothing of /proc/sys, /proc/kcore … is in it; and of those only one's own.
 * Nothing can be written, such as a value that a later call could read, or the bits that tell a
 * keeper which pages were written. Kernels that do not know an option get the next line. */
static int
enclose_mount_proc(void *state, struct err *err)
{
	static const char *const options[] = {"subset=pid,hidepid=2", "hidepid=2"};

	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		if (mount("proc", "proc", "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			    options[i]) == 0)
			return 0;
	}
	return err_sys(err, "mount");
}

static int
enclose_mount_dev(void *state, struct err *err)
{
	OWN(fd) int dev = stage_copy("/dev", STAGE_DEEP);

	if (dev < 0 || move_mount(dev, "", AT_FDCWD, "dev", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount");
	return 0;
}

/* It gets its size with the plan. That a file was read leaves no trace in it. */
static int
enclose_mount_tmp(void *state, struct err *err)
{
	if (mount("tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME,
		    "size=64k,nr_inodes=16,mode=1777,uid=1000,gid=1000") < 0)
		return err_sys(err, "mount");
	return 0;
}

/* Of the spawner's stage nothing is left in sight. */
static int
enclose_enter_anteroom(void *state, struct err *err)
{
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, "pivot_root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "umount");
	return chdir("/") < 0 ? err_sys(err, "chdir") : 0;
}

static int
enclose_drop_bounding(void *state, struct err *err)
{
	const struct enclosure *enclosure = state;

	return walls_drop_bounding(enclosure->last_capability, err);
}

static int
enclose_promise_no_privileges(void *state, struct err *err)
{
	return walls_promise_no_privileges(err);
}

/* Private to the sandbox: an adapter inside speaks to its runtime over it. */
static int
enclose_raise_loopback(void *state, struct err *err)
{
	return inside_raise_loopback(err);
}

/* A connection that was closed would keep its port for a minute (TIME_WAIT), and the next call
 * would find it taken. Where this cannot be written the keeper looks for such ports itself. */
static int
enclose_forget_connections(void *state, struct err *err)
{
	OWN(fd) int fd = open("/proc/sys/net/ipv4/tcp_max_tw_buckets", O_WRONLY | O_CLOEXEC);

	(void)!write(fd, "0", 1);
	return 0;
}

static int
enclose_name_host(void *state, struct err *err)
{
	if (sethostname("mayfly", 6) < 0 || setdomainname("", 0) < 0)
		return err_sys(err, "sethostname");
	return 0;
}

static int
enclose_leave_session(void *state, struct err *err)
{
	umask(022);
	return setsid() < 0 ? err_sys(err, "setsid") : 0;
}

static int
enclose_become_init(void *state, struct err *err)
{
	static char *const arguments[] = {"mayfly-init", NULL};
	static char *const environment[] = {NULL};

	execveat(INSIDE_INIT, "", arguments, environment, AT_EMPTY_PATH);
	return err_sys(err, "exec");
}

static const struct inside_step enclose_steps[] = {
	{"joining its cgroup", enclose_join_cgroup, INSIDE_ALL},
	{"closing what it inherited", enclose_keep_two, INSIDE_ALL},
	{"resetting signals", enclose_reset_signals, INSIDE_ALL},
	{"waiting for its user map", enclose_await_map, INSIDE_ALL},
	{"making its cgroup namespace", enclose_own_cgroup_view, INSIDE_ALL},
	{"offering itself to the OOM killer", enclose_offer_to_oom, INSIDE_ALL},
	{"becoming user 1000", enclose_become_user, INSIDE_ALL},
	{"binding its life to the spawner's", enclose_die_with_spawner, INSIDE_ALL},
	{"keeping rights over its own place", enclose_keep_rights, INSIDE_ALL},
	{"emptying the bounding set", enclose_drop_bounding, INSIDE_ALL},
	{"promising no new privileges", enclose_promise_no_privileges, INSIDE_ALL},
	{"raising the loopback interface", enclose_raise_loopback, INSIDE_ALL},
	{"forgetting closed connections", enclose_forget_connections, INSIDE_ALL},
	{"naming its host", enclose_name_host, INSIDE_ALL},
	{"leaving the spawner's session", enclose_leave_session, INSIDE_ALL},
	{"making its anteroom", enclose_make_anteroom, INSIDE_ALL},
	{"mounting /proc", enclose_mount_proc, INSIDE_ALL},
	{"mounting /dev", enclose_mount_dev, INSIDE_ALL},
	{"mounting /tmp", enclose_mount_tmp, INSIDE_ALL},
	{"leaving the host's mounts", enclose_enter_anteroom, INSIDE_ALL},
	{"becoming mayfly-init", enclose_become_init, INSIDE_ALL},
};

void
enclose_run(struct enclosure *enclosure)
{
	static const uint32_t any_kind = SANDBOX_INSTANCE;

	inside_walk(enclose_steps, sizeof(enclose_steps) / sizeof(*enclose_steps), &any_kind,
		enclosure, &enclosure->control);
	_exit(1);
}
