/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a call leaves behind beside memory, in a real sandbox with its real keeper. After each thing
 * left (aspect_probe.c) the program tells all that it can find out about itself: word for word what
 * it told before. What cannot be put back is found, with its cause.
 */
#include "unit.h"

#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/buf.h"
#include "keeper/keeper.h"
#include "sandbox_kit.h"

#define PATIENCE_S  20
#define TEXT_MAX    262144
#define RENEW_TIMES 50

static struct kit kit;

static int
open_group(void **state)
{
	kit_use_keeper(getenv("MAYFLY_KEEPER"));
	kit_open(&kit, 16);
	return 0;
}

static int
close_group(void **state)
{
	kit_close(&kit);
	return 0;
}

/* ---- a program that is kept ---- */

struct kept {
	struct kit_run run;
	struct keeper_reply reply;
	enum keeper_mechanism mechanism;
};

static void
be_patient(int socket)
{
	struct timeval most = {PATIENCE_S, 0};

	assert_int_equal(setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)), 0);
}

static enum keeper_event
ask_keeper(struct kept *kept, enum keeper_op op)
{
	struct keeper_request request = {
		.magic = KEEPER_MAGIC, .op = op, .mechanism = kept->mechanism};

	assert_int_equal(
		send(kept->run.keeper, &request, sizeof(request), MSG_NOSIGNAL), sizeof(request));
	assert_int_equal(
		recv(kept->run.keeper, &kept->reply, sizeof(kept->reply), 0), sizeof(kept->reply));
	return kept->reply.event;
}

static enum keeper_mechanism mechanism = KEEPER_ROLLBACK;

static void
start(struct kept *kept, const char *what)
{
	struct sandbox_request request = {
		.kind = SANDBOX_INSTANCE, .limits = kit_limits, .output = -1, .wants_keeper = true};

	*kept = (struct kept){.mechanism = mechanism};
	snprintf(request.tree, sizeof(request.tree), "%s", kit_tree);
	kit_start(&kit, &kept->run, &request, (const char *const[]){what, NULL});
	kit_await_start(&kept->run);
	assert_true(kept->run.is_started && kept->run.keeper >= 0);
	be_patient(kept->run.keeper);
	be_patient(kept->run.channel);
}

static void
stop(struct kept *kept)
{
	kit_stop(&kept->run);
	kit_await_end(&kept->run);
	assert_true(kept->run.is_gone);
	kit_run_done(&kept->run);
}

/* Its answer to a command, up to the NUL. */
static char *
ask(struct kept *kept, const char *command, const char *thing)
{
	OWN(mem) char *text = mem_printf("%s%s", command, thing);
	struct buf answer = BUF_INIT;
	ssize_t n;

	assert_true(send(kept->run.channel, text, strlen(text), MSG_NOSIGNAL) > 0);
	do {
		n = recv(kept->run.channel, buf_room(&answer, TEXT_MAX), TEXT_MAX, 0);
		if (n <= 0)
			fail_msg("no answer to %s", text);
		buf_grew(&answer, (size_t)n);
	} while (answer.at[answer.len - 1] != '\0');
	return buf_take(&answer, NULL);
}

static void
keep(struct kept *kept)
{
	free(ask(kept, "are you there", ""));

	if (ask_keeper(kept, KEEPER_KEEP) != KEEPER_KEPT)
		fail_msg(
			"not kept: %s, %s", keeper_cause_word(kept->reply.cause), kept->reply.text);
}

static void
renew_after(struct kept *kept, const char *thing)
{
	if (ask_keeper(kept, KEEPER_RENEW) != KEEPER_RENEWED)
		fail_msg("after %s: %s, %s", thing, keeper_cause_word(kept->reply.cause),
			kept->reply.text);
}

/* All that it can find out; then it is brought back again. */
static char *
tell(struct kept *kept)
{
	char *text = ask(kept, "tell", "");

	renew_after(kept, "telling");
	return text;
}

