/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_spawner - spawner.h without a process: the test plays the sandbox and the function in it.
 *
 * Each sandbox asked for is in `fake.all`, the oldest first, until fake_gone(). Its ends of the
 * channel and of the log pipes are the test's; its usage is what the test writes in it. With
 * `behaviour` set, fake_play() acts for every sandbox: starts it, says READY, answers calls; what
 * is stopped dies.
 */
#ifndef MAYFLY_FAKE_SPAWNER_H
#define MAYFLY_FAKE_SPAWNER_H

#include "base/buf.h"
#include "base/list.h"
#include "keeper/keeper.h"
#include "runtime/frame.h"
#include "sandbox/spawner.h"

enum fake_behaviour {
	FAKE_BY_HAND,
	FAKE_ANSWERS, /* "200\n" and the body it got, with a line on stdout */
	FAKE_HOLDS,   /* never answers */
	FAKE_ERRS,    /* ERROR "TypeError\0no\0at here" */
	FAKE_EXITS,   /* exits with status 3 in the call */
	FAKE_STREAMS, /* head and body, no end */
	FAKE_FLOODS,  /* prints without end in the call */
	FAKE_FAILS_TO_LOAD,
	FAKE_HANGS_IN_BOOT,
	FAKE_BEHAVIOURS,
};

struct sandbox {
	struct list link;
	struct sandbox_request request; /* its descriptors are of the asker */
	int channel, out, error;        /* owned, the function's ends; -1 when closed */
	struct sandbox_usage usage;
	unsigned n_peak_resets;
	bool is_started, was_asked, is_loaded;
	struct buf in;      /* read from the channel */
	uint64_t held_call; /* a call that is not answered, 0 for none */
	int keeper;         /* owned, the keeper's end; -1 when there is none */
	bool has_keeper;
	unsigned n_kept; /* that it answered KEEP and RENEW */
	unsigned n_frames[FRAME_CANCEL + 1];
};

struct spawner {
	struct list all; /* of sandbox */
	unsigned n_asked;
	int refuses; /* code that spawner_ask() gives, 0 for none */
	enum fake_behaviour behaviour;
	bool has_keepers;     /* each sandbox gets one, which can do all that it is asked */
	bool is_renewal_held; /* but it does not answer RENEW yet */
	bool is_spoiling;     /* RENEW gives SPOILT */
	bool is_death_held;   /* who is asked to end is not gone yet */
};

struct spawner *fake_spawner_new(void);
void fake_spawner_free(struct spawner *spawner); /* what is still there is gone first */

struct sandbox *fake_last(struct spawner *spawner);
void fake_started(struct sandbox *sandbox);
void fake_gone(struct sandbox *sandbox, int status);
void fake_send(struct sandbox *sandbox, enum frame_kind kind, uint8_t flags, uint64_t call,
	struct str payload);
void fake_answer(struct sandbox *sandbox, uint64_t call, const char *head, struct str body);
void fake_print(struct sandbox *sandbox, bool is_stderr, const char *text);

/* The keeper by hand: the next request to it, false when there is none; what it answers; bytes of
 * whatever kind; its end. */
bool fake_keeper_receive(struct sandbox *sandbox, struct keeper_request *ret);
void fake_keeper_answer(struct sandbox *sandbox, enum keeper_event event, enum keeper_cause cause);
void fake_keeper_send(struct sandbox *sandbox, struct str bytes);
void fake_keeper_end(struct sandbox *sandbox);

/* The next frame that came, its payload appended to *ret; false when there is none. */
bool fake_receive(struct sandbox *sandbox, struct frame_head *ret_head, struct buf *ret);

/* Acts once for every sandbox; gives whether anything happened. */
bool fake_play(struct spawner *spawner);

#endif
