/* SPDX-License-Identifier: Apache-2.0 */
/*
 * function - a name, a route and its versions, one of which serves.
 *
 *	 function_put()        first version ready
 *	 INITIALIZING ─────────────────────────────▶ READY ──function_put()──▶ UPDATING ──▶ READY
 *	      └── first version failed ──▶ FAILED ──function_put()──▶ INITIALIZING
 *	 function_delete(): DELETING from any state; route gone at once, calls in flight finish
 *
 * A new version is immutable; the function switches to it only when it is ready, and calls in
 * flight finish on the one they began on. A failed version leaves the active one as it is. The
 * state of a function is derived from its versions (function_state()). ON_LOOP.
 */
#ifndef MAYFLY_DOMAIN_FUNCTION_H
#define MAYFLY_DOMAIN_FUNCTION_H

#include "domain/org.h"
#include "domain/version.h"

#define FUNCTION_ROUTE_MAX 255

enum function_state {
	FUNCTION_INITIALIZING,
	FUNCTION_READY,
	FUNCTION_UPDATING,
	FUNCTION_FAILED,
	FUNCTION_DELETING,
};

struct function {
	struct list link; /* in domain.leaving once it is deleted */
	struct org *org;  /* borrowed */
	char name[64];
	char route[FUNCTION_ROUTE_MAX + 1];
	uint32_t last_version;  /* highest number given out */
	uint32_t newest;        /* only a version above it becomes active by itself */
	struct version *active; /* borrowed from versions, NULL before the first is ready */
	uint32_t wanted;        /* becomes active by itself when it is ready; 0 for none */
	struct list versions;   /* of struct version, owned, ascending */
	struct list dropped;    /* of struct version, owned: gone, but for who holds them */
	uint64_t created_ms, updated_ms;
	bool is_stored; /* its row was committed once */
	bool is_deleting;
	unsigned n_calls;                   /* waiting and running, all versions */
	uint64_t n_starts, n_boot_failures; /* of instances of all versions */
	struct renewal_tally *renewals;     /* held: of the instances of all versions */
	struct list watchers; /* of struct function_watch: who waits for a state change */
};

const char *function_state_word(enum function_state state);
enum function_state function_state(const struct function *function);
struct function *function_find(const struct org *org, struct str name);
struct version *function_version(const struct function *function, uint32_t number);

/* The function whose route is the longest prefix of `path` (whole segments, percent-decoding
 * done by the caller, no slash in front); *ret_rest is what is behind it ("" or "/…"). */
struct function *function_route(const struct org *org, struct str path, struct str *ret_rest);

struct function_spec {
	struct str name;             /* also the default route */
	struct str route;            /* "" for the name, or what it was */
	struct str runtime;          /* name or alias of a language: "node", "node20" */
	struct str handler;          /* "" for the language's default */
	char source[ID_SHA256_SIZE]; /* a blob that is stored */
	struct str filename;         /* of a single-file source, "" for an archive */
	struct version_config config;
};

/* flags of function_put */
enum { FUNCTION_MUST_BE_NEW = 1 };

/* Validates, stores (done after the commit: the version is then durable and `initializing`), and
 * makes it ready in the background. The version is NULL on failure. What is invalid, or in conflict
 * with another function of the org (field "route", field "name" with FUNCTION_MUST_BE_NEW; no field
 * while 16 versions are under way), is told before function_put() returns; a source that is not
 * stored (field "code") after it. Versions become ready in any order, and only one that is newer
 * than all that ever served starts to serve by itself. */
typedef void function_done_fn(int code, struct function *function, struct version *version,
	const struct err *err, void *arg);
void function_put(struct org *org, const struct function_spec *spec, unsigned flags,
	function_done_fn *done, void *arg) ON_LOOP;

/* Makes a ready version the active one again. 0 for the ready version before the active one. Wins
 * over versions that were put before it and are not ready yet. ERR_NOT_FOUND; ERR_CONFLICT for a
 * version that is not ready. */
void function_rollback(
	struct function *function, uint32_t number, function_done_fn *done, void *arg) ON_LOOP;
/* Not found any more when this returns; done after the commit, with NULL for both. */
void function_delete(struct function *function, function_done_fn *done, void *arg) ON_LOOP;

/* Calls changed() at each change of state, of the active version, or when it is gone
 * (function NULL; the watch is out of the list then). The struct stands inside its owner. */
struct function_watch {
	struct list link; /* list_init() before */
	void (*changed)(struct function_watch *watch, struct function *function);
};
void function_watch(struct function *function, struct function_watch *watch) ON_LOOP;
void function_unwatch(struct function_watch *watch) ON_LOOP;

/* ---- for this room ---- */

/* A route as it is kept, without slashes at its ends: segments of [A-Za-z0-9._~-], none of them
 * "." or "..", 255 bytes at most. ERR_INVALID, field "route". */
int function_check_route(
	struct str route, char ret[static FUNCTION_ROUTE_MAX + 1], struct err *err);

/* A function of the store, into its org. */
struct function *function_add(struct org *org, const char *name, const char *route);

/* Tells those who watch it. */
void function_changed(struct function *function, bool is_gone) ON_LOOP;

/* From now on this version serves. */
void function_switch(struct function *function, struct version *version) ON_LOOP;

/* A version became READY or FAILED (build.c has set its state): stored, and switched to if it is
 * the newest. */
void function_settled(struct version *version) ON_LOOP;

/* It left its org (which was deleted): its versions go, calls in flight finish. */
void function_leave(struct function *function) ON_LOOP;

/* Frees a deleted function that has no version left. */
void function_settle(struct function *function) ON_LOOP;
/* With all its versions, at the end of the process. */
void function_free(struct function *function);

#endif
