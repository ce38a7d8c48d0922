/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/own.h"
#include "base/path.h"
#include "runtime/frame.h"

#define KIT_PATIENCE_MS 60000

const char kit_tree[] = "1111111111111111111111111111111111111111111111111111111111111111";
const char kit_tree_with_modules[] =
	"2222222222222222222222222222222222222222222222222222222222222222";
const char kit_deps[] = "3333333333333333333333333333333333333333333333333333333333333333";

const struct sandbox_limits kit_limits = {
	.memory_bytes = 64 << 20,
	.cpu_weight = 100,
	.processes = 16,
	.open_files = 64,
	.tmp_bytes = 4 << 20,
	.file_bytes = 1 << 30,
};

static void
kit_fail(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	abort();
}

static void
kit_folder(const char *root, const char *name)
{
	OWN(mem) char *path = path_join(root, name);
	struct err err = {0};

	if (path_make(path, 0755, &err) < 0)
		kit_fail("a folder of the test", &err);
}

static void
kit_copy(const char *from, const char *root, const char *name)
{
	OWN(mem) char *path = path_join(root, name);
	OWN(buf) struct buf bytes = BUF_INIT;
	struct err err = {0};

	if (path_read(from, 64 << 20, &bytes, &err) < 0 ||
		path_write(path, buf_str(&bytes), 0755, &err) < 0)
		kit_fail("a file of the test", &err);
}

static void
kit_make_root(struct kit *kit)
{
	static const char *const folders[] = {
		"bin", "code", "deps", "tmp", "proc", "dev", "source", "build", "out", "runtime"};
	const char *probe = getenv("MAYFLY_PROBE");

	must(probe);
	snprintf(kit->root.name, sizeof(kit->root.name), "probe");
	snprintf(kit->root.path, sizeof(kit->root.path), "%s/roots/probe", kit->folder);
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		kit_folder(kit->root.path, folders[i]);
	kit_copy(probe, kit->root.path, "bin/probe");
	kit_copy(probe, kit->root.path, "runtime/mayfly-unpack");
	if (kit_has_template()) {
		OWN(mem) char *path = path_join(kit->root.path, "runtime/template");

		must(path_write(path, str_of("/bin/probe\ntemplate\n"), 0644, NULL) == 0);
	}
}

static void
kit_make_trees(struct kit *kit)
{
	OWN(mem) char *trees = path_join(kit->folder, "trees");
	OWN(mem) char *plain = path_join(trees, kit_tree);
	OWN(mem) char *modules = path_join(trees, kit_tree_with_modules);
	OWN(mem) char *deps = path_join(trees, kit_deps);

	kit_folder(plain, "");
	kit_copy("/etc/hostname", plain, "code.txt");
	kit_folder(modules, "node_modules");
	kit_folder(deps, "");
	kit_copy("/etc/hostname", deps, "deps.txt");
}

/* A number behind a key in /proc/<pid>/status, -1 if there is none. */
static long
kit_status_of(const char *pid, const char *key)
{
	OWN(buf) struct buf text = BUF_INIT;
	char path[300];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%s/status", pid);
	if (path_read(path, 65536, &text, NULL) < 0 || !(at = strstr(text.at, key)))
		return -1;
	return strtol(at + strlen(key), NULL, 10);
}

