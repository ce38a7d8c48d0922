/* SPDX-License-Identifier: Apache-2.0 */
/* What aspect_probe.c leaves behind: one function each, by its name; some stand in other files. */
#include "aspect_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
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
#include <time.h>
#include <unistd.h>

/* ---- leaving processes ---- */

static int
start_child(void (*be)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		be();
		_exit(0);
	}
	return pid < 0 ? -1 : 0;
}

static void
be_waiting(void)
{
	for (;;)
		pause();
}

static void
be_stopped(void)
{
	raise(SIGSTOP);
}

static void
be_daemon(void)
{
	setsid();
	if (fork() == 0)
		be_waiting();
}

static void
be_deaf(void)
{
	for (int i = 1; i < 64; i++)
		signal(i, SIG_IGN);
	be_waiting();
}

static void
be_forking(void)
{
	for (;;)
		if (fork() > 0 && getpid() % 3 == 0)
			_exit(0);
}

static void
be_fleeing(void)
{
	for (;;)
		if (fork() > 0)
			_exit(0);
}

int
leave_child(void)
{
	return start_child(be_waiting);
}

static int
leave_daemon(void)
{
	return start_child(be_daemon);
}

static int
leave_stopped_child(void)
{
	return start_child(be_stopped);
}

static int
leave_deaf_child(void)
{
	return start_child(be_deaf);
}

static int
leave_fork_bomb(void)
{
	return start_child(be_forking);
}

static int
leave_fleeing_child(void)
{
	return start_child(be_fleeing);
}

static int
leave_zombies(void)
{
	for (int i = 0; i < 5; i++) {
		if (fork() == 0)
			_exit(i);
	}
	return usleep(20000);
}

/* ---- leaving descriptors ---- */

static int
leave_open_file(void)
{
	return open("/dev/null", O_RDWR) < 0 || dup2(1, 60) < 0 ? -1 : 0;
}

static int
leave_many_files(void)
{
	for (int i = 0; i < 20; i++)
		if (dup(0) < 0)
			return -1;
	return 0;
}

static int
leave_closed_file(void)
{
	return close(probe_file);
}

static int
leave_other_file(void)
{
	int fd = open("/dev/zero", O_RDONLY);

	return dup2(fd, probe_file) < 0 ? -1 : close(fd);
}

static int
leave_position(void)
{
	return lseek(probe_file, 77, SEEK_SET) == 77 ? 0 : -1;
}

static int
leave_close_on_exec(void)
{
	return fcntl(probe_file, F_SETFD, FD_CLOEXEC);
}

static int
leave_no_wait(void)
{
	return fcntl(CHANNEL, F_SETFL, O_NONBLOCK);
}

static int
leave_event_count(void)
{
	uint64_t more = 39;

	return write(probe_event, &more, sizeof(more)) == sizeof(more) ? 0 : -1;
}

static int
leave_event_taken(void)
{
	uint64_t count;

	return read(probe_event, &count, sizeof(count)) == sizeof(count) ? 0 : -1;
}

static int
leave_watch_more(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 99};

	return epoll_ctl(probe_epoll, EPOLL_CTL_ADD, eventfd(0, 0), &event);
}

static int
leave_watch_changed(void)
{
	struct epoll_event event = {.events = EPOLLOUT | EPOLLET, .data.u64 = 99};

	return epoll_ctl(probe_epoll, EPOLL_CTL_MOD, probe_event, &event);
}

static int
leave_watch_less(void)
{
	return epoll_ctl(probe_epoll, EPOLL_CTL_DEL, probe_event, NULL);
}

