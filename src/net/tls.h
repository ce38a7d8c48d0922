/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls - TLS 1.2 and 1.3 over memory: bytes of the wire in, plain bytes out, and back.
 *
 * Knows no socket and no HTTP but the two names of ALPN. No renegotiation, no compression.
 * A session keeps the certificate that it began with when its context is reloaded. ON_LOOP.
 */
#ifndef MAYFLY_NET_TLS_H
#define MAYFLY_NET_TLS_H

#include "net/http_server.h"

struct tls_session;

struct tls_session *tls_session_new(struct tls_context *tls);
void tls_session_free(struct tls_session *tls);

/* Bytes that came from the client; they are kept until tls_session_read(). */
void tls_session_feed(struct tls_session *tls, struct str bytes);

/* 1: the handshake is complete; 0: more is needed; ERR_INVALID: the client cannot be talked to. */
int tls_session_handshake(struct tls_session *tls);
bool tls_session_is_http2(const struct tls_session *tls);

/* Plain bytes: how many, 0 when more must come, -1 when the client ended or broke TLS. */
int tls_session_read(struct tls_session *tls, char *at, size_t size);

/* Encrypts; all is taken. False when the session is broken. */
bool tls_session_write(struct tls_session *tls, struct str bytes);

/* Moves what is to be sent on the wire to `out`. */
void tls_session_take(struct tls_session *tls, struct buf *out);

/* Says close_notify. */
void tls_session_close(struct tls_session *tls);

#endif
