/* SPDX-License-Identifier: Apache-2.0 */
#include "mqtt/mqtt.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/id.h"
#include "base/own.h"
#include "mqtt/mqtt_frame.h"
#include "mqtt/mqtt_url.h"
#include "net/loop.h"
#include "peer/peer_lane.h"

#define MQTT_UNSENT_MAX (64u << 20)

enum mqtt_state { MQTT_GONE, MQTT_WAITING, MQTT_CONNECTING, MQTT_READY };

enum { MQTT_CLIENT_BYTES = 8, MQTT_CLIENT_SIZE = sizeof("mayfly") + 2 * MQTT_CLIENT_BYTES };

struct mqtt {
	struct loop *loop; /* borrowed */
	struct peer_process process;
	struct loop_watch *control; /* owned: of the process */
	struct peer_lane lane;
	enum mqtt_state state;
	struct mqtt_url url;
	char *user, *password, *ca_file, *topic; /* owned */
	char client_id[MQTT_CLIENT_SIZE];        /* one for its life: a broker ends the old one's */
	unsigned keepalive_s, n_unconfirmed;
	struct err why; /* it is not up; code 0 before anything was tried */
	void (*on_up)(void *arg);
	void (*on_down)(const struct err *why, void *arg);
	void *arg;                        /* borrowed */
	const struct mqtt_events *events; /* borrowed; NULL for nobody */
	void *events_arg;                 /* borrowed */
};

bool
mqtt_is_up(const struct mqtt *mqtt)
{
	return mqtt->state == MQTT_READY;
}

const char *
mqtt_trouble(const struct mqtt *mqtt)
{
	if (mqtt->state == MQTT_READY)
		return "";
	return mqtt->why.code ? mqtt->why.text : "not connected yet";
}

void
mqtt_attach(struct mqtt *mqtt, const struct mqtt_events *events, void *arg)
{
	mqtt->events = events;
	mqtt->events_arg = arg;
}

/* ---- publishing ---- */

int
mqtt_publish(struct mqtt *mqtt, struct str topic, struct str body, struct err *err)
{
	const struct peer_frame head = {.kind = MQTT_FRAME_PUBLISH};
	const struct str texts[] = {topic, body};

	if (mqtt->state != MQTT_READY)
		return err_set(err, ERR_UNAVAILABLE, "%s", mqtt_trouble(mqtt));
	if (mqtt->lane.out.len > MQTT_UNSENT_MAX)
		return err_set(err, ERR_RATE, "mayfly-mqtt takes nothing");
	peer_lane_tell(&mqtt->lane, &head, texts, 2);
	mqtt->n_unconfirmed++;
	return 0;
}

static void
mqtt_lose(struct mqtt *mqtt, unsigned n, const struct err *why) ON_LOOP
{
	mqtt->n_unconfirmed -= n;
	if (n && mqtt->events)
		mqtt->events->on_lost(n, why, mqtt->events_arg);
}

/* ---- up and down ---- */

static void
mqtt_connect(struct mqtt *mqtt) ON_LOOP
{
	const struct peer_frame head = {.kind = MQTT_FRAME_CONNECT,
		.number = mqtt->url.port,
		.count = mqtt->keepalive_s,
		.flags = mqtt->url.is_tls ? MQTT_FRAME_TLS : 0};
	const struct str texts[MQTT_FRAME_CONNECT_TEXTS] = {str_of(mqtt->url.host),
		str_of(mqtt->url.authority), str_of(mqtt->url.path), str_of(mqtt->client_id),
		str_of(mqtt->user), str_of(mqtt->password), str_of(mqtt->ca_file),
		str_of(mqtt->topic)};

	peer_lane_tell(&mqtt->lane, &head, texts, MQTT_FRAME_CONNECT_TEXTS);
	mqtt->state = MQTT_CONNECTING;
}

static void
mqtt_set_up(struct mqtt *mqtt) ON_LOOP
{
	mqtt->state = MQTT_READY;
	mqtt->why = (struct err){0};
	peer_lane_is_well(&mqtt->lane);
	mqtt->on_up(mqtt->arg);
}

static void
mqtt_set_down(struct mqtt *mqtt, enum mqtt_state state, const struct err *why) ON_LOOP
{
	bool is_news = mqtt->state == MQTT_READY || strcmp(mqtt->why.text, why->text) != 0;

	mqtt->state = state;
	mqtt->why = *why;
	mqtt_lose(mqtt, mqtt->n_unconfirmed, why);
	if (is_news)
		mqtt->on_down(why, mqtt->arg);
}

/* ---- what mayfly-mqtt says ---- */

static void
mqtt_on_down(struct mqtt *mqtt, struct err *why) ON_LOOP
{
	if (why->code == 0)
		why->code = ERR_UNAVAILABLE;
	peer_lane_back_off(&mqtt->lane);
	mqtt_set_down(mqtt, MQTT_WAITING, why);
}

static bool
mqtt_on_confirmed(struct mqtt *mqtt, const struct err *why) ON_LOOP
{
	if (mqtt->n_unconfirmed == 0)
		return false;
	if (why->code)
		mqtt_lose(mqtt, 1, why);
	else
		mqtt->n_unconfirmed--;
	return true;
}

