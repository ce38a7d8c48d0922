/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/syscall_filter.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/fs.h>
#include <linux/personality.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox/syscall_table.h"

#define SYSCALL_NUMBERS 1024 /* no architecture has as many */

#define FILTER_NAMESPACES                                                                          \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
		CLONE_NEWPID | CLONE_NEWNET | 0x80 /* CLONE_NEWTIME */)

enum filter_verdict {
	FILTER_NOSYS,
	FILTER_ALLOW,
	FILTER_DENY,
	FILTER_TRACE,
	FILTER_CLONE,
	FILTER_SOCKET,
	FILTER_IOCTL,
	FILTER_PERSONALITY,
	FILTER_PRCTL,
	FILTER_FCNTL,
	FILTER_MMAP,
	FILTER_MADVISE,
	FILTER_ARCH_PRCTL,
	FILTER_CLOSE_RANGE,
	FILTER_PRLIMIT,
	FILTER_RSEQ,
	FILTER_SETSOCKOPT,
	FILTER_VERDICTS,
};

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define LOAD_ARG(n)                                                                                \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS,                                                         \
		offsetof(struct seccomp_data, args) + (n)*8 + FILTER_LOW_HALF)
#define JUMP_EQ(k, t, f)   BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (t), (f))
#define JUMP_ANY(k, t, f)  BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, (k), (t), (f))
#define JUMP_FROM(k, t, f) BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (k), (t), (f))
#define LESS(k)            BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, (k))
#define RETURN(k)          BPF_STMT(BPF_RET | BPF_K, (k))
#define ALLOW              RETURN(SECCOMP_RET_ALLOW)
#define REFUSE(e)          RETURN(SECCOMP_RET_ERRNO | (e))

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FILTER_LOW_HALF 0
#else
#define FILTER_LOW_HALF 4
#endif

/* Whether bit A of `bits` is set, for an A below 32: four instructions, of which the last jumps. */
#define JUMP_BIT(bits, t, f)                                                                       \
	BPF_STMT(BPF_MISC | BPF_TAX, 0), BPF_STMT(BPF_LD | BPF_IMM, 1),                            \
		BPF_STMT(BPF_ALU | BPF_LSH | BPF_X, 0), JUMP_ANY((uint32_t)(bits), t, f)

#define BIT(n) (1ull << (n))
#ifndef F_LINUX_SPECIFIC_BASE
#define F_LINUX_SPECIFIC_BASE 1024
#endif

/* What a process may set of its own and a keeper finds and sets again (keeper/aspect_limits.c), and
 * what it may ask. The rest some thread would keep for ever, unseen. */
#define FILTER_PRCTL_OPTIONS                                                                       \
	(BIT(PR_SET_PDEATHSIG) | BIT(PR_GET_PDEATHSIG) | BIT(PR_GET_DUMPABLE) |                    \
		BIT(PR_SET_DUMPABLE) | BIT(PR_GET_KEEPCAPS) | BIT(PR_SET_NAME) |                   \
		BIT(PR_GET_NAME) | BIT(PR_GET_SECCOMP) | BIT(PR_CAPBSET_READ) | BIT(PR_GET_TSC) |  \
		BIT(PR_GET_SECUREBITS) | BIT(PR_GET_TIMERSLACK) | BIT(PR_SET_CHILD_SUBREAPER) |    \
		BIT(PR_GET_CHILD_SUBREAPER) | BIT(PR_SET_NO_NEW_PRIVS) |                           \
		BIT(PR_GET_NO_NEW_PRIVS) | BIT(PR_GET_TID_ADDRESS) | BIT(PR_GET_THP_DISABLE) |     \
		BIT(PR_CAP_AMBIENT) | BIT(PR_GET_SPECULATION_CTRL))

/* Not owners and signals of descriptors, leases, notifications, sizes of pipes, hints. */
#define FILTER_FCNTL_COMMANDS                                                                      \
	(BIT(F_DUPFD) | BIT(F_GETFD) | BIT(F_SETFD) | BIT(F_GETFL) | BIT(F_SETFL) | BIT(F_GETLK) | \
		BIT(F_SETLK) | BIT(F_SETLKW) | BIT(F_GETOWN) | BIT(F_GETSIG) | BIT(F_GETOWN_EX) |  \
		BIT(F_OFD_GETLK) | BIT(F_OFD_SETLK) | BIT(F_OFD_SETLKW))
