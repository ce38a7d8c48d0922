/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/syscall_filter.h"

int
syscall_filter_install(const struct syscall_filter *filter, struct err *err)
{
	struct sock_fprog program = {
		.len = (unsigned short)filter->n,
		.filter = (struct sock_filter *)filter->code,
	};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return err_sys(err, "installing the seccomp program");
	return 0;
}
