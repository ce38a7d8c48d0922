/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program that tests run inside a sandbox: it looks around, or misbehaves in one named way.
 * Prints "key=value" lines. Static, so that it runs in a root with nothing else in it; as
 * mayfly-unpack it copies descriptor 3 into the new tree.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void
say_file(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	printf("[%s]\n%.*s\n", path, n < 0 ? 0 : (int)n, text);
	close(fd);
}

static void
say_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	printf("ls %s=", path);
	while (folder && (entry = readdir(folder))) {
		if (entry->d_name[0] != '.')
			printf("%s ", entry->d_name);
	}
	printf("\n");
	if (folder)
		closedir(folder);
}

static void
say_links(const char *folder, const char *const *names)
{
	char path[64], target[128];

	for (; *names; names++) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", folder, *names);
		n = readlink(path, target, sizeof(target));
		printf("%s=%.*s\n", *names, n < 0 ? 0 : (int)n, target);
	}
}

static void
say_limit(const char *name, int resource)
{
	struct rlimit limit;

	getrlimit(resource, &limit);
	printf("%s=%llu\n", name, (unsigned long long)limit.rlim_max);
}

static int
look_around(void)
{
	static const char *const spaces[] = {
		"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", NULL};
	struct utsname name;
	char cwd[256];
	mode_t mask = umask(0);

	uname(&name);
	printf("uid=%d\neuid=%d\ngid=%d\ngroups=%d\nhost=%s\numask=%03o\nself=%d\nsid=%d\n",
		getuid(), geteuid(), getgid(), getgroups(0, NULL), name.nodename, mask, getpid(),
		getsid(0));
	printf("cwd=%s\n", getcwd(cwd, sizeof(cwd)));
	say_links("/proc/self/ns", spaces);
	say_file("/proc/self/status");
	say_file("/proc/self/mountinfo");
	say_file("/proc/self/oom_score_adj");
	say_file("/proc/self/cgroup");
	say_file("/proc/self/net/route");
	say_folder("/");
	say_folder("/dev");
	say_folder("/proc");
	say_folder("/proc/self/fd");
	say_folder("/code");
	say_folder("/code/node_modules");
	say_folder("/deps");
	say_folder("/source");
	say_limit("nofile", RLIMIT_NOFILE);
	say_limit("fsize", RLIMIT_FSIZE);
	say_limit("core", RLIMIT_CORE);
	say_limit("memlock", RLIMIT_MEMLOCK);
	for (char **variable = environ; *variable; variable++)
		printf("env %s\n", *variable);
	return 0;
}

/* "what=errno" or "what=done". */
static void
say_try(const char *what, long result)
{
	printf("%s=%s\n", what, result >= 0 ? "done" : strerrorname_np(errno));
}

static int
try_to_escape(void)
{
	struct sockaddr_in outside = {
		.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(0x08080808)};
	struct sockaddr_in local = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int datagrams = socket(AF_INET, SOCK_DGRAM, 0);
	char byte;

	say_try("setuid_0", setuid(0));
	say_try("setgid_0", setgid(0));
	say_try("setgroups", syscall(SYS_setgroups, 1, (gid_t[]){0}));
	say_try("write_root", open("/new", O_WRONLY | O_CREAT, 0600));
	say_try("write_code", open("/code/new", O_WRONLY | O_CREAT, 0600));
	say_try("write_dev", open("/dev/new", O_WRONLY | O_CREAT, 0600));
	say_try("write_null", open("/dev/null", O_WRONLY));
	say_try("write_tmp", open("/tmp/new", O_WRONLY | O_CREAT | O_EXCL, 0600));
	say_try("make_node", mknod("/tmp/node", S_IFCHR | 0600, 0x0101));
	say_try("shadow", open("/etc/shadow", O_RDONLY));
	say_try("sys", open("/sys", O_RDONLY));
	say_try("proc_sys", open("/proc/sys/kernel/hostname", O_RDONLY));
	say_try("kcore", open("/proc/kcore", O_RDONLY));
	say_try("proc_keys", open("/proc/keys", O_RDONLY));
	say_try("init_root", open("/proc/1/root/etc/shadow", O_RDONLY));
	say_try("init_mem", open("/proc/1/mem", O_RDWR));
	say_try("init_exe", readlink("/proc/1/exe", &byte, 1));
	say_try("init_fd", open("/proc/1/fd/5", O_RDWR));
	say_try("kill_init", kill(1, SIGKILL));
	say_try("oom_score", open("/proc/self/oom_score_adj", O_WRONLY));
	say_try("raise_nofile", setrlimit(RLIMIT_NOFILE, &(struct rlimit){1 << 20, 1 << 20}));
	say_try("udp_outside", connect(datagrams, (struct sockaddr *)&outside, sizeof(outside)));
	say_try("tcp_outside", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&outside,
				       sizeof(outside)));
	say_try("bind_local",
		bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&local, sizeof(local)));
	printf("interfaces=");
	for (unsigned i = 1; i < 64; i++) {
		struct ifreq request = {.ifr_ifindex = (int)i};

		if (ioctl(datagrams, SIOCGIFNAME, &request) == 0)
			printf("%s ", request.ifr_name);
	}
	printf("\n");
	return 0;
}