/* The child that was started for this folder. */
static pid_t
kit_find_child(const char *folder)
{
	OWN(dir) DIR *processes = opendir("/proc");
	struct dirent *entry;

	while ((entry = readdir(processes))) {
		OWN(buf) struct buf text = BUF_INIT;
		char path[300];

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
			kit_status_of(entry->d_name, "PPid:") != getpid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		path_read(path, 4096, &text, NULL);
		if (text.len && memmem(text.at, text.len, folder, strlen(folder)))
			return (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return -1;
}

pid_t
kit_find_template(const struct kit *kit)
{
	OWN(dir) DIR *processes = opendir("/proc");
	struct dirent *entry;

	while ((entry = readdir(processes))) {
		OWN(buf) struct buf text = BUF_INIT;
		char path[300];

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' ||
			kit_status_of(entry->d_name, "PPid:") != kit->spawner_pid ||
			kit_status_of(entry->d_name, "Uid:") != (long)geteuid())
			continue;
		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		path_read(path, 4096, &text, NULL);
		if (text.len && memmem(text.at, text.len, "template", 8))
			return (pid_t)strtol(entry->d_name, NULL, 10);
	}
	return 0;
}

/* It is ready when something is forked from it. */
static void
kit_await_template(struct kit *kit)
{
	struct kit_run run = {0};

	for (int i = 0; i < 1000 && !run.is_forked; i++) {
		kit_run_probe(kit, &run, (const char *const[]){"exit", NULL});
		kit_run_done(&run);
	}
	must(run.is_forked);
}

static char kit_group_mark[32];
static int kit_n_groups;

static int
kit_on_folder(const char *path, const struct stat *st, int type, struct FTW *at)
{
	kit_n_groups += type == FTW_D && strstr(path, kit_group_mark);
	return 0;
}

static int
kit_count_lines(const char *path)
{
	OWN(buf) struct buf text = BUF_INIT;
	int n = 0;

	path_read(path, 1 << 20, &text, NULL);
	for (size_t i = 0; i < text.len; i++)
		n += text.at[i] == '\n';
	return n;
}

static int
kit_count_entries(const char *path)
{
	OWN(dir) DIR *folder = opendir(path);
	struct dirent *entry;
	int n = 0;

	while (folder && (entry = readdir(folder)))
		n += entry->d_name[0] != '.';
	return n;
}

struct kit_census
kit_count(const struct kit *kit)
{
	OWN(dir) DIR *folder = opendir("/proc");
	struct kit_census census = {0};
	struct dirent *entry;
	char path[64];

	while ((entry = readdir(folder))) {
		long uid = entry->d_name[0] >= '1' && entry->d_name[0] <= '9'
				   ? kit_status_of(entry->d_name, "Uid:")
				   : -1;

		census.processes +=
			uid >= kit->uid_base && uid < (long)kit->uid_base + KIT_SANDBOXES_MAX;
	}
	snprintf(kit_group_mark, sizeof(kit_group_mark), "/%d-", kit->spawner_pid);
	kit_n_groups = 0;
	nftw("/sys/fs/cgroup", kit_on_folder, 16, FTW_PHYS);
	census.groups = kit_n_groups;
	snprintf(path, sizeof(path), "/proc/%d/fd", kit->spawner_pid);
	census.fds = kit_count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", kit->spawner_pid);
	census.mounts = kit_count_lines(path);
	return census;
}

static void
kit_on_lost(void *arg)
{
	((struct kit *)arg)->is_lost = true;
}

static bool kit_wants_template;

void
kit_use_template(void)
{
	kit_wants_template = true;
}

bool
kit_has_template(void)
{
	return kit_wants_template || getenv("MAYFLY_KIT_TEMPLATE");
}

static char kit_programs[] = "/tmp/mayfly-programs-XXXXXX";

static void
kit_remove_programs(void)
{
	path_remove(kit_programs, NULL);
}

void
kit_use_keeper(const char *program)
{
	static const char *const names[] = {"mayfly-spawner", "mayfly-init"};
	const char *built = getenv("MAYFLY_LIBEXEC");

	must(built && mkdtemp(kit_programs));
	atexit(kit_remove_programs);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		OWN(mem) char *target = path_join(built, names[i]);
		OWN(mem) char *link = path_join(kit_programs, names[i]);

		must(symlink(target, link) == 0);
	}
	OWN(mem) char *keeper = path_join(kit_programs, "mayfly-keeper");

	must(symlink(program, keeper) == 0);
	setenv("MAYFLY_LIBEXEC", kit_programs, 1);
}

void
kit_open(struct kit *kit, unsigned n_sandboxes)
{
	static unsigned n_kits;
	struct spawner_config config = {.n_roots = 1,
		.roots = &kit->root,
		.cgroup_parent = "mayfly-test",
		.n_sandboxes = n_sandboxes};
	struct err err = {0};

	must(n_sandboxes <= KIT_SANDBOXES_MAX);
	setenv("MAYFLY_SPARES", "8", 1);
	memset(kit, 0, sizeof(*kit));
	kit->uid_base = 300000 + (uint32_t)getpid() % 5000 * 4 * KIT_SANDBOXES_MAX;
	kit->uid_base += n_kits++ % 4 * KIT_SANDBOXES_MAX;
	config.uid_base = kit->uid_base;
	kit->folder = mem_printf("/tmp/mayfly-sandbox-XXXXXX");
	must(mkdtemp(kit->folder));
	config.data_dir = kit->folder;
	kit_make_root(kit);
	if (spawner_start(&config, &kit->spawner, &err) < 0)
		kit_fail("spawner_start", &err);
	thread_on_loop();
	spawner_on_lost(kit->spawner, kit_on_lost, kit);
	kit->spawner_pid = kit_find_child(kit->folder);
	kit_make_trees(kit);
	if (kit_has_template())
		kit_await_template(kit);
}

