/* SPDX-License-Identifier: Apache-2.0 */
/*
 * job - a sandbox that does one piece of work and ends: unpacking a source, installing
 * dependencies.
 *
 *	 job_start() ─▶ RUNNING ──exit, kill, deadline, job_stop()──▶ on_end, once, last; then gone
 *
 * It gathers what the program prints, gives it its environment, lets it reach the listed hosts
 * through a proxy, and ends it at its deadline. Knows no version and no step. ON_LOOP.
 * Invariant: domain.n_instances counts it from its start until on_end.
 */
#ifndef MAYFLY_DOMAIN_JOB_H
#define MAYFLY_DOMAIN_JOB_H

#include "domain/domain.h"

#define JOB_PRINTED_MAX (16 * 1024)

struct job;

struct job_end {
	struct err failure;    /* code 0, or why there was no sandbox to work in */
	bool is_over_deadline; /* ended by it */
	bool is_stopped;       /* by job_stop() */
	int status;            /* exit status of the program, or -signal */
	struct sandbox_usage usage;
	struct str answer; /* what it wrote to stdout, at most answer_bytes (0: is in printed) */
	struct str
		printed; /* the last JOB_PRINTED_MAX bytes of stderr, and of stdout if not above */
	const char *refused; /* hosts that it asked for and may not reach, "" without */
};

struct job_spec {
	enum sandbox_kind kind;
	const struct root *root; /* borrowed, lives longer than the job; NULL is UNAVAILABLE */
	const char *tree, *deps; /* copied */
	struct sandbox_limits limits;
	unsigned deadline_ms;
	size_t answer_bytes; /* most of stdout that is kept on its own; what is more is lost */
	int input;           /* owned from here on: descriptor 3; -1 to have `init` sent there */
	struct str init;     /* payload of the INIT frame, "KEY=VALUE\0" … */
	int output;          /* borrowed for the call: descriptor 4, or -1 */
	const char *const *hosts; /* NULL-terminated "host:port" that it may reach; NULL for none */
	/* May free nothing of the job. What `end` points to lives for the call. */
	void (*on_end)(const struct job_end *end, void *arg);
	void *arg; /* borrowed */
};

/* An error means that on_end is never called. */
int job_start(struct domain *domain, const struct job_spec *spec, struct job **ret,
	struct err *err) ON_LOOP;
void job_stop(struct job *job) ON_LOOP; /* on_end follows, not before it returns */

#endif