static bool
mqtt_on_frame(struct peer_lane *lane, const struct peer_frame *head, struct str texts)
{
	struct mqtt *mqtt = list_owner(lane, struct mqtt, lane);
	struct err why = {0};
	struct str text;

	thread_on_loop();
	if (!peer_frame_take(&texts, &text) || texts.len)
		return false;
	if (head->kind == MQTT_FRAME_MESSAGE) {
		if (mqtt->events)
			mqtt->events->on_message(
				text, head->code == ERR_TOO_LARGE, mqtt->events_arg);
		return true;
	}
	if (head->code)
		err_set(&why, head->code, "%.*s", (int)(text.len < 230 ? text.len : 230), text.at);
	switch (head->kind) {
	case MQTT_FRAME_UP:
		mqtt_set_up(mqtt);
		return true;
	case MQTT_FRAME_DOWN:
		mqtt_on_down(mqtt, &why);
		return true;
	case MQTT_FRAME_CONFIRMED:
		return mqtt_on_confirmed(mqtt, &why);
	default:
		return false;
	}
}

static void
mqtt_on_died(struct peer_lane *lane, const char *how)
{
	struct mqtt *mqtt = list_owner(lane, struct mqtt, lane);
	struct err why = {0};

	thread_on_loop();
	err_set(&why, ERR_UNAVAILABLE, "mayfly-mqtt %s", how);
	mqtt_set_down(mqtt, MQTT_GONE, &why);
}

static void
mqtt_on_again(struct peer_lane *lane)
{
	thread_on_loop();
	mqtt_connect(list_owner(lane, struct mqtt, lane));
}

static const struct peer_lane_events mqtt_lane_events = {.kinds = MQTT_FRAME_KINDS,
	.on_frame = mqtt_on_frame,
	.on_died = mqtt_on_died,
	.on_again = mqtt_on_again};

/* ---- the process ---- */

static void
mqtt_on_control(struct loop_watch *watch, int uv_events, void *arg)
{
	struct mqtt *mqtt = arg;
	struct err why = {0};
	unsigned which;
	int fd, rc;

	thread_on_loop();
	while ((rc = peer_process_lane(&mqtt->process, &which, &fd)) == 0)
		if (peer_lane_take(&mqtt->lane, fd))
			mqtt_connect(mqtt);
	/* It starts its child anew itself; without it there is nobody to do that. */
	if (rc != ERR_UNAVAILABLE)
		return;
	loop_watch_want(mqtt->control, 0);
	err_set(&why, rc, "mayfly-mqtt has ended for good; a restart brings it back");
	mqtt_set_down(mqtt, MQTT_GONE, &why);
}

/* ---- life ---- */

static void
mqtt_make_client_id(char ret[static MQTT_CLIENT_SIZE])
{
	uint8_t bytes[MQTT_CLIENT_BYTES];
	char hex[2 * MQTT_CLIENT_BYTES + 1];

	id_random(bytes, sizeof(bytes));
	id_hex(bytes, sizeof(bytes), hex);
	snprintf(ret, MQTT_CLIENT_SIZE, "mayfly%s", hex);
}

static void
mqtt_free(struct mqtt *mqtt)
{
	peer_process_stop(&mqtt->process);
	explicit_bzero(mqtt->password, strlen(mqtt->password));
	free(mqtt->password);
	free(mqtt->user);
	free(mqtt->ca_file);
	free(mqtt->topic);
	free(mqtt);
}

int
mqtt_open(const struct mqtt_config *config, struct mqtt **ret, struct err *err)
{
	struct mqtt *mqtt = mem_new(sizeof(*mqtt));
	int rc;

	mqtt->loop = config->loop;
	mqtt->process = config->process;
	mqtt->user = str_dup(str_of(config->user));
	mqtt->password = str_dup(str_of(config->password));
	mqtt->ca_file = str_dup(str_of(config->ca_file));
	mqtt->topic = str_dup(str_of(config->topic));
	mqtt->keepalive_s = config->keepalive_s;
	mqtt->on_up = config->on_up;
	mqtt->on_down = config->on_down;
	mqtt->arg = config->arg;
	mqtt_make_client_id(mqtt->client_id);
	peer_lane_init(&mqtt->lane, config->loop, &mqtt_lane_events);
	rc = mqtt_url_read(config->url, &mqtt->url, err);
	if (rc == 0)
		rc = loop_watch_new(
			config->loop, mqtt->process.fd, mqtt_on_control, mqtt, &mqtt->control, err);
	if (rc < 0) {
		mqtt_free(mqtt);
		return rc;
	}
	loop_watch_want(mqtt->control, UV_READABLE);
	*ret = mqtt;
	return 0;
}

static void
mqtt_on_timer_closed(struct loop_timer *timer)
{
	mqtt_free(list_owner(timer, struct mqtt, lane.timer));
}

void
mqtt_close(struct mqtt *mqtt)
{
	peer_lane_close(&mqtt->lane);
	loop_watch_free(mqtt->control);
	mqtt->events = NULL;
	loop_timer_close(&mqtt->lane.timer, mqtt_on_timer_closed);
}
