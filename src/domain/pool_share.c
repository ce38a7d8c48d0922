/* SPDX-License-Identifier: Apache-2.0 */
#include "domain/pool_share.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "domain/pool_inside.h"

enum { STARTS_PER_CPU = 2 };

/* ---- shares ---- */

static unsigned
share_count_cpus(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (unsigned)n : 1;
}

void
pool_share_setup(struct domain *domain)
{
	struct pool_shares *shares = &domain->shares;

	*shares = (struct pool_shares){.orgs = MAP_INIT, .n_cpus = share_count_cpus()};
	shares->n_slots =
		domain->config.starts ? domain->config.starts : STARTS_PER_CPU * shares->n_cpus;
	list_init(&shares->turns);
	list_init(&shares->starting);
}

struct pool_share *
pool_share_hold(struct domain *domain, const char *org)
{
	struct pool_share *share = map_find(&domain->shares.orgs, str_of(org));

	if (!share) {
		share = mem_new(sizeof(*share));
		share->domain = domain;
		snprintf(share->org, sizeof(share->org), "%s", org);
		list_init(&share->turn_link);
		list_init(&share->wanting);
		list_init(&share->idle);
		map_put(&domain->shares.orgs, str_of(org), share);
	}
	share->n_pools++;
	return share;
}

void
pool_share_release(struct pool_share *share)
{
	struct map *orgs = &share->domain->shares.orgs;

	if (--share->n_pools)
		return;
	must(list_is_empty(&share->wanting) && list_is_empty(&share->idle));
	must(share->n_instances == 0);
	map_remove(orgs, str_of(share->org));
	if (orgs->len == 0)
		map_done(orgs);
	free(share);
}

/* ---- turns ---- */

void
pool_share_ask(struct pool *pool)
{
	struct pool_share *share = pool->share;

	if (!list_is_empty(&pool->want_link))
		return;
	list_push_back(&share->wanting, &pool->want_link);
	pool->domain->shares.n_wanting++;
	if (list_is_empty(&share->turn_link))
		list_push_back(&pool->domain->shares.turns, &share->turn_link);
}

void
pool_share_withdraw(struct pool *pool)
{
	pool->n_due = 0;
	if (list_is_empty(&pool->want_link))
		return;
	list_remove(&pool->want_link);
	pool->domain->shares.n_wanting--;
	if (list_is_empty(&pool->share->wanting))
		list_remove(&pool->share->turn_link);
}

/* It, and its org, are last now. */
static void
share_end_turn(struct pool *pool)
{
	struct pool_share *share = pool->share;

	list_remove(&pool->want_link);
	list_push_back(&share->wanting, &pool->want_link);
	list_remove(&share->turn_link);
	list_push_back(&pool->domain->shares.turns, &share->turn_link);
}

/* ---- who is next ---- */

static unsigned
share_n_left(const struct domain *domain)
{
	unsigned n = domain->n_instances, max = domain->config.max_instances_total;

	return n < max ? max - n : 0;
}

static bool
share_is_crowded(const struct domain *domain)
{
	return share_n_left(domain) <= domain->shares.n_slots;
}

/* The one with the fewest instances, of several that whose turn is next. However many want, those
 * that have some are no more than there are instances. */
static struct pool_share *
share_neediest(const struct pool_shares *shares)
{
	struct pool_share *share, *neediest = NULL;

	list_each (&shares->turns, share, turn_link) {
		if (!neediest || share->n_instances < neediest->n_instances)
			neediest = share;
		if (neediest->n_instances == 0)
			break;
	}
	return neediest;
}

static struct pool *
share_neediest_pool(const struct pool_share *share)
{
	struct pool *pool, *neediest = NULL;

	list_each (&share->wanting, pool, want_link) {
		if (!neediest || pool_n(pool) < pool_n(neediest))
			neediest = pool;
		if (pool_n(neediest) == 0)
			break;
	}
	return neediest;
}

static struct pool *
share_next(const struct domain *domain)
{
	const struct pool_shares *shares = &domain->shares;
	struct pool_share *share;

	if (list_is_empty(&shares->turns))
		return NULL;
	if (share_is_crowded(domain))
		return share_neediest_pool(share_neediest(shares));
	share = list_first(&shares->turns, struct pool_share, turn_link);
	return list_first(&share->wanting, struct pool, want_link);
}

/* ---- room ---- */

static bool
share_may_take(const struct pool *pool)
{
	return pool_n(pool) > pool_n_kept(pool);
}

static struct pool_instance *
share_longest_idle(const struct pool_share *share)
{
	struct pool_instance *member;

	list_each (&share->idle, member, idle_link)
		if (share_may_take(member->pool))
			return member;
	return NULL;
}

