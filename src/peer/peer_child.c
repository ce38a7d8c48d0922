/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/peer_child.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "peer/peer_guard.h"
#include "peer/peer_process.h"

enum { CHILD_READ_BYTES = 256 * 1024, CHILD_READS = 16 /* in one turn */ };

int
peer_child_shut(const char *name, struct err *err)
{
	/* It was exec'd by a link, which gives another. */
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	return peer_guard_shut(err);
}

/* The daemon reads always: it may be waited for. */
bool
peer_child_write(struct buf *out)
{
	while (out->len) {
		ssize_t n = send(PEER_FD, out->at, out->len, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			buf_eat(out, (size_t)n);
	}
	return true;
}

static bool
child_do_frames(struct peer_child *child)
{
	const struct buf *in = &child->in;
	size_t used = 0;

	for (;;) {
		struct peer_frame frame;
		struct str texts;
		struct err err = {0};
		int64_t n = peer_frame_next(
			str_n(in->at + used, in->len - used), child->kinds, &frame, &texts, &err);

		if (n < 0 || (n > 0 && !child->ask(child->arg, &frame, texts)))
			return false;
		if (n == 0)
			break;
		used += (size_t)n;
	}
	if (used)
		buf_eat(&child->in, used);
	return true;
}

bool
peer_child_read(struct peer_child *child)
{
	bool is_end = false;

	for (int i = 0; i < CHILD_READS && !is_end; i++) {
		ssize_t n = recv(PEER_FD, buf_room(&child->in, CHILD_READ_BYTES), CHILD_READ_BYTES,
			MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n > 0)
			buf_grew(&child->in, (size_t)n);
		is_end = n <= 0;
	}
	/* Its last words count. */
	return child_do_frames(child) && !is_end;
}
