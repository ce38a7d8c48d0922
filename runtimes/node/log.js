// SPDX-License-Identifier: Apache-2.0
//
// log - where the output of a function goes. With one call at a time it goes to descriptors 1 and 2
// as it is, and who prints faster than the log is read waits (Node's own stream would keep all of
// it in memory). With several calls at a time what is written to process.stdout and
// process.stderr, by console too, becomes LOG frames of the call that runs.
'use strict';

const { writeSync } = require('fs');
const { Writable } = require('stream');

const STDOUT = 1;
const STDERR = 2;

function output(fd, write) {
	const stream = new Writable({
		decodeStrings: true,
		highWaterMark: 1024 * 1024,
		write(chunk, encoding, done) {
			write(chunk);
			done();
		},
		destroy(error, done) {
			done(error);
		},
	});
	stream.fd = fd;
	stream._type = 'pipe';
	return stream;
}

// The stream is made when it is asked for: console does so with its first line.
function replace(name, make) {
	let stream = null;
	Object.defineProperty(process, name, {
		configurable: true, enumerable: true, get: () => stream ??= make(),
	});
}

function writeAll(fd, chunk) {
	let at = 0;
	while (at < chunk.length) {
		try {
			at += writeSync(fd, chunk, at);
		} catch (error) {
			if (error.code !== 'EAGAIN') return; // nobody reads it
			Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
		}
	}
}

function direct() {
	replace('stdout', () => output(STDOUT, (chunk) => writeAll(STDOUT, chunk)));
	replace('stderr', () => output(STDERR, (chunk) => writeAll(STDERR, chunk)));
}

// Gives (call, work): runs work as a part of the call.
function capture(channel) {
	const { AsyncLocalStorage } = require('async_hooks');
	const running = new AsyncLocalStorage();
	const log = (flag) => (chunk) => {
		if (chunk.length > 0) channel.log(flag, running.getStore()?.number ?? 0, chunk);
	};
	replace('stdout', () => output(STDOUT, log(STDOUT)));
	replace('stderr', () => output(STDERR, log(STDERR)));
	return (call, work) => running.run(call, work);
}

module.exports = { direct, capture };
