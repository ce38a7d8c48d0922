/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_server_inside - the server's own state, for the files that carry its connections.
 */
#ifndef MAYFLY_NET_HTTP_SERVER_INSIDE_H
#define MAYFLY_NET_HTTP_SERVER_INSIDE_H

#include "net/http_server.h"

#define HTTP_SCRATCH_BYTES ((size_t)64 * 1024)
#define HTTP_DATE_SIZE     30 /* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL */

struct http_server {
	struct loop *loop; /* borrowed */
	struct http_limits limits;
	struct http_handler handler;
	struct list listeners; /* struct http_listener; owned */
	struct list conns;     /* struct http_conn; owned */
	struct http_stats stats;
	char *scratch; /* owned: what a connection reads into, HTTP_SCRATCH_BYTES */
	char date[HTTP_DATE_SIZE];
	uint64_t date_s; /* the second that `date` says */
	bool is_stopping;
	bool is_cut; /* the grace of stopping is over */
	struct loop_timer grace;
	void (*on_stopped)(void *arg);
	void *stopped_arg; /* borrowed */
};

/* IMF-fixdate of now (RFC 9110 5.6.7). */
struct str http_server_date(struct http_server *server) ON_LOOP;

/* A connection is gone; the last one ends a stop. */
void http_server_conn_gone(struct http_server *server) ON_LOOP;

#endif
