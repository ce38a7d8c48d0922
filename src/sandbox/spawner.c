/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/list.h"
#include "base/own.h"
#include "base/path.h"
#include "sandbox/cgroup.h"
#include "sandbox/spawner_protocol.h"

#define SPAWNER_END_MS   5000
#define SPAWNER_BURST    64 /* replies read per turn */
#define SPAWNER_FAREWELL 10 /* ms between looks at a spawner that ends */

struct sandbox {
	unsigned number;
	bool is_started, was_asked;
	enum cgroup_kind cgroup;
	int files[CGROUP_FILES]; /* owned, -1 where there is none */
	void (*on_started)(
		struct sandbox *sandbox, const struct sandbox_started *started, void *arg);
	void (*on_gone)(struct sandbox *sandbox, const struct sandbox_exit *exit, void *arg);
	void *arg; /* borrowed */
};

/* A request that the socket had no room for. */
struct spawner_waiting {
	struct list link;
	struct spawner_request request;
	int fds[SPAWNER_START_FDS]; /* owned */
	size_t n_fds;
};

struct spawner_removal {
	struct list link;
	uint32_t ticket;
	void (*done)(int code, void *arg);
	void *arg; /* borrowed */
};

struct spawner {
	int fd;         /* owned */
	pid_t pid;      /* owned: a child of this process */
	char *data_dir; /* owned */
	unsigned n, next, n_tickets;
	struct sandbox **all; /* owned: n places, NULL for none */
	struct list waiting;  /* of spawner_waiting, in order */
	struct list removals; /* of spawner_removal */
	bool is_lost;
	void (*on_lost)(void *arg);
	void *on_lost_arg; /* borrowed */
};

/* Starting it. */

_Noreturn static void
spawner_exec(const struct spawner_config *config, int socket)
{
	OWN(mem) char *program = path_join(path_libexec(), "mayfly-spawner");
	const char *arguments[7 + SPAWNER_ROOTS_MAX];
	char n[16], uid[16];
	size_t i = 0;

	snprintf(n, sizeof(n), "%u", config->n_sandboxes);
	snprintf(uid, sizeof(uid), "%u", config->uid_base);
	arguments[i++] = program;
	arguments[i++] = config->data_dir;
	arguments[i++] = config->cgroup_parent;
	arguments[i++] = n;
	arguments[i++] = uid;
	arguments[i++] = path_libexec();
	for (size_t root = 0; root < config->n_roots; root++)
		arguments[i++] = config->roots[root].path;
	arguments[i] = NULL;
	/* A session of its own: what a terminal sends is for the daemon. */
	setsid();
	if (dup2(socket, SPAWNER_FD) < 0 || close_range(SPAWNER_FD + 1, ~0u, 0) < 0)
		_exit(126);
	execv(program, (char *const *)arguments);
	dprintf(STDERR_FILENO, "mayfly: cannot start %s: %s\n", program, strerror(errno));
	_exit(127);
}

static int
spawner_await_ready(struct spawner *spawner, struct err *err)
{
	OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
	struct spawner_reply reply;
	ssize_t n = spawner_protocol_receive(spawner->fd, &reply, sizeof(reply), &fds, 0);

	if (n != (ssize_t)sizeof(reply) || reply.magic != SPAWNER_MAGIC ||
		reply.event != SPAWNER_READY)
		return err_set(err, ERR_SYSTEM, "mayfly-spawner did not start");
	if (reply.exit.failure.code == 0)
		return 0;
	*err = reply.exit.failure;
	return err_wrap(err, err->code, "starting mayfly-spawner");
}

static struct spawner *
spawner_new(const struct spawner_config *config)
{
	struct spawner *spawner = mem_new(sizeof(*spawner));

	spawner->fd = -1;
	spawner->pid = -1;
	spawner->n = config->n_sandboxes;
	spawner->data_dir = str_dup(str_of(config->data_dir));
	spawner->all = mem_new(config->n_sandboxes * sizeof(struct sandbox *));
	list_init(&spawner->waiting);
	list_init(&spawner->removals);
	return spawner;
}

