/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_start - how long a full sandbox takes to start, against `crun run` on the same root.
 *
 *	sandbox_start [--json] [ROUNDS]
 *
 * In each round one sandbox of either kind is started, in turn; both run the same static program.
 * Measured from the request to the program's first byte, and to when all is over. As root.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "sandbox_kit.h"

#define BENCH_PROFILE                                                                              \
	"user mount pid net ipc uts cgroup namespaces, own uid, read-only root, tmpfs /tmp, "      \
	"cgroup memory+cpu+pids, no capabilities, no_new_privs, seccomp (crun: none)"

enum { BENCH_STARTED, BENCH_FIRST, BENCH_FULL, BENCH_CRUN_FIRST, BENCH_CRUN_FULL, BENCH_FIGURES };

static uint64_t *bench_us[BENCH_FIGURES]; /* of each round */

static const char bench_config[] =
	"{\"ociVersion\":\"1.0.0\",\"hostname\":\"bench\",\"root\":{\"path\":\"%s\",\"readonly\":"
	"true},"
	"\"process\":{\"user\":{\"uid\":1000,\"gid\":1000},\"args\":[\"/bin/probe\"],"
	"\"cwd\":\"/code\",\"noNewPrivileges\":true,\"capabilities\":{}},"
	"\"mounts\":["
	"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
	"{\"destination\":\"/"
	"tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"nodev\",\"size="
	"4m\"]},"
	"{\"destination\":\"/"
	"dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"size=64k\"]}],"
	"\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":400000,\"size\":65536}],"
	"\"gidMappings\":[{\"containerID\":0,\"hostID\":400000,\"size\":65536}],"
	"\"namespaces\":[{\"type\":\"user\"},{\"type\":\"mount\"},{\"type\":\"pid\"},"
	"{\"type\":\"network\"},{\"type\":\"ipc\"},{\"type\":\"uts\"},{\"type\":\"cgroup\"}],"
	"\"resources\":{\"memory\":{\"limit\":67108864},\"cpu\":{\"shares\":1024},"
	"\"pids\":{\"limit\":16}}}}";

static int
bench_compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static uint64_t
bench_median(uint64_t *values, unsigned n)
{
	qsort(values, n, sizeof(*values), bench_compare);
	return values[n / 2];
}

/* crun 1.8 refuses a hierarchy of version 2 beside those of version 1. */
static void
bench_hide_unified(void)
{
	must(unshare(CLONE_NEWNS) == 0);
	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	umount2("/sys/fs/cgroup/unified", MNT_DETACH);
}

static void
bench_run_crun(const struct kit *kit, unsigned round)
{
	OWN(mem) char *bundle = path_join(kit->folder, "bundle");
	OWN(mem) char *name = mem_printf("mayfly-bench-%d-%u", getpid(), round);
	uint64_t asked_us = clock_mono_us();
	int out[2], status;
	char byte;
	pid_t pid;

	must(pipe2(out, O_CLOEXEC) == 0);
	pid = vfork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		execlp("crun", "crun", "--cgroup-manager=cgroupfs", "run", "--bundle", bundle, name,
			(char *)NULL);
		_exit(127);
	}
	close(out[1]);
	if (read(out[0], &byte, 1) != 1) {
		fprintf(stderr, "crun gave nothing\n");
		exit(1);
	}
	bench_us[BENCH_CRUN_FIRST][round] = clock_mono_us() - asked_us;
	must(waitpid(pid, &status, 0) == pid && status == 0);
	bench_us[BENCH_CRUN_FULL][round] = clock_mono_us() - asked_us;
	close(out[0]);
}

static void
bench_run_mayfly(struct kit *kit, unsigned round)
{
	struct kit_run run;
	char byte;

	kit_start_probe(kit, &run, (const char *const[]){NULL});
	must(read(run.pipe, &byte, 1) == 1);
	bench_us[BENCH_FIRST][round] = clock_mono_us() - run.asked_us;
	kit_await_end(&run);
	must(run.exit.status == 0 && run.exit.failure.code == 0);
	bench_us[BENCH_FULL][round] = run.gone_us - run.asked_us;
	kit_run_done(&run);

	/* spares are made while nothing else is to do */
	usleep(5000);
	kit_start_probe(kit, &run, (const char *const[]){NULL});
	kit_await_start(&run);
	bench_us[BENCH_STARTED][round] = run.started_us - run.asked_us;
	kit_await_end(&run);
	kit_run_done(&run);
	usleep(5000);
}

static void
bench_make_bundle(const struct kit *kit)
{
	OWN(mem) char *path = mem_printf("%s/bundle/config.json", kit->folder);
	OWN(mem) char *bundle = path_join(kit->folder, "bundle");
	OWN(buf) struct buf text = BUF_INIT;
	struct err err = {0};

	buf_printf(&text, bench_config, kit->root.path);
	must(path_make(bundle, 0755, &err) == 0);
	must(path_write(path, buf_str(&text), 0644, &err) == 0);
}

/* Beside this program. */
static void
bench_set_paths(void)
{
	char program[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);
	OWN(mem) char *hello = NULL;
	OWN(mem) char *libexec = NULL;

	must(n > 0);
	*strrchr(program, '/') = '\0';
	hello = path_join(program, "sandbox_hello");
	libexec = path_join(program, "../src/sandbox");
	setenv("MAYFLY_PROBE", hello, 0);
	setenv("MAYFLY_LIBEXEC", libexec, 0);
}

static void
bench_print(bool is_json, unsigned rounds)
{
	static const char *const names[BENCH_FIGURES] = {
		"mayfly_started_us", "mayfly_us", "mayfly_full_us", "crun_us", "crun_full_us"};

	if (is_json)
		printf("{\"rounds\":%u", rounds);
	for (unsigned i = 0; i < BENCH_FIGURES; i++)
		printf(is_json ? ",\"%s\":%llu" : "%-18s %llu\n", names[i],
			(unsigned long long)bench_median(bench_us[i], rounds));
	if (is_json)
		printf(",\"profile\":\"" BENCH_PROFILE "\"}\n");
}

int
main(int argc, char **argv)
{
	bool is_json = argc > 1 && strcmp(argv[1], "--json") == 0;
	unsigned rounds = argc > 1 + is_json ? (unsigned)strtoul(argv[1 + is_json], NULL, 10) : 100;
	struct kit kit;

	if (rounds == 0)
		rounds = 1;
	for (unsigned i = 0; i < BENCH_FIGURES; i++)
		bench_us[i] = mem_new(rounds * sizeof(uint64_t));
	bench_set_paths();
	bench_hide_unified();
	kit_open(&kit, 16);
	chmod(kit.folder, 0755); /* for the users of crun */
	bench_make_bundle(&kit);
	for (unsigned i = 0; i < rounds; i++) {
		bench_run_mayfly(&kit, i);
		bench_run_crun(&kit, i);
	}
	bench_print(is_json, rounds);
	kit_close(&kit);
	return 0;
}
