/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners - the addresses that the daemon answers at: bound while it may bind them, listened on
 * later, and their names as the kernel gave them (port 0 became a number).
 */
#ifndef MAYFLY_DAEMON_LISTENERS_H
#define MAYFLY_DAEMON_LISTENERS_H

#include "daemon/config.h"

#define LISTENERS_MAX 32

struct listeners {
	struct {
		int fd; /* owned until it listens, then -1 */
		bool is_tls;
	} all[LISTENERS_MAX];
	size_t n;
	struct tls_context *tls;               /* owned; NULL without tls_listen */
	char clear_names[512], tls_names[512]; /* "127.0.0.1:8080,[::1]:8080" */
};

/* Binds, and reads the certificate and its key. */
int listeners_bind(const struct config *config, struct listeners *ret, struct err *err);
int listeners_listen(
	struct listeners *listeners, struct http_server *server, struct err *err) ON_LOOP;
void listeners_done(struct listeners *listeners);

#endif
