/* SPDX-License-Identifier: Apache-2.0 */
#include "net/fetch.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/own.h"
#include "net/egress_route.h"
#include "net/loop.h"

#define FETCH_AT_ONCE       64
#define FETCH_CONNECT_MS    5000
#define FETCH_HEADERS_BYTES (64u * 1024)
#define FETCH_KEPT          64 /* connections for the next request to the same place */
#define FETCH_OWN_BITS      8  /* of a listed range that opens an address of the host's own */

struct fetch_host {
	struct loop *loop;           /* borrowed */
	struct egress_ranges ranges; /* owned */
	unsigned max_at_once, n_running;
	long connect_ms;
	int routes;                    /* owned: egress_route_ask() */
	CURLM *multi;                  /* owned */
	struct list waiting, running;  /* of struct fetch, borrowed */
	struct loop_timer timer, turn; /* what libcurl waits for; starts what waits here */
	unsigned n_timers;             /* that are not closed yet */
	bool is_closing;
};

/* One request's parts while libcurl has it; fetch.private_state. */
struct fetch_run {
	struct fetch_host *host;    /* borrowed */
	struct fetch *fetch;        /* borrowed */
	CURL *curl;                 /* owned */
	struct curl_slist *headers; /* owned */
	const char *fault;          /* of an address that was refused; NULL for none */
	char why[CURL_ERROR_SIZE];
	bool is_cut; /* the answer is longer than is taken */
};

/* ---- which addresses ---- */

/* As egress_host_fault() does for functions. */
static const char *
fetch_address_fault(const struct fetch_host *host, const struct egress_address *address)
{
	unsigned least = FETCH_OWN_BITS + (egress_address_is_v4(address) ? 96 : 0);
	const char *fault = egress_ranges_fault(&host->ranges, address);

	thread_on_loop();
	if (fault)
		return fault;
	switch (egress_route_ask(host->routes, address)) {
	case EGRESS_ROUTE_OUT:
		return NULL;
	case EGRESS_ROUTE_HOST:
		return egress_ranges_have(&host->ranges, address, least) ? NULL : "the host's own";
	default:
		return "out of the host's reach";
	}
}

/* Called with the address that is connected to next, whatever the name said before. */
static curl_socket_t
fetch_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *at)
{
	struct fetch_run *run = arg;
	struct egress_address address;

	if (!run->fetch->is_trusted) {
		const char *fault = egress_address_of(&at->addr, &address)
					    ? fetch_address_fault(run->host, &address)
					    : "of no known kind";

		if (fault) {
			run->fault = fault;
			return CURL_SOCKET_BAD;
		}
	}
	return socket(at->family, at->socktype | SOCK_CLOEXEC, at->protocol);
}

/* ---- what is sent ---- */

