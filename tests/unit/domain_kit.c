/* SPDX-License-Identifier: Apache-2.0 */
#include "domain_kit.h"

#include <sys/socket.h>

#include "base/clock.h"
#include "domain/call.h"
#include "domain/pool.h"
#include "runtime/frame.h"
#include "store/blob.h"
#include "store/rows.h"
#include "store/store_db.h"
#include "store_kit.h"

static struct kit *kit_now; /* played parts have no other way to it */

/* ---- languages ---- */

static const char *const command[] = {"/usr/bin/played", NULL};
static const struct root_plan plans[] = {{.name = "unpack"}, {.name = "node20"},
	{.name = "node20-build"}, {.name = "python3.11"}, {.name = "python3.11-build"},
	{.name = "exec"}};
static const struct language_build node_build = {&plans[2], command, NULL};
static const struct language_build python_build = {&plans[4], command, NULL};
static const struct language languages[] = {
	{.name = "node20",
		.family = "node",
		.version = "20.1.0",
		.handler = "index.handler",
		.file = "index.js",
		.command = command,
		.root = &plans[1],
		.build = &node_build,
		.memory_floor_mib = 48},
	{.name = "python3.11",
		.family = "python",
		.version = "3.11.2",
		.handler = "main.handler",
		.file = "main.py",
		.command = command,
		.root = &plans[3],
		.build = &python_build,
		.memory_floor_mib = 32},
	{.name = "exec", .family = "exec", .version = "1", .command = command, .root = &plans[5]},
	/* Installed without npm. */
	{.name = "node18",
		.family = "node",
		.version = "18.0.0",
		.handler = "index.handler",
		.command = command,
		.root = &plans[1]},
};
#define N_LANGUAGES (sizeof(languages) / sizeof(languages[0]))

const struct language *
language_find(const char *name)
{
	for (size_t i = 0; i < N_LANGUAGES; i++)
		if (strcmp(languages[i].name, name) == 0 || strcmp(languages[i].family, name) == 0)
			return &languages[i];
	return NULL;
}

const struct language *
language_each(size_t i)
{
	return i < N_LANGUAGES ? &languages[i] : NULL;
}

const struct root_plan *
language_unpack_root(void)
{
	return &plans[0];
}

/* ---- pools ---- */

struct pool {
	struct list link; /* in kit.probes */
	pool_probe_fn *done;
	void *arg;
	struct watchdog watchdog;
};

void
pool_setup(struct domain *domain)
{
}

struct pool *
pool_new(struct version *version)
{
	struct pool *pool = mem_new(sizeof(*pool));

	list_init(&pool->link);
	kit_now->n_pools++;
	return pool;
}

void
pool_free(struct pool *pool)
{
	if (!pool)
		return;
	list_remove(&pool->link);
	kit_now->n_pools--;
	free(pool);
}

void
pool_retire(struct pool *pool)
{
	assert_non_null(pool);
}

void
pool_serve(struct pool *pool)
{
	assert_non_null(pool);
}

void
pool_probe(struct pool *pool, pool_probe_fn *done, void *arg)
{
	pool->done = done;
	pool->arg = arg;
	kit_now->n_probes++;
	list_push_back(&kit_now->probes, &pool->link);
}

void
pool_room_freed(struct domain *domain)
{
}

int
pool_place(struct pool *pool, struct pool_place *place, struct err *err)
{
	return err_set(err, ERR_UNAVAILABLE, "played");
}

void
pool_give_back(struct pool_place *place)
{
}

struct watchdog *
pool_watchdog(struct pool *pool)
{
	return &pool->watchdog;
}

bool
pool_is_why(const struct pool *pool, int code)
{
	return false;
}

void
pool_explain_wait(const struct pool *pool, uint64_t waited_us, struct err *err)
{
	err_set(err, ERR_UNAVAILABLE, "played");
}

unsigned
pool_retry_after_s(const struct pool *pool)
{
	return 1;
}

void
pool_stats(const struct pool *pool, struct pool_stats *ret)
{
	*ret = (struct pool_stats){0};
}

/* ---- the spawner ---- */

struct sandbox {
	struct list link; /* in kit.sandboxes */
	struct sandbox_request request;
	bool is_stopped;
};

static bool
is_unpack(const struct sandbox_request *request)
{
	return request->kind == SANDBOX_UNPACK;
}

static struct kit_work *
work_of(struct kit *kit, const struct sandbox_request *request)
{
	return is_unpack(request) ? &kit->unpack : &kit->install;
}

static void
write_text(int fd, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len)
		assert_int_equal(write(fd, text, len), len);
}