#define FILTER_FCNTL_LATER(command) BIT((command)-F_LINUX_SPECIFIC_BASE)
#define FILTER_FCNTL_LATER_COMMANDS                                                                \
	(FILTER_FCNTL_LATER(F_GETLEASE) | FILTER_FCNTL_LATER(F_DUPFD_CLOEXEC) |                    \
		FILTER_FCNTL_LATER(F_GETPIPE_SZ) | FILTER_FCNTL_LATER(F_ADD_SEALS) |               \
		FILTER_FCNTL_LATER(F_GET_SEALS) | FILTER_FCNTL_LATER(F_GET_RW_HINT) |              \
		FILTER_FCNTL_LATER(F_GET_FILE_RW_HINT))

/* Not MADV_FREE, by which a page may lose its bytes after it was looked at, nor advice that no file
 * of /proc tells of: MERGEABLE, WIPEONFORK, HWPOISON, guard pages. Allocators take DONTNEED then.
 */
#define FILTER_ADVICE                                                                              \
	(BIT(MADV_NORMAL) | BIT(MADV_RANDOM) | BIT(MADV_SEQUENTIAL) | BIT(MADV_WILLNEED) |         \
		BIT(MADV_DONTNEED) | BIT(MADV_REMOVE) | BIT(MADV_DONTFORK) | BIT(MADV_DOFORK) |    \
		BIT(MADV_UNMERGEABLE) | BIT(MADV_HUGEPAGE) | BIT(MADV_NOHUGEPAGE) |                \
		BIT(MADV_DONTDUMP) | BIT(MADV_DODUMP) | BIT(MADV_KEEPONFORK) | BIT(MADV_COLD) |    \
		BIT(MADV_PAGEOUT) | BIT(MADV_POPULATE_READ) | BIT(MADV_POPULATE_WRITE) |           \
		BIT(24) /* MADV_DONTNEED_LOCKED */ | BIT(25) /* MADV_COLLAPSE */)

/* What came after the headers of Debian 12. */
#define FILTER_PAGEMAP_SCAN 0xc0606610u /* Linux 6.7 */
#define FILTER_EPIOCSPARAMS 0x40088a01u /* Linux 6.9 */

#define FILTER_SOCKET_OPTIONS                                                                      \
	(BIT(SO_REUSEADDR) | BIT(SO_DONTROUTE) | BIT(SO_BROADCAST) | BIT(SO_SNDBUF) |              \
		BIT(SO_RCVBUF) | BIT(SO_KEEPALIVE) | BIT(SO_OOBINLINE) | BIT(SO_PRIORITY) |        \
		BIT(SO_LINGER) | BIT(SO_BSDCOMPAT) | BIT(SO_REUSEPORT) | BIT(SO_PASSCRED) |        \
		BIT(SO_RCVLOWAT) | BIT(SO_RCVTIMEO) | BIT(SO_SNDTIMEO) | BIT(SO_ATTACH_FILTER) |   \
		BIT(SO_DETACH_FILTER) | BIT(SO_TIMESTAMP) | BIT(SO_TIMESTAMPNS) |                  \
		BIT(SO_TIMESTAMPING) | BIT(SO_PEEK_OFF) | BIT(SO_INCOMING_CPU) | BIT(SO_ZEROCOPY))

#define FILTER_FLOWLABEL_MGR 32 /* IPV6_FLOWLABEL_MGR of <linux/in6.h> */

/* TCP_MD5SIG, TCP_MD5SIG_EXT, TCP_FASTOPEN_KEY, TCP_AO_ADD_KEY, TCP_AO_DEL_KEY, TCP_AO_INFO: a
 * socket does not tell the keys that it has. */
#define REFUSE_TCP_KEYS(to, allow)                                                                 \
	JUMP_EQ(14, (to) + 5, 0), JUMP_EQ(32, (to) + 4, 0), JUMP_EQ(33, (to) + 3, 0),              \
		JUMP_EQ(38, (to) + 2, 0), JUMP_EQ(39, (to) + 1, 0), JUMP_EQ(40, (to), (allow))

#define FILTER_DROPPABLE   0x08        /* MAP_DROPPABLE, Linux 6.11 */
#define FILTER_SET_NEXT_WD 0x40044900u /* INOTIFY_IOC_SETNEXTWD */

/* A verdict is a few instructions that end in a return. The shortest, which most ranges lead to,
 * come first. */
