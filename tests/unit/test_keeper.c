/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program and its calls: whatever a call does, the next one finds what the first one found.
 */
#include "unit.h"

#include <linux/sockios.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper_kit.h"

static struct keeper_kit kit;

static void
start_subject(const char *how)
{
	const char *argv[] = {getenv("MAYFLY_SUBJECT"), how, NULL};

	kit_start(&kit, argv);
}

/* ---- deeds of a program in C ---- */

static void
deeds_are_undone(enum keeper_mechanism mechanism, const char *how)
{
	static const char *const deeds[] = {"thread", "map", "map_many", "unmap", "unmap_all",
		"map_anew", "map_locked", "map_growing", "map_droppable", "map_hole", "move_hole",
		"give_back", "give_back_file", "move", "protect", "fill", "constant",
		"constant_file", "reserved", "fenced", "code", "brk", "brk_down", "allocate",
		"stack", "mask", "name", "fork", "vfork"};
	char first[KIT_ANSWER_MAX], now[KIT_ANSWER_MAX];

	start_subject(how);
	kit_keep_well(&kit, mechanism);
	kit_call_well(&kit, "state", first);
	kit_renew_well(&kit);
	for (size_t i = 0; i < 4 * sizeof(deeds) / sizeof(*deeds); i++) {
		const char *deed = deeds[i % (sizeof(deeds) / sizeof(*deeds))];

		kit_call_well(&kit, deed, now);
		kit_renew_well(&kit);
		kit_call_well(&kit, "state", now);
		if (strcmp(now, first) != 0)
			fail_msg("after %s:\n%s, not\n%s", deed, now, first);
		kit_renew_well(&kit);
	}
	kit_stop(&kit);
}

static void
rollback_undoes_every_deed_of_a_program(void **state)
{
	deeds_are_undone(KEEPER_ROLLBACK, NULL);
}

static void
rollback_undoes_every_deed_of_a_program_with_threads(void **state)
{
	deeds_are_undone(KEEPER_ROLLBACK, "5");
}

/* Then they are told apart without their names. */
static void
rollback_undoes_every_deed_of_a_program_with_many_files(void **state)
{
	deeds_are_undone(KEEPER_ROLLBACK, "files");
}

/* It has no mould. */
static void
memory_that_forks_do_not_have_is_copied_and_written_back(void **state)
{
	char first[KIT_ANSWER_MAX], now[KIT_ANSWER_MAX];
	struct keeper_reply reply;

	start_subject("private");
	reply = kit_keep(&kit, KEEPER_ROLLBACK);
	assert_int_equal(reply.event, KEEPER_KEPT);
	assert_true(reply.figures.snapshot_kib > 256);
	kit_call_well(&kit, "state", first);
	kit_renew_well(&kit);
	kit_call_well(&kit, "fill", now);
	assert_true(kit_renew_well(&kit).figures.n_pages >= 64);
	kit_call_well(&kit, "state", now);
	assert_string_equal(now, first);
	kit_stop(&kit);
}

/* Most memory that the keeper has had. */
static unsigned long
keeper_peak_kib(void)
{
	unsigned long kib = 0;
	char path[64], line[256];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", kit.keeper);
	file = fopen(path, "r");
	assert_non_null(file);
	while (kib == 0 && fgets(line, sizeof(line), file))
		sscanf(line, "VmHWM: %lu", &kib);
	fclose(file);
	return kib;
}

/* Pages of zeroes that it has read are in no limit of its own. */
static void
memory_that_a_program_never_had_takes_none_of_its_keepers(void **state)
{
	char answer[KIT_ANSWER_MAX];

	start_subject("zeroes");
	if (kit_keep(&kit, KEEPER_ROLLBACK).event == KEEPER_KEPT) {
		kit_call_well(&kit, "give_back_zeroes", answer);
		kit_renew(&kit);
	}
	assert_in_range(keeper_peak_kib(), 1, 128 * 1024);
	kit_stop(&kit);
}

static void
what_a_call_closes_is_held_open_by_nobody(void **state)
{
	char answer[KIT_ANSWER_MAX];
	struct keeper_reply reply;

	start_subject("pipe");
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	kit_call_well(&kit, "hear_end", answer);
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	assert_int_equal(reply.cause, KEEPER_CAUSE_DESCRIPTORS);
	kit_stop(&kit);
}

static void
a_fork_per_call_undoes_every_deed_of_a_program(void **state)
{
	deeds_are_undone(KEEPER_FORK, NULL);
}

