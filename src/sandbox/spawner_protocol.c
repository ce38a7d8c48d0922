/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner_protocol.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define MIB (1024ull * 1024)
#define TIB (MIB * MIB)

static int
protocol_check_range(struct err *err, const char *field, uint64_t value, uint64_t min, uint64_t max)
{
	if (value >= min && value <= max)
		return 0;
	return err_field(err, ERR_INVALID, field, "%llu is not within %llu and %llu",
		(unsigned long long)value, (unsigned long long)min, (unsigned long long)max);
}

static bool
protocol_is_digest(const char text[static ID_SHA256_SIZE])
{
	for (size_t i = 0; i < ID_SHA256_SIZE - 1; i++) {
		if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
			return false;
	}
	return text[ID_SHA256_SIZE - 1] == '\0';
}

static bool
protocol_is_zero(const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i])
			return false;
	}
	return true;
}

static int
protocol_check_tree(struct err *err, const char *field, const char tree[static ID_SHA256_SIZE])
{
	if (protocol_is_digest(tree))
		return 0;
	return err_field(err, ERR_INVALID, field, "not 64 lower-case hex digits");
}

static int
protocol_check_limits(const struct sandbox_limits *limits, struct err *err)
{
	const struct {
		const char *field;
		uint64_t value, min, max;
	} rows[] = {
		{"limits.memory_bytes", limits->memory_bytes, 2 * MIB, TIB},
		{"limits.cpu_weight", limits->cpu_weight, 1, 10000},
		{"limits.cpu_percent", limits->cpu_percent, 0, 102400},
		{"limits.processes", limits->processes, 2, 32768},
		{"limits.open_files", limits->open_files, 16, 1048576},
		{"limits.tmp_bytes", limits->tmp_bytes, 65536, TIB},
		{"limits.file_bytes", limits->file_bytes, 4096, TIB},
		{"limits.unpacked_bytes", limits->unpacked_bytes, 0, TIB},
		{"limits.unpacked_entries", limits->unpacked_entries, 0, 10000000},
	};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < sizeof(rows) / sizeof(*rows); i++)
		rc = protocol_check_range(
			err, rows[i].field, rows[i].value, rows[i].min, rows[i].max);
	return rc;
}

/* Ports are listened on inside one network namespace: none may come twice, and DNS has its own. */
static int
protocol_check_ports(const struct spawner_request *request, struct err *err)
{
	int rc = protocol_check_range(err, "n_egress_ports", request->n_egress_ports, 0,
		request->has_egress ? SANDBOX_EGRESS_PORTS_MAX : 0);

	for (size_t i = 0; rc == 0 && i < request->n_egress_ports; i++) {
		if (request->egress_ports[i] == 0 || request->egress_ports[i] == 53)
			rc = err_field(err, ERR_INVALID, "egress_ports", "port %u cannot be one",
				request->egress_ports[i]);
		for (size_t j = 0; rc == 0 && j < i; j++) {
			if (request->egress_ports[i] == request->egress_ports[j])
				rc = err_field(err, ERR_INVALID, "egress_ports",
					"port %u comes twice", request->egress_ports[i]);
		}
	}
	return rc;
}

/* What only an instance may ask for. */
static int
protocol_check_instance(const struct spawner_request *request, struct err *err)
{
	uint64_t most = request->kind == SANDBOX_INSTANCE;
	int rc = protocol_check_range(err, "wants_template", request->wants_template, 0, most);

	if (rc == 0)
		rc = protocol_check_range(err, "wants_keeper", request->wants_keeper, 0, most);
	if (rc == 0)
		rc = protocol_check_range(err, "has_egress", request->has_egress, 0, most);
	return rc < 0 ? rc : protocol_check_ports(request, err);
}

