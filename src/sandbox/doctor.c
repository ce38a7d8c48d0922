/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "sandbox/anyip.h"
#include "sandbox/cgroup.h"
#include "sandbox/landlock.h"
#include "sandbox/syscall_filter.h"

#define DOCTOR_UID 200000 /* a host user that the sandboxes' range begins with */

/* Newer than the headers of Debian 12. */
#define DOCTOR_PAGEMAP_SCAN          _IOWR('f', 16, char[96]) /* Linux 6.7, linux/fs.h */
#define DOCTOR_UFFD_WP_ASYNC         (1ull << 15)             /* Linux 6.7 */
#define DOCTOR_UFFD_USER_MODE_ONLY   1                        /* Linux 5.11 */
#define DOCTOR_PAGEMAP_IS_SOFT_DIRTY (1ull << 55)

/* Each of these runs in a child of its own. */
struct doctor_trial {
	const char *name;
	enum doctor_group group;
	bool is_needed;
	const char *how; /* it is held, when the trial succeeds */
	int (*run)(const struct doctor_trial *trial, struct err *err);
	int flag;
};

static int
doctor_write(const char *path, const char *text)
{
	OWN(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) ? 0 : -1;
}

/* Protections. */

static int
doctor_try_namespace(const struct doctor_trial *trial, struct err *err)
{
	if (unshare(CLONE_NEWUSER | trial->flag) == 0)
		return 0;
	return errno == EPERM ? err_set(err, ERR_SYSTEM,
					"not permitted: user namespaces are shut off for this user "
					"(kernel.unprivileged_userns_clone, AppArmor)")
			      : err_sys(err, "unshare");
}

/* The map of a child is the parent's to write. */
static int
doctor_try_own_user(const struct doctor_trial *trial, struct err *err)
{
	int ready[2], done[2], rc = 0;
	char path[40], map[40], byte = 0;
	pid_t pid;

	if (pipe(ready) < 0 || pipe(done) < 0)
		return err_sys(err, "pipe");
	pid = fork();
	if (pid == 0) {
		byte = unshare(CLONE_NEWUSER) == 0;
		_exit(write(ready[1], &byte, 1) == 1 && read(done[0], &byte, 1) >= 0 ? 0 : 1);
	}
	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	snprintf(map, sizeof(map), "1000 %d 1\n", DOCTOR_UID);
	if (pid < 0 || read(ready[0], &byte, 1) != 1 || !byte)
		rc = err_set(err, ERR_SYSTEM, "no user namespace");
	else if (doctor_write(path, map) < 0)
		rc = err_set(err, ERR_SYSTEM,
			"%s: no range of user ids, all sandboxes share this user's (run as root)",
			strerror(errno));
	close(done[1]);
	close(ready[1]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return rc;
}

/* A user and a mount namespace, and one's own id in them. */
static int
doctor_enter(int flags, struct err *err)
{
	char uid[32], gid[32];

	snprintf(uid, sizeof(uid), "0 %u 1\n", geteuid());
	snprintf(gid, sizeof(gid), "0 %u 1\n", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | flags) < 0)
		return err_sys(err, "unshare");
	doctor_write("/proc/self/setgroups", "deny");
	if (doctor_write("/proc/self/gid_map", gid) < 0 ||
		doctor_write("/proc/self/uid_map", uid) < 0)
		return err_sys(err, "writing a user map");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_sys(err, "making mounts private");
	return 0;
}

static int
doctor_try_root(const struct doctor_trial *trial, struct err *err)
{
	struct mount_attr sealed = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID};
	OWN(fd) int copy = -1;
	int rc = doctor_enter(0, err);

	if (rc < 0)
		return rc;
	copy = open_tree(AT_FDCWD, "/usr", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (copy < 0 || mount_setattr(copy, "", AT_EMPTY_PATH, &sealed, sizeof(sealed)) < 0)
		return err_sys(err, "copying a mount (Linux 5.12)");
	if (move_mount(copy, "", AT_FDCWD, "/tmp", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
		chdir("/tmp") < 0)
		return err_sys(err, "attaching a mount");
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0)
		return err_sys(err, "pivot_root");
	if (mkdir("/mayfly-doctor", 0700) == 0 || errno != EROFS)
		return err_set(err, ERR_SYSTEM, "the root can be written");
	return 0;
}

