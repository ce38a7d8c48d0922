/* SPDX-License-Identifier: Apache-2.0 */
#include "platform.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/thread.h"

/* More than one thread for one function's garbage gains little: its processor time is limited. */
#define WORKERS   1
#define SLOTS_MAX 64
#define HEAD      2 /* words before the table's first slot: offset and type information */

/* v8::Task: its table has two destructors, the second of which also frees, and then Run(). */
enum { TASK_DELETE = 1, TASK_RUN = 2 };

struct task {
	void **table;
};

struct job {
	struct task *task;
	struct job *next;
	int64_t due_ns; /* CLOCK_MONOTONIC; of `later` only */
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t work, drained;
	struct job *first, **last;
	struct job *later; /* by due_ns */
	unsigned n_undone; /* queued and running, without `later` */
	unsigned n_idle, n_workers;
	bool is_stopping;
	pthread_t workers[WORKERS];
	bool (*flush)(void *platform, void *isolate);
} at = {.lock = PTHREAD_MUTEX_INITIALIZER, .drained = PTHREAD_COND_INITIALIZER, .last = &at.first};

static int64_t
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void
run(struct task *task)
{
	void (*call)(struct task *);

	*(void **)&call = task->table[TASK_RUN];
	call(task);
	*(void **)&call = task->table[TASK_DELETE];
	call(task);
}

/* ---- workers ---- */

/* With the lock. The job that is due, or NULL. */
static struct job *
next_job(void)
{
	struct job *job = at.first;

	if (job) {
		at.first = job->next;
		if (!at.first)
			at.last = &at.first;
		return job;
	}
	job = at.later;
	if (!job || at.is_stopping || job->due_ns > now_ns())
		return NULL;
	at.later = job->next;
	at.n_undone++;
	return job;
}

static void
wait_for_work(void)
{
	struct timespec until;

	at.n_idle++;
	if (at.later) {
		until.tv_sec = at.later->due_ns / 1000000000;
		until.tv_nsec = at.later->due_ns % 1000000000;
		pthread_cond_timedwait(&at.work, &at.lock, &until);
	} else {
		pthread_cond_wait(&at.work, &at.lock);
	}
	at.n_idle--;
}

static void *
worker(void *unused)
{
	pthread_mutex_lock(&at.lock);
	for (;;) {
		struct job *job = next_job();

		if (job) {
			pthread_mutex_unlock(&at.lock);
			run(job->task);
			free(job);
			pthread_mutex_lock(&at.lock);
			if (--at.n_undone == 0)
				pthread_cond_broadcast(&at.drained);
		} else if (at.is_stopping) {
			break;
		} else {
			wait_for_work();
		}
	}
	pthread_mutex_unlock(&at.lock);
	return unused;
}

/* With the lock. Where no thread may start, the next task tries again, and draining runs what
 * waits itself. */
static void
wake_worker(void)
{
	struct err err;

	if (at.n_idle == 0 && at.n_workers < WORKERS &&
		thread_start(&at.workers[at.n_workers], "v8-worker", worker, NULL, &err) == 0)
		at.n_workers++;
	pthread_cond_signal(&at.work);
}

void
platform_wake(void)
{
	pthread_mutex_lock(&at.lock);
	wake_worker();
	pthread_mutex_unlock(&at.lock);
}

static void
drain(void)
{
	pthread_mutex_lock(&at.lock);
	while (at.n_undone) {
		struct job *job = at.n_workers ? NULL : next_job();

		if (!job) {
			pthread_cond_wait(&at.drained, &at.lock);
			continue;
		}
		pthread_mutex_unlock(&at.lock);
		run(job->task);
		free(job);
		pthread_mutex_lock(&at.lock);
		at.n_undone--;
	}
	pthread_mutex_unlock(&at.lock);
}

void
platform_rest(void)
{
	drain();
	pthread_mutex_lock(&at.lock);
	at.is_stopping = true;
	pthread_cond_broadcast(&at.work);
	pthread_mutex_unlock(&at.lock);
	for (unsigned i = 0; i < at.n_workers; i++)
		pthread_join(at.workers[i], NULL);
	at.n_workers = 0;
	at.is_stopping = false;
}

/* ---- what V8 calls; a unique_ptr comes as the address of its pointer, and is emptied ---- */

static struct job *
take_task(struct task **owner)
{
	struct job *job;

	if (!*owner)
		return NULL;
	job = mem_new(sizeof(*job));
	*job = (struct job){.task = *owner};
	*owner = NULL;
	return job;
}

static void
post(void *platform, struct task **owner)
{
	struct job *job = take_task(owner);

	if (!job)
		return;
	pthread_mutex_lock(&at.lock);
	*at.last = job;
	at.last = &job->next;
	at.n_undone++;
	wake_worker();
	pthread_mutex_unlock(&at.lock);
}

