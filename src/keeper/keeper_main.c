/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-keeper - keeps one sandbox as it was when its function was loaded (keeper.h).
 *
 * Descriptor 3 is the daemon, 4 the spawner, which says whom to keep. It ends, and the kernel kills
 * what it holds stopped, when either leaves it no more to do: the daemon's socket has ended, or the
 * program that it keeps.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/own.h"
#include "keeper/deadline.h"
#include "keeper/guard.h"
#include "keeper/keep.h"
#include "keeper/subject.h"

#define KEEPER_KEEP_MS  3000
#define KEEPER_RENEW_MS 2000

static struct subject keeper_subject;
static const struct keep_mechanism *keeper_mechanism; /* NULL: nothing is kept */
static bool keeper_is_spoilt;

static bool
keeper_receive(int fd, void *ret, size_t size)
{
	ssize_t n;

	do {
		n = recv(fd, ret, size, 0);
	} while (n < 0 && errno == EINTR);
	return n == (ssize_t)size;
}

/* ---- requests ---- */

static void
keeper_keep(const struct keeper_request *request, struct keeper_reply *reply)
{
	const struct keep_mechanism *mechanism = keep_find(request->mechanism);
	int rc;

	deadline_set(KEEPER_KEEP_MS);
	if (!mechanism || keeper_mechanism)
		rc = verdict(reply, KEEPER_CAUSE_KERNEL, "no such request");
	else
		rc = mechanism->keep(&keeper_subject, reply);
	if (rc == 0)
		keeper_mechanism = mechanism;
	reply->event = rc == 0 ? KEEPER_KEPT : KEEPER_UNABLE;
}

static void
keeper_renew(struct keeper_reply *reply)
{
	int rc;

	deadline_set(KEEPER_RENEW_MS);
	if (!keeper_mechanism || keeper_is_spoilt)
		rc = verdict(reply, KEEPER_CAUSE_KERNEL, "nothing is kept");
	else
		rc = keeper_mechanism->renew(&keeper_subject, reply);
	keeper_is_spoilt |= rc < 0;
	reply->event = rc == 0 ? KEEPER_RENEWED : KEEPER_SPOILT;
}

static bool
keeper_serve(void)
{
	struct keeper_reply reply = {.magic = KEEPER_MAGIC};
	struct keeper_request request;
	uint64_t from;

	if (!keeper_receive(KEEPER_FD_DAEMON, &request, sizeof(request)) ||
		request.magic != KEEPER_MAGIC)
		return false;
	from = clock_mono_us();
	if (request.op == KEEPER_KEEP)
		keeper_keep(&request, &reply);
	else if (request.op == KEEPER_RENEW)
		keeper_renew(&reply);
	else
		return false;
	deadline_clear();
	reply.figures.us = (uint32_t)(clock_mono_us() - from);
	return send(KEEPER_FD_DAEMON, &reply, sizeof(reply), MSG_NOSIGNAL) == sizeof(reply);
}

/* ---- its life ---- */

static void
keeper_bury_child(void)
{
	deadline_set(KEEPER_RENEW_MS);
	keeper_mechanism->on_ended(&keeper_subject);
	deadline_clear();
	keeper_is_spoilt = true;
}

static void
keeper_run(void)
{
	for (;;) {
		struct pollfd watched[] = {{KEEPER_FD_DAEMON, POLLIN, 0},
			{keeper_subject.pidfd, POLLIN, 0}, {-1, POLLIN, 0}};

		if (keeper_mechanism && keeper_mechanism->watched && !keeper_is_spoilt)
			watched[2].fd = keeper_mechanism->watched();
		if (poll(watched, 3, -1) < 0 && errno != EINTR)
			return;
		if (watched[1].revents)
			return;
		if (watched[0].revents && !keeper_serve())
			return;
		if (!watched[0].revents && watched[2].revents)
			keeper_bury_child();
	}
}

/* What cannot be opened is told with the first request, so that the daemon hears why. */
static void
keeper_refuse(const struct keeper_reply *why)
{
	struct keeper_request request;
	struct keeper_reply reply = *why;

	while (keeper_receive(KEEPER_FD_DAEMON, &request, sizeof(request))) {
		reply.magic = KEEPER_MAGIC;
		reply.event = request.op == KEEPER_KEEP ? KEEPER_UNABLE : KEEPER_SPOILT;
		send(KEEPER_FD_DAEMON, &reply, sizeof(reply), MSG_NOSIGNAL);
	}
}

/* Before it the main program may still be on its way to what it will be: another memory, which
 * nobody may open. */
static void
keeper_await_request(void)
{
	struct pollfd watched = {KEEPER_FD_DAEMON, POLLIN, 0};

	while (poll(&watched, 1, -1) < 0 && errno == EINTR)
		;
}

int
main(void)
{
	struct keeper_reply reply = {0};
	struct keeper_subject told;
	struct err err = {0};

	/* It was exec'd by a descriptor, which gives no name. */
	prctl(PR_SET_NAME, "mayfly-keeper");
	if (!keeper_receive(KEEPER_FD_SPAWNER, &told, sizeof(told)) || told.magic != KEEPER_MAGIC)
		return 1;
	close(KEEPER_FD_SPAWNER);
	keeper_await_request();
	if (guard_shut(&err) < 0) {
		verdict(&reply, KEEPER_CAUSE_KERNEL, "%.100s", err.text);
		keeper_refuse(&reply);
	} else if (subject_open(&keeper_subject, &told, &reply) < 0) {
		keeper_refuse(&reply);
	} else {
		keeper_run();
	}
	subject_close(&keeper_subject);
	return 0;
}
