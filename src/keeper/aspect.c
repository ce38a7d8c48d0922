/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/aspect.h"

/* Ends with NULL. */
static const struct aspect *const aspects[] = {
	&aspect_processes,
	&aspect_descriptors,
	&aspect_socket,
	&aspect_timers,
	&aspect_signals,
	&aspect_limits,
	&aspect_files,
	NULL,
};

#define ASPECT_EACH(step)                                                                          \
	for (const struct aspect *const *aspect = aspects; *aspect; aspect++) {                    \
		if ((*aspect)->step && (*aspect)->step(subject, reply) < 0)                        \
			return -1;                                                                 \
	}                                                                                          \
	return 0

int
aspect_learn_all(struct subject *subject, struct keeper_reply *reply)
{
	ASPECT_EACH(learn);
}

int
aspect_learnt_all(struct subject *subject, struct keeper_reply *reply)
{
	ASPECT_EACH(learnt);
}

int
aspect_look_all(struct subject *subject, struct keeper_reply *reply)
{
	ASPECT_EACH(look);
}

int
aspect_check_all(struct subject *subject, struct keeper_reply *reply)
{
	ASPECT_EACH(check);
}
