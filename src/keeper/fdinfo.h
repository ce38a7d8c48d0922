/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fdinfo - what the kernel says of one open descriptor, and the ways to make it say what it said.
 *
 * proc(5), /proc/<pid>/fdinfo: position, flags, inode, and for some kinds what they hold. Two
 * descriptors of which it says the same are the same to the program: a file is known by its inode
 * and mount, an eventfd by its count, an epoll by what is registered. A file kept open here tells
 * of whatever has the number by then.
 *
 * Knows nothing of who closes what is new. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_FDINFO_H
#define MAYFLY_KEEPER_FDINFO_H

#include "keeper/subject.h"

enum { FDINFO_SIZE = 16384 }; /* an epoll of 200 descriptors */
enum { FDINFO_WAITING = 16 };

enum fdinfo_kind {
	FDINFO_FILE,   /* regular, a folder, a device */
	FDINFO_SOCKET, /* aspect_socket sees what it holds */
	FDINFO_PIPE,
	FDINFO_EVENTFD,
	FDINFO_EPOLL,
	FDINFO_TIMERFD,
	FDINFO_SIGNALFD,
	FDINFO_INOTIFY,
	FDINFO_PIDFD,
};

struct fdinfo {
	int number; /* in the subject */
	enum fdinfo_kind kind;
	int fd;            /* owned: its file in /proc */
	char *was;         /* owned: its text at KEEP */
	bool has_queue;    /* bytes may wait in it: pipes, inotify */
	uint64_t queue_at; /* in the batch's scratch: how many do */
	/* What waited in a pipe at KEEP: libuv keeps a lock as one byte in a pipe to itself. */
	char waiting[FDINFO_WAITING];
	size_t n_waiting;
	bool is_mended;
};

/* A verdict for kinds that cannot be brought back. */
int fdinfo_learn(
	struct subject *subject, int number, struct fdinfo *ret, struct keeper_reply *reply);
void fdinfo_done(struct fdinfo *info);

/* Puts back what it can, adds to the batch what the program must do, and marks it mended; what
 * cannot be is a verdict. */
int fdinfo_look(struct subject *subject, struct fdinfo *info, struct keeper_reply *reply);

/* After the batch: takes out what waits in it; whether all that was mended is as it was. */
int fdinfo_check(struct subject *subject, struct fdinfo *info, struct keeper_reply *reply);

const char *fdinfo_word(enum fdinfo_kind kind); /* "eventfd" */

#endif
