/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak - one function in C that does what programs do, one thing per call, and looks itself
 * whether it went right. The answer is the name of what was asked for.
 */
#include <mayfly.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int n_calls;

static int
soak_hello(void)
{
	return 0;
}

static int
soak_memory(void)
{
	char *block = malloc(20 << 20);
	int sum = 0;

	for (size_t i = 0; block && i < 20u << 20; i += 4096)
		block[i] = 1;
	for (size_t i = 0; block && i < 20u << 20; i += 4096)
		sum += block[i];
	free(block);
	return sum == 5120 ? 0 : -1;
}

static int
soak_memory_left(void)
{
	char *block =
		mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (block == MAP_FAILED)
		return -1;
	memset(block, 7, 1 << 20);
	return 0;
}

static int
soak_file_left(void)
{
	int fd = open("/tmp/left", O_CREAT | O_EXCL | O_RDWR, 0600);

	return fd < 0 ? -1 : write(fd, "left", 4) == 4 ? 0 : -1;
}

static int
soak_child(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(42);
	return pid < 0 || waitpid(pid, &status, 0) != pid || WEXITSTATUS(status) != 42 ? -1 : 0;
}

static int
soak_child_left(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		sleep(60);
		_exit(0);
	}
	return pid < 0 ? -1 : 0;
}

static int
soak_state(void)
{
	signal(SIGUSR1, SIG_IGN);
	umask(077);
	return chdir("/tmp");
}

static const struct {
	const char *name;
	int (*run)(void);
} soak_deeds[] = {
	{"hello", soak_hello},
	{"memory", soak_memory},
	{"memory_left", soak_memory_left},
	{"file_left", soak_file_left},
	{"child", soak_child},
	{"child_left", soak_child_left},
	{"state", soak_state},
};

static int
soak_find(const char *name)
{
	int n = sizeof(soak_deeds) / sizeof(*soak_deeds);

	for (int i = 0; i < n; i++) {
		if (strcmp(soak_deeds[i].name, name) == 0)
			return i;
	}
	return -1;
}

static void
soak_list(struct mf_answer *answer)
{
	mf_print(answer, "[");
	for (size_t i = 0; i < sizeof(soak_deeds) / sizeof(*soak_deeds); i++)
		mf_printf(answer, "%s\"%s\"", i ? "," : "", soak_deeds[i].name);
	mf_print(answer, "]");
}

static int
serve(struct mf_request *request, struct mf_answer *answer, void *arg)
{
	char name[32] = "";
	int deed;

	(void)arg;
	mf_json_text(mf_json_get(mf_event(request), "do"), name, sizeof(name));
	if (!name[0]) {
		soak_list(answer);
		return 0;
	}
	if (n_calls++ > 0 && strcmp(getenv("MAYFLY_ISOLATION"), "call") == 0)
		return mf_error(answer, "Left", "something of another call is here");
	deed = soak_find(name);
	if (deed < 0 || soak_deeds[deed].run() < 0)
		return mf_error(answer, "Wrong", "%s", name);
	mf_print_json(answer, name);
	return 0;
}

int
main(void)
{
	return mf_serve(serve, NULL);
}