static void
its_thread_works(void)
{
	char answer[KIT_ANSWER_MAX];

	for (int i = 0; i < 20; i++) {
		kit_call_well(&kit, "work", answer);
		kit_renew_well(&kit);
	}
	kit_stop(&kit);
}

/* Until the program has read what was sent to it. */
static void
await_reading(void)
{
	int left = 1;

	for (int i = 0; i < 10000 && left > 0; i++) {
		usleep(1000);
		assert_int_equal(ioctl(kit.channel, SIOCOUTQ, &left), 0);
	}
	assert_int_equal(left, 0);
}

/* A keeper that comes too early stops a wait that has an end, and lets it go on. */
static void
a_thread_whose_wait_was_stopped_before_waits_for_the_same_again(void **state)
{
	static const char busy[] = "busy\n";
	char answer[KIT_ANSWER_MAX];

	start_subject("worker");
	kit_call_well(&kit, "work", answer);
	assert_int_equal(send(kit.channel, busy, strlen(busy), 0), strlen(busy));
	await_reading();
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	assert_true(recv(kit.channel, answer, sizeof(answer), 0) > 0);
	its_thread_works();
}

/* Nor does it know any more what it waited for when others had stopped it. */
static void
a_thread_whose_wait_others_stopped_before_waits_anew(void **state)
{
	char answer[KIT_ANSWER_MAX];
	pid_t program;

	start_subject("worker");
	kit_call_well(&kit, "work", answer);
	program = kit_program(&kit);
	kill(program, SIGSTOP);
	usleep(20000);
	kill(program, SIGCONT);
	kit_call_well(&kit, "state", answer);
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	its_thread_works();
}

static void
what_was_undone_is_counted(void **state)
{
	char answer[KIT_ANSWER_MAX];
	struct keeper_reply reply;

	start_subject(NULL);
	reply = kit_keep(&kit, KEEPER_ROLLBACK);
	assert_int_equal(reply.event, KEEPER_KEPT);
	assert_true(reply.figures.n_tracked_kib > 256);
	assert_true(reply.figures.snapshot_kib < reply.figures.n_tracked_kib);
	assert_true(reply.figures.tracker == KEEPER_PAGEMAP_SCAN ||
		    reply.figures.tracker == KEEPER_SOFT_DIRTY);
	print_message("# tracker %s\n",
		reply.figures.tracker == KEEPER_SOFT_DIRTY ? "soft_dirty" : "pagemap_scan");
	kit_call_well(&kit, "thread", answer);
	assert_int_equal(kit_renew_well(&kit).figures.n_threads, 3);
	kit_call_well(&kit, "map", answer);
	reply = kit_renew_well(&kit);
	assert_true(reply.figures.n_mappings > 0);
	assert_true(reply.figures.n_dropped_kib >= 1200);
	kit_call_well(&kit, "fill", answer);
	assert_true(kit_renew_well(&kit).figures.n_pages >= 64);
	kit_call_well(&kit, "fork", answer);
	assert_int_equal(kit_renew_well(&kit).figures.n_processes, 1);
	kit_stop(&kit);
}

/* ---- what cannot be brought back ---- */

static void
a_fork_of_many_threads_is_refused_and_the_program_goes_on(void **state)
{
	struct keeper_reply reply;
	char answer[KIT_ANSWER_MAX];

	start_subject("3");
	reply = kit_keep(&kit, KEEPER_FORK);
	assert_int_equal(reply.event, KEEPER_UNABLE);
	assert_int_equal(reply.cause, KEEPER_CAUSE_THREADS);
	kit_call_well(&kit, "state", answer);
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	kit_call_well(&kit, "state", answer);
	kit_renew_well(&kit);
	kit_stop(&kit);
}

/* NONE: whatever is found first. */
static void
the_deed_spoils(const char *deed, enum keeper_cause cause)
{
	struct keeper_reply reply;
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	kit_call_well(&kit, "state", answer);
	kit_renew_well(&kit);
	kit_call_well(&kit, deed, answer);
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	assert_true(reply.cause == cause || cause == KEEPER_CAUSE_NONE);
	assert_true(reply.text[0] != '\0');
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	kit_stop(&kit);
}

static void
a_program_that_changes_the_keepers_code_is_spoilt(void **state)
{
	the_deed_spoils("keeper", KEEPER_CAUSE_LAYOUT);
}

static void
a_file_that_is_mapped_in_other_pieces_spoils(void **state)
{
	the_deed_spoils("split", KEEPER_CAUSE_LAYOUT);
}

