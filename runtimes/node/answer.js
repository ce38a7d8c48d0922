// SPDX-License-Identifier: Apache-2.0
//
// answer - what a handler gave, as an answer of HTTP (payload format 2.0 of Lambda) or as JSON.
//
// An object with `statusCode` is an answer as it stands; everything else is a bare value: text and
// bytes go out as they are, other values as JSON with 200. Iterables and streams are streamed.
'use strict';

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/; // eslint-disable-line no-control-regex
const JSON_HEAD = '200\ncontent-type:application/json\n';
const TEXT_HEAD = '200\ncontent-type:text/plain; charset=utf-8\n';
const BYTES_HEAD = '200\ncontent-type:application/octet-stream\n';

class InvalidAnswer extends Error {
	constructor(message) {
		super(message);
		this.name = 'InvalidAnswer';
	}
}

function isBytes(value) {
	return value instanceof Uint8Array;
}

function isStream(value) {
	if (value === null || typeof value !== 'object') return false;
	if (typeof value[Symbol.asyncIterator] === 'function') return true;
	return typeof value.next === 'function' && typeof value[Symbol.iterator] === 'function';
}

// A Response of the fetch API, told by its shape: to name the class loads all of fetch.
function isResponse(value) {
	return typeof value.arrayBuffer === 'function' && typeof value.status === 'number' &&
		value.headers !== null && typeof value.headers?.forEach === 'function';
}

function headerLine(name, value) {
	if (!TOKEN.test(name)) throw new InvalidAnswer(`'${name}' is not the name of a header`);
	const text = String(value);
	if (CONTROL.test(text)) {
		throw new InvalidAnswer(`the value of the header '${name}' has control characters`);
	}
	return `${name}:${text}\n`;
}

function statusOf(value) {
	const status = Number(value);
	if (!Number.isInteger(status) || status < 200 || status > 599) {
		throw new InvalidAnswer(`statusCode is ${JSON.stringify(value)}, it must be 200 to 599`);
	}
	return status;
}

function textOf(value) {
	const text = JSON.stringify(value);
	return text === undefined ? 'null' : text;
}

function bodyOf(body, isBase64) {
	if (body === undefined || body === null) return '';
	if (typeof body === 'string') return isBase64 ? Buffer.from(body, 'base64') : body;
	if (isBytes(body) || isStream(body)) return body;
	if (body instanceof ArrayBuffer) return new Uint8Array(body);
	return textOf(body);
}

function typeOf(body, given) {
	if (typeof given === 'object' && given !== null && !isBytes(given) && !isStream(given)) {
		return 'application/json';
	}
	return typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream';
}

// An object with statusCode: gives its head as text and calls back with head and body.
function structured(result, give) {
	let head = `${statusOf(result.statusCode)}\n`;
	const body = bodyOf(result.body, result.isBase64Encoded === true);
	let hasType = false;
	const { headers, cookies } = result;
	if (headers !== undefined && headers !== null) {
		for (const name of Object.keys(headers)) {
			const value = headers[name];
			if (value === undefined || value === null) continue;
			if (name.length === 12 && name.toLowerCase() === 'content-type') hasType = true;
			if (Array.isArray(value)) {
				for (const one of value) head += headerLine(name, one);
			} else {
				head += headerLine(name, value);
			}
		}
	}
	if (Array.isArray(cookies)) {
		for (const cookie of cookies) head += headerLine('set-cookie', cookie);
	}
	if (!hasType && body.length !== 0) head += `content-type:${typeOf(body, result.body)}\n`;
	give(head, body);
}

function response(result, give) {
	let head = `${statusOf(result.status)}\n`;
	result.headers.forEach((value, name) => {
		head += headerLine(name, value);
	});
	give(head, result.body === null ? '' : result.body);
}

// Calls give(head, body) with text and with text, bytes, or something to iterate over.
function http(result, give) {
	if (result !== null && typeof result === 'object') {
		if (result.statusCode !== undefined) structured(result, give);
		else if (isBytes(result)) give(BYTES_HEAD, result);
		else if (result instanceof ArrayBuffer) give(BYTES_HEAD, new Uint8Array(result));
		else if (isResponse(result)) response(result, give);
		else if (isStream(result)) give(BYTES_HEAD, result);
		else give(JSON_HEAD, textOf(result));
	} else if (typeof result === 'string') {
		give(TEXT_HEAD, result);
	} else {
		give(JSON_HEAD, textOf(result));
	}
}

// One piece of a stream as bytes or text.
function piece(value) {
	if (typeof value === 'string' || isBytes(value)) return value;
	if (value instanceof ArrayBuffer) return new Uint8Array(value);
	throw new InvalidAnswer(`a stream gave ${value === null ? 'null' : typeof value}, ` +
		'it may give text and bytes');
}

// All of a stream as one text, base64 where it is not UTF-8: JSON cannot be streamed.
async function collect(stream) {
	const pieces = [];
	for await (const value of stream) pieces.push(Buffer.from(piece(value)));
	const all = Buffer.concat(pieces);
	const text = all.toString('utf8');
	return Buffer.from(text).equals(all) ? text : all.toString('base64');
}

module.exports = { http, piece, collect, textOf, isBytes, isStream, InvalidAnswer };
