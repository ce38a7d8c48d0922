/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly-lambda - runs a native program, and is Lambda's Runtime API 2018-06-01 for it.
 *
 *	mayfly-lambda [folder of the code, /code by default]
 *
 * The program inherits descriptor 3. One that is linked with libmayfly says READY on it and serves
 * its calls there, and this process only waits for its end. One that knows Lambda asks for its
 * first event at http://$AWS_LAMBDA_RUNTIME_API; from that request on this process reads the
 * descriptor, and the program never does. Nobody has to say which of the two it is.
 *
 * Up to MAYFLY_CONCURRENCY requests for events may wait at one time. One thread.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exec_program.h"
#include "lambda_answer.h"
#include "lambda_http.h"

#define PORT      9001
#define CLIENTS   256
#define API       "/2018-06-01/runtime/"
#define JSON_TYPE "content-type: application/json\r\n"
#define STREAMING "streaming"

struct lambda {
	struct mf_channel channel;
	bool is_polled; /* the program is one that asks for events here */
	int listener;
	int done; /* pidfd of the program */
	pid_t pid;
	struct lambda_call *calls; /* owned: taken and not answered */
	size_t n_clients;
	struct lambda_client {
		struct lambda_http http;
		uint64_t waits_since;          /* for an event: its turn; 0 if it does not wait */
		struct lambda_call *streaming; /* borrowed */
	} clients[CLIENTS];
	uint64_t turn;
};

static struct lambda lambda;

/* ---- answers to the program ---- */

static void
refuse(struct lambda_client *client, int status, const char *type, const char *message)
{
	char body[512];

	snprintf(body, sizeof(body), "{\"errorMessage\":\"%s\",\"errorType\":\"%s\"}", message,
		type);
	lambda_http_answer(&client->http, status, JSON_TYPE, body, strlen(body));
}

static void
accept_post(struct lambda_client *client)
{
	static const char body[] = "{\"status\":\"OK\"}";

	lambda_http_answer(&client->http, 202, JSON_TYPE, body, sizeof(body) - 1);
}

/* ---- calls ---- */

static struct lambda_call *
find_call(const char *id, size_t size)
{
	struct lambda_call *call = lambda.calls;

	while (call && (strlen(call->id) != size || memcmp(call->id, id, size) != 0))
		call = call->next;
	return call;
}

static void
forget_call(struct lambda_call *call)
{
	struct lambda_call **at = &lambda.calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	free(call);
}

static struct lambda_client *
longest_waiting(void)
{
	struct lambda_client *found = NULL;

	for (size_t i = 0; i < lambda.n_clients; i++) {
		struct lambda_client *client = &lambda.clients[i];

		if (client->waits_since && client->http.state != LAMBDA_CLOSED &&
			(!found || client->waits_since < found->waits_since))
			found = client;
	}
	return found;
}

static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static void
give_event(struct lambda_client *client, const struct mf_frame *frame, const struct mf_call *parts)
{
	struct lambda_call *call = mf_memory(NULL, sizeof(*call));
	struct mf_bytes event = {0};
	char headers[1024];

	*call = (struct lambda_call){.next = lambda.calls,
		.number = frame->head.call,
		.is_direct = parts->start.trigger == FRAME_DIRECT};
	memcpy(call->id, parts->start.call_id, sizeof(parts->start.call_id));
	lambda.calls = call;
	mf_call_event(parts, &event);
	snprintf(headers, sizeof(headers),
		JSON_TYPE
		"Lambda-Runtime-Aws-Request-Id: %s\r\n"
		"Lambda-Runtime-Deadline-Ms: %llu\r\n"
		"Lambda-Runtime-Invoked-Function-Arn: arn:mayfly:function:%.100s:%.100s:%.40s\r\n",
		call->id, (unsigned long long)parts->start.deadline_unix_ms, variable("MAYFLY_ORG"),
		variable("MAYFLY_FUNCTION"), variable("MAYFLY_VERSION"));
	client->waits_since = 0;
	lambda_http_answer(&client->http, 200, headers, event.at, event.size);
	mf_bytes_done(&event);
}