static const struct filter_block {
	size_t n;
	struct sock_filter code[27];
} filter_blocks[FILTER_VERDICTS] = {
	[FILTER_NOSYS] = {1, {REFUSE(ENOSYS)}},
	[FILTER_ALLOW] = {1, {ALLOW}},
	[FILTER_DENY] = {1, {REFUSE(EPERM)}},
	[FILTER_TRACE] = {1, {RETURN(SECCOMP_RET_TRACE)}},
	/* No new namespace: the only way to a capability. */
	[FILTER_CLONE] = {4,
		{LOAD_ARG(0), JUMP_ANY(FILTER_NAMESPACES, 0, 1), REFUSE(EPERM), ALLOW}},
	/* Netlink, packet, vsock, AF_ALG, bluetooth …: kernel code that no function needs, and that
	 * asking for it would load. The same of protocols: SCTP, DCCP, MPTCP, SMC …. */
	[FILTER_SOCKET] = {11, {LOAD_ARG(0), JUMP_EQ(AF_UNIX, 8, 0), JUMP_EQ(AF_INET, 2, 0),
				       JUMP_EQ(AF_INET6, 1, 0), REFUSE(EAFNOSUPPORT), LOAD_ARG(2),
				       JUMP_EQ(0, 3, 0), JUMP_EQ(IPPROTO_TCP, 2, 0),
				       JUMP_EQ(IPPROTO_UDP, 1, 0), REFUSE(EPROTONOSUPPORT), ALLOW}},
	/* Typing into somebody's terminal; hiding from the keeper which pages were written; owners
	 * of sockets, flags of files and ways to wait, which no file of /proc tells of. */
	[FILTER_IOCTL] = {12,
		{LOAD_ARG(1), JUMP_EQ(TIOCSTI, 8, 0), JUMP_EQ(TIOCLINUX, 7, 0),
			JUMP_EQ(FILTER_PAGEMAP_SCAN, 6, 0), JUMP_EQ(FIOSETOWN, 5, 0),
			JUMP_EQ(SIOCSPGRP, 4, 0), JUMP_EQ(FS_IOC_SETFLAGS, 3, 0),
			JUMP_EQ(FS_IOC_FSSETXATTR, 2, 0), JUMP_EQ(FILTER_SET_NEXT_WD, 1, 0),
			JUMP_EQ(FILTER_EPIOCSPARAMS, 0, 1), REFUSE(EPERM), ALLOW}},
	/* READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE …; asking is fine. */
	[FILTER_PERSONALITY] = {5, {LOAD_ARG(0), JUMP_EQ(PER_LINUX, 2, 0),
					   JUMP_EQ(0xffffffff, 1, 0), REFUSE(EPERM), ALLOW}},
	/* As kernels do for what they do not know. */
	[FILTER_PRCTL] = {14,
		{LOAD_ARG(0), JUMP_FROM(64, 10, 0), JUMP_FROM(32, 4, 0),
			JUMP_BIT(FILTER_PRCTL_OPTIONS, 6, 5), LESS(32),
			JUMP_BIT(FILTER_PRCTL_OPTIONS >> 32, 1, 0), REFUSE(EINVAL), ALLOW}},
	[FILTER_FCNTL] = {21,
		{LOAD_ARG(1), JUMP_FROM(F_LINUX_SPECIFIC_BASE, 11, 0), JUMP_FROM(64, 16, 0),
			JUMP_FROM(32, 4, 0), JUMP_BIT(FILTER_FCNTL_COMMANDS, 12, 11), LESS(32),
			JUMP_BIT(FILTER_FCNTL_COMMANDS >> 32, 7, 6), LESS(F_LINUX_SPECIFIC_BASE),
			JUMP_FROM(32, 4, 0), JUMP_BIT(FILTER_FCNTL_LATER_COMMANDS, 1, 0),
			REFUSE(EINVAL), ALLOW}},
	/* Memory that is locked as by mlock(), and such as loses its bytes when the kernel likes,
	 * and in a fork. */
	[FILTER_MMAP] = {6,
		{LOAD_ARG(3), JUMP_ANY(FILTER_DROPPABLE, 2, 0), JUMP_ANY(MAP_LOCKED, 0, 2),
			REFUSE(EPERM), REFUSE(EINVAL), ALLOW}},
	[FILTER_MADVISE] = {8, {LOAD_ARG(2), JUMP_FROM(32, 4, 0), JUMP_BIT(FILTER_ADVICE, 1, 0),
				       REFUSE(EINVAL), ALLOW}},
	/* Where FS and GS point, and register sets that need a permission. */
	[FILTER_ARCH_PRCTL] = {7,
		{LOAD_ARG(0), JUMP_EQ(0x1022, 4, 0), JUMP_EQ(0x1023, 3, 0), JUMP_FROM(0x1005, 1, 0),
			JUMP_FROM(0x1001, 1, 0), REFUSE(EINVAL), ALLOW}},
	/* A table of descriptors that one thread has alone. */
	[FILTER_CLOSE_RANGE] = {4,
		{LOAD_ARG(2), JUMP_ANY(2 /* CLOSE_RANGE_UNSHARE */, 0, 1), REFUSE(EINVAL), ALLOW}},
	/* Those of pid 1, which has the same user. */
	[FILTER_PRLIMIT] = {4, {LOAD_ARG(0), JUMP_EQ(1, 0, 1), REFUSE(EPERM), ALLOW}},
	/* A thread that is registered stays so: its keeper need not look. */
	[FILTER_RSEQ] = {4,
		{LOAD_ARG(2), JUMP_ANY(1 /* RSEQ_FLAG_UNREGISTER */, 0, 1), REFUSE(EINVAL), ALLOW}},
	/* Options that keeper/sockopt.c looks at; no keys of TCP, and no labels of flows, which
	 * outlive their socket. */
	[FILTER_SETSOCKOPT] = {27,
		{LOAD_ARG(1), JUMP_EQ(SOL_SOCKET, 11, 0), JUMP_EQ(IPPROTO_TCP, 3, 0),
			JUMP_EQ(IPPROTO_IPV6, 0, 22), LOAD_ARG(2),
			JUMP_EQ(FILTER_FLOWLABEL_MGR, 19, 20), LOAD_ARG(2), REFUSE_TCP_KEYS(12, 13),
			LOAD_ARG(2), JUMP_FROM(64, 10, 0), JUMP_FROM(32, 4, 0),
			JUMP_BIT(FILTER_SOCKET_OPTIONS, 6, 5), LESS(32),
			JUMP_BIT(FILTER_SOCKET_OPTIONS >> 32, 1, 0), REFUSE(ENOPROTOOPT), ALLOW}},
};