static void
read_archive(struct kit *kit, int fd)
{
	struct buf bytes = BUF_INIT;
	char block[4096];
	ssize_t n;

	while ((n = pread(fd, block, sizeof(block), (off_t)bytes.len)) > 0)
		buf_add(&bytes, block, (size_t)n);
	free((char *)kit->seen.at);
	kit->seen.at = buf_take(&bytes, &kit->seen.len);
}

static void
read_init(struct kit *kit, int fd)
{
	struct frame_head head;

	assert_int_equal(recv(fd, &head, sizeof(head), MSG_DONTWAIT), sizeof(head));
	assert_int_equal(head.kind, FRAME_INIT);
	assert_true(head.size < sizeof(kit->init));
	assert_int_equal(recv(fd, kit->init, head.size, MSG_DONTWAIT), head.size);
	for (size_t i = 0; i < head.size; i++)
		if (!kit->init[i])
			kit->init[i] = '\n';
	kit->init[head.size] = '\0';
}

static void
count_start(struct kit *kit, const struct sandbox_request *request)
{
	kit->n_sandboxes++;
	if (is_unpack(request)) {
		kit->n_unpacks++;
		read_archive(kit, request->channel);
		return;
	}
	kit->n_installs++;
	read_init(kit, request->channel);
	if (++kit->n_installs_at_once > kit->n_most_installs_at_once)
		kit->n_most_installs_at_once = kit->n_installs_at_once;
}

int
spawner_ask(struct spawner *spawner, const struct sandbox_request *request, struct sandbox **ret,
	struct err *err)
{
	struct sandbox *sandbox;

	assert_non_null(request->root);
	if (work_of(kit_now, request)->is_refused)
		return err_set(err, ERR_UNAVAILABLE, "no sandbox is free");
	sandbox = mem_new(sizeof(*sandbox));
	sandbox->request = *request;
	count_start(kit_now, request);
	list_push_back(&kit_now->sandboxes, &sandbox->link);
	*ret = sandbox;
	return 0;
}

void
spawner_stop(struct spawner *spawner, struct sandbox *sandbox)
{
	sandbox->is_stopped = true;
}

bool
spawner_has_tree(const struct spawner *spawner, const char tree[static ID_SHA256_SIZE])
{
	return map_find(&kit_now->trees, str_of(tree)) != NULL;
}

void
sandbox_usage(struct sandbox *sandbox, struct sandbox_usage *ret)
{
	*ret = (struct sandbox_usage){0};
}

uint64_t
sandbox_cpu_us(struct sandbox *sandbox)
{
	return 0;
}

uint64_t
sandbox_peak_bytes(struct sandbox *sandbox)
{
	return 0;
}

void
sandbox_reset_peak(struct sandbox *sandbox)
{
}

struct removal {
	struct loop_message message;
	char tree[ID_SHA256_SIZE];
	void (*done)(int code, void *arg);
	void *arg;
};

static void
on_removed(struct loop_message *message)
{
	struct removal *removal = list_owner(message, struct removal, message);

	map_remove(&kit_now->trees, str_of(removal->tree));
	if (removal->done)
		removal->done(0, removal->arg);
	free(removal);
}

void
spawner_remove_tree(struct spawner *spawner, const char tree[static ID_SHA256_SIZE],
	void (*done)(int code, void *arg), void *arg)
{
	struct removal *removal = mem_new(sizeof(*removal));

	memcpy(removal->tree, tree, sizeof(removal->tree));
	removal->done = done;
	removal->arg = arg;
	removal->message.run = on_removed;
	loop_post(kit_now->loop, &removal->message);
}

static void
do_work(struct kit *kit, struct sandbox *sandbox, const struct kit_work *work)
{
	const struct sandbox_request *request = &sandbox->request;
	const struct sandbox_started started = SANDBOX_STARTED_PLAIN;

	request->on_started(sandbox, &started, request->arg);
	write_text(request->stdout_fd, work->answer);
	write_text(request->stderr_fd, work->printed);
	write_text(request->output, work->output);
	if (is_unpack(request) && work->status == 0)
		map_put(&kit->trees, str_of(request->tree), kit);
}

static void
end_sandbox(struct kit *kit, struct sandbox *sandbox) ON_LOOP
{
	const struct kit_work *work = work_of(kit, &sandbox->request);
	struct sandbox_exit end = {.status = work->status, .was_asked = sandbox->is_stopped};

	list_remove(&sandbox->link);
	end.usage.n_oom_kills = work->n_oom;
	if (work->failure < 0)
		err_set(&end.failure, work->failure, "it could not be set up");
	else if (sandbox->is_stopped)
		end.status = -9;
	else
		do_work(kit, sandbox, work);
	kit->n_installs_at_once -= !is_unpack(&sandbox->request);
	kit->n_sandboxes--;
	sandbox->request.on_gone(sandbox, &end, sandbox->request.arg);
	free(sandbox);
}

