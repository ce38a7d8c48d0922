/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A function in C that leaves something behind, and one that looks for it: as the one in Python
 * beside it, whose words it uses.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <mayfly.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MARK       0x6c656674l /* "left" */
#define PLACE      ((void *)0x100000000000)
#define PAGE       4096
#define N_PAGES    256
#define STACK_DEEP (256 << 10)

static long in_data = 1, in_bss;
static _Thread_local long in_thread;
static const char constant[PAGE] __attribute__((aligned(PAGE))) = "constant";
static char pages[N_PAGES * PAGE] __attribute__((aligned(PAGE)));
static char stack_of_clone[65536] __attribute__((aligned(PAGE)));
static long *on_heap;
static volatile long touched;
static int descriptor_there;

static bool
is_ok(long result)
{
	return result >= 0;
}

/* ---- memory ---- */

static bool
leave_data(void)
{
	in_data = in_bss = in_thread = *on_heap = MARK;
	return true;
}

static long
look_data(void)
{
	return (in_data == MARK) + (in_bss == MARK) + (in_thread == MARK) + (*on_heap == MARK);
}

static bool
leave_freed(void)
{
	char *blocks[64];

	for (int i = 0; i < 64; i++)
		memset(blocks[i] = malloc(3000), 0x5a, 3000);
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	return true;
}

static long
look_freed(void)
{
	char *blocks[64];
	long found = 0;

	for (int i = 0; i < 64; i++) {
		volatile char *block = blocks[i] = malloc(3000);

		__asm__ volatile("" : : "r"(block) : "memory");
		found += block[1500] == 0x5a;
	}
	for (int i = 0; i < 64; i++)
		free(blocks[i]);
	return found;
}

static __attribute__((noinline)) bool
leave_stack(void)
{
	volatile char room[STACK_DEEP];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0x5a;
	return room[7] == 0x5a;
}

static __attribute__((noinline)) long
look_stack(void)
{
	volatile char room[STACK_DEEP];
	long found = 0;

	__asm__ volatile("" : : "r"(room) : "memory");
	for (size_t i = 0; i < sizeof(room) / 2; i++)
		found += room[i] == 0x5a;
	return found > 1000;
}

static bool
leave_pages(void)
{
	for (int i = 0; i < N_PAGES; i++)
		pages[i * PAGE + 77] = 7;
	return true;
}

static bool
leave_dropped(void)
{
	return is_ok(madvise(pages, sizeof(pages), MADV_DONTNEED)) && leave_pages();
}

static long
look_pages(void)
{
	long sum = 0;

	for (int i = 0; i < N_PAGES; i++)
		sum += pages[i * PAGE + 77] * 1000 + pages[i * PAGE];
	return sum;
}

