/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox_kit - a spawner, a root made by hand, and sandboxes that run tests/unit/sandbox_probe.c.
 *
 * A root has the folders that every root has and one static program, /bin/probe. For tests and
 * the benchmark; one thread, which stands in for the loop.
 */
#ifndef MAYFLY_SANDBOX_KIT_H
#define MAYFLY_SANDBOX_KIT_H

#include "base/buf.h"
#include "sandbox/spawner.h"

struct kit {
	char *folder; /* owned: the data folder */
	struct spawner *spawner;
	struct root root;
	pid_t spawner_pid;
	uint32_t uid_base; /* of this process alone, so that tests may run side by side */
	bool is_lost;
};

struct kit_run {
	struct kit *kit;
	struct sandbox *sandbox;
	int channel, pipe, listener, keeper; /* owned */
	bool is_started, is_gone, is_forked;
	uint64_t asked_us, started_us, gone_us;
	struct sandbox_exit exit;
	struct buf out; /* what it printed, both streams */
};

extern const char kit_tree[], kit_tree_with_modules[], kit_deps[];
extern const struct sandbox_limits kit_limits;

#define KIT_SANDBOXES_MAX 64

/* Before the first kit_open(): a program that is mayfly-keeper from now on. */
void kit_use_keeper(const char *program);

/* Before the first kit_open(): roots have a template from now on, and sandboxes that are started
 * want a fork of it. Also by MAYFLY_KIT_TEMPLATE in the environment. */
void kit_use_template(void);
bool kit_has_template(void);
/* The process, 0 while there is none. */
pid_t kit_find_template(const struct kit *kit);

/* Starts a spawner for n sandboxes, and waits for its template; aborts with the reason when it
 * cannot. */
void kit_open(struct kit *kit, unsigned n_sandboxes);
void kit_close(struct kit *kit);

/* Starts a sandbox that runs /bin/probe with the NULL-terminated arguments. */
void kit_start(struct kit *kit, struct kit_run *run, const struct sandbox_request *request,
	const char *const *arguments);
/* An INSTANCE with usual limits. */
void kit_start_probe(struct kit *kit, struct kit_run *run, const char *const *arguments);
void kit_await_start(struct kit_run *run);
void kit_await_end(struct kit_run *run);
void kit_stop(struct kit_run *run);
/* Both at once; what it printed is in run->out. */
void kit_run_probe(struct kit *kit, struct kit_run *run, const char *const *arguments);
void kit_run_done(struct kit_run *run);
/* One turn of the loop, at most ms. */
void kit_turn(struct kit *kit, int ms);

/* What the kernel has of a spawner and its sandboxes. */
struct kit_census {
	int processes; /* of users of the sandboxes' range */
	int groups;    /* cgroups of the spawner, its own included */
	int fds;       /* open in the spawner */
	int mounts;    /* in its namespace */
};
struct kit_census kit_count(const struct kit *kit);

#endif
