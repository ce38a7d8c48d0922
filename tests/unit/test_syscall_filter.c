/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seccomp program is run here by a machine of forty lines, against the table that it was made
 * of: every number, and the calls that are judged by their arguments.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "sandbox/syscall_filter.h"
#include "sandbox/syscall_table.h"

#define LAST_NUMBER 1023

static struct syscall_filter filter;

static int
compile(void **state)
{
	struct err err = {0};

	return syscall_filter_compile(&filter, &err);
}

/* Classic BPF, as far as the program uses it. */
static uint32_t
run(const struct seccomp_data *data)
{
	uint32_t a = 0, x = 0;

	for (size_t at = 0; at < filter.n; at++) {
		const struct sock_filter *code = &filter.code[at];
		bool is_met = false;

		switch (code->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&a, (const char *)data + code->k, sizeof(a));
			continue;
		case BPF_LD | BPF_IMM:
			a = code->k;
			continue;
		case BPF_MISC | BPF_TAX:
			x = a;
			continue;
		case BPF_ALU | BPF_LSH | BPF_X:
			assert_in_range(x, 0, 31);
			a <<= x;
			continue;
		case BPF_ALU | BPF_SUB | BPF_K:
			a -= code->k;
			continue;
		case BPF_RET | BPF_K:
			return code->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			is_met = a == code->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			is_met = a >= code->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			is_met = a & code->k;
			break;
		default:
			fail_msg("instruction %u", code->code);
		}
		at += is_met ? code->jt : code->jf;
	}
	fail_msg("the program has no end");
	return 0;
}

static uint32_t
judge_four(int number, uint64_t first, uint64_t second, uint64_t third, uint64_t fourth)
{
	struct seccomp_data data = {.nr = number, .args = {first, second, third, fourth}};

	data.arch =
		seccomp_arch_native() == SCMP_ARCH_X86_64 ? AUDIT_ARCH_X86_64 : AUDIT_ARCH_AARCH64;
	return run(&data);
}

static uint32_t
judge_three(int number, uint64_t first, uint64_t second, uint64_t third)
{
	return judge_four(number, first, second, third, 0);
}

static uint32_t
judge(int number, uint64_t first, uint64_t second)
{
	return judge_three(number, first, second, 0);
}

/* The verdict on a call by its name. */
static uint32_t
judge_name(const char *name, uint64_t first, uint64_t second, uint64_t third)
{
	return judge_three(seccomp_syscall_resolve_name(name), first, second, third);
}

static uint32_t
refusal(int code)
{
	return SECCOMP_RET_ERRNO | (uint32_t)code;
}

static bool
is_listed(const char *const *names, size_t n, int number)
{
	for (size_t i = 0; i < n; i++) {
		if (seccomp_syscall_resolve_name(names[i]) == number)
			return true;
	}
	return false;
}

