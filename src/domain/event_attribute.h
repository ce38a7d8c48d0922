/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_attribute - what the name and the value of a CloudEvent's attribute may be.
 *
 * Spec v1.0.2, "Naming Conventions", "Type System", and the rules of each attribute it defines.
 * Knows no HTTP and no event. Pure.
 */
#ifndef MAYFLY_DOMAIN_EVENT_ATTRIBUTE_H
#define MAYFLY_DOMAIN_EVENT_ATTRIBUTE_H

#include "base/json.h"

enum { EVENT_ATTRIBUTE_NAME_MAX = 20, EVENT_ATTRIBUTE_VALUE_MAX = 4096 };

/* 1 to 20 of a-z and 0-9. */
bool event_attribute_is_name(struct str name);

/* ERR_INVALID, field `name`: "time must be a time of RFC 3339 …". */
int event_attribute_check(const char *name, const json_t *value, struct err *err);

/* The media type of a content type without its parameters; what its `charset` says, "" without. */
struct str event_attribute_media(struct str content_type, struct str *ret_charset);
bool event_attribute_is_json(struct str content_type); /* …/json or …+json */
/* Data of this type is text, in UTF-8 or ASCII. */
bool event_attribute_is_text(struct str content_type);

#endif