static int
doctor_try_tmp(const struct doctor_trial *trial, struct err *err)
{
	static char bytes[65536];
	OWN(fd) int file = -1;
	int rc = doctor_enter(0, err);

	if (rc < 0)
		return rc;
	if (mount("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "size=64k,nr_inodes=16") < 0)
		return err_sys(err, "mounting a tmpfs");
	file = open("/tmp/full", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	while (file >= 0 && write(file, bytes, sizeof(bytes)) > 0)
		;
	return errno == ENOSPC ? 0 : err_sys(err, "filling a tmpfs");
}

/* A new /proc shows the processes of the namespace that its mounter is in. */
static int
doctor_try_proc(const struct doctor_trial *trial, struct err *err)
{
	int rc = doctor_enter(CLONE_NEWPID, err), status = 0;
	pid_t pid = rc < 0 ? -1 : fork();

	if (pid == 0)
		_exit(mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			      "subset=pid,hidepid=2") == 0
				? 0
				: errno);
	if (pid < 0)
		return rc < 0 ? rc : err_sys(err, "fork");
	waitpid(pid, &status, 0);
	errno = WEXITSTATUS(status);
	return status == 0 ? 0 : err_sys(err, "mounting /proc");
}

static int
doctor_try_no_new_privs(const struct doctor_trial *trial, struct err *err)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 ? 0 : err_sys(err, "prctl");
}

static int
doctor_try_capabilities(const struct doctor_trial *trial, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (unshare(CLONE_NEWUSER) < 0)
		return err_sys(err, "unshare");
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability) < 0)
			return err_sys(err, "dropping capability %d", capability);
	}
	return syscall(SYS_capset, &head, none) == 0 ? 0 : err_sys(err, "capset");
}

static int
doctor_try_seccomp(const struct doctor_trial *trial, struct err *err)
{
	struct syscall_filter filter;
	int rc = syscall_filter_compile(&filter, err);

	if (rc == 0)
		rc = doctor_try_no_new_privs(trial, err);
	if (rc == 0)
		rc = syscall_filter_install(&filter, err);
	if (rc == 0 && (unshare(CLONE_NEWUTS) == 0 || errno != EPERM))
		rc = err_set(err, ERR_SYSTEM, "a forbidden call was let through");
	return rc;
}

static int
doctor_try_landlock(const struct doctor_trial *trial, struct err *err)
{
	static const char *const nothing[] = {NULL};
	int abi = landlock_abi(), rc;

	if (abi == 0)
		return err_set(err, ERR_UNAVAILABLE,
			"not in this kernel (CONFIG_SECURITY_LANDLOCK, lsm=landlock)");
	rc = doctor_try_no_new_privs(trial, err);
	if (rc == 0)
		rc = landlock_enter(abi, nothing, err);
	if (rc == 0 &&
		(open("/tmp/mayfly-doctor", O_WRONLY | O_CREAT, 0600) >= 0 || errno != EACCES))
		rc = err_set(err, ERR_SYSTEM, "a forbidden write was let through");
	return rc;
}

static int
doctor_try_rlimit(const struct doctor_trial *trial, struct err *err)
{
	struct rlimit limit = {64, 64};

	return setrlimit(trial->flag, &limit) == 0 ? 0 : err_sys(err, "setrlimit");
}

/* Mechanisms. */

static int
doctor_try_pagemap_scan(const struct doctor_trial *trial, struct err *err)
{
	OWN(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	char nothing[96] = {0};

	if (fd < 0)
		return err_sys(err, "opening pagemap");
	if (ioctl(fd, DOCTOR_PAGEMAP_SCAN, nothing) == 0 || errno != ENOTTY)
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "not in this kernel (Linux 6.7)");
}

