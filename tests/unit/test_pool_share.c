/* SPDX-License-Identifier: Apache-2.0 */
#include "pool_kit.h"

#include <stdlib.h>

#include "base/clock.h"
#include "domain/pool_share.h"

enum { N_FLOOD = 50 };

/* What is held is answered. */
static void
answer_all(struct kit *kit)
{
	struct sandbox *sandbox;

	list_each (&kit->spawner->all, sandbox, link) {
		if (!sandbox->held_call || sandbox->was_asked)
			continue;
		fake_answer(sandbox, sandbox->held_call, "200\n", STR_NONE);
		sandbox->held_call = 0;
	}
}

static void
flood(struct kit *kit, const char *org, struct spot spots[static N_FLOOD])
{
	for (int i = 0; i < N_FLOOD; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		assert_int_equal(spot_put(kit_version_of(kit, org, name), &spots[i], 0), 0);
	}
}

static void
abandon_all(struct spot *spots, unsigned n)
{
	while (n-- > 0)
		spot_abandon(&spots[n]);
}

static unsigned
n_instances(struct kit *kit, const char *org)
{
	const struct pool_share *share = map_find(&kit->domain.shares.orgs, str_of(org));

	return share ? share->n_instances : 0;
}

/* ---- slots ---- */

static void
no_more_instances_start_at_one_time_than_there_are_slots(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_FLOOD];
	uint64_t start_us = clock_mono_us(), n_slots_ago;

	kit->domain.shares.n_slots = 3;
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	flood(kit, "acme", spots);
	kit_turn(kit);
	n_slots_ago = (clock_mono_us() - start_us) / (POOL_SLOT_MS * 1000);
	assert_int_equal(kit->domain.shares.n_slots_taken, 3);
	assert_in_range(kit->spawner->n_asked, 3, 3 * (1 + n_slots_ago));
	abandon_all(spots, N_FLOOD);
}

static void
every_one_of_a_burst_of_first_calls_is_answered(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_FLOOD];
	unsigned most = 0;

	kit->domain.shares.n_slots = 3;
	flood(kit, "acme", spots);
	while (spot_n_over(spots, N_FLOOD) < N_FLOOD) {
		kit_turn(kit);
		most = kit->domain.shares.n_slots_taken > most ? kit->domain.shares.n_slots_taken
							       : most;
	}
	assert_int_equal(most, 3);
	assert_int_equal(kit->domain.shares.n_slots_taken, 0);
	assert_int_equal(kit->domain.shares.n_wanting, 0);
	for (int i = 0; i < N_FLOOD; i++)
		assert_int_equal(spots[i].reason.code, 0);
}

static void
one_that_hangs_in_its_start_gives_its_slot_up(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_FLOOD];
	struct spot other;

	kit->domain.shares.n_slots = 2;
	kit->spawner->behaviour = FAKE_HANGS_IN_BOOT;
	flood(kit, "acme", spots);
	kit_turn(kit);
	kit->spawner->behaviour = FAKE_ANSWERS;
	spot_put(kit_version_of(kit, "other", "f"), &other, 0);
	kit_turn(kit);
	assert_false(other.is_over);
	kit_until(kit, &other.is_over);
	assert_int_equal(other.reason.code, 0);
	assert_false(spots[0].is_over);
	abandon_all(spots, N_FLOOD);
}

/* ---- turns ---- */

static void
a_call_of_one_org_waits_one_turn_behind_the_flood_of_another(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_FLOOD];
	struct spot other;

	kit->domain.shares.n_slots = 1;
	flood(kit, "acme", spots);
	spot_put(kit_version_of(kit, "other", "f"), &other, 0);
	kit_until(kit, &other.is_over);
	assert_in_range(spot_n_over(spots, N_FLOOD), 1, 3);
	abandon_all(spots, N_FLOOD);
}

static void
in_an_org_a_function_waits_one_turn_behind_the_flood_of_another(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct spot spots[N_FLOOD];
	struct version *version = kit_version(kit, "other");
	struct spot other;
	unsigned n_before;

	kit->version->config.max_instances = N_FLOOD;
	kit->domain.shares.n_slots = 1;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < N_FLOOD; i++)
		spot_put(kit->version, &spots[i], 0);
	kit_until(kit, &spots[8].is_placed);
	n_before = spot_n_placed(spots, N_FLOOD);
	spot_put(version, &other, 0);
	kit_until(kit, &other.is_placed);
	assert_in_range(spot_n_placed(spots, N_FLOOD), n_before, n_before + 2);
	spot_abandon(&other);
	abandon_all(spots, N_FLOOD);
}

/* ---- places ---- */

