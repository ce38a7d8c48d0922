// SPDX-License-Identifier: Apache-2.0
//
// random - no two calls draw the same values, though the memory of this process is brought back to
// what it was before a call, or was copied from another process.
//
// What stands on OpenSSL (crypto, TLS, keys) takes its bytes from the kernel, in every thread:
// addon_random.c. Math.random is a generator of our own, in every context of vm too, that begins
// anew with each call; randomUUID and randomInt keep bytes ahead only within a call.
'use strict';

const crypto = require('crypto');
const vm = require('vm');
const workers = require('worker_threads');
const { syncBuiltinESMExports } = require('module');

const POOL_SIZE = 512;
const CALLS = 'mayfly.calls'; // among what workers are given: counts the calls
const { randomFillSync, randomUUID, randomInt } = crypto;

// ---- Math.random: xoshiro128** (Blackman and Vigna) ----

let s0 = 1;
let s1 = 2;
let s2 = 3;
let s3 = 4;

function next() {
	let bits = Math.imul(s1, 5);
	bits = Math.imul((bits << 7) | (bits >>> 25), 9);
	const shifted = s1 << 9;
	s2 ^= s0;
	s3 ^= s1;
	s1 ^= s2;
	s0 ^= s3;
	s2 ^= shifted;
	s3 = (s3 << 11) | (s3 >>> 21);
	return bits >>> 0;
}

function random() {
	return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992;
}

// The 32 bytes of a CALL. Half of them are state enough.
function renew(buffer, start) {
	s0 = buffer.readInt32LE(start);
	s1 = buffer.readInt32LE(start + 4);
	s2 = buffer.readInt32LE(start + 8);
	s3 = buffer.readInt32LE(start + 12) | 1;
	poolAt = POOL_SIZE;
	if (shared !== null) shared[0]++;
}

// Before the first call, and in a copy of this process.
function renewFromKernel() {
	const bytes = Buffer.allocUnsafeSlow(32);
	randomFillSync(bytes);
	renew(bytes, 0);
}

// A new context has a Math of its own. (A name of the same kind in what it was made of hides that,
// and may be ours already.)
const install = new vm.Script('(draw, known) => { try { if (Math.random !== known) ' +
	'Math.random = function random() { return draw(); }; } catch {} }',
{ filename: 'mayfly:random' });

const isPrepared = new WeakSet();

function prepare(context) {
	if (!isPrepared.has(context)) {
		isPrepared.add(context);
		install.runInContext(context)(random, random);
	}
	return context;
}

function contextOptions(options) {
	if (options === null || typeof options !== 'object') return undefined;
	return {
		name: options.contextName,
		origin: options.contextOrigin,
		codeGeneration: options.contextCodeGeneration,
		microtaskMode: options.microtaskMode,
	};
}

function patchContexts() {
	const { createContext, runInNewContext } = vm;
	const { prototype } = vm.Script;
	const { runInNewContext: runScript } = prototype;
	const make = (object, options) => vm.createContext(object, contextOptions(options));
	vm.createContext = function(...args) {
		return prepare(createContext(...args));
	};
	vm.runInNewContext = function(text, object, options) {
		return runInNewContext(text, make(object, options), options);
	};
	prototype.runInNewContext = function(object, options) {
		return runScript.call(this, make(object, options), options);
	};
	for (const name of ['createContext', 'runInNewContext']) {
		Object.defineProperty(vm[name], 'name', { value: name });
	}
}

// ---- bytes that Node keeps ahead ----

const pool = Buffer.allocUnsafeSlow(POOL_SIZE);
let poolAt = POOL_SIZE;

// Where n fresh bytes begin in the pool.
function take(n) {
	if (poolAt + n > POOL_SIZE) {
		randomFillSync(pool);
		poolAt = 0;
	}
	const at = poolAt;
	poolAt += n;
	return at;
}

