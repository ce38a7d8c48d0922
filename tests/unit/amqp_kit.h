/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_kit - a loop, and a connection to the broker that tests/scenario/rabbitmq.py runs.
 *
 * The broker is one for the whole program; each test takes queues of its own names.
 */
#ifndef MAYFLY_AMQP_KIT_H
#define MAYFLY_AMQP_KIT_H

#include "unit.h"

#include <poll.h>
#include <signal.h>

#include "amqp/amqp.h"
#include "amqp/amqp_frame.h"
#include "base/clock.h"
#include "net/loop.h"

#define AMQP_KIT_SECONDS 30 /* after which a wait has failed */

struct amqp_kit {
	struct loop *loop;
	struct amqp *amqp;
	struct peer_process process; /* borrowed: its pid */
	unsigned n_up, n_down, n_refused;
	struct err down;
	char refused[512], blocked[256];
	bool is_closed;
};

static inline void
amqp_kit_turn(struct loop *loop)
{
	uv_run(loop_uv(loop), UV_RUN_NOWAIT);
	poll(NULL, 0, 1);
}

#define amqp_kit_wait(loop, condition)                                                             \
	do {                                                                                       \
		uint64_t end_ = clock_mono_us() + AMQP_KIT_SECONDS * 1000000ull;                   \
                                                                                                   \
		while (!(condition) && clock_mono_us() < end_)                                     \
			amqp_kit_turn(loop);                                                       \
		assert_true(condition);                                                            \
	} while (0)

static inline const char *
amqp_kit_env(const char *name)
{
	const char *value = getenv(name);

	if (!value)
		fail_msg("%s is not set: run it by tests/scenario/rabbitmq.py", name);
	return value;
}

/* What the kit does with its broker: kill, start, alarm, no_alarm. */
static inline void
amqp_kit_order(const char *order)
{
	char answer[4] = "";
	int in, out;

	assert_int_equal(sscanf(amqp_kit_env("MAYFLY_TEST_AMQP_CONTROL"), "%d,%d", &in, &out), 2);
	dprintf(out, "%s\n", order);
	assert_int_equal(read(in, answer, 3), 3);
	assert_string_equal(answer, "ok\n");
}

static inline void
amqp_kit_on_up(void *arg)
{
	((struct amqp_kit *)arg)->n_up++;
}

static inline void
amqp_kit_on_down(const struct err *why, void *arg)
{
	struct amqp_kit *kit = arg;

	kit->n_down++;
	kit->down = *why;
}

static inline void
amqp_kit_on_blocked(const char *why, void *arg)
{
	snprintf(((struct amqp_kit *)arg)->blocked, 256, "%s", why);
}

static inline void
amqp_kit_on_refused(const char *what, const struct err *why, void *arg)
{
	struct amqp_kit *kit = arg;

	kit->n_refused++;
	snprintf(kit->refused, sizeof(kit->refused), "%s: %s", what, why->text);
}

struct amqp_kit_wish { /* NULL: as the broker is */
	const char *url, *password, *ca_file;
	unsigned unconfirmed_ms;
};

static inline void ON_LOOP
amqp_kit_open(struct amqp_kit *kit, const struct amqp_kit_wish *wish)
{
	OWN(mem) char *program = path_join(amqp_kit_env("MAYFLY_AMQP_LIBEXEC"), "mayfly-amqp");
	OWN(mem)
	char *url =
		mem_printf("amqp://mayfly@127.0.0.1:%s/", amqp_kit_env("MAYFLY_TEST_AMQP_PORT"));
	struct amqp_config config = {.url = wish && wish->url ? wish->url : url,
		.password = wish && wish->password ? wish->password
						   : amqp_kit_env("MAYFLY_TEST_AMQP_PASSWORD"),
		.ca_file = wish ? wish->ca_file : NULL,
		.heartbeat_s = 10,
		.unconfirmed_ms = wish ? wish->unconfirmed_ms : 0,
		.on_up = amqp_kit_on_up,
		.on_down = amqp_kit_on_down,
		.on_blocked = amqp_kit_on_blocked,
		.arg = kit};
	struct err err = {0};

	*kit = (struct amqp_kit){.n_up = 0};
	assert_int_equal(loop_new(&kit->loop, &err), 0);
	config.loop = kit->loop;
	if (peer_process_start(program, AMQP_LANES, 0, 0, &config.process, &err) < 0)
		fail_msg("%s", err.text);
	kit->process = config.process;
	assert_int_equal(amqp_open(&config, &kit->amqp, &err), 0);
	amqp_on_refused(kit->amqp, amqp_kit_on_refused, kit);
}

static inline void ON_LOOP
amqp_kit_open_up(struct amqp_kit *kit)
{
	amqp_kit_open(kit, NULL);
	amqp_kit_wait(kit->loop, amqp_is_up(kit->amqp));
}

static inline void
amqp_kit_on_closed(void *arg)
{
	((struct amqp_kit *)arg)->is_closed = true;
}

static inline void ON_LOOP
amqp_kit_close(struct amqp_kit *kit)
{
	amqp_close(kit->amqp, amqp_kit_on_closed, kit);
	amqp_kit_wait(kit->loop, kit->is_closed);
	loop_free(kit->loop);
}

#endif
