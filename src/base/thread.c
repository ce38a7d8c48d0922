/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

struct thread_role thread_role_loop;
struct thread_role thread_role_store;

void
thread_on_loop(void)
{
}

void
thread_on_store(void)
{
}

/* Signals are blocked before the thread exists, so that none can reach it. */
int
thread_start(pthread_t *ret, const char *name, void *(*run)(void *), void *arg, struct err *err)
{
	sigset_t all, before;
	pthread_t thread;

	must(strlen(name) < 16);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (errno)
		return err_sys(err, "starting thread %s", name);
	pthread_setname_np(thread, name);
	*ret = thread;
	return 0;
}
