/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/rabbitmq.h"

#include "amqp/amqp_frame.h"
#include "amqp/amqp_url.h"
#include "base/own.h"
#include "base/path.h"
#include "daemon/secret_file.h"

enum { RABBITMQ_HEARTBEAT_S = 30, RABBITMQ_PATIENCE_MS = 10000 };

/* ---- as root ---- */

int
rabbitmq_start(struct rabbitmq *rabbitmq, const struct config *config,
	const struct privileges *privileges, struct err *err)
{
	OWN(mem) char *program = path_join(path_libexec(), "mayfly-amqp");
	uid_t id = privileges->is_root ? config->uid_base + config->max_sandboxes : 0;
	struct amqp_url url;
	int rc;

	rabbitmq->process = (struct peer_process){.fd = -1, .pid = -1};
	if (!config->amqp_url[0])
		return strcmp(config->bus, "rabbitmq") == 0
			       ? err_field(err, ERR_INVALID, "amqp_url",
					 "bus = rabbitmq needs amqp_url")
			       : 0;
	rc = amqp_url_read(config->amqp_url, &url, err);
	if (rc == 0)
		rc = secret_file_read(
			config->amqp_password_file, "amqp_password_file", &rabbitmq->password, err);
	return rc < 0 ? rc
		      : peer_process_start(program, AMQP_LANES, id, id, &rabbitmq->process, err);
}

/* ---- what it says ---- */

static void
rabbitmq_on_up(void *arg)
{
	log_info("amqp.up", "url=%s", log_q(arg));
}

static void
rabbitmq_on_down(const struct err *why, void *arg)
{
	log_warn("amqp.down", "url=%s code=%s reason=%s", log_q(arg), err_word(why->code),
		log_q(why->text));
}

static void
rabbitmq_on_blocked(const char *why, void *arg)
{
	if (why[0])
		log_warn("amqp.blocked", "url=%s reason=%s", log_q(arg), log_q(why));
	else
		log_info("amqp.unblocked", "url=%s", log_q(arg));
}

static void
rabbitmq_on_refused(const char *what, const struct err *why, void *arg)
{
	log_error("amqp.refused", "what=%s code=%s reason=%s", log_q(what), err_word(why->code),
		log_q(why->text));
}

/* ---- afterwards ---- */

int
rabbitmq_open(
	struct rabbitmq *rabbitmq, const struct config *config, struct loop *loop, struct err *err)
{
	struct amqp_config amqp = {.loop = loop,
		.url = config->amqp_url,
		.password = rabbitmq->password,
		.ca_file = config->amqp_ca_file,
		.heartbeat_s = RABBITMQ_HEARTBEAT_S,
		.unconfirmed_ms = RABBITMQ_PATIENCE_MS,
		.on_up = rabbitmq_on_up,
		.on_down = rabbitmq_on_down,
		.on_blocked = rabbitmq_on_blocked,
		.arg = (void *)config->amqp_url};
	int rc;

	if (rabbitmq->process.fd < 0)
		return 0;
	amqp.process = rabbitmq->process;
	rabbitmq->process = (struct peer_process){.fd = -1, .pid = -1};
	rc = amqp_open(&amqp, &rabbitmq->amqp, err);
	secret_file_free(take_ptr(&rabbitmq->password));
	if (rc == 0)
		amqp_on_refused(rabbitmq->amqp, rabbitmq_on_refused, NULL);
	return rc;
}

void
rabbitmq_close(struct rabbitmq *rabbitmq)
{
	secret_file_free(take_ptr(&rabbitmq->password));
	if (rabbitmq->amqp)
		amqp_close(take_ptr(&rabbitmq->amqp), NULL, NULL);
	else if (rabbitmq->process.pid > 0)
		peer_process_stop(&rabbitmq->process);
}