/* One frame for one waiting client. False when the daemon is gone. */
static bool
take_frame(void)
{
	struct mf_frame frame;
	struct mf_call parts;

	if (!mf_channel_read(&lambda.channel, &frame))
		return false;
	if (frame.head.kind == FRAME_CALL && mf_call_parse(&frame, &parts))
		give_event(longest_waiting(), &frame, &parts);
	return true;
}

/* ---- requests of the program ---- */

static void
on_next(struct lambda_client *client)
{
	if (!lambda.is_polled) {
		lambda.is_polled = true;
		mf_channel_send(&lambda.channel, FRAME_READY, 0, 0, NULL, 0);
	}
	client->waits_since = ++lambda.turn;
}

static void
on_init_error(struct lambda_client *client)
{
	char type[128] = "";

	lambda_http_header(
		&client->http.headers, "lambda-runtime-function-error-type", type, sizeof(type));
	if (!lambda.is_polled)
		lambda_answer_error(&lambda.channel, FRAME_FAIL, 0, type, client->http.body.at,
			client->http.body.size);
	accept_post(client);
}

static void
on_error(struct lambda_client *client, struct lambda_call *call)
{
	char type[128] = "";

	lambda_http_header(
		&client->http.headers, "lambda-runtime-function-error-type", type, sizeof(type));
	lambda_answer_error(&lambda.channel, FRAME_ERROR, call->number, type, client->http.body.at,
		client->http.body.size);
	forget_call(call);
	accept_post(client);
}

/* What came of a streamed answer so far; at its end the trailers may say that it failed. */
static void
go_on_streaming(struct lambda_client *client)
{
	struct lambda_http *http = &client->http;
	struct lambda_call *call = client->streaming;
	struct mf_bytes error = {0};
	char type[128] = "", body[8192] = "";
	bool is_over;
	size_t n;

	lambda_http_header(&http->headers, "content-type", type, sizeof(type));
	n = lambda_answer_stream(
		&lambda.channel, call, type, http->body.at, http->body.size, &is_over);
	memmove(http->body.at, http->body.at + n, http->body.size - n);
	http->body.size -= n;
	if (is_over) {
		forget_call(call);
		client->streaming = NULL;
		http->is_last = true;
		refuse(client, 400, "InvalidRequest", "the prelude is broken");
		return;
	}
	if (http->state != LAMBDA_READY)
		return;
	*type = '\0';
	if (lambda_http_header(
		    &http->trailers, "lambda-runtime-function-error-type", type, sizeof(type))) {
		lambda_http_header(
			&http->trailers, "lambda-runtime-function-error-body", body, sizeof(body));
		mf_bytes_add_from_base64(&error, body, strlen(body));
		lambda_answer_error(
			&lambda.channel, FRAME_ERROR, call->number, type, error.at, error.size);
		mf_bytes_done(&error);
	} else if (call->is_direct) {
		lambda_answer_send(&lambda.channel, call, http->body.at, http->body.size);
	} else {
		lambda_answer_stream_end(&lambda.channel, call);
	}
	forget_call(call);
	client->streaming = NULL;
	accept_post(client);
}

static void
on_response(struct lambda_client *client, struct lambda_call *call)
{
	lambda_answer_send(&lambda.channel, call, client->http.body.at, client->http.body.size);
	forget_call(call);
	accept_post(client);
}

/* "invocation/<id>/<what>" */
static struct lambda_call *
call_of_path(const char *rest, const char **ret_what)
{
	const char *id = rest + strlen("invocation/");
	const char *slash;

	*ret_what = "";
	if (strncmp(rest, "invocation/", strlen("invocation/")) != 0 || !(slash = strchr(id, '/')))
		return NULL;
	*ret_what = slash + 1;
	return find_call(id, (size_t)(slash - id));
}

static void
on_request(struct lambda_client *client)
{
	struct lambda_http *http = &client->http;
	bool is_api = strncmp(http->path, API, strlen(API)) == 0;
	const char *rest = is_api ? http->path + strlen(API) : "", *what;
	struct lambda_call *call = call_of_path(rest, &what);
	bool is_get = strcmp(http->method, "GET") == 0;

	if (is_get && strcmp(rest, "invocation/next") == 0)
		on_next(client);
	else if (is_get && strcmp(http->path, "/2018-06-01/ping") == 0)
		lambda_http_answer(http, 200, "", "pong", 4);
	else if (strcmp(rest, "init/error") == 0)
		on_init_error(client);
	else if (call && strcmp(what, "response") == 0)
		on_response(client, call);
	else if (call && strcmp(what, "error") == 0)
		on_error(client, call);
	else if (*what)
		refuse(client, 400, "InvalidRequestID", "no call of this id is waiting");
	else
		refuse(client, 404, "NotFound", "the Runtime API has no such path");
}