/* Judged by its arguments, and allowed with zeroes. */
static bool
is_checked_but_fine(const char *name)
{
	static const char *const names[] = {"clone", "ioctl", "personality", "fcntl", "madvise",
		"mmap", "close_range", "prlimit64", "rseq", "setsockopt"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* Judged by its arguments, and refused with zeroes. */
static bool
is_checked_and_refused(const char *name)
{
	return strcmp(name, "socket") == 0 || strcmp(name, "socketpair") == 0 ||
	       strcmp(name, "prctl") == 0 || strcmp(name, "arch_prctl") == 0;
}

static void
every_number_is_judged_as_the_table_says(void **state)
{
	size_t n_allowed = sizeof(syscall_allowed) / sizeof(*syscall_allowed);
	size_t n_denied = sizeof(syscall_denied) / sizeof(*syscall_denied);
	size_t n_traced = sizeof(syscall_traced) / sizeof(*syscall_traced);
	unsigned n_seen = 0;

	for (int number = 0; number <= LAST_NUMBER; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		uint32_t verdict = judge(number, 0, 0);

		if (name && !is_checked_and_refused(name)) {
			if (is_checked_but_fine(name))
				assert_int_equal(verdict, SECCOMP_RET_ALLOW);
			else if (is_listed(syscall_allowed, n_allowed, number))
				assert_int_equal(verdict, SECCOMP_RET_ALLOW);
			else if (is_listed(syscall_denied, n_denied, number))
				assert_int_equal(verdict, refusal(EPERM));
			else if (is_listed(syscall_traced, n_traced, number))
				assert_int_equal(verdict, SECCOMP_RET_TRACE);
			else
				assert_int_equal(verdict, refusal(ENOSYS));
			n_seen++;
		}
		free(name);
	}
	assert_true(n_seen > 300);
}

static void
no_name_is_listed_twice(void **state)
{
	size_t n_denied = sizeof(syscall_denied) / sizeof(*syscall_denied);

	for (size_t i = 0; i < sizeof(syscall_allowed) / sizeof(*syscall_allowed); i++) {
		for (size_t k = 0; k < n_denied; k++)
			assert_string_not_equal(syscall_allowed[i], syscall_denied[k]);
	}
}

static void
a_clone_with_any_new_namespace_is_refused(void **state)
{
	static const uint64_t spaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC,
		CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET};
	int number = seccomp_syscall_resolve_name("clone");

	for (size_t i = 0; i < 7; i++) {
		assert_int_equal(judge(number, spaces[i], 0), refusal(EPERM));
		assert_int_equal(judge(number, spaces[i] | CLONE_VM | 17, 0), refusal(EPERM));
		assert_int_equal(judge(number, spaces[i] | 1ull << 40, 0), refusal(EPERM));
	}
	/* pthread_create() and fork() of glibc */
	assert_int_equal(judge(number, 0x3d0f00, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(number, 0x1200011, 0), SECCOMP_RET_ALLOW);
}

static void
sockets_are_of_three_families(void **state)
{
	int number = seccomp_syscall_resolve_name("socket");

	for (uint64_t family = 0; family < 64; family++) {
		bool is_allowed = family == AF_UNIX || family == AF_INET || family == AF_INET6;

		assert_int_equal(judge(number, family, 0),
			is_allowed ? SECCOMP_RET_ALLOW : refusal(EAFNOSUPPORT));
	}
}

/* AF_TIPC gives pairs too, and whatever family is asked for is loaded. */
static void
pairs_of_sockets_are_of_those_families_too(void **state)
{
	for (uint64_t family = 0; family < 64; family++) {
		bool is_allowed = family == AF_UNIX || family == AF_INET || family == AF_INET6;

		assert_int_equal(judge_name("socketpair", family, SOCK_STREAM, 0),
			is_allowed ? SECCOMP_RET_ALLOW : refusal(EAFNOSUPPORT));
	}
}

static void
protocols_are_tcp_and_udp(void **state)
{
	static const uint64_t families[] = {AF_INET, AF_INET6};

	for (size_t i = 0; i < 2; i++) {
		for (uint64_t protocol = 0; protocol < 300; protocol++) {
			bool is_allowed =
				protocol == 0 || protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;

			assert_int_equal(judge_name("socket", families[i], SOCK_STREAM, protocol),
				is_allowed ? SECCOMP_RET_ALLOW : refusal(EPROTONOSUPPORT));
		}
	}
	assert_int_equal(judge_name("socket", AF_UNIX, SOCK_STREAM, 1), SECCOMP_RET_ALLOW);
}

/* What mlock() is refused for, and what MADV_FREE is. */
static void
memory_is_neither_locked_nor_dropped_where_it_is_mapped(void **state)
{
	int number = seccomp_syscall_resolve_name("mmap");

	assert_int_equal(judge_four(number, 0, 4096, 3, 0x22), SECCOMP_RET_ALLOW);
	assert_int_equal(judge_four(number, 0, 4096, 3, 0x4000 | 0x12), SECCOMP_RET_ALLOW);
	assert_int_equal(judge_four(number, 0, 4096, 3, 0x2000 | 0x22), refusal(EPERM));
	assert_int_equal(judge_four(number, 0, 4096, 3, 0x28), refusal(EINVAL));
	assert_int_equal(judge_four(number, 0, 4096, 3, 1ull << 32 | 0x2022), refusal(EPERM));
}

static void
high_halves_of_arguments_hide_nothing(void **state)
{
	int number = seccomp_syscall_resolve_name("ioctl");

	assert_int_equal(judge(number, 0, TIOCSTI), refusal(EPERM));
	assert_int_equal(judge(number, 0, TIOCSTI | 1ull << 32), refusal(EPERM));
	assert_int_equal(judge(number, 0, TIOCLINUX | 7ull << 50), refusal(EPERM));
	assert_int_equal(judge(number, 0, TCGETS), SECCOMP_RET_ALLOW);
	number = seccomp_syscall_resolve_name("socket");
	assert_int_equal(judge(number, AF_NETLINK | 1ull << 32, 0), refusal(EAFNOSUPPORT));
}

static void
personality_may_only_be_asked_for(void **state)
{
	int number = seccomp_syscall_resolve_name("personality");

	assert_int_equal(judge(number, 0xffffffff, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(number, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(judge(number, 0x0400000, 0), refusal(EPERM));
}

static void
attributes_that_stay_unseen_cannot_be_set(void **state)
{
	static const int allowed[] = {PR_SET_PDEATHSIG, PR_GET_PDEATHSIG, PR_GET_DUMPABLE,
		PR_SET_DUMPABLE, PR_GET_KEEPCAPS, PR_SET_NAME, PR_GET_NAME, PR_GET_SECCOMP,
		PR_CAPBSET_READ, PR_GET_TSC, PR_GET_SECUREBITS, PR_GET_TIMERSLACK,
		PR_SET_CHILD_SUBREAPER, PR_GET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS,
		PR_GET_NO_NEW_PRIVS, PR_GET_TID_ADDRESS, PR_GET_THP_DISABLE, PR_CAP_AMBIENT,
		PR_GET_SPECULATION_CTRL};
	uint64_t seen = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		seen |= 1ull << allowed[i];
	for (uint64_t option = 0; option < 200; option++) {
		bool is_allowed = option < 64 && seen >> option & 1;

		assert_int_equal(judge_name("prctl", option, 1, 0),
			is_allowed ? SECCOMP_RET_ALLOW : refusal(EINVAL));
	}
	assert_int_equal(judge_name("prctl", 0x53564d41, 0, 0), refusal(EINVAL)); /* PR_SET_VMA */
}

static void
descriptors_get_no_owners_leases_or_hints(void **state)
{
	static const uint64_t refused[] = {F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY,
		F_SETPIPE_SZ, F_SET_RW_HINT, F_SET_FILE_RW_HINT, 17, 63, 64, 1023, 1040, 1056,
		1030 + 32, 1ull << 31};
	static const uint64_t allowed[] = {F_DUPFD, F_SETFD, F_SETFL, F_GETFL, F_SETLK, F_SETLKW,
		F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GETPIPE_SZ};
	static const uint64_t owners[] = {FIOSETOWN, SIOCSPGRP};

	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		assert_int_equal(judge_name("fcntl", 3, refused[i], 0), refusal(EINVAL));
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		assert_int_equal(judge_name("fcntl", 3, allowed[i], 0), SECCOMP_RET_ALLOW);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(judge_name("ioctl", 3, owners[i], 0), refusal(EPERM));
	/* The number of the next watch of an inotify. */
	assert_int_equal(judge_name("ioctl", 3, 0x40044900, 0), refusal(EPERM));
	assert_int_equal(judge_name("ioctl", 3, FIONBIO, 0), SECCOMP_RET_ALLOW);
}

static void
nobody_hides_which_pages_were_written(void **state)
{
	/* PAGEMAP_SCAN; MADV_FREE, MADV_GUARD_INSTALL */
	assert_int_equal(judge_name("ioctl", 3, 0xc0606610, 0), refusal(EPERM));
	assert_int_equal(judge_name("madvise", 0, 4096, 8), refusal(EINVAL));
	assert_int_equal(judge_name("madvise", 0, 4096, 102), refusal(EINVAL));
	assert_int_equal(judge_name("madvise", 0, 4096, 1ull << 32 | 8), refusal(EINVAL));
	assert_int_equal(judge_name("madvise", 0, 4096, 4), SECCOMP_RET_ALLOW);
	assert_int_equal(judge_name("madvise", 0, 4096, 10), SECCOMP_RET_ALLOW);
}

static void
registers_are_set_and_nothing_else_of_the_machine(void **state)
{
	if (seccomp_syscall_resolve_name("arch_prctl") < 0)
		return;
	for (uint64_t code = 0x1000; code < 0x1030; code++) {
		bool is_allowed =
			(code >= 0x1001 && code <= 0x1004) || code == 0x1022 || code == 0x1023;

		assert_int_equal(judge_name("arch_prctl", code, 0, 0),
			is_allowed ? SECCOMP_RET_ALLOW : refusal(EINVAL));
	}
	assert_int_equal(judge_name("arch_prctl", 0x5001, 0, 0), refusal(EINVAL));
}

static void
no_thread_gets_descriptors_and_pid_1_no_limits_of_its_own(void **state)
{
	assert_int_equal(judge_name("close_range", 3, 9, 2), refusal(EINVAL));
	assert_int_equal(judge_name("close_range", 3, 9, 6), refusal(EINVAL));
	assert_int_equal(judge_name("close_range", 3, 9, 4), SECCOMP_RET_ALLOW);
	assert_int_equal(judge_name("prlimit64", 1, 7, 1), refusal(EPERM));
	assert_int_equal(judge_name("prlimit64", 1ull << 32 | 1, 7, 1), refusal(EPERM));
	assert_int_equal(judge_name("prlimit64", 2, 7, 1), SECCOMP_RET_ALLOW);
	assert_int_equal(judge_name("rseq", 0, 32, 1), refusal(EINVAL));
	assert_int_equal(judge_name("rseq", 0, 32, 0), SECCOMP_RET_ALLOW);
}

static void
sockets_have_options_that_a_keeper_knows(void **state)
{
	static const int allowed[] = {SO_REUSEADDR, SO_DONTROUTE, SO_BROADCAST, SO_SNDBUF,
		SO_RCVBUF, SO_KEEPALIVE, SO_OOBINLINE, SO_PRIORITY, SO_LINGER, SO_BSDCOMPAT,
		SO_REUSEPORT, SO_PASSCRED, SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_ATTACH_FILTER,
		SO_DETACH_FILTER, SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING, SO_PEEK_OFF,
		SO_INCOMING_CPU, SO_ZEROCOPY};
	uint64_t seen = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++)
		seen |= 1ull << allowed[i];
	for (uint64_t option = 0; option < 200; option++) {
		bool is_allowed = option < 64 && seen >> option & 1;

		assert_int_equal(judge_name("setsockopt", 3, SOL_SOCKET, option),
			is_allowed ? SECCOMP_RET_ALLOW : refusal(ENOPROTOOPT));
		/* Keys of MD5, of TCP-AO, of fast opening. */
		assert_int_equal(judge_name("setsockopt", 3, IPPROTO_TCP, option),
			option == 14 || option == 32 || option == 33 ||
					(option >= 38 && option <= 40)
				? refusal(ENOPROTOOPT)
				: SECCOMP_RET_ALLOW);
		assert_int_equal(
			judge_name("setsockopt", 3, IPPROTO_IP, option), SECCOMP_RET_ALLOW);
		/* IPV6_FLOWLABEL_MGR */
		assert_int_equal(judge_name("setsockopt", 3, IPPROTO_IPV6, option),
			option == 32 ? refusal(ENOPROTOOPT) : SECCOMP_RET_ALLOW);
	}
}

static void
another_architecture_is_killed_and_x32_is_unknown(void **state)
{
	struct seccomp_data data = {.nr = 0, .arch = AUDIT_ARCH_I386};

	assert_int_equal(run(&data), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(judge(0x40000000, 0, 0), refusal(ENOSYS));
	assert_int_equal(judge(-1, 0, 0), refusal(ENOSYS));
}

static void
the_program_is_small(void **state)
{
	assert_true(filter.n < 320);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(every_number_is_judged_as_the_table_says),
		it(no_name_is_listed_twice),
		it(a_clone_with_any_new_namespace_is_refused),
		it(sockets_are_of_three_families),
		it(pairs_of_sockets_are_of_those_families_too),
		it(protocols_are_tcp_and_udp),
		it(memory_is_neither_locked_nor_dropped_where_it_is_mapped),
		it(high_halves_of_arguments_hide_nothing),
		it(personality_may_only_be_asked_for),
		it(attributes_that_stay_unseen_cannot_be_set),
		it(descriptors_get_no_owners_leases_or_hints),
		it(nobody_hides_which_pages_were_written),
		it(registers_are_set_and_nothing_else_of_the_machine),
		it(no_thread_gets_descriptors_and_pid_1_no_limits_of_its_own),
		it(sockets_have_options_that_a_keeper_knows),
		it(another_architecture_is_killed_and_x32_is_unknown),
		it(the_program_is_small),
	};

	return cmocka_run_group_tests(tests, compile, NULL);
}
