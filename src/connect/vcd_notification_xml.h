/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vcd_notification_xml - the XML form of a notification as the members of the JSON form.
 *
 * <Notification type= eventId=> with Link, EntityLink rel entity, up (the org), down (the user),
 * task, task:owner, Timestamp and OperationSuccess; whatever its prefixes are.
 */
#ifndef MAYFLY_CONNECT_VCD_NOTIFICATION_XML_H
#define MAYFLY_CONNECT_VCD_NOTIFICATION_XML_H

#include "base/json.h"

int vcd_notification_xml_read(struct str bytes, json_t **ret, struct err *err);

#endif