/* A streamed answer is taken as it comes, from its head on. */
static void
begin_streaming(struct lambda_client *client)
{
	struct lambda_http *http = &client->http;
	char mode[32];
	const char *what;
	struct lambda_call *call;

	if (http->state < LAMBDA_BODY || client->streaming ||
		strncmp(http->path, API, strlen(API)) != 0 ||
		!lambda_http_header(&http->headers, "lambda-runtime-function-response-mode", mode,
			sizeof(mode)) ||
		strcmp(mode, STREAMING) != 0)
		return;
	call = call_of_path(http->path + strlen(API), &what);
	if (call && strcmp(what, "response") == 0)
		client->streaming = call;
}

/* ---- clients ---- */

static void
on_readable(struct lambda_client *client)
{
	if (client->waits_since) {
		char byte;

		/* It waits for an event: more from it now can only be its end. */
		if (recv(client->http.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) <= 0)
			client->http.state = LAMBDA_CLOSED;
		return;
	}
	lambda_http_read(&client->http);
	for (;;) {
		if (client->http.state == LAMBDA_CLOSED)
			return;
		begin_streaming(client);
		if (client->streaming)
			go_on_streaming(client);
		else if (client->http.state == LAMBDA_READY && !client->waits_since)
			on_request(client);
		if (client->http.state != LAMBDA_HEAD || !client->http.in.size)
			return;
		lambda_http_go_on(&client->http);
		if (client->http.state == LAMBDA_HEAD)
			return;
	}
}

static void
drop_client(size_t i)
{
	struct lambda_client *client = &lambda.clients[i];

	if (client->streaming) {
		mf_channel_error(&lambda.channel, FRAME_ERROR, client->streaming->number,
			"Runtime.TruncatedResponse", "the answer was cut off", "");
		forget_call(client->streaming);
	}
	lambda_http_done(&client->http);
	*client = lambda.clients[--lambda.n_clients];
}

static void
on_connection(void)
{
	int fd = accept4(lambda.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (lambda.n_clients == CLIENTS) {
		close(fd);
		return;
	}
	lambda.clients[lambda.n_clients++] = (struct lambda_client){.http = {.fd = fd}};
}

/* ---- the program ---- */

static bool
listen_at(uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	char text[32];

	lambda.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (lambda.listener < 0 || bind(lambda.listener, (void *)&at, sizeof(at)) < 0 ||
		listen(lambda.listener, CLIENTS) < 0 ||
		getsockname(lambda.listener, (void *)&at, &size) < 0) {
		close(lambda.listener);
		return false;
	}
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
	setenv("AWS_LAMBDA_RUNTIME_API", text, 1);
	return true;
}

/* What every custom runtime of Lambda finds in its environment. */
static void
set_environment(const char *folder)
{
	const char *const copies[][2] = {{"AWS_LAMBDA_FUNCTION_NAME", "MAYFLY_FUNCTION"},
		{"AWS_LAMBDA_FUNCTION_VERSION", "MAYFLY_VERSION"},
		{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "MAYFLY_MEMORY_MIB"},
		{"AWS_LAMBDA_LOG_STREAM_NAME", "MAYFLY_VERSION"}, {"_HANDLER", "MAYFLY_HANDLER"}};
	char group[256];

	for (size_t i = 0; i < sizeof(copies) / sizeof(copies[0]); i++)
		setenv(copies[i][0], variable(copies[i][1]), 1);
	snprintf(group, sizeof(group), "/mayfly/%.100s/%.100s", variable("MAYFLY_ORG"),
		variable("MAYFLY_FUNCTION"));
	setenv("AWS_LAMBDA_LOG_GROUP_NAME", group, 1);
	setenv("AWS_LAMBDA_MAX_CONCURRENCY",
		*variable("MAYFLY_CONCURRENCY") ? variable("MAYFLY_CONCURRENCY") : "1", 0);
	setenv("AWS_REGION", "mayfly", 0);
	setenv("AWS_DEFAULT_REGION", "mayfly", 0);
	setenv("AWS_EXECUTION_ENV", "mayfly", 0);
	setenv("LAMBDA_TASK_ROOT", folder, 1);
	setenv("LAMBDA_RUNTIME_DIR", "/runtime", 1);
	setenv("TZ", ":UTC", 0);
}

/* The handler names the program, or is a word for a program named bootstrap. */
static const char *
program_of(const char *folder)
{
	const char *handler = variable("MAYFLY_HANDLER");
	char path[PATH_MAX];
	struct stat st;

	snprintf(path, sizeof(path), "%.2047s/%.2047s", folder, handler);
	return *handler && stat(path, &st) == 0 && S_ISREG(st.st_mode) ? handler : "bootstrap";
}

static void
start(const char *path)
{
	char *const argv[] = {(char *)path, NULL};

	lambda.pid = fork();
	if (lambda.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGPIPE, SIG_DFL);
		execv(path, argv);
		perror(path);
		_exit(126);
	}
	lambda.done = lambda.pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, lambda.pid, 0);
}

