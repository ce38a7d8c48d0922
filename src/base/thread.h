/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread - the thread that may call a function stands in its prototype.
 *
 * ON_LOOP   only the thread that runs the event loop
 * ON_STORE  only the store's writer thread
 * ANY_THREAD  every thread
 *
 * clang checks the first two as capabilities (-Wthread-safety); gcc sees nothing. There are three
 * doors between threads, and each takes a message whose ownership moves: loop_post(),
 * store_ask(), spawner_ask(). pthread_create lives in thread.c alone.
 */
#ifndef MAYFLY_BASE_THREAD_H
#define MAYFLY_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

#if defined(__clang__)
#define THREAD_CAPABILITY(name) __attribute__((capability(name)))
#define THREAD_NEEDS(role)      __attribute__((requires_capability(role)))
#define THREAD_ENTERS(role)     __attribute__((assert_capability(role)))
#else
#define THREAD_CAPABILITY(name)
#define THREAD_NEEDS(role)
#define THREAD_ENTERS(role)
#endif

struct THREAD_CAPABILITY("thread") thread_role {
	char unused;
};
extern struct thread_role thread_role_loop;
extern struct thread_role thread_role_store;

#define ON_LOOP  THREAD_NEEDS(thread_role_loop)
#define ON_STORE THREAD_NEEDS(thread_role_store)
#define ANY_THREAD

/* The first statement of a callback from a library that cannot carry the annotation. */
void thread_on_loop(void) THREAD_ENTERS(thread_role_loop);
void thread_on_store(void) THREAD_ENTERS(thread_role_store);

/* Starts a named thread (at most 15 bytes) with all signals blocked. */
int thread_start(
	pthread_t *ret, const char *name, void *(*run)(void *), void *arg, struct err *err);

#endif
