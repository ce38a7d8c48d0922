/* SPDX-License-Identifier: Apache-2.0 */
/*
 * aspect_probe - the program that tests/unit/test_keeper_aspects.c keeps: it leaves behind what it
 * is told to, and tells what it finds.
 *
 * A datagram's worth of text on descriptor 3 is a command, its answer ends with a NUL: "tell" gives
 * all that it knows of itself, "leave <thing>" does it and gives "done" or "errno <n>".
 */
#include "aspect_probe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static char probe_text[262144];
static size_t probe_n;

int probe_event, probe_epoll, probe_timer, probe_signals, probe_file;
int probe_pipe[2], probe_pair[2], probe_letters[2], probe_listener;

/* ---- telling ---- */

__attribute__((format(printf, 1, 2))) static void
say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	probe_n +=
		(size_t)vsnprintf(probe_text + probe_n, sizeof(probe_text) - probe_n, format, args);
	va_end(args);
}

static void
say_file(const char *path)
{
	int fd = open(path, O_RDONLY);
	ssize_t n;

	say("%s:\n", path);
	while (fd >= 0 && (n = read(fd, probe_text + probe_n, 4096)) > 0)
		probe_n += (size_t)n;
	close(fd);
}

static void
say_descriptors(void)
{
	for (int i = 0; i < 1024; i++) {
		char path[64], link[256];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
		n = readlink(path, link, sizeof(link));
		if (n < 0)
			continue;
		say("fd %d %.*s\n", i, (int)n, link);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", i);
		say_file(path);
	}
}

static void
say_signals(void)
{
	stack_t stack;
	uint64_t pending = 0;

	for (int i = 1; i <= 64; i++) {
		uint64_t action[4] = {0};

		syscall(SYS_rt_sigaction, i, NULL, action, 8);
		say("sig %d %lx %lx %lx\n", i, action[0], action[1], action[3]);
	}
	sigaltstack(NULL, &stack);
	syscall(SYS_rt_sigpending, &pending, 8);
	say("stack %p %zu pending %lx\n", stack.ss_sp, stack.ss_size, pending);
}

static void
say_limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;

		getrlimit(i, &limit);
		say("limit %d %lu %lu\n", i, limit.rlim_cur, limit.rlim_max);
	}
}

static void
say_schedule(pid_t pid)
{
	unsigned char schedule[64] = {0}, cpus[128] = {0};

	syscall(SYS_sched_getattr, pid, schedule, sizeof(schedule), 0);
	syscall(SYS_sched_getaffinity, pid, sizeof(cpus), cpus);
	say("priority of %d: %d %ld ", pid, getpriority(PRIO_PROCESS, (id_t)pid),
		syscall(SYS_ioprio_get, 1, pid));
	for (size_t i = 0; i < sizeof(schedule); i++)
		say("%02x", schedule[i]);
	say(" %02x\n", cpus[0]);
}

static void
say_attributes(void)
{
	int on_death = 0, is_reaper = 0;
	char name[16] = "", folder[4096];
	void *head = NULL;
	size_t size;
	mode_t mask = umask(0);

	umask(mask);
	prctl(PR_GET_PDEATHSIG, &on_death);
	prctl(PR_GET_CHILD_SUBREAPER, &is_reaper);
	prctl(PR_GET_NAME, name);
	syscall(SYS_get_robust_list, 0, &head, &size);
	say("umask %o cwd %s death %d reaper %d name %s dumpable %d group %d session %d robust "
	    "%p\n",
		mask, getcwd(folder, sizeof(folder)), on_death, is_reaper, name,
		prctl(PR_GET_DUMPABLE), getpgid(0), getsid(0), head);
}

static void
say_timers(void)
{
	for (int i = 0; i < 3; i++) {
		struct itimerval timer;

		getitimer(i, &timer);
		say("timer %d %d %d\n", i, timer.it_value.tv_sec || timer.it_value.tv_usec,
			timer.it_interval.tv_sec || timer.it_interval.tv_usec);
	}
	say_file("/proc/self/timers");
}