static bool
fetch_is_token(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

bool
fetch_header_is_sound(struct str header)
{
	struct str name = str_cut(&header, ':');

	if (!name.len || !header.at)
		return false;
	for (size_t i = 0; i < name.len; i++)
		if (!fetch_is_token(name.at[i]))
			return false;
	for (size_t i = 0; i < header.len; i++)
		if ((unsigned char)header.at[i] < ' ' && header.at[i] != '\t')
			return false;
	return true;
}

/* A header without a value is written "name;" for libcurl, which leaves "name:" out. */
static int
fetch_add_headers(struct fetch_run *run, struct err *err)
{
	const char *const *headers = run->fetch->headers;
	bool has_type = false;

	run->headers = curl_slist_append(NULL, "Expect:");
	for (; headers && *headers; headers++) {
		struct str value = str_of(*headers);
		struct str name = str_cut(&value, ':');

		if (!fetch_header_is_sound(str_of(*headers)))
			return err_set(err, ERR_INVALID, "a header to be sent is none");
		OWN(mem)
		char *line = str_trim(value).len ? str_dup(str_of(*headers))
						 : mem_printf("%.*s;", STR_ARG(name));
		run->headers = curl_slist_append(run->headers, line);
		has_type = has_type || str_eq_case(name, STR("content-type"));
	}
	if (!has_type)
		run->headers = curl_slist_append(run->headers, "Content-Type:");
	must(run->headers);
	return 0;
}

/* ---- what is answered ---- */

/* A status line begins the headers anew: those of a 100 are not of the answer. */
static size_t
fetch_on_header(char *at, size_t one, size_t n, void *arg)
{
	struct fetch_run *run = arg;
	struct buf *headers = &run->fetch->answer_headers;
	struct str value = str_n(at, n);
	struct str name;

	while (value.len && (value.at[value.len - 1] == '\n' || value.at[value.len - 1] == '\r'))
		value.len--;
	if (str_starts(value, STR("HTTP/")))
		buf_clear(headers);
	if (str_starts(value, STR("HTTP/")) || !value.len)
		return n;
	if (headers->len + n > FETCH_HEADERS_BYTES)
		return 0;
	name = str_cut(&value, ':');
	for (size_t i = 0; i < name.len; i++)
		buf_add_char(headers, name.at[i] >= 'A' && name.at[i] <= 'Z'
					      ? (char)(name.at[i] + 32)
					      : name.at[i]);
	buf_add_text(headers, ": ");
	buf_add_str(headers, str_trim(value));
	buf_add_char(headers, '\n');
	return n;
}

static size_t
fetch_on_body(char *at, size_t one, size_t n, void *arg)
{
	struct fetch_run *run = arg;
	struct buf *answer = &run->fetch->answer;
	size_t room = run->fetch->answer_bytes - answer->len;

	if (n <= room) {
		buf_add(answer, at, n);
		return n;
	}
	buf_add(answer, at, room);
	run->is_cut = true;
	return 0;
}

/* ---- one request ---- */

static void
fetch_run_free(struct fetch_run *run)
{
	curl_easy_cleanup(run->curl);
	curl_slist_free_all(run->headers);
	free(run);
}

/* Out of libcurl and of the lists; it may be started again. */
static struct fetch_run *
fetch_take_out(struct fetch *fetch)
{
	struct fetch_run *run = fetch->private_state;

	list_remove(&fetch->link);
	fetch->private_state = NULL;
	if (run->curl) {
		curl_multi_remove_handle(run->host->multi, run->curl);
		run->host->n_running--;
	}
	return run;
}

static void
fetch_end(struct fetch *fetch, int status, const struct err *err)
{
	fetch_run_free(fetch_take_out(fetch));
	fetch->done(fetch, status, err);
}

/* A tenant reads it: which address a name of the provider's network has is not told. */
static int
fetch_reason(const struct fetch_run *run, CURLcode code, struct err *err)
{
	const char *why = run->why[0] ? run->why : curl_easy_strerror(code);

	if (run->fault && code == CURLE_COULDNT_CONNECT)
		return err_set(err, ERR_FORBIDDEN,
			"the URL's host may not be reached: its address is %s", run->fault);
	if (code == CURLE_OPERATION_TIMEDOUT)
		return err_set(err, ERR_TIMEOUT, "no answer in time: %s", why);
	return err_set(err, ERR_UNAVAILABLE, "no answer: %s", why);
}

static void
fetch_on_over(struct fetch_run *run, CURLcode code)
{
	struct err err = {0};
	long status = 0;

	curl_easy_getinfo(run->curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_OK || (code == CURLE_WRITE_ERROR && run->is_cut)) {
		fetch_end(run->fetch, (int)status, NULL);
		return;
	}
	fetch_reason(run, code, &err);
	fetch_end(run->fetch, 0, &err);
}

/* No proxy of the environment, no file of the user, no second protocol: what is asked for is what
 * is connected to. A connection that the provider's own request made is kept for nobody. */
static void
fetch_prepare(struct fetch_run *run)
{
	const struct fetch *fetch = run->fetch;
	CURL *curl = run->curl;

	curl_easy_setopt(curl, CURLOPT_URL, fetch->url);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, fetch->method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, run->headers);
	curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, run->host->connect_ms);
	curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)fetch->timeout_ms);
	curl_easy_setopt(curl, CURLOPT_USERAGENT, "mayfly/" MAYFLY_VERSION);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, run->why);
	curl_easy_setopt(curl, CURLOPT_FRESH_CONNECT, (long)fetch->is_trusted);
	curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, (long)fetch->is_trusted);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, fetch_open_socket);
	curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, run);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, fetch_on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, run);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, fetch_on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, run);
	curl_easy_setopt(curl, CURLOPT_PRIVATE, run);
	if (fetch->ca_file)
		curl_easy_setopt(curl, CURLOPT_CAINFO, fetch->ca_file);
	if (fetch->body.len || strcmp(fetch->method, "POST") == 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fetch->body.len);
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, fetch->body.at ? fetch->body.at : "");
	}
	curl_easy_setopt(curl, CURLOPT_NOBODY, (long)(strcmp(fetch->method, "HEAD") == 0));
}