/* ---- turns ---- */

static void
play_sandboxes(struct kit *kit, bool is_released) ON_LOOP
{
	struct sandbox *sandbox;
	struct list now;

	list_init(&now);
	list_each (&kit->sandboxes, sandbox, link) {
		if (work_of(kit, &sandbox->request)->is_held && !is_released &&
			!sandbox->is_stopped)
			continue;
		list_remove(&sandbox->link);
		list_push_back(&now, &sandbox->link);
	}
	while ((sandbox = list_first(&now, struct sandbox, link)))
		end_sandbox(kit, sandbox);
}

static void
play_probes(struct kit *kit, bool is_released) ON_LOOP
{
	struct pool *pool;

	if (kit->probe.is_held && !is_released)
		return;
	while ((pool = list_first(&kit->probes, struct pool, link))) {
		struct err reason = {0};

		list_remove(&pool->link);
		if (kit->probe.code < 0)
			err_set(&reason, kit->probe.code, "%s", kit->probe.reason);
		pool->done(kit->probe.code, &reason, str_of(kit->probe.log), pool->arg);
	}
}

static void
on_tick(uv_timer_t *timer)
{
}

static void
turn(struct kit *kit, bool is_released) ON_LOOP
{
	uv_timer_t tick;

	play_sandboxes(kit, is_released);
	play_probes(kit, is_released);
	uv_timer_init(loop_uv(kit->loop), &tick);
	uv_timer_start(
		&tick, on_tick, 2, 2); /* again: the first may be due before the loop waits */
	uv_run(loop_uv(kit->loop), UV_RUN_ONCE);
	uv_close((uv_handle_t *)&tick, NULL);
	uv_run(loop_uv(kit->loop), UV_RUN_NOWAIT);
}

void
kit_turn(struct kit *kit, unsigned n)
{
	while (n--)
		turn(kit, false);
}

void
kit_release(struct kit *kit)
{
	turn(kit, true);
}

void
kit_until(struct kit *kit, bool (*is_done)(void *arg), void *arg)
{
	uint64_t end_us = clock_mono_us() + 10000000;

	while (!is_done(arg)) {
		assert_true(clock_mono_us() < end_us);
		turn(kit, false);
	}
}

/* ---- open and close ---- */

static void
ok(int rc, const struct err *err)
{
	if (rc < 0)
		print_error("%s: %s\n", err_word(rc), err->text);
	assert_true(rc >= 0);
}

static void
open_domain(struct kit *kit) ON_LOOP
{
	struct store_config config = {
		.data_dir = kit->folder, .post = store_kit_post, .arg = kit->loop};
	struct domain_config usual = kit->domain.config;

	memset(&kit->domain, 0, sizeof(kit->domain));
	kit->domain.config = usual;
	kit->domain.config.data_dir = kit->folder;
	ok(store_open(&config, &kit->store, &kit->err), &kit->err);
	kit->domain.loop = kit->loop;
	kit->domain.store = kit->store;
	kit->domain.roots = kit->roots;
	kit->domain.n_roots = sizeof(plans) / sizeof(plans[0]);
	ok(domain_open(&kit->domain, &kit->err), &kit->err);
	domain_resume(&kit->domain);
}

static bool
is_told(void *arg)
{
	return ((struct kit *)arg)->is_told;
}

static void
on_stopped(void *arg)
{
	((struct kit *)arg)->is_told = true;
}

static void
close_domain(struct kit *kit) ON_LOOP
{
	kit->is_told = false;
	domain_stop(&kit->domain, 100, on_stopped, kit);
	kit_until(kit, is_told, kit);
	store_close(kit->store);
	kit_turn(kit, 3);
	domain_free(&kit->domain);
	assert_int_equal(kit->n_pools, 0);
	assert_int_equal(kit->n_sandboxes, 0);
	assert_int_equal(kit->domain.n_instances, 0);
}

struct kit *
kit_open(void)
{
	struct kit *kit = mem_new(sizeof(*kit));

	thread_on_loop();
	kit_now = kit;
	kit->folder = unit_folder();
	list_init(&kit->sandboxes);
	list_init(&kit->probes);
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++)
		memcpy(kit->roots[i].name, plans[i].name, sizeof(plans[i].name));
	ok(loop_new(&kit->loop, &kit->err), &kit->err);
	domain_config_default(&kit->domain.config);
	open_domain(kit);
	kit_org(kit, "acme");
	return kit;
}

