/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/fdinfo_mend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/procfile.h"

#define MEND_FLAGS     (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK)
#define MEND_EPOLL_MAX 256
#define MEND_READS     1024 /* of an eventfd that counts down by one */
#define MEND_MASK_SIZE 8    /* of a set of signals in the kernel */

int
fdinfo_mend_take(struct subject *subject, const struct fdinfo *info, struct keeper_reply *reply)
{
	int fd = (int)syscall(SYS_pidfd_getfd, subject->pidfd, info->number, 0);

	if (fd < 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "taking %s %d: %s",
			fdinfo_word(info->kind), info->number, strerror(errno));
	return fd;
}

static int
mend_refuse(const struct fdinfo *info, struct str key, struct keeper_reply *reply)
{
	return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "%s %d: %.*s has changed",
		fdinfo_word(info->kind), info->number, STR_ARG(key));
}

/* ---- one line each ---- */

static int
mend_position(int fd, struct str was)
{
	return lseek(fd, (off_t)strtoll(was.at, NULL, 10), SEEK_SET) < 0 ? -1 : 0;
}

static int
mend_flags(
	struct subject *subject, const struct fdinfo *info, int fd, struct str was, struct str is)
{
	unsigned long old = strtoul(was.at, NULL, 8), now = strtoul(is.at, NULL, 8);

	if ((old ^ now) & ~(unsigned long)(MEND_FLAGS | O_CLOEXEC))
		return -1;
	if ((old ^ now) & O_CLOEXEC)
		subject_add_call(subject, SYS_fcntl, (uint64_t)info->number, F_SETFD,
			old & O_CLOEXEC ? FD_CLOEXEC : 0);
	return (old ^ now) & MEND_FLAGS ? fcntl(fd, F_SETFL, (int)old) : 0;
}

/* Reading one with a count does not wait, for nobody else reads it now. */
static int
mend_count(int fd, struct str was, struct str is)
{
	uint64_t old = strtoull(was.at, NULL, 16), now = strtoull(is.at, NULL, 16), got;

	for (int i = 0; now > 0; i++, now -= got) {
		if (i == MEND_READS || read(fd, &got, sizeof(got)) != sizeof(got) || got > now)
			return -1;
	}
	return old == 0 || write(fd, &old, sizeof(old)) == sizeof(old) ? 0 : -1;
}

bool
fdinfo_mend_is_armed(const struct fdinfo *info)
{
	struct str value = procfile_value(info->was, "it_value");

	return !str_eq(value, STR("(0, 0)"));
}

/* Its expirations are forgotten with it. */
static int
mend_timer(const struct fdinfo *info, int fd)
{
	static const struct itimerspec none;
	struct str flags = procfile_value(info->was, "settime flags");

	return timerfd_settime(fd, (int)strtol(flags.at ?: "", NULL, 8), &none, NULL);
}

static int
mend_mask(struct subject *subject, const struct fdinfo *info, struct str was)
{
	uint64_t mask = strtoull(was.at, NULL, 16);

	subject_add_call(subject, SYS_signalfd4, (uint64_t)info->number,
		subject_reserve(subject, &mask, sizeof(mask)), MEND_MASK_SIZE, 0);
	return 0;
}

static int
mend_line(struct subject *subject, const struct fdinfo *info, int fd, struct str key,
	struct str was, struct str is)
{
	if (str_eq(key, STR("pos")))
		return mend_position(fd, was);
	if (str_eq(key, STR("flags")))
		return mend_flags(subject, info, fd, was, is);
	if (str_eq(key, STR("eventfd-count")))
		return mend_count(fd, was, is);
	if (str_eq(key, STR("sigmask")))
		return mend_mask(subject, info, was);
	/* What waits in a socket aspect_socket takes out. */
	if (str_eq(key, STR("scm_fds")))
		return 0;
	if (info->kind == FDINFO_TIMERFD && !str_eq(key, STR("clockid")) &&
		!str_eq(key, STR("ino")) && !str_eq(key, STR("mnt_id")))
		return mend_timer(info, fd);
	return -1;
}

/* ---- registrations of an epoll ---- */

struct mend_watch {
	int number;
	uint32_t events;
	uint64_t data;
	struct str file; /* which file it is: inode and device */
};

