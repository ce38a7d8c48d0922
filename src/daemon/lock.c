/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

#include "base/own.h"
#include "base/path.h"
#include "base/str.h"

static int
lock_refuse(int fd, const char *data_dir, struct err *err)
{
	char pid[16] = "";
	ssize_t n = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[n > 0 ? n : 0] = 0;
	pid[strcspn(pid, "\n")] = 0;
	return err_set(err, ERR_CONFLICT, "another daemon (pid %s) uses %s",
		pid[0] ? pid : "unknown", data_dir);
}

int
lock_take(const char *data_dir, int *ret_fd, struct err *err)
{
	OWN(mem) char *path = path_join(data_dir, "daemon.lock");
	OWN(fd) int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_sys(err, "opening %s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return lock_refuse(fd, data_dir, err);
		return err_sys(err, "locking %s", path);
	}
	if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", (int)getpid()) < 0)
		return err_sys(err, "writing %s", path);
	*ret_fd = take_fd(&fd);
	return 0;
}
