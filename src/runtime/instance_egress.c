/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/own.h"
#include "runtime/instance_inside.h"

enum { INSTANCE_TROUBLES_BYTES = 4096 };

/* ---- what its owner is told ---- */

/* The log may end a call, and with it the connections that this is about: it is written when the
 * turn is over. */
static void
instance_egress_on_trouble(struct egress *egress, const char *sentence, void *arg)
{
	struct instance *instance = arg;

	thread_on_loop();
	if (instance->egress_troubles.len + strlen(sentence) > INSTANCE_TROUBLES_BYTES ||
		(instance->egress_troubles.len && strstr(instance->egress_troubles.at, sentence)))
		return;
	buf_printf(&instance->egress_troubles, "mayfly: %s\n", sentence);
	loop_flush_soon(instance->loop, &instance->egress_flush);
}

void
instance_egress_drain(struct instance *instance)
{
	OWN(buf) struct buf troubles = instance->egress_troubles;
	struct instance_call *call = list_first(&instance->calls, struct instance_call, link);

	instance->egress_troubles = BUF_INIT;
	if (troubles.len == 0)
		return;
	if (instance->state == INSTANCE_STARTING)
		instance_log_boot(instance, buf_str(&troubles));
	else if (call && call->link.next == &instance->calls)
		instance_log_give(call, true, buf_str(&troubles));
}

static void
instance_egress_on_flush(struct loop_flush *flush)
{
	thread_on_loop();
	instance_egress_drain(list_owner(flush, struct instance, egress_flush));
}

/* ---- life ---- */

void
instance_egress_setup(struct instance *instance, const struct instance_network *network)
{
	list_init(&instance->egress_flush.link);
	instance->egress_flush.run = instance_egress_on_flush;
	if (!network)
		return;
	instance->egress =
		egress_new(network->host, &(struct egress_spec){
						  .rules = network->rules,
						  .n_rules = network->n_rules,
						  .owner = network->owner,
						  .on_trouble = instance_egress_on_trouble,
						  .arg = instance,
					  });
}

void
instance_egress_teardown(struct instance *instance)
{
	egress_free(take_ptr(&instance->egress));
	list_remove(&instance->egress_flush.link);
	buf_done(&instance->egress_troubles);
}

int
instance_egress_take(
	struct instance *instance, const struct sandbox_started *started, struct err *err)
{
	struct egress_sockets sockets = {.dns_udp = started->dns_udp,
		.dns_tcp = started->dns_tcp,
		.tcp = started->egress,
		.n = started->n_egress};

	if (instance->egress && started->dns_udp < 0)
		return err_set(err, ERR_SYSTEM, "the sandbox has no way out");
	if (instance->egress)
		return egress_listen(instance->egress, &sockets, err);
	must(started->dns_udp < 0 && started->n_egress == 0);
	return 0;
}

/* ---- calls ---- */

static bool
instance_egress_is_per_call(const struct instance *instance)
{
	return instance->egress && instance->mechanism != MECHANISM_NONE;
}

void
instance_egress_end_loading(struct instance *instance)
{
	if (instance_egress_is_per_call(instance))
		egress_end_call(instance->egress);
	if (instance->egress)
		egress_take_bytes(instance->egress, &instance->egress_bytes);
}

void
instance_egress_begin_call(struct instance *instance)
{
	if (instance_egress_is_per_call(instance))
		egress_begin_call(instance->egress);
}

void
instance_egress_end_call(struct instance *instance, struct instance_measure *measure)
{
	measure->egress = measure->egress_loading = (struct egress_bytes){0};
	if (!instance->egress)
		return;
	if (instance_egress_is_per_call(instance))
		egress_end_call(instance->egress);
	egress_take_bytes(instance->egress, &measure->egress);
	measure->egress_loading = instance->egress_bytes;
	instance->egress_bytes = (struct egress_bytes){0};
}
