// SPDX-License-Identifier: Apache-2.0
//
// instance - calls a function's handler for the frames that come over a channel.
//
// The contract with the daemon is src/runtime/frame.h, that with the developer is docs/runtimes.md.
'use strict';

const words = require('./words.js');
const { Channel, ...frame } = require('./channel.js');
const answers = require('./answer.js');
const random = require('./random.js');
const { isUtf8 } = require('buffer');

const HTTP = 1;
const CALL_SIZE = 80;
const TEXT_TYPE = new RegExp('^(?:text/|application/(?:json|xml|javascript|x-www-form-urlencoded|' +
	'x-ndjson|graphql|yaml|toml|sql)\\s*(?:;|$)|[^;]*\\+(?:json|xml)\\s*(?:;|$))', 'i');

const now = Date.now;

// What a handler learns of its function, from the environment.
function describe(env) {
	const name = env.MAYFLY_FUNCTION || '';
	const version = env.MAYFLY_VERSION || '1';
	return {
		functionName: name,
		functionVersion: version,
		invokedFunctionArn: `arn:mayfly:function:${env.MAYFLY_ORG || ''}:${name}:${version}`,
		memoryLimitInMB: env.MAYFLY_MEMORY_MIB || '',
		logGroupName: `/mayfly/${env.MAYFLY_ORG || ''}/${name}`,
	};
}

// What Lambda calls `context`, with `signal` on top.
class Context {
	constructor(instance, call, id, deadline) {
		const { about } = instance;
		this.callbackWaitsForEmptyEventLoop = false;
		this.functionName = about.functionName;
		this.functionVersion = about.functionVersion;
		this.invokedFunctionArn = about.invokedFunctionArn;
		this.memoryLimitInMB = about.memoryLimitInMB;
		this.awsRequestId = id;
		this.logGroupName = about.logGroupName;
		this.logStreamName = id;
		this.#instance = instance;
		this.#call = call;
		this.#deadline = deadline;
	}

	#instance;
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
		this.#instance.settleCallback(this.#call, error, result);
	}

	succeed(result) {
		this.#instance.settleCallback(this.#call, null, result);
	}

	fail(error) {
		this.#instance.settleCallback(this.#call, error || new Error('context.fail() was called'));
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

class Instance {
	// env: what INIT says; fd: of the channel; onEnd() when the daemon is gone.
	constructor(env, fd, onEnd) {
		this.about = describe(env);
		this.handler = null;
		this.afterRestore = undefined; // the function's own, before each call from fresh state
		this.runIn = null; // (call, work): runs work so that what it prints is known to be of the call
		this.calls = new Map(); // in flight, by number
		this.channel = new Channel(fd, (kind, number, buffer, start, end) => {
			this.onFrame(kind, number, buffer, start, end);
		}, onEnd);
	}

	ready() {
		this.channel.send(frame.READY, 0, 0, '');
		this.channel.flush();
	}

	// It cannot go on: the calls in flight fail with it.
	failAll(type, message, trace) {
		this.channel.send(frame.FAIL, 0, 0, words.payload(type, message, trace));
		this.calls.clear();
	}

	onFrame(kind, number, buffer, start, end) {
		if (kind === frame.CALL) {
			this.onCall(number, buffer, start, end);
		} else if (kind === frame.CANCEL) {
			const call = this.calls.get(number);
			if (call === undefined) return;
			call.isCancelled = true;
			call.controller?.abort();
		}
	}

	onCall(number, buffer, start, end) {
		random.renew(buffer, start);
		const id = buffer.latin1Slice(start + 32, start + 58);
		const isHttp = buffer[start + 58] === HTTP;
		const deadline = buffer.readUInt32LE(start + 64) + buffer.readUInt32LE(start + 68) * 4294967296;
		const headStart = start + CALL_SIZE;
		const bodyStart = headStart + buffer.readUInt32LE(start + 72);
		const call = new Call(number, isHttp);
		this.calls.set(number, call);
		let event;
		try {
			event = isHttp
				? httpEvent(buffer.utf8Slice(headStart, bodyStart), buffer, bodyStart, end)
				: directEvent(buffer, bodyStart, end);
		} catch (error) {
			this.fail(call, error);
			return;
		}
		const context = new Context(this, call, id, deadline);
		if (this.runIn === null) this.run(call, event, context);
		else this.runIn(call, () => this.run(call, event, context));
	}

	run(call, event, context) {
		if (this.afterRestore === undefined) this.begin(call, event, context);
		else this.restore(call, event, context);
	}

	async restore(call, event, context) {
		try {
			await this.afterRestore();
		} catch (error) {
			this.fail(call, error);
			return;
		}
		this.begin(call, event, context);
	}

	// A handler answers by a promise, plainly by what it returns, or, where it takes a third parameter,
	// by that callback: what it returns besides means nothing then.
	begin(call, event, context) {
		const { handler } = this;
		let result;
		try {
			result = handler(event, context, (error, value) => this.settleCallback(call, error, value));
		} catch (error) {
			this.fail(call, error);
			return;
		}
		if (result !== null && typeof result === 'object' && typeof result.then === 'function') {
			result.then((value) => this.settle(call, value), (error) => this.fail(call, error));
		} else if (handler.length < 3) {
			this.settle(call, result);
		}
	}

	settleCallback(call, error, value) {
		if (error !== undefined && error !== null) this.fail(call, error);
		else this.settle(call, value);
	}

	settle(call, result) {
		if (call.isSettled) return;
		call.isSettled = true;
		try {
			if (call.isHttp) answers.http(result, (head, body) => this.give(call, head, body));
			else if (answers.isStream(result)) this.collect(call, result);
			else this.giveDirect(call, result);
		} catch (error) {
			this.giveError(call, error);
		}
	}

	give(call, head, body) {
		if (typeof body !== 'string' && !answers.isBytes(body)) {
			this.stream(call, head, body);
			return;
		}
		this.channel.answer(call.number, head, body);
		this.finish(call);
	}

	giveDirect(call, result) {
		const value = answers.isBytes(result) ? Buffer.from(result).toString('base64') : result;
		this.give(call, '200\ncontent-type:application/json\n', answers.textOf(value));
	}

	collect(call, source) {
		answers.collect(source).then((text) => this.giveDirect(call, text),
			(error) => this.giveError(call, error));
	}

	async stream(call, head, source) {
		const { channel } = this;
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
			this.finish(call);
		} catch (error) {
			this.giveError(call, error);
		}
	}

	fail(call, error) {
		if (call.isSettled) return;
		call.isSettled = true;
		this.giveError(call, error);
	}

	giveError(call, error) {
		const text = words.payload(words.typeOf(error), words.messageOf(error), words.traceOf(error));
		this.channel.send(frame.ERROR, 0, call.number, text);
		this.finish(call);
	}

	// The last answer leaves at once, others with what else is answered in this turn.
	finish(call) {
		this.calls.delete(call.number);
		if (this.calls.size === 0) this.channel.flush();
		else this.channel.schedule();
	}
}

module.exports = { Instance };