/* The registration stays with a file that has no number any more, but a message. */
static int
leave_watch_of_sent_file(void)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 98};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr head;
	} control = {{0}};
	struct iovec bytes = {"x", 1};
	struct msghdr message = {.msg_iov = &bytes,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	int fd = eventfd(0, 0);

	if (epoll_ctl(probe_epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -1;
	control.head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
	return sendmsg(probe_pair[0], &message, 0) < 0 ? -1 : close(fd);
}

static int
leave_timer_running(void)
{
	struct itimerspec timer = {{1, 0}, {100, 0}};

	return timerfd_settime(probe_timer, 0, &timer, NULL);
}

static int
leave_signal_mask(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	return signalfd(probe_signals, &set, 0) < 0 ? -1 : 0;
}

static int
leave_bytes_in_pipe(void)
{
	return write(probe_pipe[1], "secret", 6) == 6 ? 0 : -1;
}

static int
leave_bytes_in_socket(void)
{
	return write(probe_pair[0], "secret", 6) == 6 ? 0 : -1;
}

static int
leave_lock(void)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};

	return fcntl(probe_file, F_SETLK, &lock);
}

static int
leave_sockets(void)
{
	int pair[2], fd = socket(AF_INET, SOCK_STREAM, 0);

	return fd < 0 || listen(fd, 1) < 0 ? -1 : socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
}

/* ---- leaving options of the channel ---- */

static int
set_option(int option, const void *value, socklen_t size)
{
	return setsockopt(CHANNEL, SOL_SOCKET, option, value, size);
}

static int
leave_options(void)
{
	struct timeval wait = {5, 7};
	struct linger linger = {1, 3};
	int one = 1, six = 6, low = 4096;

	if (set_option(SO_RCVTIMEO, &wait, sizeof(wait)) < 0 ||
		set_option(SO_SNDTIMEO, &wait, sizeof(wait)) < 0 ||
		set_option(SO_LINGER, &linger, sizeof(linger)) < 0)
		return -1;
	if (set_option(SO_RCVBUF, &low, sizeof(low)) < 0 ||
		set_option(SO_SNDBUF, &low, sizeof(low)) < 0 ||
		set_option(SO_PRIORITY, &six, sizeof(six)) < 0 ||
		set_option(SO_RCVLOWAT, &six, sizeof(six)) < 0)
		return -1;
	set_option(SO_PEEK_OFF, &six, sizeof(six));
	set_option(SO_TIMESTAMPNS, &one, sizeof(one));
	set_option(SO_OOBINLINE, &one, sizeof(one));
	return set_option(SO_PASSCRED, &one, sizeof(one)) < 0 ||
			       set_option(SO_KEEPALIVE, &one, sizeof(one)) < 0
		       ? -1
		       : 0;
}

/* Whatever number can be set, set to something. */
static int
leave_all_options(void)
{
	int n = 0, value[4] = {3, 3, 3, 3};

	for (int i = 1; i < 120; i++)
		for (socklen_t size = 4; size <= 16; size += 4)
			n += set_option(i, value, size) == 0;
	return n > 20 ? 0 : -1;
}

static int
leave_socket_filter(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, 0xffffffff);
	struct sock_fprog program = {1, &all};

	return set_option(SO_ATTACH_FILTER, &program, sizeof(program));
}

static int
leave_name(void)
{
	struct sockaddr_un name = {AF_UNIX, "\0secret"};

	return bind(CHANNEL, (struct sockaddr *)&name, sizeof(name));
}

static int
leave_shut(void)
{
	return shutdown(probe_pair[0], SHUT_WR);
}

/* ---- leaving signals and timers ---- */

static volatile int on_signal_number;

static void
on_signal(int number)
{
	on_signal_number = number;
}

static int
leave_handlers(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	static char stack[65536];
	stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};

	sigaddset(&action.sa_mask, SIGTERM);
	sigaction(SIGCHLD, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGRTMAX, &action, NULL);
	signal(SIGTERM, SIG_IGN);
	return sigaltstack(&other, NULL);
}

