/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/vcd_front.h"

#include "api/api_event.h"
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
	};

	api_event_write(&event, out);
}

int
vcd_front_open(const struct config *config, struct domain *domain, struct amqp *amqp,
	struct vcd **ret, struct err *err)
{
	const struct vcd_config vcd = {
		.domain = domain,
		.amqp = amqp,
		.exchange = config->vcd_exchange,
		.routing_key = config->vcd_routing_key,
		.notifications = config->vcd_notifications,
		.source = config->vcd_source,
		.orgs = config->vcd_orgs,
		.max_calls = config->vcd_calls,
		.timeout_ms = config->vcd_timeout_ms,
		.write_event = write_event,
	};

	*ret = NULL;
	if (!vcd.exchange[0] && !vcd.notifications[0])
		return 0;
	if (!amqp)
		return err_field(err, ERR_INVALID, "amqp_url",
			"vcd_exchange and vcd_notifications need amqp_url");
	return vcd_open(&vcd, ret, err);
}
