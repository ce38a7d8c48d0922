/* SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <sys/random.h>

#include "addon.h"

/* RAND_METHOD of OpenSSL 1.0 to 3: RAND_bytes() and RAND_priv_bytes(), and with them keys, TLS and
 * signatures, ask it instead of a generator of OpenSSL's own. */
struct method {
	int (*seed)(const void *bytes, int size);
	int (*bytes)(unsigned char *ret, int size);
	void (*cleanup)(void);
	int (*add)(const void *bytes, int size, double entropy);
	int (*pseudo)(unsigned char *ret, int size);
	int (*status)(void);
};

static int
fill(unsigned char *ret, int size)
{
	size_t at = 0;

	while (size > 0 && at < (size_t)size) {
		ssize_t n = getrandom(ret + at, (size_t)size - at, 0);

		if (n < 0 && errno != EINTR)
			return 0;
		at += n > 0 ? (size_t)n : 0;
	}
	return size >= 0;
}

static int
take_seed(const void *bytes, int size)
{
	(void)bytes;
	(void)size;
	return 1;
}

static int
take_entropy(const void *bytes, int size, double entropy)
{
	(void)entropy;
	return take_seed(bytes, size);
}

static int
is_seeded(void)
{
	return 1;
}

const char *
addon_random_start(void)
{
	static const struct method kernel = {
		.seed = take_seed,
		.bytes = fill,
		.add = take_entropy,
		.pseudo = fill,
		.status = is_seeded,
	};
	void *found = dlsym(RTLD_DEFAULT, "RAND_set_rand_method");
	void *reader = dlsym(RTLD_DEFAULT, "RAND_get_rand_method");
	int (*set)(const struct method *method);
	const struct method *(*get)(void);

	if (!found || !reader)
		return "its OpenSSL cannot be told where random bytes come from";
	*(void **)&set = found;
	*(void **)&get = reader;
	if (set(&kernel) != 1 || get() != &kernel)
		return "its OpenSSL keeps a random generator of its own";
	return NULL;
}
