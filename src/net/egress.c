/* SPDX-License-Identifier: Apache-2.0 */
#include "net/egress.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
#include "net/egress_inside.h"
#include "net/egress_route.h"

#define EGRESS_FDS_SHARE 8   /* connections have two descriptors each: a quarter of all */
#define EGRESS_PAUSE_MS  100 /* until another try, when a connection could not be accepted */
#define EGRESS_OWN_BITS  8   /* of a listed range that opens an address of the host's own */

/* ---- the host ---- */

static int
egress_host_read_ranges(struct egress_host *host, const char *const *open, struct err *err)
{
	size_t n = 0;

	while (open && open[n])
		n++;
	host->open.at = mem_new((n + 1) * sizeof(*host->open.at));
	for (; host->open.n < n; host->open.n++) {
		struct err why = {0};
		const char *text = open[host->open.n];

		if (egress_range_parse(str_of(text), &host->open.at[host->open.n], &why) < 0)
			return err_set(err, ERR_INVALID, "%.60s %s", text, why.text);
	}
	return 0;
}

static unsigned
egress_host_share(void)
{
	struct rlimit files = {.rlim_cur = 1024};

	getrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur > 1u << 24 ? 1u << 21 : (unsigned)files.rlim_cur / EGRESS_FDS_SHARE;
}

int
egress_host_new(struct loop *loop, const struct egress_settings *settings, struct egress_host **ret,
	struct err *err)
{
	struct egress_host *host = mem_new(sizeof(*host));
	int rc;

	host->loop = loop;
	host->connections = settings->connections;
	host->connect_ms = settings->connect_ms;
	host->idle_ms = settings->idle_ms;
	host->n_open_max = egress_host_share();
	host->routes = -1;
	list_init(&host->lookups);
	rc = egress_host_read_ranges(host, settings->open, err);
	if (rc == 0)
		rc = egress_route_open(&host->routes, err);
	if (rc < 0) {
		egress_host_free(host);
		return rc;
	}
	*ret = host;
	return 0;
}

void
egress_host_free(struct egress_host *host)
{
	if (!host)
		return;
	egress_lookup_end_all(host);
	map_done(&host->owners);
	egress_ranges_done(&host->open);
	own_fd(&host->routes);
	free(host);
}

void
egress_host_stats(const struct egress_host *host, struct egress_stats *ret)
{
	*ret = host->stats;
	ret->n_open = host->n_open;
}

const char *
egress_host_fault(struct egress_host *host, const struct egress_address *address)
{
	unsigned least = EGRESS_OWN_BITS + (egress_address_is_v4(address) ? 96 : 0);
	const char *fault = egress_ranges_fault(&host->open, address);

	if (fault)
		return fault;
	switch (egress_route_ask(host->routes, address)) {
	case EGRESS_ROUTE_OUT:
		return NULL;
	case EGRESS_ROUTE_HOST:
		return egress_ranges_have(&host->open, address, least) ? NULL : "the host's own";
	default:
		return "out of the host's reach";
	}
}

/* ---- listening ---- */

void
egress_say(struct egress *egress, const char *format, ...)
{
	char sentence[EGRESS_SENTENCE_SIZE];
	va_list args;

	if (!egress->on_trouble)
		return;
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	egress->on_trouble(egress, sentence, egress->arg);
}

void
egress_want_connections(struct egress *egress, bool wants)
{
	for (unsigned i = 0; i < egress->n_tcp; i++)
		if (egress->tcp[i].watch)
			loop_watch_want(egress->tcp[i].watch, wants ? UV_READABLE : 0);
	if (egress->dns_tcp.watch)
		loop_watch_want(egress->dns_tcp.watch, wants ? UV_READABLE : 0);
}

static void
egress_on_pause(struct loop_timer *timer)
{
	struct egress *egress = list_owner(timer, struct egress, pause);

	thread_on_loop();
	egress_want_connections(egress, egress->n_conns < egress->host->connections);
}

int
egress_accept(struct egress_listener *listener)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct egress *egress = listener->egress;

	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
		egress_want_connections(egress, false);
		loop_timer_start(
			egress->host->loop, &egress->pause, EGRESS_PAUSE_MS, egress_on_pause);
	}
	return fd;
}