static bool
leave_replaced(void)
{
	return mmap(pages, sizeof(pages), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == pages &&
	       leave_pages();
}

static bool
leave_moved(void)
{
	void *there = mremap(pages, sizeof(pages), sizeof(pages), MREMAP_MAYMOVE | MREMAP_FIXED,
		(void *)0x200000000000);

	return there != MAP_FAILED &&
	       mremap(there, sizeof(pages), sizeof(pages), MREMAP_MAYMOVE | MREMAP_FIXED, pages) ==
		       pages &&
	       leave_pages();
}

static bool
leave_constant(void)
{
	void *at = (void *)constant;

	if (mprotect(at, PAGE, PROT_READ | PROT_WRITE) < 0)
		return false;
	*(volatile char *)at = 'C';
	return is_ok(mprotect(at, PAGE, PROT_READ));
}

static long
look_constant(void)
{
	return *(const volatile char *)constant;
}

static __attribute__((noinline, aligned(PAGE))) long
answer(void)
{
	return 42;
}

/* mov $7, %eax; ret */
static bool
leave_text(void)
{
	static const char code[] = {(char)0xb8, 7, 0, 0, 0, (char)0xc3};
	void *at = (void *)((uintptr_t)answer & ~(uintptr_t)(PAGE - 1));

	if (mprotect(at, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) < 0)
		return false;
	memcpy((void *)answer, code, sizeof(code));
	return is_ok(mprotect(at, PAGE, PROT_READ | PROT_EXEC));
}

static long
look_text(void)
{
	return answer();
}

static bool
leave_mapping(int flags)
{
	long *at = mmap(PLACE, PAGE, PROT_READ | PROT_WRITE,
		flags | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (at == MAP_FAILED)
		return false;
	*at = MARK;
	return true;
}

static bool
leave_private_mapping(void)
{
	return leave_mapping(MAP_PRIVATE);
}

static bool
leave_shared_mapping(void)
{
	return leave_mapping(MAP_SHARED);
}

static bool
leave_growing_mapping(void)
{
	return leave_mapping(MAP_PRIVATE | MAP_GROWSDOWN);
}

static long
look_mapping(void)
{
	unsigned char there;

	return mincore(PLACE, PAGE, &there) == 0;
}

static bool
leave_break(void)
{
	return sbrk(8 << 20) != (void *)-1;
}

static long
look_break(void)
{
	return ((char *)sbrk(0) - (char *)on_heap) >> 22;
}

static bool
leave_hole(void)
{
	return is_ok(munmap(pages + 16 * PAGE, PAGE));
}

static long
look_hole(void)
{
	unsigned char there;

	return mincore(pages + 16 * PAGE, PAGE, &there) == 0;
}

/* ---- registers ---- */

static bool
leave_vector(void)
{
	long value = MARK;

	__asm__ volatile("movq %0, %%xmm15; movq %0, %%xmm14" : : "r"(value) :);
	return true;
}

static long
look_vector(void)
{
	long one, other;

	__asm__ volatile("movq %%xmm15, %0; movq %%xmm14, %1" : "=r"(one), "=r"(other));
	return one == MARK || other == MARK;
}

static bool
leave_rounding(void)
{
	unsigned mxcsr;

	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	mxcsr |= 0x8000 | 0x6000; /* to zero, denormals to zero */
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	return fesetround(FE_TOWARDZERO) == 0;
}

static long
look_rounding(void)
{
	unsigned mxcsr;
	unsigned short control;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(mxcsr), "=m"(control));
	return (long)(mxcsr & 0xffc0) << 16 | control;
}

static bool
leave_base(void)
{
	return is_ok(syscall(SYS_arch_prctl, ARCH_SET_GS, MARK));
}

static long
look_base(void)
{
	unsigned long base = 0;

	syscall(SYS_arch_prctl, ARCH_GET_GS, &base);
	return (long)base;
}

static bool
leave_robust_list(void)
{
	static struct {
		void *next;
		long offset;
		void *pending;
	} head = {&head, 0, NULL};

	return is_ok(syscall(SYS_set_robust_list, &head, sizeof(head)));
}

static long
look_robust_list(void)
{
	void *head = NULL;
	size_t size;

	syscall(SYS_get_robust_list, 0, &head, &size);
	return (char *)head >= (char *)&in_data - (1 << 20) &&
	       (char *)head <= pages + sizeof(pages);
}

/* ---- threads, and processes that share ---- */

static void *
spin(void *arg)
{
	(void)arg;
	for (;;)
		;
	return NULL;
}

static void *
touch(void *arg)
{
	(void)arg;
	for (;;) {
		touched = MARK;
		leave_pages();
	}
	return NULL;
}

static void *
map(void *arg)
{
	(void)arg;
	for (;;) {
		void *at = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

		munmap(at, 32 * PAGE);
		munmap((char *)at + 32 * PAGE, 32 * PAGE);
	}
	return NULL;
}

static void *
wait_in_vfork(void *arg)
{
	if (vfork() == 0) {
		for (;;)
			syscall(SYS_pause);
	}
	return arg;
}

static bool
leave_thread(void *(*work)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, NULL) != 0)
		return false;
	usleep(5000);
	return true;
}

static bool
leave_spinner(void)
{
	return leave_thread(spin);
}

static bool
leave_toucher(void)
{
	return leave_thread(touch);
}

static bool
leave_mapper(void)
{
	return leave_thread(map);
}

static bool
leave_vfork(void)
{
	return leave_thread(wait_in_vfork);
}

static long
count(const char *folder)
{
	long n = 0;
	char path[64];

	for (int i = 1; i < 400; i++) {
		snprintf(path, sizeof(path), "%s/%d", folder, i);
		n += access(path, F_OK) == 0;
	}
	return n;
}

