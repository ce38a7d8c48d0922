/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "base/path.h"

int
privileges_find(const char *wanted, struct privileges *ret, struct err *err)
{
	const struct passwd *user;

	*ret = (struct privileges){.is_root = geteuid() == 0, .uid = geteuid(), .gid = getegid()};
	if (!ret->is_root)
		return 0;
	user = getpwnam(wanted);
	if (!user)
		user = getpwnam("nobody");
	if (!user)
		return err_field(err, ERR_INVALID, "user", "there is no user %s", wanted);
	if (user->pw_uid == 0)
		return err_field(err, ERR_INVALID, "user", "user must not be root");
	ret->uid = user->pw_uid;
	ret->gid = user->pw_gid;
	snprintf(ret->user, sizeof(ret->user), "%s", user->pw_name);
	return 0;
}

/* ---- the data folder ---- */

int
privileges_make_folder(const struct privileges *privileges, const char *data_dir, struct err *err)
{
	mode_t mode = privileges->is_root ? 01770 : 0700;
	int rc = path_make(data_dir, mode, err);

	if (rc < 0)
		return rc;
	OWN(fd) int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "opening %s", data_dir);
	if (!privileges->is_root)
		return 0;
	if (fchown(fd, 0, privileges->gid) < 0 || fchmod(fd, mode) < 0)
		return err_sys(err, "taking over %s", data_dir);
	return 0;
}

/* ---- giving up ---- */

static int
privileges_change_user(const struct privileges *privileges, struct err *err)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(err, "dropping capability %d", cap);
	if (setgroups(0, NULL) < 0)
		return err_sys(err, "leaving the groups");
	if (setresgid(privileges->gid, privileges->gid, privileges->gid) < 0 ||
		setresuid(privileges->uid, privileges->uid, privileges->uid) < 0)
		return err_sys(err, "becoming %s", privileges->user);
	return 0;
}

static int
privileges_clear_capabilities(struct err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct none[2] = {0};

	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &head, none) < 0)
		return err_sys(err, "clearing the capabilities");
	return 0;
}

static int
privileges_prove(const struct privileges *privileges, struct err *err)
{
	struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct have[2] = {0};

	if (syscall(SYS_capget, &head, have) < 0)
		return err_sys(err, "reading the capabilities");
	for (int i = 0; i < 2; i++)
		if (have[i].effective || have[i].permitted || have[i].inheritable)
			return err_set(err, ERR_INTERNAL, "capabilities are left");
	if (privileges->is_root && (setuid(0) == 0 || seteuid(0) == 0 || getuid() == 0))
		return err_set(err, ERR_INTERNAL, "the way back to root is open");
	return 0;
}

/* A daemon that was taken over finds these closed. */
static int
privileges_filter(struct err *err)
{
	static const char *const denied[] = {"execve", "execveat", "ptrace", "process_vm_readv",
		"process_vm_writev", "mount", "umount2", "pivot_root", "unshare", "setns", "bpf",
		"perf_event_open", "userfaultfd", "kexec_load", "kexec_file_load", "init_module",
		"finit_module", "delete_module", "keyctl", "add_key", "request_key", "fsopen",
		"fsmount", "fsconfig", "move_mount", "open_tree", "mount_setattr", "chroot",
		"swapon", "swapoff", "reboot", "personality", "quotactl", "acct"};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = filter ? 0 : -ENOMEM;

	for (size_t i = 0; rc == 0 && i < sizeof(denied) / sizeof(denied[0]); i++) {
		int number = seccomp_syscall_resolve_name(denied[i]);

		if (number >= 0)
			rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), number, 0);
	}
	if (rc == 0)
		rc = seccomp_load(filter);
	seccomp_release(filter);
	if (rc == 0)
		return 0;
	errno = -rc;
	return err_sys(err, "loading the filter of system calls");
}

int
privileges_drop(const struct privileges *privileges, struct err *err)
{
	int rc = privileges->is_root ? privileges_change_user(privileges, err) : 0;

	if (rc == 0)
		rc = privileges_clear_capabilities(err);
	if (rc == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		rc = err_sys(err, "setting no_new_privs");
	if (rc == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		rc = err_sys(err, "closing the memory to others");
	if (rc == 0)
		rc = privileges_filter(err);
	return rc < 0 ? rc : privileges_prove(privileges, err);
}
