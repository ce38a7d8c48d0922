/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <stdlib.h>
#include <unistd.h>

#include "net/loop.h"

struct note {
	struct loop *loop;
	char text[64];
	size_t len;
};

static void
note_add(struct note *note, char c)
{
	assert_true(note->len + 1 < sizeof(note->text));
	note->text[note->len++] = c;
}

struct posted {
	struct loop_message message;
	struct note *note;
	char c;
};

static void ON_LOOP
posted_run(struct loop_message *message)
{
	struct posted *posted = list_owner(message, struct posted, message);
	char c = posted->c;

	note_add(posted->note, c);
	if (c == '.')
		loop_stop(posted->note->loop);
	free(posted);
}

static void
post(struct note *note, char c)
{
	struct posted *posted = mem_new(sizeof(*posted));

	posted->message.run = posted_run;
	posted->note = note;
	posted->c = c;
	loop_post(note->loop, &posted->message);
}

static struct loop *
make_loop(void)
{
	struct err err = {0};
	struct loop *loop;

	assert_int_equal(loop_new(&loop, &err), 0);
	return loop;
}

static void *
post_from_a_thread(void *arg)
{
	for (char c = 'a'; c <= 'z'; c++)
		post(arg, c);
	post(arg, '.');
	return NULL;
}

static void
messages_of_another_thread_run_on_the_loop_in_their_order(void **state)
{
	struct note note = {.loop = make_loop()};
	struct err err = {0};
	pthread_t thread;

	assert_int_equal(thread_start(&thread, "poster", post_from_a_thread, &note, &err), 0);
	loop_run(note.loop);
	pthread_join(thread, NULL);
	assert_string_equal(note.text, "abcdefghijklmnopqrstuvwxyz.");
	loop_free(note.loop);
}

static void
messages_posted_before_the_stop_run_behind_it(void **state)
{
	struct note note = {.loop = make_loop()};

	post(&note, '.');
	post(&note, 'x');
	loop_run(note.loop);
	assert_string_equal(note.text, ".x");
	loop_free(note.loop);
}

struct hook {
	struct loop_flush flush;
	struct note *note;
	struct hook *next; /* marked by this one's run */
	char c;
	unsigned n_again; /* how often it marks itself again */
};

static void ON_LOOP
hook_run(struct loop_flush *flush)
{
	struct hook *hook = list_owner(flush, struct hook, flush);

	note_add(hook->note, hook->c);
	if (hook->next)
		loop_flush_soon(hook->note->loop, &hook->next->flush);
	if (hook->n_again) {
		hook->n_again--;
		loop_flush_soon(hook->note->loop, &hook->flush);
	}
}

static void
hook_init(struct hook *hook, struct note *note, char c)
{
	*hook = (struct hook){.note = note, .c = c};
	hook->flush.run = hook_run;
	list_init(&hook->flush.link);
}

/* What a timer starts: hooks to be marked, in a note. */
struct scene {
	struct loop_timer timer;
	struct note note;
	struct hook first, second;
	unsigned n_ticks, n_closed;
};

static void
scene_init(struct scene *scene)
{
	*scene = (struct scene){.note.loop = make_loop()};
	hook_init(&scene->first, &scene->note, '1');
	hook_init(&scene->second, &scene->note, '2');
}

static void ON_LOOP
scene_run(struct scene *scene, void (*run)(struct loop_timer *timer))
{
	loop_timer_start(scene->note.loop, &scene->timer, 0, run);
	loop_run(scene->note.loop);
	loop_timer_close(&scene->timer, NULL);
	loop_free(scene->note.loop);
}

static void ON_LOOP
mark_both_twice(struct loop_timer *timer)
{
	struct scene *scene = list_owner(timer, struct scene, timer);

	loop_flush_soon(timer->loop, &scene->first.flush);
	loop_flush_soon(timer->loop, &scene->second.flush);
	loop_flush_soon(timer->loop, &scene->first.flush);
	note_add(&scene->note, '|');
	post(&scene->note, '.');
}

static void
a_hook_runs_once_at_the_end_of_the_turn_however_often_it_is_marked(void **state)
{
	struct scene scene;

	thread_on_loop();
	scene_init(&scene);
	scene_run(&scene, mark_both_twice);
	assert_string_equal(scene.note.text, "|12.");
}

static void ON_LOOP
mark_first(struct loop_timer *timer)
{
	struct scene *scene = list_owner(timer, struct scene, timer);

	scene->first.next = &scene->second;
	loop_flush_soon(timer->loop, &scene->first.flush);
	post(&scene->note, '.');
}

static void
a_hook_marked_by_a_hook_runs_before_the_loop_looks_outside(void **state)
{
	struct scene scene;

	thread_on_loop();
	scene_init(&scene);
	scene_run(&scene, mark_first);
	assert_string_equal(scene.note.text, "12.");
}

static void ON_LOOP
mark_restless(struct loop_timer *timer)
{
	struct scene *scene = list_owner(timer, struct scene, timer);

	scene->first.n_again = 20;
	loop_flush_soon(timer->loop, &scene->first.flush);
	post(&scene->note, '!');
}

