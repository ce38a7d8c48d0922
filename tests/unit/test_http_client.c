/* SPDX-License-Identifier: Apache-2.0 */
#include "net_kit.h"

#include <stdlib.h>

#include "net/http_client.h"

/* A server on a thread of its own, as the client blocks. */
struct scene {
	struct loop *loop;
	struct http_server *server;
	pthread_t thread;
	struct loop_message stop;
	char *url;
};

static void ON_LOOP
on_request(struct http_exchange *exchange, void *arg)
{
	const struct http_request *request = http_request_of(exchange);
	OWN(buf) struct buf out = BUF_INIT;
	const struct http_header type = {STR("X-Kind"), STR("echo")};

	if (str_eq(request->path, STR("/slow"))) {
		http_answer_begin(exchange, 200, NULL, 0);
		http_answer_write(exchange, STR("first"));
		return;
	}
	if (str_eq(request->path, STR("/stream"))) {
		http_answer_begin(exchange, 200, NULL, 0);
		http_answer_write(exchange, STR("one "));
		http_answer_write(exchange, STR("two"));
		http_answer_end(exchange);
		return;
	}
	buf_printf(&out, "%.*s %.*s auth=%.*s type=%.*s body=", STR_ARG(request->method),
		STR_ARG(request->target), STR_ARG(http_header(request, "authorization")),
		STR_ARG(http_header(request, "content-type")));
	buf_add_str(&out, request->body);
	http_answer(exchange, str_eq(request->path, STR("/missing")) ? 404 : 200, &type, 1,
		buf_str(&out));
}

static void ON_LOOP
on_stopped(void *arg)
{
	struct scene *scene = arg;

	loop_stop(scene->loop);
}

static void ON_LOOP
scene_on_stop(struct loop_message *message)
{
	struct scene *scene = list_owner(message, struct scene, stop);

	http_server_stop(scene->server, 0, on_stopped, scene);
}

static void *
scene_run(void *arg)
{
	struct scene *scene = arg;

	loop_run(scene->loop);
	return NULL;
}

static void
scene_start(struct scene *scene)
{
	struct http_handler handler = {.on_request = on_request, .arg = scene};
	struct err err = {0};
	int fd = http_bind("127.0.0.1:0", &err);

	thread_on_loop();
	*scene = (struct scene){.stop.run = scene_on_stop};
	scene->url = mem_printf("http://127.0.0.1:%u/", net_kit_port(fd));
	assert_int_equal(loop_new(&scene->loop, &err), 0);
	assert_int_equal(
		http_server_new(scene->loop, &http_limits_default, &handler, &scene->server, &err),
		0);
	assert_int_equal(http_server_listen(scene->server, fd, NULL, &err), 0);
	assert_int_equal(thread_start(&scene->thread, "server", scene_run, scene, &err), 0);
}

static void
scene_stop(struct scene *scene)
{
	loop_post(scene->loop, &scene->stop);
	pthread_join(scene->thread, NULL);
	http_server_free(scene->server);
	loop_free(scene->loop);
	free(scene->url);
}

static struct http_client *
make_client(const struct scene *scene, const char *token)
{
	struct http_client *client;
	struct err err = {0};

	assert_int_equal(http_client_new(scene->url, token, &client, &err), 0);
	return client;
}

static void
expect(struct http_client *client, const char *method, const char *path, const char *const *headers,
	struct str body, int status, const char *text)
{
	struct http_client_answer answer;
	struct err err = {0};

	assert_int_equal(
		http_client_send(client, method, path, headers, body, 0, &answer, &err), 0);
	assert_int_equal(answer.status, status);
	assert_str(buf_str(&answer.body), text);
	assert_non_null(strstr(answer.headers.at, "x-kind: echo\n"));
	http_client_answer_done(&answer);
}

static void
requests_carry_method_path_token_and_body(void **state)
{
	const char *const headers[] = {"Content-Type: text/x", NULL};
	struct scene scene;
	struct http_client *client;

	scene_start(&scene);
	client = make_client(&scene, "t0ken");
	expect(client, "GET", "/a?b", NULL, STR_NONE, 200,
		"GET /a?b auth=Bearer t0ken type= body=");
	expect(client, "POST", "/p", headers, STR("bytes"), 200,
		"POST /p auth=Bearer t0ken type=text/x body=bytes");
	expect(client, "POST", "/p", NULL, STR_NONE, 200, "POST /p auth=Bearer t0ken type= body=");
	expect(client, "DELETE", "/missing", NULL, STR_NONE, 404,
		"DELETE /missing auth=Bearer t0ken type= body=");
	http_client_free(client);
	client = make_client(&scene, NULL);
	expect(client, "GET", "/", NULL, STR_NONE, 200, "GET / auth= type= body=");
	http_client_free(client);
	scene_stop(&scene);
}

