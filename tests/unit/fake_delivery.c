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

/* Where to note it; NULL when it is answered already. */
static struct fake_put *
take(struct str idempotency_key, delivery_put_fn *done, void *arg) ON_LOOP
{
	struct delivery_accepted accepted = {.is_known = is_known(idempotency_key)};
	struct fake_put *put = &fake_delivery.puts[fake_delivery.n];
	struct err err = {0};

	if (accepted.is_known) {
		done(0, &accepted, NULL, arg);
		return NULL;
	}
	if (fake_delivery.refuse_from && fake_delivery.n + 1 >= fake_delivery.refuse_from) {
		done(err_set(&err, ERR_RATE, "the queue is full"), NULL, &err, arg);
		return NULL;
	}
	must(fake_delivery.n < FAKE_PUTS);
	snprintf(put->idempotency_key, sizeof(put->idempotency_key), "%.*s",
		STR_ARG(idempotency_key));
	fake_delivery.n++;
	put->done = done;
	put->arg = arg;
	return put;
}

static void
answer(struct fake_put *put) ON_LOOP
{
	const struct delivery_accepted accepted = {.is_known = false};

	if (!fake_delivery.is_held)
		put->done(0, &accepted, NULL, put->arg);
}

void
delivery_put(struct delivery_host *host, const struct delivery_request *request,
	delivery_put_fn *done, void *arg)
{
	struct fake_put *put = take(request->idempotency_key, done, arg);

	if (!put)
		return;
	snprintf(put->function, sizeof(put->function), "%s", request->function->name);
	snprintf(put->source, sizeof(put->source), "%s", request->source);
	snprintf(put->order_key, sizeof(put->order_key), "%.*s", STR_ARG(request->order_key));
	put->body = str_dup(request->body);
	put->attempts = request->policy ? request->policy->attempts : 0;
	put->hops = request->hops;
	answer(put);
}

void
delivery_post(struct delivery_host *host, const struct delivery_post *post, delivery_put_fn *done,
	void *arg)
{
	struct fake_put *put = take(post->idempotency_key, done, arg);

	if (!put)
		return;
	snprintf(put->url, sizeof(put->url), "%s", post->url);
	snprintf(put->source, sizeof(put->source), "%s", post->source);
	snprintf(put->order_key, sizeof(put->order_key), "%.*s", STR_ARG(post->order_key));
	put->body = str_dup(post->body);
	put->attempts = post->policy ? post->policy->attempts : 0;
	put->hops = post->hops;
	answer(put);
}

void
fake_delivery_release(void)
{
	const struct delivery_accepted accepted = {.is_known = false};
	unsigned n = fake_delivery.n; /* what is put meanwhile is answered at once */

	fake_delivery.is_held = false;
	for (unsigned i = 0; i < n; i++)
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

bool
delivery_has_tasks(const struct delivery_host *host)
{
	return false;
}

void
delivery_org_gone(struct domain *domain, const char *org)
{
}
