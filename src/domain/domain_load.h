/* SPDX-License-Identifier: Apache-2.0 */
/*
 * domain_load - the registry out of the store: orgs, tokens, functions and their versions, as they
 * were acknowledged. Before the loop runs. Nothing is started; versions have no pool yet.
 */
#ifndef MAYFLY_DOMAIN_DOMAIN_LOAD_H
#define MAYFLY_DOMAIN_DOMAIN_LOAD_H

#include "domain/domain.h"

int domain_load(struct domain *domain, struct err *err);

#endif
