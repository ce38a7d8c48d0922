/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/event_turn.h"

#include "base/mem.h"

struct event_turns {
	struct loop *loop;           /* borrowed */
	struct loop_message message; /* a later turn of the loop, while is_posted */
	struct loop_flush flush;     /* the end of this one */
	struct list lines;           /* of struct event_line: the orgs that wait */
	struct event_turn *running;  /* borrowed: only compared, it may be gone */
	bool is_posted, is_granted;  /* granted: the running one may match one, come what may */
	size_t n_steps;              /* in this turn of the loop */
};

void
event_line_init(struct event_line *line)
{
	list_init(&line->link);
	list_init(&line->waiting);
}

bool
event_turn_is_waiting(const struct event_turn *turn)
{
	return !list_is_empty(&turn->link);
}

static void
on_flush(struct loop_flush *flush)
{
	list_owner(flush, struct event_turns, flush)->n_steps = 0;
}

static void
post(struct event_turns *turns) ON_LOOP
{
	if (turns->is_posted)
		return;
	turns->is_posted = true;
	loop_post(turns->loop, &turns->message);
}

/* The org goes behind the others; run() puts its batch, if more of it is to come, before those
 * that wait in its line. */
static void
run_first(struct event_turns *turns) ON_LOOP
{
	struct event_line *line = list_first(&turns->lines, struct event_line, link);
	struct event_turn *turn = list_first(&line->waiting, struct event_turn, link);

	list_remove(&turn->link);
	list_remove(&line->link);
	if (!list_is_empty(&line->waiting))
		list_push_back(&turns->lines, &line->link);
	turns->running = turn;
	turns->is_granted = true;
	turn->run(turn);
	turns->running = NULL;
	turns->is_granted = false;
}

static void
on_message(struct loop_message *message)
{
	struct event_turns *turns = list_owner(message, struct event_turns, message);

	thread_on_loop();
	turns->is_posted = false;
	do
		run_first(turns);
	while (!list_is_empty(&turns->lines) && turns->n_steps < EVENT_TURN_STEPS);
	if (!list_is_empty(&turns->lines))
		post(turns);
}

static bool
may_go(struct event_turns *turns, const struct event_line *line,
	const struct event_turn *turn) ON_LOOP
{
	if (turns->running == turn && turns->is_granted) {
		turns->is_granted = false;
		return true;
	}
	return turns->n_steps < EVENT_TURN_STEPS && list_is_empty(&line->waiting);
}

bool
event_turn_take(struct event_turns *turns, struct event_line *line, struct event_turn *turn)
{
	if (may_go(turns, line, turn))
		return true;
	if (turns->running == turn)
		list_push_front(&line->waiting, &turn->link);
	else
		list_push_back(&line->waiting, &turn->link);
	if (list_is_empty(&line->link))
		list_push_back(&turns->lines, &line->link);
	post(turns);
	return false;
}

void
event_turn_spent(struct event_turns *turns, size_t n_steps)
{
	turns->n_steps += n_steps;
	loop_flush_soon(turns->loop, &turns->flush);
}

struct event_turns *
event_turns_new(struct loop *loop)
{
	struct event_turns *turns = mem_new(sizeof(*turns));

	turns->loop = loop;
	turns->message.run = on_message;
	turns->flush.run = on_flush;
	list_init(&turns->flush.link);
	list_init(&turns->lines);
	return turns;
}

void
event_turns_free(struct event_turns *turns)
{
	if (!turns)
		return;
	must(list_is_empty(&turns->lines));
	list_remove(&turns->flush.link);
	free(turns);
}
