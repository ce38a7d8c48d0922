/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawner_protocol - what goes over the socket between the daemon and mayfly-spawner.
 *
 * A SOCK_SEQPACKET pair carries messages of one fixed size per direction; descriptors come beside
 * them (SCM_RIGHTS). A request names a root by index, a tree by digest and a sandbox by a number
 * that the daemon chose: never by path. The spawner takes every request for hostile:
 * spawner_protocol_check() is the only gate, and the fuzz target's subject.
 *
 *	daemon                                    spawner
 *	                                    ◀──     READY, once (exit.failure: why it cannot serve)
 *	  START + channel, stdout, stderr[, output] ─▶
 *	                                    ◀──     STARTED + usage files[, keeper][, listener][,
 *egress] STOP                              ──▶ ◀──     GONE (also without STARTED: exit.failure)
 *	  REMOVE tree                       ──▶
 *	                                    ◀──     REMOVED
 *
 * Knows nothing of loops and of what is inside a sandbox. Both processes; one thread each.
 */
#ifndef MAYFLY_SANDBOX_SPAWNER_PROTOCOL_H
#define MAYFLY_SANDBOX_SPAWNER_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sandbox/cgroup.h"
#include "sandbox/spawner.h"

#define SPAWNER_MAGIC   0x6d660002u /* the last two bytes count changes of this file */
#define SPAWNER_FD      3           /* the socket, in mayfly-spawner */
#define SPAWNER_FDS_MAX 32          /* descriptors beside one message */

#define SPAWNER_SANDBOXES_MAX 65536
#define SPAWNER_ROOTS_MAX     64

enum spawner_op { SPAWNER_START = 1, SPAWNER_STOP = 2, SPAWNER_REMOVE = 3 };

/* Descriptors of START, in this order. */
enum spawner_start_fd {
	SPAWNER_CHANNEL,
	SPAWNER_STDOUT,
	SPAWNER_STDERR,
	SPAWNER_OUTPUT,
	SPAWNER_START_FDS,
};

struct spawner_request {
	uint32_t magic;
	uint32_t op;         /* enum spawner_op */
	uint32_t sandbox;    /* the daemon's number; for REMOVE a ticket that comes back */
	uint32_t kind;       /* enum sandbox_kind */
	uint32_t root;       /* index */
	uint32_t has_output; /* 1: a fourth descriptor */
	uint32_t wants_template, wants_keeper, has_egress; /* 0 or 1; INSTANCE only */
	uint32_t n_egress_ports;
	uint16_t egress_ports[SANDBOX_EGRESS_PORTS_MAX];
	struct sandbox_limits limits;
	char tree[ID_SHA256_SIZE];
	char deps[ID_SHA256_SIZE];
	char zero[6];
};

enum spawner_event {
	SPAWNER_READY = 1,
	SPAWNER_STARTED = 2,
	SPAWNER_GONE = 3,
	SPAWNER_REMOVED = 4,
};

struct spawner_reply {
	uint32_t magic;
	uint32_t event;    /* enum spawner_event */
	uint32_t sandbox;  /* the number of the request */
	uint32_t cgroup;   /* enum cgroup_kind: how the usage files read */
	uint32_t has_file; /* STARTED: bit n set: usage file n (enum cgroup_file) is there */
	/* STARTED: what follows the files, in this order. */
	uint32_t has_keeper;   /* 1: the socket to the keeper */
	uint32_t has_listener; /* 1: the listener of a build */
	uint32_t has_dns;      /* 1: DNS over UDP, then over TCP */
	uint32_t n_egress;     /* listeners */
	uint32_t is_forked;    /* 1: from a template */
	struct sandbox_exit exit;
};

struct spawner_bounds {
	unsigned n_sandboxes;
	unsigned n_roots;
};

/* ERR_INVALID with the field, unless every field and the count of descriptors is in order. */
int spawner_protocol_check(const struct spawner_request *request, size_t size, size_t n_fds,
	const struct spawner_bounds *bounds, struct err *err);

/* What a message came with; closes what is still in it. */
struct spawner_fds {
	int at[SPAWNER_FDS_MAX]; /* owned; -1 when taken */
	size_t n;
};
void spawner_fds_done(struct spawner_fds *fds);

static inline void
own_spawner_fds(struct spawner_fds *fds)
{
	spawner_fds_done(fds);
}

/* One message with descriptors (borrowed). 0; or -1 with errno, EAGAIN where the flags say
 * MSG_DONTWAIT. */
int spawner_protocol_send(
	int socket, const void *message, size_t size, const int *fds, size_t n_fds, int flags);

/* One message of at most `size` bytes. Its length; 0 at the end; -1 with errno: EBADMSG for one
 * that is too long or has too many descriptors. Fills *fds, close-on-exec. */
ssize_t spawner_protocol_receive(
	int socket, void *message, size_t size, struct spawner_fds *fds, int flags);

#endif
