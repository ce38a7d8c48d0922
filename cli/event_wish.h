/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_wish - the events that a command line asks to send: from flags, a file or stdin.
 *
 * Flags make one event; what they leave open gets a default (a new id, source "/cli"). A file, or
 * stdin, holds a CloudEvent in the JSON format or an array of them, and goes out as it stands.
 */
#ifndef MAYFLY_CLI_EVENT_WISH_H
#define MAYFLY_CLI_EVENT_WISH_H

#include "cli.h"

struct event_wish {
	const char *type, *source, *subject, *id, *data, *file; /* borrowed; NULL without */
	json_t *extensions;                                     /* owned; NULL without */
};

#define EVENT_WISH_OPTIONS                                                                         \
	{"type", required_argument, NULL, 't'}, {"source", required_argument, NULL, 's'},          \
		{"subject", required_argument, NULL, 'u'}, {"id", required_argument, NULL, 'i'},   \
		{"data", required_argument, NULL, 'd'}, {"file", required_argument, NULL, 'f'},    \
		{"stdin", no_argument, NULL, 2},                                                   \
	{                                                                                          \
		"attribute", required_argument, NULL, 'a'                                          \
	}
#define EVENT_WISH_SHORT "t:s:u:i:d:f:a:"

/* Takes one of these options; false for any other. */
bool event_wish_take(struct event_wish *wish, int option, int *ret_code, struct err *err);
/* POSTs to the org's events, with `query` ("", "?dry_run=true"); the answer is the caller's. */
int event_wish_send(struct cli *cli, const struct event_wish *wish, const char *query, json_t **ret,
	struct err *err);
void event_wish_done(struct event_wish *wish);

static inline void
own_event_wish(struct event_wish *wish)
{
	event_wish_done(wish);
}

#endif