static int
protocol_check_start(const struct spawner_request *request, size_t n_fds,
	const struct spawner_bounds *bounds, struct err *err)
{
	bool has_deps = request->deps[0] != '\0';
	int rc = protocol_check_range(err, "kind", request->kind, SANDBOX_INSTANCE, SANDBOX_BUILD);

	if (rc == 0)
		rc = protocol_check_range(
			err, "root", (uint64_t)request->root + 1, 1, bounds->n_roots);
	if (rc == 0)
		rc = protocol_check_range(err, "has_output", request->has_output, 0, 1);
	if (rc == 0)
		rc = protocol_check_instance(request, err);
	if (rc == 0 && n_fds != SPAWNER_OUTPUT + request->has_output)
		rc = err_set(err, ERR_INVALID, "%zu descriptors instead of %u", n_fds,
			SPAWNER_OUTPUT + request->has_output);
	if (rc == 0)
		rc = protocol_check_tree(err, "tree", request->tree);
	if (rc == 0 && has_deps)
		rc = protocol_check_tree(err, "deps", request->deps);
	if (rc == 0 && !has_deps && !protocol_is_zero(request->deps, sizeof(request->deps)))
		rc = err_field(err, ERR_INVALID, "deps", "bytes behind an empty text");
	return rc < 0 ? rc : protocol_check_limits(&request->limits, err);
}

int
spawner_protocol_check(const struct spawner_request *request, size_t size, size_t n_fds,
	const struct spawner_bounds *bounds, struct err *err)
{
	if (size != sizeof(*request) || request->magic != SPAWNER_MAGIC)
		return err_set(err, ERR_INVALID, "not a request of this protocol");
	if (!protocol_is_zero(request->zero, sizeof(request->zero)))
		return err_field(err, ERR_INVALID, "zero", "is not zero");
	if (request->op != SPAWNER_START && n_fds != 0)
		return err_set(err, ERR_INVALID, "%zu descriptors with a request of none", n_fds);
	if (request->op == SPAWNER_REMOVE)
		return protocol_check_tree(err, "tree", request->tree);
	if (request->sandbox >= bounds->n_sandboxes)
		return err_field(err, ERR_INVALID, "sandbox", "%u of %u", request->sandbox,
			bounds->n_sandboxes);
	if (request->op == SPAWNER_START)
		return protocol_check_start(request, n_fds, bounds, err);
	if (request->op == SPAWNER_STOP)
		return 0;
	return err_field(err, ERR_INVALID, "op", "%u is no operation", request->op);
}

void
spawner_fds_done(struct spawner_fds *fds)
{
	for (size_t i = 0; i < fds->n; i++) {
		if (fds->at[i] >= 0)
			close(fds->at[i]);
	}
	fds->n = 0;
}

union spawner_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(SPAWNER_FDS_MAX * sizeof(int))];
};

int
spawner_protocol_send(
	int socket, const void *message, size_t size, const int *fds, size_t n_fds, int flags)
{
	union spawner_control control = {0};
	struct iovec part = {(void *)message, size};
	struct msghdr out = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	must(n_fds <= SPAWNER_FDS_MAX);
	if (n_fds) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
		out.msg_control = &control;
		out.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	do {
		n = sendmsg(socket, &out, flags | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -1 : 0;
}

static void
protocol_take_fds(struct msghdr *in, struct spawner_fds *fds)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(in); head; head = CMSG_NXTHDR(in, head)) {
		size_t n = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(head) + i * sizeof(int), sizeof(int));
			if (fds->n < SPAWNER_FDS_MAX)
				fds->at[fds->n++] = fd;
			else
				close(fd);
		}
	}
}

ssize_t
spawner_protocol_receive(int socket, void *message, size_t size, struct spawner_fds *fds, int flags)
{
	union spawner_control control;
	struct iovec part = {message, size};
	struct msghdr in = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	fds->n = 0;
	do {
		n = recvmsg(socket, &in, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	protocol_take_fds(&in, fds);
	if (in.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		spawner_fds_done(fds);
		errno = EBADMSG;
		return -1;
	}
	return n;
}