static int
doctor_try_soft_dirty(const struct doctor_trial *trial, struct err *err)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	OWN(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t before = 0, after = 0;
	off_t at = (off_t)((uintptr_t)page / 4096 * sizeof(uint64_t));

	if (page == MAP_FAILED || fd < 0)
		return err_sys(err, "opening pagemap");
	*page = 1;
	if (doctor_write("/proc/self/clear_refs", "4") < 0)
		return err_sys(err, "clear_refs");
	if (pread(fd, &before, sizeof(before), at) != sizeof(before))
		return err_sys(err, "reading pagemap");
	*page = 2;
	if (pread(fd, &after, sizeof(after), at) != sizeof(after))
		return err_sys(err, "reading pagemap");
	if (!(before & DOCTOR_PAGEMAP_IS_SOFT_DIRTY) && (after & DOCTOR_PAGEMAP_IS_SOFT_DIRTY))
		return 0;
	return err_set(err, ERR_UNAVAILABLE, "not in this kernel (CONFIG_MEM_SOFT_DIRTY)");
}

static int
doctor_try_userfaultfd(const struct doctor_trial *trial, struct err *err)
{
	OWN(fd)
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | DOCTOR_UFFD_USER_MODE_ONLY);
	struct uffdio_api api = {.api = UFFD_API};

	if (fd < 0)
		return err_sys(err, "userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api) < 0)
		return err_sys(err, "UFFDIO_API");
	if (trial->flag && !(api.features & DOCTOR_UFFD_WP_ASYNC))
		return err_set(err, ERR_UNAVAILABLE, "not in this kernel (Linux 6.7)");
	return 0;
}

/* An address of nobody's, and a connection to it that comes home. */
static int
doctor_try_egress(const struct doctor_trial *trial, struct err *err)
{
	static const uint16_t port = 443;
	struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct sockaddr_in to = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(0xc0000201)}; /* 192.0.2.1 */
	int rc = doctor_enter(CLONE_NEWNET, err), sockets[ANYIP_SOCKETS_MAX];
	OWN(fd) int client = -1;

	if (rc < 0)
		return rc;
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client < 0 || ioctl(client, SIOCSIFFLAGS, &loopback) < 0)
		return err_sys(err, "raising lo");
	rc = anyip_open(&port, 1, sockets, err);
	if (rc == 0 && connect(client, (struct sockaddr *)&to, sizeof(to)) < 0)
		rc = err_sys(err, "connecting");
	return rc;
}

