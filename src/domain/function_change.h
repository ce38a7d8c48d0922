/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function_change - what changed of a function and of one of its versions, on its way to the store.
 *
 * The rows are what the memory holds when the change is made, and the store does changes in their
 * order, so the last one wins there too. A change holds its version, and its function cannot go
 * before it: a deletion comes behind it. ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_FUNCTION_CHANGE_H
#define MAYFLY_DOMAIN_FUNCTION_CHANGE_H

#include "domain/function.h"
#include "store/rows.h"

/* flags */
enum {
	FUNCTION_CHANGE_NEW = 1,         /* the function is inserted, not updated */
	FUNCTION_CHANGE_NEW_VERSION = 2, /* the version is inserted; its source must be stored */
};

struct function_change {
	struct store_message message;
	unsigned flags;
	struct function *function;                      /* borrowed */
	struct version *version;                        /* held; may be NULL */
	void (*stored)(struct function_change *change); /* message.code says how it went */
	function_done_fn *done;                         /* the caller's; may be NULL */
	void *arg;                                      /* borrowed: the caller's */
	struct version *before;                         /* borrowed: that was active before */
	char route_before[256];
	/* private */
	struct store *store; /* borrowed */
	struct row_function row;
	struct row_version version_row;
	char *config, *reason, *build_log; /* owned: what version_row points to */
};

/* `version` may be NULL: the function alone is updated. The caller fills in what it needs of the
 * fields above `private` and asks. */
struct function_change *function_change_new(
	struct function *function, struct version *version, unsigned flags) ON_LOOP;
void function_change_ask(struct function_change *change) ON_LOOP;

/* Takes a version's row away; the version is dropped already. */
void function_change_forget(const struct version *version) ON_LOOP;

#endif
