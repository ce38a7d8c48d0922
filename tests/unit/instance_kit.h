/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_kit - one instance whose spawner, function and keeper are played by hand, and calls that
 * remember what they were told.
 */
#ifndef MAYFLY_INSTANCE_KIT_H
#define MAYFLY_INSTANCE_KIT_H

#include "fake_spawner.h"
#include "runtime/instance.h"

struct kit {
	struct loop *loop;
	struct spawner *spawner;
	struct sandbox *sandbox;   /* borrowed from spawner; NULL once it is gone */
	struct instance *instance; /* NULL once it is gone */
	unsigned n_ready, n_rooms, n_discarded, n_unable, n_gone;
	enum mechanism tried; /* of the last on_unable */
	enum renewal_cause unable;
	char why[200];
	struct err reason;
	struct buf boot_log;
};

/* What a call was told. */
struct told {
	struct instance_call call;
	int status;
	unsigned n_headers, n_ends, n_failures, n_whole;
	struct instance *instance;        /* borrowed */
	enum instance_state state_at_end; /* of its instance, when the call was told its end */
	struct buf body, log, trace;
	struct err reason;
	struct instance_call *abandons; /* in on_head */
	struct sandbox *sandbox;        /* borrowed */
	uint64_t tail_us; /* CPU time that is counted only when the answer was handed over */
	unsigned n_measured;
};

struct instance_spec spec_new(unsigned concurrency);
struct kit *kit_new(const struct instance_spec *spec);
struct kit *kit_ready(unsigned concurrency);
void kit_free(struct kit *kit);
void turn(struct kit *kit);
void send_call(struct kit *kit, struct told *told, struct str body);
void answer(struct kit *kit, const struct told *told, const char *head, struct str body);
void told_done(struct told *told);

static inline void
own_kit(struct kit **kit)
{
	kit_free(*kit);
}

#define TOLD(name) __attribute__((cleanup(told_done))) struct told name = {0}

#endif
