/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_probe - stands in for mayfly-keeper in tests/unit/test_keeper_host.c: says what it sees.
 *
 * For each message on descriptor 3 it sends one back: to "subject" the struct keeper_subject that
 * came on descriptor 4, to "exit" nothing, to the path of a folder what is in it, to another path
 * the file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper/keeper.h"

static char probe_answer[65536];

static size_t
probe_list(DIR *folder)
{
	struct dirent *entry;
	size_t n = 0;

	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			n += (size_t)snprintf(
				probe_answer + n, sizeof(probe_answer) - n, "%s ", entry->d_name);
	closedir(folder);
	return n;
}

static size_t
probe_read(const char *path)
{
	DIR *folder = opendir(path);
	int fd = folder ? -1 : open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, probe_answer, sizeof(probe_answer));

	if (folder)
		return probe_list(folder);
	if (n < 0)
		n = snprintf(probe_answer, sizeof(probe_answer), "%m");
	close(fd);
	return (size_t)n;
}

int
main(void)
{
	struct keeper_subject subject;
	char question[256];
	ssize_t n;

	while ((n = recv(KEEPER_FD_DAEMON, question, sizeof(question) - 1, 0)) > 0) {
		size_t size;

		question[n] = '\0';
		if (strcmp(question, "exit") == 0)
			return 7;
		if (strcmp(question, "subject") == 0) {
			recv(KEEPER_FD_SPAWNER, &subject, sizeof(subject), 0);
			send(KEEPER_FD_DAEMON, &subject, sizeof(subject), MSG_NOSIGNAL);
			continue;
		}
		size = probe_read(question);
		send(KEEPER_FD_DAEMON, probe_answer, size, MSG_NOSIGNAL);
	}
	return 0;
}
