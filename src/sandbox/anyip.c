/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/anyip.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"

#ifndef IPV6_FREEBIND
#define IPV6_FREEBIND 78 /* linux/in6.h, which does not go with netinet/in.h */
#endif

#define ANYIP_DNS_PORT 53
#define ANYIP_BACKLOG  128
#define ANYIP_LOOPBACK 1 /* the index of lo in every network namespace */

struct anyip_route {
	struct nlmsghdr head;
	struct rtmsg route;
	struct rtattr about;
	int32_t interface;
};

struct anyip_ack {
	struct nlmsghdr head;
	struct nlmsgerr reason;
};

/* The kernel answers a request before send(2) returns. */
static int
anyip_add_route(int netlink, int family, struct err *err)
{
	struct anyip_route request = {
		.head = {.nlmsg_len = sizeof(request),
			.nlmsg_type = RTM_NEWROUTE,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK},
		.route = {.rtm_family = (unsigned char)family,
			.rtm_table = RT_TABLE_LOCAL,
			.rtm_protocol = RTPROT_STATIC,
			.rtm_scope = RT_SCOPE_HOST,
			.rtm_type = RTN_LOCAL},
		.about = {.rta_len = RTA_LENGTH(sizeof(int32_t)), .rta_type = RTA_OIF},
		.interface = ANYIP_LOOPBACK,
	};
	union {
		struct anyip_ack ack;
		char bytes[256];
	} answer;

	if (send(netlink, &request, sizeof(request), 0) != (ssize_t)sizeof(request) ||
		recv(netlink, &answer, sizeof(answer), 0) < (ssize_t)sizeof(answer.ack.head))
		return err_sys(err, "netlink");
	if (answer.ack.head.nlmsg_type == NLMSG_ERROR && answer.ack.reason.error == 0)
		return 0;
	errno = answer.ack.head.nlmsg_type == NLMSG_ERROR ? -answer.ack.reason.error : EPROTO;
	return err_sys(err, "the route of every address");
}

/* IPv6 that the host has switched off is left out: what is sent there finds no way. */
static int
anyip_lead_home(bool *ret_has_v6, struct err *err)
{
	OWN(fd) int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct err ignored = {0};
	int rc;

	if (netlink < 0)
		return err_sys(err, "netlink");
	rc = anyip_add_route(netlink, AF_INET, err);
	*ret_has_v6 = rc == 0 && anyip_add_route(netlink, AF_INET6, &ignored) == 0;
	return rc;
}

static int
anyip_set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* On every address of both families, or of IPv4. */
static int
anyip_bind(int type, uint16_t port, bool has_v6, int *ret, struct err *err)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	const struct sockaddr *at = has_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4;
	socklen_t size = has_v6 ? sizeof(v6) : sizeof(v4);

	*ret = socket(at->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*ret < 0 || (has_v6 && anyip_set(*ret, IPPROTO_IPV6, IPV6_V6ONLY, 0) < 0) ||
		bind(*ret, at, size) < 0)
		return err_sys(err, "port %u", port);
	return 0;
}

static int
anyip_listen(uint16_t port, bool has_v6, int *ret, struct err *err)
{
	int rc = anyip_bind(SOCK_STREAM, port, has_v6, ret, err);

	return rc == 0 && listen(*ret, ANYIP_BACKLOG) < 0 ? err_sys(err, "port %u", port) : rc;
}

static int
anyip_open_dns(bool has_v6, int ret[static ANYIP_TCP], struct err *err)
{
	int rc = anyip_bind(SOCK_DGRAM, ANYIP_DNS_PORT, has_v6, &ret[ANYIP_DNS_UDP], err);
	int told = -1;

	if (rc < 0)
		return rc;
	told = has_v6 ? anyip_set(ret[ANYIP_DNS_UDP], IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
		      : anyip_set(ret[ANYIP_DNS_UDP], IPPROTO_IP, IP_PKTINFO, 1);
	/* Answers come from the address that was asked, which no interface has. */
	if (told == 0 && has_v6)
		told = anyip_set(ret[ANYIP_DNS_UDP], IPPROTO_IPV6, IPV6_FREEBIND, 1);
	if (told < 0)
		return err_sys(err, "port %u", ANYIP_DNS_PORT);
	return anyip_listen(ANYIP_DNS_PORT, has_v6, &ret[ANYIP_DNS_TCP], err);
}

int
anyip_open(const uint16_t *ports, unsigned n, int ret[static ANYIP_SOCKETS_MAX], struct err *err)
{
	bool has_v6 = false;
	int rc;

	memset(ret, -1, ANYIP_SOCKETS_MAX * sizeof(*ret));
	rc = anyip_lead_home(&has_v6, err);
	if (rc == 0)
		rc = anyip_open_dns(has_v6, ret, err);
	for (unsigned i = 0; rc == 0 && i < n; i++)
		rc = anyip_listen(ports[i], has_v6, &ret[ANYIP_TCP + i], err);
	return rc;
}
