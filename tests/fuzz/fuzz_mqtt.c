/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_mqtt - what a broker of MQTT in WebSocket sends: whatever it is and however it is cut, the
 * session takes it or ends with a reason, and says the same both times.
 *
 * The first byte: 0 the head of the answer to the upgrade, else what comes behind it; how long the
 * parts are.
 */
#include "fuzz.h"

#include <stdio.h>

#include "../unit/mqtt_kit.h"

static int
fuzz_feed(struct mqtt_kit *kit, struct str bytes, size_t part)
{
	int rc = 0;

	mqtt_kit_open(kit);
	mqtt_kit_upgrade(kit);
	while (rc == 0 && bytes.len) {
		size_t n = bytes.len < part ? bytes.len : part;

		rc = mqtt_kit_feed(kit, str_n(bytes.at, n));
		bytes = str_n(bytes.at + n, bytes.len - n);
	}
	must(rc == 0 || (rc == kit->err.code && kit->err.text[0]));
	must(kit->n_up <= 1);
	return rc;
}

static void
fuzz_session(struct str bytes, size_t part)
{
	struct mqtt_kit whole, cut;
	int one = fuzz_feed(&whole, bytes, bytes.len), other = fuzz_feed(&cut, bytes, part);

	must(one == other && whole.n_up == cut.n_up);
	must(whole.n_messages == cut.n_messages && whole.n_too_large == cut.n_too_large);
	must(str_eq(buf_str(&whole.body), buf_str(&cut.body)));
	mqtt_kit_close(&whole);
	mqtt_kit_close(&cut);
}

static void
fuzz_answer(struct str bytes)
{
	struct err err = {0};
	int64_t n = websocket_answer(bytes, "dGhlIHNhbXBsZSBub25jZQ==", &err);

	must(n <= (int64_t)bytes.len && (n >= 0 || (n == err.code && err.text[0])));
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	if (size < 2)
		return 0;
	if (bytes[0] == 0)
		fuzz_answer(str_n(bytes + 1, size - 1));
	else
		fuzz_session(str_n(bytes + 1, size - 1), bytes[0]);
	return 0;
}
