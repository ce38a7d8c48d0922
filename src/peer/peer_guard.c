/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_guard.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <netdb.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GUARD_FILES = 64, GUARD_MEMORY_MIB = 1024 };

/* Everything else gives EPERM. */
static const char *const guard_allowed[] = {
	/* the daemon and the server */
	"read", "write", "readv", "writev", "recvfrom", "recvmsg", "sendto", "sendmsg", "sendmmsg",
	"poll", "ppoll", "select", "pselect6", "connect", "shutdown", "getsockopt", "setsockopt",
	"getsockname", "getpeername", "close", "fcntl", "ioctl",
	/* names and certificates */
	"fstat", "newfstatat", "stat", "lstat", "statx", "lseek", "pread64", "access", "faccessat",
	"faccessat2", "readlink", "readlinkat", "getdents64", "uname", "sysinfo",
	/* itself */
	"munmap", "mremap", "madvise", "brk", "futex", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "sigaltstack", "clock_gettime", "clock_getres", "clock_nanosleep",
	"nanosleep", "gettimeofday", "time", "sched_yield", "sched_getaffinity", "getpid", "gettid",
	"getuid", "geteuid", "getgid", "getegid", "getppid", "getrandom", "restart_syscall",
	"tgkill", "exit", "exit_group", "rseq", "set_robust_list"};

static int
guard_allow(scmp_filter_ctx filter, const char *name)
{
	int number = seccomp_syscall_resolve_name(name);

	return number < 0 ? 0 : seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0);
}

/* By what is asked for: sockets of the internet, files to read, memory that is not run. */
static int
guard_allow_checked(scmp_filter_ctx filter)
{
	static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
			SCMP_A0_32(SCMP_CMP_EQ, (uint32_t)families[i]));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2_32(SCMP_CMP_MASKED_EQ,
				O_ACCMODE | O_CREAT | O_TRUNC | (O_TMPFILE & ~O_DIRECTORY),
				O_RDONLY));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
			SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
			SCMP_A2_32(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (rc == 0)
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2_64(SCMP_CMP_EQ, 0));
	return rc;
}

static int
guard_filter(struct err *err)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int rc = filter ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < sizeof(guard_allowed) / sizeof(guard_allowed[0]); i++)
		rc = guard_allow(filter, guard_allowed[i]);
	if (rc == 0)
		rc = guard_allow_checked(filter);
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc == 0)
		return 0;
	errno = -rc;
	return err_sys(err, "loading the filter of system calls");
}

static void
guard_limit(int what, rlim_t most)
{
	const struct rlimit limit = {most, most};

	setrlimit(what, &limit);
}

static void
guard_limits(void)
{
	guard_limit(RLIMIT_CORE, 0);
	guard_limit(RLIMIT_NPROC, 0);
	guard_limit(RLIMIT_NOFILE, GUARD_FILES);
	guard_limit(RLIMIT_MEMLOCK, 0);
#ifndef __SANITIZE_ADDRESS__
	guard_limit(RLIMIT_DATA, (rlim_t)GUARD_MEMORY_MIB << 20);
#endif
}

/* The libraries that look names up are loaded at the first: later no file can be run. */
static void
guard_load_resolver(void)
{
	struct addrinfo *found = NULL;

	if (getaddrinfo("localhost", NULL, NULL, &found) == 0)
		freeaddrinfo(found);
}

int
peer_guard_become(uid_t uid, gid_t gid, struct err *err)
{
	if (uid == 0)
		return 0;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "dropping capability %d", cap);
	if (setgroups(0, NULL) < 0)
		return err_sys(err, "leaving the groups");
	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_sys(err, "becoming user %u", (unsigned)uid);
	return 0;
}

int
peer_guard_shut(struct err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {0};

	guard_load_resolver();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "clearing the capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "setting no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "closing the memory to others");
	guard_limits();
	return guard_filter(err);
}
