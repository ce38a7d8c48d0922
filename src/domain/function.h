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

enum function_state {
	FUNCTION_INITIALIZING,
	FUNCTION_READY,
	FUNCTION_UPDATING,
	FUNCTION_FAILED,
	FUNCTION_DELETING,
};

struct function {
	struct org *org; /* borrowed */
	char name[64];
	char route[256];
	uint32_t last_version;
	struct version *active;      /* borrowed from versions, NULL before the first is ready */
	struct list versions;        /* of struct version, owned, ascending */
	uint64_t created_ms, updated_ms;
	bool is_deleting;
	unsigned n_calls;            /* waiting and running, all versions */
	struct list watchers;        /* of struct function_watch: who waits for a state change */
};

const char *function_state_word(enum function_state state);
enum function_state function_state(const struct function *function);
struct function *function_find(const struct org *org, struct str name);
struct version *function_version(const struct function *function, uint32_t number);

/* The function whose route is the longest prefix of `path` (whole segments, percent-decoding
 * done by the caller, no slash in front); *ret_rest is what is behind it ("" or "/…"). */
struct function *function_route(const struct org *org, struct str path, struct str *ret_rest);

struct function_spec {
	struct str name;     /* also the default route */
	struct str route;    /* "" for the name, or what it was */
	struct str runtime;  /* name or alias of a language: "node", "node20" */
	struct str handler;  /* "" for the language's default */
	char source[ID_SHA256_SIZE]; /* a blob that is stored */
	struct str filename; /* of a single-file source, "" for an archive */
	struct version_config config;
};

/* flags of function_put */
enum { FUNCTION_MUST_BE_NEW = 1 };

/* Validates, stores (done after the commit: the version is then durable and `initializing`), and
 * makes it ready in the background. The version is NULL on failure. */
typedef void function_done_fn(int code, struct function *function, struct version *version,
	const struct err *err, void *arg);
void function_put(struct org *org, const struct function_spec *spec, unsigned flags,
	function_done_fn *done, void *arg) ON_LOOP;

/* Makes a ready version the active one again. 0 for the ready version before the active one. */
void function_rollback(struct function *function, uint32_t number, function_done_fn *done,
	void *arg) ON_LOOP;
void function_delete(struct function *function, function_done_fn *done, void *arg) ON_LOOP;

/* Calls changed() at each change of state, of the active version, or when it is gone
 * (function NULL; the watch is out of the list then). The struct stands inside its owner. */
struct function_watch {
	struct list link; /* list_init() before */
	void (*changed)(struct function_watch *watch, struct function *function);
};
void function_watch(struct function *function, struct function_watch *watch) ON_LOOP;
void function_unwatch(struct function_watch *watch) ON_LOOP;

#endif
