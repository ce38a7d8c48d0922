/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/renewal.h"

#include <stddef.h>

const uint32_t renewal_bounds_us[RENEWAL_BUCKETS - 1] = {
	50, 100, 200, 500, 1000, 2000, 5000, 10000, 50000, 200000, 1000000};

const char *
renewal_cause_word(unsigned cause)
{
	static const char *const words[] = {
		[RENEWAL_CAUSE_ONCE - KEEPER_CAUSES] = "once",
		[RENEWAL_CAUSE_CALL - KEEPER_CAUSES] = "call",
		[RENEWAL_CAUSE_CHANNEL - KEEPER_CAUSES] = "channel",
		[RENEWAL_CAUSE_SILENT - KEEPER_CAUSES] = "silent",
		[RENEWAL_CAUSE_LOST - KEEPER_CAUSES] = "lost",
	};

	if (cause < KEEPER_CAUSES)
		return keeper_cause_word((enum keeper_cause)cause);
	return cause < RENEWAL_CAUSES ? words[cause - KEEPER_CAUSES] : "unknown";
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
renewal_count_discard(struct renewal_tally *tally, unsigned cause)
{
	for (; tally && cause < RENEWAL_CAUSES; tally = tally->above)
		tally->n_discarded[cause]++;
}

uint64_t
renewal_n_discarded(const struct renewal_tally *tally)
{
	uint64_t n = 0;

	for (int i = 0; i < RENEWAL_CAUSES; i++)
		n += tally->n_discarded[i];
	return n;
}
