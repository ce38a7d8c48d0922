/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_socket - a connection to a server, with TLS or without: bytes there and back.
 *
 * With TLS (1.2 and later) the server's certificate must be valid for its name. In mayfly-mqtt
 * alone, one thread.
 */
#ifndef MAYFLY_MQTT_SOCKET_H
#define MAYFLY_MQTT_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct mqtt_socket;

struct mqtt_socket_wish {
	const char *host;
	uint16_t port;
	bool is_tls;
	const char *ca_file; /* "" for the system's */
	unsigned patience_ms;
};

/* What the library of TLS opens at its first use, it opens here: before the process gives up the
 * right to. */
void mqtt_socket_prepare(void);
/* Waits for it. UNAVAILABLE says what came in between. */
int mqtt_socket_open(
	const struct mqtt_socket_wish *wish, struct mqtt_socket **ret, struct err *err);
void mqtt_socket_free(struct mqtt_socket *socket);
int mqtt_socket_fd(const struct mqtt_socket *socket);

/* Do not wait. Bytes read, 0 for none now, UNAVAILABLE at its end. */
int64_t mqtt_socket_read(struct mqtt_socket *socket, char *at, size_t size, struct err *err);
/* Sends what it can of `wire` and eats it. */
int mqtt_socket_write(struct mqtt_socket *socket, struct buf *wire, struct err *err);

#endif
