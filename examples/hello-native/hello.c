/* SPDX-License-Identifier: Apache-2.0 */
/* A function in C: everything that it may use stands in mayfly.h, with how to use it. */
#include <mayfly.h>
#include <stdio.h>
#include <stdlib.h>

static int
hello(struct mf_request *request, struct mf_answer *answer, void *arg)
{
	const char *query = mf_query(request, "name");
	char *given = mf_json_dup(mf_json_get(mf_event(request), "name"), NULL);
	const char *name = query ? query : given ? given : "world";

	(void)arg;
	fprintf(stderr, "greeting %s in call %s\n", name, mf_call_id(request));
	mf_set_header(answer, "content-type", "application/json");
	mf_print(answer, "{\"message\":\"Hello!\",\"name\":");
	mf_print_json(answer, name);
	mf_print(answer, "}");
	free(given);
	return 0;
}

int
main(void)
{
	return mf_serve(hello, NULL);
}
