/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_inside.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"

/* ---- requests ---- */

/* What vCD cannot have an answer to is dropped; it times out there. */
static void
take_malformed(struct vcd *vcd, const struct vcd_request *request, struct vcd_return *to,
	const struct err *err) ON_LOOP
{
	vcd->stats.n_malformed++;
	log_warn("vcd.malformed", "id=%s reason=%s", log_q(request->id), log_q(err->text));
	if (request->id[0])
		vcd_call_refuse(vcd, request->id, to, err);
}

static int
check_request(struct vcd *vcd, const struct vcd_request *request, struct err *err) ON_LOOP
{
	if (request->is_response) {
		vcd->stats.n_refused++;
		return err_set(err, ERR_UNIMPLEMENTED, "answers of vCD are not rewritten");
	}
	if (vcd->stats.n_calls < vcd->config.max_calls)
		return 0;
	vcd->stats.n_saturated++;
	return err_set(err, ERR_RATE, "%u calls are under way; please wait and try again",
		vcd->stats.n_calls);
}

void
vcd_take(struct vcd *vcd, struct vcd_request *request, int read, const struct err *err,
	struct vcd_return *to)
{
	struct err why = {0};

	vcd->stats.n_requests++;
	if (read < 0) {
		take_malformed(vcd, request, to, err);
	} else if (vcd_seen_add(&vcd->seen, str_of(request->id))) {
		vcd->stats.n_duplicates++;
		log_info("vcd.duplicate", "id=%s", log_q(request->id));
	} else if (check_request(vcd, request, &why) < 0) {
		vcd_call_refuse(vcd, request->id, to, &why);
	} else {
		vcd_call_begin(vcd, request, to);
	}
	vcd_call_return_done(to);
}

/* ---- its life ---- */

int
vcd_open(const struct vcd_config *config, struct vcd **ret, struct err *err)
{
	struct vcd *vcd = mem_new(sizeof(*vcd));
	int rc = vcd_org_map_read(str_of(config->orgs), &vcd->orgs, err);

	vcd->config = *config;
	vcd_seen_init(&vcd->seen);
	if (rc < 0) {
		vcd_free(vcd);
		return err_wrap(err, rc, "vcd_orgs");
	}
	vcd_over_amqp_open(vcd);
	vcd_over_mqtt_open(vcd);
	*ret = vcd;
	return 0;
}

void
vcd_stop(struct vcd *vcd)
{
	const struct vcd_stats *stats;

	if (!vcd)
		return;
	stats = &vcd->stats;
	log_info("vcd.stopped",
		"requests=%" PRIu64 " duplicates=%" PRIu64 " saturated=%" PRIu64
		" timeouts=%" PRIu64 " malformed=%" PRIu64 " notifications=%" PRIu64
		" dropped=%" PRIu64,
		stats->n_requests, stats->n_duplicates, stats->n_saturated, stats->n_timeouts,
		stats->n_malformed, stats->n_notifications, stats->n_dropped);
	vcd_over_amqp_stop(vcd);
	vcd_over_mqtt_stop(vcd);
}

const struct vcd_stats *
vcd_stats(const struct vcd *vcd)
{
	return &vcd->stats;
}

void
vcd_free(struct vcd *vcd)
{
	if (!vcd)
		return;
	vcd_org_map_done(&vcd->orgs);
	vcd_seen_done(&vcd->seen);
	free(vcd->respond);
	free(vcd);
}
