/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/connections.h"

#include <stdio.h>

#include "daemon/rabbitmq.h"
#include "daemon/vcd_link.h"

#define TRY_POLL_MS     50
#define TRY_POLLS       200
#define CONNECTIONS_MAX 3

/* ---- as it is ---- */

/* trouble: "" when there is none. */
static struct doctor_finding
find_broker(const char *name, const char *trouble)
{
	struct doctor_finding finding = {
		.name = name, .group = DOCTOR_CONNECTION, .is_there = !trouble[0]};

	snprintf(finding.why, sizeof(finding.why), "%.159s",
		trouble[0] ? trouble : "the broker answers");
	return finding;
}

static struct doctor_finding
find_vcd(const struct vcd_session *session)
{
	struct doctor_finding finding = {.name = "connection.vcd", .group = DOCTOR_CONNECTION};

	finding.is_there = vcd_session_is_good(session, finding.why);
	return finding;
}

size_t
connections_look(struct doctor_finding *ret, size_t n, void *arg)
{
	const struct connections *connections = arg;
	size_t at = 0;

	if (connections->amqp && at < n) {
		ret[at] = find_broker("connection.broker", amqp_trouble(connections->amqp));
		/* One that takes no messages for a while is there. */
		ret[at++].is_there = amqp_is_up(connections->amqp);
	}
	if (connections->mqtt && at < n)
		ret[at++] = find_broker("connection.mqtt", mqtt_trouble(connections->mqtt));
	if (connections->front->session && at < n)
		ret[at++] = find_vcd(connections->front->session);
	return at;
}

void
connections_write_metrics(struct buf *out, void *arg)
{
	static const char name[] = "mayfly_connection_up";
	const struct connections *connections = arg;
	struct doctor_finding found[CONNECTIONS_MAX];
	size_t n = connections_look(found, CONNECTIONS_MAX, arg);

	thread_on_loop();
	if (n)
		buf_printf(out,
			"# HELP %s 1 when another system that is set answers.\n# TYPE %s gauge\n",
			name, name);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s{to=\"%s\"} %d\n", name, strchr(found[i].name, '.') + 1,
			found[i].is_there);
	if (connections->front->vcd)
		vcd_metrics(connections->front->vcd, out);
	if (connections->front->session)
		vcd_task_metrics(&connections->front->tasks, out);
}

/* ---- tried ---- */

struct trying {
	struct loop *loop;        /* owned */
	struct fetch_host *fetch; /* owned */
	struct rabbitmq rabbitmq;
	struct vcd_link link;
	struct vcd_front front;
	struct loop_timer poll;
	unsigned n_left;
};

static bool
trying_is_over(const struct trying *trying)
{
	const struct amqp *amqp = trying->rabbitmq.amqp;
	const struct mqtt *mqtt = trying->link.mqtt;
	const struct vcd_session *session = trying->front.session;

	return (!amqp || amqp_is_up(amqp)) && (!mqtt || mqtt_is_up(mqtt)) &&
	       (!session || vcd_session_is_known(session));
}

static void
trying_on_poll(struct loop_timer *timer)
{
	struct trying *trying = list_owner(timer, struct trying, poll);

	thread_on_loop();
	if (trying_is_over(trying) || --trying->n_left == 0)
		loop_stop(trying->loop);
	else
		loop_timer_start(trying->loop, timer, TRY_POLL_MS, trying_on_poll);
}

static int
trying_open(struct trying *trying, const struct config *config, struct err *err)
{
	struct fetch_config fetch = {0};
	struct privileges privileges;
	int rc = privileges_find(config->user, &privileges, err);

	thread_on_loop();
	if (rc == 0)
		rc = rabbitmq_start(&trying->rabbitmq, config, &privileges, err);
	if (rc == 0)
		rc = vcd_link_start(&trying->link, config, &privileges, err);
	if (rc == 0)
		rc = vcd_front_start(&trying->front, config, err);
	if (rc == 0)
		rc = loop_new(&trying->loop, err);
	fetch.loop = trying->loop;
	if (rc == 0)
		rc = fetch_open(&fetch, &trying->fetch, err);
	if (rc == 0)
		rc = rabbitmq_open(&trying->rabbitmq, config, trying->loop, err);
	if (rc == 0)
		rc = vcd_link_open(&trying->link, config, trying->loop, err);
	if (rc == 0)
		rc = vcd_front_open_session(
			&trying->front, config, trying->loop, trying->fetch, err);
	return rc;
}

static void
trying_close(struct trying *trying) ON_LOOP
{
	vcd_front_close(&trying->front);
	if (trying->fetch)
		fetch_close(trying->fetch);
	rabbitmq_close(&trying->rabbitmq);
	vcd_link_close(&trying->link);
	vcd_front_free(&trying->front);
	if (trying->loop)
		loop_free(trying->loop);
}

static void
report_add(struct doctor_report *report, const struct doctor_finding *finding)
{
	must(report->n < DOCTOR_REPORT_MAX);
	report->findings[report->n++] = *finding;
}

void
connections_try(const struct config *config, struct doctor_report *report)
{
	struct trying trying = {.n_left = TRY_POLLS};
	struct doctor_finding found[CONNECTIONS_MAX];
	struct connections connections;
	struct err err = {0};
	size_t n;

	thread_on_loop();
	if (!config->amqp_url[0] && !config->vcd_mqtt_url[0] && !config->vcd_url[0])
		return;
	if (trying_open(&trying, config, &err) < 0) {
		struct doctor_finding finding = {
			.name = "connection.settings", .group = DOCTOR_CONNECTION};

		snprintf(finding.why, sizeof(finding.why), "%.159s", err.text);
		report_add(report, &finding);
	} else {
		loop_timer_start(trying.loop, &trying.poll, 0, trying_on_poll);
		loop_run(trying.loop);
		connections = (struct connections){.amqp = trying.rabbitmq.amqp,
			.mqtt = trying.link.mqtt,
			.front = &trying.front};
		n = connections_look(found, CONNECTIONS_MAX, &connections);
		for (size_t i = 0; i < n; i++)
			report_add(report, &found[i]);
	}
	trying_close(&trying);
}
