/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fuzz_spawner - spawner_protocol_check() lets nothing through that the spawner could not bear.
 *
 * The first byte is the number of descriptors, the rest the request. What is let through has its
 * indexes in range, names that cannot leave their folder, and limits that can be set.
 */
#include "fuzz.h"

#include "sandbox/spawner_protocol.h"

static void
check_tree(const char tree[static ID_SHA256_SIZE])
{
	must(strnlen(tree, ID_SHA256_SIZE) == ID_SHA256_SIZE - 1);
	must(strspn(tree, "0123456789abcdef") == ID_SHA256_SIZE - 1);
}

static void
check_start(const struct spawner_request *request, size_t n_fds)
{
	must(request->kind <= SANDBOX_BUILD);
	must(request->root < 3);
	must(n_fds == 3 + request->has_output);
	must(request->limits.memory_bytes >= 1 << 20 && request->limits.memory_bytes <= 1ull << 40);
	must(request->limits.processes >= 2 && request->limits.open_files >= 16);
	must(request->limits.tmp_bytes > 0 && request->limits.tmp_bytes <= 1ull << 40);
	check_tree(request->tree);
	if (request->deps[0])
		check_tree(request->deps);
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static const struct spawner_bounds bounds = {.n_sandboxes = 5, .n_roots = 3};
	struct spawner_request request = {0};
	struct err err = {0};
	size_t n_fds;

	if (size < 1)
		return 0;
	n_fds = bytes[0];
	size--;
	memcpy(&request, bytes + 1, size < sizeof(request) ? size : sizeof(request));
	if (spawner_protocol_check(&request, size, n_fds, &bounds, &err) < 0) {
		must(err.code == ERR_INVALID && err.text[0]);
		return 0;
	}
	must(size == sizeof(request));
	must(request.op == SPAWNER_REMOVE || request.sandbox < 5);
	if (request.op == SPAWNER_START)
		check_start(&request, n_fds);
	else
		must(n_fds == 0);
	if (request.op == SPAWNER_REMOVE)
		check_tree(request.tree);
	return 0;
}
