// SPDX-License-Identifier: Apache-2.0
'use strict';

const ms = require('ms');

exports.handler = async (event) => {
	const span = event?.queryStringParameters?.in ?? '2 days';
	const at = new Date(Date.now() + ms(span));
	return { message: `In ${ms(ms(span), { long: true })} it is ${at.toISOString()}` };
};