/* In the namespaces of a process that only waits: what it gives is the exit status of a fork. */
static int
doctor_fork_into(int waiting, struct err *err)
{
	int status = 0;
	pid_t pid;

	if (setns(waiting, CLONE_NEWPID) < 0)
		return err_sys(err, "setns(pidfd, CLONE_NEWPID) (Linux 5.8)");
	pid = fork();
	if (pid == 0)
		_exit(setns(waiting, CLONE_NEWUSER | CLONE_NEWNS) < 0 ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return err_sys(err, "fork");
	errno = WEXITSTATUS(status);
	return status ? err_sys(err, "setns(pidfd, CLONE_NEWUSER | CLONE_NEWNS)") : 0;
}

/* What libc knows of a thread must be right in a fork that it does not make itself. */
static int
doctor_try_fork(const struct doctor_trial *trial, struct err *err)
{
	int rc = doctor_enter(0, err), pidfd = -1, *tid;
	struct clone_args how = {
		.flags = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;

	if (rc < 0)
		return rc;
	if (prctl(PR_GET_TID_ADDRESS, &tid) < 0)
		return err_sys(err, "PR_GET_TID_ADDRESS (CONFIG_CHECKPOINT_RESTORE)");
	pid = (pid_t)syscall(SYS_clone3, &how, sizeof(how));
	if (pid == 0) {
		pause();
		_exit(0);
	}
	if (pid < 0)
		return err_sys(err, "clone3");
	rc = doctor_fork_into(pidfd, err);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return rc;
}

static const struct doctor_trial doctor_trials[] = {
	{"namespace.user", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWUSER)", doctor_try_namespace,
		0},
	{"namespace.mount", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWNS)", doctor_try_namespace,
		CLONE_NEWNS},
	{"namespace.pid", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWPID)", doctor_try_namespace,
		CLONE_NEWPID},
	{"namespace.net", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWNET)", doctor_try_namespace,
		CLONE_NEWNET},
	{"namespace.ipc", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWIPC)", doctor_try_namespace,
		CLONE_NEWIPC},
	{"namespace.uts", DOCTOR_PROTECTION, true, "clone3(CLONE_NEWUTS)", doctor_try_namespace,
		CLONE_NEWUTS},
	{"namespace.cgroup", DOCTOR_PROTECTION, true, "unshare(CLONE_NEWCGROUP)",
		doctor_try_namespace, CLONE_NEWCGROUP},
	{"user.own", DOCTOR_PROTECTION, false, "uid_map: a host user for each sandbox",
		doctor_try_own_user, 0},
	{"root.read_only", DOCTOR_PROTECTION, true, "mount_setattr and pivot_root", doctor_try_root,
		0},
	{"proc.own", DOCTOR_PROTECTION, true, "a new /proc with subset=pid,hidepid=2",
		doctor_try_proc, 0},
	{"capabilities.none", DOCTOR_PROTECTION, true, "capset and PR_CAPBSET_DROP",
		doctor_try_capabilities, 0},
	{"no_new_privs", DOCTOR_PROTECTION, true, "PR_SET_NO_NEW_PRIVS", doctor_try_no_new_privs,
		0},
	{"seccomp", DOCTOR_PROTECTION, true, "an allow-list of system calls", doctor_try_seccomp,
		0},
	{"landlock", DOCTOR_PROTECTION, false, "writes in /tmp only", doctor_try_landlock, 0},
	{"limit.tmp", DOCTOR_LIMIT, true, "size and nr_inodes of a tmpfs", doctor_try_tmp, 0},
	{"limit.open_files", DOCTOR_LIMIT, true, "RLIMIT_NOFILE", doctor_try_rlimit, RLIMIT_NOFILE},
	{"limit.file_size", DOCTOR_LIMIT, true, "RLIMIT_FSIZE", doctor_try_rlimit, RLIMIT_FSIZE},
	{"rollback.pagemap_scan", DOCTOR_MECHANISM, false, "ioctl(PAGEMAP_SCAN)",
		doctor_try_pagemap_scan, 0},
	{"rollback.soft_dirty", DOCTOR_MECHANISM, false, "/proc/<pid>/clear_refs",
		doctor_try_soft_dirty, 0},
	{"rollback.userfaultfd", DOCTOR_MECHANISM, false, "userfaultfd(UFFD_USER_MODE_ONLY)",
		doctor_try_userfaultfd, 0},
	{"rollback.write_protect", DOCTOR_MECHANISM, false, "UFFD_FEATURE_WP_ASYNC",
		doctor_try_userfaultfd, 1},
	{"template.fork", DOCTOR_MECHANISM, false, "setns(pidfd), clone3", doctor_try_fork, 0},
	{"network.egress", DOCTOR_MECHANISM, false,
		"local routes of every address, inside the function's network namespace",
		doctor_try_egress, 0},
};