static void
leave(struct kept *kept, const char *thing)
{
	OWN(mem) char *answer = ask(kept, "leave ", thing);

	if (strcmp(answer, "done") != 0)
		fail_msg("leaving %s: %s", thing, answer);
}

static void
assert_same_text(const char *thing, const char *was, const char *is)
{
	struct str old = str_of(was), now = str_of(is);

	while (old.len > 0 || now.len > 0) {
		struct str a = str_cut(&old, '\n'), b = str_cut(&now, '\n');

		if (!str_eq(a, b))
			fail_msg("after %s: was \"%.*s\", is \"%.*s\"", thing, STR_ARG(a),
				STR_ARG(b));
	}
}

/* ---- the two fates ---- */

static void
undone_of(const char *how, const char *const things[static 1])
{
	struct kept kept;
	OWN(mem) char *was = NULL;

	start(&kept, how);
	keep(&kept);
	was = tell(&kept);
	for (; *things; things++) {
		OWN(mem) char *is = NULL;

		leave(&kept, *things);
		renew_after(&kept, *things);
		is = tell(&kept);
		assert_same_text(*things, was, is);
	}
	stop(&kept);
}

#define UNDONE(...) undone_of("plain", (const char *const[]){__VA_ARGS__, NULL})

static void
spoils_of(const char *how, const char *thing, enum keeper_cause cause)
{
	struct kept kept;

	start(&kept, how);
	keep(&kept);
	leave(&kept, thing);
	if (ask_keeper(&kept, KEEPER_RENEW) != KEEPER_SPOILT)
		fail_msg("%s was not found", thing);
	if (kept.reply.cause != cause)
		fail_msg("after %s: %s, %s", thing, keeper_cause_word(kept.reply.cause),
			kept.reply.text);
	stop(&kept);
}

#define SPOILS(thing, cause) spoils_of("plain", thing, KEEPER_CAUSE_##cause)

static void
what_nobody_touched_is_as_it_was(void **state)
{
	struct kept kept;
	OWN(mem) char *was = NULL;

	start(&kept, "plain");
	keep(&kept);
	was = tell(&kept);
	for (int i = 0; i < RENEW_TIMES; i++) {
		OWN(mem) char *is = tell(&kept);

		assert_same_text("nothing", was, is);
	}
	stop(&kept);
}

/* The process that a keeper has beside it is in the sandbox, and has the same user. */
static void
what_is_done_to_the_mould_spoils(void **state)
{
	SPOILS("limits_of_kin", PROCESSES);
	SPOILS("rank_of_kin", PROCESSES);
	SPOILS("cpus_of_kin", PROCESSES);
	SPOILS("group_of_kin", PROCESSES);
	SPOILS("signal_for_kin", PROCESSES);
	SPOILS("dead_kin", PROCESSES);
}

static void
a_signal_that_waits_for_another_thread_spoils(void **state)
{
	spoils_of("thread", "signal_for_thread", KEEPER_CAUSE_SIGNALS);
}

static void
other_processes_are_dead_however_they_hide(void **state)
{
	UNDONE("child", "daemon", "stopped_child", "deaf_child", "zombies", "reaper");
}

static void
processes_that_fork_without_end_come_to_an_end(void **state)
{
	UNDONE("fork_bomb", "fleeing_child", "fork_bomb");
}

static void
processes_killed_and_buried_are_counted(void **state)
{
	struct kept kept;

	start(&kept, "plain");
	keep(&kept);
	leave(&kept, "child");
	leave(&kept, "child");
	renew_after(&kept, "two children");
	assert_int_equal(kept.reply.figures.n_processes, 2);
	renew_after(&kept, "nothing");
	assert_int_equal(kept.reply.figures.n_processes, 0);
	stop(&kept);
}

static void
is_not_kept(const char *how, enum keeper_cause cause)
{
	struct kept kept;
	OWN(mem) char *awake = NULL;

	start(&kept, how);
	awake = ask(&kept, "are you there", "");
	assert_int_equal(ask_keeper(&kept, KEEPER_KEEP), KEEPER_UNABLE);
	assert_int_equal(kept.reply.cause, cause);
	stop(&kept);
}