void
kit_reopen(struct kit *kit)
{
	close_domain(kit);
	open_domain(kit);
}

void
own_kit(struct kit **owned)
{
	struct kit *kit = *owned;

	thread_on_loop();
	if (!kit)
		return;
	close_domain(kit);
	kit_turn(kit, 3);
	loop_free(kit->loop);
	map_done(&kit->trees);
	free((char *)kit->seen.at);
	own_folder(&kit->folder);
	free(kit);
}

/* ---- what tests do ---- */

void
kit_told(int code, struct function *function, struct version *version, const struct err *err,
	void *arg)
{
	struct kit *kit = arg;

	kit->is_told = true;
	kit->code = code;
	kit->err = err ? *err : (struct err){0};
	assert_int_equal(kit->err.code, code);
}

void
kit_org_told(int code, const struct err *err, void *arg)
{
	kit_told(code, NULL, NULL, err, arg);
}

void
kit_await(struct kit *kit)
{
	kit_until(kit, is_told, kit);
	kit->is_told = false;
}

struct org *
kit_org(struct kit *kit, const char *name)
{
	struct org *org = org_find(&kit->domain, str_of(name));

	if (org)
		return org;
	kit->is_told = false;
	org_create(&kit->domain, str_of(name), kit_org_told, kit);
	kit_await(kit);
	ok(kit->code, &kit->err);
	return org_find(&kit->domain, str_of(name));
}

struct blob_put {
	struct str bytes;
	char *digest;
};

static int
put_work(struct store_db *db, void *arg, struct err *err)
{
	struct blob_put *put = arg;

	thread_on_store();
	return blob_put(db, put->bytes, put->digest, err);
}

void
kit_blob(struct kit *kit, const char *bytes, char ret[static ID_SHA256_SIZE])
{
	struct blob_put put = {str_of(bytes), ret};

	ok(store_ask_and_wait(kit->store, put_work, &put, &kit->err), &kit->err);
}

struct function_spec
kit_spec(struct kit *kit, const char *name)
{
	struct function_spec spec = {
		.name = str_of(name), .runtime = STR("node20"), .filename = STR("index.js")};

	kit_blob(kit, "x", spec.source);
	version_config_default(&kit->domain, &spec.config);
	return spec;
}

struct put {
	struct kit *kit;
	struct version *version;
	bool is_done;
};

static bool
is_put(void *arg)
{
	return ((struct put *)arg)->is_done;
}

static void
on_put(int code, struct function *function, struct version *version, const struct err *err,
	void *arg)
{
	struct put *put = arg;

	put->version = version;
	put->is_done = true;
	assert_true((code < 0) == !version);
	assert_true((code < 0) == !function);
	kit_told(code, function, version, err, put->kit);
}

struct version *
kit_put_spec(struct kit *kit, struct org *org, const struct function_spec *spec, unsigned flags)
{
	struct put put = {.kit = kit};

	function_put(org, spec, flags, on_put, &put);
	kit_until(kit, is_put, &put);
	kit->is_told = false;
	return put.version;
}

struct version *
kit_put(struct kit *kit, const char *name)
{
	struct function_spec spec = kit_spec(kit, name);

	return kit_put_spec(kit, kit_org(kit, "acme"), &spec, 0);
}

static bool
is_settled(void *arg)
{
	return ((struct version *)arg)->state != VERSION_INITIALIZING;
}

void
kit_settle(struct kit *kit, struct version *version)
{
	version_hold(version);
	kit_until(kit, is_settled, version);
	kit_turn(kit, 2);
	version_release(version);
}

struct version *
kit_deploy(struct kit *kit, const char *name)
{
	struct version *version = kit_put(kit, name);

	assert_non_null(version);
	kit_settle(kit, version);
	return version;
}

struct function *
kit_function(struct kit *kit, const char *name)
{
	return function_find(org_find(&kit->domain, STR("acme")), str_of(name));
}

struct count {
	const char *sql;
	int64_t n;
};

static int
count_work(struct store_db *db, void *arg, struct err *err)
{
	struct count *count = arg;

	thread_on_store();
	return store_sqlite_number(db->sqlite, count->sql, &count->n, err);
}

int64_t
kit_count(struct kit *kit, const char *sql)
{
	struct count count = {.sql = sql};

	ok(store_ask_and_wait(kit->store, count_work, &count, &kit->err), &kit->err);
	return count.n;
}
