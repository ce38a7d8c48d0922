/* SPDX-License-Identifier: Apache-2.0 */
/*
 * config_table - the keys, one row each, in the order of `--help`.
 */
#include "daemon/config.h"

#include "domain/limits.h"

#define TEXT(name, field, value, text)                                                             \
	{                                                                                          \
#name, CONFIG_TEXT, offsetof(struct config, field), value, 0, 0, NULL, SECTION,    \
			text                                                                       \
	}
#define LIST(name, field, value, text)                                                             \
	{                                                                                          \
#name, CONFIG_LIST, offsetof(struct config, field), value, 0, 0, NULL, SECTION,    \
			text                                                                       \
	}
#define CHOICE(name, field, value, choices, text)                                                  \
	{                                                                                          \
#name, CONFIG_CHOICE, offsetof(struct config, field), value, 0, 0, choices,        \
			SECTION, text                                                              \
	}
#define NUMBER(name, field, value, min, max, text)                                                 \
	{                                                                                          \
#name, CONFIG_NUMBER, offsetof(struct config, field), value, min, max, NULL,       \
			SECTION, text                                                              \
	}
#define SIZE(name, field, value, min, max, text)                                                   \
	{                                                                                          \
#name, CONFIG_SIZE, offsetof(struct config, field), value, min, max, NULL,         \
			SECTION, text                                                              \
	}
#define DURATION(name, field, value, min, max, text)                                               \
	{                                                                                          \
#name, CONFIG_DURATION, offsetof(struct config, field), value, min, max, NULL,     \
			SECTION, text                                                              \
	}

#define KIB   1024ull
#define MIB   (1024 * KIB)
#define GIB   (1024 * MIB)
#define HOURS 3600000ull