static void ON_LOOP
stop_when_rested(struct loop_timer *timer)
{
	struct scene *scene = list_owner(timer, struct scene, timer);

	if (scene->note.len == 0)
		mark_restless(timer);
	if (scene->note.len < 22)
		loop_timer_start(timer->loop, timer, 1, stop_when_rested);
	else
		loop_stop(timer->loop);
}

static void
a_hook_that_marks_itself_for_ever_does_not_starve_the_door(void **state)
{
	struct scene scene;
	char *message;

	thread_on_loop();
	scene_init(&scene);
	scene_run(&scene, stop_when_rested);
	assert_int_equal(scene.note.len, 22);
	message = strchr(scene.note.text, '!');
	assert_non_null(message);
	assert_in_range(message - scene.note.text, 1, 10);
}

static void ON_LOOP
tick(struct loop_timer *timer)
{
	struct scene *scene = list_owner(timer, struct scene, timer);

	if (++scene->n_ticks < 3)
		loop_timer_start(timer->loop, timer, 1, tick);
	else
		loop_stop(timer->loop);
}

static void
a_timer_may_be_started_again_by_what_it_runs(void **state)
{
	struct scene scene;

	thread_on_loop();
	scene_init(&scene);
	scene_run(&scene, tick);
	assert_int_equal(scene.n_ticks, 3);
}

static void
on_timer_closed(struct loop_timer *timer)
{
	list_owner(timer, struct scene, timer)->n_closed++;
}

static void
closing_a_timer_is_told_once_even_if_it_never_ran(void **state)
{
	struct scene scene;

	thread_on_loop();
	scene_init(&scene);
	loop_timer_stop(&scene.timer);
	loop_timer_close(&scene.timer, on_timer_closed);
	assert_int_equal(scene.n_closed, 1);
	loop_timer_start(scene.note.loop, &scene.timer, 100000, tick);
	loop_timer_close(&scene.timer, on_timer_closed);
	loop_free(scene.note.loop);
	assert_int_equal(scene.n_closed, 2);
	assert_int_equal(scene.n_ticks, 0);
}

struct watched {
	struct note note;
	struct loop_watch *watch;
	int ends[2];
};

static void ON_LOOP
on_watched(struct loop_watch *watch, int events, void *arg)
{
	struct watched *watched = arg;
	char c;

	if ((events & UV_READABLE) && read(watched->ends[0], &c, 1) == 1) {
		note_add(&watched->note, c);
		return;
	}
	loop_watch_free(watched->watch);
	loop_stop(watched->note.loop);
}

static void
a_watch_tells_of_bytes_and_of_the_other_end_closing(void **state)
{
	struct watched watched = {.note.loop = make_loop()};
	struct err err = {0};

	thread_on_loop();
	assert_int_equal(pipe(watched.ends), 0);
	assert_int_equal(loop_watch_new(watched.note.loop, watched.ends[0], on_watched, &watched,
				 &watched.watch, &err),
		0);
	loop_watch_want(watched.watch, UV_READABLE);
	assert_int_equal(write(watched.ends[1], "ab", 2), 2);
	close(watched.ends[1]);
	loop_run(watched.note.loop);
	assert_string_equal(watched.note.text, "ab");
	close(watched.ends[0]);
	loop_free(watched.note.loop);
}

static void ON_LOOP
on_paused(struct loop_watch *watch, int events, void *arg)
{
	fail_msg("a paused watch was told of something");
}

static void
a_paused_watch_is_silent(void **state)
{
	struct scene scene;
	struct loop_watch *watch;
	struct err err = {0};
	int ends[2];

	thread_on_loop();
	scene_init(&scene);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(
		loop_watch_new(scene.note.loop, ends[0], on_paused, NULL, &watch, &err), 0);
	loop_watch_want(watch, UV_READABLE);
	loop_watch_want(watch, 0);
	assert_int_equal(write(ends[1], "a", 1), 1);
	loop_timer_start(scene.note.loop, &scene.timer, 1, tick);
	loop_run(scene.note.loop);
	loop_watch_free(watch);
	loop_timer_close(&scene.timer, NULL);
	loop_free(scene.note.loop);
	close(ends[0]);
	close(ends[1]);
}

UNIT_TESTS(it(messages_of_another_thread_run_on_the_loop_in_their_order),
	it(messages_posted_before_the_stop_run_behind_it),
	it(a_hook_runs_once_at_the_end_of_the_turn_however_often_it_is_marked),
	it(a_hook_marked_by_a_hook_runs_before_the_loop_looks_outside),
	it(a_hook_that_marks_itself_for_ever_does_not_starve_the_door),
	it(a_timer_may_be_started_again_by_what_it_runs),
	it(closing_a_timer_is_told_once_even_if_it_never_ran),
	it(a_watch_tells_of_bytes_and_of_the_other_end_closing), it(a_paused_watch_is_silent))
