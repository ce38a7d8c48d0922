/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_notification - what vCloud Director says has happened, as a CloudEvent.
 *
 * Two forms: JSON, from the exchange <prefix>.notifications20, and XML (notification.xsd), from
 * systemExchange. Both become
 *
 *	{"specversion": "1.0", "type": "com.vmware.vcloud.event.vm.create", "id": <eventId>,
 *	 "source": <of the cell>, "subject": <the entity's URN>, "time": <timestamp>,
 *	 "orgid": <URN>, "userid": <URN>, "taskid": <URN>, "operationsuccess": true,
 *	 "datacontenttype": "application/json", "data": <the whole>}
 *
 * where the data of the XML form have the members of the JSON form, and `links` with what else the
 * document links to. The bytes are foreign: at most 1 MiB; no DTD, no entities, no network. Knows
 * no AMQP. Any thread.
 */
#ifndef MAYFLY_CONNECT_VCD_NOTIFICATION_H
#define MAYFLY_CONNECT_VCD_NOTIFICATION_H

#include "base/json.h"

enum { VCD_NOTIFICATION_BYTES_MAX = 1 << 20 };

/* JSON or XML by its first byte. INVALID says what is missing. The caller decrefs *ret. */
int vcd_notification_read(struct str bytes, const char *source, json_t **ret, struct err *err);

#endif