static void
the_org_that_has_most_makes_room(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *small = kit_version_of(kit, "small", "f");
	struct version *third = kit_version_of(kit, "third", "f");
	struct spot first, many[3], spot;

	kit->domain.config.max_instances_total = 4;
	spot_put(small, &first, 0);
	kit_until(kit, &first.is_over);
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 3; i++)
		spot_put(kit->version, &many[i], 0);
	kit_until(kit, &many[2].is_placed);
	while (spot_n_over(many, 3) < 3) {
		kit_turn(kit);
		answer_all(kit);
	}
	kit->spawner->behaviour = FAKE_ANSWERS;
	spot_put(third, &spot, 0);
	kit_until(kit, &spot.is_over);
	assert_int_equal(n_instances(kit, "small"), 1);
	assert_int_equal(n_instances(kit, "acme"), 2);
	assert_int_equal(n_instances(kit, "third"), 1);
}

static void
who_has_all_the_places_gives_the_next_that_ends_its_call(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *other = kit_version_of(kit, "other", "f");
	struct spot spots[12], one;

	kit->domain.config.max_instances_total = 4;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 12; i++)
		spot_put(kit->version, &spots[i], 0);
	kit_until(kit, &spots[3].is_placed);
	spot_put(other, &one, 0);
	kit_wait_ms(kit, 20);
	assert_false(one.is_placed);
	fake_answer(list_first(&kit->spawner->all, struct sandbox, link), spots[0].run.number,
		"200\n", STR_NONE);
	kit_until(kit, &one.is_placed);
	assert_int_equal(spot_n_placed(spots, 12), 4);
	assert_int_equal(n_instances(kit, "acme"), 3);
	spot_abandon(&one);
	abandon_all(spots, 12);
}

/* Two orgs whose calls never end by themselves, on eight places. */
static void
two_orgs_that_flood_come_to_have_the_same(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *versions[] = {kit->version, kit_version_of(kit, "other", "f")};
	static struct spot spots[2][30];

	kit->domain.config.max_instances_total = 8;
	kit->spawner->behaviour = FAKE_HOLDS;
	for (int i = 0; i < 2; i++)
		versions[i]->config.max_instances = 16;
	for (int k = 0; k < 30; k++)
		spot_put(versions[0], &spots[0][k], 0);
	kit_until(kit, &spots[0][7].is_placed);
	for (int k = 0; k < 30; k++)
		spot_put(versions[1], &spots[1][k], 0);
	for (int round = 0; round < 60; round++) {
		kit_wait_ms(kit, 5);
		answer_all(kit);
		kit_turn(kit);
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < 30; k++)
				if (spots[i][k].is_over)
					spot_put(versions[i], &spots[i][k], 0);
	}
	assert_in_range(n_instances(kit, "acme"), 3, 5);
	assert_in_range(n_instances(kit, "other"), 3, 5);
	abandon_all(spots[0], 30);
	abandon_all(spots[1], 30);
}

static void
where_there_is_one_place_two_orgs_take_turns(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct version *versions[] = {kit->version, kit_version_of(kit, "other", "f")};
	struct spot spots[2][5];
	unsigned n_over[2] = {0};

	kit->domain.config.max_instances_total = 1;
	for (int k = 0; k < 5; k++)
		for (int i = 0; i < 2; i++)
			spot_put(versions[i], &spots[i][k], 0);
	while (n_over[0] < 40 || n_over[1] < 40) {
		kit_turn(kit);
		for (int i = 0; i < 2; i++)
			for (int k = 0; k < 5; k++)
				if (spots[i][k].is_over) {
					n_over[i]++;
					spot_put(versions[i], &spots[i][k], 0);
				}
		assert_true(n_over[0] < 40 + 2 * n_over[1]);
		assert_true(n_over[1] < 40 + 2 * n_over[0]);
	}
	abandon_all(spots[0], 5);
	abandon_all(spots[1], 5);
}

static void
a_place_that_a_build_gives_back_is_used_at_once(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	struct spot spot;

	kit->domain.config.max_instances_total = 2;
	kit->domain.n_instances = 2;
	spot_put(kit->version, &spot, 0);
	kit_wait_ms(kit, 20);
	assert_int_equal(kit->spawner->n_asked, 0);
	kit->domain.n_instances = 0;
	thread_on_loop();
	pool_room_freed(&kit->domain);
	assert_int_equal(kit->spawner->n_asked, 1);
	kit_until(kit, &spot.is_over);
}

/* ---- everything at once ---- */

enum { N_ORGS = 3, N_VERSIONS = 9, N_SPOTS = 60, N_OPERATIONS = 20000, N_PLACES = 7 };

struct everything {
	struct kit *kit;
	struct version *versions[N_VERSIONS];
	struct spot spots[N_SPOTS];
	bool is_out[N_SPOTS]; /* waits or runs */
};

