/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-amqp - speaks to a RabbitMQ for the daemon (peer_process.h), with no rights of its own.
 *
 *	mayfly-amqp UID GID     the parent: starts a child for each lane, and another when one ends
 *	mayfly-amqp --lane N    the child: librabbitmq reads what a broker sends here, and only here
 */
#include <amqp.h>
#include <amqp_ssl_socket.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "amqp/broker.h"
#include "base/own.h"
#include "peer/peer_child.h"
#include "peer/peer_parent.h"
#include "peer/peer_process.h"

static bool
main_ask(void *arg, const struct peer_frame *frame, struct str texts)
{
	return broker_ask(arg, frame, texts);
}

static void
main_serve(struct broker *broker, struct buf *out)
{
	struct peer_child child = {.kinds = AMQP_FRAME_KINDS, .ask = main_ask, .arg = broker};
	bool is_more = false;

	for (;;) {
		struct pollfd watched[] = {{PEER_FD, POLLIN, 0}, {broker_fd(broker), POLLIN, 0}};

		if (poll(watched, 2, is_more ? 0 : PEER_CHILD_TICK_MS) < 0 && errno != EINTR)
			break;
		if (watched[0].revents && !peer_child_read(&child))
			break;
		is_more = broker_turn(broker);
		if (!peer_child_write(out))
			break;
	}
	buf_done(&child.in);
}

static int
main_lane(const char *lane)
{
	OWN(buf) struct buf out = BUF_INIT;
	struct err err = {0};
	struct broker *broker;

	amqp_initialize_ssl_library();
	if (peer_child_shut("mayfly-amqp", &err) < 0) {
		fprintf(stderr, "mayfly-amqp: lane %s: %s\n", lane, err.text);
		return 1;
	}
	broker = broker_new(&out);
	main_serve(broker, &out);
	broker_free(broker);
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--lane") == 0)
		return main_lane(argv[2]);
	if (argc == 3)
		return peer_parent_main("mayfly-amqp", AMQP_LANES, argv[1], argv[2]);
	fputs("mayfly-amqp is started by mayfly-daemon\n", stderr);
	return 2;
}
