/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mqtt_frame - the frames of peer_frame.h between the daemon and mayfly-mqtt.
 */
#ifndef MAYFLY_MQTT_FRAME_H
#define MAYFLY_MQTT_FRAME_H

#include "peer/peer_frame.h"

enum mqtt_frame_kind {
	/* daemon → mayfly-mqtt: texts in the order given */
	MQTT_FRAME_CONNECT = 1, /* host, authority, path, client id, user, password, CA file, topic;
				   number: port, count: keepalive in seconds */
	MQTT_FRAME_PUBLISH,     /* topic, body */
	/* mayfly-mqtt → daemon */
	MQTT_FRAME_UP,        /* nothing: connected, and subscribed to the topic */
	MQTT_FRAME_DOWN,      /* reason; code. Until the next CONNECT all requests are dropped */
	MQTT_FRAME_MESSAGE,   /* body; code TOO_LARGE for one without it */
	MQTT_FRAME_CONFIRMED, /* reason; code: one that was published; what is not confirmed when
				 it is DOWN was lost, or was not */
	MQTT_FRAME_KINDS,
};

enum mqtt_frame_flags { MQTT_FRAME_TLS = 1 };
enum { MQTT_FRAME_CONNECT_TEXTS = 8, MQTT_LANES = 1 };

#endif
