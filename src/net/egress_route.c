/* SPDX-License-Identifier: Apache-2.0 */
#include "net/egress_route.h"

#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/own.h"

#define EGRESS_ROUTE_WAIT_MS 1000 /* the kernel answers at once; nothing waits for it for ever */

struct egress_route_question {
	struct nlmsghdr head;
	struct rtmsg route;
	struct rtattr about;
	uint8_t address[16];
};

int
egress_route_open(int *ret_fd, struct err *err)
{
	const struct timeval wait = {.tv_usec = 999 * EGRESS_ROUTE_WAIT_MS};
	OWN(fd) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0)
		return err_sys(err, "opening rtnetlink");
	*ret_fd = take_fd(&fd);
	return 0;
}

/* An answer that cannot be read leads nowhere. */
static enum egress_route
egress_route_read(int fd, uint32_t number)
{
	union {
		struct {
			struct nlmsghdr head;
			struct rtmsg route;
		} at;
		char bytes[4096];
	} answer;
	ssize_t n;

	do {
		n = recv(fd, &answer, sizeof(answer), 0);
		if (n < (ssize_t)sizeof(answer.at.head))
			return EGRESS_ROUTE_NONE;
	} while (answer.at.head.nlmsg_seq != number);
	if (n < (ssize_t)sizeof(answer.at) || answer.at.head.nlmsg_type != RTM_NEWROUTE)
		return EGRESS_ROUTE_NONE;
	switch (answer.at.route.rtm_type) {
	case RTN_UNICAST:
		return EGRESS_ROUTE_OUT;
	case RTN_LOCAL:
	case RTN_BROADCAST:
	case RTN_ANYCAST:
	case RTN_MULTICAST:
		return EGRESS_ROUTE_HOST;
	default:
		return EGRESS_ROUTE_NONE;
	}
}

enum egress_route
egress_route_ask(int fd, const struct egress_address *address)
{
	static uint32_t number;
	bool is_v4 = egress_address_is_v4(address);
	uint16_t size = is_v4 ? 4 : 16;
	struct egress_route_question question = {
		.head = {.nlmsg_type = RTM_GETROUTE,
			.nlmsg_flags = NLM_F_REQUEST,
			.nlmsg_seq = ++number},
		.route = {.rtm_family = is_v4 ? AF_INET : AF_INET6,
			.rtm_dst_len = (unsigned char)(size * 8)},
		.about = {.rta_type = RTA_DST, .rta_len = (unsigned short)RTA_LENGTH(size)},
	};

	memcpy(question.address, address->at + sizeof(address->at) - size, size);
	question.head.nlmsg_len = (uint32_t)(sizeof(question) - sizeof(question.address) + size);
	if (send(fd, &question, question.head.nlmsg_len, 0) < 0)
		return EGRESS_ROUTE_NONE;
	return egress_route_read(fd, number);
}