static void
say_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	struct stat stat_of;
	char names[256];

	stat(path, &stat_of);
	say("%s mode %o mtime %ld.%09ld xattrs %zd\n", path, stat_of.st_mode,
		stat_of.st_mtim.tv_sec, stat_of.st_mtim.tv_nsec,
		listxattr(path, names, sizeof(names)));
	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			say("in %s: %s\n", path, entry->d_name);
	closedir(folder);
}

static void
say_socket(int fd)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);
	struct pollfd watched = {fd, POLLIN | POLLRDHUP, 0};

	for (int i = 1; i < 80; i++) {
		unsigned char value[16] = {0};

		size = sizeof(value);
		/* Its last error, who is at the other end, and one that opens a descriptor. */
		if (i == SO_ERROR || i == 77 || getsockopt(fd, SOL_SOCKET, i, value, &size) < 0)
			continue;
		say("option %d of %d:", i, fd);
		for (size_t k = 0; k < sizeof(value); k++)
			say(" %02x", value[k]);
		say("\n");
	}
	size = sizeof(name);
	getsockname(fd, (struct sockaddr *)&name, &size);
	poll(&watched, 1, 0);
	say("name of %d: %u waits %d\n", fd, size, watched.revents);
}

static void
say_level(int fd, int level)
{
	for (int i = 1; i < 80; i++) {
		unsigned char value[16] = {0};
		socklen_t size = sizeof(value);

		if (getsockopt(fd, level, i, value, &size) < 0)
			continue;
		say("option %d of level %d:", i, level);
		for (size_t k = 0; k < sizeof(value); k++)
			say(" %02x", value[k]);
		say("\n");
	}
}

static void
say_listener(void)
{
	struct tcp_info info = {0};
	socklen_t size = sizeof(info);

	getsockopt(probe_listener, IPPROTO_TCP, TCP_INFO, &info, &size);
	say("backlog %u\n", info.tcpi_sacked);
	say_level(probe_listener, IPPROTO_IP);
	say_level(probe_listener, IPPROTO_IPV6);
}

static void
say_letters(void)
{
	struct sockaddr_un name;
	socklen_t size = sizeof(name);

	say("peer %d", getpeername(probe_letters[0], (struct sockaddr *)&name, &size));
	say(" send %zd", send(probe_letters[0], "x", 1, MSG_NOSIGNAL));
	say(" receive %zd\n", recv(probe_letters[1], &name, 1, MSG_DONTWAIT));
}

static void
say_signals_of(pid_t pid, pid_t tid)
{
	char path[64], text[4096], *line;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	fd = open(path, O_RDONLY);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	line = strstr(text, "SigPnd:");
	if (line)
		say("%.60s\n", line);
	line = strstr(text, "State:");
	if (line)
		say("%.8s\n", line);
}

static void
say_threads(void)
{
	DIR *folder = opendir("/proc/self/task");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			say_signals_of(getpid(), atoi(entry->d_name));
	closedir(folder);
}

/* Whoever else is there. */
static void
say_kin(void)
{
	pid_t kin = kin_find();

	if (kin == 0)
		return;
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;

		prlimit(kin, i, NULL, &limit);
		say("limit %d of another %lu %lu\n", i, limit.rlim_cur, limit.rlim_max);
	}
	say_schedule(kin);
	say("group of another %d session %d\n", getpgid(kin), getsid(kin));
	say_signals_of(kin, kin);
}

/* Their numbers count on. */
static void
say_processes(void)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	int n = 0;

	while (folder && (entry = readdir(folder)))
		n += entry->d_name[0] >= '1' && entry->d_name[0] <= '9';
	closedir(folder);
	say("processes %d children %d\n", n, (int)waitpid(-1, NULL, WNOHANG | __WALL));
}