// RFC 9562, version 4.
function uuid() {
	const at = take(16);
	pool[at + 6] = (pool[at + 6] & 0x0f) | 0x40;
	pool[at + 8] = (pool[at + 8] & 0x3f) | 0x80;
	const hex = pool.hexSlice(at, at + 16);
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-` +
		hex.slice(20);
}

function uuidWith(options) {
	if (options === undefined) return uuid();
	const isObject = options !== null && typeof options === 'object';
	return randomUUID(isObject ? { ...options, disableEntropyCache: true } : options);
}

function integer(min, range) {
	const most = 2 ** 48 - 2 ** 48 % range;
	let value;
	do {
		value = pool.readUIntBE(take(6), 6);
	} while (value >= most);
	return min + value % range;
}

// What is wrong with its arguments the original says.
function integerWith(min, max, callback) {
	const isShort = max === undefined || typeof max === 'function';
	const low = isShort ? 0 : min;
	const high = isShort ? min : max;
	const done = isShort ? max : callback;
	const isRight = Number.isSafeInteger(low) && Number.isSafeInteger(high) && low < high &&
		high - low <= 2 ** 48 - 1 && (done === undefined || typeof done === 'function');
	if (!isRight) return randomInt(min, max, callback);
	const value = integer(low, high - low);
	if (done === undefined) return value;
	process.nextTick(done, undefined, value);
	return undefined;
}

function patchCaches() {
	const web = Object.getPrototypeOf(crypto.webcrypto);
	const { randomUUID: original } = web;
	crypto.randomUUID = function randomUUID(options) { // eslint-disable-line no-shadow
		return uuidWith(options);
	};
	crypto.randomInt = function randomInt(min, max, callback) { // eslint-disable-line no-shadow
		return integerWith(min, max, callback);
	};
	web.randomUUID = function randomUUID() { // eslint-disable-line no-shadow
		return this === crypto.webcrypto ? uuid() : original.call(this);
	};
}

// ---- workers ----

// Those that are there when the state of the process is kept see by this that a call has begun.
let shared = null;

// Workers that are made from now on, until what is given is called.
function watchWorkers() {
	const { Worker: Original } = workers;
	shared = new Int32Array(new SharedArrayBuffer(4));
	workers.Worker = class Worker extends Original {
		constructor(file, options) {
			const given = options?.execArgv ?? [];
			workers.setEnvironmentData(CALLS, shared);
			super(file, { ...options, execArgv: [...given, '--require', __filename] });
		}
	};
	syncBuiltinESMExports();
	return () => {
		workers.Worker = Original;
		syncBuiltinESMExports();
	};
}

// ---- setting up ----

// `addon` does the part of OpenSSL, undefined where there is none. Gives undefined, or why what stands
// on OpenSSL may draw the same bytes again. Once per process, forks included.
function setup(addon) {
	const reason = addon === undefined ? 'mayfly-node.node is not there' : addon.startRandom();
	Math.random = random;
	patchContexts();
	patchCaches();
	syncBuiltinESMExports();
	renewFromKernel();
	return reason;
}

// In a worker: looks whether a call has begun since it drew last.
function setupWorker(calls) {
	let seen = calls[0];
	const look = (draw) => function(...args) {
		if (calls[0] !== seen) {
			seen = calls[0];
			renewFromKernel();
		}
		return draw.apply(this, args);
	};
	const web = Object.getPrototypeOf(crypto.webcrypto);
	Math.random = look(random);
	patchCaches();
	crypto.randomUUID = look(crypto.randomUUID);
	crypto.randomInt = look(crypto.randomInt);
	web.randomUUID = look(web.randomUUID);
	syncBuiltinESMExports();
	renewFromKernel();
}

const calls = workers.isMainThread ? undefined : workers.getEnvironmentData(CALLS);
if (calls !== undefined) setupWorker(calls);

module.exports = { setup, renew, renewFromKernel, watchWorkers };