static long
look_processes(void)
{
	return count("/proc") * 1000 + count("/proc/self/task") + (touched == MARK) * 1000000;
}

static int
child_touches(void *arg)
{
	(void)arg;
	touch(NULL);
	return 0;
}

static int
child_opens(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = open("/dev/null", O_RDONLY);

		usleep(100);
		close(fd);
	}
	return 0;
}

static int
child_moves(void *arg)
{
	(void)arg;
	for (;;) {
		if (chdir("/tmp") < 0)
			return 1;
		usleep(100);
	}
	return 0;
}

static bool
leave_clone(int (*work)(void *), int flags)
{
	if (clone(work, stack_of_clone + sizeof(stack_of_clone), flags | SIGCHLD, NULL) < 0)
		return false;
	usleep(2000);
	return true;
}

static bool
leave_sharer_of_memory(void)
{
	return leave_clone(child_touches, CLONE_VM);
}

static bool
leave_sharer_of_files(void)
{
	return leave_clone(child_opens, CLONE_FILES);
}

static bool
leave_sharer_of_folder(void)
{
	return leave_clone(child_moves, CLONE_FS);
}

static long
look_folder(void)
{
	char path[256] = "";

	return getcwd(path, sizeof(path)) && strcmp(path, "/code") == 0 ? look_processes() : -1;
}

/* ---- descriptors and timers ---- */

static bool
leave_descriptor(void)
{
	return dup2(open("/code/bootstrap", O_RDONLY), 50) == 50 &&
	       eventfd_write(descriptor_there, 5) == 0;
}

static long
look_descriptor(void)
{
	eventfd_t value = 0;

	fcntl(descriptor_there, F_SETFL, O_NONBLOCK);
	if (eventfd_read(descriptor_there, &value) == 0)
		eventfd_write(descriptor_there, value);
	return (fcntl(50, F_GETFD) >= 0) * 100 + (long)value;
}

static bool
leave_exchanged(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 &&
	       dup2(pair[0], descriptor_there) >= 0;
}

