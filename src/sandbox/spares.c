/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spares.h"

#define SPARES_LOOK_MS (60 * 1000) /* how long a need is remembered */

void
spares_init(struct spares *spares, unsigned max, uint64_t now_ms)
{
	*spares = (struct spares){
		.wanted = SPARES_MIN, .max = max, .n_lowest = SPARES_MAX, .since_ms = now_ms};
	if (spares->max < SPARES_MIN)
		spares->max = SPARES_MIN;
	if (spares->max > SPARES_MAX)
		spares->max = SPARES_MAX;
}

void
spares_take(struct spares *spares, unsigned n)
{
	if (n == 0 && spares->wanted < spares->max)
		spares->wanted++;
	if (n < spares->n_lowest)
		spares->n_lowest = n;
}

unsigned
spares_wanted(struct spares *spares, uint64_t now_ms)
{
	if (now_ms - spares->since_ms < SPARES_LOOK_MS)
		return spares->wanted;
	spares->since_ms = now_ms;
	if (spares->n_lowest > spares->wanted / 2)
		spares->wanted -= spares->wanted / 4;
	if (spares->wanted < SPARES_MIN)
		spares->wanted = SPARES_MIN;
	spares->n_lowest = SPARES_MAX;
	return spares->wanted;
}
