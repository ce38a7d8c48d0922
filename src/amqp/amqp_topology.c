/* SPDX-License-Identifier: Apache-2.0 */
/*
 * amqp_topology - what is declared, kept, and declared again with each connection.
 *
 * The lane that consumes declares. What is published meanwhile waits until that was answered: two
 * connections that declare the same queue at one time are in each other's way.
 */
#include "amqp/amqp_inside.h"
#include "base/own.h"

static struct str
topology_ticket(const uint64_t *ticket)
{
	return str_n(ticket, sizeof(*ticket));
}

/* All of the request but its ticket. */
static struct str
topology_request(char *frame, size_t len)
{
	const uint64_t none = 0;

	memcpy(frame + offsetof(struct peer_frame, number), &none, sizeof(none));
	return str_n(frame, len);
}

static void
topology_free_item(struct amqp_item *item)
{
	list_remove(&item->link);
	free(item->what);
	free(item->queue);
	free(item->frame);
	free(item);
}

static void
topology_remove(struct amqp *amqp, struct amqp_item *item)
{
	map_remove(&amqp->tickets, topology_ticket(&item->ticket));
	map_remove(&amqp->requests, topology_request(item->frame, item->len));
	topology_free_item(item);
}

void
amqp_topology_free(struct amqp *amqp)
{
	struct amqp_item *item;

	list_each (&amqp->topology, item, link)
		topology_free_item(item);
	map_done(&amqp->tickets);
	map_done(&amqp->requests);
}

static void
topology_send(struct amqp *amqp, struct amqp_item *item) ON_LOOP
{
	struct lane *lane = &amqp->lanes[AMQP_LANE_CONSUME];

	if (lane->state < LANE_DECLARING)
		return;
	amqp->n_undeclared += !item->is_waiting;
	item->is_waiting = true;
	amqp_lane_send(lane, item->frame, item->len);
}

static void
topology_end_waiting(struct amqp *amqp, struct amqp_item *item) ON_LOOP
{
	if (!item->is_waiting)
		return;
	item->is_waiting = false;
	if (--amqp->n_undeclared == 0)
		amqp_publish_go_on(amqp);
}

void
amqp_topology_declare(struct amqp *amqp, const char *queue)
{
	struct amqp_item *item;

	list_each (&amqp->topology, item, link)
		if (!queue || strcmp(item->queue, queue) == 0)
			topology_send(amqp, item);
}

void
amqp_declare_again(struct amqp *amqp, const char *queue)
{
	amqp_topology_declare(amqp, queue);
}

void
amqp_topology_forget(struct amqp *amqp)
{
	struct amqp_item *item;

	list_each (&amqp->topology, item, link)
		topology_end_waiting(amqp, item);
}

void
amqp_topology_reply(struct amqp *amqp, uint64_t ticket, const struct err *why)
{
	struct amqp_item *item = map_find(&amqp->tickets, topology_ticket(&ticket));

	if (!item)
		return;
	if (why->code && !item->is_refused && amqp->on_refused)
		amqp->on_refused(item->what, why, amqp->on_refused_arg);
	item->is_refused = why->code != 0;
	topology_end_waiting(amqp, item);
}

void
amqp_on_refused(struct amqp *amqp,
	void (*refused)(const char *what, const struct err *why, void *arg), void *arg)
{
	amqp->on_refused = refused;
	amqp->on_refused_arg = arg;
}

/* ---- declaring ---- */

static void
topology_add(struct amqp *amqp, struct amqp_item *item, const struct peer_frame *head,
	const struct str texts[3]) ON_LOOP
{
	struct buf frame = BUF_INIT;
	size_t begun = peer_frame_begin(&frame, head);

	for (int i = 0; i < 3; i++)
		peer_frame_add(&frame, texts[i]);
	peer_frame_end(&frame, begun);
	list_init(&item->link);
	item->frame = buf_take(&frame, &item->len);
	if (map_find(&amqp->requests, topology_request(item->frame, item->len))) {
		topology_free_item(item);
		return;
	}
	map_put(&amqp->requests, str_n(item->frame, item->len), item);
	item->ticket = ++amqp->n_tickets;
	memcpy(item->frame + offsetof(struct peer_frame, number), &item->ticket,
		sizeof(item->ticket));
	map_put(&amqp->tickets, topology_ticket(&item->ticket), item);
	list_push_back(&amqp->topology, &item->link);
	topology_send(amqp, item);
}

static struct amqp_item *
topology_new(const char *kind, const char *name, const char *queue)
{
	struct amqp_item *item = mem_new(sizeof(*item));

	item->what = mem_printf("%s %s", kind, name);
	item->queue = str_dup(str_of(queue));
	return item;
}

void
amqp_declare_exchange(
	struct amqp *amqp, const char *name, const char *type, bool is_durable, bool is_passive)
{
	struct peer_frame head = {.kind = AMQP_FRAME_EXCHANGE,
		.flags = (is_durable ? AMQP_FRAME_DURABLE : 0) |
			 (is_passive ? AMQP_FRAME_PASSIVE : 0)};
	const struct str texts[3] = {str_of(name), str_of(type), STR("")};

	topology_add(amqp, topology_new("exchange", name, ""), &head, texts);
}

void
amqp_declare_queue(struct amqp *amqp, const struct amqp_queue *queue)
{
	struct amqp_item *item = topology_new("queue", queue->name, queue->name);
	struct peer_frame head = {.kind = AMQP_FRAME_QUEUE,
		.count = queue->message_ttl_ms,
		.flags = (queue->is_durable ? AMQP_FRAME_DURABLE : 0) |
			 (queue->is_passive ? AMQP_FRAME_PASSIVE : 0) |
			 (queue->is_exclusive ? AMQP_FRAME_EXCLUSIVE : 0) |
			 (queue->is_auto_delete ? AMQP_FRAME_AUTO_DELETE : 0) |
			 (queue->is_quorum ? AMQP_FRAME_QUORUM : 0)};
	const struct str texts[3] = {str_of(queue->name),
		str_of(queue->dead_letter_exchange ? queue->dead_letter_exchange : ""),
		str_of(queue->dead_letter_key ? queue->dead_letter_key : "")};

	topology_add(amqp, item, &head, texts);
}

void
amqp_bind(struct amqp *amqp, const char *queue, const char *exchange, const char *key)
{
	OWN(mem) char *name = mem_printf("%s to %s by %s", queue, exchange, key);
	struct amqp_item *item = topology_new("binding of", name, queue);
	struct peer_frame head = {.kind = AMQP_FRAME_BIND};
	const struct str texts[3] = {str_of(queue), str_of(exchange), str_of(key)};

	topology_add(amqp, item, &head, texts);
}

void
amqp_delete_queue(struct amqp *amqp, const char *name)
{
	const struct peer_frame head = {.kind = AMQP_FRAME_DELETE, .number = ++amqp->n_tickets};
	struct lane *lane = &amqp->lanes[AMQP_LANE_CONSUME];
	struct amqp_item *item;

	list_each (&amqp->topology, item, link)
		if (strcmp(item->queue, name) == 0) {
			topology_end_waiting(amqp, item);
			topology_remove(amqp, item);
		}
	if (lane->state >= LANE_DECLARING)
		amqp_lane_tell(lane, &head, str_of(name));
}
