/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/fd_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/procfile.h"

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
fd_list_open(struct subject *subject, struct keeper_reply *reply)
{
	return procfile_open(subject, reply, "fd");
}

int
fd_list_read(int folder, struct fd_list *ret, struct keeper_reply *reply)
{
	char names[4096];
	long n = 0;

	*ret = (struct fd_list){fd_list_numbers, 0};
	if (lseek(folder, 0, SEEK_SET) == 0)
		n = syscall(SYS_getdents64, folder, names, sizeof(names));
	for (; n > 0; n = syscall(SYS_getdents64, folder, names, sizeof(names))) {
		for (long at = 0; at < n;) {
			struct dirent64 *entry = (void *)(names + at);

			at += entry->d_reclen;
			if (fd_list_add(ret, entry->d_name, reply) < 0)
				return -1;
		}
	}
	if (n < 0)
		return verdict(
			reply, KEEPER_CAUSE_KERNEL, "listing descriptors: %s", strerror(errno));
	return 0;
}

int
fd_list_count(int folder, size_t *ret, struct keeper_reply *reply)
{
	struct fd_list list;
	struct stat stat;

	if (fstat(folder, &stat) == 0 && stat.st_size > 0) {
		*ret = (size_t)stat.st_size;
		return 0;
	}
	if (fd_list_read(folder, &list, reply) < 0)
		return -1;
	*ret = list.n;
	return 0;
}
