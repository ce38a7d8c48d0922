/* SPDX-License-Identifier: Apache-2.0 */
#include "amqp/amqp_inside.h"
#include "base/own.h"

/* ---- up and down ---- */

bool
amqp_is_up(const struct amqp *amqp)
{
	return amqp->is_up;
}

const char *
amqp_trouble(const struct amqp *amqp)
{
	if (!amqp->is_up)
		return amqp->why.code ? amqp->why.text : "not connected yet";
	return amqp->blocked;
}

static void
amqp_on_give_up(struct loop_timer *timer)
{
	struct amqp *amqp = list_owner(timer, struct amqp, give_up);
	struct err err = {0};

	thread_on_loop();
	amqp->is_giving_up = false;
	err_set(&err, ERR_UNAVAILABLE, "the broker did not confirm it: %.160s", amqp_trouble(amqp));
	amqp_publish_fail(amqp, &err);
}

/* Once for a time without confirms, however many attempts to connect it has. */
static void
amqp_set_giving_up(struct amqp *amqp, bool is_giving_up) ON_LOOP
{
	if (is_giving_up && !amqp->is_giving_up)
		loop_timer_start(amqp->loop, &amqp->give_up, amqp->unconfirmed_ms, amqp_on_give_up);
	else if (!is_giving_up)
		loop_timer_stop(&amqp->give_up);
	amqp->is_giving_up = is_giving_up;
}

void
amqp_lane_ready(struct lane *lane)
{
	struct amqp *amqp = lane->amqp;

	if (lane->which == AMQP_LANE_PUBLISH) {
		amqp_set_blocked(amqp, STR(""));
		amqp_publish_again(amqp);
	} else {
		amqp_consume_begin(amqp);
	}
	for (unsigned i = 0; i < AMQP_LANES; i++)
		if (amqp->lanes[i].state != LANE_READY)
			return;
	amqp->is_up = true;
	amqp->why = (struct err){0};
	if (amqp->on_up)
		amqp->on_up(amqp->arg);
}

void
amqp_lane_down(struct lane *lane, const struct err *why, bool is_publish)
{
	struct amqp *amqp = lane->amqp;
	bool is_news = amqp->is_up || strcmp(amqp->why.text, why->text) != 0;

	amqp->is_up = false;
	amqp->why = *why;
	if (lane->which == AMQP_LANE_CONSUME) {
		amqp_consume_fail(amqp);
		amqp_topology_forget(amqp);
	} else if (is_publish) {
		/* An exchange has gone, and took its bindings along. */
		if (why->code == ERR_NOT_FOUND)
			amqp_topology_declare(amqp, NULL);
		amqp_publish_fail(amqp, why);
	} else {
		amqp_set_giving_up(amqp, true);
	}
	if (is_news && amqp->on_down)
		amqp->on_down(why, amqp->arg);
}

void
amqp_set_blocked(struct amqp *amqp, struct str why)
{
	bool was_blocked = amqp->blocked[0];

	if (why.len)
		snprintf(amqp->blocked, sizeof(amqp->blocked), "the broker takes no messages: %.*s",
			(int)(why.len < 100 ? why.len : 100), why.at);
	else
		amqp->blocked[0] = '\0';
	amqp_set_giving_up(amqp, amqp->blocked[0]);
	if (amqp->on_blocked && (amqp->blocked[0] || was_blocked))
		amqp->on_blocked(amqp->blocked, amqp->arg);
}

/* ---- the process ---- */

static void
amqp_on_control(struct loop_watch *watch, int uv_events, void *arg)
{
	struct amqp *amqp = arg;
	unsigned which;
	int fd, rc;

	thread_on_loop();
	while ((rc = peer_process_lane(&amqp->process, &which, &fd)) == 0)
		amqp_lane_take(&amqp->lanes[which], fd);
	/* It starts its children anew itself; without it there is nobody to do that. */
	if (rc != ERR_UNAVAILABLE)
		return;
	loop_watch_want(amqp->control, 0);
	err_set(&amqp->why, rc, "mayfly-amqp has ended for good; a restart brings it back");
	if (amqp->on_down)
		amqp->on_down(&amqp->why, amqp->arg);
}

