/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/vcd_front.h"

#include "api/api_event.h"
#include "base/own.h"
#include "daemon/queues.h"
#include "daemon/secret_file.h"
#include "domain/org.h"

static void
write_event(const struct http_request *http, const struct function *function, struct str proxy,
	const char *call_id, struct buf *out)
{
	struct api_event_clock clock = {0};
	uint64_t now_ms = clock_unix_ms();
	const struct api_event event = {
		.http = http,
		.org = str_of(function->org->name),
		.function = str_of(function->name),
		.proxy = proxy,
		.call_id = call_id,
		.time = api_event_time(&clock, now_ms),
		.unix_ms = now_ms,
		.has_identity = true,
	};

	api_event_write(&event, out);
}

/* ---- as root ---- */

int
vcd_front_start(struct vcd_front *front, const struct config *config, struct err *err)
{
	int rc;

	if (!config->vcd_url[0])
		return 0;
	rc = vcd_session_check(config->vcd_url, config->vcd_user, config->vcd_api_version, err);
	if (rc < 0)
		return rc;
	if (!config->vcd_password_file[0])
		return err_field(
			err, ERR_INVALID, "vcd_password_file", "vcd_url needs vcd_password_file");
	return secret_file_read(
		config->vcd_password_file, "vcd_password_file", &front->password, err);
}

/* ---- afterwards ---- */

int
vcd_front_open_session(struct vcd_front *front, const struct config *config, struct loop *loop,
	struct fetch_host *fetch, struct err *err)
{
	const struct vcd_session_config session = {
		.loop = loop,
		.fetch = fetch,
		.url = config->vcd_url,
		.user = config->vcd_user,
		.password = front->password,
		.ca_file = config->vcd_ca_file,
		.api_version = config->vcd_api_version,
	};
	int rc = vcd_org_map_read(str_of(config->vcd_orgs), &front->orgs, err);

	if (rc < 0)
		return err_wrap(err, rc, "vcd_orgs");
	front->tasks.orgs = &front->orgs;
	if (!config->vcd_url[0])
		return 0;
	front->session = front->tasks.session = vcd_session_new(&session);
	vcd_session_begin(front->session);
	secret_file_free(take_ptr(&front->password));
	return 0;
}

static bool
needs_amqp(const struct config *config)
{
	return config->vcd_exchange[0] ||
	       (config->vcd_notifications && config->vcd_notifications[0]);
}

int
vcd_front_open(struct vcd_front *front, const struct config *config, struct domain *domain,
	struct amqp *amqp, struct mqtt *mqtt, struct err *err)
{
	const struct vcd_config vcd = {
		.domain = domain,
		.amqp = amqp,
		.mqtt = mqtt,
		.mqtt_name = config->vcd_mqtt_name,
		.exchange = config->vcd_exchange,
		.routing_key = config->vcd_routing_key,
		.notifications = config->vcd_notifications,
		.source = config->vcd_source,
		.orgs = config->vcd_orgs,
		.own = QUEUES_EXCHANGE,
		.max_calls = config->vcd_calls,
		.timeout_ms = config->vcd_timeout_ms,
		.write_event = write_event,
	};

	if (!needs_amqp(config) && !mqtt)
		return 0;
	if (!amqp && needs_amqp(config))
		return err_field(err, ERR_INVALID, "amqp_url",
			"vcd_exchange and vcd_notifications need amqp_url");
	return vcd_open(&vcd, &front->vcd, err);
}

void
vcd_front_stop(struct vcd_front *front)
{
	vcd_stop(front->vcd);
}

void
vcd_front_close(struct vcd_front *front)
{
	vcd_session_stop(front->session);
}

void
vcd_front_free(struct vcd_front *front)
{
	secret_file_free(take_ptr(&front->password));
	vcd_session_free(take_ptr(&front->session));
	vcd_free(take_ptr(&front->vcd));
	vcd_org_map_done(&front->orgs);
}
