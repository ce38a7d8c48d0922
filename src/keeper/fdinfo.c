/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/fdinfo.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/own.h"
#include "keeper/fdinfo_mend.h"
#include "keeper/procfile.h"

#define FDINFO_READS 64 /* that empty a pipe */

const char *
fdinfo_word(enum fdinfo_kind kind)
{
	static const char *const words[] = {
		[FDINFO_FILE] = "file",
		[FDINFO_SOCKET] = "socket",
		[FDINFO_PIPE] = "pipe",
		[FDINFO_EVENTFD] = "eventfd",
		[FDINFO_EPOLL] = "epoll",
		[FDINFO_TIMERFD] = "timerfd",
		[FDINFO_SIGNALFD] = "signalfd",
		[FDINFO_INOTIFY] = "inotify",
		[FDINFO_PIDFD] = "pidfd",
	};

	return words[kind];
}

/* ---- KEEP ---- */

static int
fdinfo_read(const struct fdinfo *info, char *ret, struct keeper_reply *reply)
{
	if (procfile_read(info->fd, ret, FDINFO_SIZE) >= 0)
		return 0;
	if (errno == ENOENT)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "%s %d was closed",
			fdinfo_word(info->kind), info->number);
	return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "reading of %s %d: %s",
		fdinfo_word(info->kind), info->number, strerror(errno));
}

/* What lies in the file is seen by aspect_files where that is /tmp; elsewhere nobody may write. One
 * without a name can be written although this number is for reading: it can be opened once more,
 * through /proc. */
static int
fdinfo_learn_file(
	struct subject *subject, struct fdinfo *info, const char *link, struct keeper_reply *reply)
{
	struct stat stat, tmp;
	char path[32];
	struct str flags = procfile_value(info->was, "flags");
	bool is_on_tmp, is_read_only;

	snprintf(path, sizeof(path), "fd/%d", info->number);
	if (fstatat(subject->proc, path, &stat, 0) < 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "descriptor %d: %s", info->number,
			strerror(errno));
	info->kind = S_ISFIFO(stat.st_mode) ? FDINFO_PIPE : FDINFO_FILE;
	if (!S_ISREG(stat.st_mode))
		return 0;
	if (strncmp(link, "/memfd:", 7) == 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "it has a memfd");
	if (fstatat(subject->proc, "root/tmp", &tmp, 0) < 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "/tmp: %s", strerror(errno));
	is_on_tmp = stat.st_dev == tmp.st_dev;
	is_read_only = (strtoul(flags.at ?: "", NULL, 8) & O_ACCMODE) == O_RDONLY;
	if ((is_on_tmp && stat.st_nlink == 0) || (!is_on_tmp && !is_read_only))
		return verdict(
			reply, KEEPER_CAUSE_DESCRIPTORS, "it has a file that has no name in /tmp");
	return 0;
}

static int
fdinfo_learn_kind(
	struct subject *subject, struct fdinfo *info, const char *link, struct keeper_reply *reply)
{
	static const struct {
		const char *begins;
		enum fdinfo_kind kind;
	} kinds[] = {
		{"socket:", FDINFO_SOCKET},
		{"pipe:", FDINFO_PIPE},
		{"anon_inode:[eventfd]", FDINFO_EVENTFD},
		{"anon_inode:[eventpoll]", FDINFO_EPOLL},
		{"anon_inode:[timerfd]", FDINFO_TIMERFD},
		{"anon_inode:[signalfd]", FDINFO_SIGNALFD},
		{"anon_inode:inotify", FDINFO_INOTIFY},
		{"anon_inode:[pidfd]", FDINFO_PIDFD},
		{"pidfd:", FDINFO_PIDFD},
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strncmp(link, kinds[i].begins, strlen(kinds[i].begins)) == 0) {
			info->kind = kinds[i].kind;
			return 0;
		}
	}
	if (link[0] == '/')
		return fdinfo_learn_file(subject, info, link, reply);
	return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "descriptor %d is of a kind not known",
		info->number);
}

/* The write end of a pipe that leads out is emptied by others when they like. */
static bool
fdinfo_has_queue(const struct fdinfo *info)
{
	struct str flags = procfile_value(info->was, "flags");

	return info->kind == FDINFO_INOTIFY ||
	       (info->kind == FDINFO_PIPE &&
		       (strtoul(flags.at ?: "", NULL, 8) & O_ACCMODE) != O_WRONLY);
}

static short
fdinfo_events(int fd)
{
	struct pollfd watched = {fd, POLLIN, 0};

	return fd >= 0 && poll(&watched, 1, 0) > 0 ? watched.revents & POLLIN : 0;
}

