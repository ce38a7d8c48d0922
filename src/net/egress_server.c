/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/own.h"
#include "net/egress_inside.h"

#define SERVER_TTL_S       30
#define SERVER_IN_TURN     16  /* datagrams, clients */
#define SERVER_STALE       512 /* while it is closed: more than can wait */
#define SERVER_CLIENTS_MAX 8
#define SERVER_IDLE_MS     10000
#define SERVER_HELD_MAX    ((size_t)16 * 1024) /* answers that a client does not take */

/* A client of the name server over TCP: two bytes of length before each message (RFC 7766). */
struct egress_client {
	struct list link; /* in egress.clients */
	struct egress *egress;
	struct relay_end end;
	struct buf in, out; /* owned */
	struct loop_timer timer;
};

static int
server_n_in_turn(const struct egress *egress)
{
	return egress->is_open ? SERVER_IN_TURN : SERVER_STALE;
}

/* ---- over UDP ---- */

union server_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
};

static void
server_read_asked(struct msghdr *in, struct egress_question *question)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(in); head; head = CMSG_NXTHDR(in, head)) {
		if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO)
			memcpy(&question->to_v6, CMSG_DATA(head), sizeof(question->to_v6));
		else if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO)
			memcpy(&question->to_v4, CMSG_DATA(head), sizeof(question->to_v4));
	}
}

/* The answer comes from the address that was asked: a client takes none from another. */
static size_t
server_write_asked(const struct egress_question *question, union server_control *control)
{
	struct in6_pktinfo v6 = {.ipi6_addr = question->to_v6.ipi6_addr};
	struct in_pktinfo v4 = {.ipi_spec_dst = question->to_v4.ipi_addr};
	bool is_v6 = question->from.ss_family == AF_INET6;
	size_t size = is_v6 ? sizeof(v6) : sizeof(v4);

	*control = (union server_control){.head = {.cmsg_level = is_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
						  .cmsg_type = is_v6 ? IPV6_PKTINFO : IP_PKTINFO,
						  .cmsg_len = CMSG_LEN(size)}};
	memcpy(CMSG_DATA(&control->head), is_v6 ? (void *)&v6 : (void *)&v4, size);
	return CMSG_SPACE(size);
}

