/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/renewal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

const uint32_t renewal_bounds_us[RENEWAL_BUCKETS - 1] = {
	50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 200000, 1000000};

const char *
renewal_cause_word(enum renewal_cause cause)
{
	static const char *const words[] = {
		[RENEWAL_CAUSE_ONCE - KEEPER_CAUSES] = "once",
		[RENEWAL_CAUSE_CALL - KEEPER_CAUSES] = "call",
		[RENEWAL_CAUSE_CHANNEL - KEEPER_CAUSES] = "channel",
		[RENEWAL_CAUSE_SILENT - KEEPER_CAUSES] = "silent",
		[RENEWAL_CAUSE_LOST - KEEPER_CAUSES] = "lost",
	};

	if ((unsigned)cause < KEEPER_CAUSES)
		return keeper_cause_word((enum keeper_cause)cause);
	return cause < RENEWAL_CAUSES ? words[(unsigned)cause - KEEPER_CAUSES] : "unknown";
}

struct renewal_tally *
renewal_tally_new(struct renewal_tally *above)
{
	struct renewal_tally *tally = mem_new(sizeof(*tally));

	tally->above = renewal_tally_hold(above);
	tally->n_refs = 1;
	return tally;
}

struct renewal_tally *
renewal_tally_hold(struct renewal_tally *tally)
{
	if (tally)
		tally->n_refs++;
	return tally;
}

void
renewal_tally_release(struct renewal_tally *tally)
{
	while (tally && --tally->n_refs == 0) {
		struct renewal_tally *above = tally->above;

		free(tally);
		tally = above;
	}
}

void
renewal_count(struct renewal_tally *tally, uint64_t us)
{
	for (; tally; tally = tally->above) {
		tally->n_renewed++;
		tally->renewed_us += us;
		for (int i = 0; i < RENEWAL_BUCKETS - 1; i++)
			tally->buckets[i] += us <= renewal_bounds_us[i];
		tally->buckets[RENEWAL_BUCKETS - 1]++;
	}
}

void
renewal_count_discard(struct renewal_tally *tally, enum renewal_cause cause, const char *why)
{
	for (; tally && cause < RENEWAL_CAUSES; tally = tally->above) {
		tally->n_discarded[cause]++;
		if (*why)
			snprintf(tally->last_spoilt, sizeof(tally->last_spoilt), "%s", why);
	}
}

uint64_t
renewal_n_discarded(const struct renewal_tally *tally)
{
	uint64_t n = 0;

	for (int i = 0; i < RENEWAL_CAUSES; i++)
		n += tally->n_discarded[i];
	return n;
}
