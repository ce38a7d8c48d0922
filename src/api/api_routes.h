/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api_routes - the table of the control plane: method, path, right, function.
 *
 * Each row has its operation in openapi.yaml, and a test holds the two against each other. A path
 * is matched segment by segment; `{name}` stands for one segment. HEAD is answered by GET's row.
 */
#ifndef MAYFLY_API_API_ROUTES_H
#define MAYFLY_API_API_ROUTES_H

#include "base/str.h"
#include "domain/token.h"

#define API_ROUTE_PARAMS     3
#define API_ROUTE_PARAM_SIZE 128

/* Beside enum token_right: what needs no token. */
#define API_OPEN (-1)

/* How large a body may be. */
enum api_body {
	API_BODY_PLAIN,    /* none, or a small JSON document */
	API_BODY_FUNCTION, /* a JSON document with code in it */
	API_BODY_SOURCE,   /* an upload of source */
	API_BODY_EVENT,    /* a direct call: what the function's limits allow */
	API_BODY_EVENTS,   /* CloudEvents, one or a batch */
};

struct api_request;

struct api_route {
	const char *method, *path;
	int right; /* enum token_right or API_OPEN */
	void (*run)(struct api_request *request);
	enum api_body body;
};

/* The row for a request, with the path's parameters decoded. ERR_NOT_FOUND, or ERR_METHOD with the
 * methods that the path has in ret_allow ("GET, HEAD, PUT"). */
int api_routes_find(struct str method, struct str path, const struct api_route **ret,
	char params[static API_ROUTE_PARAMS][API_ROUTE_PARAM_SIZE], char *ret_allow, size_t size);

#endif
