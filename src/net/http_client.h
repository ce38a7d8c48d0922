/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client - blocking HTTP requests for the command line, on libcurl.
 *
 * Only http and https; redirects are not followed; certificates are checked; connect timeout 5 s.
 * Never in the daemon.
 */
#ifndef MAYFLY_NET_HTTP_CLIENT_H
#define MAYFLY_NET_HTTP_CLIENT_H

#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"

struct http_client;

struct http_client_answer {
	int status;
	struct buf headers; /* owned: "name: value\n" lines, names lower case */
	struct buf body;    /* owned */
};

int http_client_new(const char *base_url, const char *token /* may be NULL */,
	struct http_client **ret, struct err *err);
void http_client_free(struct http_client *client);

/* For what is not a daemon of ours: authorities to trust instead of the system's (a PEM file), NULL
 * for these; the most bytes that the body of an answer may have, more fails the request; and plain
 * http goes straight there, whatever proxy the environment names. */
void http_client_restrict(struct http_client *client, const char *ca_file, size_t max_body);
void http_client_answer_done(struct http_client_answer *answer);

/* path with its query, percent-encoded. headers: NULL-terminated "Name: value" list, may be NULL.
 * timeout_ms 0 waits for ever. */
int http_client_send(struct http_client *client, const char *method, const char *path,
	const char *const *headers, struct str body, unsigned timeout_ms,
	struct http_client_answer *ret, struct err *err);

/* The same with the request body read from a file (ownership stays) and a progress callback. */
int http_client_upload(struct http_client *client, const char *method, const char *path,
	const char *const *headers, FILE *body, size_t size,
	void (*on_progress)(size_t sent, size_t total, void *arg), void *arg,
	struct http_client_answer *ret, struct err *err);

/* Streams the answer's body to on_bytes until it ends or on_bytes gives false. One that says
 * nothing for 45 s is lost: who streams events sends a beat. */
int http_client_stream(struct http_client *client, const char *path, const char *const *headers,
	int *ret_status, bool (*on_bytes)(struct str bytes, void *arg), void *arg,
	struct buf *error_body, struct err *err);

#endif