static void
tell(void)
{
	say_descriptors();
	say_signals();
	say_limits();
	say_schedule(0);
	say_schedule(1);
	say_attributes();
	say_timers();
	say_folder("/tmp");
	say_file("/tmp/old");
	say_file("/tmp/folder/older");
	say_socket(CHANNEL);
	say_socket(probe_pair[0]);
	say_letters();
	say_listener();
	say_threads();
	say_processes();
	say_kin();
}

static void
leave(const char *name)
{
	for (size_t i = 0; i < n_things; i++) {
		if (strcmp(things[i].name, name) != 0)
			continue;
		if (things[i].leave() < 0)
			say("errno %d", errno);
		else
			say("done");
		return;
	}
	say("no such thing");
}

static void
watch(int fd, uint64_t data)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};

	epoll_ctl(probe_epoll, EPOLL_CTL_ADD, fd, &event);
}

static void
open_sockets(void)
{
	struct sockaddr_in6 here = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	probe_listener = socket(AF_INET6, SOCK_STREAM, 0);
	if (bind(probe_listener, (struct sockaddr *)&here, sizeof(here)) < 0 ||
		listen(probe_listener, 5) < 0 ||
		socketpair(AF_UNIX, SOCK_STREAM, 0, probe_pair) < 0 ||
		socketpair(AF_UNIX, SOCK_DGRAM, 0, probe_letters) < 0)
		_exit(1);
}

static void
open_things(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	probe_event = eventfd(3, 0);
	probe_epoll = epoll_create1(EPOLL_CLOEXEC);
	probe_timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
	probe_signals = signalfd(-1, &set, SFD_NONBLOCK);
	probe_file = open("/bin/probe", O_RDONLY);
	if (pipe(probe_pipe) < 0)
		_exit(1);
	open_sockets();
	lseek(probe_file, 4, SEEK_SET);
	watch(probe_event, 1);
	watch(probe_pipe[0], 2);
}

/* "memfd": what can only be read by this number, and be written by another. */
static void
hold_unnamed_file(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (open(path, O_RDONLY) < 0)
		_exit(3);
	close(fd);
}

/* "files": with something in /tmp that was there at the snapshot. */
static void
make_old_files(void)
{
	leave_file("/tmp/old");
	mkdir("/tmp/folder", 0755);
	leave_file("/tmp/folder/older");
}

static void
answer(void)
{
	for (size_t sent = 0; sent <= probe_n;) {
		ssize_t n = send(CHANNEL, probe_text + sent, probe_n + 1 - sent, MSG_NOSIGNAL);

		if (n < 0)
			_exit(2);
		sent += (size_t)n;
	}
}

/* Also where somebody has said that it is not to wait. */
static ssize_t
hear(char *ret, size_t size)
{
	struct pollfd watched = {CHANNEL, POLLIN, 0};
	ssize_t n;

	while ((n = recv(CHANNEL, ret, size, 0)) < 0 && errno == EAGAIN)
		poll(&watched, 1, -1);
	return n;
}

int
main(int argc, char **argv)
{
	char command[128];
	ssize_t n;

	open_things();
	if (argc > 1 && strcmp(argv[1], "files") == 0)
		make_old_files();
	if (argc > 1 && strcmp(argv[1], "child") == 0)
		leave_child();
	if (argc > 1 && strcmp(argv[1], "thread") == 0)
		kin_start_thread();
	if (argc > 1 && strcmp(argv[1], "memfd") == 0)
		hold_unnamed_file(memfd_create("secret", 0));
	if (argc > 1 && strcmp(argv[1], "unnamed") == 0)
		hold_unnamed_file(open("/tmp", O_RDWR | O_TMPFILE, 0600));
	while ((n = hear(command, sizeof(command) - 1)) > 0) {
		command[n] = '\0';
		probe_n = 0;
		probe_text[0] = '\0';
		if (strcmp(command, "tell") == 0)
			tell();
		else if (strncmp(command, "leave ", 6) == 0)
			leave(command + 6);
		answer();
	}
	return 0;
}
