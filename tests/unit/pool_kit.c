/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_kit.h"

static void
spot_on_end(struct instance_call *run)
{
	struct spot *spot = list_owner(run, struct spot, run);

	thread_on_loop();
	spot->is_over = true;
	pool_give_back(&spot->place);
}

static void
spot_on_failure(struct instance_call *run, const struct err *reason, struct str trace)
{
	struct spot *spot = list_owner(run, struct spot, run);

	thread_on_loop();
	spot->is_over = true;
	spot->reason = *reason;
	pool_give_back(&spot->place);
}

static void
spot_on_head(struct instance_call *run, int status, const struct http_header *headers, size_t n)
{
}

static void
spot_on_bytes(struct instance_call *run, struct str bytes)
{
}

static void
spot_on_log(struct instance_call *run, bool is_stderr, struct str bytes)
{
}

static void
spot_send(struct spot *spot)
{
	thread_on_loop();
	spot->is_placed = true;
	spot->run = (struct instance_call){.call_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		.on_head = spot_on_head,
		.on_body = spot_on_bytes,
		.on_end = spot_on_end,
		.on_failure = spot_on_failure,
		.on_log = spot_on_log};
	instance_send(spot->place.instance, &spot->run);
}

static void
spot_on_placed(struct pool_place *place)
{
	spot_send(list_owner(place, struct spot, place));
}

static void
spot_on_refused(struct pool_place *place, const struct err *reason)
{
	struct spot *spot = list_owner(place, struct spot, place);

	spot->is_refused = true;
	spot->reason = *reason;
}

int
spot_put(struct version *version, struct spot *spot, size_t body_len)
{
	int rc;

	thread_on_loop();
	*spot = (struct spot){.place = {.body_len = body_len,
				      .on_placed = spot_on_placed,
				      .on_refused = spot_on_refused}};
	rc = pool_place(version->pool, &spot->place, &spot->reason);
	if (rc > 0)
		spot_send(spot);
	return rc;
}

void
spot_abandon(struct spot *spot)
{
	thread_on_loop();
	if (spot->is_placed && !spot->is_over)
		instance_abandon(&spot->run);
	pool_give_back(&spot->place);
}

unsigned
spot_n_placed(const struct spot *spots, unsigned n)
{
	unsigned n_placed = 0;

	for (unsigned i = 0; i < n; i++)
		n_placed += spots[i].is_placed;
	return n_placed;
}

unsigned
spot_n_over(const struct spot *spots, unsigned n)
{
	unsigned n_over = 0;

	for (unsigned i = 0; i < n; i++)
		n_over += spots[i].is_over;
	return n_over;
}
