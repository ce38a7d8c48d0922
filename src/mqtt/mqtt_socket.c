/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/mqtt_socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/own.h"

#define SOCKET_WRITE_MAX (1u << 20) /* in one call: OpenSSL counts in int */

OWN_DEFINE(addrinfo, struct addrinfo *, freeaddrinfo)

struct mqtt_socket {
	int fd;       /* owned */
	SSL_CTX *ctx; /* owned; NULL without TLS */
	SSL *ssl;     /* owned; the same */
};

OWN_DEFINE(mqtt_socket, struct mqtt_socket *, mqtt_socket_free)

void
mqtt_socket_free(struct mqtt_socket *socket)
{
	if (!socket)
		return;
	if (socket->ssl)
		SSL_free(socket->ssl);
	if (socket->ctx)
		SSL_CTX_free(socket->ctx);
	own_fd(&socket->fd);
	free(socket);
}

int
mqtt_socket_fd(const struct mqtt_socket *socket)
{
	return socket->fd;
}

/* ---- connecting ---- */

/* Whether it came before the end. */
static bool
wait_for(int fd, short events, uint64_t end_us)
{
	uint64_t now_us;

	while ((now_us = clock_mono_us()) < end_us) {
		struct pollfd watched = {fd, events, 0};
		int n = poll(&watched, 1, (int)((end_us - now_us) / 1000) + 1);

		if (n > 0)
			return true;
		if (n < 0 && errno != EINTR)
			return false;
	}
	return false;
}

static int
connect_to(const struct addrinfo *address, uint64_t end_us, int *ret_fd)
{
	OWN(fd)
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int why = 0, one = 1;
	socklen_t len = sizeof(why);

	if (fd < 0)
		return errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
		if (errno != EINPROGRESS)
			return errno;
		if (!wait_for(fd, POLLOUT, end_us))
			return ETIMEDOUT;
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) < 0)
			return errno;
		if (why)
			return why;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The addresses of the name, one after the other. */
static int
socket_connect(struct mqtt_socket *socket, const struct mqtt_socket_wish *wish, uint64_t end_us,
	struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
	OWN(addrinfo) struct addrinfo *found = NULL;
	char port[8];
	int why;

	snprintf(port, sizeof(port), "%u", wish->port);
	why = getaddrinfo(wish->host, port, &hints, &found);
	if (why)
		return err_set(err, ERR_UNAVAILABLE, "%.100s: %s", wish->host, gai_strerror(why));
	for (const struct addrinfo *at = found; at; at = at->ai_next) {
		why = connect_to(at, end_us, &socket->fd);
		if (why == 0)
			return 0;
	}
	return err_set(err, ERR_UNAVAILABLE, "connecting to %.100s:%u: %s", wish->host, wish->port,
		strerror(why));
}

/* ---- TLS ---- */

void
mqtt_socket_prepare(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	must(ctx);
	SSL_CTX_free(ctx);
}

static int
tls_fail(const struct mqtt_socket *socket, const char *doing, struct err *err)
{
	unsigned long code = ERR_get_error();
	long found = socket->ssl ? SSL_get_verify_result(socket->ssl) : X509_V_OK;
	const char *reason = found != X509_V_OK ? X509_verify_cert_error_string(found)
			     : code             ? ERR_reason_error_string(code)
						: NULL;

	ERR_clear_error();
	return err_set(err, ERR_UNAVAILABLE, "%s: %s", doing, reason ? reason : "failed");
}

static bool
tls_set_name(SSL *ssl, const char *host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
		return true;
	ERR_clear_error();
	return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int
tls_make(struct mqtt_socket *socket, const struct mqtt_socket_wish *wish, struct err *err)
{
	SSL_CTX *ctx = socket->ctx = SSL_CTX_new(TLS_client_method());

	must(ctx);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	if (wish->ca_file[0] ? SSL_CTX_load_verify_file(ctx, wish->ca_file) != 1
			     : SSL_CTX_set_default_verify_paths(ctx) != 1)
		return tls_fail(socket, "reading the authorities of certificates", err);
	socket->ssl = SSL_new(ctx);
	must(socket->ssl);
	if (!tls_set_name(socket->ssl, wish->host) || SSL_set_fd(socket->ssl, socket->fd) != 1)
		return tls_fail(socket, "preparing TLS", err);
	return 0;
}

static int
tls_shake_hands(struct mqtt_socket *socket, uint64_t end_us, struct err *err)
{
	for (;;) {
		int rc = SSL_connect(socket->ssl);
		int why = SSL_get_error(socket->ssl, rc);

		if (rc == 1)
			return 0;
		if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
			return tls_fail(socket, "TLS with the server", err);
		if (!wait_for(socket->fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, end_us))
			return err_set(
				err, ERR_UNAVAILABLE, "TLS with the server: it does not answer");
	}
}

int
mqtt_socket_open(const struct mqtt_socket_wish *wish, struct mqtt_socket **ret, struct err *err)
{
	OWN(mqtt_socket) struct mqtt_socket *socket = mem_new(sizeof(*socket));
	uint64_t end_us = clock_mono_us() + wish->patience_ms * 1000ull;
	int rc;

	socket->fd = -1;
	rc = socket_connect(socket, wish, end_us, err);
	if (rc == 0 && wish->is_tls)
		rc = tls_make(socket, wish, err);
	if (rc == 0 && wish->is_tls)
		rc = tls_shake_hands(socket, end_us, err);
	if (rc == 0)
		*ret = take_ptr(&socket);
	return rc;
}

/* ---- bytes ---- */

static int
socket_ended(struct err *err)
{
	ERR_clear_error();
	return err_set(err, ERR_UNAVAILABLE, "the server ended the connection");
}

/* What came of a call of OpenSSL's: 0 for nothing now. */
static int
tls_result(struct mqtt_socket *socket, int rc, struct err *err)
{
	int why = SSL_get_error(socket->ssl, rc);

	if (rc > 0)
		return rc;
	return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : socket_ended(err);
}

static int
plain_result(ssize_t n, struct err *err)
{
	if (n > 0)
		return (int)n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n == 0 ? socket_ended(err)
		      : err_set(err, ERR_UNAVAILABLE, "the connection: %s", strerror(errno));
}

int64_t
mqtt_socket_read(struct mqtt_socket *socket, char *at, size_t size, struct err *err)
{
	if (socket->ssl)
		return tls_result(socket, SSL_read(socket->ssl, at, (int)size), err);
	return plain_result(recv(socket->fd, at, size, MSG_DONTWAIT), err);
}

int
mqtt_socket_write(struct mqtt_socket *socket, struct buf *wire, struct err *err)
{
	while (wire->len) {
		size_t part = wire->len < SOCKET_WRITE_MAX ? wire->len : SOCKET_WRITE_MAX;
		int n = socket->ssl ? tls_result(socket,
					      SSL_write(socket->ssl, wire->at, (int)part), err)
				    : plain_result(send(socket->fd, wire->at, part,
							   MSG_DONTWAIT | MSG_NOSIGNAL),
					      err);

		if (n <= 0)
			return n;
		buf_eat(wire, (size_t)n);
	}
	return 0;
}