static int
try_calls(void)
{
	static const struct {
		const char *name;
		long number, first, second;
	} calls[] = {
		{"ptrace", SYS_ptrace, 0, 0},
		{"process_vm_readv", SYS_process_vm_readv, 1, 0},
		{"process_vm_writev", SYS_process_vm_writev, 1, 0},
		{"mount", SYS_mount, 0, 0},
		{"umount2", SYS_umount2, 0, 0},
		{"pivot_root", SYS_pivot_root, 0, 0},
		{"chroot", SYS_chroot, 0, 0},
		{"fsopen", SYS_fsopen, 0, 0},
		{"open_tree", SYS_open_tree, 0, 0},
		{"move_mount", SYS_move_mount, 0, 0},
		{"mount_setattr", SYS_mount_setattr, 0, 0},
		{"unshare", SYS_unshare, CLONE_NEWUSER, 0},
		{"setns", SYS_setns, 0, 0},
		{"clone_newuser", SYS_clone, CLONE_NEWUSER | SIGCHLD, 0},
		{"clone3", SYS_clone3, 0, 0},
		{"keyctl", SYS_keyctl, 0, 0},
		{"add_key", SYS_add_key, 0, 0},
		{"bpf", SYS_bpf, 0, 0},
		{"perf_event_open", SYS_perf_event_open, 0, 0},
		{"userfaultfd", SYS_userfaultfd, 1, 0},
		{"io_uring_setup", SYS_io_uring_setup, 1, 0},
		{"kexec_load", SYS_kexec_load, 0, 0},
		{"init_module", SYS_init_module, 0, 0},
		{"finit_module", SYS_finit_module, 0, 0},
		{"open_by_handle_at", SYS_open_by_handle_at, 0, 0},
		{"shmget", SYS_shmget, 0, 4096},
		{"mq_open", SYS_mq_open, 0, 0},
		{"personality", SYS_personality, 0x0400000, 0},
		{"personality_query", SYS_personality, 0xffffffff, 0},
		{"socket_netlink", SYS_socket, AF_NETLINK, SOCK_RAW},
		{"socket_packet", SYS_socket, AF_PACKET, SOCK_RAW},
		{"socket_alg", SYS_socket, 38, SOCK_SEQPACKET},
		{"socket_vsock", SYS_socket, 40, SOCK_STREAM},
		{"socket_raw", SYS_socket, AF_INET, SOCK_RAW},
		{"socket_unix", SYS_socket, AF_UNIX, SOCK_STREAM},
		{"tiocsti", SYS_ioctl, 0, TIOCSTI},
		{"tiocsti_high", SYS_ioctl, 0, TIOCSTI | 1l << 40},
		{"sethostname", SYS_sethostname, 0, 0},
		{"reboot", SYS_reboot, 0, 0},
		{"syslog", SYS_syslog, 0, 0},
		{"unknown_call", 999, 0, 0},
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		say_try(calls[i].name,
			syscall(calls[i].number, calls[i].first, calls[i].second, 0, 0, 0));
	return 0;
}

static int
fork_bomb(void)
{
	int n = 0;

	for (pid_t pid; n < 100000 && (pid = fork()) >= 0; n++) {
		if (pid == 0) {
			pause();
			_exit(0);
		}
	}
	printf("children=%d\nfork=%s\n", n, strerrorname_np(errno));
	return 0;
}

static int
eat_memory(bool is_child)
{
	size_t size = 512ul << 20;
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;

	/* The parent is small, and would live on if only the eater were killed. */
	if (is_child && fork() > 0) {
		wait(&status);
		sleep(30);
		return 5;
	}
	for (size_t i = 0; i < size; i += 4096)
		((volatile char *)at)[i] = 1;
	return 0;
}

static int
fill_disk(void)
{
	static char block[65536];
	unsigned long long bytes = 0, files = 0;
	int fd = open("/tmp/full", O_WRONLY | O_CREAT, 0600);
	char path[64];
	ssize_t n;

	while ((n = write(fd, block, sizeof(block))) > 0)
		bytes += (size_t)n;
	printf("bytes=%llu\nwrite=%s\n", bytes, strerrorname_np(errno));
	unlink("/tmp/full");
	close(fd);
	do {
		snprintf(path, sizeof(path), "/tmp/f%llu", files);
	} while (mknod(path, S_IFREG | 0600, 0) == 0 && ++files < 1000000);
	printf("files=%llu\ncreate=%s\n", files, strerrorname_np(errno));
	return 0;
}

static int
open_many(void)
{
	int n = 0;

	while (n < 1000000 && open("/dev/null", O_RDONLY) >= 0)
		n++;
	printf("opened=%d\nopen=%s\n", n, strerrorname_np(errno));
	return 0;
}

/* Processes that outlive the main program, in sessions of their own. */
static int
leave_orphans(void)
{
	for (int i = 0; i < 5; i++) {
		if (fork() == 0) {
			setsid();
			signal(SIGTERM, SIG_IGN);
			if (fork() == 0)
				for (;;)
					pause();
			_exit(0);
		}
	}
	return 3;
}

_Noreturn static void
ignore_everything(void)
{
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_IGN);
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}

