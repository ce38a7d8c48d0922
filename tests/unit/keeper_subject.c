/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_subject - a program to be kept: one request per line on descriptor 3, a deed and then a
 * line that tells its whole state. When every deed was undone that line is always the same.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHANNEL 3
#define PAGE    4096
#define KEPT    (64 * PAGE)

/* A mapping of its own from the beginning, and part of one. */
static const char constant[PAGE] __attribute__((aligned(PAGE))) = "written once";
static const char other[3 * PAGE] __attribute__((aligned(PAGE))) = "never written";
static int counter;
static uint8_t *kept, *sparse; /* mapped when it starts: full, and with one page touched */
static unsigned vector;        /* what a register held while it waited */

static void *
sleep_for_ever(void *state)
{
	for (;;)
		pause();
	return state;
}

static void
start_threads(int n)
{
	pthread_t thread;

	for (int i = 0; i < n; i++) {
		if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0)
			abort();
	}
}

/* The instruction that waits, with a register around it that only the call knows. */
static long
receive(char *ret, size_t size)
{
	long n;

#if defined(__x86_64__)
	register long flags __asm__("r10") = 0;
	register long address __asm__("r8") = 0, length __asm__("r9") = 0;

	__asm__ volatile("movd %[counter], %%xmm15\n"
			 "syscall\n"
			 "movd %%xmm15, %[vector]\n"
			 : "=a"(n), [vector] "=r"(vector)
			 : "0"(SYS_recvfrom), "D"(CHANNEL), "S"(ret), "d"(size), "r"(flags),
			 "r"(address), "r"(length), [counter] "r"(counter)
			 : "rcx", "r11", "memory", "xmm15");
#else
	vector = 0;
	n = read(CHANNEL, ret, size);
#endif
	return n;
}

/* ---- deeds ---- */

static void
write_constant(const char *where, const char *text)
{
	char *page = (char *)(uintptr_t)where;

	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	strcpy(page, text);
	mprotect(page, PAGE, PROT_READ);
}

static void
write_through_file(const void *at, const void *bytes, size_t n)
{
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);

	if (fd < 0 || pwrite(fd, bytes, n, (off_t)(uintptr_t)at) != (ssize_t)n)
		abort();
	close(fd);
}

static void
map_anew(int fd, uint8_t *at, size_t size)
{
	munmap(at, size);
	if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, fd,
		    0) != at)
		abort();
	memset(at, 0x55, size);
}

/* The one page of code that is nobody's. */
static void
change_keepers_code(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], rights[8], name[256];
	unsigned long start, end, inode;

	while (maps && fgets(line, sizeof(line), maps)) {
		name[0] = '\0';
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %255s", &start, &end, rights, &inode,
			    name) >= 4 &&
			strcmp(rights, "r-xp") == 0 && inode == 0 && name[0] == '\0')
			write_through_file((void *)start, "\x90", 1);
	}
}

static void
recurse(int depth)
{
	volatile char room[PAGE];

	room[0] = (char)depth;
	if (depth > 0)
		recurse(depth - 1);
	room[1] = room[0];
}

static void
allocate(size_t size)
{
	char *memory = malloc(size);

	memset(memory, 1, size);
}

