/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_routes - the route matcher: a method, a newline and a path. What is found has the path's
 * number of segments, its parameters decoded and terminated; what is not says so in one of two
 * ways.
 */
#include "fuzz.h"

#include "api/api_routes.h"

static size_t
fuzz_segments(struct str path)
{
	size_t n = 1;

	for (size_t i = 0; i < path.len; i++)
		n += path.at[i] == '/';
	return n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct str path = str_n(bytes, size);
	struct str method = str_cut(&path, '\n');
	char params[API_ROUTE_PARAMS][API_ROUTE_PARAM_SIZE];
	const struct api_route *route = NULL;
	char allow[64];
	int rc = api_routes_find(method, path, &route, params, allow, sizeof(allow));

	must(rc == 0 || rc == ERR_NOT_FOUND || rc == ERR_METHOD);
	must((rc == ERR_METHOD) == (rc < 0 && allow[0]));
	if (rc < 0)
		return 0;
	must(fuzz_segments(str_of(route->path)) == fuzz_segments(path));
	must(str_eq(method, STR("HEAD")) || str_eq(method, str_of(route->method)));
	for (size_t i = 0; i < API_ROUTE_PARAMS; i++)
		must(memchr(params[i], 0, sizeof(params[i])));
	return 0;
}
