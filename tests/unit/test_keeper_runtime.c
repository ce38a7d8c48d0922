/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Python and Node as they are: three hundred calls, each of which changes something, find the same.
 */
#include "unit.h"

#include <string.h>

#include "keeper_kit.h"

#define CALLS 300

static struct keeper_kit kit;

static const char python[] = "import json, gc, socket\n"
			     "count, kept = 0, []\n"
			     "def handle(line):\n"
			     "    global count\n"
			     "    count += 1\n"
			     "    event = json.loads(line) if line[0] == 123 else {}\n"
			     "    kept.append(event)\n"
			     "    if 'large' in event:\n"
			     "        kept.append(json.loads(json.dumps([{'n': i, 's': 'x' * 40}\n"
			     "            for i in range(event['large'])])))\n"
			     "    if 'bytes' in event:\n"
			     "        kept.append(bytearray(event['bytes']))\n"
			     "    if 'collect' in event:\n"
			     "        gc.collect()\n"
			     "    return f'{count} {len(kept)}\\n'.encode()\n"
			     "channel = socket.socket(fileno=3)\n"
			     "while line := channel.recv(65536):\n"
			     "    channel.sendall(handle(line))\n";

static const char node[] =
	"const net = require('net');\n"
	"const channel = new net.Socket({fd: 3, readable: true, writable: true});\n"
	"let count = 0; const kept = [];\n"
	"channel.on('data', data => {\n"
	"  const line = data.toString(), event = line[0] === '{' ? JSON.parse(line) : {};\n"
	"  count++; kept.push(event);\n"
	"  if (event.large) kept.push(JSON.parse(JSON.stringify(\n"
	"    Array.from({length: event.large}, (_, n) => ({n, s: 'x'.repeat(40)})))));\n"
	"  if (event.bytes) kept.push(Buffer.alloc(event.bytes, 1));\n"
	"  for (let i = 0; event.collect && i < 4000; i++)\n"
	"    kept.push(Array.from({length: 100}, (_, n) => ({n, s: `${i} ${n}`})));\n"
	"  channel.write(`${count} ${kept.length}\\n`);\n"
	"});\n";

static void
a_counter_stays(const char *const *argv, enum keeper_mechanism mechanism)
{
	static const char *const events[] = {"{}", "{\"large\": 20000}", "{\"bytes\": 52428800}",
		"{\"collect\": 1}", "{\"name\": \"x\"}"};
	char first[5][KIT_ANSWER_MAX], now[KIT_ANSWER_MAX];

	kit_start(&kit, argv);
	for (int i = 0; i < 50; i++)
		kit_call_well(&kit, events[i % 5 == 2 ? 0 : i % 5], now);
	kit_keep_well(&kit, mechanism);
	for (int i = 0; i < CALLS; i++) {
		int which = i < 5 ? i : i % 15 == 0 ? 1 + i / 15 % 3 : 0;

		kit_call_well(&kit, events[which], i < 5 ? first[i] : now);
		if (i >= 5)
			assert_string_equal(now, first[which]);
		kit_renew_well(&kit);
	}
	assert_string_equal(first[0], first[4]);
	kit_stop(&kit);
}

static void
three_hundred_calls_of_python_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/python3", "-S", "-c", python, NULL};

	a_counter_stays(argv, KEEPER_ROLLBACK);
}

static void
three_hundred_calls_of_node_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/node", "-e", node, NULL};

	a_counter_stays(argv, KEEPER_ROLLBACK);
}

static void
three_hundred_forks_of_python_find_the_same_state(void **state)
{
	const char *argv[] = {"/usr/bin/python3", "-S", "-c", python, NULL};

	a_counter_stays(argv, KEEPER_FORK);
}

UNIT_TESTS(it(three_hundred_calls_of_python_find_the_same_state),
	it(three_hundred_calls_of_node_find_the_same_state),
	it(three_hundred_forks_of_python_find_the_same_state))