void
kit_close(struct kit *kit)
{
	spawner_free(kit->spawner);
	path_remove(kit->folder, NULL);
	free(kit->folder);
}

void
kit_turn(struct kit *kit, int ms)
{
	struct pollfd watched = {spawner_fd(kit->spawner), POLLIN, 0};

	thread_on_loop();
	if (poll(&watched, 1, ms) > 0)
		spawner_on_readable(kit->spawner);
}

static void
kit_on_started(struct sandbox *sandbox, const struct sandbox_started *started, void *arg)
{
	struct kit_run *run = arg;

	run->is_started = true;
	run->listener = started->listener;
	run->keeper = started->keeper;
	run->is_forked = started->is_forked;
	run->started_us = clock_mono_us();
}

static void
kit_on_gone(struct sandbox *sandbox, const struct sandbox_exit *exit, void *arg)
{
	struct kit_run *run = arg;

	run->is_gone = true;
	run->exit = *exit;
	run->gone_us = clock_mono_us();
}

static void
kit_send_init(int channel, const char *const *arguments)
{
	OWN(buf) struct buf text = BUF_INIT;
	struct frame_head head = {.kind = FRAME_INIT};

	buf_add(&text, "MAYFLY_COMMAND_0=/bin/probe", sizeof("MAYFLY_COMMAND_0=/bin/probe"));
	for (size_t i = 0; arguments[i]; i++) {
		buf_printf(&text, "MAYFLY_COMMAND_%zu=%s", i + 1, arguments[i]);
		buf_add_char(&text, '\0');
	}
	buf_add(&text, "GREETING=hello", sizeof("GREETING=hello"));
	head.size = (uint32_t)text.len;
	must(write(channel, &head, sizeof(head)) == sizeof(head));
	must(write(channel, text.at, text.len) == (ssize_t)text.len);
}

void
kit_start(struct kit *kit, struct kit_run *run, const struct sandbox_request *request,
	const char *const *arguments)
{
	struct sandbox_request asked = *request;
	struct err err = {0};
	int pair[2], out[2];

	thread_on_loop();
	memset(run, 0, sizeof(*run));
	run->kit = kit;
	run->listener = run->keeper = -1;
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	must(pipe2(out, O_CLOEXEC) == 0);
	run->channel = pair[0];
	run->pipe = out[0];
	asked.root = &kit->root;
	asked.channel = pair[1];
	asked.stdout_fd = asked.stderr_fd = out[1];
	asked.wants_template = kit_has_template() && asked.kind == SANDBOX_INSTANCE;
	asked.on_started = kit_on_started;
	asked.on_gone = kit_on_gone;
	asked.arg = run;
	if (arguments)
		kit_send_init(run->channel, arguments);
	run->asked_us = clock_mono_us();
	if (spawner_ask(kit->spawner, &asked, &run->sandbox, &err) < 0)
		kit_fail("spawner_ask", &err);
	close(pair[1]);
	close(out[1]);
}

void
kit_start_probe(struct kit *kit, struct kit_run *run, const char *const *arguments)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1};

	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(kit, run, &request, arguments);
}

static void
kit_await(struct kit_run *run, const bool *condition)
{
	for (int ms = 0; !*condition && !run->is_gone && ms < KIT_PATIENCE_MS; ms += 20)
		kit_turn(run->kit, 20);
}

void
kit_await_start(struct kit_run *run)
{
	kit_await(run, &run->is_started);
}

/* Everything that it printed is in the pipe: nobody is left to print more. */
void
kit_await_end(struct kit_run *run)
{
	ssize_t n;

	kit_await(run, &run->is_gone);
	fcntl(run->pipe, F_SETFL, O_NONBLOCK);
	while ((n = read(run->pipe, buf_room(&run->out, 65536), 65536)) > 0)
		buf_grew(&run->out, (size_t)n);
	buf_add(&run->out, "", 0);
}

void
kit_stop(struct kit_run *run)
{
	thread_on_loop();
	spawner_stop(run->kit->spawner, run->sandbox);
}

void
kit_run_probe(struct kit *kit, struct kit_run *run, const char *const *arguments)
{
	kit_start_probe(kit, run, arguments);
	kit_await_end(run);
}

void
kit_run_done(struct kit_run *run)
{
	own_fd(&run->channel);
	own_fd(&run->pipe);
	own_fd(&run->listener);
	own_fd(&run->keeper);
	buf_done(&run->out);
}