static int
leave_pending(void)
{
	sigset_t all;
	union sigval value = {.sival_int = 7};

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	for (int i = 0; i < 20; i++)
		sigqueue(getpid(), SIGRTMIN + 3, value);
	return kill(getpid(), SIGTERM) < 0 ? -1 : (int)syscall(SYS_tkill, getpid(), SIGUSR1);
}

/* Without the memory for it a signal waits without saying more. */
static int
leave_pending_without_a_word(void)
{
	struct rlimit none = {0, 1024};
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	return setrlimit(RLIMIT_SIGPENDING, &none) < 0 ? -1
						       : (int)syscall(SYS_tkill, getpid(), SIGUSR2);
}

static int
leave_interval_timers(void)
{
	struct itimerval timer = {{0, 300}, {0, 300}};

	signal(SIGALRM, SIG_IGN);
	signal(SIGPROF, SIG_IGN);
	return setitimer(ITIMER_REAL, &timer, NULL) < 0 ? -1 : setitimer(ITIMER_PROF, &timer, NULL);
}

static int
leave_alarm(void)
{
	alarm(100);
	return 0;
}

static int
leave_posix_timers(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};
	struct itimerspec timer = {{0, 0}, {100, 0}};
	timer_t id;

	for (int i = 0; i < 3; i++)
		if (timer_create(CLOCK_MONOTONIC, &event, &id) < 0 ||
			timer_settime(id, 0, &timer, NULL) < 0)
			return -1;
	return 0;
}

/* ---- leaving limits and attributes ---- */

static int
leave_mask(void)
{
	umask(077);
	return 0;
}

static int
leave_folder(void)
{
	return mkdir("/tmp/here", 0700) < 0 || chdir("/tmp/here") < 0 ? -1 : rmdir("/tmp/here");
}

static int
leave_soft_limits(void)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit limit;

		getrlimit(i, &limit);
		if (i != RLIMIT_AS && i != RLIMIT_CPU && limit.rlim_cur > 100)
			limit.rlim_cur -= 1;
		setrlimit(i, &limit);
	}
	return 0;
}

static int
leave_hard_limit(void)
{
	struct rlimit limit = {20, 20};

	return setrlimit(RLIMIT_NOFILE, &limit);
}

static int
leave_nice(void)
{
	return setpriority(PRIO_PROCESS, 0, 15);
}

static int
leave_nice_of_init(void)
{
	return setpriority(PRIO_PROCESS, 1, 15);
}

static int
leave_schedule(void)
{
	struct sched_param none = {0};
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	if (sched_setscheduler(0, SCHED_BATCH, &none) < 0 ||
		sched_setscheduler(1, SCHED_BATCH, &none) < 0)
		return -1;
	if (syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 6) < 0 ||
		syscall(SYS_ioprio_set, 1, 1, 2 << 13 | 6) < 0)
		return -1;
	return sched_setaffinity(1, sizeof(cpus), &cpus) < 0
		       ? -1
		       : sched_setaffinity(0, sizeof(cpus), &cpus);
}

static int
leave_attributes(void)
{
	return prctl(PR_SET_NAME, "other") < 0 || prctl(PR_SET_PDEATHSIG, SIGUSR1) < 0 ||
			       prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0
		       ? -1
		       : 0;
}

static int
leave_reaper(void)
{
	return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? -1 : leave_daemon();
}

static int
leave_group(void)
{
	return setpgid(0, 0);
}

static int
leave_session(void)
{
	return setsid() < 0 ? -1 : 0;
}

static int
leave_locked(void)
{
	static char page[8192];

	return mlock(page, sizeof(page));
}

static int
leave_areas(void)
{
	static void *head[3];

	head[0] = head;
	syscall(SYS_set_tid_address, head);
	return (int)syscall(SYS_set_robust_list, head, sizeof(head));
}

static int
leave_filter(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &all};

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

static int
leave_watch_owner(void)
{
	return fcntl(CHANNEL, F_SETOWN, getpid());
}

static int
leave_pipe_size(void)
{
	return fcntl(probe_pipe[0], F_SETPIPE_SZ, 4096);
}

