/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/inside.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"
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

int
inside_raise_loopback(struct err *err)
{
	OWN(fd) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? err_sys(err, "lo") : 0;
}
