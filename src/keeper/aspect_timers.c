/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that waits for a call with a timer running is not one that can be brought back: the
 * timer goes on while it is written over. So at the snapshot there are none, and all that are there
 * later go.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/aspect.h"
#include "keeper/procfile.h"
#include "keeper/thread_facts.h"

#define TIMERS_INTERVALS 3 /* ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF */
#define TIMERS_MAX       256
#define TIMERS_TEXT_SIZE 65536 /* a timer takes some 90 bytes */

static struct {
	int posix;             /* owned: /proc/<pid>/timers */
	uint64_t intervals_at; /* in the batch's scratch: what they were before it */
	size_t first, n;       /* calls in the batch */
} timers = {.posix = -1};

static int
timers_read(char *ret, struct keeper_reply *reply)
{
	if (procfile_read(timers.posix, ret, TIMERS_TEXT_SIZE) < 0)
		return verdict(reply, KEEPER_CAUSE_TIMERS, "reading timers: %s", strerror(errno));
	return 0;
}

static int
timers_learn(struct subject *subject, struct keeper_reply *reply)
{
	static char text[TIMERS_TEXT_SIZE];

	own_fd(&timers.posix);
	timers.posix = procfile_open(subject, reply, "timers");
	if (timers.posix < 0 || timers_read(text, reply) < 0)
		return -1;
	if (text[0])
		return verdict(reply, KEEPER_CAUSE_TIMERS, "it has POSIX timers");
	timers.intervals_at =
		subject_reserve(subject, NULL, TIMERS_INTERVALS * sizeof(struct itimerval));
	for (uint64_t i = 0; i < TIMERS_INTERVALS; i++)
		subject_add_call(subject, SYS_getitimer, i,
			timers.intervals_at + i * sizeof(struct itimerval));
	return 0;
}

/* Whether one of the interval timers was running. */
static bool
timers_is_any_set(const struct subject *subject)
{
	static const struct itimerval none[TIMERS_INTERVALS];

	return memcmp(subject_scratch(subject, timers.intervals_at), none, sizeof(none)) != 0;
}

static int
timers_learnt(struct subject *subject, struct keeper_reply *reply)
{
	if (timers_is_any_set(subject))
		return verdict(reply, KEEPER_CAUSE_TIMERS, "an interval timer runs");
	return 0;
}

/* "ID: <number>" begins what is said of each. */
static int
timers_delete(struct subject *subject, const char *text, struct keeper_reply *reply)
{
	struct str rest = str_of(text), key, value;
	uint64_t id;

	while (procfile_cut_line(&rest, &key, &value)) {
		if (!str_eq(key, STR("ID")) || !str_to_u64(value, &id))
			continue;
		if (timers.n - TIMERS_INTERVALS == TIMERS_MAX)
			return verdict(reply, KEEPER_CAUSE_TIMERS, "too many timers");
		subject_add_call(subject, SYS_timer_delete, id);
		timers.n++;
		/* It may send its signal to one thread. */
		thread_facts_doubt();
	}
	return 0;
}

static int
timers_look(struct subject *subject, struct keeper_reply *reply)
{
	static char text[TIMERS_TEXT_SIZE];
	uint64_t none = subject_reserve(subject, NULL, sizeof(struct itimerval));

	timers.intervals_at =
		subject_reserve(subject, NULL, TIMERS_INTERVALS * sizeof(struct itimerval));
	timers.n = TIMERS_INTERVALS;
	for (uint64_t i = 0; i < TIMERS_INTERVALS; i++) {
		size_t at = subject_add_call(subject, SYS_setitimer, i, none,
			timers.intervals_at + i * sizeof(struct itimerval));

		if (i == 0)
			timers.first = at;
	}
	return timers_read(text, reply) < 0 ? -1 : timers_delete(subject, text, reply);
}

static int
timers_check(struct subject *subject, struct keeper_reply *reply)
{
	static char text[TIMERS_TEXT_SIZE];

	for (size_t i = timers.first; i < timers.first + timers.n; i++) {
		if (subject->batch[i].result < 0)
			return verdict(reply, KEEPER_CAUSE_TIMERS, "stopping a timer: %s",
				strerror((int)-subject->batch[i].result));
	}
	if (timers.n == TIMERS_INTERVALS && !timers_is_any_set(subject))
		return 0;
	if (timers_read(text, reply) < 0)
		return -1;
	if (text[0])
		return verdict(reply, KEEPER_CAUSE_TIMERS, "timers are left");
	return 0;
}

const struct aspect aspect_timers = {
	"timers", timers_learn, timers_learnt, timers_look, timers_check};