static void
fetch_begin(struct fetch *fetch)
{
	struct fetch_run *run = fetch->private_state;
	struct fetch_host *host = run->host;
	struct err err = {0};

	list_remove(&fetch->link);
	list_push_back(&host->running, &fetch->link);
	if (fetch_check_url(str_of(fetch->url), &err) < 0 || fetch_add_headers(run, &err) < 0) {
		fetch_end(fetch, 0, &err);
		return;
	}
	run->curl = curl_easy_init();
	must(run->curl);
	fetch_prepare(run);
	host->n_running++;
	must(curl_multi_add_handle(host->multi, run->curl) == CURLM_OK);
}

/* ---- libcurl on the loop ---- */

static void fetch_begin_waiting(struct loop_timer *timer);

static void
fetch_look(struct fetch_host *host)
{
	struct CURLMsg *message;
	int n;

	while ((message = curl_multi_info_read(host->multi, &n))) {
		struct fetch_run *run = NULL;

		if (message->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &run);
		fetch_on_over(run, message->data.result);
	}
	fetch_begin_waiting(&host->turn);
}

static void
fetch_on_timer(struct loop_timer *timer)
{
	struct fetch_host *host = list_owner(timer, struct fetch_host, timer);
	int n;

	curl_multi_socket_action(host->multi, CURL_SOCKET_TIMEOUT, 0, &n);
	fetch_look(host);
}

static int
fetch_want_timer(CURLM *multi, long after_ms, void *arg)
{
	struct fetch_host *host = arg;

	thread_on_loop();
	if (after_ms < 0)
		loop_timer_stop(&host->timer);
	else if (!host->is_closing)
		loop_timer_start(host->loop, &host->timer, (uint64_t)after_ms, fetch_on_timer);
	return 0;
}

static void
fetch_on_socket(struct loop_watch *watch, int uv_events, void *arg)
{
	struct fetch_host *host = arg;
	int fd = -1, n;
	int events = (uv_events & UV_READABLE ? CURL_CSELECT_IN : 0) |
		     (uv_events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);

	must(uv_fileno((const uv_handle_t *)watch, &fd) == 0);
	curl_multi_socket_action(host->multi, fd, events, &n);
	fetch_look(host);
}

static int
fetch_want_socket(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct fetch_host *host = arg;
	struct loop_watch *watch = socket_arg;
	struct err err = {0};

	thread_on_loop();
	if (what == CURL_POLL_REMOVE) {
		loop_watch_free(watch);
		curl_multi_assign(host->multi, fd, NULL);
		return 0;
	}
	if (!watch) {
		if (loop_watch_new(host->loop, fd, fetch_on_socket, host, &watch, &err) < 0)
			return -1;
		curl_multi_assign(host->multi, fd, watch);
	}
	loop_watch_want(watch,
		(what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0));
	return 0;
}

/* ---- as a whole ---- */

