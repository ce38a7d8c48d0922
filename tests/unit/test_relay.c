/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/relay.h"

/* near[1] and far[1] are the test's: two clients of the relay between. */
struct scene {
	struct loop *loop;
	struct relay relay;
	int near, far; /* owned */
	enum relay_state state;
};

static void
on_ready(struct loop_watch *watch, int events, void *arg)
{
	struct scene *scene = arg;

	thread_on_loop();
	scene->state = relay_turn(&scene->relay);
	if (scene->state >= RELAY_OVER)
		relay_done(&scene->relay);
}

static void ON_LOOP
scene_start(struct scene *scene)
{
	struct err err = {0};
	int near[2], far[2];

	*scene = (struct scene){0};
	assert_int_equal(loop_new(&scene->loop, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, near), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, far), 0);
	relay_init(&scene->relay);
	scene->relay.near.fd = near[0];
	scene->relay.far.fd = far[0];
	scene->near = near[1];
	scene->far = far[1];
	assert_int_equal(loop_watch_new(scene->loop, near[0], on_ready, scene,
				 &scene->relay.near.watch, &err),
		0);
	assert_int_equal(
		loop_watch_new(scene->loop, far[0], on_ready, scene, &scene->relay.far.watch, &err),
		0);
	assert_int_equal(relay_turn(&scene->relay), RELAY_IDLE);
}

static void ON_LOOP
scene_end(struct scene *scene)
{
	relay_done(&scene->relay);
	close(scene->near);
	close(scene->far);
	loop_free(scene->loop);
}

static void
turns(struct scene *scene, int n)
{
	while (n--)
		uv_run(loop_uv(scene->loop), UV_RUN_NOWAIT);
}

static void
bytes_pass_both_ways(void **state)
{
	struct scene scene;
	char got[8];

	thread_on_loop();
	scene_start(&scene);
	assert_int_equal(write(scene.near, "there", 5), 5);
	assert_int_equal(write(scene.far, "back", 4), 4);
	turns(&scene, 4);
	assert_int_equal(read(scene.far, got, sizeof(got)), 5);
	assert_int_equal(read(scene.near, got, sizeof(got)), 4);
	assert_int_equal(scene.relay.up.n_bytes, 5);
	assert_int_equal(scene.relay.down.n_bytes, 4);
	scene_end(&scene);
}

static void
an_end_is_passed_on_and_leaves_the_other_way_open(void **state)
{
	struct scene scene;
	char got[8];

	thread_on_loop();
	scene_start(&scene);
	assert_int_equal(write(scene.near, "ask", 3), 3);
	shutdown(scene.near, SHUT_WR);
	turns(&scene, 4);
	assert_int_equal(read(scene.far, got, sizeof(got)), 3);
	assert_int_equal(read(scene.far, got, sizeof(got)), 0);
	assert_int_equal(write(scene.far, "answer", 6), 6);
	turns(&scene, 4);
	assert_int_equal(read(scene.near, got, sizeof(got)), 6);
	assert_true(scene.state < RELAY_OVER);
	shutdown(scene.far, SHUT_WR);
	turns(&scene, 4);
	assert_int_equal(scene.state, RELAY_OVER);
	assert_int_equal(read(scene.near, got, sizeof(got)), 0);
	scene_end(&scene);
}

/* Whoever does not read holds the other side, not the memory. */
static void
a_slow_side_holds_the_other(void **state)
{
	static char piece[65536];
	struct scene scene;
	size_t sent = 0, got = 0;

	thread_on_loop();
	scene_start(&scene);
	for (int i = 0; i < 400; i++) {
		ssize_t n = write(scene.near, piece, sizeof(piece));

		sent += n > 0 ? (size_t)n : 0;
		turns(&scene, 1);
	}
	assert_true(sent > sizeof(piece) && sent < 8 * 1024 * 1024);
	assert_true(scene.relay.up.held.len <= sizeof(piece));
	while (got < sent) {
		ssize_t n = read(scene.far, piece, sizeof(piece));

		got += n > 0 ? (size_t)n : 0;
		turns(&scene, 1);
	}
	assert_int_equal(scene.relay.up.n_bytes, sent);
	assert_int_equal(scene.relay.up.held.len, 0);
	scene_end(&scene);
}

static void
a_side_that_goes_away_breaks_it(void **state)
{
	struct scene scene;

	thread_on_loop();
	scene_start(&scene);
	close(scene.far);
	scene.far = -1;
	assert_int_equal(write(scene.near, "lost", 4), 4);
	turns(&scene, 4);
	assert_int_equal(scene.state, RELAY_BROKEN);
	scene_end(&scene);
}

UNIT_TESTS(it(bytes_pass_both_ways), it(an_end_is_passed_on_and_leaves_the_other_way_open),
	it(a_slow_side_holds_the_other), it(a_side_that_goes_away_breaks_it))
