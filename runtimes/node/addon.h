/* SPDX-License-Identifier: Apache-2.0 */
/*
 * addon - what the shim for Node needs of C: mayfly-node.node, loaded before a function's code.
 *
 * Finds what it uses of Node by name and refuses, with the reason, where something is missing or
 * not what it is taken for. Main thread only.
 */
#ifndef MAYFLY_NODE_ADDON_H
#define MAYFLY_NODE_ADDON_H

struct uv_loop_s;

/* Makes OpenSSL take all of its random bytes from the kernel, in every thread: then there is no
 * state in memory that a fork or a way back would hand out again. NULL, or why it cannot be. */
const char *addon_random_start(void);

/* Serves as a template (sandbox/template_serve.h) on the loop that runs. NULL in a child, which has
 * a loop of its own then; in the template, whose process has to end, why. */
const char *addon_template_serve(struct uv_loop_s *loop);

/* Tells the spawner why this process cannot be a template. */
void addon_template_refuse(const char *reason);

#endif
