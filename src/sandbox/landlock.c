/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

/* What came after the headers of Debian 12. */
#define LANDLOCK_FS_TRUNCATE  (1ull << 14) /* version 3 */
#define LANDLOCK_FS_IOCTL_DEV (1ull << 15) /* version 5 */
#define LANDLOCK_SCOPE_ALL    3ull         /* version 6: abstract unix sockets, signals */

struct landlock_rules {
	uint64_t fs, net, scoped;
};

#define LANDLOCK_FS_READ                                                                           \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_FS_VERSION_1 ((1ull << 13) - 1)
#define LANDLOCK_FS_NODES     (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)

int
landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

static uint64_t
landlock_all(int abi)
{
	uint64_t all = LANDLOCK_FS_VERSION_1;

	if (abi >= 2)
		all |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		all |= LANDLOCK_FS_TRUNCATE;
	if (abi >= 5)
		all |= LANDLOCK_FS_IOCTL_DEV;
	return all;
}

static int
landlock_allow(int rules, const char *path, uint64_t access, struct err *err)
{
	OWN(fd) int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};

	if (fd < 0 ||
		syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0)
		return err_sys(err, "allowing %s to Landlock", path);
	return 0;
}

int
landlock_enter(int abi, const char *const *writable, struct err *err)
{
	struct landlock_rules attr = {.fs = landlock_all(abi)};
	size_t size = abi >= 6 ? sizeof(attr) : sizeof(attr.fs);
	uint64_t devices = LANDLOCK_FS_READ | LANDLOCK_ACCESS_FS_WRITE_FILE |
			   (attr.fs & (LANDLOCK_FS_TRUNCATE | LANDLOCK_FS_IOCTL_DEV));
	OWN(fd) int rules = -1;
	int rc;

	attr.scoped = abi >= 6 ? LANDLOCK_SCOPE_ALL : 0;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (rules < 0)
		return err_sys(err, "making Landlock rules");
	rc = landlock_allow(rules, "/", LANDLOCK_FS_READ, err);
	if (rc == 0)
		rc = landlock_allow(rules, "/dev", devices, err);
	for (; rc == 0 && *writable; writable++)
		rc = landlock_allow(rules, *writable, attr.fs & ~LANDLOCK_FS_NODES, err);
	if (rc == 0 && syscall(SYS_landlock_restrict_self, rules, 0) < 0)
		return err_sys(err, "entering Landlock");
	return rc;
}