static const struct {
	const char *name;
	enum filter_verdict verdict;
} syscall_checked[] = {
	{"clone", FILTER_CLONE},
	{"socket", FILTER_SOCKET},
	{"socketpair", FILTER_SOCKET},
	{"ioctl", FILTER_IOCTL},
	{"personality", FILTER_PERSONALITY},
	{"prctl", FILTER_PRCTL},
	{"fcntl", FILTER_FCNTL},
	{"mmap", FILTER_MMAP},
	{"madvise", FILTER_MADVISE},
	{"arch_prctl", FILTER_ARCH_PRCTL},
	{"close_range", FILTER_CLOSE_RANGE},
	{"prlimit64", FILTER_PRLIMIT},
	{"rseq", FILTER_RSEQ},
	{"setsockopt", FILTER_SETSOCKOPT},
};

/* Names that libseccomp 2.5.4 does not know; the numbers are the same everywhere. */
static const struct {
	const char *name;
	int number;
} filter_newer[] = {
	{"futex_waitv", 449},
	{"set_mempolicy_home_node", 450},
	{"cachestat", 451},
	{"fchmodat2", 452},
	{"futex_wake", 454},
	{"futex_wait", 455},
	{"futex_requeue", 456},
};

/* Negative for a call that this architecture does not have. */
static int
filter_number(const char *name)
{
	for (size_t i = 0; i < sizeof(filter_newer) / sizeof(*filter_newer); i++) {
		if (strcmp(filter_newer[i].name, name) == 0)
			return filter_newer[i].number;
	}
	return seccomp_syscall_resolve_name(name);
}

static int
filter_mark(uint8_t verdicts[SYSCALL_NUMBERS], const char *name, enum filter_verdict verdict,
	struct err *err)
{
	int number = filter_number(name);

	if (number == __NR_SCMP_ERROR)
		return err_set(err, ERR_INTERNAL, "libseccomp does not know %s", name);
	if (number >= SYSCALL_NUMBERS)
		return err_set(err, ERR_INTERNAL, "%s has number %d", name, number);
	if (number >= 0)
		verdicts[number] = verdict;
	return 0;
}