static int ON_LOOP
egress_watch(struct egress_listener *listener, loop_watch_fn *run, struct err *err)
{
	int rc;

	if (listener->fd < 0)
		return 0;
	rc = loop_watch_new(
		listener->egress->host->loop, listener->fd, run, listener, &listener->watch, err);
	if (rc == 0)
		loop_watch_want(listener->watch, UV_READABLE);
	return rc;
}

static void ON_LOOP
egress_close(struct egress_listener *listener)
{
	loop_watch_free(listener->watch);
	own_fd(&listener->fd);
}

/* ---- life ---- */

static void
egress_on_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct egress, pause));
}

void
egress_free(struct egress *egress)
{
	if (!egress)
		return;
	egress_conn_end_all(egress);
	egress_server_end_all(egress);
	egress_names_forget(egress, true);
	egress_close(&egress->dns_udp);
	egress_close(&egress->dns_tcp);
	for (unsigned i = 0; i < egress->n_tcp; i++)
		egress_close(&egress->tcp[i]);
	list_remove(&egress->opening.link);
	egress_lookup_release(egress->host, egress->owner);
	free(egress->tcp);
	free(egress->rules);
	loop_timer_close(&egress->pause, egress_on_closed);
}

struct egress *
egress_new(struct egress_host *host, const struct egress_spec *spec)
{
	struct egress *egress = mem_new(sizeof(*egress));

	must(spec->n_rules <= EGRESS_RULES_MAX);
	egress->host = host;
	egress->owner = egress_lookup_hold(host, spec->owner);
	egress->on_trouble = spec->on_trouble;
	egress->arg = spec->arg;
	egress->rules = mem_new((spec->n_rules + 1) * sizeof(*egress->rules));
	memcpy(egress->rules, spec->rules, spec->n_rules * sizeof(*egress->rules));
	egress->n_rules = spec->n_rules;
	egress->dns_udp.fd = egress->dns_tcp.fd = -1;
	list_init(&egress->conns);
	list_init(&egress->clients);
	list_init(&egress->names);
	list_init(&egress->opening.link);
	return egress;
}

int
egress_listen(struct egress *egress, const struct egress_sockets *sockets, struct err *err)
{
	int rc;

	must(!egress->tcp);
	egress->dns_udp = (struct egress_listener){.egress = egress, .fd = sockets->dns_udp};
	egress->dns_tcp = (struct egress_listener){.egress = egress, .fd = sockets->dns_tcp};
	egress->tcp = mem_new((sockets->n + 1) * sizeof(*egress->tcp));
	for (; egress->n_tcp < sockets->n; egress->n_tcp++)
		egress->tcp[egress->n_tcp] = (struct egress_listener){
			.egress = egress, .fd = sockets->tcp[egress->n_tcp]};
	egress->is_open = true;
	rc = egress_watch(&egress->dns_udp, egress_server_on_datagram, err);
	if (rc == 0)
		rc = egress_watch(&egress->dns_tcp, egress_server_on_accept, err);
	for (unsigned i = 0; rc == 0 && i < egress->n_tcp; i++)
		rc = egress_watch(&egress->tcp[i], egress_conn_on_accept, err);
	return rc;
}

/* ---- calls ---- */

/* What the loop finds in this turn was there before the call: it is told in the next. */
static void
egress_on_opening(struct loop_flush *flush)
{
	list_owner(flush, struct egress, opening)->is_open = true;
}

void
egress_begin_call(struct egress *egress)
{
	egress->is_in_call = true;
	if (egress->is_open)
		return;
	egress->opening.run = egress_on_opening;
	loop_flush_soon(egress->host->loop, &egress->opening);
}

void
egress_end_call(struct egress *egress)
{
	if (!egress->is_in_call && egress->n_conns)
		egress_say(egress, "the function has loaded, and %u open connections are closed",
			egress->n_conns);
	egress->is_open = egress->is_in_call = false;
	list_remove(&egress->opening.link);
	egress_conn_end_all(egress);
	egress_server_end_all(egress);
	egress_names_forget(egress, false);
}

void
egress_take_bytes(struct egress *egress, struct egress_bytes *ret)
{
	*ret = egress->bytes;
	egress->bytes = (struct egress_bytes){0};
}
