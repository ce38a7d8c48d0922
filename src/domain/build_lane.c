/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/build_lane.h"

#include "base/err.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/str.h"

struct build_lane_org {
	struct list link;
	char name[64];
	struct list waiting; /* of build_turn, the oldest first */
};

void
build_lane_init(struct build_lane *lane, unsigned n_most)
{
	*lane = (struct build_lane){.n_most = n_most};
	list_init(&lane->orgs);
}

void
build_lane_done(struct build_lane *lane)
{
	struct build_lane_org *org;

	list_each (&lane->orgs, org, link) {
		list_remove(&org->link);
		free(org);
	}
}

static struct build_lane_org *
lane_org(struct build_lane *lane, const char *name)
{
	struct build_lane_org *org;

	list_each (&lane->orgs, org, link)
		if (strcmp(org->name, name) == 0)
			return org;
	org = mem_new(sizeof(*org));
	snprintf(org->name, sizeof(org->name), "%s", name);
	list_init(&org->waiting);
	list_push_back(&lane->orgs, &org->link);
	return org;
}

/* The org whose turn it is, NULL if nobody waits. Those that have left are forgotten on the way. */
static struct build_lane_org *
lane_next_org(struct build_lane *lane)
{
	struct build_lane_org *org;

	while ((org = list_first(&lane->orgs, struct build_lane_org, link))) {
		if (!list_is_empty(&org->waiting))
			return org;
		list_remove(&org->link);
		free(org);
	}
	return NULL;
}

/* Those who leave in run() are followed by the next in the loop that is at work already. */
static void
lane_run(struct build_lane *lane)
{
	struct build_lane_org *org;

	if (lane->is_handing_out)
		return;
	lane->is_handing_out = true;
	while (lane->n_running < lane->n_most && (org = lane_next_org(lane))) {
		struct build_turn *turn = list_first(&org->waiting, struct build_turn, link);

		list_remove(&turn->link);
		list_remove(&org->link);
		list_push_back(&lane->orgs, &org->link);
		turn->lane = lane;
		lane->n_running++;
		turn->run(turn);
	}
	lane->is_handing_out = false;
}

void
build_lane_enter(struct build_lane *lane, const char *org, struct build_turn *turn,
	void (*run)(struct build_turn *turn))
{
	must(!turn->lane && list_is_empty(&turn->link));
	turn->run = run;
	list_push_back(&lane_org(lane, org)->waiting, &turn->link);
	lane_run(lane);
}

void
build_lane_leave(struct build_turn *turn)
{
	struct build_lane *lane = turn->lane;

	list_remove(&turn->link);
	if (!lane)
		return;
	turn->lane = NULL;
	lane->n_running--;
	lane_run(lane);
}