static int
filter_judge(uint8_t verdicts[SYSCALL_NUMBERS], struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(syscall_allowed) / sizeof(*syscall_allowed); i++)
		rc = filter_mark(verdicts, syscall_allowed[i], FILTER_ALLOW, err);
	for (size_t i = 0; rc == 0 && i < sizeof(syscall_denied) / sizeof(*syscall_denied); i++)
		rc = filter_mark(verdicts, syscall_denied[i], FILTER_DENY, err);
	for (size_t i = 0; rc == 0 && i < sizeof(syscall_traced) / sizeof(*syscall_traced); i++)
		rc = filter_mark(verdicts, syscall_traced[i], FILTER_TRACE, err);
	for (size_t i = 0; rc == 0 && i < sizeof(syscall_checked) / sizeof(*syscall_checked); i++)
		rc = filter_mark(
			verdicts, syscall_checked[i].name, syscall_checked[i].verdict, err);
	return rc;
}

struct filter_range {
	uint32_t first; /* number that the range begins with */
	enum filter_verdict verdict;
};

static size_t
filter_ranges(const uint8_t verdicts[SYSCALL_NUMBERS], struct filter_range ret[SYSCALL_NUMBERS])
{
	size_t n = 0;

	for (uint32_t i = 0; i < SYSCALL_NUMBERS; i++) {
		if (n == 0 || ret[n - 1].verdict != verdicts[i])
			ret[n++] = (struct filter_range){i, verdicts[i]};
	}
	return n;
}

static void
filter_emit(struct syscall_filter *filter, struct sock_filter instruction)
{
	must(filter->n < SYSCALL_FILTER_MAX);
	filter->code[filter->n++] = instruction;
}

/* Where each verdict's block will stand when they come one behind the other. */
static void
filter_place_blocks(size_t from, size_t ret[FILTER_VERDICTS])
{
	for (size_t i = 0; i < FILTER_VERDICTS; i++) {
		ret[i] = from;
		from += filter_blocks[i].n;
	}
}

/* Binary search: at each node numbers from `middle` on go right. Gives where the tree begins: one
 * of a single range is the block of its verdict, which all ranges of that verdict share. */
static size_t
filter_emit_tree(struct syscall_filter *filter, const struct filter_range *ranges, size_t n,
	const size_t blocks[FILTER_VERDICTS])
{
	size_t node = filter->n, middle = n / 2, left, right;

	if (n == 1)
		return blocks[ranges->verdict];
	filter_emit(filter, (struct sock_filter){0});
	left = filter_emit_tree(filter, ranges, middle, blocks) - node - 1;
	right = filter_emit_tree(filter, ranges + middle, n - middle, blocks) - node - 1;
	must(left <= UINT8_MAX && right <= UINT8_MAX);
	filter->code[node] = (struct sock_filter)BPF_JUMP(
		BPF_JMP | BPF_JGE | BPF_K, ranges[middle].first, (uint8_t)right, (uint8_t)left);
	return node;
}

static void
filter_emit_blocks(struct syscall_filter *filter)
{
	for (size_t i = 0; i < FILTER_VERDICTS; i++) {
		for (size_t j = 0; j < filter_blocks[i].n; j++)
			filter_emit(filter, filter_blocks[i].code[j]);
	}
}

/* AUDIT_ARCH_ of the program that runs. */
static uint32_t
filter_arch(void)
{
#if defined(__x86_64__)
	return AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
	return AUDIT_ARCH_AARCH64;
#else
#error "syscall_filter.c does not know this architecture"
#endif
}

int
syscall_filter_compile(struct syscall_filter *ret, struct err *err)
{
	uint8_t verdicts[SYSCALL_NUMBERS] = {FILTER_NOSYS};
	struct filter_range ranges[SYSCALL_NUMBERS];
	size_t blocks[FILTER_VERDICTS], n;
	int rc = filter_judge(verdicts, err);

	if (rc < 0)
		return rc;
	n = filter_ranges(verdicts, ranges);
	ret->n = 0;
	/* Another architecture's numbers mean other calls. Those of x32, from 0x40000000 on, fall
	 * into the last range. */
	filter_emit(ret, (struct sock_filter)LOAD(arch));
	filter_emit(ret, (struct sock_filter)JUMP_EQ(filter_arch(), 1, 0));
	filter_emit(ret, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
	filter_emit(ret, (struct sock_filter)LOAD(nr));
	filter_place_blocks(ret->n + n - 1, blocks);
	filter_emit_tree(ret, ranges, n, blocks);
	filter_emit_blocks(ret);
	return 0;
}
