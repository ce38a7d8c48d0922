/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"

static const struct bus_ops *const all[] = {&bus_embedded, &bus_rabbitmq};

const struct bus_ops *
bus_find(struct str name)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (str_eq(name, str_of(all[i]->name)))
			return all[i];
	return NULL;
}