static long
look_exchanged(void)
{
	int type;
	socklen_t size = sizeof(type);

	return getsockopt(descriptor_there, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

static bool
leave_timer(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
	struct itimerspec when = {{900, 0}, {900, 0}};
	timer_t timer;

	return is_ok(timer_create(CLOCK_MONOTONIC, &event, &timer)) &&
	       is_ok(timer_settime(timer, 0, &when, NULL));
}

static long
look_timer(void)
{
	struct itimerspec when;

	return syscall(SYS_timer_gettime, 0, &when) == 0;
}

static const struct trace {
	const char *name;
	bool (*leave)(void);
	long (*look)(void);
} traces[] = {
	{"data", leave_data, look_data},
	{"freed_memory", leave_freed, look_freed},
	{"stack", leave_stack, look_stack},
	{"bytes_in_every_page", leave_pages, look_pages},
	{"bytes_in_pages_that_were_dropped_first", leave_dropped, look_pages},
	{"a_mapping_that_was_replaced", leave_replaced, look_pages},
	{"a_mapping_that_moved_and_came_back", leave_moved, look_pages},
	{"a_constant", leave_constant, look_constant},
	{"the_program_text", leave_text, look_text},
	{"a_new_mapping", leave_private_mapping, look_mapping},
	{"a_new_shared_mapping", leave_shared_mapping, look_mapping},
	{"a_mapping_that_grows", leave_growing_mapping, look_mapping},
	{"a_program_break", leave_break, look_break},
	{"a_hole", leave_hole, look_hole},
	{"vector_registers", leave_vector, look_vector},
	{"rounding", leave_rounding, look_rounding},
	{"a_segment_base", leave_base, look_base},
	{"a_robust_list", leave_robust_list, look_robust_list},
	{"a_thread_that_spins", leave_spinner, look_processes},
	{"a_thread_that_writes_all_the_time", leave_toucher, look_processes},
	{"a_thread_that_maps_all_the_time", leave_mapper, look_processes},
	{"a_thread_in_vfork", leave_vfork, look_processes},
	{"a_process_that_shares_memory", leave_sharer_of_memory, look_processes},
	{"a_process_that_shares_files", leave_sharer_of_files, look_processes},
	{"a_process_that_shares_the_folder", leave_sharer_of_folder, look_folder},
	{"descriptors", leave_descriptor, look_descriptor},
	{"a_descriptor_that_was_exchanged", leave_exchanged, look_exchanged},
	{"a_posix_timer", leave_timer, look_timer},
};

/* ---- what a call does to others while it ends ---- */

static void *
write_late(void *arg)
{
	usleep(2000);
	if (write(3, arg, 3) < 0)
		return NULL;
	return arg;
}

static void *
fault_late(void *arg)
{
	usleep(2000);
	*(volatile char *)arg = 1;
	return NULL;
}

static void *
stop_late(void *arg)
{
	usleep(2000);
	kill(getpid(), SIGSTOP);
	return arg;
}

static void *
kill_late(void *arg)
{
	usleep(2000);
	kill(-1, SIGKILL);
	kill(getpid(), SIGKILL);
	return arg;
}

static void *
unmap_late(void *arg)
{
	usleep(2000);
	munmap(pages, sizeof(pages));
	munmap((void *)((uintptr_t)answer & ~(uintptr_t)(PAGE - 1)), PAGE);
	return arg;
}

static void *
eat(void *arg)
{
	for (;;) {
		char *block = malloc(1 << 20);

		if (block)
			memset(block, 1, 1 << 20);
	}
	return arg;
}

static const struct harm {
	const char *name;
	void *(*work)(void *);
	void *arg;
} harms[] = {
	{"part of a frame", write_late, "\x10\0\0"},
	{"a fault", fault_late, NULL},
	{"a stop for itself", stop_late, NULL},
	{"a death of its own", kill_late, NULL},
	{"a hole in itself", unmap_late, NULL},
	{"no more memory", eat, NULL},
	{"memory that is written all the time", touch, NULL},
	{"mappings all the time", map, NULL},
};

/* ---- the handler ---- */

#define N_OF(table) (sizeof(table) / sizeof((table)[0]))

static int
say_names(struct mf_answer *out)
{
	mf_print(out, "{\"traces\":[");
	for (size_t i = 0; i < N_OF(traces); i++)
		mf_printf(out, "%s\"%s\"", i ? "," : "", traces[i].name);
	mf_print(out, "],\"harm\":[");
	for (size_t i = 0; i < N_OF(harms); i++)
		mf_printf(out, "%s\"%s\"", i ? "," : "", harms[i].name);
	mf_print(out, "]}");
	return 0;
}

static int
say_fresh(struct mf_request *request, struct mf_answer *out)
{
	const uint8_t *random = mf_random(request);
	uint64_t drawn[2];

	if (getrandom(drawn, sizeof(drawn), 0) != sizeof(drawn))
		return 1;
	mf_print(out, "[\"");
	for (int i = 0; i < 32; i++)
		mf_printf(out, "%02x", random[i]);
	mf_printf(out, "\",\"%016lx%016lx\"]", drawn[0], drawn[1]);
	return 0;
}

static int
serve(struct mf_request *request, struct mf_answer *out, void *arg)
{
	struct mf_json event = mf_event(request);
	char what[64] = "", name[64] = "";

	(void)arg;
	mf_json_text(mf_json_get(event, "do"), what, sizeof(what));
	mf_json_text(mf_json_get(event, "what"), name, sizeof(name));
	if (strcmp(what, "names") == 0)
		return say_names(out);
	if (strcmp(what, "fresh") == 0)
		return say_fresh(request, out);
	for (size_t i = 0; i < N_OF(traces); i++) {
		if (strcmp(name, traces[i].name) != 0)
			continue;
		if (strcmp(what, "leave") == 0)
			mf_print(out, traces[i].leave() ? "\"left\"" : "\"denied\"");
		else
			mf_printf(out, "%ld", traces[i].look());
		return 0;
	}
	for (size_t i = 0; i < N_OF(harms); i++) {
		pthread_t thread;

		if (strcmp(name, harms[i].name) != 0)
			continue;
		pthread_create(&thread, NULL, harms[i].work, harms[i].arg);
		mf_print(out, "\"done\"");
		return 0;
	}
	abort();
}

int
main(void)
{
	on_heap = calloc(1, sizeof(*on_heap));
	memset(pages, 1, sizeof(pages));
	descriptor_there = eventfd(0, 0);
	return mf_serve(serve, NULL);
}
