/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/inside.h"

#include <unistd.h>

#include "sandbox/spawner_protocol.h"

_Noreturn static void
inside_fail(int control, const struct err *err)
{
	struct inside_report report = {.event = INSIDE_FAILED, .err = *err};

	spawner_protocol_send(control, &report, sizeof(report), NULL, 0, 0);
	_exit(1);
}

void
inside_walk(const struct inside_step *steps, size_t n, const uint32_t *kind, void *state,
	const int *control)
{
	struct err err = {0};

	for (size_t i = 0; i < n; i++) {
		if (!(steps[i].kinds & (1u << *kind)))
			continue;
		if (steps[i].run(state, &err) < 0) {
			err_wrap(&err, err.code, "%s", steps[i].doing);
			inside_fail(*control, &err);
		}
	}
}
