/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_url - where a broker is: amqp[s]://[user@]host[:port][/vhost].
 *
 * User, host and virtual host may have %XX. No virtual host is "/", as %2F is; a password is
 * refused: it does not belong into a setting that is shown. Any process.
 */
#ifndef MAYFLY_AMQP_URL_H
#define MAYFLY_AMQP_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct amqp_url {
	char user[128], host[256], vhost[256];
	uint16_t port; /* 5672, with TLS 5671 */
	bool is_tls;
};

/* ERR_INVALID, field amqp_url. */
int amqp_url_read(const char *text, struct amqp_url *ret, struct err *err);

#endif
