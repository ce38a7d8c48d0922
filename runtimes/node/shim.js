// SPDX-License-Identifier: Apache-2.0
//
// shim - runs a function's handler for the frames that come over descriptor 3.
//
//	node /runtime/shim.js [folder of the code, /code by default]
//
// mayfly-init has made the environment from INIT; here the handler is loaded (READY or FAIL) and
// called once for each CALL. The contract with the daemon is src/runtime/frame.h, that with the
// developer is docs/runtimes.md.
'use strict';

const words = require('./words.js');
const { Channel, ...frame } = require('./channel.js');
const answers = require('./answer.js');
const log = require('./log.js');
const random = require('./random.js');
const { isUtf8 } = require('buffer');

const HTTP = 1;
const CALL_SIZE = 80;
const TEXT_TYPE = new RegExp('^(?:text/|application/(?:json|xml|javascript|x-www-form-urlencoded|' +
	'x-ndjson|graphql|yaml|toml|sql)\\s*(?:;|$)|[^;]*\\+(?:json|xml)\\s*(?:;|$))', 'i');

const env = process.env;
const code = process.argv[2] || '/code';
const spec = env.MAYFLY_HANDLER || 'index.handler';
const concurrency = Number(env.MAYFLY_CONCURRENCY || 1);
const isFresh = env.MAYFLY_ISOLATION === 'call'; // what a call leaves behind is undone after it
const functionName = env.MAYFLY_FUNCTION || '';
const functionVersion = env.MAYFLY_VERSION || '1';
const memoryLimitInMB = env.MAYFLY_MEMORY_MIB || '';
const arn = `arn:mayfly:function:${env.MAYFLY_ORG || ''}:${functionName}:${functionVersion}`;
const logGroupName = `/mayfly/${env.MAYFLY_ORG || ''}/${functionName}`;

const now = Date.now;
const calls = new Map(); // in flight, by number
let handler = null;
let afterRestore; // the function's own, before each call that starts from fresh state
let runIn = null; // (call, work): runs work so that what it prints is known to be of the call

process.title = 'node';
process.argv.splice(1, 2, `${code}/${spec.slice(0, spec.lastIndexOf('.'))}`);
for (const name of Object.keys(env)) {
	if (name.startsWith('MAYFLY_COMMAND_')) delete env[name];
}
words.setup(code);

const channel = new Channel(3, onFrame, () => process.exit(0));

// What Lambda calls `context`, with `signal` on top.
class Context {
	constructor(call, id, deadline) {
		this.callbackWaitsForEmptyEventLoop = false;
		this.functionName = functionName;
		this.functionVersion = functionVersion;
		this.invokedFunctionArn = arn;
		this.memoryLimitInMB = memoryLimitInMB;
		this.awsRequestId = id;
		this.logGroupName = logGroupName;
		this.logStreamName = id;
		this.#call = call;
		this.#deadline = deadline;
	}

	#call;
	#deadline;