static void
post_delayed(void *platform, struct task **owner, double seconds)
{
	struct job *job = take_task(owner), **place = &at.later;

	if (!job)
		return;
	job->due_ns = now_ns() + (int64_t)(seconds * 1e9);
	pthread_mutex_lock(&at.lock);
	while (*place && (*place)->due_ns <= job->due_ns)
		place = &(*place)->next;
	job->next = *place;
	*place = job;
	wake_worker();
	pthread_mutex_unlock(&at.lock);
}

/* Node 22 and later. */
static void
post_with_priority(void *platform, int priority, struct task **owner, const void *location)
{
	post(platform, owner);
}

static void
post_delayed_with_priority(
	void *platform, int priority, struct task **owner, double seconds, const void *location)
{
	post_delayed(platform, owner, seconds);
}

static void
drain_tasks(void *platform, void *isolate)
{
	do
		drain();
	while (at.flush(platform, isolate));
}

static int
number_of_workers(void *platform)
{
	return WORKERS;
}

/* ---- the table ---- */

#define NODE   "_ZN4node12NodePlatform"
#define TASK18 "ESt10unique_ptrIN2v84TaskESt14default_deleteIS3_EE"
#define TASK22 "EN2v812TaskPriorityESt10unique_ptrINS1_4TaskESt14default_deleteIS4_EE"

/* Slots are named by symbols; of the two names of one the build has one. */
static const struct slot {
	const char *names[2];
	void *functions[2];
} slots[] = {
	{{NODE "18CallOnWorkerThread" TASK18,
		 NODE "26PostTaskOnWorkerThreadImpl" TASK22 "RKNS1_14SourceLocationE"},
		{(void *)post, (void *)post_with_priority}},
	{{NODE "25CallDelayedOnWorkerThread" TASK18 "d",
		 NODE "33PostDelayedTaskOnWorkerThreadImpl" TASK22 "dRKNS1_14SourceLocationE"},
		{(void *)post_delayed, (void *)post_delayed_with_priority}},
	{{NODE "10DrainTasksEPN2v87IsolateE"}, {(void *)drain_tasks}},
	{{NODE "21NumberOfWorkerThreadsEv"}, {(void *)number_of_workers}},
};

static void *
find(const char *name)
{
	return dlsym(RTLD_DEFAULT, name);
}

/* The platform object, by what Node's header node.h offers to embedders. */
static void *
find_platform(void **ret_isolate)
{
	void *(*isolate_of)(void), *(*context_of)(void *), *(*environment_of)(void *);
	void *(*platform_of)(void *), *environment;

	*(void **)&isolate_of = find("_ZN2v87Isolate10GetCurrentEv");
	*(void **)&context_of = find("_ZN2v87Isolate17GetCurrentContextEv");
	*(void **)&environment_of =
		find("_ZN4node21GetCurrentEnvironmentEN2v85LocalINS0_7ContextEEE");
	*(void **)&platform_of = find("_ZN4node23GetMultiIsolatePlatformEPNS_11EnvironmentE");
	if (!isolate_of || !context_of || !environment_of || !platform_of)
		return NULL;
	*ret_isolate = isolate_of();
	environment = environment_of(context_of(*ret_isolate));
	return environment ? platform_of(environment) : NULL;
}

static bool
replace_slot(const struct slot *slot, void **table, size_t n)
{
	for (size_t name = 0; name < 2 && slot->names[name]; name++) {
		void *symbol = find(slot->names[name]);

		for (size_t i = 0; symbol && i < n; i++) {
			if (table[i] == symbol) {
				table[i] = slot->functions[name];
				return true;
			}
		}
	}
	return false;
}

/* A copy of the table with our functions in it, for as long as the process lives; NULL unless every
 * slot was found. */
static void **
copy_table(void *const *table)
{
	size_t n = 0;
	void **copy;

	while (n < SLOTS_MAX && table[n])
		n++;
	copy = mem_new((n + HEAD + 1) * sizeof(*copy));
	memcpy(copy, table - HEAD, (n + HEAD) * sizeof(*copy));
	copy[n + HEAD] = NULL;
	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++) {
		if (!replace_slot(&slots[i], copy + HEAD, n)) {
			free(copy);
			return NULL;
		}
	}
	return copy + HEAD;
}

const char *
platform_replace(void)
{
	void **original = find("_ZTVN4node12NodePlatformE");
	void *isolate = NULL, *platform = find_platform(&isolate), **table;
	void (*original_drain)(void *platform, void *isolate);
	pthread_condattr_t monotonic;

	*(void **)&original_drain = find(slots[2].names[0]);
	*(void **)&at.flush = find(NODE "20FlushForegroundTasksEPN2v87IsolateE");
	if (!original || !platform || !original_drain || !at.flush)
		return "it does not export what its platform is made of";
	if (*(void ***)platform != original + HEAD)
		return "its platform is not a NodePlatform";
	table = copy_table(original + HEAD);
	if (!table)
		return "its platform has other functions";
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&at.work, &monotonic);
	pthread_condattr_destroy(&monotonic);
	original_drain(platform, isolate);
	__atomic_store_n((void ***)platform, table, __ATOMIC_SEQ_CST);
	return NULL;
}
