// SPDX-License-Identifier: Apache-2.0
//
// shim - runs a function: loads its handler, says READY or FAIL, and serves.
//
//	node /runtime/shim.js [folder of the code, /code by default]
//	node /runtime/shim.js --template [folder of the code]
//
// mayfly-init has made the environment from INIT; a fork of a template has made it itself.
'use strict';

const fs = require('fs');
const path = require('path');
const v8 = require('v8');
const words = require('./words.js');
const log = require('./log.js');
const random = require('./random.js');
const { Instance } = require('./instance.js');

const CHANNEL = 3;

// Without the addon only what needs it is refused.
function findAddon() {
	try {
		return require(path.join(__dirname, 'mayfly-node.node'));
	} catch {
		return undefined;
	}
}

function endLoading(instance, { type, message, trace }) {
	instance.failAll(type, message, trace || '');
	process.exit(1);
}

// An error that nobody caught ends the instance: its state is not to be trusted any more.
function onUncaught(instance, error) {
	const isIdle = instance.calls.size === 0;
	instance.failAll(words.typeOf(error), words.messageOf(error), words.traceOf(error));
	if (isIdle) fs.writeSync(2, `${words.traceOf(error)}\n`);
	process.exit(1);
}

function watch(instance) {
	process.on('uncaughtException', (error) => onUncaught(instance, error));
	process.on('exit', () => instance.channel.flushWaiting(1000)); // the last words
}

// Each call starts from what is there now, so what calls need is made ready: the code of their way,
// and threads, which each call would start again.
async function warm(addon, isForked) {
	// A heap that is brought back after each call does not fill up over calls: collecting it little
	// by little, ahead of need, would be work for nothing in each of them, and before the first.
	v8.setFlagsFromString('--no-incremental-marking');
	v8.setFlagsFromString('--no-memory-reducer');
	if (!isForked) {
		await require('./rehearse.js').rehearse(addon);
		return;
	}
	addon.startWorkers();
	await fs.promises.stat('/');
}

async function load(instance, spec, code, isFresh) {
	const release = isFresh ? random.watchWorkers() : undefined;
	const found = await require('./load.js').load(spec, code);
	await found.beforeSnapshot?.();
	instance.handler = found.handler;
	if (isFresh) instance.afterRestore = found.afterRestore;
	release?.();
}

// By what INIT says. `addon`: of a process that is set up already, as a fork is.
async function start(code, addon) {
	const { env } = process;
	const spec = env.MAYFLY_HANDLER || 'index.handler';
	const isFresh = env.MAYFLY_ISOLATION === 'call'; // what a call leaves behind is undone after it
	const own = addon ?? findAddon();
	const reason = addon === undefined ? random.setup(own) : undefined;
	process.title = 'node';
	process.argv.splice(1, process.argv.length - 1, `${code}/${spec.slice(0, spec.lastIndexOf('.'))}`);
	words.setup(code);
	if (addon === undefined) log.direct();
	const instance = new Instance(env, CHANNEL, () => process.exit(0));
	watch(instance);
	if (Number(env.MAYFLY_CONCURRENCY || 1) > 1) instance.runIn = log.capture(instance.channel);
	try {
		process.chdir(code);
	} catch {
		// Without the folder the loading of the handler says what is wrong.
	}
	try {
		if (isFresh && reason !== undefined) throw unsupported(reason);
		if (isFresh) await warm(own, addon !== undefined);
		await load(instance, spec, code, isFresh);
	} catch (error) {
		endLoading(instance, error);
	}
	instance.ready();
}

// Where a call is promised to draw its own random values, what cannot be renewed is not served.
function unsupported(reason) {
	return {
		type: 'Runtime.Unsupported',
		message: `isolation call is not possible with this Node: ${reason}`,
	};
}

if (process.argv[2] === '--template') {
	require('./template.js').run(start, process.argv[3] || '/code');
} else {
	for (const name of Object.keys(process.env)) {
		if (name.startsWith('MAYFLY_COMMAND_')) delete process.env[name];
	}
	start(process.argv[2] || '/code');
}
