/* SPDX-License-Identifier: Apache-2.0 */
/*
 * syscall_table - what a sandbox may ask of the kernel, by name.
 *
 * A call of SYSCALL_ALLOWED passes; one of SYSCALL_DENIED gives EPERM: it exists, and is not for
 * tenants; those of SYSCALL_CHECKED pass or not by their arguments (syscall_filter.c); one of
 * SYSCALL_TRACED passes when a tracer makes it in the tenant's name, as mayfly-keeper does, and
 * gives ENOSYS without one. Whatever stands nowhere, calls of kernels to come too, gives ENOSYS,
 * which libraries know how to live with: so do clone3 (its flags are in memory, where no filter can
 * see them), io_uring (it goes round the filter), memfd_secret, and what marks a process for the
 * rest of its life in a way that a keeper neither sees nor undoes: membarrier, mseal, pkey_alloc,
 * landlock_restrict_self …. docs/sandbox.md gives the reasons in groups.
 */
#ifndef MAYFLY_SANDBOX_SYSCALL_TABLE_H
#define MAYFLY_SANDBOX_SYSCALL_TABLE_H

/* One name per line would be a scroll. */
/* clang-format off */
static const char *const syscall_allowed[] = {
	"accept", "accept4", "access", "alarm", "bind", "brk", "cachestat", "capget", "capset",
	"chdir", "chmod", "chown", "clock_getres", "clock_gettime", "clock_nanosleep", "close",
	"connect", "copy_file_range", "creat", "dup", "dup2", "dup3", "epoll_create",
	"epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd",
	"eventfd2", "execve", "execveat", "exit", "exit_group", "faccessat", "faccessat2",
	"fadvise64", "fallocate", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat",
	"fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr", "fsetxattr",
	"fstat", "fstatfs", "fsync", "ftruncate", "futex", "futex_requeue", "futex_wait",
	"futex_waitv", "futex_wake", "futimesat", "get_robust_list", "getcpu", "getcwd", "getdents",
	"getdents64", "getegid", "geteuid", "getgid", "getgroups", "getitimer", "getpeername",
	"getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid",
	"getresuid", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid",
	"gettimeofday", "getuid", "getxattr", "inotify_add_watch", "inotify_init", "inotify_init1",
	"inotify_rm_watch", "ioprio_get", "ioprio_set", "kill", "lchown", "lgetxattr", "link",
	"linkat", "listen", "listxattr", "llistxattr", "lremovexattr", "lseek", "lsetxattr",
	"lstat", "memfd_create", "mincore", "mkdir", "mkdirat", "mknod", "mknodat",
	"mprotect", "mremap", "msync", "munlock", "munlockall", "munmap", "nanosleep", "newfstatat",
	"open", "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2",
	"poll", "ppoll", "pread64", "preadv", "preadv2", "pselect6", "pwrite64", "pwritev",
	"pwritev2", "read", "readahead", "readlink", "readlinkat", "readv", "recvfrom", "recvmmsg",
	"recvmsg", "remap_file_pages", "removexattr", "rename", "renameat", "renameat2",
	"restart_syscall", "rmdir", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
	"rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo",
	"sched_get_priority_max", "sched_get_priority_min", "sched_getaffinity", "sched_getattr",
	"sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "select",
	"sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_tid_address",
	"setfsgid", "setfsuid", "setgid", "setgroups", "setitimer", "setpgid", "setpriority",
	"setregid", "setresgid", "setresuid", "setreuid", "setrlimit", "setsid", "setuid",
	"setxattr", "shutdown", "sigaltstack", "signalfd", "signalfd4", "splice",
	"stat", "statfs", "statx", "symlink", "symlinkat", "sync", "sync_file_range", "syncfs",
	"sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
	"timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime",
	"times", "tkill", "truncate", "umask", "uname", "unlink", "unlinkat", "utime", "utimensat",
	"utimes", "vfork", "vmsplice", "wait4", "waitid", "write", "writev",
};

static const char *const syscall_denied[] = {
	/* other processes */
	"ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
	"process_madvise", "process_mrelease",
	/* the mount tree */
	"mount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount", "fsconfig", "fspick",
	"move_mount", "open_tree", "mount_setattr", "quotactl", "quotactl_fd", "swapon",
	"swapoff",
	/* new namespaces; clone is checked */
	"unshare", "setns",
	/* keyrings, which are in no namespace */
	"keyctl", "add_key", "request_key",
	/* kernel surface with a long history */
	"bpf", "perf_event_open", "lookup_dcookie",
	/* the machine */
	"kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module",
	"create_module", "reboot", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex",
	"iopl", "ioperm", "modify_ldt", "vhangup", "acct", "syslog", "sethostname",
	"setdomainname",
	/* round path lookup */
	"open_by_handle_at", "name_to_handle_at", "fanotify_init", "fanotify_mark",
	/* objects that outlive a process */
	"shmget", "shmat", "shmctl", "shmdt", "semget", "semop", "semctl", "semtimedop", "msgget",
	"msgsnd", "msgrcv", "msgctl", "mq_open", "mq_unlink", "mq_timedsend", "mq_timedreceive",
	"mq_notify", "mq_getsetattr",
	/* memory that stays, filters that stay */
	"mlock", "mlock2", "mlockall", "seccomp",
	/* placement of memory */
	"mbind", "set_mempolicy", "get_mempolicy", "migrate_pages", "move_pages",
	"set_mempolicy_home_node",
};

static const char *const syscall_traced[] = {
	"userfaultfd",
};
/* clang-format on */

#endif
