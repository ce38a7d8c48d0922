/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper_subject - a program to be kept: one request per line on descriptor 3, a deed and then a
 * line that tells its whole state. When every deed was undone that line is always the same.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL 3
#define PAGE    4096
#define KEPT    (64 * PAGE)
#define ZEROES  (400ul << 20)

/* A mapping of its own from the beginning, and part of one. */
static const char constant[PAGE] __attribute__((aligned(PAGE))) = "written once";
static const char other[3 * PAGE] __attribute__((aligned(PAGE))) = "never written";
static int counter;
static uint8_t *kept, *sparse; /* mapped when it starts: full, and with one page touched */
static uint8_t *reserved;      /* and that nobody may touch */
static int ends[2] = {-1, -1}; /* of a pipe that was made when it started */
static uint8_t *fenced;        /* a page, one that nobody may touch, a page */
static uint8_t *pieces;        /* 2000 pages */
static uint8_t *untouched;     /* full of nothing */
static uint8_t *zeroes;        /* of ZEROES bytes that were read and never written */
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

/* A thread that waits for work and for a time to come, as runtimes have them. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned n_asked, n_done;
} work = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER};

static void *
work_for_ever(void *state)
{
	struct timespec until = {.tv_sec = time(NULL) + 3600};

	pthread_mutex_lock(&work.lock);
	for (;;) {
		while (work.n_done == work.n_asked)
			pthread_cond_timedwait(&work.wake, &work.lock, &until);
		work.n_done++;
	}
	return state;
}

static void
start_worker(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work_for_ever, NULL) != 0)
		abort();
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

/* ---- what the kernel says ---- */

static char file_text[1u << 20];

