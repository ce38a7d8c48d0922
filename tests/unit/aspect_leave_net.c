/* SPDX-License-Identifier: Apache-2.0 */
/* What aspect_probe.c leaves with sockets that were open before, beside the channel. */
#include "aspect_probe.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define NET_BACKLOG 77

int
leave_backlog(void)
{
	return listen(probe_listener, NET_BACKLOG);
}

/* A socket of IPv6 has those of IPv4 too. */
int
leave_option_of_other_level(void)
{
	int hops = 77;

	return setsockopt(probe_listener, IPPROTO_IP, IP_TTL, &hops, sizeof(hops));
}

int
leave_peer(void)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	return connect(probe_letters[0], &nobody, sizeof(nobody));
}

int
leave_shut_letters(void)
{
	return shutdown(probe_letters[0], SHUT_WR);
}
