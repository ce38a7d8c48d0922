/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/provision.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/own.h"
#include "base/path.h"

#define PROVISION_MFD_EXEC 0x10 /* Linux 6.3 */

int
provision_program(const char *folder, const char *name, struct err *err)
{
	OWN(mem) char *path = path_join(folder, name);
	OWN(fd) int file = open(path, O_RDONLY | O_CLOEXEC);
	OWN(fd) int copy = -1;
	off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END), at = 0;

	if (size < 0)
		return err_sys(err, "opening %s", path);
	copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | PROVISION_MFD_EXEC);
	if (copy < 0)
		copy = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while (copy >= 0 && at < size && sendfile(copy, file, &at, (size_t)(size - at)) > 0)
		;
	if (copy < 0 || at < size ||
		fcntl(copy, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) <
			0)
		return err_sys(err, "copying %s", path);
	return take_fd(&copy);
}

int
provision_last_capability(void)
{
	int last = 0;

	while (prctl(PR_CAPBSET_READ, last + 1) >= 0)
		last++;
	return last;
}

void
provision_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}
