/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_kit - a domain of their own for the tests of its room: the store and the loop are real,
 * in a temporary folder; languages, pools and the spawner are played.
 *
 *	OWN(kit) struct kit *kit = kit_open();       org "acme" is there
 *	kit_deploy(kit, "hello");                    until it is settled
 *
 * A played sandbox does in the next turn of the loop what kit->unpack and kit->install say; a
 * played probe what kit->probe says. While `is_held` is set it waits for kit_release().
 */
#ifndef MAYFLY_DOMAIN_KIT_H
#define MAYFLY_DOMAIN_KIT_H

#include "unit.h"

#include "domain/build.h"
#include "domain/function.h"
#include "domain/shelf.h"
#include "domain/token.h"

struct kit_work {
	bool is_held;
	int status;  /* exit status, or -signal */
	int failure; /* code of a sandbox that cannot be set up */
	unsigned n_oom;
	bool is_refused;     /* not even asked for */
	const char *answer;  /* what it writes to descriptor 1 */
	const char *printed; /* to descriptor 2 */
	const char *output;  /* to descriptor 4 */
};

struct kit_probe {
	bool is_held;
	int code;
	const char *reason, *log;
};

struct kit {
	struct domain domain;
	struct loop *loop;
	struct store *store;
	char *folder;
	struct root roots[8];
	struct err err; /* of the last done() */
	int code;
	bool is_told;
	struct kit_work unpack, install;
	struct kit_probe probe;
	unsigned n_unpacks, n_installs, n_probes, n_pools, n_sandboxes;
	unsigned n_installs_at_once, n_most_installs_at_once;
	struct str seen;  /* of the last unpack: what was on descriptor 3; owned */
	char init[4096];  /* of the last install: its INIT frame's payload, NULs as LF */
	struct map trees; /* on the played disk */
	struct list sandboxes, probes;
};

struct kit *kit_open(void) THREAD_ENTERS(thread_role_loop);
/* Stops the domain and opens another on the same store, and on the same disk. */
void kit_reopen(struct kit *kit) ON_LOOP;
void own_kit(struct kit **kit);

/* Turns the loop until is_done(arg); fails after ten seconds. */
void kit_until(struct kit *kit, bool (*is_done)(void *arg), void *arg) ON_LOOP;
void kit_turn(struct kit *kit, unsigned n) ON_LOOP; /* n short turns */
void kit_release(struct kit *kit) ON_LOOP;          /* what is held goes on */

struct org *kit_org(struct kit *kit, const char *name) ON_LOOP; /* made if it is not there */
void kit_blob(struct kit *kit, const char *bytes, char ret[static ID_SHA256_SIZE]);

/* A spec for inline code "x" in node20. */
struct function_spec kit_spec(struct kit *kit, const char *name);
/* Puts, and waits until it is stored; NULL with kit->err else. */
struct version *kit_put_spec(
	struct kit *kit, struct org *org, const struct function_spec *spec, unsigned flags) ON_LOOP;
struct version *kit_put(struct kit *kit, const char *name) ON_LOOP;
/* Waits until it is READY or FAILED. */
void kit_settle(struct kit *kit, struct version *version) ON_LOOP;
struct version *kit_deploy(struct kit *kit, const char *name) ON_LOOP; /* both */

function_done_fn kit_told; /* for done callbacks: fills code and err */
void kit_org_told(int code, const struct err *err, void *arg);
void kit_await(struct kit *kit) ON_LOOP; /* until one of them was called */

/* The number that a question to the database gives. */
int64_t kit_count(struct kit *kit, const char *sql);
struct function *kit_function(struct kit *kit, const char *name);

#endif
