/* SPDX-License-Identifier: Apache-2.0 */
#include "exec_children.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS_MAX 1000

static bool
kill_children(void)
{
	char path[64];
	FILE *list;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	list = fopen(path, "re");
	if (!list)
		return false;
	while (fscanf(list, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(list);
	return true;
}

bool
exec_children_end(void)
{
	for (int round = 0; round < ROUNDS_MAX; round++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return true;
		if (pid > 0)
			continue;
		if (!kill_children())
			return false;
		waitpid(-1, NULL, 0);
	}
	return false;
}
