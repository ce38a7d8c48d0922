/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_delivery - durable calls that are played: what is put is noted, and answered as told.
 */
#ifndef MAYFLY_FAKE_DELIVERY_H
#define MAYFLY_FAKE_DELIVERY_H

#include "domain/delivery.h"

#define FAKE_PUTS 64

struct fake_put {
	char function[64], url[129], source[64], order_key[129], idempotency_key[129];
	char *body;        /* owned */
	unsigned attempts; /* of its policy; 0 without */
	uint32_t hops;
	delivery_put_fn *done;
	void *arg;
};

struct fake_delivery {
	struct fake_put puts[FAKE_PUTS]; /* that were not known */
	unsigned n;
	unsigned refuse_from; /* this put and all behind it are refused; 0: none */
	bool is_held;         /* answers wait for fake_delivery_release() */
};
extern struct fake_delivery fake_delivery;

void fake_delivery_reset(void);
void fake_delivery_release(void) ON_LOOP;

#endif