static void
deploy_everything(struct everything *all)
{
	static const char *const orgs[N_ORGS] = {"acme", "beta", "gamma"};
	static const enum mechanism mechanisms[] = {
		MECHANISM_NONE, MECHANISM_ROLLBACK, MECHANISM_ONCE};

	for (int i = 0; i < N_VERSIONS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "all%d", i);
		all->versions[i] = kit_version_of(all->kit, orgs[i / 3], name);
		all->versions[i]->mechanism = mechanisms[i % 3];
		all->versions[i]->config.concurrency = i % 3 == 0 ? 3 : 1;
		all->versions[i]->config.max_instances = 4;
		all->versions[i]->config.min_instances = i % 5 == 1;
		all->versions[i]->config.idle_ms = 30;
	}
}

static void
operate(struct everything *all, unsigned which, unsigned choice)
{
	struct version *version = all->versions[which % N_VERSIONS];
	struct spot *spot = &all->spots[which];
	struct spawner *spawner = all->kit->spawner;

	thread_on_loop();
	all->is_out[which] &= !spot->is_over && !spot->is_refused;
	if (!all->is_out[which] && choice < 70)
		all->is_out[which] = spot_put(version, spot, which) >= 0;
	else if (all->is_out[which] && choice < 8)
		spot_abandon(spot), all->is_out[which] = false;
	else if (choice < 74)
		pool_serve(version->pool);
	else if (choice < 76)
		pool_retire(version->pool);
	else if (choice < 80)
		spawner->is_renewal_held = !spawner->is_renewal_held;
	else if (choice < 82)
		spawner->is_spoiling = !spawner->is_spoiling;
	else if (choice < 83)
		spawner->behaviour = FAKE_ANSWERS + which % 7;
	else if (choice < 86)
		spawner->behaviour = FAKE_ANSWERS;
	else if (choice < 88)
		answer_all(all->kit);
}

static void
check_everything(const struct everything *all)
{
	const struct domain *domain = &all->kit->domain;
	unsigned n_alive = 0, n_shared = 0;

	for (int i = 0; i < N_VERSIONS; i++) {
		struct pool_stats stats = kit_stats(all->versions[i]);

		assert_true(stats.n_starting + stats.n_ready <= 4);
		assert_true(stats.n_idle <= stats.n_ready);
		n_alive += stats.n_starting + stats.n_ready;
	}
	map_each (&domain->shares.orgs, entry)
		n_shared += ((struct pool_share *)entry->value)->n_instances;
	assert_int_equal(n_shared, domain->n_instances);
	assert_int_equal(n_alive + domain->shares.n_leaving + domain->shares.n_draining, n_shared);
	assert_true(domain->n_instances <= N_PLACES);
	assert_true(domain->shares.n_slots_taken <= domain->shares.n_slots);
}

static void
whatever_happens_the_sums_are_right_and_every_call_is_placed(void **state)
{
	OWN(kit) struct kit *kit = kit_new();
	static struct everything all;
	unsigned seed = 11;

	all = (struct everything){.kit = kit};
	kit->domain.config.max_instances_total = N_PLACES;
	kit->domain.shares.n_slots = 3;
	kit->spawner->has_keepers = true;
	deploy_everything(&all);
	for (int i = 0; i < N_OPERATIONS; i++) {
		operate(&all, (unsigned)rand_r(&seed) % N_SPOTS, (unsigned)rand_r(&seed) % 100);
		if (rand_r(&seed) % 3 == 0)
			kit_turn(kit);
		check_everything(&all);
	}
	kit->spawner->behaviour = FAKE_ANSWERS;
	kit->spawner->is_renewal_held = kit->spawner->is_spoiling = false;
	for (unsigned i = 0; i < N_SPOTS; i++)
		if (all.is_out[i] && all.spots[i].is_placed)
			spot_abandon(&all.spots[i]);
	for (unsigned i = 0; i < N_SPOTS; i++) {
		while (all.is_out[i] && !all.spots[i].is_placed && !all.spots[i].is_refused) {
			kit_turn(kit);
			answer_all(kit);
			check_everything(&all);
		}
		if (all.is_out[i])
			spot_abandon(&all.spots[i]);
	}
}

UNIT_TESTS(it(no_more_instances_start_at_one_time_than_there_are_slots),
	it(every_one_of_a_burst_of_first_calls_is_answered),
	it(one_that_hangs_in_its_start_gives_its_slot_up),
	it(a_call_of_one_org_waits_one_turn_behind_the_flood_of_another),
	it(in_an_org_a_function_waits_one_turn_behind_the_flood_of_another),
	it(the_org_that_has_most_makes_room),
	it(who_has_all_the_places_gives_the_next_that_ends_its_call),
	it(two_orgs_that_flood_come_to_have_the_same),
	it(where_there_is_one_place_two_orgs_take_turns),
	it(a_place_that_a_build_gives_back_is_used_at_once),
	it(whatever_happens_the_sums_are_right_and_every_call_is_placed))
