/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_metrics - the figures of the front door, in the text format of Prometheus.
 */
#include "connect/vcd.h"

struct metrics_row {
	const char *label;
	uint64_t n;
};

static void
metrics_head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void
metrics_family(struct buf *out, const char *name, const char *help, const struct metrics_row *rows,
	size_t n)
{
	metrics_head(out, name, "counter", help);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s{outcome=\"%s\"} %llu\n", name, rows[i].label,
			(unsigned long long)rows[i].n);
}

void
vcd_metrics(const struct vcd *vcd, struct buf *out)
{
	const struct vcd_stats *stats = vcd_stats(vcd);
	const struct metrics_row requests[] = {{"answered", stats->n_answered},
		{"failed", stats->n_failed}, {"refused", stats->n_refused},
		{"timeout", stats->n_timeouts}, {"saturated", stats->n_saturated},
		{"duplicate", stats->n_duplicates}, {"malformed", stats->n_malformed}};
	const struct metrics_row notifications[] = {{"accepted", stats->n_accepted},
		{"dropped", stats->n_dropped}, {"malformed", stats->n_misread},
		{"again", stats->n_again}};

	thread_on_loop();
	metrics_family(out, "mayfly_vcd_requests_total",
		"Requests of vCloud Director, by what became of them.", requests,
		sizeof(requests) / sizeof(requests[0]));
	metrics_family(out, "mayfly_vcd_notifications_total",
		"Notifications of vCloud Director, by what became of them.", notifications,
		sizeof(notifications) / sizeof(notifications[0]));
	metrics_head(out, "mayfly_vcd_calls", "gauge",
		"Requests of vCloud Director that are under way.");
	buf_printf(out, "mayfly_vcd_calls %u\n", stats->n_calls);
}
