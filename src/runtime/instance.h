/* SPDX-License-Identifier: Apache-2.0 */
/*
 * instance - a sandbox with a booted runtime that has one version of one function loaded.
 *
 *	 instance_start()
 *	 STARTING ──READY frame; keeper KEPT──▶ READY (on_ready) ──instance_send()─▶ READY, call
 *	    │                                     ▲                                        │
 *	    │                                     └─(on_room)── RENEWING ◀─ isolation call ┘
 *	    └─ FAIL frame, exit, boot deadline         │
 *	                    ▼                          ▼
 *	                  ENDING ◀── instance_stop(), exit, broken frame, limit, discarded
 *	                    └──▶ GONE (on_gone)
 *
 * It carries frames for up to `concurrency` calls at once, gathers what is written in a turn of
 * the loop into one system call, attributes stdout and stderr to the call that runs (or by LOG
 * frames), and measures each call: CPU time, peak memory.
 *
 * With mechanism NONE (isolation `instance`) calls follow each other in the same sandbox. With
 * ROLLBACK and FORK its keeper brings it back after each call, behind the answer: it is RENEWING
 * and has no room until on_room, or it is discarded: it ends, with a reason of code 0 and a count
 * in the tally of its spec. With ONCE it is discarded after one call. Whoever owns it sees at the
 * end of a call (on_end, on_failure, after instance_abandon) in instance_state() which it is:
 * READY, RENEWING, or ENDING.
 *
 * The other side is hostile: sizes are bounded before memory is taken, a frame that breaks
 * frame.h's rules ends the instance, a function that floods its log is cut and then ended.
 * Knows no org, no route, no queue, no HTTP request. ON_LOOP.
 */
#ifndef MAYFLY_RUNTIME_INSTANCE_H
#define MAYFLY_RUNTIME_INSTANCE_H

#include "base/buf.h"
#include "net/egress.h"
#include "net/http.h"
#include "net/loop.h"
#include "runtime/frame.h"
#include "runtime/mechanism.h"
#include "runtime/renewal.h"
#include "sandbox/spawner.h"

struct instance;
struct instance_call;

/* The way out of an instance. With isolation `call` it is open while the function loads and while
 * a call runs; what it opened is closed with the call, or when it has loaded. */
struct instance_network {
	struct egress_host *host; /* borrowed, lives longer than the instance */
	const struct egress_rule *rules;
	size_t n_rules;
	uint16_t ports[SANDBOX_EGRESS_PORTS_MAX]; /* every port of the rules */
	unsigned n_ports;
	const char *owner; /* whose turns it takes at the host's resolver */
};

struct instance_spec {
	const struct root *root; /* borrowed, lives longer than the instance */
	char tree[ID_SHA256_SIZE];
	char deps[ID_SHA256_SIZE]; /* "" for none */
	struct sandbox_limits limits;
	struct str init;       /* INIT payload: "KEY=VALUE\0" …; borrowed until start returns */
	unsigned concurrency;  /* 1 to 1000; 1 but with mechanism NONE */
	unsigned boot_ms;      /* from start to READY */
	uint64_t answer_bytes; /* most that the body of an answer may have */
	uint64_t log_bytes; /* kept of a call's log; 16 times it (1 MiB at least) ends the call */
	enum mechanism mechanism;               /* not AUTO */
	const struct instance_network *network; /* borrowed until start returns; NULL for none */
	bool wants_template;         /* fork it from the template of its root, where there is one */
	struct renewal_tally *tally; /* counts there; NULL for none */
};

enum instance_state {
	INSTANCE_STARTING,
	INSTANCE_READY,
	INSTANCE_RENEWING,
	INSTANCE_ENDING,
	INSTANCE_GONE
};

struct instance_events {
	void (*on_ready)(struct instance *instance, void *arg);
	/* After RENEWING: the next call may come. */
	void (*on_room)(struct instance *instance, void *arg);
	/* Discarded though no call of its owner's ended it: it has no room any more, and on_gone
	 * comes when its processes are dead. Another may start meanwhile. */
	void (*on_discarded)(struct instance *instance, void *arg);
	/* Before on_ready: this program cannot be kept by the mechanism asked for (a cause of the
	 * keeper's), its keeper failed (SILENT, LOST), or the machine has none (NONE). It goes on
	 * with ONCE, or is discarded where nobody knows what the keeper left of it; others of the
	 * version are better started with mechanism_after(). `why` is for a person: "shared:
	 * writable memory …". */
	void (*on_unable)(struct instance *instance, enum mechanism tried, enum renewal_cause cause,
		const char *why, void *arg);
	/* Exactly once, last; the instance is freed when it returns. `reason` says why it ended:
	 * code 0 when it was asked to, else with blame (FUNCTION_FAILED with the runtime's words,
	 * MEMORY_EXCEEDED, FUNCTION_EXITED, TIMEOUT for the boot, UNAVAILABLE …). A discarded one
	 * has code 0: nobody is to blame. `log` is what it printed while it booted (at most 16 KiB,
	 * for the developer). */
	void (*on_gone)(
		struct instance *instance, const struct err *reason, struct str log, void *arg);
	void *arg; /* borrowed */
};

