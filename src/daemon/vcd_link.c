/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/vcd_link.h"

#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "base/path.h"
#include "daemon/secret_file.h"
#include "mqtt/mqtt_frame.h"
#include "mqtt/mqtt_url.h"

enum { LINK_KEEPALIVE_S = 30, LINK_NAME_MAX = 255 };

/* ---- as root ---- */

/* It stands in topics, where + and # mean any. */
static bool
link_is_part(struct str part)
{
	for (size_t i = 0; i < part.len; i++)
		if (part.at[i] <= ' ' || part.at[i] > '~' || strchr("+#/", part.at[i]))
			return false;
	return part.len > 0;
}

static int
link_check_name(const char *name, struct err *err)
{
	struct str rest = str_of(name);
	struct str vendor = str_cut(&rest, '/'), own = str_cut(&rest, '/');

	if (strlen(name) > LINK_NAME_MAX || !link_is_part(vendor) || !link_is_part(own) ||
		!link_is_part(rest))
		return err_field(err, ERR_INVALID, "vcd_mqtt_name",
			"vcd_mqtt_name is not like vendor/name/version");
	return 0;
}

static int
link_check(const struct config *config, struct err *err)
{
	struct mqtt_url url;
	int rc = mqtt_url_read(config->vcd_mqtt_url, &url, err);

	if (rc < 0)
		return err_wrap(err, rc, "vcd_mqtt_url");
	if (!config->vcd_mqtt_token_file[0])
		return err_field(err, ERR_INVALID, "vcd_mqtt_token_file",
			"vcd_mqtt_url needs vcd_mqtt_token_file");
	if (!url.is_tls)
		log_warn("vcd.link_clear", "url=%s reason=%s", log_q(config->vcd_mqtt_url),
			log_q("the token goes to it without TLS"));
	return link_check_name(config->vcd_mqtt_name, err);
}

/* The user ids of sandboxes, mayfly-amqp's, its own: none can signal another. */
static uid_t
link_user(const struct config *config, const struct privileges *privileges)
{
	return privileges->is_root ? config->uid_base + config->max_sandboxes + 1 : 0;
}

int
vcd_link_start(struct vcd_link *link, const struct config *config,
	const struct privileges *privileges, struct err *err)
{
	OWN(mem) char *program = path_join(path_libexec(), "mayfly-mqtt");
	uid_t id = link_user(config, privileges);
	int rc;

	link->process = (struct peer_process){.fd = -1, .pid = -1};
	if (!config->vcd_mqtt_url[0])
		return 0;
	rc = link_check(config, err);
	if (rc == 0)
		rc = secret_file_read(
			config->vcd_mqtt_token_file, "vcd_mqtt_token_file", &link->token, err);
	return rc < 0 ? rc : peer_process_start(program, MQTT_LANES, id, id, &link->process, err);
}

/* ---- afterwards ---- */

static void
link_on_up(void *arg)
{
	const struct config *config = arg;

	log_info("vcd.link_up", "url=%s name=%s", log_q(config->vcd_mqtt_url),
		log_q(config->vcd_mqtt_name));
}

static void
link_on_down(const struct err *why, void *arg)
{
	const struct config *config = arg;

	log_warn("vcd.link_down", "url=%s code=%s reason=%s", log_q(config->vcd_mqtt_url),
		err_word(why->code), log_q(why->text));
}

int
vcd_link_open(
	struct vcd_link *link, const struct config *config, struct loop *loop, struct err *err)
{
	OWN(mem) char *topic = mem_printf("topic/extension/%s/ext", config->vcd_mqtt_name);
	struct mqtt_config mqtt = {.loop = loop,
		.url = config->vcd_mqtt_url,
		.user = config->vcd_mqtt_name,
		.password = link->token,
		.ca_file = config->vcd_mqtt_ca_file,
		.topic = topic,
		.keepalive_s = LINK_KEEPALIVE_S,
		.on_up = link_on_up,
		.on_down = link_on_down,
		.arg = (void *)config};
	int rc;

	if (link->process.fd < 0)
		return 0;
	mqtt.process = link->process;
	link->process = (struct peer_process){.fd = -1, .pid = -1};
	rc = mqtt_open(&mqtt, &link->mqtt, err);
	secret_file_free(take_ptr(&link->token));
	return rc;
}

void
vcd_link_close(struct vcd_link *link)
{
	secret_file_free(take_ptr(&link->token));
	if (link->mqtt)
		mqtt_close(take_ptr(&link->mqtt));
	else if (link->process.pid > 0)
		peer_process_stop(&link->process);
}