/* ---- life ---- */

static struct amqp *
amqp_new(const struct amqp_config *config)
{
	struct amqp *amqp = mem_new(sizeof(*amqp));

	amqp->loop = config->loop;
	amqp->process = config->process;
	amqp->password = str_dup(str_of(config->password ? config->password : ""));
	amqp->ca_file = str_dup(str_of(config->ca_file ? config->ca_file : ""));
	amqp->heartbeat_s = config->heartbeat_s ? config->heartbeat_s : 30;
	amqp->unconfirmed_bytes = config->unconfirmed_bytes ? config->unconfirmed_bytes : 64u << 20;
	amqp->unconfirmed_ms = config->unconfirmed_ms ? config->unconfirmed_ms : 20000;
	amqp->on_up = config->on_up;
	amqp->on_down = config->on_down;
	amqp->on_blocked = config->on_blocked;
	amqp->arg = config->arg;
	amqp->first = amqp->next = amqp->unsent = 1;
	for (unsigned i = 0; i < AMQP_LANES; i++)
		amqp_lane_init(&amqp->lanes[i], amqp, (enum amqp_lane)i);
	list_init(&amqp->topology);
	list_init(&amqp->questions);
	return amqp;
}

static void
amqp_free(struct amqp *amqp)
{
	explicit_bzero(amqp->password, strlen(amqp->password));
	free(amqp->password);
	free(amqp->ca_file);
	free(amqp->pending);
	amqp_topology_free(amqp);
	amqp_consume_free(amqp);
	peer_process_stop(&amqp->process);
	free(amqp);
}

int
amqp_open(const struct amqp_config *config, struct amqp **ret, struct err *err)
{
	struct amqp *amqp = amqp_new(config);
	int rc = amqp_url_read(config->url, &amqp->url, err);

	if (rc == 0)
		rc = loop_watch_new(
			config->loop, amqp->process.fd, amqp_on_control, amqp, &amqp->control, err);
	if (rc < 0) {
		amqp_free(amqp);
		return rc;
	}
	loop_watch_want(amqp->control, UV_READABLE);
	*ret = amqp;
	return 0;
}

static void
amqp_on_timer_closed(struct amqp *amqp)
{
	void (*closed)(void *arg) = amqp->closed;
	void *arg = amqp->closed_arg;

	if (--amqp->n_timers)
		return;
	amqp_free(amqp);
	if (closed)
		closed(arg);
}

static void
amqp_on_lane_timer_closed(struct loop_timer *timer)
{
	amqp_on_timer_closed(list_owner(timer, struct lane, peer.timer)->amqp);
}

static void
amqp_on_give_up_closed(struct loop_timer *timer)
{
	amqp_on_timer_closed(list_owner(timer, struct amqp, give_up));
}

static void
amqp_on_again_closed(struct loop_timer *timer)
{
	amqp_on_timer_closed(list_owner(timer, struct amqp, again));
}

void
amqp_close(struct amqp *amqp, void (*closed)(void *arg), void *arg)
{
	struct err err = {0};

	amqp->is_closing = true;
	amqp->is_up = false;
	amqp->closed = closed;
	amqp->closed_arg = arg;
	amqp->n_timers = AMQP_LANES + 2;
	for (unsigned i = 0; i < AMQP_LANES; i++)
		amqp_lane_close(&amqp->lanes[i]);
	loop_watch_free(amqp->control);
	err_set(&err, ERR_UNAVAILABLE, "the connection to the broker was closed");
	amqp_publish_fail(amqp, &err);
	amqp_consume_fail(amqp);
	for (unsigned i = 0; i < AMQP_LANES; i++)
		loop_timer_close(&amqp->lanes[i].peer.timer, amqp_on_lane_timer_closed);
	loop_timer_close(&amqp->give_up, amqp_on_give_up_closed);
	loop_timer_close(&amqp->again, amqp_on_again_closed);
}