	getRemainingTimeInMillis() {
		return Math.max(0, this.#deadline - now());
	}

	// Aborted when the caller does not wait any more. Made when it is asked for.
	get signal() {
		const call = this.#call;
		call.controller ??= new AbortController();
		if (call.isCancelled) call.controller.abort();
		return call.controller.signal;
	}

	done(error, result) {
		settleCallback(this.#call, error, result);
	}

	succeed(result) {
		settleCallback(this.#call, null, result);
	}

	fail(error) {
		settleCallback(this.#call, error || new Error('context.fail() was called'));
	}
}

class Call {
	constructor(number, isHttp) {
		this.number = number;
		this.isHttp = isHttp;
		this.isSettled = false;
		this.isCancelled = false;
		this.controller = null;
	}
}

function onFrame(kind, number, buffer, start, end) {
	if (kind === frame.CALL) {
		onCall(number, buffer, start, end);
	} else if (kind === frame.CANCEL) {
		const call = calls.get(number);
		if (call === undefined) return;
		call.isCancelled = true;
		call.controller?.abort();
	}
}

function onCall(number, buffer, start, end) {
	random.renew(buffer, start);
	const id = buffer.latin1Slice(start + 32, start + 58);
	const isHttp = buffer[start + 58] === HTTP;
	const deadline = buffer.readUInt32LE(start + 64) + buffer.readUInt32LE(start + 68) * 4294967296;
	const headStart = start + CALL_SIZE;
	const bodyStart = headStart + buffer.readUInt32LE(start + 72);
	const call = new Call(number, isHttp);
	calls.set(number, call);
	let event;
	try {
		event = isHttp
			? httpEvent(buffer.utf8Slice(headStart, bodyStart), buffer, bodyStart, end)
			: directEvent(buffer, bodyStart, end);
	} catch (error) {
		fail(call, error);
		return;
	}
	const context = new Context(call, id, deadline);
	const run = afterRestore === undefined ? begin : restore;
	if (runIn === null) run(call, event, context);
	else runIn(call, () => run(call, event, context));
}

async function restore(call, event, context) {
	try {
		await afterRestore();
	} catch (error) {
		fail(call, error);
		return;
	}
	begin(call, event, context);
}

function directEvent(buffer, start, end) {
	return start === end ? null : JSON.parse(buffer.utf8Slice(start, end));
}

function httpEvent(head, buffer, start, end) {
	const event = JSON.parse(head);
	event.isBase64Encoded = false;
	if (start === end) return event;
	const type = event.headers?.['content-type'];
	const isText = (type === undefined || TEXT_TYPE.test(type)) && isUtf8(buffer.subarray(start, end));
	event.body = isText ? buffer.utf8Slice(start, end) : buffer.base64Slice(start, end);
	event.isBase64Encoded = !isText;
	return event;
}

// A handler answers by a promise, plainly by what it returns, or, where it takes a third parameter,
// by that callback: what it returns besides means nothing then.
function begin(call, event, context) {
	let result;
	try {
		result = handler(event, context, (error, value) => settleCallback(call, error, value));
	} catch (error) {
		fail(call, error);
		return;
	}
	if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
		result.then((value) => settle(call, value), (error) => fail(call, error));
	} else if (handler.length < 3) {
		settle(call, result);
	}
}

function settleCallback(call, error, value) {
	if (error !== undefined && error !== null) fail(call, error);
	else settle(call, value);
}

function settle(call, result) {
	if (call.isSettled) return;
	call.isSettled = true;
	try {
		if (call.isHttp) answers.http(result, (head, body) => give(call, head, body));
		else if (answers.isStream(result)) collect(call, result);
		else giveDirect(call, result);
	} catch (error) {
		giveError(call, error);
	}
}

function give(call, head, body) {
	if (typeof body !== 'string' && !answers.isBytes(body)) {
		stream(call, head, body);
		return;
	}
	channel.answer(call.number, head, body);
	finish(call);
}

function giveDirect(call, result) {
	const value = answers.isBytes(result) ? Buffer.from(result).toString('base64') : result;
	give(call, '200\ncontent-type:application/json\n', answers.textOf(value));
}

function collect(call, source) {
	answers.collect(source).then((text) => giveDirect(call, text), (error) => giveError(call, error));
}

async function stream(call, head, source) {
	const { number } = call;
	try {
		channel.send(frame.ANSWER_HEAD, 0, number, head);
		channel.schedule();
		for await (const value of source) {
			if (call.isCancelled) break;
			const bytes = answers.piece(value);
			if (bytes.length === 0) continue;
			channel.send(frame.ANSWER_BODY, 0, number, bytes);
			channel.schedule();
			await channel.drained();
		}
		channel.send(frame.ANSWER_END, 0, number, '');
		finish(call);
	} catch (error) {
		giveError(call, error);
	}
}

function fail(call, error) {
	if (call.isSettled) return;
	call.isSettled = true;
	giveError(call, error);
}

function giveError(call, error) {
	const text = words.payload(words.typeOf(error), words.messageOf(error), words.traceOf(error));
	channel.send(frame.ERROR, 0, call.number, text);
	finish(call);
}

// The last answer leaves at once, others with what else is answered in this turn.
function finish(call) {
	calls.delete(call.number);
	if (calls.size === 0) channel.flush();
	else channel.schedule();
}

// An error that nobody caught ends the instance: its state is not to be trusted any more.
function onUncaught(error) {
	const text = words.payload(words.typeOf(error), words.messageOf(error), words.traceOf(error));
	channel.send(frame.FAIL, 0, 0, text);
	if (calls.size === 0) require('fs').writeSync(2, `${words.traceOf(error)}\n`);
	calls.clear();
	process.exit(1);
}

process.on('uncaughtException', onUncaught);
process.on('exit', () => channel.flushWaiting(1000)); // the last words

// The parts of Node that keep random bytes begin anew; what cannot be told to is not served where
// a call is promised to draw its own.
function setupRandom() {
	const reason = random.setup();
	if (reason === undefined || !isFresh) return;
	failBoot('Runtime.Unsupported', `isolation call is not possible with this Node: ${reason}`, '');
}

function failBoot(type, message, trace) {
	channel.send(frame.FAIL, 0, 0, words.payload(type, message, trace));
	process.exit(1);
}

async function boot() {
	if (concurrency > 1) runIn = log.capture(channel);
	else log.direct();
	setupRandom();
	const release = isFresh ? random.watchWorkers() : undefined;
	try {
		const found = await require('./load.js').load(spec, code);
		await found.beforeSnapshot?.();
		handler = found.handler;
		if (isFresh) afterRestore = found.afterRestore;
	} catch (error) {
		failBoot(error.type, error.message, error.trace);
	}
	release?.();
	channel.send(frame.READY, 0, 0, '');
	channel.flush();
}

try {
	process.chdir(code);
} catch {
	// Without the folder the loading of the handler says what is wrong.
}
boot();
