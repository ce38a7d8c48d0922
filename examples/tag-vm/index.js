// SPDX-License-Identifier: Apache-2.0
'use strict';

// An event trigger hands over the CloudEvent as JSON. What is thrown here is tried again; what is
// returned is kept as the delivery's result, and goes on where `on_success` says.
exports.handler = async (event) => {
	const vm = event.data;
	if (!vm?.name)
		throw new Error(`event ${event.id} of ${event.source} names no machine`);
	const tag = `${process.env.TAG_PREFIX}:${vm.owner ?? 'nobody'}`;
	console.log(`tagging ${vm.name} with ${tag}`);
	return { vm: vm.name, tags: [...(vm.tags ?? []), tag] };
};