static void
a_program_with_children_is_not_kept(void **state)
{
	is_not_kept("child", KEEPER_CAUSE_PROCESSES);
}

/* It may open it again, for writing. */
static void
a_program_that_reads_a_file_without_a_name_is_not_kept(void **state)
{
	is_not_kept("memfd", KEEPER_CAUSE_DESCRIPTORS);
	is_not_kept("unnamed", KEEPER_CAUSE_DESCRIPTORS);
}

static void
descriptors_are_those_that_were(void **state)
{
	UNDONE("open_file", "many_files", "position", "close_on_exec", "no_wait", "sockets");
}

static void
a_descriptor_that_is_missing_or_another_spoils(void **state)
{
	SPOILS("closed_file", DESCRIPTORS);
	SPOILS("other_file", DESCRIPTORS);
	SPOILS("lock", DESCRIPTORS);
}

static void
what_descriptors_hold_is_put_back(void **state)
{
	UNDONE("event_count", "event_taken", "timer_running", "signal_mask", "bytes_in_pipe",
		"bytes_in_socket");
}

static void
what_an_epoll_watches_is_put_back(void **state)
{
	UNDONE("watch_more", "watch_changed", "watch_less", "watch_of_sent_file");
}

static void
options_of_the_channel_are_put_back(void **state)
{
	UNDONE("options", "all_options", "socket_filter");
}

static void
what_listens_is_put_back(void **state)
{
	UNDONE("backlog", "option_of_other_level");
}

static void
a_name_or_a_shut_half_cannot_be_taken_from_a_socket(void **state)
{
	SPOILS("name", SOCKET);
	SPOILS("shut", SOCKET);
	SPOILS("shut_letters", SOCKET);
	SPOILS("peer", SOCKET);
}

static void
handlers_and_signals_that_wait_are_put_back(void **state)
{
	UNDONE("handlers", "pending", "pending_without_a_word");
}

static void
timers_are_stopped(void **state)
{
	UNDONE("alarm", "posix_timers");
}

/* Whether it can be undone is a matter of moments: it never reaches the next call. */
static void
undone_or_spoils(const char *thing, enum keeper_cause cause)
{
	struct kept kept;
	OWN(mem) char *was = NULL;

	start(&kept, "plain");
	keep(&kept);
	was = tell(&kept);
	for (int i = 0; i < 10; i++) {
		OWN(mem) char *is = NULL;

		leave(&kept, thing);
		if (ask_keeper(&kept, KEEPER_RENEW) == KEEPER_SPOILT) {
			assert_int_equal(kept.reply.cause, cause);
			break;
		}
		is = tell(&kept);
		assert_same_text(thing, was, is);
	}
	stop(&kept);
}

static void
a_timer_that_goes_off_all_the_time_does_no_harm(void **state)
{
	undone_or_spoils("interval_timers", KEEPER_CAUSE_SIGNALS);
}

static void
a_file_in_a_message_that_nobody_can_receive_does_no_harm(void **state)
{
	undone_or_spoils("sent_file", KEEPER_CAUSE_FILES);
}

static void
limits_and_attributes_are_put_back(void **state)
{
	UNDONE("mask", "folder", "soft_limits", "schedule", "attributes", "group", "areas");
}

static void
what_only_goes_one_way_spoils(void **state)
{
	SPOILS("hard_limit", LIMITS);
	SPOILS("nice", LIMITS);
	SPOILS("nice_of_init", LIMITS);
	SPOILS("session", LIMITS);
}

/* Left undone, and told so, with a system call that the sandbox refuses. */
static void
what_nobody_could_see_cannot_be_done(void **state)
{
	static const char *const things[] = {"filter", "locked", "watch_owner", "pipe_size",
		"freed_pages", "written_bits", "registrations", "limits_of_init", "own_table"};
	struct kept kept;

	start(&kept, "plain");
	for (size_t i = 0; i < sizeof(things) / sizeof(*things); i++) {
		OWN(mem) char *answer = ask(&kept, "leave ", things[i]);

		if (strncmp(answer, "errno ", 6) != 0)
			fail_msg("%s: %s", things[i], answer);
	}
	stop(&kept);
}