int
spawner_start(const struct spawner_config *config, struct spawner **ret, struct err *err)
{
	struct spawner *spawner;
	int pair[2], rc;

	must(config->n_roots <= SPAWNER_ROOTS_MAX);
	if (config->n_sandboxes < 1 || config->n_sandboxes > SPAWNER_SANDBOXES_MAX)
		return err_field(err, ERR_INVALID, "n_sandboxes", "1 to %d", SPAWNER_SANDBOXES_MAX);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(err, "making the spawner's socket");
	spawner = spawner_new(config);
	spawner->fd = pair[0];
	spawner->pid = fork();
	if (spawner->pid == 0)
		spawner_exec(config, pair[1]);
	close(pair[1]);
	rc = spawner->pid < 0 ? err_sys(err, "forking mayfly-spawner")
			      : spawner_await_ready(spawner, err);
	if (rc < 0) {
		spawner_free(spawner);
		return rc;
	}
	*ret = spawner;
	return 0;
}

/* Sending. */

/* Takes the descriptors. */
static void
spawner_wait_for_room(struct spawner *spawner, const struct spawner_request *request,
	const int *fds, size_t n_fds)
{
	struct spawner_waiting *waiting = mem_new(sizeof(*waiting));

	waiting->request = *request;
	for (size_t i = 0; i < n_fds; i++)
		waiting->fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);
	waiting->n_fds = n_fds;
	list_push_back(&spawner->waiting, &waiting->link);
}

static void
spawner_drop_waiting(struct spawner_waiting *waiting)
{
	for (size_t i = 0; i < waiting->n_fds; i++)
		own_fd(&waiting->fds[i]);
	list_remove(&waiting->link);
	free(waiting);
}

/* A lost spawner is found by reading. */
static void
spawner_send(struct spawner *spawner, struct spawner_request *request, const int *fds, size_t n_fds)
{
	request->magic = SPAWNER_MAGIC;
	if (list_is_empty(&spawner->waiting) &&
		(spawner_protocol_send(
			 spawner->fd, request, sizeof(*request), fds, n_fds, MSG_DONTWAIT) == 0 ||
			errno != EAGAIN))
		return;
	spawner_wait_for_room(spawner, request, fds, n_fds);
}

/* A socket that is full is being emptied, and each request in it gets an answer: so when answers
 * come there is room. */
static void
spawner_send_waiting(struct spawner *spawner)
{
	struct spawner_waiting *waiting;

	list_each (&spawner->waiting, waiting, link) {
		if (spawner_protocol_send(spawner->fd, &waiting->request, sizeof(waiting->request),
			    waiting->fds, waiting->n_fds, MSG_DONTWAIT) < 0 &&
			errno == EAGAIN)
			return;
		spawner_drop_waiting(waiting);
	}
}

static struct sandbox *
spawner_new_sandbox(struct spawner *spawner, const struct sandbox_request *request)
{
	struct sandbox *sandbox;
	unsigned number, i = 0;

	do {
		number = (spawner->next + i) % spawner->n;
	} while (spawner->all[number] && ++i < spawner->n);
	if (spawner->all[number])
		return NULL;
	spawner->next = number + 1;
	sandbox = mem_new(sizeof(*sandbox));
	sandbox->number = number;
	sandbox->on_started = request->on_started;
	sandbox->on_gone = request->on_gone;
	sandbox->arg = request->arg;
	memset(sandbox->files, -1, sizeof(sandbox->files));
	spawner->all[number] = sandbox;
	return sandbox;
}

int
spawner_ask(struct spawner *spawner, const struct sandbox_request *request, struct sandbox **ret,
	struct err *err)
{
	struct spawner_request message = {
		.op = SPAWNER_START,
		.kind = request->kind,
		.root = request->root->index,
		.has_output = request->output >= 0,
		.wants_template = request->wants_template,
		.wants_keeper = request->wants_keeper,
		.has_egress = request->has_egress,
		.n_egress_ports = request->n_egress_ports,
		.limits = request->limits,
	};
	int fds[] = {request->channel, request->stdout_fd, request->stderr_fd, request->output};
	struct sandbox *sandbox;

