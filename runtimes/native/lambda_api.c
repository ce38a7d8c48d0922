/* SPDX-License-Identifier: Apache-2.0 */
#include "lambda_api.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT      9001
#define API       "/2018-06-01/runtime/"
#define JSON_TYPE "content-type: application/json\r\n"
#define STREAMING "streaming"

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

/* One that is being answered by a stream is not to be found. */
static struct lambda_call *
find_call(struct lambda_api *api, const char *id, size_t size)
{
	struct lambda_call *call = api->calls;

	while (call &&
		(call->is_streamed || strlen(call->id) != size || memcmp(call->id, id, size) != 0))
		call = call->next;
	return call;
}

static void
forget_call(struct lambda_api *api, struct lambda_call *call)
{
	struct lambda_call **at = &api->calls;

	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	free(call);
}

static const struct lambda_client *
longest_waiting(const struct lambda_api *api)
{
	const struct lambda_client *found = NULL;

	for (size_t i = 0; i < api->n_clients; i++) {
		const struct lambda_client *client = &api->clients[i];

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

bool
lambda_api_is_waiting(const struct lambda_api *api)
{
	return longest_waiting(api) != NULL;
}

static struct lambda_call *
add_call(struct lambda_api *api, uint64_t number, const struct frame_call *start)
{
	struct lambda_call *call = mf_memory(NULL, sizeof(*call));

	*call = (struct lambda_call){
		.next = api->calls, .number = number, .is_direct = start->trigger == FRAME_DIRECT};
	memcpy(call->id, start->call_id, sizeof(start->call_id));
	api->calls = call;
	return call;
}

void
lambda_api_give(struct lambda_api *api, const struct mf_frame *frame)
{
	struct lambda_client *client = &api->clients[longest_waiting(api) - api->clients];
	struct mf_bytes event = {0};
	struct lambda_call *call;
	struct mf_call parts;
	char headers[1024];

	if (!mf_call_parse(frame, &parts))
		return;
	call = add_call(api, frame->head.call, &parts.start);
	mf_call_event(&parts, &event);
	snprintf(headers, sizeof(headers),
		JSON_TYPE
		"Lambda-Runtime-Aws-Request-Id: %s\r\n"
		"Lambda-Runtime-Deadline-Ms: %llu\r\n"
		"Lambda-Runtime-Invoked-Function-Arn: arn:mayfly:function:%.100s:%.100s:%.40s\r\n",
		call->id, (unsigned long long)parts.start.deadline_unix_ms, variable("MAYFLY_ORG"),
		variable("MAYFLY_FUNCTION"), variable("MAYFLY_VERSION"));
	client->waits_since = 0;
	lambda_http_answer(&client->http, 200, headers, event.at, event.size);
	mf_bytes_done(&event);
}

/* ---- requests of the program ---- */

static void
on_next(struct lambda_api *api, struct lambda_client *client)
{
	api->is_asked = true;
	client->waits_since = ++api->turn;
}

static void
on_start_error(struct lambda_api *api, struct lambda_client *client)
{
	char type[128] = "";

	lambda_http_header(
		&client->http.headers, "lambda-runtime-function-error-type", type, sizeof(type));
	if (!api->is_asked && !api->has_failed) {
		api->has_failed = true;
		lambda_answer_error(api->channel, api->start_kind, api->start_call, type,
			client->http.body.at, client->http.body.size);
	}
	accept_post(client);
}

static void
on_error(struct lambda_api *api, struct lambda_client *client, struct lambda_call *call)
{
	char type[128] = "";

	lambda_http_header(
		&client->http.headers, "lambda-runtime-function-error-type", type, sizeof(type));
	lambda_answer_error(api->channel, FRAME_ERROR, call->number, type, client->http.body.at,
		client->http.body.size);
	forget_call(api, call);
	accept_post(client);
}

/* What came of a streamed answer so far; at its end the trailers may say that it failed. */
static void
go_on_streaming(struct lambda_api *api, struct lambda_client *client)
{
	struct lambda_http *http = &client->http;
	struct lambda_call *call = client->streaming;
	struct mf_bytes error = {0};
	char type[128] = "", body[8192] = "";
	bool is_over;
	size_t n;

	lambda_http_header(&http->headers, "content-type", type, sizeof(type));
	n = lambda_answer_stream(
		api->channel, call, type, http->body.at, http->body.size, &is_over);
	memmove(http->body.at, http->body.at + n, http->body.size - n);
	http->body.size -= n;
	if (is_over) {
		forget_call(api, call);
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
			api->channel, FRAME_ERROR, call->number, type, error.at, error.size);
		mf_bytes_done(&error);
	} else if (call->is_direct) {
		lambda_answer_send(api->channel, call, http->body.at, http->body.size);
	} else {
		lambda_answer_stream_end(api->channel, call);
	}
	forget_call(api, call);
	client->streaming = NULL;
	accept_post(client);
}

static void
on_response(struct lambda_api *api, struct lambda_client *client, struct lambda_call *call)
{
	lambda_answer_send(api->channel, call, client->http.body.at, client->http.body.size);
	forget_call(api, call);
	accept_post(client);
}

/* "invocation/<id>/<what>" */
static struct lambda_call *
call_of_path(struct lambda_api *api, const char *rest, const char **ret_what)
{
	const char *id = rest + strlen("invocation/");
	const char *slash;

	*ret_what = "";
	if (strncmp(rest, "invocation/", strlen("invocation/")) != 0 || !(slash = strchr(id, '/')))
		return NULL;
	*ret_what = slash + 1;
	return find_call(api, id, (size_t)(slash - id));
}

static void
on_request(struct lambda_api *api, struct lambda_client *client)
{
	struct lambda_http *http = &client->http;
	bool is_api = strncmp(http->path, API, strlen(API)) == 0;
	const char *rest = is_api ? http->path + strlen(API) : "", *what;
	struct lambda_call *call = call_of_path(api, rest, &what);
	bool is_get = strcmp(http->method, "GET") == 0;

	if (is_get && strcmp(rest, "invocation/next") == 0)
		on_next(api, client);
	else if (is_get && strcmp(http->path, "/2018-06-01/ping") == 0)
		lambda_http_answer(http, 200, "", "pong", 4);
	else if (is_get && strcmp(rest, "restore/next") == 0)
		lambda_http_answer(http, 200, JSON_TYPE, "", 0);
	else if (strcmp(rest, "init/error") == 0 || strcmp(rest, "restore/error") == 0)
		on_start_error(api, client);
	else if (call && strcmp(what, "response") == 0)
		on_response(api, client, call);
	else if (call && strcmp(what, "error") == 0)
		on_error(api, client, call);
	else if (*what)
		refuse(client, 400, "InvalidRequestID", "no call of this id is waiting");
	else
		refuse(client, 404, "NotFound", "the Runtime API has no such path");
}

/* A streamed answer is taken as it comes, from its head on. */
static void
begin_streaming(struct lambda_api *api, struct lambda_client *client)
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
	call = call_of_path(api, http->path + strlen(API), &what);
	if (call && strcmp(what, "response") == 0) {
		call->is_streamed = true;
		client->streaming = call;
	}
}

