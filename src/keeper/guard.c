/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/guard.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#if defined(__x86_64__)
#define GUARD_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define GUARD_ARCH AUDIT_ARCH_AARCH64
#else
#error "guard.c does not know this architecture"
#endif

/* Everything else gives EPERM: the step that wanted it fails, and what it belongs to is spoilt. */
static const uint16_t guard_allowed[] = {
	/* the subject */
	SYS_ptrace,
	SYS_wait4,
	SYS_waitid,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_pidfd_open,
	SYS_pidfd_getfd,
	SYS_pidfd_send_signal,
	SYS_kill,
	SYS_tgkill,
	SYS_prlimit64,
	SYS_getpriority,
	SYS_getpgid,
	SYS_getsid,
	SYS_setpriority,
	SYS_ioprio_get,
	SYS_ioprio_set,
	SYS_sched_getaffinity,
	SYS_sched_setaffinity,
	SYS_sched_getattr,
	SYS_sched_setattr,
	SYS_sched_getscheduler,
	SYS_sched_getparam,
	SYS_get_robust_list,
	/* files of /proc, and descriptors taken from the subject */
	SYS_openat,
	SYS_close,
	SYS_read,
	SYS_pread64,
	SYS_write,
	SYS_pwrite64,
	SYS_readv,
	SYS_writev,
	SYS_lseek,
	SYS_fstat,
	SYS_newfstatat,
	SYS_statx,
	SYS_fstatfs,
	SYS_statfs,
	SYS_getdents64,
	SYS_readlinkat,
	SYS_ioctl,
	SYS_fcntl,
	SYS_getsockopt,
	SYS_setsockopt,
	SYS_getsockname,
	SYS_getpeername,
	SYS_faccessat,
	SYS_timerfd_settime,
	SYS_pipe2,
	SYS_tee,
	/* /tmp of the subject */
	SYS_unlinkat,
	SYS_fchmod,
	SYS_fchmodat,
	SYS_ftruncate,
	SYS_utimensat,
	SYS_flistxattr,
	SYS_fremovexattr,
	/* the daemon */
	SYS_recvfrom,
	SYS_sendto,
	SYS_recvmsg,
	SYS_sendmsg,
	SYS_ppoll,
	SYS_epoll_pwait,
	/* itself */
	SYS_mmap,
	SYS_munmap,
	SYS_mremap,
	SYS_mprotect,
	SYS_madvise,
	SYS_brk,
	SYS_futex,
	SYS_rt_sigaction,
	SYS_rt_sigprocmask,
	SYS_rt_sigreturn,
	SYS_setitimer,
	SYS_clock_gettime,
	SYS_clock_nanosleep,
	SYS_nanosleep,
	SYS_sched_yield,
	SYS_getpid,
	SYS_gettid,
	SYS_getuid,
	SYS_getrandom,
	SYS_restart_syscall,
	SYS_exit,
	SYS_exit_group,
#ifdef SYS_poll
	SYS_poll,
#endif
};

#define GUARD_CALLS (sizeof(guard_allowed) / sizeof(*guard_allowed))

static int
guard_drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capget, &head, sets) < 0)
		return err_sys(err, "capget");
	for (int i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		sets[i].permitted &= i == 0 ? 1u << CAP_SYS_PTRACE : 0;
		sets[i].effective = sets[i].permitted;
		sets[i].inheritable = 0;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &head, sets) < 0)
		return err_sys(err, "dropping capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(err, "no_new_privs");
	return 0;
}

static int
guard_filter(struct err *err)
{
	struct sock_filter code[2 * GUARD_CALLS + 8];
	struct sock_fprog program = {.filter = code};
	size_t n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_ARCH, 1, 0);
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < GUARD_CALLS; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, guard_allowed[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	program.len = (unsigned short)n;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, "installing the seccomp program");
	return 0;
}

int
guard_shut(struct err *err)
{
	struct rlimit none = {0, 0};
	int rc = guard_drop_capabilities(err);

	if (rc == 0 && setrlimit(RLIMIT_CORE, &none) < 0)
		rc = err_sys(err, "setrlimit");
	return rc < 0 ? rc : guard_filter(err);
}
