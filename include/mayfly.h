/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mayfly.h - write a function in C.
 *
 * A function is a program that hands its handler to mf_serve(). The platform starts the program
 * in a sandbox, mf_serve() says that it is ready, and from then on the handler is called once for
 * each call, one at a time:
 *
 *	#include <mayfly.h>
 *
 *	static int
 *	hello(struct mf_request *request, struct mf_answer *answer, void *arg)
 *	{
 *		const char *name = mf_query(request, "name");
 *
 *		mf_set_header(answer, "content-type", "text/plain; charset=utf-8");
 *		mf_printf(answer, "Hello, %s\n", name ? name : "world");
 *		return 0;
 *	}
 *
 *	int
 *	main(void)
 *	{
 *		return mf_serve(hello, NULL);
 *	}
 *
 *	cc -o bootstrap hello.c -static -lmayfly && mayfly deploy . --runtime native
 *
 * What the program needs for all of its calls (tables, connections) it makes before mf_serve().
 * When that fails, mf_fail() says why, and the developer who deploys it reads it.
 *
 * Strings and bytes that come from a request belong to it and are gone when the handler returns;
 * what is given to an answer is copied. Nothing here is thread-safe: a handler that uses threads
 * calls these functions from one of them. What a program prints to stdout and stderr is its log.
 */
#ifndef MAYFLY_H
#define MAYFLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct mf_request;
struct mf_answer;

/* Fills the answer and gives 0. Anything else makes the call fail with the error that mf_error()
 * was told, or with "the handler gave <n>". */
typedef int mf_handler_fn(struct mf_request *request, struct mf_answer *answer, void *arg);

/* Serves calls until the platform ends the program. Gives 0 then, and 1 if the program was not
 * started by the platform; fit to be what main() returns. */
int mf_serve(mf_handler_fn *handler, void *arg);

/* Before mf_serve(): the program cannot serve. Says why and exits. */
_Noreturn void mf_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- the request ---- */

/* True for a direct call (`mayfly call`): it has no method, no path and no headers; its event is
 * the JSON that the caller sent. */
bool mf_is_direct(const struct mf_request *request);

const char *mf_method(const struct mf_request *request);       /* "GET"; "" of a direct call */
const char *mf_path(const struct mf_request *request);         /* "/hello/a%20b": as it was sent */
const char *mf_query_string(const struct mf_request *request); /* "a=1&b=2", "" for none */

/* The first value of a query parameter, decoded; NULL if there is none. */
const char *mf_query(struct mf_request *request, const char *name);

/* The value of a header, whose name is compared without case; NULL if there is none. */
const char *mf_header(struct mf_request *request, const char *name);

/* The body as it was sent, followed by a NUL that is not counted. ret_size may be NULL. */
const void *mf_body(const struct mf_request *request, size_t *ret_size);

const char *mf_call_id(const struct mf_request *request);  /* 26 characters */
int64_t mf_remaining_ms(const struct mf_request *request); /* until the call is ended */

/* 32 bytes that are fresh for this call, to seed generators with. In isolation call the memory of
 * the program is, before each call, what it was in mf_serve(): a generator that was seeded before
 * would give every call the same values. rand(), random() and drand48() are seeded from these bytes
 * already, and OpenSSL if the program is linked with it; getrandom() needs nothing. */
const uint8_t *mf_random(const struct mf_request *request);

/* ---- its event as JSON (Lambda's HTTP payload format 2.0; of a direct call what was sent) ---- */

enum mf_json_kind {
	MF_JSON_NONE, /* not there */
	MF_JSON_NULL,
	MF_JSON_BOOL,
	MF_JSON_NUMBER,
	MF_JSON_STRING,
	MF_JSON_ARRAY,
	MF_JSON_OBJECT,
};

/* A value inside a text that was checked whole; a view, copied freely, owning nothing. */
struct mf_json {
	const char *at; /* NULL: not there */
	const char *end;
};

struct mf_json mf_event(const struct mf_request *request);

/* Checks a text against RFC 8259, at most 64 levels deep; not there if it is anything else. */
struct mf_json mf_json_parse(const char *text, size_t size);

enum mf_json_kind mf_json_kind(struct mf_json json);
struct mf_json mf_json_get(struct mf_json object, const char *key); /* the last of that name */
struct mf_json mf_json_item(struct mf_json array, size_t i);
size_t mf_json_count(struct mf_json json); /* items or members */
bool mf_json_is_true(struct mf_json json);
double mf_json_number(struct mf_json json, double usual); /* `usual` for what is no number */

/* Members and items in order: start with {NULL, NULL}; not there behind the last. ret_key may be
 * NULL. */
struct mf_json mf_json_next(struct mf_json json, struct mf_json before, struct mf_json *ret_key);

/* A string's characters, decoded, at most size - 1 of its bytes and a NUL. Gives how many bytes
 * the whole string has, 0 for what is no string. An escaped NUL is kept. */
size_t mf_json_text(struct mf_json string, char *ret, size_t size);

/* The same on the heap; NULL for what is no string. The caller frees it. */
char *mf_json_dup(struct mf_json string, size_t *ret_size);

/* ---- the answer ---- */

/* 200 unless it is set. The head can be changed until mf_flush() sends it. */
void mf_status(struct mf_answer *answer, int status);

/* false for a name that is no token or a value with control characters; nothing is added. */
bool mf_set_header(struct mf_answer *answer, const char *name, const char *value);

void mf_write(struct mf_answer *answer, const void *bytes, size_t size);
void mf_print(struct mf_answer *answer, const char *text);
void mf_printf(struct mf_answer *answer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void mf_print_json(struct mf_answer *answer, const char *text); /* a JSON string, with quotes */

/* Sends what was written so far: the caller sees it before the handler is done. false if the
 * caller is gone. A direct call's answer is JSON and goes whole: there it does nothing. */
bool mf_flush(struct mf_answer *answer);

/* The call fails, with a type that programs can compare ("NotFound") and a text for people.
 * Gives 1, so that `return mf_error(...)` reads well. */
int mf_error(struct mf_answer *answer, const char *type, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif

#endif