/* Copies what waits in a pipe, and leaves it there. Gives how much that is, -1 for too much. */
static ssize_t
fdinfo_peek(int fd, char ret[static FDINFO_WAITING])
{
	static int aside[2] = {-1, -1}; /* for ever */
	int waiting = 0;
	ssize_t n;

	if (ioctl(fd, FIONREAD, &waiting) < 0 || waiting > FDINFO_WAITING)
		return -1;
	if (aside[0] < 0 && pipe2(aside, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	n = tee(fd, aside[1], FDINFO_WAITING, SPLICE_F_NONBLOCK);
	if (n < 0)
		return errno == EAGAIN && waiting == 0 ? 0 : -1;
	if (read(aside[0], ret, FDINFO_WAITING) != n)
		return -1;
	return n == waiting ? n : -1;
}

/* Through a duplicate that lives as long as the look. */
static int
fdinfo_learn_queue(struct subject *subject, struct fdinfo *info, struct keeper_reply *reply)
{
	OWN(fd) int fd = -1;
	ssize_t n;

	info->has_queue = fdinfo_has_queue(info);
	if (!info->has_queue)
		return 0;
	fd = fdinfo_mend_take(subject, info, reply);
	if (fd < 0)
		return -1;
	if (!fdinfo_events(fd))
		return 0;
	n = info->kind == FDINFO_PIPE ? fdinfo_peek(fd, info->waiting) : -1;
	if (n < 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "a %s has something to be read",
			fdinfo_word(info->kind));
	info->n_waiting = (size_t)n;
	return 0;
}

int
fdinfo_learn(struct subject *subject, int number, struct fdinfo *ret, struct keeper_reply *reply)
{
	static char text[FDINFO_SIZE];
	char path[32], link[256];
	ssize_t n;

	*ret = (struct fdinfo){.number = number, .fd = -1};
	snprintf(path, sizeof(path), "fd/%d", number);
	n = readlinkat(subject->proc, path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	ret->fd = procfile_open(subject, reply, "fdinfo/%d", number);
	if (ret->fd < 0 || fdinfo_read(ret, text, reply) < 0)
		return -1;
	ret->was = str_dup(str_of(text));
	if (fdinfo_learn_kind(subject, ret, link, reply) < 0)
		return -1;
	if (ret->kind == FDINFO_TIMERFD && fdinfo_mend_is_armed(ret))
		return verdict(reply, KEEPER_CAUSE_TIMERS, "a timerfd runs");
	return fdinfo_learn_queue(subject, ret, reply);
}

void
fdinfo_done(struct fdinfo *info)
{
	own_fd(&info->fd);
	free(info->was);
	*info = (struct fdinfo){.fd = -1};
}

/* ---- RENEW ---- */

/* What the program has sent to itself. Bytes that wait can be read without waiting. */
static int
fdinfo_empty(struct subject *subject, const struct fdinfo *info, struct keeper_reply *reply)
{
	OWN(fd) int fd = fdinfo_mend_take(subject, info, reply);
	char bytes[65536];

	if (fd < 0)
		return -1;
	if (info->n_waiting) {
		ssize_t n = fdinfo_peek(fd, bytes);

		if (n != (ssize_t)info->n_waiting || memcmp(bytes, info->waiting, n) != 0)
			return verdict(reply, KEEPER_CAUSE_DESCRIPTORS,
				"a pipe does not hold what it held");
		return 0;
	}
	for (int i = 0; fdinfo_events(fd); i++) {
		if (i == FDINFO_READS || read(fd, bytes, sizeof(bytes)) <= 0)
			return verdict(reply, KEEPER_CAUSE_DESCRIPTORS,
				"a %s has something to be read", fdinfo_word(info->kind));
	}
	return 0;
}

int
fdinfo_look(struct subject *subject, struct fdinfo *info, struct keeper_reply *reply)
{
	static char text[FDINFO_SIZE];

	info->is_mended = false;
	if (fdinfo_read(info, text, reply) < 0)
		return -1;
	if (strcmp(text, info->was) != 0) {
		info->is_mended = true;
		if (fdinfo_mend(subject, info, text, reply) < 0)
			return -1;
	}
	if (info->has_queue) {
		info->queue_at = subject_reserve(subject, NULL, sizeof(int));
		subject_add_call(
			subject, SYS_ioctl, (uint64_t)info->number, FIONREAD, info->queue_at);
	}
	return 0;
}

/* Empty, as it was. */
static bool
fdinfo_is_empty(const struct subject *subject, const struct fdinfo *info)
{
	int n;

	memcpy(&n, subject_scratch(subject, info->queue_at), sizeof(n));
	return n == 0 && info->n_waiting == 0;
}

int
fdinfo_check(struct subject *subject, struct fdinfo *info, struct keeper_reply *reply)
{
	static char text[FDINFO_SIZE];

	if (info->has_queue && !fdinfo_is_empty(subject, info) &&
		fdinfo_empty(subject, info, reply) < 0)
		return -1;
	if (!info->is_mended)
		return 0;
	if (fdinfo_read(info, text, reply) < 0)
		return -1;
	if (strcmp(text, info->was) != 0)
		return verdict(reply, KEEPER_CAUSE_DESCRIPTORS, "%s %d cannot be put back",
			fdinfo_word(info->kind), info->number);
	return 0;
}
