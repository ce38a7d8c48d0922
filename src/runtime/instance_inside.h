/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance_inside - what the parts of an instance share: its life (instance.c), its calls
 * (instance_call.c), its log (instance_log.c), what comes between two calls (instance_keeper.c).
 * For these files only. ON_LOOP.
 *
 * A call in flight has a slot and a number, generation << INSTANCE_SLOT_BITS | slot; a number that
 * is not in its slot is one of a call that is over, and what comes for it is dropped. Callbacks
 * may end the call, or send another: after each one, whether the call is still there is asked by
 * number and never by looking at its memory.
 */
#ifndef MAYFLY_RUNTIME_INSTANCE_INSIDE_H
#define MAYFLY_RUNTIME_INSTANCE_INSIDE_H

#include "runtime/channel.h"
#include "runtime/instance.h"

enum {
	INSTANCE_SLOT_BITS = 10,
	INSTANCE_MAX_CALLS = 1 << INSTANCE_SLOT_BITS,
	INSTANCE_BOOT_LOG_BYTES = 16 * 1024,
	INSTANCE_LOG_FLOOR_BYTES = 1024 * 1024,
	INSTANCE_EXIT_MS = 1000, /* from the closing of the channel to the exit */
};

struct instance_slot {
	struct instance_call *call; /* borrowed; NULL while it is free */
	uint64_t number;
};

/* Read end of the sandbox's stdout or stderr. */
struct instance_pipe {
	struct instance *instance;
	int fd;                   /* owned, -1 at its end */
	struct loop_watch *watch; /* owned */
	bool is_stderr;
	bool is_held; /* there is something in it, and no call that it could belong to */
};

/* What the keeper was asked for and has not answered. */
enum instance_keeper_wait { INSTANCE_KEEPER_IDLE, INSTANCE_KEEPER_KEEPS, INSTANCE_KEEPER_RENEWS };

struct instance {
	enum instance_state state;
	struct loop *loop;                 /* borrowed */
	struct spawner *spawner;           /* borrowed */
	struct sandbox *sandbox;           /* owned until on_gone */
	const struct sandbox_usage *final; /* in on_gone: what it used in all */
	struct instance_events events;
	struct channel channel;
	struct instance_pipe pipes[2];
	struct loop_timer timer; /* deadline of the boot, of a renewal, of the exit */
	unsigned boot_ms;
	uint64_t memory_bytes, answer_bytes, log_bytes;
	bool is_started, is_loaded; /* set up by the spawner; READY came */
	bool is_retired, was_asked;
	struct err reason; /* why it ends, as soon as that is known */
	struct buf trace;  /* of FAIL */
	struct buf boot_log;
	uint64_t n_boot_log_bytes;

	unsigned concurrency;
	struct instance_slot *slots; /* owned, `concurrency` of them */
	uint16_t *free_slots;        /* owned stack */
	unsigned n_free;
	struct list calls; /* in flight, the oldest first */
	uint64_t generation, n_served;
	struct instance_call *due; /* is over, on_measured is to come; NULL for none */
	uint64_t part_number;      /* call whose ANSWER comes in parts; 0 for one that is over */

	struct loop_flush turn; /* forgets at its end what was read in this turn */
	bool is_cpu_read, is_peak_read;
	uint64_t cpu_us;       /* of the sandbox, when it was last read */
	uint64_t cpu_read_ms;  /* by the loop's clock */
	uint64_t cpu_share_ns; /* that a call would have used that was there all the time */
	uint64_t peak_bytes;   /* when it was last read */
	uint64_t peak_base_bytes, peak_reset_ms; /* the peak right after it was reset, and when */
	bool is_peak_high;                       /* reset it before the next call */
	uint32_t n_oom_kills, n_fork_refused;

	enum mechanism mechanism;
	struct renewal_tally *tally;     /* held; may be NULL */
	int keeper;                      /* owned, -1 without */
	struct loop_watch *keeper_watch; /* owned */
	enum instance_keeper_wait keeper_wait;
	bool is_forked, is_keeper_lost;
	bool is_counted;              /* as discarded */
	uint64_t renew_us;            /* when RENEW was sent */
	struct loop_flush after_call; /* what follows a call, behind the answers of the turn */

	struct egress *egress;            /* owned; NULL without a network */
	struct egress_bytes egress_bytes; /* while it loaded; zero once it is told */
	struct loop_flush egress_flush;   /* tells what stands in egress_troubles */
	struct buf egress_troubles;
};

