/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify - tells whoever started the daemon how it stands: systemd over $NOTIFY_SOCKET
 * (sd_notify(3)), a script over the descriptor that it gave with --ready-fd. Any thread.
 */
#ifndef MAYFLY_DAEMON_NOTIFY_H
#define MAYFLY_DAEMON_NOTIFY_H

/* "READY=1\nSTATUS=…", "STOPPING=1"; without $NOTIFY_SOCKET, or if nobody reads: nothing. */
void notify_manager(const char *state);

/* Writes the line and closes the descriptor; -1 does nothing. */
void notify_ready_fd(int fd, const char *line);

#endif
