/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_kit - what a store hands back runs on a loop, as in the daemon.
 *
 *	struct store_config config = {.data_dir = …, .post = store_kit_post, .arg = loop};
 */
#ifndef MAYFLY_STORE_KIT_H
#define MAYFLY_STORE_KIT_H

#include "base/mem.h"
#include "net/loop.h"
#include "store/store.h"

struct store_kit_batch {
	struct loop_message message;
	struct list messages;
};

static inline void
store_kit_run(struct loop_message *message)
{
	struct store_kit_batch *batch = list_owner(message, struct store_kit_batch, message);
	struct store_message *one;

	while ((one = list_first(&batch->messages, struct store_message, link))) {
		list_remove(&one->link);
		one->done(one);
	}
	free(batch);
}

static inline void
store_kit_post(struct list *messages, void *loop)
{
	struct store_kit_batch *batch = mem_new(sizeof(*batch));

	batch->message.run = store_kit_run;
	list_insert_(&batch->messages, messages->prev, messages->next);
	list_init(messages);
	loop_post(loop, &batch->message);
}

#endif
