/* SPDX-License-Identifier: Apache-2.0 */
/* A bus under thousands of random steps against what it should have done: each message is in hand
 * once at a time, with the right count and body, until it is settled or withdrawn, and none is
 * left. BUS_RANDOM_SEED repeats a run. */
#include "bus_kit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"

enum {
	QUEUES = 3,
	STEPS = 3000,
	NUMBERS = STEPS + 1,
	IN_HAND_MAX = 64,
	MEMORY = 20000,
	HEAD = 4000
};

enum message_state { ABSENT, PUTTING, WAITING, IN_HAND, GONE };

struct model {
	struct bus_kit *kit;
	uint64_t random;
	unsigned n_numbers, n_putting, n_settling;
	struct {
		enum message_state state;
		unsigned attempt, queue;
		uint64_t due_ms;
		struct bus_message *message;
		struct bus_kit_put put;
	} of[NUMBERS];
	struct side {
		struct model *model;
		struct bus_queue *queue; /* NULL while detached */
		unsigned credit, n_in_hand, in_hand[IN_HAND_MAX];
	} sides[QUEUES];
};

static const char head[HEAD];
static const char *const names[QUEUES] = {"a", "b", "c"};

static unsigned
pick(struct model *model, unsigned n)
{
	model->random = model->random * 6364136223846793005u + 1442695040888963407u;
	return (model->random >> 33) % n;
}

/* ---- what the bus does ---- */

static void
on_message(struct bus_queue *queue, struct bus_message *message, void *arg)
{
	struct side *side = arg;
	unsigned number = bus_kit_number(message->row.id);
	char body[32];

	assert_true(number < side->model->n_numbers);
	assert_int_equal(side->model->of[number].state, WAITING);
	assert_int_equal(side->model->of[number].attempt, message->row.attempt);
	assert_ptr_equal(side, &side->model->sides[side->model->of[number].queue]);
	assert_true(clock_unix_ms() >= side->model->of[number].due_ms);
	snprintf(body, sizeof(body), "message %u", number);
	assert_str(message->row.body, body);
	assert_int_equal(message->row.head.len, HEAD);
	assert_true(side->n_in_hand < side->credit);
	side->model->of[number].state = IN_HAND;
	side->model->of[number].message = message;
	side->in_hand[side->n_in_hand++] = number;
}

static void
on_put(struct bus_put *at, int code, const struct err *err)
{
	struct bus_kit_put *put = list_owner(at, struct bus_kit_put, put);
	struct model *model = *(struct model **)&put->err;
	unsigned number = bus_kit_number(put->put.row.id);

	assert_int_equal(code, 0);
	assert_int_equal(model->of[number].state, PUTTING);
	model->of[number].state = WAITING;
	model->n_putting--;
}

static void
on_settled(void *arg, int code)
{
	assert_int_equal(code, 0);
	((struct model *)arg)->n_settling--;
}

/* ---- steps ---- */

static void
step_put(struct model *model)
{
	unsigned number = model->n_numbers++, queue = pick(model, QUEUES);
	struct bus_kit_put *put = &model->of[number].put;

	bus_kit_put_init(model->kit, put, names[queue], number);
	put->put.done = on_put;
	put->put.row.head = str_n(head, HEAD);
	*(struct model **)&put->err = model;
	if (!pick(model, 4))
		put->put.row.due_ms += pick(model, 60);
	else if (!pick(model, 3))
		put->put.row.due_ms -= pick(model, 1000);
	model->of[number].due_ms = put->put.row.due_ms;
	model->of[number].queue = queue;
	model->of[number].state = PUTTING;
	model->n_putting++;
	bus_kit_put_send(model->kit, put);
}

static struct bus_message *
take_from(struct model *model, struct side *side, unsigned *ret_number)
{
	unsigned i = pick(model, side->n_in_hand);

	*ret_number = side->in_hand[i];
	side->in_hand[i] = side->in_hand[--side->n_in_hand];
	return model->of[*ret_number].message;
}

static void
step_settle(struct model *model, struct side *side)
{
	unsigned number;
	struct bus_message *message = take_from(model, side, &number);
	struct row_delivery *row = &message->row;
	bool is_waited_for = pick(model, 2);

	row->state = pick(model, 2) ? ROW_DELIVERY_DONE : ROW_DELIVERY_DEAD;
	row->ended_ms = clock_unix_ms();
	row->due_ms = row->ended_ms + 3600000;
	row->result = STR("answer");
	model->of[number].state = GONE;
	model->n_settling += is_waited_for;
	model->kit->ops->settle(
		side->queue, message, row, is_waited_for ? on_settled : NULL, model);
}