static int
leave_freed_pages(void)
{
	static char pages[16384];

	return madvise((void *)(((size_t)pages + 4095) & ~4095ul), 4096, MADV_FREE);
}

/* Says of its pages that they were not written, where the kernel lets it. */
static int
leave_written_bits(void)
{
	uint64_t what[12] = {sizeof(what)};

	return ioctl(open("/proc/self/pagemap", O_RDONLY), 0xc0606610, what);
}

static int
leave_registrations(void)
{
	return (int)syscall(SYS_membarrier, 16, 0, 0);
}

static int
leave_limits_of_init(void)
{
	struct rlimit limit = {7, 7};

	return prlimit(1, RLIMIT_NOFILE, &limit, NULL);
}

static int
leave_own_table(void)
{
	return close_range(900, 901, CLOSE_RANGE_UNSHARE);
}

/* ---- leaving files ---- */

int
leave_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	return fd < 0 || write(fd, "secret", 6) != 6 ? -1 : close(fd);
}

static int
leave_files(void)
{
	if (mkdir("/tmp/a", 0700) < 0 || mkdir("/tmp/a/b", 0700) < 0 ||
		leave_file("/tmp/a/b/c") < 0 || leave_file("/tmp/line\nend \xff\xfe") < 0 ||
		leave_file("/dev/shm/shared") < 0 || leave_file("/tmp/.hidden") < 0)
		return -1;
	if (mkfifo("/tmp/fifo", 0600) < 0 || symlink("/code", "/tmp/link") < 0 ||
		symlink("..", "/tmp/a/up") < 0 || link("/tmp/a/b/c", "/tmp/hard") < 0)
		return -1;
	return chmod("/tmp/a/b", 0) < 0 ? -1 : chmod("/tmp/a", 0);
}

static int
leave_crowd(void)
{
	for (int i = 0; i < 900; i++) {
		char path[32];

		snprintf(path, sizeof(path), "/tmp/%d", i);
		if (mknod(path, S_IFREG | 0600, 0) < 0)
			return -1;
	}
	return 0;
}

static int
leave_depth(int n)
{
	int fd = open("/tmp", O_RDONLY | O_DIRECTORY);

	for (int i = 0; i < n; i++) {
		int inner;

		if (mkdirat(fd, "d", 0700) < 0)
			return -1;
		inner = openat(fd, "d", O_RDONLY | O_DIRECTORY);
		close(fd);
		fd = inner;
	}
	return close(fd);
}

static int
leave_depth_400(void)
{
	return leave_depth(400);
}

static int
leave_depth_200(void)
{
	return leave_depth(200);
}

static int
leave_unnamed_file(void)
{
	int fd = open("/tmp", O_RDWR | O_TMPFILE, 0600);

	return fd < 0 || write(fd, "secret", 6) != 6 ? -1 : 0;
}

/* In a socket that has sent itself away. */
static int
leave_sent_file(void)
{
	int pair[2], fd = open("/tmp/sent", O_RDWR | O_CREAT, 0600);

	if (fd < 0 || ftruncate(fd, 100000) < 0 || write(fd, "secret", 6) != 6 ||
		socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		union {
			char bytes[CMSG_SPACE(2 * sizeof(int))];
			struct cmsghdr head;
		} control = {{0}};
		int fds[2] = {fd, pair[1]};
		struct iovec bytes = {"x", 1};
		struct msghdr message = {.msg_iov = &bytes,
			.msg_iovlen = 1,
			.msg_control = &control,
			.msg_controllen = sizeof(control)};

		control.head = (struct cmsghdr){CMSG_LEN(sizeof(fds)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.head), fds, sizeof(fds));
		if (sendmsg(pair[0], &message, 0) < 0)
			return -1;
	}
	return unlink("/tmp/sent") < 0 ? -1 : close(fd) | close(pair[0]) | close(pair[1]);
}