static size_t
read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n;

	while (fd >= 0 && (n = read(fd, file_text + len, sizeof(file_text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd);
	file_text[len] = '\0';
	return len;
}

/* ---- deeds ---- */

static void
write_constant(const char *where, const char *text)
{
	char *page = (char *)(uintptr_t)where;

	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	memcpy(page, text, strlen(text) + 1);
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
deed_thread(void)
{
	start_threads(3);
}

static void
deed_map(void)
{
	size_t size = 300 * PAGE;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(at, 1, size);
}

static void
deed_unmap(void)
{
	munmap(kept + 5 * PAGE, 10 * PAGE);
}

static void
deed_unmap_all(void)
{
	munmap(kept, KEPT);
}

/* Looks the same afterwards. */
static void
deed_map_anew(void)
{
	deed_unmap_all();
	mmap(kept, KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	memset(kept, 0x55, KEPT);
}

/* The same place and rights, memory of another kind. */
static void
map_otherwise(int flags)
{
	munmap(kept, KEPT);
	if (mmap(kept, KEPT, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_FIXED | flags, -1, 0) !=
		kept)
		return; /* this kernel has no such kind, or this user no right to it */
	memset(kept, 0x33, KEPT);
}

static void
deed_map_locked(void)
{
	map_otherwise(MAP_PRIVATE | MAP_LOCKED);
}

static void
deed_map_growing(void)
{
	map_otherwise(MAP_PRIVATE | MAP_GROWSDOWN);
}

static void
deed_map_droppable(void)
{
	map_otherwise(0x08); /* MAP_DROPPABLE, Linux 6.11 */
}

/* A page of zeroes that was only read, in the midst of a mapping that it becomes one with. */
static void
deed_map_hole(void)
{
	uint8_t *page = kept + 7 * PAGE;
	volatile uint8_t seen;

	mmap(page, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	mprotect(page, PAGE, PROT_READ | PROT_WRITE);
	seen = *page;
	(void)seen;
}

/* The same, moved in from a mapping in which nobody has ever been. */
static void
deed_move_hole(void)
{
	uint8_t *page = kept + 9 * PAGE;
	volatile uint8_t seen;

	if (mremap(untouched + 30 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page) != page)
		abort();
	seen = *page;
	(void)seen;
}

/* What the kernel shows of its clocks, taken for notes. Nothing else changes. */
static void
replace_kernel_data(unsigned long start, unsigned long end)
{
	size_t size = end - start;
	char *notes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(notes + size - 64, 7, 64);
	mprotect(notes, size, PROT_READ);
	if (mremap(notes, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) == MAP_FAILED)
		abort();
}

static void
deed_kernel_data(void)
{
	unsigned long start, end;
	char name[64];

	read_file("/proc/self/maps");
	for (char *line = file_text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%lx-%lx %*s %*s %*s 0 %63s", &start, &end, name) == 3 &&
			strncmp(name, "[vvar", 5) == 0)
			replace_kernel_data(start, end);
	}
}

static void
deed_give_back_zeroes(void)
{
	madvise(zeroes, ZEROES, MADV_DONTNEED);
}

static void
deed_give_back(void)
{
	madvise(kept + PAGE, 20 * PAGE, MADV_DONTNEED);
}

/* What the file has comes back, not what was written over it. */
static void
deed_give_back_file(void)
{
	madvise((char *)(uintptr_t)constant, PAGE, MADV_DONTNEED);
}

static void
deed_move(void)
{
	if (mremap(kept, KEPT, KEPT, MREMAP_MAYMOVE | MREMAP_FIXED, sparse) != sparse)
		abort();
}

static void
deed_protect(void)
{
	memset(kept, 7, KEPT);
	mprotect(kept + 3 * PAGE, 9 * PAGE, PROT_NONE);
	mprotect(kept + 20 * PAGE, 3 * PAGE, PROT_READ | PROT_EXEC);
}

static void
deed_fill(void)
{
	memset(kept, 9, KEPT);
	memset(sparse, 9, KEPT);
}

static void
deed_constant(void)
{
	write_constant(constant, "written");
}

static void
deed_constant_file(void)
{
	write_through_file(constant, "through the file", 17);
}

/* Data where nothing can be seen to have a place. */
static void
deed_reserved(void)
{
	mprotect(reserved + 9 * PAGE, 3 * PAGE, PROT_READ | PROT_WRITE);
	memset(reserved + 9 * PAGE, 5, 3 * PAGE);
	mprotect(reserved, KEPT, PROT_NONE);
}

static void
deed_fenced(void)
{
	fenced[0]++;
	fenced[2 * PAGE]++;
}

/* Who reads a pipe hears of its end when nobody holds the other end any more. */
static void
deed_hear_end(void)
{
	char byte;

	close(ends[1]);
	if (read(ends[0], &byte, 1) != 0)
		_exit(1);
}

static void
deed_split(void)
{
	write_constant(other + PAGE, "written");
}

static void
deed_code(void)
{
	write_through_file((const uint8_t *)(uintptr_t)recurse, "\x90", 1);
}

static void
deed_brk(void)
{
	memset(sbrk(50 * PAGE + 123), 1, 50 * PAGE);
}

static void
deed_brk_down(void)
{
	sbrk(-PAGE);
}

static void
deed_allocate(void)
{
	memset(malloc(50u << 20), 1, 50u << 20);
}

static void
deed_stack(void)
{
	recurse(300);
}

static void
deed_mask(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
}

static void
deed_name(void)
{
	prctl(PR_SET_NAME, "other");
}

static void
deed_fork(void)
{
	if (fork() == 0)
		sleep_for_ever(NULL);
}

static void
deed_exec(void)
{
	execl("/bin/sh", "sh", "-c", "echo done >&3; exec sleep 1000", NULL);
}

static void
deed_exit(void)
{
	_exit(7);
}

static void *
wait_in_vfork(void *state)
{
	if (vfork() == 0) {
		for (;;)
			pause();
	}
	return state;
}

static void
deed_vfork(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, wait_in_vfork, NULL) != 0)
		abort();
}

/* After its answer. */
static void
deed_stop(void)
{
	if (write(CHANNEL, "stops\n", 6) == 6)
		raise(SIGSTOP);
}

/* Thousands of mappings, which are not one. */
static void
deed_map_many(void)
{
	for (int i = 0; i < 4000; i++)
		mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* More pieces than a batch has calls. */
static void
deed_protect_many(void)
{
	for (int i = 0; i < 2000; i += 2)
		mprotect(pieces + i * PAGE, PAGE, PROT_READ);
}

/* Odd, so that what its thread waits for is another word each time. */
static void
deed_work(void)
{
	for (int i = 0; i < 3; i++) {
		bool is_done = false;

		pthread_mutex_lock(&work.lock);
		work.n_asked++;
		pthread_cond_signal(&work.wake);
		pthread_mutex_unlock(&work.lock);
		while (!is_done) {
			usleep(100);
			pthread_mutex_lock(&work.lock);
			is_done = work.n_done == work.n_asked;
			pthread_mutex_unlock(&work.lock);
		}
	}
}

static void
deed_busy(void)
{
	for (clock_t until = clock() + CLOCKS_PER_SEC / 50; clock() < until;)
		;
}

static void
deed_crash(void)
{
	raise(SIGSEGV);
}

static void
do_deed(const char *name)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} deeds[] = {
		{"thread", deed_thread},
		{"map", deed_map},
		{"unmap", deed_unmap},
		{"unmap_all", deed_unmap_all},
		{"map_anew", deed_map_anew},
		{"map_locked", deed_map_locked},
		{"map_growing", deed_map_growing},
		{"map_droppable", deed_map_droppable},
		{"map_hole", deed_map_hole},
		{"move_hole", deed_move_hole},
		{"kernel_data", deed_kernel_data},
		{"give_back", deed_give_back},
		{"give_back_zeroes", deed_give_back_zeroes},
		{"give_back_file", deed_give_back_file},
		{"move", deed_move},
		{"protect", deed_protect},
		{"fill", deed_fill},
		{"constant", deed_constant},
		{"constant_file", deed_constant_file},
		{"reserved", deed_reserved},
		{"fenced", deed_fenced},
		{"hear_end", deed_hear_end},
		{"split", deed_split},
		{"code", deed_code},
		{"brk", deed_brk},
		{"brk_down", deed_brk_down},
		{"allocate", deed_allocate},
		{"stack", deed_stack},
		{"mask", deed_mask},
		{"name", deed_name},
		{"fork", deed_fork},
		{"exec", deed_exec},
		{"keeper", change_keepers_code},
		{"exit", deed_exit},
		{"vfork", deed_vfork},
		{"stop", deed_stop},
		{"map_many", deed_map_many},
		{"protect_many", deed_protect_many},
		{"crash", deed_crash},
		{"work", deed_work},
		{"busy", deed_busy},
	};

	for (size_t i = 0; i < sizeof(deeds) / sizeof(*deeds); i++) {
		if (strcmp(deeds[i].name, name) == 0) {
			deeds[i].run();
			return;
		}
	}
	abort();
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
	size_t len = read_file(path);

	*ret_lines = 0;
	for (size_t i = 0; i < len; i++)
		*ret_lines += file_text[i] == '\n';
	return sum_of((uint8_t *)file_text, len);
}

/* Which of those flags the mapping has that no line of its maps tells. */
static unsigned
flags_of(const void *at)
{
	static const char *const flags[] = {" lo", " gd", " dp", " wf"};
	char start[32], *line, *end;
	unsigned found = 0;

	read_file("/proc/self/smaps");
	snprintf(start, sizeof(start), "\n%lx-", (unsigned long)at);
	line = strstr(file_text, start);
	line = line ? strstr(line, "VmFlags:") : NULL;
	if (!line)
		return 99;
	end = strchr(line, '\n');
	*end = '\0';
	for (size_t i = 0; i < 4; i++)
		found |= strstr(line, flags[i]) ? 1u << i : 0;
	return found;
}

static unsigned
sum_of_reserved(void)
{
	unsigned sum;

	mprotect(reserved, KEPT, PROT_READ);
	sum = sum_of(reserved, KEPT);
	mprotect(reserved, KEPT, PROT_NONE);
	return sum;
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
		"mask=%lx name=%x reserved=%x fenced=%u/%u flags=%u\n",
		counter, vector, n_maps, maps, sum_of(kept, KEPT), sum_of(sparse, KEPT),
		sum_of((const uint8_t *)constant, PAGE),
		sum_of((const uint8_t *)(uintptr_t)recurse, 64), sbrk(0), *(unsigned long *)&mask,
		name, sum_of_reserved(), fenced[0], fenced[2 * PAGE], flags_of(kept));
}