/* What has no room is lost, as datagrams are: the client asks again. */
static void
server_send(int fd, struct egress_question *question, const struct buf *answer)
{
	union server_control control;
	struct iovec part = {answer->at, answer->len};
	struct msghdr out = {.msg_name = &question->from,
		.msg_namelen = question->from_size,
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control};

	out.msg_controllen = server_write_asked(question, &control);
	(void)!sendmsg(fd, &out, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Takes over the question. */
static void ON_LOOP
server_take(struct egress *egress, struct egress_question *question, struct str message)
{
	int code = egress_dns_parse(message, &question->asked);

	if (code < 0)
		free(question);
	else if (code != EGRESS_DNS_OK)
		egress_server_answer(egress, question, (enum egress_dns_code)code, NULL, 0);
	else
		egress_names_ask(egress, question);
}

static bool ON_LOOP
server_receive(struct egress *egress)
{
	char bytes[EGRESS_DNS_SIZE_MAX];
	union server_control control;
	struct iovec part = {bytes, sizeof(bytes)};
	OWN(mem) struct egress_question *question = mem_new(sizeof(*question));
	struct msghdr in = {.msg_name = &question->from,
		.msg_namelen = sizeof(question->from),
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(egress->dns_udp.fd, &in, MSG_DONTWAIT);

	if (n < 0)
		return errno == EINTR;
	if (!egress->is_open || (in.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return true;
	question->from_size = in.msg_namelen;
	list_init(&question->link);
	server_read_asked(&in, question);
	server_take(egress, take_ptr(&question), str_n(bytes, (size_t)n));
	return true;
}

void
egress_server_on_datagram(struct loop_watch *watch, int events, void *arg)
{
	struct egress_listener *listener = arg;

	thread_on_loop();
	for (int i = 0; i < server_n_in_turn(listener->egress) && server_receive(listener->egress);
		i++)
		;
}

/* ---- over TCP ---- */

static void
server_on_closed(struct loop_timer *timer)
{
	free(list_owner(timer, struct egress_client, timer));
}

static void ON_LOOP
server_end_client(struct egress_client *client)
{
	if (client->end.fd < 0)
		return;
	egress_names_drop(client->egress, client);
	relay_end_close(&client->end);
	buf_done(&client->in);
	buf_done(&client->out);
	list_remove(&client->link);
	client->egress->n_clients--;
	loop_timer_close(&client->timer, server_on_closed);
}

static void
server_on_timer(struct loop_timer *timer)
{
	thread_on_loop();
	server_end_client(list_owner(timer, struct egress_client, timer));
}

static void ON_LOOP
server_write(struct egress_client *client)
{
	ssize_t n =
		send(client->end.fd, client->out.at, client->out.len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		server_end_client(client);
		return;
	}
	if (n > 0)
		buf_eat(&client->out, (size_t)n);
	loop_watch_want(client->end.watch, UV_READABLE | (client->out.len ? UV_WRITABLE : 0));
}

/* Gives false when the client is gone or broke the form. */
static bool ON_LOOP
server_take_messages(struct egress_client *client)
{
	struct egress *egress = client->egress;

	while (client->in.len >= 2) {
		const uint8_t *at = (const uint8_t *)client->in.at;
		size_t size = (size_t)at[0] << 8 | at[1];
		char message[EGRESS_DNS_SIZE_MAX];
		struct egress_question *question;

		if (size > sizeof(message) || client->out.len > SERVER_HELD_MAX)
			return false;
		if (client->in.len < size + 2)
			return true;
		memcpy(message, client->in.at + 2, size);
		buf_eat(&client->in, size + 2);
		question = mem_new(sizeof(*question));
		question->client = client;
		list_init(&question->link);
		server_take(egress, question, str_n(message, size));
		if (client->end.fd < 0)
			return false;
	}
	return true;
}

static void
server_on_client(struct loop_watch *watch, int events, void *arg)
{
	struct egress_client *client = arg;
	char bytes[EGRESS_DNS_SIZE_MAX + 2];
	ssize_t n;

	thread_on_loop();
	if (client->out.len && (events & UV_WRITABLE)) {
		server_write(client);
		return;
	}
	n = recv(client->end.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0)
		buf_add(&client->in, bytes, (size_t)n);
	if (n <= 0 || !server_take_messages(client))
		server_end_client(client);
}

/* Gives false when there is none. */
static bool ON_LOOP
server_accept(struct egress_listener *listener)
{
	struct egress *egress = listener->egress;
	struct relay_end end = {.fd = egress_accept(listener)};
	struct egress_client *client;
	struct err err = {0};

	if (end.fd < 0)
		return false;
	client = mem_new(sizeof(*client));
	if (!egress->is_open || egress->n_clients == SERVER_CLIENTS_MAX ||
		loop_watch_new(egress->host->loop, end.fd, server_on_client, client, &end.watch,
			&err) < 0) {
		relay_end_reset(&end);
		free(client);
		return true;
	}
	client->egress = egress;
	client->end = end;
	list_push_back(&egress->clients, &client->link);
	egress->n_clients++;
	loop_watch_want(end.watch, UV_READABLE);
	loop_timer_start(egress->host->loop, &client->timer, SERVER_IDLE_MS, server_on_timer);
	return true;
}

void
egress_server_on_accept(struct loop_watch *watch, int events, void *arg)
{
	struct egress_listener *listener = arg;

	thread_on_loop();
	for (int i = 0; i < server_n_in_turn(listener->egress) && server_accept(listener); i++)
		;
}

/* ---- both ---- */

void
egress_server_answer(struct egress *egress, struct egress_question *question,
	enum egress_dns_code code, const struct egress_address *addresses, size_t n)
{
	struct egress_client *client = question->client;
	OWN(buf) struct buf answer = BUF_INIT;

	egress_dns_write(&question->asked, code, addresses, n, SERVER_TTL_S,
		client ? EGRESS_DNS_SIZE_MAX : question->asked.size_max, &answer);
	if (!client) {
		server_send(egress->dns_udp.fd, question, &answer);
	} else {
		buf_add_char(&client->out, (char)(answer.len >> 8));
		buf_add_char(&client->out, (char)answer.len);
		buf_add_str(&client->out, buf_str(&answer));
	}
	free(question);
	if (client)
		server_write(client);
}

void
egress_server_end_all(struct egress *egress)
{
	struct egress_client *client;

	list_each (&egress->clients, client, link)
		server_end_client(client);
}
