/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deadline - nothing that the keeper does takes for ever.
 *
 * While one is set a signal comes every few milliseconds and interrupts whatever waits, which then
 * asks deadline_is_over(). A keeper that is stuck all the same is ended by that signal, and the
 * kernel ends with it whatever it holds stopped. mayfly-keeper; one thread.
 */
#ifndef MAYFLY_KEEPER_DEADLINE_H
#define MAYFLY_KEEPER_DEADLINE_H

#include <stdbool.h>

void deadline_set(unsigned ms); /* the keeper itself ends 2 s after it */
void deadline_clear(void);
bool deadline_is_over(void);

#endif
