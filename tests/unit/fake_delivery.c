/* SPDX-License-Identifier: Apache-2.0 */
#include "fake_delivery.h"

#include "domain/function.h"

struct fake_delivery fake_delivery;

void
fake_delivery_reset(void)
{
	for (unsigned i = 0; i < fake_delivery.n; i++)
		free(fake_delivery.puts[i].body);
	fake_delivery = (struct fake_delivery){0};
}

static bool
is_known(struct str key)
{
	for (unsigned i = 0; i < fake_delivery.n; i++)
		if (str_eq(str_of(fake_delivery.puts[i].idempotency_key), key))
			return true;
	return false;
}

static void
note(const struct delivery_request *request, struct fake_put *put)
{
	snprintf(put->function, sizeof(put->function), "%s", request->function->name);
	snprintf(put->source, sizeof(put->source), "%s", request->source);
	snprintf(put->order_key, sizeof(put->order_key), "%.*s", STR_ARG(request->order_key));
	snprintf(put->idempotency_key, sizeof(put->idempotency_key), "%.*s",
		STR_ARG(request->idempotency_key));
	put->body = str_dup(request->body);
	put->attempts = request->policy ? request->policy->attempts : 0;
}

void
delivery_put(struct delivery_host *host, const struct delivery_request *request,
	delivery_put_fn *done, void *arg)
{
	struct delivery_accepted accepted = {.is_known = is_known(request->idempotency_key)};
	struct fake_put *put = &fake_delivery.puts[fake_delivery.n];
	struct err err = {0};

	if (accepted.is_known) {
		done(0, &accepted, NULL, arg);
		return;
	}
	if (fake_delivery.refuse_from && fake_delivery.n + 1 >= fake_delivery.refuse_from) {
		done(err_set(&err, ERR_RATE, "the queue is full"), NULL, &err, arg);
		return;
	}
	must(fake_delivery.n < FAKE_PUTS);
	note(request, put);
	fake_delivery.n++;
	put->done = done;
	put->arg = arg;
	if (!fake_delivery.is_held)
		done(0, &accepted, NULL, arg);
}

void
fake_delivery_release(void)
{
	const struct delivery_accepted accepted = {.is_known = false};

	fake_delivery.is_held = false;
	for (unsigned i = 0; i < fake_delivery.n; i++)
		fake_delivery.puts[i].done(0, &accepted, NULL, fake_delivery.puts[i].arg);
}

void
delivery_function_changed(struct function *function)
{
}

void
delivery_function_gone(struct function *function)
{
}