static int
ask_proxy(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(3128),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char text[64] = "";
	ssize_t n;

	if (connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return 1;
	n = read(fd, text, sizeof(text) - 1);
	printf("proxy=%.*s\n", n < 0 ? 0 : (int)n, text);
	printf("output=%zd\n", write(4, "packed", 6));
	say_try("write_build", open("/build/new", O_WRONLY | O_CREAT, 0600));
	say_try("write_source", open("/source/new", O_WRONLY | O_CREAT, 0600));
	return 0;
}

static int
unpack(char **argv)
{
	char text[4096];
	ssize_t n = read(3, text, sizeof(text));
	int fd = open("/out/data", O_WRONLY | O_CREAT, 0644);

	printf("bytes=%s\nentries=%s\n", argv[1], argv[2]);
	say_try("write_out", write(fd, text, n < 0 ? 0 : (size_t)n));
	return n >= 4 && memcmp(text, "fail", 4) == 0;
}

static int
burn(void)
{
	struct rusage used;

	do {
		getrusage(RUSAGE_SELF, &used);
	} while (used.ru_utime.tv_sec * 1000000 + used.ru_utime.tv_usec +
			 used.ru_stime.tv_sec * 1000000 + used.ru_stime.tv_usec <
		 200000);
	return 0;
}

int probe_main(int argc, char **argv);

int
probe_main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	const char *number = argc > 2 ? argv[2] : "0";

	if (strstr(argv[0], "mayfly-unpack"))
		return unpack(argv);
	if (strcmp(what, "look") == 0)
		return look_around();
	if (strcmp(what, "escape") == 0)
		return try_to_escape();
	if (strcmp(what, "calls") == 0)
		return try_calls();
	if (strcmp(what, "fork_bomb") == 0)
		return fork_bomb();
	if (strcmp(what, "memory") == 0)
		return eat_memory(false);
	if (strcmp(what, "memory_in_child") == 0)
		return eat_memory(true);
	if (strcmp(what, "disk") == 0)
		return fill_disk();
	if (strcmp(what, "open_many") == 0)
		return open_many();
	if (strcmp(what, "orphans") == 0)
		return leave_orphans();
	if (strcmp(what, "ignore") == 0)
		ignore_everything();
	if (strcmp(what, "proxy") == 0)
		return ask_proxy();
	if (strcmp(what, "burn") == 0)
		return burn();
	if (strcmp(what, "exit") == 0)
		return atoi(number);
	if (strcmp(what, "signal") == 0)
		kill(getpid(), atoi(number));
	return 99;
}