static void
on_progress(size_t sent, size_t total, void *arg)
{
	assert_int_equal(total, 300000);
	*(size_t *)arg = sent;
}

static void
a_file_is_sent_with_progress(void **state)
{
	OWN(mem) char *bytes = mem_new(300001);
	OWN(file) FILE *file = tmpfile();
	struct http_client_answer answer;
	struct http_client *client;
	struct err err = {0};
	struct scene scene;
	size_t sent = 0;

	memset(bytes, 'b', 300000);
	assert_int_equal(fwrite(bytes, 1, 300000, file), 300000);
	rewind(file);
	scene_start(&scene);
	client = make_client(&scene, NULL);
	assert_int_equal(http_client_upload(client, "PUT", "/up", NULL, file, 300000, on_progress,
				 &sent, &answer, &err),
		0);
	assert_int_equal(sent, 300000);
	assert_memory_equal(answer.body.at, "PUT /up auth= type= body=bbb", 28);
	assert_int_equal(answer.body.len, 25 + 300000);
	http_client_answer_done(&answer);
	http_client_free(client);
	scene_stop(&scene);
}

static bool
gather(struct str bytes, void *arg)
{
	buf_add_str(arg, bytes);
	return true;
}

static bool
have_enough(struct str bytes, void *arg)
{
	buf_add_str(arg, bytes);
	return false;
}

static void
a_stream_is_given_as_it_comes_until_the_caller_has_enough(void **state)
{
	OWN(buf) struct buf seen = BUF_INIT;
	OWN(buf) struct buf refusal = BUF_INIT;
	struct http_client *client;
	struct err err = {0};
	struct scene scene;
	int status = 0;

	scene_start(&scene);
	client = make_client(&scene, NULL);
	assert_int_equal(
		http_client_stream(client, "/stream", NULL, &status, gather, &seen, &refusal, &err),
		0);
	assert_int_equal(status, 200);
	assert_str(buf_str(&seen), "one two");
	buf_clear(&seen);
	assert_int_equal(http_client_stream(client, "/slow", NULL, &status, have_enough, &seen,
				 &refusal, &err),
		0);
	assert_str(buf_str(&seen), "first");
	assert_int_equal(refusal.len, 0);
	assert_int_equal(http_client_stream(
				 client, "/missing", NULL, &status, gather, &seen, &refusal, &err),
		0);
	assert_int_equal(status, 404);
	assert_memory_equal(refusal.at, "GET /missing", 12);
	assert_str(buf_str(&seen), "first");
	http_client_free(client);
	scene_stop(&scene);
}

static void
what_went_wrong_is_said_with_the_address(void **state)
{
	struct http_client_answer answer;
	struct http_client *client;
	struct err err = {0};
	struct scene scene;

	assert_int_equal(http_client_new("ftp://a", NULL, &client, &err), ERR_INVALID);
	assert_int_equal(http_client_new("localhost:8080", NULL, &client, &err), ERR_INVALID);
	scene_start(&scene);
	client = make_client(&scene, NULL);
	assert_int_equal(
		http_client_send(client, "GET", "/slow", NULL, STR_NONE, 100, &answer, &err),
		ERR_TIMEOUT);
	http_client_free(client);
	scene_stop(&scene);
	assert_int_equal(http_client_new("http://127.0.0.1:1", NULL, &client, &err), 0);
	assert_int_equal(http_client_send(client, "GET", "/", NULL, STR_NONE, 0, &answer, &err),
		ERR_UNAVAILABLE);
	assert_non_null(strstr(err.text, "http://127.0.0.1:1"));
	http_client_free(client);
}

static void
an_answer_is_no_longer_than_the_client_bears(void **state)
{
	struct http_client_answer answer;
	struct http_client *client;
	struct err err = {0};
	struct scene scene;

	scene_start(&scene);
	client = make_client(&scene, NULL);
	http_client_restrict(client, NULL, 7);
	assert_int_equal(
		http_client_send(client, "GET", "/stream", NULL, STR_NONE, 0, &answer, &err), 0);
	http_client_answer_done(&answer);
	http_client_restrict(client, NULL, 6);
	assert_int_equal(
		http_client_send(client, "GET", "/stream", NULL, STR_NONE, 0, &answer, &err),
		ERR_SYSTEM);
	assert_non_null(strstr(err.text, "more than 6 bytes"));
	http_client_free(client);
	scene_stop(&scene);
}

UNIT_TESTS(it(requests_carry_method_path_token_and_body), it(a_file_is_sent_with_progress),
	it(a_stream_is_given_as_it_comes_until_the_caller_has_enough),
	it(what_went_wrong_is_said_with_the_address),
	it(an_answer_is_no_longer_than_the_client_bears))
