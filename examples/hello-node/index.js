// SPDX-License-Identifier: Apache-2.0
'use strict';

exports.handler = async (event, context) => {
	const name = event?.queryStringParameters?.name ?? event?.name ?? 'world';
	console.log(`greeting ${name} in call ${context.awsRequestId}`);
	return {
		statusCode: 200,
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify({ message: `Hello, ${name}!`, from: `Node ${process.version}` }),
	};
};