static const struct config_key config_keys[] = {
#define SECTION "Daemon"
	TEXT(data_dir, data_dir, "/var/lib/mayfly",
		"folder of everything that must survive; one daemon at a time"),
	TEXT(user, user, "mayfly",
		"user that the daemon becomes when it was started as root; `nobody` where there is "
		"no such user"),
	LIST(listen, listen, "127.0.0.1:8080",
		"addresses for HTTP, host:port or [host]:port; port 0 takes a free one"),
	LIST(tls_listen, tls_listen, "", "addresses for HTTPS"),
	TEXT(tls_certificate, tls_certificate, "",
		"PEM file with the certificate and its chain; read again on SIGHUP"),
	TEXT(tls_key, tls_key, "", "PEM file with the key"),
	CHOICE(log_format, log_format, "logfmt", "logfmt json", "form of the daemon's own log"),
	CHOICE(log_level, log_level, "info", "debug info warn error",
		"least level of what is logged"),
	CHOICE(metrics, metrics, "token", "token open",
		"whether /metrics needs a token; without one it shows every org's figures"),
	DURATION(grace, grace_ms, "30s", 0, HOURS,
		"most that calls in flight may take to finish when the daemon stops"),
	DURATION(drain, drain_ms, "0ms", 0, HOURS,
		"time between /readyz saying 503 and the listeners closing, for load balancers"),
#undef SECTION
#define SECTION "HTTP"
	NUMBER(http_connections, http_connections, "10000", 1, 1000000,
		"connections open at one time; further ones are answered 503"),
	SIZE(http_header_bytes, http_header_bytes, "32KiB", KIB, MIB,
		"size of a request's line and headers together"),
	SIZE(http_target_bytes, http_target_bytes, "8KiB", 256, MIB, "length of a target"),
	NUMBER(http_headers, http_headers, "100", 8, 10000, "number of headers"),
	DURATION(http_header_time, http_header_ms, "10s", 100, HOURS,
		"from the first byte of a request to the end of its headers"),
	DURATION(http_idle_time, http_idle_ms, "75s", 100, 24 * HOURS,
		"how long a connection without a request is kept"),
	SIZE(http_body_rate, http_body_rate_bytes, "1KiB", 1, GIB,
		"least speed of a request's body, per second over five seconds"),
	DURATION(http_write_time, http_write_ms, "30s", 100, HOURS,
		"how long a client may take nothing of its answer"),
	SIZE(http_body_memory, http_body_memory_bytes, "1GiB", MIB, 1024 * GIB,
		"memory of all request bodies together; beyond it requests are answered 503"),
	NUMBER(http_streams, http_streams, "128", 1, 10000,
		"requests at one time on one HTTP/2 connection"),
	NUMBER(followers, followers, "1000", 1, 1000000,
		"clients that follow events or logs; further ones are answered 429"),
	NUMBER(followers_org, followers_org, "100", 1, 1000000, "the same of one organisation"),
	NUMBER(waits, waits, "5000", 1, 1000000,
		"requests that wait for something (?wait=30s); further ones are answered 429"),
	NUMBER(waits_org, waits_org, "500", 1, 1000000, "the same of one organisation"),
#undef SECTION
#define SECTION "Sandboxes"
	TEXT(cgroup_parent, cgroup_parent, "mayfly",
		"name of mayfly's group below each controller"),
	NUMBER(uid_base, uid_base, "200000", 1000, 4000000000,
		"first of the user ids of sandboxes, one for each of max_sandboxes"),
	NUMBER(max_sandboxes, max_sandboxes, "4096", 1, 4096, "sandboxes at one time, builds too"),
	LIST(runtime_folders, runtime_folders, "",
		"further folders to look for node and python in, behind $PATH and /opt/*/bin"),
#undef SECTION
#define SECTION "Functions"
	NUMBER(max_instances, max_instances, "1000", 1, 4096,
		"most instances of one function that it may ask for; 16 when it says nothing"),
	NUMBER(max_instances_total, max_instances_total, "2000", 1, 4096,
		"instances of all functions together"),
	NUMBER(max_concurrency, max_concurrency, "1000", 1, 1000,
		"most calls at one time in an instance that a function may ask for"),
	DURATION(idle_time, idle_ms, "60s", 100, 24 * HOURS,
		"how long an instance without calls is kept"),
	DURATION(boot_time, boot_ms, "10s", 100, HOURS,
		"from an instance's start to its first call"),
	NUMBER(starts, starts, "0", 0, 1024,
		"instances that start at one time, organisations take turns; 0 is two for each "
		"processor"),
	NUMBER(queue_calls, queue_calls, "1000", 0, 1000000,
		"calls of one function that wait for an instance; further ones are answered 429"),
	DURATION(queue_time, queue_ms, "30s", 10, 24 * HOURS,
		"how long a call may wait for an instance; then it is answered 429, or 503 where "
		"the "
		"machine had no place"),
	SIZE(queue_bytes, queue_bytes, "512MiB", MIB, 1024 * GIB,
		"bodies of all waiting calls together"),
	SIZE(source_bytes, source_bytes, "64MiB", KIB, 4 * GIB, "size of an upload of source"),
	NUMBER(keep_versions, keep_versions, "50", 1, 10000,
		"versions kept of a function; the active one always stays"),
	NUMBER(keep_calls, keep_calls, "10000", 0, 100000000, "call records kept of a function"),
	NUMBER(keep_days, keep_days, "7", 1, 3650, "days that call records are kept"),
#undef SECTION
#define SECTION "Queues"
	NUMBER(queue_length_org, queue_length_org, "100000", 1, 100000000,
		"durable calls of one organisation that may wait; further ones are answered 429"),
	CHOICE(bus, bus, "embedded", "embedded rabbitmq",
		"where durable calls wait: in the store, or in a RabbitMQ (docs/rabbitmq.md)"),
	TEXT(amqp_url, amqp_url, "",
		"a RabbitMQ: amqp[s]://[user@]host[:port][/vhost], without a password"),
	TEXT(amqp_password_file, amqp_password_file, "",
		"file whose first line is its password; read before the daemon gives up its "
		"rights"),
	TEXT(amqp_ca_file, amqp_ca_file, "",
		"PEM file with the authorities that may sign its certificate; the system's "
		"without it"),
	SIZE(queue_memory, queue_memory_bytes, "64MiB", MIB, GIB,
		"durable calls that wait in memory too, and as much of those in hand beyond 8 MiB "
		"of a function; others are read again"),
	LIST(callback_private, callback_private, "",
		"private ranges that callbacks and other posts may lead to: 10.1.0.0/16; each "
		"opens "
		"the special range it lies in, at most"),
#undef SECTION
#define SECTION "vCloud Director"
	TEXT(vcd_exchange, vcd_exchange, "",
		"exchange of its API extension, which is there already; requests are taken from it "
		"where one is named (docs/vcloud-director.md)"),
	TEXT(vcd_routing_key, vcd_routing_key, "mayfly",
		"routing key of the service, and name of its queue"),
	LIST(vcd_notifications, vcd_notifications, "",
		"exchanges of its notifications, vcd.notifications20 (JSON) and systemExchange "
		"(XML); they become events where one is named"),
	TEXT(vcd_source, vcd_source, "urn:vcloud:cell", "source of these events"),
	TEXT(vcd_orgs, vcd_orgs, "",
		"its organisations and whose they are here: <UUID or name>=<org>, …"),
	TEXT(vcd_mqtt_url, vcd_mqtt_url, "",
		"its own broker, wss://HOST/messaging/mqtt: requests of an extension over MQTT are "
		"taken from it where one is named"),
	TEXT(vcd_mqtt_name, vcd_mqtt_name, "",
		"the extension that was registered: vendor/name/version"),
	TEXT(vcd_mqtt_token_file, vcd_mqtt_token_file, "",
		"file whose first line is the extension's token; read before the daemon gives up "
		"its rights"),
	TEXT(vcd_mqtt_ca_file, vcd_mqtt_ca_file, "",
		"PEM file with the authorities that may sign its certificate; the system's "
		"without it"),
	NUMBER(vcd_calls, vcd_calls, "256", 1, 100000,
		"requests under way; further ones are answered 429"),
	DURATION(vcd_timeout, vcd_timeout_ms, "10s", 100, HOURS,
		"how long it waits for an answer (extensibility.timeout)"),
	TEXT(vcd_url, vcd_url, "",
		"its address, https://vcd.example, for blocking tasks that functions decide"),
	TEXT(vcd_user, vcd_user, "", "who answers them: a system administrator, <user>@System"),
	TEXT(vcd_password_file, vcd_password_file, "",
		"file whose first line is the password; read before the daemon gives up its "
		"rights"),
	TEXT(vcd_ca_file, vcd_ca_file, "",
		"PEM file with the authorities that may sign its certificate; the system's "
		"without it"),
	TEXT(vcd_api_version, vcd_api_version, "36.0",
		"version of its API that is spoken; it has a session of its cloudapi from 33.0 "
		"on"),
#undef SECTION
#define SECTION "Builds"
	NUMBER(builds, builds, "2", 1, 64, "builds of dependencies at one time"),
	DURATION(build_time, build_ms, "5m", 1000, 24 * HOURS, "wall time of a build"),
	SIZE(build_memory, build_memory_bytes, "1GiB", 64 * MIB, 1024 * GIB,
		"memory of a build, what it writes included"),
	SIZE(build_bytes, build_bytes, "512MiB", MIB, 1024 * GIB, "what a build may write"),
	TEXT(npm_registry, npm_registry, "https://registry.npmjs.org/",
		"registry that node functions install from"),
	TEXT(pip_index, pip_index, "https://pypi.org/simple/",
		"index that python functions install from"),
	LIST(build_hosts, build_hosts, "files.pythonhosted.org:443",
		"further host:port that builds may reach"),
#undef SECTION
#define SECTION "Network of functions"
	LIST(egress_private, egress_private, "",
		"private ranges that functions may reach when they list them: 10.1.0.0/16; each "
		"opens "
		"the special range that it lies in, at most"),
	NUMBER(egress_connections, egress_connections, "64", 1, 10000,
		"connections to the outside at one time of one instance of a function"),
	DURATION(egress_connect_time, egress_connect_ms, "10s", 100, HOURS,
		"how long a destination may take to answer a connection"),
	DURATION(egress_idle_time, egress_idle_ms, "5m", 1000, 24 * HOURS,
		"how long a connection to the outside without a byte is kept"),
#undef SECTION
};

enum { CONFIG_KEYS = sizeof(config_keys) / sizeof(config_keys[0]) };

/* ---- limits: two keys for each row of domain/limits.h ---- */

#define X(field, value, floor, ceiling, text)                                                      \
	{{"limit_" #field, CONFIG_NUMBER, 0, #value, floor, UINT32_MAX, NULL,                      \
		 "Limits of a function: default and ceiling", text},                               \
		{"limit_" #field "_max", CONFIG_NUMBER, 0, #ceiling, floor, UINT32_MAX, NULL,      \
			"Limits of a function: default and ceiling", "ceiling of limit_" #field}},

static const struct {
	struct config_key value, ceiling;
} config_limits[] = {LIMITS(X)};
#undef X

const struct config_key *
config_each(size_t i)
{
	if (i < CONFIG_KEYS)
		return &config_keys[i];
	i -= CONFIG_KEYS;
	if (i >= 2 * (size_t)LIMITS_N)
		return NULL;
	return i % 2 ? &config_limits[i / 2].ceiling : &config_limits[i / 2].value;
}
