/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_amqp_consume - how many queues the daemon takes from; there is no broker yet.
 */
#include "unit.h"

#include <sys/socket.h>

#include "amqp/amqp.h"
#include "base/mem.h"
#include "net/loop.h"

struct kit {
	struct loop *loop;
	struct amqp *amqp;
	int peer;
	unsigned n_refused;
	char refused[64];
	int code;
	bool is_closed;
};

static void
on_refused(const char *what, const struct err *why, void *arg)
{
	struct kit *kit = arg;

	kit->n_refused++;
	kit->code = why->code;
	snprintf(kit->refused, sizeof(kit->refused), "%s", what);
}

static void
on_closed(void *arg)
{
	((struct kit *)arg)->is_closed = true;
}

static void
on_message(struct amqp_consumer *consumer, const struct amqp_message *message, void *arg)
{
}

static void
kit_open(struct kit *kit) ON_LOOP
{
	struct amqp_config config = {.url = "amqp://mayfly@127.0.0.1:5672/"};
	struct err err = {0};
	int ends[2];

	*kit = (struct kit){0};
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends), 0);
	kit->peer = ends[1];
	assert_int_equal(loop_new(&kit->loop, &err), 0);
	config.loop = kit->loop;
	config.process.fd = ends[0];
	assert_int_equal(amqp_open(&config, &kit->amqp, &err), 0);
	amqp_on_refused(kit->amqp, on_refused, kit);
}

static void
kit_close(struct kit *kit) ON_LOOP
{
	amqp_close(kit->amqp, on_closed, kit);
	while (!kit->is_closed)
		uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
	loop_free(kit->loop);
	close(kit->peer);
}

static void
one_queue_too_many_is_refused_and_fits_when_another_goes(void **state)
{
	OWN(mem)
	struct amqp_consumer **all = mem_new(AMQP_CONSUMERS_MAX * sizeof(struct amqp_consumer *));
	struct kit kit;

	thread_on_loop();
	kit_open(&kit);
	for (unsigned i = 0; i < AMQP_CONSUMERS_MAX; i++) {
		all[i] = amqp_consume(kit.amqp, "one", 1, on_message, NULL);
		assert_non_null(all[i]);
	}
	assert_int_equal(kit.n_refused, 0);
	assert_null(amqp_consume(kit.amqp, "too many", 1, on_message, NULL));
	assert_int_equal(kit.n_refused, 1);
	assert_int_equal(kit.code, ERR_RATE);
	assert_string_equal(kit.refused, "too many");
	amqp_cancel(all[7]);
	amqp_cancel(all[40000]);
	assert_non_null(amqp_consume(kit.amqp, "again", 1, on_message, NULL));
	assert_non_null(amqp_consume(kit.amqp, "again", 1, on_message, NULL));
	assert_null(amqp_consume(kit.amqp, "too many", 1, on_message, NULL));
	kit_close(&kit);
}

UNIT_TESTS(it(one_queue_too_many_is_refused_and_fits_when_another_goes))
