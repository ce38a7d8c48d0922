/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/own.h"
#include "net/egress_inside.h"

#define NAMES_TTL_S    30   /* told to the function, and how long an answer is given again */
#define NAMES_FAULT_MS 2000 /* the same for an answer without addresses */
#define NAMES_OPEN_MS                                                                              \
	(300 * 1000) /* how long an address that was given out may be connected to                 \
		      */

/* An address that was given out for a name. */
struct egress_known {
	struct egress_address address;
	uint64_t until_ms;
	bool is_current; /* in the newest answer */
	bool is_of_call; /* became known in the call that runs */
};

struct egress_name {
	struct list link;      /* in egress.names */
	struct egress *egress; /* borrowed */
	char *name;            /* owned */
	uint64_t rules;        /* bit n: rule n has this name */
	struct egress_known known[EGRESS_ADDRESSES_MAX];
	unsigned n_known;
	enum egress_dns_code code; /* of the newest answer */
	uint64_t fresh_until_ms;
	bool is_of_call;
	struct egress_lookup *lookup; /* owned while it runs */
	struct list waiting;          /* of egress_question; owned */
};

static uint64_t
names_now_ms(void)
{
	return clock_mono_us() / 1000;
}

/* ---- the table ---- */

static uint64_t
names_find_rules(const struct egress *egress, const char *name)
{
	uint64_t rules = 0;

	for (size_t i = 0; i < egress->n_rules; i++)
		if (egress_rule_has_name(&egress->rules[i], name))
			rules |= UINT64_C(1) << i;
	return rules;
}

static struct egress_name *
names_find(struct egress *egress, const char *name)
{
	struct egress_name *item;

	list_each (&egress->names, item, link)
		if (strcmp(item->name, name) == 0)
			return item;
	return NULL;
}

static void ON_LOOP
names_drop_questions(struct egress_name *name)
{
	struct egress_question *question;

	list_each (&name->waiting, question, link) {
		list_remove(&question->link);
		name->egress->n_questions--;
		free(question);
	}
	if (name->lookup)
		egress_lookup_drop(take_ptr(&name->lookup));
}

static void ON_LOOP
names_free(struct egress_name *name)
{
	names_drop_questions(name);
	list_remove(&name->link);
	name->egress->n_names--;
	free(name->name);
	free(name);
}

/* The one that was not asked for longest makes room, but for those that somebody waits for. */
static bool ON_LOOP
names_make_room(struct egress *egress)
{
	struct egress_name *item;

	if (egress->n_names < EGRESS_NAMES_MAX)
		return true;
	list_each (&egress->names, item, link) {
		if (!list_is_empty(&item->waiting))
			continue;
		names_free(item);
		return true;
	}
	return false;
}

static struct egress_name *ON_LOOP
names_get(struct egress *egress, const char *text, uint64_t rules)
{
	struct egress_name *name = names_find(egress, text);

	if (!name && names_make_room(egress)) {
		name = mem_new(sizeof(*name));
		name->egress = egress;
		name->name = str_dup(str_of(text));
		name->rules = rules;
		name->is_of_call = egress->is_in_call;
		list_init(&name->waiting);
		list_init(&name->link);
		egress->n_names++;
	}
	if (name) {
		list_remove(&name->link);
		list_push_back(&egress->names, &name->link);
	}
	return name;
}

/* ---- addresses ---- */

/* Its place, or that of the one that ends first. */
static struct egress_known *
names_place(struct egress_name *name, const struct egress_address *address)
{
	struct egress_known *oldest = &name->known[0];

	for (unsigned i = 0; i < name->n_known; i++) {
		struct egress_known *known = &name->known[i];

		if (memcmp(&known->address, address, sizeof(*address)) == 0)
			return known;
		if (known->until_ms < oldest->until_ms)
			oldest = known;
	}
	if (name->n_known < EGRESS_ADDRESSES_MAX)
		oldest = &name->known[name->n_known++];
	*oldest =
		(struct egress_known){.address = *address, .is_of_call = name->egress->is_in_call};
	return oldest;
}

