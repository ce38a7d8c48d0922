/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_envelope - an HTTP request that vCloud Director sends over MQTT, and the answer to it.
 *
 *	{"type": "API_REQUEST", "headers": {"requestId": …}, "httpRequest": <base64 of
 *		{"message": <as in vcd_message.h>, "securityContext": {"user", "org", "rights"}}>}
 *	{"type": "API_RESPONSE", "headers": {"requestId": …}, "httpResponse": {"statusCode",
 *		"headers", "body": <base64>}}
 *
 * The fields are those that VMware's container-service-extension reads and writes
 * (mqi/consumer/mqtt_publisher.py, utils.py). The requestId is the request's id; the cell's token
 * that lies beside user and org is not read, and no text of the message comes into an error. The
 * bytes are foreign: at most 16 MiB. Knows no MQTT. Pure, any thread. Fuzzed by fuzz_vcd_envelope.
 */
#ifndef MAYFLY_CONNECT_VCD_ENVELOPE_H
#define MAYFLY_CONNECT_VCD_ENVELOPE_H

#include "connect/vcd_message.h"

/* INVALID names the field; UNIMPLEMENTED is another type of message. To be released in either case;
 * *ret has the id of a request that could be told. */
int vcd_envelope_read(struct str bytes, struct vcd_request *ret, struct err *err);
void vcd_envelope_write(const struct vcd_answer *answer, struct buf *out);

#endif