int instance_start(struct loop *loop, struct spawner *spawner, const struct instance_spec *spec,
	const struct instance_events *events, struct instance **ret, struct err *err) ON_LOOP;
void instance_stop(struct instance *instance) ON_LOOP; /* kills; calls in flight fail UNAVAILABLE */

/* No new calls; ends by itself when the last call in flight is over. */
void instance_retire(struct instance *instance) ON_LOOP;

enum instance_state instance_state(const struct instance *instance);
unsigned instance_n_calls(const struct instance *instance); /* in flight now */
bool instance_has_room(const struct instance *instance); /* READY, not retired, below concurrency */
uint64_t instance_n_served(const struct instance *instance);
enum mechanism instance_mechanism(const struct instance *instance); /* ONCE after on_unable */
bool instance_is_forked(const struct instance *instance); /* from a template; once it is READY */

/* ---- one call on it; the struct stands inside its owner ---- */
struct instance_measure {
	uint64_t cpu_us; /* cgroup's CPU time over the call; with several in flight, the share;
			    with what the runtime did in the millisecond before it. Not 0 but
			    where the machine does not measure it */
	uint64_t memory_peak_bytes; /* of the sandbox during the call; it is started anew after
				       calls that raised it by a MiB, and once a second */
	/* Bytes that went in and out over its network; with several in flight, those since the end
	 * of the one before. Beside them what passed while the function loaded, with its first
	 * call. */
	struct egress_bytes egress, egress_loading;
};

struct instance_call {
	/* set by the caller */
	const char *call_id; /* 26 characters, borrowed */
	enum frame_trigger trigger;
	uint64_t deadline_unix_ms;
	struct str head, body; /* borrowed until instance_send() returns */
	/* All may be called only after instance_send(); exactly one of on_end and on_failure comes,
	 * last. headers and bytes are borrowed for the call. */
	void (*on_head)(struct instance_call *call, int status, const struct http_header *headers,
		size_t n);
	void (*on_body)(struct instance_call *call, struct str bytes);
	void (*on_end)(struct instance_call *call);
	void (*on_failure)(struct instance_call *call, const struct err *reason, struct str trace);
	void (*on_log)(struct instance_call *call, bool is_stderr, struct str bytes);
	/* NULL, or comes after on_end and on_failure of a call with is_measure_due, which stays
	 * where it is until then: the CPU time is read once more behind the answers of the turn.
	 * The kernel counts what runs only up to its last tick or switch, and the function still
	 * runs when its answer is read; when the answer is out it waits, as a rule. */
	void (*on_measured)(struct instance_call *call);
	bool is_measure_due; /* isolation `call`: set before on_end and on_failure */
	/* Set in on_head when the answer came in one piece: its body. on_body and on_end follow at
	 * once all the same. NULL else. */
	const struct str *whole;
	/* filled before on_end and on_failure, but for what on_measured is there for */
	struct instance_measure measure;
	bool is_log_truncated;
	/* private */
	struct instance *instance;
	struct list link;
	uint64_t number;
	uint64_t cpu_start_ns;
	uint64_t n_answer_bytes, n_log_bytes;
	bool has_head;
};

/* The instance must have room. */
void instance_send(struct instance *instance, struct instance_call *call) ON_LOOP;

/* Ends a call before its answer: no callback follows. With one call in flight the instance is
 * killed; with several it gets CANCEL and is retired, so neighbours finish. `measure` is filled. */
void instance_abandon(struct instance_call *call) ON_LOOP;

/* CPU time of the call so far (for the CPU budget). */
uint64_t instance_call_cpu_us(struct instance_call *call) ON_LOOP;

/* Stops and resumes reading the answer, when the client is slower than the function. With several
 * calls at once it does nothing, so that one slow client does not hold the others: what is then
 * read ahead is bounded by answer_bytes. */
void instance_pause(struct instance_call *call, bool is_paused) ON_LOOP;

#endif