/* What may not be reached is not given out either. */
static void ON_LOOP
names_learn(struct egress_name *name, const struct egress_address *addresses, size_t n)
{
	uint64_t until_ms = names_now_ms() + NAMES_OPEN_MS;
	const char *fault = NULL;
	char text[EGRESS_TEXT_SIZE];
	bool has_any = false;

	for (unsigned i = 0; i < name->n_known; i++)
		name->known[i].is_current = false;
	for (size_t i = 0; i < n; i++) {
		const char *why = egress_host_fault(name->egress->host, &addresses[i]);
		struct egress_known *known;

		if (why && !fault)
			egress_address_text(&addresses[i], text);
		if (why) {
			fault = fault ? fault : why;
			continue;
		}
		known = names_place(name, &addresses[i]);
		known->until_ms = until_ms;
		known->is_current = has_any = true;
	}
	name->fresh_until_ms = names_now_ms() + (has_any ? NAMES_TTL_S * 1000 : NAMES_FAULT_MS);
	if (fault && !has_any)
		egress_say(name->egress, "%s has no address that may be reached: %s is %s",
			name->name, text, fault);
}

bool
egress_names_allow(struct egress *egress, const struct egress_address *address, uint16_t port)
{
	uint64_t now_ms = names_now_ms();
	struct egress_name *name;

	list_each (&egress->names, name, link) {
		bool has_port = false;

		for (size_t i = 0; i < egress->n_rules; i++)
			has_port |= (name->rules >> i & 1) &&
				    egress_rule_has_port(&egress->rules[i], port);
		for (unsigned i = 0; has_port && i < name->n_known; i++)
			if (name->known[i].until_ms > now_ms &&
				memcmp(&name->known[i].address, address, sizeof(*address)) == 0)
				return true;
	}
	return false;
}

/* ---- questions ---- */

static void ON_LOOP
names_answer(struct egress_name *name, struct egress_question *question)
{
	struct egress_address addresses[EGRESS_ADDRESSES_MAX];
	size_t n = 0;

	for (unsigned i = 0; i < name->n_known; i++)
		if (name->known[i].is_current)
			addresses[n++] = name->known[i].address;
	egress_server_answer(name->egress, question, name->code, addresses, n);
}

/* An answer may end a client, and with it other questions. */
static void ON_LOOP
names_on_found(
	enum egress_dns_code code, const struct egress_address *addresses, size_t n, void *arg)
{
	struct egress_name *name = arg;
	struct egress_question *question;

	name->lookup = NULL;
	name->code = code;
	names_learn(name, addresses, n);
	while ((question = list_first(&name->waiting, struct egress_question, link))) {
		list_remove(&question->link);
		name->egress->n_questions--;
		names_answer(name, question);
	}
}

void
egress_names_ask(struct egress *egress, struct egress_question *question)
{
	const char *text = question->asked.name;
	uint64_t rules = names_find_rules(egress, text);
	struct egress_name *name;

	if (!*text || !rules) {
		if (*text)
			egress_say(
				egress, "%s is not resolved: network.allow does not have it", text);
		egress_server_answer(egress, question, EGRESS_DNS_NO_NAME, NULL, 0);
		return;
	}
	if (question->asked.type != EGRESS_DNS_TYPE_A &&
		question->asked.type != EGRESS_DNS_TYPE_AAAA) {
		egress_server_answer(egress, question, EGRESS_DNS_OK, NULL, 0);
		return;
	}
	name = egress->n_questions < EGRESS_QUESTIONS_MAX ? names_get(egress, text, rules) : NULL;
	if (!name) {
		egress_server_answer(egress, question, EGRESS_DNS_FAILED, NULL, 0);
		return;
	}
	if (!name->lookup && name->fresh_until_ms > names_now_ms()) {
		names_answer(name, question);
		return;
	}
	list_push_back(&name->waiting, &question->link);
	egress->n_questions++;
	if (!name->lookup)
		name->lookup = egress_lookup_start(
			egress->host, egress->owner, text, names_on_found, name);
}

void
egress_names_drop(struct egress *egress, const struct egress_client *client)
{
	struct egress_name *name;
	struct egress_question *question;

	list_each (&egress->names, name, link)
		list_each (&name->waiting, question, link) {
			if (question->client != client)
				continue;
			list_remove(&question->link);
			egress->n_questions--;
			free(question);
		}
}

static void
names_forget_addresses(struct egress_name *name)
{
	unsigned n = 0;

	for (unsigned i = 0; i < name->n_known; i++)
		if (!name->known[i].is_of_call)
			name->known[n++] = name->known[i];
	if (n < name->n_known)
		name->fresh_until_ms = 0;
	name->n_known = n;
}

void
egress_names_forget(struct egress *egress, bool is_all)
{
	struct egress_name *name;

	list_each (&egress->names, name, link) {
		if (is_all || name->is_of_call) {
			names_free(name);
		} else {
			names_drop_questions(name);
			names_forget_addresses(name);
		}
	}
}
