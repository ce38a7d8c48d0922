/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_http2 - bytes into a connection of the server, HTTP/2 and 1.x: whatever comes, every
 * exchange is answered or aborted once, and nothing is left when the client is gone.
 *
 * The first byte: bit 0 puts the preface and an empty SETTINGS in front; bit 1 answers streamed;
 * bit 2 answers in the on_head callback; the rest says how many bytes go at a time.
 */
#include "fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "net/http_conn.h"

static const char fuzz_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0";

struct fuzz_http2 {
	struct loop *loop;
	struct http_server *server;
	unsigned flags;
	unsigned n_open; /* exchanges that wait for their end */
};

static void
fuzz_on_abort(struct http_exchange *exchange, void *arg)
{
	((struct fuzz_http2 *)arg)->n_open--;
}

static void
fuzz_check(const struct http_request *request)
{
	must(http_is_token(request->method));
	must(request->path.len && (request->path.at[0] == '/' || request->path.at[0] == '*'));
	for (size_t i = 0; i < request->n_headers; i++) {
		must(http_is_token(request->headers[i].name));
		must(http_is_value(request->headers[i].value));
	}
}

static void ON_LOOP
fuzz_answer(struct http_exchange *exchange, unsigned flags)
{
	static const struct http_header type = {{"content-type", 12}, {"text/plain", 10}};
	struct str body = http_request_of(exchange)->body;

	if (!(flags & 2)) {
		http_answer(exchange, 200, &type, 1, body);
		return;
	}
	http_answer_begin(exchange, 200, &type, 1);
	http_answer_write(exchange, STR("piece"));
	if (body.len % 2)
		http_answer_cut(exchange);
	else
		http_answer_end(exchange);
}

static void ON_LOOP
fuzz_on_head(struct http_exchange *exchange, void *arg)
{
	struct fuzz_http2 *fuzz = arg;

	fuzz_check(http_request_of(exchange));
	fuzz->n_open++;
	http_on_abort(exchange, fuzz_on_abort, fuzz);
	http_limit_body(exchange, 5000);
	if (fuzz->flags & 4) {
		fuzz->n_open--;
		fuzz_answer(exchange, fuzz->flags);
	}
}

static void ON_LOOP
fuzz_on_request(struct http_exchange *exchange, void *arg)
{
	struct fuzz_http2 *fuzz = arg;

	fuzz->n_open--;
	fuzz_answer(exchange, fuzz->flags);
}

static void
fuzz_turn(struct fuzz_http2 *fuzz, int fd)
{
	char answers[65536];

	uv_run(loop_uv(fuzz->loop), UV_RUN_NOWAIT);
	while (recv(fd, answers, sizeof(answers), MSG_DONTWAIT) > 0)
		;
}

static void
fuzz_send(struct fuzz_http2 *fuzz, int fd, struct str bytes, size_t step)
{
	while (bytes.len) {
		size_t n = bytes.len < step ? bytes.len : step;

		if (send(fd, bytes.at, n, MSG_NOSIGNAL) != (ssize_t)n)
			return;
		bytes = str_n(bytes.at + n, bytes.len - n);
		fuzz_turn(fuzz, fd);
	}
}

static void
fuzz_on_stopped(void *arg)
{
	*(bool *)arg = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct fuzz_http2 fuzz = {.flags = size ? bytes[0] : 0};
	struct http_handler handler = {
		.on_head = fuzz_on_head, .on_request = fuzz_on_request, .arg = &fuzz};
	struct err err = {0};
	bool is_stopped = false;
	struct http_stats stats;
	int ends[2];

	if (size < 2)
		return 0;
	thread_on_loop();
	must(loop_new(&fuzz.loop, &err) == 0);
	must(http_server_new(fuzz.loop, &http_limits_default, &handler, &fuzz.server, &err) == 0);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	http_conn_new(fuzz.server, ends[0], &(struct sockaddr){.sa_family = AF_UNIX}, NULL);
	if (fuzz.flags & 1)
		fuzz_send(&fuzz, ends[1], str_n(fuzz_preface, sizeof(fuzz_preface) - 1), 4096);
	fuzz_send(&fuzz, ends[1], str_n(bytes + 1, size - 1), (fuzz.flags >> 3) * 64 + 1);
	fuzz_turn(&fuzz, ends[1]);
	close(ends[1]);
	uv_run(loop_uv(fuzz.loop), UV_RUN_NOWAIT);
	http_server_stop(fuzz.server, 0, fuzz_on_stopped, &is_stopped);
	for (int i = 0; i < 100 && !is_stopped; i++)
		uv_run(loop_uv(fuzz.loop), UV_RUN_NOWAIT);
	must(is_stopped);
	must(fuzz.n_open == 0);
	http_server_stats(fuzz.server, &stats);
	must(stats.body_memory_bytes == 0 && stats.n_connections_open == 0);
	http_server_free(fuzz.server);
	loop_free(fuzz.loop);
	return 0;
}
