/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawner - the daemon's hand in the privileged process: start, watch and end sandboxes.
 *
 * mayfly-spawner is root (or root of a user namespace), single-threaded, and the only caller of
 * clone3, mount and cgroup writes. It never sees a byte from the network: its requests are fixed
 * in size, name things by digest or index and never by path, and it checks each as hostile input.
 *
 *	 spawner_ask()        set up, exec'd              exited / killed / asked to stop
 *	 ASKED ─────▶ STARTING ─────▶ RUNNING (on_started) ─────▶ GONE (on_gone)
 *	                 └─ could not be set up: on_gone with `failure`, on_started never
 *
 * on_gone comes exactly once, after everything of the sandbox is dead and its cgroup removed.
 * Here is the daemon's side; spawner_protocol.h is what goes over the socket.
 * Knows nothing of functions, calls and HTTP. ON_LOOP.
 */
#ifndef MAYFLY_SANDBOX_SPAWNER_H
#define MAYFLY_SANDBOX_SPAWNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/id.h"
#include "base/thread.h"
#include "sandbox/root.h"

enum sandbox_kind {
	SANDBOX_INSTANCE, /* code (and deps) read-only, runs a function */
	SANDBOX_UNPACK,   /* mayfly-unpack: archive on fd 3 → a new tree on disk, no runtime */
	SANDBOX_BUILD,    /* code read-only at /source, tmpfs at /build, egress listener */
};

struct sandbox_limits {
	uint64_t memory_bytes; /* everything in the sandbox together, tmpfs included; no swap */
	uint32_t cpu_weight;   /* 1 to 10000, 100 is usual (cgroup v2 cpu.weight) */
	uint32_t cpu_percent;  /* hard ceiling, 100 is one core; 0 for none */
	uint32_t processes;    /* with threads */
	uint32_t open_files;
	uint64_t tmp_bytes;        /* size of /tmp, of /build for a build */
	uint64_t file_bytes;       /* RLIMIT_FSIZE */
	uint64_t unpacked_bytes;   /* SANDBOX_UNPACK: of the tree; 0 for the default 512 MiB */
	uint32_t unpacked_entries; /* SANDBOX_UNPACK: files and folders; 0 for the default 50000 */
};

enum { SANDBOX_EGRESS_PORTS_MAX = 16 };

struct sandbox_usage {
	uint64_t cpu_us;
	uint64_t memory_peak_bytes;
	uint32_t n_oom_kills;
	uint32_t n_fork_refused; /* times the processes limit was met */
};

/* How a sandbox ended. */
struct sandbox_exit {
	struct err failure; /* code 0, or why it could not be set up */
	bool was_asked;     /* spawner_stop() was called */
	int status;         /* exit status of the main program, or -signal */
	struct sandbox_usage usage;
};

/* What comes with the start; every descriptor is the receiver's, -1 where there is none. */
struct sandbox_started {
	bool is_forked;       /* from the template of its root, else booted */
	int keeper;           /* to mayfly-keeper, which watches this sandbox */
	int listener;         /* BUILD: listening on 127.0.0.1:3128 inside */
	int dns_udp, dns_tcp; /* EGRESS: port 53 of every address, inside */
	unsigned n_egress;
	int egress[SANDBOX_EGRESS_PORTS_MAX]; /* EGRESS: the first n_egress: listening on
						 egress_ports[i] of every address, inside */
};

#define SANDBOX_STARTED_PLAIN                                                                      \
	(struct sandbox_started)                                                                   \
	{                                                                                          \
		.keeper = -1, .listener = -1, .dns_udp = -1, .dns_tcp = -1, .egress = { 0 }        \
	}

struct spawner; /* the connection */
struct sandbox; /* the daemon's view of one sandbox, owned by who asked until on_gone */