static void
do_deed(const char *deed)
{
	static uint8_t byte = 0x90;
	sigset_t set;

	if (strcmp(deed, "thread") == 0) {
		start_threads(3);
	} else if (strcmp(deed, "map") == 0) {
		memset(mmap(NULL, 300 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0),
			1, 300 * PAGE);
	} else if (strcmp(deed, "unmap") == 0) {
		munmap(kept + 5 * PAGE, 10 * PAGE);
	} else if (strcmp(deed, "unmap_all") == 0) {
		munmap(kept, KEPT);
	} else if (strcmp(deed, "map_anew") == 0) {
		map_anew(-1, kept, KEPT);
	} else if (strcmp(deed, "give_back") == 0) {
		madvise(kept + PAGE, 20 * PAGE, MADV_DONTNEED);
	} else if (strcmp(deed, "move") == 0) {
		mremap(kept, KEPT, KEPT, MREMAP_MAYMOVE | MREMAP_FIXED, sparse);
	} else if (strcmp(deed, "protect") == 0) {
		memset(kept, 7, KEPT);
		mprotect(kept + 3 * PAGE, 9 * PAGE, PROT_NONE);
		mprotect(kept + 20 * PAGE, 3 * PAGE, PROT_READ | PROT_EXEC);
	} else if (strcmp(deed, "fill") == 0) {
		memset(kept, 9, KEPT);
		memset(sparse, 9, KEPT);
	} else if (strcmp(deed, "constant") == 0) {
		write_constant(constant, "written");
	} else if (strcmp(deed, "split") == 0) {
		write_constant(other + PAGE, "written");
	} else if (strcmp(deed, "constant_file") == 0) {
		write_through_file(constant, "through the file", 17);
	} else if (strcmp(deed, "code") == 0) {
		write_through_file((const uint8_t *)(uintptr_t)recurse, &byte, 1);
	} else if (strcmp(deed, "brk") == 0) {
		memset(sbrk(50 * PAGE + 123), 1, 50 * PAGE);
	} else if (strcmp(deed, "brk_down") == 0) {
		sbrk(-PAGE);
	} else if (strcmp(deed, "allocate") == 0) {
		allocate(50u << 20);
	} else if (strcmp(deed, "stack") == 0) {
		recurse(300);
	} else if (strcmp(deed, "mask") == 0) {
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
	} else if (strcmp(deed, "name") == 0) {
		prctl(PR_SET_NAME, "other");
	} else if (strcmp(deed, "fork") == 0) {
		if (fork() == 0)
			sleep_for_ever(NULL);
	} else if (strcmp(deed, "exec") == 0) {
		execl("/bin/sh", "sh", "-c", "echo done >&3; exec sleep 1000", NULL);
	} else if (strcmp(deed, "keeper") == 0) {
		change_keepers_code();
	} else if (strcmp(deed, "exit") == 0) {
		_exit(7);
	} else if (strcmp(deed, "crash") == 0) {
		raise(SIGSEGV);
	}
}

/* ---- state ---- */

static unsigned
sum_of(const uint8_t *bytes, size_t n)
{
	unsigned sum = 5381;

	for (size_t i = 0; i < n; i++)
		sum = sum * 33 + bytes[i];
	return sum;
}

static unsigned
sum_of_file(const char *path, unsigned *ret_lines)
{
	static char text[262144];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, text + len, sizeof(text) - len)) > 0)
		len += (size_t)n;
	close(fd);
	*ret_lines = 0;
	for (size_t i = 0; i < len; i++)
		*ret_lines += text[i] == '\n';
	return sum_of((uint8_t *)text, len);
}

static int
tell_state(char *ret, size_t size)
{
	unsigned n_maps, n_ignored, maps = sum_of_file("/proc/self/maps", &n_maps);
	unsigned name = sum_of_file("/proc/self/comm", &n_ignored);
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	return snprintf(ret, size,
		"counter=%d vector=%u maps=%u/%x kept=%x sparse=%x constant=%x code=%x brk=%p "
		"mask=%lx name=%x\n",
		counter, vector, n_maps, maps, sum_of(kept, KEPT), sum_of(sparse, KEPT),
		sum_of((const uint8_t *)constant, PAGE),
		sum_of((const uint8_t *)(uintptr_t)recurse, 64), sbrk(0), *(unsigned long *)&mask,
		name);
}

int
main(int argc, char **argv)
{
	static char request[4096], answer[4096];
	long n;

	kept = mmap(NULL, KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < KEPT; i++)
		kept[i] = (uint8_t)(i * 7 + i / 256);
	sparse = mmap(NULL, KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sparse[17 * PAGE] = 1;
	write_constant(constant, "before the snapshot");
	if (argc > 1)
		start_threads(atoi(argv[1]));
	tell_state(answer, sizeof(answer));
	while ((n = receive(request, sizeof(request) - 1)) > 0) {
		request[n] = '\0';
		request[strcspn(request, "\n")] = '\0';
		if (strcmp(request, "state") != 0)
			do_deed(request);
		counter++;
		if (strcmp(request, "state") == 0)
			n = tell_state(answer, sizeof(answer));
		else
			n = snprintf(answer, sizeof(answer), "done %d\n", counter);
		if (write(CHANNEL, answer, (size_t)n) != n)
			return 1;
	}
	return 0;
}