/* "tfd: <number> events: <hex> data: <hex>  pos:<n> ino:<hex> sdev:<hex>" */
static bool
mend_read_watch(struct str line, struct mend_watch *ret)
{
	char text[160];
	unsigned long long data;
	const char *file;

	snprintf(text, sizeof(text), "%.*s", STR_ARG(line));
	if (sscanf(text, "tfd: %d events: %x data: %llx", &ret->number, &ret->events, &data) != 3)
		return false;
	ret->data = data;
	file = memmem(line.at, line.len, "ino:", 4);
	ret->file = file ? str_n(file, line.len - (size_t)(file - line.at)) : STR_NONE;
	return true;
}

/* The watches of a text; -1 when there are too many. */
static int
mend_read_watches(const char *text, struct mend_watch ret[static MEND_EPOLL_MAX])
{
	struct str rest = str_of(text);
	int n = 0;

	while (rest.len > 0) {
		struct str line = str_cut(&rest, '\n');

		if (!str_starts(line, STR("tfd:")))
			continue;
		if (n == MEND_EPOLL_MAX || !mend_read_watch(line, &ret[n]))
			return -1;
		n++;
	}
	return n;
}

static const struct mend_watch *
mend_find_watch(const struct mend_watch *watches, int n, const struct mend_watch *wanted)
{
	for (int i = 0; i < n; i++) {
		if (watches[i].number == wanted->number && str_eq(watches[i].file, wanted->file))
			return &watches[i];
	}
	return NULL;
}

static void
mend_control(struct subject *subject, const struct fdinfo *info, uint64_t what,
	const struct mend_watch *watch)
{
	struct epoll_event event = {.events = watch->events, .data.u64 = watch->data};

	subject_add_call(subject, SYS_epoll_ctl, (uint64_t)info->number, what,
		(uint64_t)watch->number, subject_reserve(subject, &event, sizeof(event)));
}

/* Those that are too many first: a number may be registered anew. A closed file that somebody has
 * sent away is not found by its number; then check sees it. */
static int
mend_epoll(struct subject *subject, const struct fdinfo *info, const char *is)
{
	struct mend_watch old[MEND_EPOLL_MAX], now[MEND_EPOLL_MAX];
	int n_old = mend_read_watches(info->was, old), n_now = mend_read_watches(is, now);

	if (n_old < 0 || n_now < 0)
		return -1;
	for (int i = 0; i < n_now; i++) {
		if (!mend_find_watch(old, n_old, &now[i]))
			mend_control(subject, info, EPOLL_CTL_DEL, &now[i]);
	}
	for (int i = 0; i < n_old; i++) {
		const struct mend_watch *found = mend_find_watch(now, n_now, &old[i]);

		if (!found)
			mend_control(subject, info, EPOLL_CTL_ADD, &old[i]);
		else if (found->events != old[i].events || found->data != old[i].data)
			mend_control(subject, info, EPOLL_CTL_MOD, &old[i]);
	}
	return 0;
}

/* ---- all lines ---- */

/* The next line that is not a registration. False at the end. */
static bool
mend_cut_line(struct str *rest, struct str *ret_key, struct str *ret_value)
{
	do {
		if (!procfile_cut_line(rest, ret_key, ret_value))
			return false;
	} while (str_eq(*ret_key, STR("tfd")));
	return true;
}

int
fdinfo_mend(struct subject *subject, const struct fdinfo *info, const char *is,
	struct keeper_reply *reply)
{
	struct str old = str_of(info->was), now = str_of(is), key, key_now, was, value;
	OWN(fd) int fd = fdinfo_mend_take(subject, info, reply);

	if (fd < 0)
		return -1;
	while (mend_cut_line(&old, &key, &was)) {
		if (!mend_cut_line(&now, &key_now, &value) || !str_eq(key, key_now))
			return mend_refuse(info, key, reply);
		if (!str_eq(was, value) && mend_line(subject, info, fd, key, was, value) < 0)
			return mend_refuse(info, key, reply);
	}
	if (mend_cut_line(&now, &key_now, &value))
		return mend_refuse(info, key_now, reply);
	if (info->kind == FDINFO_EPOLL && mend_epoll(subject, info, is) < 0)
		return mend_refuse(info, STR("what it watches"), reply);
	return 0;
}
