/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_known - which events are certainly new, answered from memory.
 *
 * The store knows what was accepted in the last 24 h, and a look there costs a round trip to its
 * thread. This remembers the same in two Bloom filters of 2 MiB, of keyed hashes that no sender can
 * aim at: what is in neither is new, what is in one is asked of the store. A filter is filled for
 * 24 h, is kept for another 24 h, and goes, so that memory is bounded and what was added is found
 * for 24 h at least. With a million events a day one new event in 200 is asked for nothing; with
 * very many more all are, as if this were not there.
 * Until all that the store knew at the start has been read, every event is asked. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_EVENT_KNOWN_H
#define MAYFLY_DOMAIN_EVENT_KNOWN_H

#include "domain/domain.h"

struct event_known;
struct event_known *event_known_new(struct domain *domain);
void event_known_free(struct event_known *known); /* after store_close() */

/* Begins to read what the store knows: once. */
void event_known_load(struct event_known *known) ON_LOOP;
bool event_known_is_loaded(const struct event_known *known);

uint64_t event_known_hash(const char *org, const char *source, const char *id);
/* Remembers it. False: it was never accepted in the last 24 h, nor is it being accepted now. */
bool event_known_add(struct event_known *known, uint64_t hash) ON_LOOP;

#endif