struct sandbox_request {
	enum sandbox_kind kind;
	const struct root *root;   /* borrowed: the runtime's root file system */
	char tree[ID_SHA256_SIZE]; /* code tree; for UNPACK the name that it gets */
	char deps[ID_SHA256_SIZE]; /* tree of dependencies, "" for none */
	struct sandbox_limits limits;
	int channel;   /* borrowed: becomes fd 3 inside (the frame socket, the archive) */
	int stdout_fd; /* borrowed: becomes fd 1 */
	int stderr_fd; /* borrowed: becomes fd 2 */
	int output; /* borrowed: becomes fd 4 (BUILD: the packed result goes there), -1 for none */
	/* INSTANCE: fork it from the template of its root where there is one that is ready, else
	 * boot it: the INIT frame is the same. */
	bool wants_template;
	bool wants_keeper; /* INSTANCE: start mayfly-keeper beside it (keeper/keeper.h) */
	/* INSTANCE: every address leads to listeners on these TCP ports and to DNS on port 53;
	 * 0 and false for a sandbox without a network. */
	bool has_egress;
	uint16_t egress_ports[SANDBOX_EGRESS_PORTS_MAX]; /* 1 to 65535 but 53, no two alike */
	unsigned n_egress_ports;
	/* All ON_LOOP. Takes over the descriptors of `started`. */
	void (*on_started)(
		struct sandbox *sandbox, const struct sandbox_started *started, void *arg);
	void (*on_gone)(struct sandbox *sandbox, const struct sandbox_exit *exit, void *arg);
	void *arg; /* borrowed */
};

/* Before privileges are dropped: starts mayfly-spawner for this data folder. Blocking. */
struct spawner_config {
	const char *data_dir;     /* trees/ and roots/ are below it */
	const struct root *roots; /* from root_prepare() */
	size_t n_roots;
	const char *cgroup_parent; /* name of our group below each controller: "mayfly" */
	unsigned n_sandboxes;      /* most at one time: 4096; each has a uid of its own */
	uint32_t uid_base;         /* first host uid of the range for sandboxes: 200000 */
};
int spawner_start(const struct spawner_config *config, struct spawner **ret, struct err *err);

/* The descriptor to watch for reading, and what to call when it is readable: this room does not
 * know the loop, whoever wires it does. spawner_on_readable calls the callbacks of requests;
 * on_lost(arg): the spawner died, all sandboxes are gone with it (on_gone was called for each). */
int spawner_fd(const struct spawner *spawner);
void spawner_on_readable(struct spawner *spawner) ON_LOOP;
void spawner_on_lost(struct spawner *spawner, void (*on_lost)(void *arg), void *arg) ON_LOOP;

/* Asks for a sandbox. What can be refused at once (n_sandboxes reached, spawner lost) gives an
 * error and no callback ever. */
int spawner_ask(struct spawner *spawner, const struct sandbox_request *request,
	struct sandbox **ret, struct err *err) ON_LOOP;

/* Kills everything inside now; on_gone follows. Harmless when it is already ending. */
void spawner_stop(struct spawner *spawner, struct sandbox *sandbox) ON_LOOP;

/* What it used so far, by pread of descriptors that came with the start (no request to the
 * spawner): 2 to 4 µs. Valid from on_started on. The peak is since the last reset. */
void sandbox_usage(struct sandbox *sandbox, struct sandbox_usage *ret) ON_LOOP;
uint64_t sandbox_cpu_us(struct sandbox *sandbox) ON_LOOP;     /* the CPU part alone: one pread */
uint64_t sandbox_peak_bytes(struct sandbox *sandbox) ON_LOOP; /* the peak alone: one pread */
void sandbox_reset_peak(struct sandbox *sandbox) ON_LOOP;     /* no-op where the kernel cannot */

/* Removes a tree from disk. done may be NULL. */
void spawner_remove_tree(struct spawner *spawner, const char tree[static ID_SHA256_SIZE],
	void (*done)(int code, void *arg), void *arg) ON_LOOP;

bool spawner_has_tree(const struct spawner *spawner, const char tree[static ID_SHA256_SIZE]);

/* Closes the connection; the spawner kills what is left and exits; waits for it at most 5 s. */
void spawner_free(struct spawner *spawner);

#endif