/* What a trial does to a process stays in a child. */
static void
doctor_run(const struct doctor_trial *trial, struct doctor_finding *ret)
{
	struct err err = {0};
	int pair[2];
	pid_t pid;

	*ret = (struct doctor_finding){
		.name = trial->name, .group = trial->group, .is_needed = trial->is_needed};
	if (pipe2(pair, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		trial->run(trial, &err);
		_exit(write(pair[1], &err, sizeof(err)) == sizeof(err) ? 0 : 1);
	}
	close(pair[1]);
	if (pid < 0 || read(pair[0], &err, sizeof(err)) != sizeof(err))
		err_set(&err, ERR_SYSTEM, "the trial did not come to an end");
	close(pair[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	ret->is_there = err.code == 0;
	snprintf(ret->why, sizeof(ret->why), "%.150s", ret->is_there ? trial->how : err.text);
}

/* What cgroups hold. */

static const struct {
	const char *name;
	unsigned power;
	const char *v1, *v2;
} doctor_powers[] = {
	{"limit.memory", CGROUP_HOLDS_MEMORY, "memory.limit_in_bytes", "memory.max"},
	{"limit.swap", CGROUP_HOLDS_SWAP, "memory.memsw.limit_in_bytes", "memory.swap.max"},
	{"limit.cpu_weight", CGROUP_HOLDS_CPU_WEIGHT, "cpu.shares", "cpu.weight"},
	{"limit.cpu_percent", CGROUP_HOLDS_CPU_PERCENT, "cpu.cfs_quota_us", "cpu.max"},
	{"limit.processes", CGROUP_HOLDS_PROCESSES, "pids.max", "pids.max"},
	{"meter.cpu", CGROUP_METERS_CPU, "cpuacct.usage", "cpu.stat"},
	{"meter.memory", CGROUP_METERS_MEMORY, "memory.max_usage_in_bytes", "memory.peak"},
};
#define DOCTOR_POWERS (sizeof(doctor_powers) / sizeof(*doctor_powers))

/* A group is made, limited, and a process put into it. */
static int
doctor_try_cgroup(struct cgroup_parent *cgroups, struct err *err)
{
	const struct sandbox_limits limits = {
		.memory_bytes = 64 << 20, .cpu_weight = 100, .cpu_percent = 50, .processes = 8};
	OWN(cgroup_place) struct cgroup_place place = {.into = -1};
	int rc = cgroups->ops->create(cgroups, 0, err);

	memset(place.procs, -1, sizeof(place.procs));
	if (rc == 0)
		rc = cgroups->ops->set(cgroups, 0, &limits, err);
	if (rc == 0)
		rc = cgroups->ops->place(cgroups, 0, &place, err);
	cgroups->ops->remove(cgroups, 0, &(struct err){0});
	return rc;
}

static size_t
doctor_examine_cgroups(struct doctor_finding *ret, size_t n)
{
	struct cgroup_parent cgroups;
	struct err err = {0};
	size_t i;

	if (cgroup_open(&cgroups, "mayfly", &err) < 0)
		return 0;
	if (doctor_try_cgroup(&cgroups, &err) < 0)
		cgroups.enforced = 0;
	for (i = 0; i < n && i < DOCTOR_POWERS; i++) {
		bool is_v1 = cgroups.ops->kind == CGROUP_V1;

		ret[i] = (struct doctor_finding){.name = doctor_powers[i].name,
			.group = DOCTOR_LIMIT,
			.is_there = cgroups.enforced & doctor_powers[i].power};
		if (ret[i].is_there)
			snprintf(ret[i].why, sizeof(ret[i].why), "cgroup %s: %s", cgroups.ops->name,
				is_v1 ? doctor_powers[i].v1 : doctor_powers[i].v2);
		else
			snprintf(ret[i].why, sizeof(ret[i].why), "%.155s",
				err.code ? err.text : cgroups.missing);
	}
	cgroup_close(&cgroups);
	return i;
}

static size_t
doctor_examine_group(enum doctor_group group, struct doctor_finding *ret, size_t n)
{
	size_t found = 0;

	for (size_t i = 0; i < sizeof(doctor_trials) / sizeof(*doctor_trials) && found < n; i++)
		if (doctor_trials[i].group == group)
			doctor_run(&doctor_trials[i], &ret[found++]);
	return found;
}

size_t
doctor_examine(struct doctor_finding *ret, size_t n)
{
	size_t found = doctor_examine_group(DOCTOR_PROTECTION, ret, n);

	found += doctor_examine_group(DOCTOR_LIMIT, ret + found, n - found);
	found += doctor_examine_cgroups(ret + found, n - found);
	return found + doctor_examine_group(DOCTOR_MECHANISM, ret + found, n - found);
}
