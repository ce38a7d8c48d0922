// SPDX-License-Identifier: Apache-2.0
//
// log - tells whose output it is where several calls run at one time: what is written to
// process.stdout and process.stderr, by console too, becomes LOG frames of the call that runs.
'use strict';

const { AsyncLocalStorage } = require('async_hooks');
const { Writable } = require('stream');
const { LOG } = require('./channel.js');

const STDOUT = 1;
const STDERR = 2;

function output(channel, running, flag) {
	const stream = new Writable({
		decodeStrings: true,
		highWaterMark: 1024 * 1024,
		write(chunk, encoding, done) {
			if (chunk.length > 0) {
				channel.send(LOG, flag, running.getStore()?.number ?? 0, chunk);
				channel.schedule();
			}
			done();
		},
	});
	stream.fd = flag;
	return stream;
}

function replace(name, stream) {
	Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
}

// Gives (call, work): runs work as a part of the call.
function capture(channel) {
	const running = new AsyncLocalStorage();
	replace('stdout', output(channel, running, STDOUT));
	replace('stderr', output(channel, running, STDERR));
	return (call, work) => running.run(call, work);
}

module.exports = { capture };
