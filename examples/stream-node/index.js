// SPDX-License-Identifier: Apache-2.0
'use strict';

const { setTimeout: sleep } = require('timers/promises');

async function* count(to, signal) {
	for (let i = 1; i <= to && !signal.aborted; i++) {
		yield `data: ${i}\n\n`;
		await sleep(50);
	}
}

exports.handler = async (event, context) => ({
	statusCode: 200,
	headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-store' },
	body: count(Number(event?.queryStringParameters?.to ?? 5), context.signal),
});
