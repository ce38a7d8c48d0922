/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/mem.h"
#include "base/own.h"
#include "store/store_db.h"

/* 1: everything there is at first.
 *
 * Tables that are small and read whole stand in their key's order (WITHOUT ROWID). `call` has its
 * log last, so that lists do not read the pages it overflows into. call_count is kept by triggers
 * and tells without counting which functions have more calls than they may keep. */
static const char step_1[] =
	"CREATE TABLE org ("
	"	name TEXT PRIMARY KEY, created_ms INTEGER NOT NULL, settings TEXT NOT NULL"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE token ("
	"	id TEXT PRIMARY KEY, org TEXT REFERENCES org ON DELETE CASCADE,"
	"	role TEXT NOT NULL, name TEXT NOT NULL, prefix TEXT NOT NULL,"
	"	secret_sha256 TEXT NOT NULL UNIQUE, created_ms INTEGER NOT NULL,"
	"	expires_ms INTEGER NOT NULL, last_used_ms INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX token_by_org ON token (org);"

	"CREATE TABLE function ("
	"	org TEXT NOT NULL REFERENCES org ON DELETE CASCADE, name TEXT NOT NULL,"
	"	route TEXT NOT NULL, active_version INTEGER NOT NULL,"
	"	last_version INTEGER NOT NULL, created_ms INTEGER NOT NULL,"
	"	updated_ms INTEGER NOT NULL,"
	"	PRIMARY KEY (org, name), UNIQUE (org, route)"
	") STRICT, WITHOUT ROWID;"

	"CREATE TABLE version ("
	"	org TEXT NOT NULL, function TEXT NOT NULL, number INTEGER NOT NULL,"
	"	state TEXT NOT NULL, runtime TEXT NOT NULL, handler TEXT NOT NULL,"
	"	source TEXT NOT NULL, filename TEXT NOT NULL, tree TEXT NOT NULL,"
	"	deps TEXT NOT NULL, config TEXT NOT NULL, reason TEXT NOT NULL,"
	"	created_ms INTEGER NOT NULL, ready_ms INTEGER NOT NULL, build_log TEXT NOT NULL,"
	"	PRIMARY KEY (org, function, number),"
	"	FOREIGN KEY (org, function) REFERENCES function (org, name) ON DELETE CASCADE"
	") STRICT;"
	"CREATE INDEX version_by_source ON version (source);"
	"CREATE INDEX version_by_deps ON version (deps);"

	"CREATE TABLE build ("
	"	key TEXT PRIMARY KEY, org TEXT NOT NULL REFERENCES org ON DELETE CASCADE,"
	"	deps TEXT NOT NULL, made_ms INTEGER NOT NULL"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX build_by_org ON build (org);"
	"CREATE INDEX build_by_deps ON build (deps);"
	"CREATE INDEX build_by_time ON build (made_ms);"

	"CREATE TABLE call ("
	"	id TEXT NOT NULL, org TEXT NOT NULL REFERENCES org ON DELETE CASCADE,"
	"	function TEXT NOT NULL, version INTEGER NOT NULL, trigger TEXT NOT NULL,"
	"	method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL,"
	"	code TEXT NOT NULL, message TEXT NOT NULL, started_ms INTEGER NOT NULL,"
	"	queue_us INTEGER NOT NULL, wall_us INTEGER NOT NULL, cpu_us INTEGER NOT NULL,"
	"	memory_peak_bytes INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
	"	bytes_out INTEGER NOT NULL, is_cold INTEGER NOT NULL,"
	"	is_log_truncated INTEGER NOT NULL, log TEXT NOT NULL"
	") STRICT;"
	"CREATE UNIQUE INDEX call_by_org ON call (org, id);"
	"CREATE INDEX call_by_function ON call (org, function, id);"
	"CREATE INDEX call_by_time ON call (started_ms);"
	"CREATE INDEX call_failed_by_org ON call (org, id) WHERE code <> 'ok';"
	"CREATE INDEX call_failed_by_function ON call (org, function, id) WHERE code <> 'ok';"

	"CREATE TABLE call_count ("
	"	org TEXT NOT NULL REFERENCES org ON DELETE CASCADE, function TEXT NOT NULL,"
	"	n INTEGER NOT NULL, PRIMARY KEY (org, function)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TRIGGER call_inserted AFTER INSERT ON call BEGIN"
	"	INSERT INTO call_count VALUES (new.org, new.function, 1)"
	"	ON CONFLICT DO UPDATE SET n = n + 1;"
	"END;"
	"CREATE TRIGGER call_deleted AFTER DELETE ON call BEGIN"
	"	UPDATE call_count SET n = n - 1 WHERE org = old.org AND function = old.function;"
	"	DELETE FROM call_count WHERE org = old.org AND function = old.function AND n = 0;"
	"END;"

	"CREATE TABLE meter ("
	"	org TEXT NOT NULL REFERENCES org ON DELETE CASCADE, hour_ms INTEGER NOT NULL,"
	"	function TEXT NOT NULL, n_calls INTEGER NOT NULL, n_errors INTEGER NOT NULL,"
	"	wall_us INTEGER NOT NULL, cpu_us INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
	"	bytes_out INTEGER NOT NULL, memory_mib_us INTEGER NOT NULL,"
	"	PRIMARY KEY (org, hour_ms, function)"
	") STRICT, WITHOUT ROWID;";

/* 2: bytes over the network of a function. The table is made anew, since its log has to stay last.
 */
static const char step_2[] =
	"CREATE TABLE call_new ("
	"	id TEXT NOT NULL, org TEXT NOT NULL REFERENCES org ON DELETE CASCADE,"
	"	function TEXT NOT NULL, version INTEGER NOT NULL, trigger TEXT NOT NULL,"
	"	method TEXT NOT NULL, path TEXT NOT NULL, status INTEGER NOT NULL,"
	"	code TEXT NOT NULL, message TEXT NOT NULL, started_ms INTEGER NOT NULL,"
	"	queue_us INTEGER NOT NULL, wall_us INTEGER NOT NULL, cpu_us INTEGER NOT NULL,"
	"	memory_peak_bytes INTEGER NOT NULL, bytes_in INTEGER NOT NULL,"
	"	bytes_out INTEGER NOT NULL, egress_in INTEGER NOT NULL,"
	"	egress_out INTEGER NOT NULL, is_cold INTEGER NOT NULL,"
	"	is_log_truncated INTEGER NOT NULL, log TEXT NOT NULL"
	") STRICT;"
	"INSERT INTO call_new SELECT id, org, function, version, trigger, method, path, status,"
	"	code, message, started_ms, queue_us, wall_us, cpu_us, memory_peak_bytes, bytes_in,"
	"	bytes_out, 0, 0, is_cold, is_log_truncated, log FROM call;"
	"DROP TABLE call;"
	"ALTER TABLE call_new RENAME TO call;"
	"CREATE UNIQUE INDEX call_by_org ON call (org, id);"
	"CREATE INDEX call_by_function ON call (org, function, id);"
	"CREATE INDEX call_by_time ON call (started_ms);"
	"CREATE INDEX call_failed_by_org ON call (org, id) WHERE code <> 'ok';"
	"CREATE INDEX call_failed_by_function ON call (org, function, id) WHERE code <> 'ok';"
	"CREATE TRIGGER call_inserted AFTER INSERT ON call BEGIN"
	"	INSERT INTO call_count VALUES (new.org, new.function, 1)"
	"	ON CONFLICT DO UPDATE SET n = n + 1;"
	"END;"
	"CREATE TRIGGER call_deleted AFTER DELETE ON call BEGIN"
	"	UPDATE call_count SET n = n - 1 WHERE org = old.org AND function = old.function;"
	"	DELETE FROM call_count WHERE org = old.org AND function = old.function AND n = 0;"
	"END;"
	"ALTER TABLE meter ADD COLUMN egress_in INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE meter ADD COLUMN egress_out INTEGER NOT NULL DEFAULT 0;";

/* 3: durable calls, events, schedules.
 *
 * What is queued of a function stands in the order in which it is handed over in an index that
 * holds nothing else, so that it stays small however many deliveries have ended. The others answer
 * lists in the order of ids. What may be large comes last, so that lists do not read the pages it
 * overflows into. */
static const char step_3[] =
	"CREATE TABLE delivery ("
	"	id TEXT PRIMARY KEY, org TEXT NOT NULL, function TEXT NOT NULL,"
	"	version INTEGER NOT NULL, state INTEGER NOT NULL, origin TEXT NOT NULL,"
	"	source TEXT NOT NULL, frame INTEGER NOT NULL, attempt INTEGER NOT NULL,"
	"	created_ms INTEGER NOT NULL, due_ms INTEGER NOT NULL,"
	"	expires_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
	"	order_key TEXT NOT NULL, idempotency_key TEXT NOT NULL,"
	"	callback_url TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,"
	"	status INTEGER NOT NULL, code TEXT NOT NULL, message TEXT NOT NULL,"
	"	headers TEXT NOT NULL, head BLOB NOT NULL, body BLOB NOT NULL,"
	"	result BLOB NOT NULL,"
	"	FOREIGN KEY (org) REFERENCES org (name) ON DELETE CASCADE"
	") STRICT;"
	"CREATE INDEX delivery_queued ON delivery (org, function, due_ms, id) WHERE state = 0;"
	"CREATE INDEX delivery_by_org ON delivery (org, state, id, function);"
	"CREATE INDEX delivery_by_function ON delivery (org, function, state, id)"
	"	WHERE state > 0;"
	"CREATE INDEX delivery_by_key ON delivery (org, function, idempotency_key, created_ms)"
	"	WHERE idempotency_key <> '';"
	"CREATE INDEX delivery_ended ON delivery (state, due_ms) WHERE state > 0;"
	"CREATE INDEX delivery_dead ON delivery (org, function) WHERE state = 2;"
	"CREATE INDEX delivery_by_source ON delivery (org, origin, source, created_ms, state)"
	"	WHERE state = 0 AND source <> '';"

	"CREATE TABLE attempt ("
	"	delivery TEXT NOT NULL REFERENCES delivery ON DELETE CASCADE,"
	"	number INTEGER NOT NULL, call TEXT NOT NULL, version INTEGER NOT NULL,"
	"	started_ms INTEGER NOT NULL, wall_us INTEGER NOT NULL, status INTEGER NOT NULL,"
	"	code TEXT NOT NULL, message TEXT NOT NULL, log TEXT NOT NULL,"
	"	PRIMARY KEY (delivery, number)"
	") STRICT;"

	"CREATE TABLE event ("
	"	org TEXT NOT NULL REFERENCES org ON DELETE CASCADE, source TEXT NOT NULL,"
	"	id TEXT NOT NULL, accepted_ms INTEGER NOT NULL, PRIMARY KEY (org, source, id)"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX event_by_time ON event (accepted_ms);"

	"CREATE TABLE trigger ("
	"	org TEXT NOT NULL, name TEXT NOT NULL, function TEXT NOT NULL,"
	"	document TEXT NOT NULL, is_enabled INTEGER NOT NULL,"
	"	created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	"	PRIMARY KEY (org, name),"
	"	FOREIGN KEY (org, function) REFERENCES function (org, name) ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX trigger_by_function ON trigger (org, function);"

	"CREATE TABLE schedule ("
	"	org TEXT NOT NULL, name TEXT NOT NULL, function TEXT NOT NULL,"
	"	document TEXT NOT NULL, is_enabled INTEGER NOT NULL, last_ms INTEGER NOT NULL,"
	"	created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	"	PRIMARY KEY (org, name),"
	"	FOREIGN KEY (org, function) REFERENCES function (org, name) ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"CREATE INDEX schedule_by_function ON schedule (org, function);";

/* 4: hops of a delivery; triggers that send to a URL, which belong to no function. `hops` comes
 * behind what may be large, and lists do without it. */
static const char step_4[] =
	"ALTER TABLE delivery ADD COLUMN hops INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE trigger_new ("
	"	org TEXT NOT NULL REFERENCES org ON DELETE CASCADE, name TEXT NOT NULL,"
	"	function TEXT, document TEXT NOT NULL, is_enabled INTEGER NOT NULL,"
	"	created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,"
	"	PRIMARY KEY (org, name),"
	"	FOREIGN KEY (org, function) REFERENCES function (org, name) ON DELETE CASCADE"
	") STRICT, WITHOUT ROWID;"
	"INSERT INTO trigger_new SELECT org, name, function, document, is_enabled, created_ms,"
	"	updated_ms FROM trigger;"
	"DROP TABLE trigger;"
	"ALTER TABLE trigger_new RENAME TO trigger;"
	"CREATE INDEX trigger_by_function ON trigger (org, function);";

const char *const store_migrate_steps[] = {step_1, step_2, step_3, step_4};
const int store_migrate_n_steps = sizeof(store_migrate_steps) / sizeof(*store_migrate_steps);

static int
store_migrate_check(sqlite3 *sqlite, struct err *err)
{
	int64_t n_dangling = 0;
	int rc = store_sqlite_number(
		sqlite, "SELECT count(*) FROM pragma_foreign_key_check", &n_dangling, err);

	if (rc >= 0 && n_dangling)
		rc = err_set(err, ERR_INTERNAL, "%" PRId64 " rows would point nowhere", n_dangling);
	return rc;
}

static int
store_migrate_step(sqlite3 *sqlite, const char *step, int number, struct err *err)
{
	OWN(mem) char *stamp = mem_printf("PRAGMA user_version = %d", number);
	int rc = store_sqlite_exec(sqlite, "BEGIN IMMEDIATE", err);

	if (rc >= 0)
		rc = store_sqlite_exec(sqlite, step, err);
	if (rc >= 0)
		rc = store_migrate_check(sqlite, err);
	if (rc >= 0)
		rc = store_sqlite_exec(sqlite, stamp, err);
	if (rc >= 0)
		rc = store_sqlite_exec(sqlite, "COMMIT", err);
	if (rc < 0 && !sqlite3_get_autocommit(sqlite))
		store_sqlite_exec(sqlite, "ROLLBACK", NULL);
	return rc < 0 ? err_wrap(err, rc, "bringing the schema to version %d", number) : 0;
}

int
store_migrate(sqlite3 *sqlite, const char *const *steps, int n_steps, struct err *err)
{
	int64_t version = 0;
	int rc = store_sqlite_number(sqlite, "PRAGMA user_version", &version, err);

	if (rc >= 0 && version > n_steps)
		return err_set(err, ERR_SYSTEM,
			"its schema is version %" PRId64 ", this mayfly knows up to %d: a newer "
			"mayfly has written it",
			version, n_steps);
	for (int i = version; rc >= 0 && i < n_steps; i++)
		rc = store_migrate_step(sqlite, steps[i], i + 1, err);
	return rc;
}