static int
status_of_program(void)
{
	int status = 0;

	waitpid(lambda.pid, &status, 0);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void
attend_clients(const struct pollfd *items)
{
	for (size_t i = lambda.n_clients; i-- > 0;) {
		struct lambda_client *client = &lambda.clients[i];

		if (items[i].revents & (POLLIN | POLLHUP | POLLERR))
			on_readable(client);
	}
}

static void
write_clients(void)
{
	for (size_t i = lambda.n_clients; i-- > 0;) {
		struct lambda_client *client = &lambda.clients[i];

		if (!lambda_http_write(&client->http) || client->http.state == LAMBDA_CLOSED)
			drop_client(i);
	}
}

/* Until the program ends, or the daemon does. Gives the exit status. */
static int
serve(void)
{
	struct pollfd items[3 + CLIENTS];

	for (;;) {
		size_t n = lambda.n_clients;
		bool is_wanted = longest_waiting() != NULL;

		while (is_wanted && mf_channel_has_frame(&lambda.channel)) {
			take_frame();
			is_wanted = longest_waiting() != NULL;
		}
		write_clients();
		n = lambda.n_clients;
		/* A program that serves descriptor 3 itself sees there itself that the daemon left.
		 */
		items[0] = (struct pollfd){
			lambda.is_polled ? FRAME_FD : -1, is_wanted ? POLLIN : 0, 0};
		items[1] = (struct pollfd){lambda.done, POLLIN, 0};
		items[2] = (struct pollfd){lambda.listener, POLLIN, 0};
		for (size_t i = 0; i < n; i++)
			items[3 + i] = (struct pollfd){lambda.clients[i].http.fd,
				(short)(POLLIN | (lambda.clients[i].http.out.size ? POLLOUT : 0)),
				0};
		if (poll(items, 3 + n, -1) < 0)
			continue;
		if (items[1].revents)
			return status_of_program();
		attend_clients(items + 3);
		if (items[2].revents)
			on_connection();
		is_wanted = longest_waiting() != NULL;
		if ((items[0].revents & POLLIN && is_wanted && !take_frame()) ||
			(items[0].revents & (POLLHUP | POLLERR) && !(items[0].revents & POLLIN)))
			return 0;
	}
}

int
main(int argc, char **argv)
{
	const char *folder = argc > 1 ? argv[1] : "/code";
	char path[PATH_MAX + 512];

	lambda.channel.fd = FRAME_FD;
	signal(SIGPIPE, SIG_IGN);
	if (!exec_program_find(folder, program_of(folder), path, sizeof(path))) {
		mf_channel_error(
			&lambda.channel, FRAME_FAIL, 0, "Runtime.InvalidEntrypoint", path, "");
		return 1;
	}
	set_environment(folder);
	if (chdir(folder) < 0 || (!listen_at(PORT) && !listen_at(0))) {
		perror("mayfly-lambda");
		return 1;
	}
	start(path);
	if (lambda.done < 0) {
		mf_channel_error(&lambda.channel, FRAME_FAIL, 0, "Runtime.InvalidEntrypoint",
			"the program could not be started", "");
		return 1;
	}
	return serve();
}