static int
leave_tmp_itself(void)
{
	struct timespec times[] = {{1, 0}, {1, 0}};

	setxattr("/tmp", "user.secret", "bit", 3, 0);
	return chmod("/tmp", 0700) < 0 ? -1 : utimensat(AT_FDCWD, "/tmp", times, 0);
}

static int
leave_old_file_changed(void)
{
	int fd = open("/tmp/old", O_RDWR);
	char *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	/* No time of the file tells of this. */
	if (at == MAP_FAILED)
		return -1;
	at[0] ^= 1;
	return munmap(at, 4096) | close(fd);
}

static int
leave_old_file_rewritten(void)
{
	int fd = open("/tmp/old", O_WRONLY | O_TRUNC);

	return fd < 0 || write(fd, "other and longer", 16) != 16 ? -1 : close(fd);
}

static int
leave_old_file_linked(void)
{
	return link("/tmp/old", "/tmp/other") < 0 ? -1 : leave_file("/tmp/other");
}

static int
leave_old_file_replaced(void)
{
	return leave_file("/tmp/next") < 0 ? -1 : rename("/tmp/next", "/tmp/old");
}

static int
leave_old_file_of_other_mode(void)
{
	return chmod("/tmp/old", 0644);
}

static int
leave_old_file_gone(void)
{
	return unlink("/tmp/old");
}

static int
leave_old_file_accompanied(void)
{
	return leave_file("/tmp/folder/new") < 0 ? -1 : leave_file("/tmp/new");
}

#define THING(name)                                                                                \
	{                                                                                          \
#name, leave_##name                                                                \
	}

const struct thing things[] = {
	THING(child),
	THING(daemon),
	THING(stopped_child),
	THING(deaf_child),
	THING(fork_bomb),
	THING(fleeing_child),
	THING(zombies),
	THING(open_file),
	THING(many_files),
	THING(closed_file),
	THING(other_file),
	THING(position),
	THING(close_on_exec),
	THING(no_wait),
	THING(event_count),
	THING(event_taken),
	THING(watch_more),
	THING(watch_changed),
	THING(watch_less),
	THING(watch_of_sent_file),
	THING(timer_running),
	THING(signal_mask),
	THING(bytes_in_pipe),
	THING(bytes_in_socket),
	THING(lock),
	THING(sockets),
	THING(options),
	THING(all_options),
	THING(socket_filter),
	THING(name),
	THING(shut),
	THING(handlers),
	THING(pending),
	THING(pending_without_a_word),
	THING(interval_timers),
	THING(alarm),
	THING(posix_timers),
	THING(mask),
	THING(folder),
	THING(soft_limits),
	THING(hard_limit),
	THING(nice),
	THING(nice_of_init),
	THING(schedule),
	THING(attributes),
	THING(reaper),
	THING(group),
	THING(session),
	THING(locked),
	THING(areas),
	THING(filter),
	THING(watch_owner),
	THING(pipe_size),
	THING(freed_pages),
	THING(written_bits),
	THING(registrations),
	THING(limits_of_init),
	THING(own_table),
	THING(files),
	THING(crowd),
	THING(depth_400),
	THING(depth_200),
	THING(unnamed_file),
	THING(sent_file),
	THING(tmp_itself),
	THING(old_file_changed),
	THING(old_file_rewritten),
	THING(old_file_linked),
	THING(old_file_replaced),
	THING(old_file_of_other_mode),
	THING(old_file_gone),
	THING(old_file_accompanied),
	THING(limits_of_kin),
	THING(rank_of_kin),
	THING(cpus_of_kin),
	THING(group_of_kin),
	THING(signal_for_kin),
	THING(dead_kin),
	THING(signal_for_thread),
	THING(backlog),
	THING(option_of_other_level),
	THING(peer),
	THING(shut_letters),
};

const size_t n_things = sizeof(things) / sizeof(*things);