static struct pool_instance *
share_find_idle(const struct pool_shares *shares)
{
	struct pool_instance *found = NULL;

	map_each (&shares->orgs, entry) {
		struct pool_share *share = entry->value;
		struct pool_instance *member = share_longest_idle(share);

		if (!member)
			continue;
		if (!found || share->n_instances > found->pool->share->n_instances ||
			(share->n_instances == found->pool->share->n_instances &&
				member->idle_since_us < found->idle_since_us))
			found = member;
	}
	return found;
}

/* What is leaving already is room for as many. */
static void ON_LOOP
share_make_room(struct pool_shares *shares)
{
	unsigned n_most = shares->n_wanting < shares->n_slots ? shares->n_wanting : shares->n_slots;
	struct pool_instance *member;

	while (shares->n_leaving < n_most && (member = share_find_idle(shares)))
		pool_end_instance(member);
}

/* With nothing at all, one may ask even of those who have one: they take turns then. */
static bool
share_is_due(unsigned n_mine, unsigned n_theirs)
{
	return n_theirs == 0 || n_mine >= n_theirs + 2;
}

bool
pool_share_is_owed(const struct pool *pool, bool is_draining)
{
	const struct pool_shares *shares = &pool->domain->shares;
	unsigned n_given = is_draining ? shares->n_draining : shares->n_leaving;
	const struct pool_share *share;
	const struct pool *other;

	if (shares->n_wanting <= n_given || share_n_left(pool->domain) > 0 || !share_may_take(pool))
		return false;
	share = share_neediest(shares);
	other = share_neediest_pool(share);
	if (other == pool || !pool_is_urgent(other))
		return false;
	return share == pool->share ? share_is_due(pool_n(pool), pool_n(other))
				    : share_is_due(pool->share->n_instances, share->n_instances);
}

bool
pool_share_is_starting(const struct domain *domain)
{
	return domain->shares.n_slots_taken > 0 || domain->shares.n_wanting > 0;
}

/* ---- handing out ---- */

static void
share_give_slot_back(struct pool_instance *member)
{
	if (list_is_empty(&member->slot_link))
		return;
	list_remove(&member->slot_link);
	member->pool->domain->shares.n_slots_taken--;
}

static void
share_end_slots(struct pool_shares *shares, uint64_t now_us)
{
	struct pool_instance *member;

	while ((member = list_first(&shares->starting, struct pool_instance, slot_link)) &&
		now_us - member->started_us >= POOL_SLOT_MS * 1000ull)
		share_give_slot_back(member);
}

/* Gives whether there is more to look at. */
static bool ON_LOOP
share_step(struct pool *pool, uint64_t now_us)
{
	struct domain *domain = pool->domain;

	if (!pool_is_due(pool, now_us)) {
		pool_share_withdraw(pool);
		return true;
	}
	if (share_n_left(domain) > 0) {
		share_end_turn(pool);
		pool->n_due--;
		pool_start(pool, now_us);
		return true;
	}
	if (pool_is_urgent(pool) || pool_n(pool) < pool_n_kept(pool))
		share_make_room(&domain->shares);
	if (pool_is_urgent(pool))
		return false;
	pool_share_withdraw(pool);
	pool_arm(pool, now_us + POOL_LOOK_MS * 1000ull, now_us);
	return true;
}

void
pool_share_run(struct domain *domain)
{
	struct pool_shares *shares = &domain->shares;
	uint64_t now_us;
	struct pool *pool;

	if (shares->is_at_it || shares->n_wanting == 0)
		return;
	shares->is_at_it = true;
	now_us = clock_mono_us();
	share_end_slots(shares, now_us);
	while (shares->n_slots_taken < shares->n_slots && (pool = share_next(domain)))
		if (!share_step(pool, now_us))
			break;
	shares->is_at_it = false;
}

/* ---- counters ---- */

void
pool_share_started(struct pool_instance *member, uint64_t now_us)
{
	struct pool_shares *shares = &member->pool->domain->shares;

	member->started_us = now_us;
	list_push_back(&shares->starting, &member->slot_link);
	shares->n_slots_taken++;
	member->pool->share->n_instances++;
	member->pool->domain->n_instances++;
}

void
pool_share_ready(struct pool_instance *member)
{
	share_give_slot_back(member);
}

void
pool_share_leaving(struct pool_instance *member)
{
	struct pool_shares *shares = &member->pool->domain->shares;

	share_give_slot_back(member);
	if (member->is_draining)
		shares->n_draining++;
	else
		shares->n_leaving++;
}

void
pool_share_gone(struct pool_instance *member)
{
	struct pool_shares *shares = &member->pool->domain->shares;

	if (member->is_draining)
		shares->n_draining--;
	else
		shares->n_leaving--;
	member->pool->share->n_instances--;
	member->pool->domain->n_instances--;
}
