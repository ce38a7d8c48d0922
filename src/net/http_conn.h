/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_conn - one client's connection: socket, TLS, queue of bytes to send, deadlines.
 *
 * It reads, hands plain bytes to the version of HTTP that the connection speaks, gathers what is
 * to be sent, and writes it once at the end of the loop's turn.
 *
 *	HANDSHAKE ─▶ SNIFF ─▶ OPEN ── http_conn_finish: all sent ─▶ LINGER ─▶ DEAD
 *	(TLS only)     │ eof, error, deadline: http_conn_break ───────────────▶ DEAD
 *
 * A dead connection's memory goes at the end of the turn, so whoever is on the stack may still ask
 * http_conn_is_alive(). Only http_conn.c kills, and only from an event of the loop: everything that
 * a handler can call merely marks. ON_LOOP throughout.
 */
#ifndef MAYFLY_NET_HTTP_CONN_H
#define MAYFLY_NET_HTTP_CONN_H

#include <netinet/in.h>

#include "net/http_server_inside.h"

struct http_conn;
struct tls_session;

/* A version of HTTP. */
struct http_protocol {
	void *(*open)(struct http_conn *conn);
	void (*on_bytes)(struct http_conn *conn, struct str bytes);
	/* At the end of a turn in which the connection was marked: the place to go on with what was
	 * put off. */
	void (*on_turn)(struct http_conn *conn);
	void (*on_sent)(struct http_conn *conn); /* the queue became shorter */
	void (*on_eof)(struct http_conn *conn);
	void (*on_deadline)(struct http_conn *conn); /* the one set with http_conn_deadline() */
	void (*on_stop)(struct http_conn *conn);     /* the server stops: end when it fits */
	void (*on_dead)(struct http_conn *conn);     /* abort what is open */
	void (*free)(void *state);
};
extern const struct http_protocol http1_protocol;
extern const struct http_protocol http2_protocol;

enum http_conn_state {
	HTTP_CONN_HANDSHAKE,
	HTTP_CONN_SNIFF, /* HTTP/1.x or the preface of HTTP/2? */
	HTTP_CONN_OPEN,
	HTTP_CONN_LINGER, /* all is sent; reads and drops until the client closes */
	HTTP_CONN_DEAD,
};

#define HTTP_PREFACE_BYTES 24

struct http_conn {
	struct list link;
	struct http_server *server;           /* borrowed */
	const struct http_protocol *protocol; /* borrowed */
	void *protocol_state;                 /* owned */
	enum http_conn_state state;
	int fd;                   /* owned */
	struct loop_watch *watch; /* owned */
	struct tls_session *tls;  /* owned; NULL on a clear connection */
	struct buf out;           /* owned: plain bytes to send */
	struct buf wire;          /* owned: the same, encrypted */
	struct loop_flush flush;
	struct loop_timer timer;
	uint64_t armed_ms;          /* when the timer will run; 0: it does not */
	uint64_t deadline_ms;       /* of the protocol; 0: none */
	uint64_t write_deadline_ms; /* 0: nothing waits to be taken */
	bool is_blocked;            /* the socket takes no more for now */
	bool is_broken;             /* to be killed at the end of the turn */
	bool is_finishing;          /* to be closed when all is sent */
	bool is_paused;             /* the protocol wants no more bytes for now */
	bool is_eof;                /* the client will send no more */
	bool has_more;              /* plain bytes were left inside TLS when it was paused */
	unsigned char n_sniffed;
	char sniffed[HTTP_PREFACE_BYTES];
	char peer[INET6_ADDRSTRLEN];
};

/* Takes the socket over. tls may be NULL. */
void http_conn_new(struct http_server *server, int fd, const struct sockaddr *peer,
	struct tls_context *tls) ON_LOOP;

static inline bool
http_conn_is_alive(const struct http_conn *conn)
{
	return conn->state != HTTP_CONN_DEAD && !conn->is_broken;
}

/* Bytes queued and not yet taken by the client's side. */
size_t http_conn_queued(const struct http_conn *conn);

/* Queue for the end of the turn. `out` may be written to directly, followed by http_conn_mark(). */
void http_conn_write(struct http_conn *conn, struct str bytes) ON_LOOP;
void http_conn_mark(struct http_conn *conn) ON_LOOP;

void http_conn_pause(struct http_conn *conn, bool is_paused) ON_LOOP;
void http_conn_deadline(struct http_conn *conn, uint64_t after_ms) ON_LOOP; /* 0: none */
uint64_t http_conn_now(const struct http_conn *conn);

void http_conn_finish(struct http_conn *conn) ON_LOOP; /* close when all is sent */
void http_conn_break(struct http_conn *conn) ON_LOOP;  /* close at the end of the turn */
void http_conn_stop(struct http_conn *conn) ON_LOOP;   /* the server stops */

#endif