static void
files_in_tmp_are_gone_whatever_they_are(void **state)
{
	UNDONE("files", "crowd", "depth_200", "unnamed_file", "tmp_itself");
}

static void
a_tree_too_deep_spoils(void **state)
{
	SPOILS("depth_400", FILES);
}

static void
files_that_were_there_stay_as_they_were(void **state)
{
	undone_of("files",
		(const char *const[]){"files", "old_file_accompanied", "crowd", "old_file_changed",
			"old_file_rewritten", "old_file_linked", NULL});
}

static void
files_that_were_there_and_are_not_spoil(void **state)
{
	spoils_of("files", "old_file_gone", KEEPER_CAUSE_FILES);
	spoils_of("files", "old_file_replaced", KEEPER_CAUSE_FILES);
	spoils_of("files", "old_file_of_other_mode", KEEPER_CAUSE_FILES);
}

static int
choose_fork(void **state)
{
	mechanism = KEEPER_FORK;
	return 0;
}

static int
choose_rollback(void **state)
{
	mechanism = KEEPER_ROLLBACK;
	return 0;
}

#define it_with_fork(test) cmocka_unit_test_setup_teardown(test, choose_fork, choose_rollback)

static void
what_a_fork_shares_with_the_next_is_put_back(void **state)
{
	UNDONE("position", "no_wait", "event_count", "event_taken", "timer_running", "signal_mask",
		"bytes_in_pipe", "bytes_in_socket");
	UNDONE("watch_changed", "watch_less", "options", "all_options", "socket_filter");
	UNDONE("child", "daemon", "fork_bomb", "zombies", "schedule", "files", "crowd",
		"tmp_itself");
}

static void
what_a_fork_has_alone_goes_with_it(void **state)
{
	UNDONE("closed_file", "other_file", "mask", "hard_limit", "nice", "session", "handlers",
		"pending", "posix_timers", "attributes", "areas");
}

static void
what_a_fork_has_done_to_others_spoils(void **state)
{
	SPOILS("nice_of_init", LIMITS);
	SPOILS("shut", SOCKET);
	SPOILS("name", SOCKET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		it(what_nobody_touched_is_as_it_was),
		it(what_is_done_to_the_mould_spoils),
		it(a_signal_that_waits_for_another_thread_spoils),
		it(other_processes_are_dead_however_they_hide),
		it(processes_that_fork_without_end_come_to_an_end),
		it(processes_killed_and_buried_are_counted),
		it(a_program_with_children_is_not_kept),
		it(a_program_that_reads_a_file_without_a_name_is_not_kept),
		it(descriptors_are_those_that_were),
		it(a_descriptor_that_is_missing_or_another_spoils),
		it(what_descriptors_hold_is_put_back),
		it(what_an_epoll_watches_is_put_back),
		it(options_of_the_channel_are_put_back),
		it(what_listens_is_put_back),
		it(a_name_or_a_shut_half_cannot_be_taken_from_a_socket),
		it(handlers_and_signals_that_wait_are_put_back),
		it(timers_are_stopped),
		it(a_timer_that_goes_off_all_the_time_does_no_harm),
		it(limits_and_attributes_are_put_back),
		it(what_only_goes_one_way_spoils),
		it(what_nobody_could_see_cannot_be_done),
		it(files_in_tmp_are_gone_whatever_they_are),
		it(a_file_in_a_message_that_nobody_can_receive_does_no_harm),
		it(a_tree_too_deep_spoils),
		it(files_that_were_there_stay_as_they_were),
		it(files_that_were_there_and_are_not_spoil),
		it_with_fork(what_a_fork_shares_with_the_next_is_put_back),
		it_with_fork(what_a_fork_has_alone_goes_with_it),
		it_with_fork(what_a_fork_has_done_to_others_spoils),
	};

	return cmocka_run_group_tests(tests, open_group, close_group);
}
