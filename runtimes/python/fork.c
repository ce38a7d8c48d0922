/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly_fork - what makes a booted Python a template (src/sandbox/template_serve.h), as a module:
 *
 *	prepare()   sets libc's heap up for what is to be forked
 *	serve()     1 in a fork that is inside its sandbox, 0 when the template is to end
 *
 * One file serves every Python from 3.9 on: it knows no header of Python's, but for the few
 * functions and structures below, which stand in its stable ABI (PEP 384).
 */
#include <errno.h>
#include <malloc.h>
#include <stddef.h>
#include <sys/types.h>

#include "own_data.h"
#include "sandbox/template.h"
#include "sandbox/template_serve.h"

#define MIB (1024 * 1024)

#define PYTHON_ABI_VERSION  3
#define PYTHON_NO_ARGUMENTS 4 /* METH_NOARGS */

struct python_object {
	ssize_t references;
	void *type;
};

struct python_method {
	const char *name;
	struct python_object *(*call)(struct python_object *self, struct python_object *none);
	int flags;
	const char *doc;
};

struct python_module {
	struct python_object head;
	void *init;
	ssize_t index;
	void *copy;
	const char *name, *doc;
	ssize_t size;
	struct python_method *methods;
	void *slots, *traverse, *clear, *free;
};

extern struct python_object *PyExc_OSError;
struct python_object *PyErr_SetFromErrno(struct python_object *type);
struct python_object *PyLong_FromLong(long value);
struct python_object *PyModule_Create2(struct python_module *module, int abi);
void PyOS_BeforeFork(void);
void PyOS_AfterFork_Parent(void);
void PyOS_AfterFork_Child(void);

/* What a call takes beyond the heap that is there grows the heap's end in few large steps, and
 * only the largest of objects get mappings of their own: the fewer of them come and go, the less
 * there is to undo after a call. Nothing goes back to the kernel by itself. */
static struct python_object *
fork_prepare(struct python_object *self, struct python_object *none)
{
	mallopt(M_MMAP_THRESHOLD, 32 * MIB);
	mallopt(M_TRIM_THRESHOLD, 256 * MIB);
	mallopt(M_TOP_PAD, 1 * MIB);
	return PyLong_FromLong(0);
}

/* The template runs no line of Python between two forks: what Python does before and after one is
 * done once. */
static struct python_object *
fork_serve(struct python_object *self, struct python_object *none)
{
	static const struct template_hooks hooks;
	int rc;

	own_data_take();
	PyOS_BeforeFork();
	rc = template_serve(TEMPLATE_FD, &hooks);
	if (rc == 1) {
		PyOS_AfterFork_Child();
	} else {
		int code = errno;

		PyOS_AfterFork_Parent();
		errno = code;
	}
	return rc < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(rc);
}

static struct python_method fork_methods[] = {
	{"prepare", fork_prepare, PYTHON_NO_ARGUMENTS, NULL},
	{"serve", fork_serve, PYTHON_NO_ARGUMENTS, NULL},
	{NULL, NULL, 0, NULL},
};

static struct python_module fork_module = {
	.head.references = 1,
	.name = "mayfly_fork",
	.size = -1,
	.methods = fork_methods,
};

__attribute__((visibility("default"))) struct python_object *PyInit_mayfly_fork(void);

struct python_object *
PyInit_mayfly_fork(void)
{
	return PyModule_Create2(&fork_module, PYTHON_ABI_VERSION);
}
