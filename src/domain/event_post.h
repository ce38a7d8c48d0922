/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_post - an event as a post: CloudEvents HTTP protocol binding v1.0.2, binary or structured.
 *
 * Attributes of ours (EVENT_OWN) stay here: a receiver need not know of them, and another mayfly
 * would refuse them. Knows no trigger and no delivery. Pure.
 */
#ifndef MAYFLY_DOMAIN_EVENT_POST_H
#define MAYFLY_DOMAIN_EVENT_POST_H

#include "domain/event.h"

/* EVENT_BINARY or EVENT_STRUCTURED: its headers, name → value, and what follows them. */
json_t *event_post_write(const struct event *event, enum event_mode mode, struct buf *body);

#endif
