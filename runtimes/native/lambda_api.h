/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lambda_api - Lambda's Runtime API 2018-06-01, as one program finds it.
 *
 * Listens on 127.0.0.1, gives events to requests for them, and sends what the program posts as
 * frames. Of SnapStart's part of the protocol it has restore/next, answered at once, for whoever
 * asks is restored already, and restore/error, which is an error of the start.
 *
 * Does not know who starts the program, nor when an event is there. One thread.
 */
#ifndef MAYFLY_RUNTIMES_LAMBDA_API_H
#define MAYFLY_RUNTIMES_LAMBDA_API_H

#include <poll.h>

#include "lambda_answer.h"
#include "lambda_http.h"

#define LAMBDA_CLIENTS 256
#define LAMBDA_ITEMS   (1 + LAMBDA_CLIENTS)

struct lambda_api {
	struct mf_channel *channel; /* borrowed: answers and errors go there */
	/* An error of the start is a frame of this kind, of this call. */
	enum frame_kind start_kind;
	uint64_t start_call;

	bool is_asked;             /* the program has asked for an event since it was opened */
	bool has_failed;           /* it has told an error of its start */
	struct lambda_call *calls; /* owned: taken and not answered */

	/* private */
	int listener;
	size_t n_clients;
	struct lambda_client {
		struct lambda_http http;
		uint64_t waits_since;          /* for an event: its turn; 0 if it does not wait */
		struct lambda_call *streaming; /* borrowed */
	} clients[LAMBDA_CLIENTS];
	uint64_t turn;
};

/* Listens, and says where in $AWS_LAMBDA_RUNTIME_API. The struct is zero but for its first three
 * members. False with errno. */
bool lambda_api_open(struct lambda_api *api);

/* Drops connections and what is not answered; the struct is as it was before it was opened. */
void lambda_api_close(struct lambda_api *api);

bool lambda_api_is_waiting(const struct lambda_api *api); /* the program wants an event now */

/* Gives the event of a CALL to who has waited longest; there must be one. */
void lambda_api_give(struct lambda_api *api, const struct mf_frame *frame);

/* Writes what has to be written; then fills `items` for poll(2), and gives their number. */
size_t lambda_api_items(struct lambda_api *api, struct pollfd items[LAMBDA_ITEMS]);

/* After poll(2), with the same items. */
void lambda_api_attend(struct lambda_api *api, const struct pollfd *items, size_t n);

#endif