int
fetch_open(const struct fetch_config *config, struct fetch_host **ret, struct err *err)
{
	struct fetch_host *host = mem_new(sizeof(*host));
	int rc = egress_route_open(&host->routes, err);

	if (rc < 0) {
		free(host);
		return rc;
	}
	must(curl_global_init(CURL_GLOBAL_DEFAULT) == 0);
	host->loop = config->loop;
	host->ranges.n = config->n_ranges;
	host->ranges.at = mem_new((config->n_ranges + 1) * sizeof(*host->ranges.at));
	for (size_t i = 0; i < config->n_ranges; i++)
		host->ranges.at[i] = config->ranges[i];
	host->max_at_once = config->max_at_once ? config->max_at_once : FETCH_AT_ONCE;
	host->connect_ms = config->connect_ms ? (long)config->connect_ms : FETCH_CONNECT_MS;
	host->n_timers = 2;
	list_init(&host->waiting);
	list_init(&host->running);
	host->multi = curl_multi_init();
	must(host->multi);
	curl_multi_setopt(host->multi, CURLMOPT_SOCKETFUNCTION, fetch_want_socket);
	curl_multi_setopt(host->multi, CURLMOPT_SOCKETDATA, host);
	curl_multi_setopt(host->multi, CURLMOPT_TIMERFUNCTION, fetch_want_timer);
	curl_multi_setopt(host->multi, CURLMOPT_TIMERDATA, host);
	curl_multi_setopt(host->multi, CURLMOPT_MAXCONNECTS, (long)FETCH_KEPT);
	*ret = host;
	return 0;
}

static void
fetch_closed(struct fetch_host *host)
{
	if (--host->n_timers)
		return;
	egress_ranges_done(&host->ranges);
	free(host);
}

static void
fetch_on_timer_closed(struct loop_timer *timer)
{
	fetch_closed(list_owner(timer, struct fetch_host, timer));
}

static void
fetch_on_turn_closed(struct loop_timer *timer)
{
	fetch_closed(list_owner(timer, struct fetch_host, turn));
}

static void
fetch_end_all(struct list *list)
{
	struct fetch *fetch;
	struct err err = {0};

	err_set(&err, ERR_UNAVAILABLE, "mayfly is stopping");
	while ((fetch = list_first(list, struct fetch, link)))
		fetch_end(fetch, 0, &err);
}

void
fetch_close(struct fetch_host *host)
{
	if (!host)
		return;
	thread_on_loop();
	host->is_closing = true;
	fetch_end_all(&host->waiting);
	fetch_end_all(&host->running);
	curl_multi_cleanup(host->multi);
	close(host->routes);
	loop_timer_close(&host->timer, fetch_on_timer_closed);
	loop_timer_close(&host->turn, fetch_on_turn_closed);
}

static void
fetch_begin_waiting(struct loop_timer *timer)
{
	struct fetch_host *host = list_owner(timer, struct fetch_host, turn);
	struct fetch *fetch;

	while (!host->is_closing && host->n_running < host->max_at_once &&
		(fetch = list_first(&host->waiting, struct fetch, link)))
		fetch_begin(fetch);
}

void
fetch_start(struct fetch_host *host, struct fetch *fetch)
{
	struct fetch_run *run = mem_new(sizeof(*run));

	must(!host->is_closing);
	run->host = host;
	run->fetch = fetch;
	fetch->private_state = run;
	fetch->answer = fetch->answer_headers = BUF_INIT;
	list_push_back(&host->waiting, &fetch->link);
	loop_timer_start(host->loop, &host->turn, 0, fetch_begin_waiting);
}

void
fetch_cancel(struct fetch_host *host, struct fetch *fetch)
{
	fetch_run_free(fetch_take_out(fetch));
	if (!list_is_empty(&host->waiting))
		loop_timer_start(host->loop, &host->turn, 0, fetch_begin_waiting);
}

void
fetch_done(struct fetch *fetch)
{
	buf_done(&fetch->answer);
	buf_done(&fetch->answer_headers);
}
