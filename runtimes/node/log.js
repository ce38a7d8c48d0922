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

// Where what is written to a descriptor goes.
const sinks = [null, (chunk) => writeAll(STDOUT, chunk), (chunk) => writeAll(STDERR, chunk)];

function output(fd) {
	const stream = new Writable({
		decodeStrings: true,
		highWaterMark: 1024 * 1024,
		write(chunk, encoding, done) {
			sinks[fd](chunk);
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
function replace(name, fd) {
	let stream = null;
	Object.defineProperty(process, name, {
		configurable: true, enumerable: true, get: () => stream ??= output(fd),
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

// Once per process, forks included: console keeps the streams that it has met.
function direct() {
	replace('stdout', STDOUT);
	replace('stderr', STDERR);
}

// After direct(). Gives (call, work): runs work as a part of the call.
function capture(channel) {
	const { AsyncLocalStorage } = require('async_hooks');
	const running = new AsyncLocalStorage();
	for (const flag of [STDOUT, STDERR]) {
		sinks[flag] = (chunk) => {
			if (chunk.length > 0) channel.log(flag, running.getStore()?.number ?? 0, chunk);
		};
	}
	return (call, work) => running.run(call, work);
}

// After direct(). What is printed goes nowhere until what is given is called.
function mute() {
	const [, out, err] = sinks;
	sinks[STDOUT] = sinks[STDERR] = () => {};
	return () => {
		sinks[STDOUT] = out;
		sinks[STDERR] = err;
	};
}

module.exports = { direct, capture, mute };
