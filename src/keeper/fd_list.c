/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/fd_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"

static int fd_list_numbers[FD_LIST_MAX];

static int
fd_list_add(struct fd_list *list, const char *name, struct keeper_reply *reply)
{
	if (name[0] == '.')
		return 0;
	if (list->n == FD_LIST_MAX)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "too many descriptors");
	/* In the order of the table: they are sorted. */
	fd_list_numbers[list->n++] = atoi(name);
	return 0;
}

int
fd_list_read(struct subject *subject, struct fd_list *ret, struct keeper_reply *reply)
{
	OWN(fd) int folder = openat(subject->proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char names[4096];
	long n = 0;

	*ret = (struct fd_list){fd_list_numbers, 0};
	while (folder >= 0 && (n = syscall(SYS_getdents64, folder, names, sizeof(names))) > 0) {
		for (long at = 0; at < n;) {
			struct dirent64 *entry = (void *)(names + at);

			at += entry->d_reclen;
			if (fd_list_add(ret, entry->d_name, reply) < 0)
				return -1;
		}
	}
	if (folder < 0 || n < 0)
		return verdict(
			reply, KEEPER_CAUSE_KERNEL, "listing descriptors: %s", strerror(errno));
	return 0;
}

int
fd_list_count(struct subject *subject, size_t *ret, struct keeper_reply *reply)
{
	struct fd_list list;
	struct stat stat;

	if (fstatat(subject->proc, "fd", &stat, 0) == 0 && stat.st_size > 0) {
		*ret = (size_t)stat.st_size;
		return 0;
	}
	if (fd_list_read(subject, &list, reply) < 0)
		return -1;
	*ret = list.n;
	return 0;
}