/* So that most mappings have a name. */
static bool
map_files(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	bool is_any_missing = fd < 0;

	for (int i = 0; i < 64; i++)
		is_any_missing |= mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED;
	close(fd);
	return !is_any_missing;
}

/* Memory that becomes one mapping with no other. */
static uint8_t *
map_apart(size_t size)
{
	uint8_t *at = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	mprotect(at + PAGE, size, PROT_READ | PROT_WRITE);
	return at + PAGE;
}

static void
read_zeroes(void)
{
	zeroes = mmap(NULL, ZEROES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (size_t i = 0; i < ZEROES; i += PAGE)
		(void)*(volatile uint8_t *)&zeroes[i];
}

int
main(int argc, char **argv)
{
	static char request[4096], answer[4096];
	bool is_ready = true;
	long n;

	kept = map_apart(KEPT);
	for (size_t i = 0; i < KEPT; i++)
		kept[i] = (uint8_t)(i * 7 + i / 256);
	untouched = map_apart(KEPT);
	sparse = mmap(NULL, KEPT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sparse[17 * PAGE] = 1;
	reserved = mmap(NULL, KEPT, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fenced = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	fenced[0] = fenced[2 * PAGE] = 1;
	mprotect(fenced + PAGE, PAGE, PROT_NONE);
	pieces =
		mmap(NULL, 2000 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	write_constant(constant, "before the snapshot");
	if (argc > 1 && strcmp(argv[1], "private") == 0)
		madvise(kept, KEPT, MADV_DONTFORK);
	else if (argc > 1 && strcmp(argv[1], "pipe") == 0)
		is_ready = pipe(ends) == 0;
	else if (argc > 1 && strcmp(argv[1], "files") == 0)
		is_ready = map_files();
	else if (argc > 1 && strcmp(argv[1], "zeroes") == 0)
		read_zeroes();
	else if (argc > 1 && strcmp(argv[1], "worker") == 0)
		start_worker();
	else if (argc > 1)
		start_threads(atoi(argv[1]));
	tell_state(answer, sizeof(answer));
	while (is_ready && (n = receive(request, sizeof(request) - 1)) > 0) {
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