	if (spawner->is_lost)
		return err_set(err, ERR_UNAVAILABLE, "the spawner is gone");
	sandbox = spawner_new_sandbox(spawner, request);
	if (!sandbox)
		return err_set(err, ERR_UNAVAILABLE, "all %u sandboxes are in use", spawner->n);
	message.sandbox = sandbox->number;
	memcpy(message.egress_ports, request->egress_ports, sizeof(message.egress_ports));
	snprintf(message.tree, sizeof(message.tree), "%.64s", request->tree);
	snprintf(message.deps, sizeof(message.deps), "%.64s", request->deps);
	*ret = sandbox;
	spawner_send(spawner, &message, fds, SPAWNER_OUTPUT + message.has_output);
	return 0;
}

void
spawner_stop(struct spawner *spawner, struct sandbox *sandbox)
{
	struct spawner_request message = {.op = SPAWNER_STOP, .sandbox = sandbox->number};

	if (sandbox->was_asked || spawner->is_lost)
		return;
	sandbox->was_asked = true;
	spawner_send(spawner, &message, NULL, 0);
}

void
spawner_remove_tree(struct spawner *spawner, const char tree[static ID_SHA256_SIZE],
	void (*done)(int code, void *arg), void *arg)
{
	struct spawner_request message = {.op = SPAWNER_REMOVE, .sandbox = spawner->n_tickets++};
	struct spawner_removal *removal;

	if (spawner->is_lost) {
		if (done)
			done(ERR_UNAVAILABLE, arg);
		return;
	}
	if (done) {
		removal = mem_new(sizeof(*removal));
		*removal = (struct spawner_removal){
			.ticket = message.sandbox, .done = done, .arg = arg};
		list_push_back(&spawner->removals, &removal->link);
	}
	snprintf(message.tree, sizeof(message.tree), "%.64s", tree);
	spawner_send(spawner, &message, NULL, 0);
}

