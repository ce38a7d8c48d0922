/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keeper - what goes between the daemon and mayfly-keeper, which brings a sandbox back to the state
 * that it had when its function was loaded.
 *
 * mayfly-keeper is a process beside one sandbox: in its user namespace, outside of all its others,
 * with the right to trace its processes and no other. It never sees a byte from the network and
 * never parses what the tenant wrote: it copies memory of its own snapshot in, and reads what the
 * kernel says about the processes.
 *
 *	daemon                              keeper
 *	  KEEP mechanism             ──▶     stops the main program, which waits on its channel, and
 *	                                     learns its state: memory, registers, descriptors, …
 *	                             ◀──     KEPT; or UNABLE: this program cannot be brought back
 *	  (a call runs, its answer has come)
 *	  RENEW                      ──▶     brings all of it back and looks whether it is back
 *	                             ◀──     RENEWED: the next call may come; or
 *	                                     SPOILT: it cannot be verified, the sandbox is to be
 *ended … RENEW after each call
 *
 * A SOCK_SEQPACKET pair carries messages of one fixed size per direction, without descriptors.
 * When it ends the keeper ends, and a process that it holds stopped is killed. When the sandbox
 * dies the keeper ends too. Between RENEWED and the next RENEW the keeper does nothing, and no
 * process of the sandbox is traced.
 */
#ifndef MAYFLY_KEEPER_KEEPER_H
#define MAYFLY_KEEPER_KEEPER_H

#include <stdint.h>

#define KEEPER_MAGIC 0x6d6b0001u

/* How a call is kept from the next one. The first two are the keeper's work. */
enum keeper_mechanism {
	KEEPER_ROLLBACK = 1, /* the same process, its memory written back */
	KEEPER_FORK = 2,     /* a child of a loaded process that never runs itself */
};

enum keeper_op { KEEPER_KEEP = 1, KEEPER_RENEW = 2 };

struct keeper_request {
	uint32_t magic;
	uint32_t op;        /* enum keeper_op */
	uint32_t mechanism; /* KEEP: enum keeper_mechanism */
	uint32_t zero;
};

enum keeper_event {
	KEEPER_KEPT = 1,
	KEEPER_UNABLE = 2,
	KEEPER_RENEWED = 3,
	KEEPER_SPOILT = 4,
};

/* Why a sandbox is spoilt, or a program cannot be kept: for counters and `mayfly show`. */
enum keeper_cause {
	KEEPER_CAUSE_NONE,
	KEEPER_CAUSE_KERNEL,      /* a system call of the keeper's failed: text says which */
	KEEPER_CAUSE_GONE,        /* the main program died */
	KEEPER_CAUSE_BUSY,        /* it did not stop, or come back to where it waits, in time */
	KEEPER_CAUSE_PROCESSES,   /* processes were left that do not go */
	KEEPER_CAUSE_THREADS,     /* a thread of the snapshot is missing */
	KEEPER_CAUSE_DESCRIPTORS, /* a descriptor is missing or not the one that it was */
	KEEPER_CAUSE_LAYOUT,      /* a mapping that cannot be made again */
	KEEPER_CAUSE_SHARED,      /* writable memory that is shared, or of a kind not tracked */
	KEEPER_CAUSE_FILES,       /* files in /tmp that cannot be removed, or were there before */
	KEEPER_CAUSE_SIGNALS,     /* handlers, masks or pending signals */
	KEEPER_CAUSE_LIMITS,      /* resource limits, priorities, attributes of the process */
	KEEPER_CAUSE_TIMERS,
	KEEPER_CAUSE_SOCKET, /* options of the channel or of another socket */
	KEEPER_CAUSES,
};

struct keeper_figures {
	uint32_t us;            /* from the request to this answer */
	uint32_t n_pages;       /* written back */
	uint32_t n_pages_hot;   /* of them unprotected, written back each time */
	uint32_t n_dropped_kib; /* memory that the call took, given back */
	uint32_t n_mappings;    /* taken away, made again or protected again */
	uint32_t n_descriptors; /* closed */
	uint32_t n_threads;     /* ended */
	uint32_t n_processes;   /* killed */
	uint32_t n_files;       /* removed */
	uint32_t snapshot_kib;  /* KEPT: what the keeper holds of its own */
	uint32_t n_tracked_kib; /* KEPT: memory that is watched for writes */
	uint32_t tracker;       /* KEPT: enum keeper_tracker */
};

enum keeper_tracker { KEEPER_PAGEMAP_SCAN = 1, KEEPER_SOFT_DIRTY = 2 };

struct keeper_reply {
	uint32_t magic;
	uint32_t event; /* enum keeper_event */
	uint32_t cause; /* enum keeper_cause; NONE with KEPT and RENEWED */
	uint32_t zero;
	struct keeper_figures figures;
	char text[120]; /* UNABLE, SPOILT: what was found, for a person; no byte of the tenant's
			   but names of kinds that the kernel gives (“eventfd”, “socket”) */
};

const char *keeper_cause_word(enum keeper_cause cause); /* "descriptors" */

/* ---- how mayfly-spawner starts it: descriptors and one message ---- */
enum keeper_fd {
	KEEPER_FD_DAEMON = 3,  /* the socket to the daemon */
	KEEPER_FD_SPAWNER = 4, /* a struct keeper_subject comes here, once; then its end */
};

/* What it keeps. The keeper is started while the sandbox is set up: this comes when it runs. */
struct keeper_subject {
	uint32_t magic;
	int32_t init_pid; /* mayfly-init, in the pid namespace of the spawner and the keeper */
	int32_t main_pid; /* the main program; 0: it is the one child of mayfly-init */
	int32_t channel;  /* number of the frame socket's descriptor in the main program */
};

#endif
