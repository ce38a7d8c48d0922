/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listeners.h"

#include <netdb.h>
#include <sys/socket.h>

#include "base/own.h"

/* Appends the socket's address to a list of names. */
static int
listeners_name(int fd, char *names, size_t size, struct err *err)
{
	struct sockaddr_storage at;
	socklen_t at_size = sizeof(at);
	char host[64], port[8];
	size_t len = strlen(names);
	bool is_v6;

	if (getsockname(fd, (struct sockaddr *)&at, &at_size) < 0)
		return err_sys(err, "asking for a listener's address");
	must(getnameinfo((struct sockaddr *)&at, at_size, host, sizeof(host), port, sizeof(port),
		     NI_NUMERICHOST | NI_NUMERICSERV) == 0);
	is_v6 = at.ss_family == AF_INET6;
	snprintf(names + len, size - len, "%s%s%s%s:%s", len ? "," : "", is_v6 ? "[" : "", host,
		is_v6 ? "]" : "", port);
	return 0;
}

static int
listeners_add(struct listeners *listeners, const char *address, bool is_tls, struct err *err)
{
	OWN(fd) int fd = -1;
	int rc;

	if (listeners->n == LISTENERS_MAX)
		return err_field(err, ERR_INVALID, "listen", "at most %d addresses", LISTENERS_MAX);
	fd = http_bind(address, err);
	if (fd < 0)
		return fd;
	rc = is_tls ? listeners_name(fd, listeners->tls_names, sizeof(listeners->tls_names), err)
		    : listeners_name(
			      fd, listeners->clear_names, sizeof(listeners->clear_names), err);
	if (rc < 0)
		return rc;
	listeners->all[listeners->n].is_tls = is_tls;
	listeners->all[listeners->n++].fd = take_fd(&fd);
	return 0;
}

int
listeners_bind(const struct config *config, struct listeners *ret, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && config->listen[i]; i++)
		rc = listeners_add(ret, config->listen[i], false, err);
	for (size_t i = 0; rc == 0 && config->tls_listen[i]; i++)
		rc = listeners_add(ret, config->tls_listen[i], true, err);
	if (rc == 0 && config->tls_listen[0])
		rc = tls_context_new(config->tls_certificate, config->tls_key, &ret->tls, err);
	return rc;
}

int
listeners_listen(struct listeners *listeners, struct http_server *server, struct err *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < listeners->n; i++)
		rc = http_server_listen(server, take_fd(&listeners->all[i].fd),
			listeners->all[i].is_tls ? listeners->tls : NULL, err);
	return rc;
}

void
listeners_done(struct listeners *listeners)
{
	for (size_t i = 0; i < listeners->n; i++)
		own_fd(&listeners->all[i].fd);
	tls_context_free(listeners->tls);
}