bool
spawner_has_tree(const struct spawner *spawner, const char tree[static ID_SHA256_SIZE])
{
	char path[4096];
	struct stat st;

	snprintf(path, sizeof(path), "%s/trees/%.64s", spawner->data_dir, tree);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Hearing. */

static void
spawner_end_sandbox(struct spawner *spawner, struct sandbox *sandbox, struct sandbox_exit *exit)
{
	spawner->all[sandbox->number] = NULL;
	exit->was_asked = sandbox->was_asked;
	sandbox->on_gone(sandbox, exit, sandbox->arg);
	for (size_t i = 0; i < CGROUP_FILES; i++)
		own_fd(&sandbox->files[i]);
	free(sandbox);
}

static int
spawner_take_fd(struct spawner_fds *fds, size_t *next, bool is_there)
{
	return is_there && *next < fds->n ? take_fd(&fds->at[(*next)++]) : -1;
}

static void
spawner_on_started(
	struct sandbox *sandbox, const struct spawner_reply *reply, struct spawner_fds *fds)
{
	struct sandbox_started started = {.is_forked = reply->is_forked};
	size_t next = 0;

	sandbox->cgroup = (enum cgroup_kind)reply->cgroup;
	sandbox->is_started = true;
	for (size_t i = 0; i < CGROUP_FILES; i++) {
		if ((reply->has_file & (1u << i)) && next < fds->n)
			sandbox->files[i] = take_fd(&fds->at[next++]);
	}
	started.keeper = spawner_take_fd(fds, &next, reply->has_keeper);
	started.listener = spawner_take_fd(fds, &next, reply->has_listener);
	started.dns_udp = spawner_take_fd(fds, &next, reply->has_dns);
	started.dns_tcp = spawner_take_fd(fds, &next, reply->has_dns);
	for (size_t i = 0; i < SANDBOX_EGRESS_PORTS_MAX; i++)
		started.egress[i] = spawner_take_fd(fds, &next, i < reply->n_egress);
	started.n_egress = reply->n_egress;
	sandbox->on_started(sandbox, &started, sandbox->arg);
}

static void
spawner_on_removed(struct spawner *spawner, uint32_t ticket, int code)
{
	struct spawner_removal *removal;

	list_each (&spawner->removals, removal, link) {
		if (removal->ticket != ticket)
			continue;
		list_remove(&removal->link);
		removal->done(code, removal->arg);
		free(removal);
		return;
	}
}

static void
spawner_on_reply(struct spawner *spawner, struct spawner_reply *reply, struct spawner_fds *fds)
{
	struct sandbox *sandbox = reply->sandbox < spawner->n ? spawner->all[reply->sandbox] : NULL;

	if (reply->event == SPAWNER_REMOVED)
		spawner_on_removed(spawner, reply->sandbox, reply->exit.failure.code);
	else if (sandbox && reply->event == SPAWNER_STARTED)
		spawner_on_started(sandbox, reply, fds);
	else if (sandbox && reply->event == SPAWNER_GONE)
		spawner_end_sandbox(spawner, sandbox, &reply->exit);
}

/* Every sandbox died with it: each says so. */
static void
spawner_lose(struct spawner *spawner)
{
	struct spawner_removal *removal;
	struct spawner_waiting *waiting;

	spawner->is_lost = true;
	list_each (&spawner->waiting, waiting, link)
		spawner_drop_waiting(waiting);
	for (unsigned i = 0; i < spawner->n; i++) {
		struct sandbox_exit exit = {.status = -SIGKILL};

		if (!spawner->all[i])
			continue;
		err_set(&exit.failure, ERR_UNAVAILABLE, "the spawner is gone");
		if (spawner->all[i]->is_started)
			cgroup_usage(spawner->all[i]->cgroup, spawner->all[i]->files, &exit.usage);
		spawner_end_sandbox(spawner, spawner->all[i], &exit);
	}
	list_each (&spawner->removals, removal, link)
		spawner_on_removed(spawner, removal->ticket, ERR_UNAVAILABLE);
	if (spawner->on_lost)
		spawner->on_lost(spawner->on_lost_arg);
}

int
spawner_fd(const struct spawner *spawner)
{
	return spawner->fd;
}

void
spawner_on_readable(struct spawner *spawner)
{
	for (int i = 0; i < SPAWNER_BURST && !spawner->is_lost; i++) {
		OWN(spawner_fds) struct spawner_fds fds = {.n = 0};
		struct spawner_reply reply;
		ssize_t n = spawner_protocol_receive(
			spawner->fd, &reply, sizeof(reply), &fds, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n == (ssize_t)sizeof(reply) && reply.magic == SPAWNER_MAGIC)
			spawner_on_reply(spawner, &reply, &fds);
		else
			spawner_lose(spawner);
	}
	spawner_send_waiting(spawner);
}

void
spawner_on_lost(struct spawner *spawner, void (*on_lost)(void *arg), void *arg)
{
	spawner->on_lost = on_lost;
	spawner->on_lost_arg = arg;
}

/* Usage. */

void
sandbox_usage(struct sandbox *sandbox, struct sandbox_usage *ret)
{
	cgroup_usage(sandbox->cgroup, sandbox->files, ret);
}

uint64_t
sandbox_cpu_us(struct sandbox *sandbox)
{
	return cgroup_cpu_us(sandbox->cgroup, sandbox->files);
}

uint64_t
sandbox_peak_bytes(struct sandbox *sandbox)
{
	return cgroup_peak_bytes(sandbox->files);
}

void
sandbox_reset_peak(struct sandbox *sandbox)
{
	cgroup_reset_peak(sandbox->cgroup, sandbox->files);
}

/* The end. */

static void
spawner_bury(pid_t pid)
{
	for (int ms = 0; ms < SPAWNER_END_MS; ms += SPAWNER_FAREWELL) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		poll(NULL, 0, SPAWNER_FAREWELL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

void
spawner_free(struct spawner *spawner)
{
	struct spawner_waiting *waiting;
	struct spawner_removal *removal;

	if (!spawner)
		return;
	own_fd(&spawner->fd);
	if (spawner->pid > 0)
		spawner_bury(spawner->pid);
	list_each (&spawner->waiting, waiting, link)
		spawner_drop_waiting(waiting);
	list_each (&spawner->removals, removal, link)
		free(removal);
	for (unsigned i = 0; i < spawner->n; i++) {
		if (!spawner->all[i])
			continue;
		for (size_t file = 0; file < CGROUP_FILES; file++)
			own_fd(&spawner->all[i]->files[file]);
		free(spawner->all[i]);
	}
	free(spawner->all);
	free(spawner->data_dir);
	free(spawner);
}