static void
step_retry(struct model *model, struct side *side)
{
	unsigned number;
	struct bus_message *message = take_from(model, side, &number);
	struct row_delivery *row = &message->row;

	row->attempt = ++model->of[number].attempt;
	row->due_ms = model->of[number].due_ms = clock_unix_ms() + pick(model, 30);
	row->message = "again";
	model->of[number].state = WAITING;
	model->kit->ops->retry(side->queue, message, row);
}

static void
put_back(struct side *side)
{
	for (unsigned i = 0; i < side->n_in_hand; i++)
		side->model->of[side->in_hand[i]].state = WAITING;
	side->n_in_hand = 0;
	side->queue = NULL;
}

static void
step_attach(struct model *model, struct side *side)
{
	struct bus_consumer consumer = {on_message, side};

	side->credit = 1 + pick(model, IN_HAND_MAX);
	side->queue = model->kit->ops->attach(model->kit->bus, model->kit->org,
		names[side - model->sides], side->credit, &consumer);
}

static void
step_detach(struct side *side)
{
	struct bus_queue *queue = side->queue;

	put_back(side);
	side->model->kit->ops->detach(queue);
}

static void
step_withdraw(struct model *model)
{
	unsigned number = pick(model, model->n_numbers);
	char id[ID_ULID_SIZE];

	if (model->of[number].state != WAITING)
		return;
	bus_kit_id(number, id);
	if (model->kit->ops->withdraw(
		    model->kit->bus, model->kit->org, names[model->of[number].queue], id) >= 0)
		model->of[number].state = GONE;
}

static bool
is_put(void *arg)
{
	return !((struct model *)arg)->n_putting && !((struct model *)arg)->n_settling;
}

static void
step_reopen(struct model *model)
{
	bus_kit_wait(model->kit, is_put, model);
	for (unsigned i = 0; i < QUEUES; i++)
		put_back(&model->sides[i]);
	bus_kit_reopen(model->kit);
}

static void
step(struct model *model)
{
	struct side *side = &model->sides[pick(model, QUEUES)];
	unsigned what = pick(model, 1000);

	if (what < 450 && model->n_numbers < NUMBERS)
		step_put(model);
	else if (what < 750 && side->n_in_hand)
		step_settle(model, side);
	else if (what < 880 && side->n_in_hand)
		step_retry(model, side);
	else if (what < 920 && model->n_numbers)
		step_withdraw(model);
	else if (what < 960 && !side->queue)
		step_attach(model, side);
	else if (what < 970 && side->queue)
		step_detach(side);
	else if (what < 972)
		step_reopen(model);
	if (!pick(model, 5))
		bus_kit_rest(model->kit, pick(model, 2));
}

static bool
is_empty(void *arg)
{
	struct model *model = arg;

	for (unsigned i = 0; i < QUEUES; i++)
		while (model->sides[i].n_in_hand)
			step_settle(model, &model->sides[i]);
	for (unsigned i = 0; i < model->n_numbers; i++)
		if (model->of[i].state != GONE)
			return false;
	return true;
}

static void
run_model(unsigned memory_bytes)
{
	OWN(bus_kit) struct bus_kit *kit = bus_kit_open(memory_bytes);
	OWN(mem) struct model *model = mem_new(sizeof(*model));
	const char *seed = getenv("BUS_RANDOM_SEED");

	model->kit = kit;
	model->random = seed ? strtoull(seed, NULL, 10) : clock_mono_us();
	print_message("# BUS_RANDOM_SEED=%llu\n", (unsigned long long)model->random);
	for (unsigned i = 0; i < QUEUES; i++)
		model->sides[i].model = model;
	for (unsigned i = 0; i < STEPS; i++)
		step(model);
	for (unsigned i = 0; i < QUEUES; i++)
		if (!model->sides[i].queue)
			step_attach(model, &model->sides[i]);
	bus_kit_wait(kit, is_empty, model);
	bus_kit_wait(kit, is_put, model);
	bus_kit_expect_stats(kit, NULL, 0, 0);
	for (unsigned i = 0; i < QUEUES; i++)
		put_back(&model->sides[i]);
	bus_kit_reopen(kit);
	bus_kit_expect_stats(kit, NULL, 0, 0);
}

static void
every_message_is_handed_over_until_it_is_settled(void **state)
{
	run_model(0);
}

static void
so_it_is_while_most_wait_outside_of_memory(void **state)
{
	run_model(MEMORY);
}

UNIT_TESTS(it(every_message_is_handed_over_until_it_is_settled),
	it(so_it_is_while_most_wait_outside_of_memory))