/* ---- instance.c ---- */
/* Ends it for this reason, unless it ends already; calls in flight learn it in on_gone. */
void instance_end(struct instance *instance, const struct err *reason) ON_LOOP;
/* After a call was taken out: ends what is retired and has no call left. */
void instance_end_if_over(struct instance *instance) ON_LOOP;
/* The keeper is done with it, or it has none. */
void instance_be_kept(struct instance *instance) ON_LOOP;
/* code and "type: message" of FAIL and ERROR; what follows is the trace. */
struct str instance_read_failure(struct str payload, struct err *ret, struct str *ret_type);

/* ---- instance_call.c ---- */
void instance_call_setup(struct instance *instance, unsigned concurrency);
void instance_call_teardown(struct instance *instance) ON_LOOP;
/* ANSWER…, ERROR and LOG. */
void instance_call_on_frame(struct instance *instance, const struct channel_frame *frame) ON_LOOP;
bool instance_call_is_there(const struct instance *instance, uint64_t number);
/* Takes it out and tells it; the instance goes on, or is ended when it may still be at work. */
void instance_call_fail(
	struct instance_call *call, const struct err *reason, struct str trace) ON_LOOP;
void instance_call_break_off(struct instance_call *call, const struct err *reason) ON_LOOP;

/* Reads the CPU time of the call that is over once more and tells its owner; often there is none.
 */
void instance_call_measure_due(struct instance *instance) ON_LOOP;
/* What was used since the last reading is nobody's; no call is in flight. */
void instance_call_measure_anew(struct instance *instance) ON_LOOP;

/* ---- instance_keeper.c ---- */
void instance_keeper_setup(struct instance *instance, const struct instance_spec *spec);
void instance_keeper_teardown(struct instance *instance) ON_LOOP;
/* Takes over the keeper's descriptor, -1 for none, also when it fails. */
int instance_keeper_take(struct instance *instance, int fd, struct err *err) ON_LOOP;
/* The program has loaded: false when it is to go on at once; else instance_be_kept() follows, or
 * its end. */
bool instance_keeper_keep(struct instance *instance) ON_LOOP;
/* Whether the deadline of the boot was the keeper's, which is then dealt with. */
bool instance_keeper_on_boot_deadline(struct instance *instance) ON_LOOP;
/* Whether one of its calls is over and none is there. */
bool instance_keeper_is_between(const struct instance *instance);
/* Whether a frame comes between two calls, from one that is over: it is nobody's, and one that no
 * call sends ends the instance. */
bool instance_keeper_drops(struct instance *instance, const struct channel_frame *frame) ON_LOOP;
/* A call came to its end in good order: the first before its owner is told, the second after. */
void instance_keeper_end_call(struct instance *instance) ON_LOOP;
void instance_keeper_renew_soon(struct instance *instance) ON_LOOP;
/* It ends, for no fault that anybody has to be told of. */
void instance_discard(struct instance *instance, enum renewal_cause cause) ON_LOOP;
void instance_keeper_on_gone(struct instance *instance) ON_LOOP; /* before its calls learn it */

/* ---- instance_egress.c ---- */
void instance_egress_setup(
	struct instance *instance, const struct instance_network *network) ON_LOOP;
void instance_egress_teardown(struct instance *instance) ON_LOOP;
/* Takes over the sockets that came with the start. */
int instance_egress_take(
	struct instance *instance, const struct sandbox_started *started, struct err *err) ON_LOOP;
/* The function has loaded. */
void instance_egress_end_loading(struct instance *instance) ON_LOOP;
void instance_egress_begin_call(struct instance *instance) ON_LOOP;
void instance_egress_end_call(struct instance *instance, struct instance_measure *measure) ON_LOOP;
/* Into the log of the call, while it is there: what was refused or failed. */
void instance_egress_drain(struct instance *instance) ON_LOOP;

/* ---- instance_log.c ---- */
int instance_log_open(struct instance *instance, int ret_write_ends[2], struct err *err) ON_LOOP;
void instance_log_close(struct instance *instance) ON_LOOP;
void instance_log_drain(struct instance *instance) ON_LOOP; /* reads what is there now */
void instance_log_resume(struct instance *instance) ON_LOOP;
/* Counts, cuts and hands on what a call printed; the call may be over afterwards. */
void instance_log_give(struct instance_call *call, bool is_stderr, struct str bytes) ON_LOOP;
void instance_log_boot(struct instance *instance, struct str bytes) ON_LOOP;

#endif