/* Whether its mappings are told apart by their names or without them. */
static void
memory_of_the_kernel_that_was_replaced_spoils(void **state)
{
	static const char *const ways[] = {NULL, "files"};

	for (size_t i = 0; i < 2; i++) {
		char answer[KIT_ANSWER_MAX];
		struct keeper_reply reply;

		start_subject(ways[i]);
		kit_keep_well(&kit, KEEPER_ROLLBACK);
		kit_call_well(&kit, "kernel_data", answer);
		reply = kit_renew(&kit);
		assert_int_equal(reply.event, KEEPER_SPOILT);
		assert_int_equal(reply.cause, KEEPER_CAUSE_LAYOUT);
		kit_stop(&kit);
	}
}

/* Its signal comes before the keeper does, or with it. */
static void
a_program_that_stops_itself_is_spoilt_or_goes_on(void **state)
{
	struct keeper_reply reply;
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	kit_call_well(&kit, "stop", answer);
	reply = kit_renew(&kit);
	if (reply.event == KEEPER_SPOILT)
		assert_int_equal(reply.cause, KEEPER_CAUSE_SIGNALS);
	else
		kit_call_well(&kit, "state", answer);
	kit_stop(&kit);
}

static void
what_takes_too_many_calls_to_undo_spoils(void **state)
{
	the_deed_spoils("protect_many", KEEPER_CAUSE_LAYOUT);
}

static void
a_program_that_becomes_another_is_spoilt(void **state)
{
	the_deed_spoils("exec", KEEPER_CAUSE_NONE);
}

static void
what_was_not_kept_is_not_renewed(void **state)
{
	struct keeper_reply reply;
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	reply = kit_renew(&kit);
	assert_int_equal(reply.event, KEEPER_SPOILT);
	kit_call_well(&kit, "state", answer);
	kit_stop(&kit);
}

static void
a_keeper_that_dies_takes_a_held_program_with_it(void **state)
{
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_FORK);
	kit_call_well(&kit, "state", answer);
	kill(kit.keeper, SIGKILL);
	assert_true(WEXITSTATUS(kit_await_end(&kit)) == 128 + SIGKILL);
	kit_stop(&kit);
}

static void
a_keeper_that_dies_between_calls_leaves_its_program_alone(void **state)
{
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_ROLLBACK);
	kit_call_well(&kit, "state", answer);
	kit_renew_well(&kit);
	kill(kit.keeper, SIGKILL);
	waitpid(kit.keeper, NULL, 0);
	kit_call_well(&kit, "state", answer);
	kit_stop(&kit);
}

static void
the_program_ends_as_its_fork_does(void **state)
{
	char answer[KIT_ANSWER_MAX];

	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_FORK);
	assert_int_equal(kit_call(&kit, "exit", answer, sizeof(answer)), 0);
	assert_int_equal(WEXITSTATUS(kit_await_end(&kit)), 7);
	kit_stop(&kit);
	start_subject(NULL);
	kit_keep_well(&kit, KEEPER_FORK);
	assert_int_equal(kit_call(&kit, "crash", answer, sizeof(answer)), 0);
	assert_int_equal(WEXITSTATUS(kit_await_end(&kit)), 128 + SIGSEGV);
	kit_stop(&kit);
}

UNIT_TESTS(it(rollback_undoes_every_deed_of_a_program),
	it(rollback_undoes_every_deed_of_a_program_with_threads),
	it(rollback_undoes_every_deed_of_a_program_with_many_files),
	it(memory_that_forks_do_not_have_is_copied_and_written_back),
	it(memory_that_a_program_never_had_takes_none_of_its_keepers),
	it(what_a_call_closes_is_held_open_by_nobody),
	it(a_fork_per_call_undoes_every_deed_of_a_program),
	it(a_thread_whose_wait_was_stopped_before_waits_for_the_same_again),
	it(a_thread_whose_wait_others_stopped_before_waits_anew), it(what_was_undone_is_counted),
	it(a_fork_of_many_threads_is_refused_and_the_program_goes_on),
	it(a_program_that_changes_the_keepers_code_is_spoilt),
	it(a_file_that_is_mapped_in_other_pieces_spoils),
	it(memory_of_the_kernel_that_was_replaced_spoils),
	it(a_program_that_stops_itself_is_spoilt_or_goes_on),
	it(what_takes_too_many_calls_to_undo_spoils), it(a_program_that_becomes_another_is_spoilt),
	it(what_was_not_kept_is_not_renewed), it(a_keeper_that_dies_takes_a_held_program_with_it),
	it(a_keeper_that_dies_between_calls_leaves_its_program_alone),
	it(the_program_ends_as_its_fork_does))
