/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_url - where a broker speaks MQTT in WebSocket: ws[s]://host[:port]/path.
 *
 * Pure, any thread.
 */
#ifndef MAYFLY_MQTT_URL_H
#define MAYFLY_MQTT_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct mqtt_url {
	bool is_tls;
	char host[256];      /* a name, or an address without brackets */
	char authority[272]; /* as the Host header has it */
	char path[512];
	uint16_t port;
};

/* INVALID says what is wrong; the text holds no password, nor may it. */
int mqtt_url_read(const char *text, struct mqtt_url *ret, struct err *err);

#endif
