/* SPDX-License-Identifier: Apache-2.0 */
/*
 * platform - worker threads for V8 that can be stopped around a fork.
 *
 * Node gives V8 a platform object whose worker threads collect garbage and compile beside the main
 * thread. A forked process has none of them, and what V8 hands to them there nobody does: the
 * process waits for ever. platform_replace() puts functions of ours into a copy of the object's
 * table of virtual functions: tasks go to threads that start when there is work, and that
 * platform_rest() ends before a fork. Node's own workers never get any work again.
 *
 * The slots of the table are found by comparing it with the symbols that Node exports, so a build
 * that is made differently is refused, not damaged. Itanium C++ ABI; NodePlatform of Node 18 to 24.
 */
#ifndef MAYFLY_NODE_PLATFORM_H
#define MAYFLY_NODE_PLATFORM_H

/* Main thread, while V8 runs. NULL, or why it cannot be. Once per process. */
const char *platform_replace(void);

/* Starts them now. */
void platform_wake(void);

/* Waits for what is under way and ends the threads; they start again when there is work. */
void platform_rest(void);

#endif
