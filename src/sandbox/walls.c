/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/walls.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/inside.h"
#include "sandbox/landlock.h"

#define MIB (1024ull * 1024)

/* A hard limit that is lower stays. */
static int
walls_limit(int resource, uint64_t value, struct err *err)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return err_sys(err, "getrlimit %d", resource);
	if (limit.rlim_max > value)
		limit.rlim_max = value;
	limit.rlim_cur = limit.rlim_max;
	return setrlimit(resource, &limit) < 0 ? err_sys(err, "setrlimit %d", resource) : 0;
}

int
walls_set_limits(const struct sandbox_limits *limits, bool is_counted, struct err *err)
{
	/* Where a cgroup counts processes it shall be the one to refuse, for it counts refusals. */
	const struct {
		int resource;
		uint64_t value;
	} rows[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_FSIZE, limits->file_bytes},
		{RLIMIT_MEMLOCK, 64 * 1024},
		{RLIMIT_MSGQUEUE, 0},
		{RLIMIT_NICE, 0},
		{RLIMIT_NOFILE, limits->open_files},
		{RLIMIT_NPROC, limits->processes + (is_counted ? 64 : 0)},
		{RLIMIT_RTPRIO, 0},
		{RLIMIT_SIGPENDING, 1024},
		{RLIMIT_STACK, 8 * MIB},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(rows) / sizeof(*rows); i++)
		rc = walls_limit(rows[i].resource, rows[i].value, err);
	return rc;
}

int
walls_drop_bounding(int last, struct err *err)
{
	for (int capability = 0; capability <= last; capability++) {
		if (prctl(PR_CAPBSET_DROP, capability) < 0)
			return err_sys(err, "capability %d", capability);
	}
	return 0;
}

int
walls_drop_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "capset");
	return 0;
}

int
walls_promise_no_privileges(struct err *err)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? err_sys(err, "prctl") : 0;
}

/* By the system calls themselves: those of libc tell every thread, of which a fork has none. No
 * user 0 is mapped, so the capabilities stay for the steps that follow. */
int
walls_become_user(bool is_user_shared, struct err *err)
{
	if (syscall(SYS_setresgid, INSIDE_USER, INSIDE_USER, INSIDE_USER) < 0)
		return err_sys(err, "setresgid");
	/* With a single id the kernel forbids setgroups(2): the user keeps his groups. */
	if (syscall(SYS_setgroups, 0, NULL) < 0 && !(is_user_shared && errno == EPERM))
		return err_sys(err, "setgroups");
	if (syscall(SYS_setresuid, INSIDE_USER, INSIDE_USER, INSIDE_USER) < 0)
		return err_sys(err, "setresuid");
	return 0;
}

int
walls_enter_landlock(int abi, enum sandbox_kind kind, struct err *err)
{
	static const char *const writable[][3] = {
		[SANDBOX_INSTANCE] = {"/tmp"},
		[SANDBOX_UNPACK] = {"/tmp", "/out"},
		[SANDBOX_BUILD] = {"/tmp", "/build"},
	};

	return abi == 0 ? 0 : landlock_enter(abi, writable[kind], err);
}