/* ---- clients ---- */

static void
on_readable(struct lambda_api *api, struct lambda_client *client)
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
		begin_streaming(api, client);
		if (client->streaming)
			go_on_streaming(api, client);
		else if (client->http.state == LAMBDA_READY && !client->waits_since)
			on_request(api, client);
		if (client->http.state != LAMBDA_HEAD || !client->http.in.size)
			return;
		lambda_http_go_on(&client->http);
		if (client->http.state == LAMBDA_HEAD)
			return;
	}
}

static void
drop_client(struct lambda_api *api, size_t i)
{
	struct lambda_client *client = &api->clients[i];

	if (client->streaming) {
		mf_channel_error(api->channel, FRAME_ERROR, client->streaming->number,
			"Runtime.TruncatedResponse", "the answer was cut off", "");
		forget_call(api, client->streaming);
	}
	lambda_http_done(&client->http);
	*client = api->clients[--api->n_clients];
}

static void
on_connection(struct lambda_api *api)
{
	int fd = accept4(api->listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (api->n_clients == LAMBDA_CLIENTS) {
		close(fd);
		return;
	}
	api->clients[api->n_clients++] = (struct lambda_client){.http = {.fd = fd}};
}

static void
write_clients(struct lambda_api *api)
{
	for (size_t i = api->n_clients; i-- > 0;) {
		struct lambda_client *client = &api->clients[i];

		if (!lambda_http_write(&client->http) || client->http.state == LAMBDA_CLOSED)
			drop_client(api, i);
	}
}

/* ---- what main() sees ---- */

static bool
listen_at(struct lambda_api *api, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	char text[32];
	int on = 1;

	api->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(api->listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (api->listener < 0 || bind(api->listener, (void *)&at, sizeof(at)) < 0 ||
		listen(api->listener, LAMBDA_CLIENTS) < 0 ||
		getsockname(api->listener, (void *)&at, &size) < 0) {
		close(api->listener);
		return false;
	}
	snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(at.sin_port));
	setenv("AWS_LAMBDA_RUNTIME_API", text, 1);
	return true;
}

bool
lambda_api_open(struct lambda_api *api)
{
	return listen_at(api, PORT) || listen_at(api, 0);
}

void
lambda_api_close(struct lambda_api *api)
{
	close(api->listener);
	while (api->n_clients)
		lambda_http_done(&api->clients[--api->n_clients].http);
	while (api->calls)
		forget_call(api, api->calls);
	*api = (struct lambda_api){.channel = api->channel, .start_kind = api->start_kind};
}

size_t
lambda_api_items(struct lambda_api *api, struct pollfd items[LAMBDA_ITEMS])
{
	write_clients(api);
	items[0] = (struct pollfd){api->listener, POLLIN, 0};
	for (size_t i = 0; i < api->n_clients; i++)
		items[1 + i] = (struct pollfd){api->clients[i].http.fd,
			(short)(POLLIN | (api->clients[i].http.out.size ? POLLOUT : 0)), 0};
	return 1 + api->n_clients;
}

void
lambda_api_attend(struct lambda_api *api, const struct pollfd *items, size_t n)
{
	for (size_t i = n - 1; i-- > 0;) {
		if (items[1 + i].revents & (POLLIN | POLLHUP | POLLERR))
			on_readable(api, &api->clients[i]);
	}
	if (items[0].revents)
		on_connection(api);
}
