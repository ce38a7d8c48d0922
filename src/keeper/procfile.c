/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/procfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

int
procfile_open(struct subject *subject, struct keeper_reply *reply, const char *path, ...)
{
	char name[64];
	va_list args;
	int fd;

	va_start(args, path);
	vsnprintf(name, sizeof(name), path, args);
	va_end(args);
	fd = openat(subject->proc, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return verdict(reply, KEEPER_CAUSE_KERNEL, "opening /proc/<pid>/%s: %s", name,
			strerror(errno));
	return fd;
}

ssize_t
procfile_read(int fd, char *ret, size_t size)
{
	size_t got = 0;

	for (;;) {
		ssize_t n = pread(fd, ret + got, size - 1 - got, (off_t)got);

		if (n < 0)
			return -1;
		got += (size_t)n;
		/* The kernel gives as many whole records as fit into a page. */
		if (n == 0 || got < 2048)
			break;
		if (got == size - 1) {
			errno = ENOSPC;
			return -1;
		}
	}
	ret[got] = '\0';
	return (ssize_t)got;
}

bool
procfile_cut_line(struct str *rest, struct str *ret_key, struct str *ret_value)
{
	struct str line;

	if (rest->len == 0)
		return false;
	line = str_cut(rest, '\n');
	*ret_key = str_cut(&line, ':');
	*ret_value = str_trim(line);
	return true;
}

struct str
procfile_value(const char *text, const char *key)
{
	struct str rest = str_of(text), wanted = str_of(key), found, value;

	while (procfile_cut_line(&rest, &found, &value)) {
		if (str_eq(found, wanted))
			return value;
	}
	return STR_NONE;
}
