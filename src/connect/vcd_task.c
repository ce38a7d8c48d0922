/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/vcd_task.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/own.h"
#include "base/xml.h"
#include "connect/vcd_inside.h"

#define TASK_ENTITY  STR("urn:vcloud:blockingTask:")
#define TASK_SCHEME  STR("vcd-task:")
#define TASK_ORIGIN  "event"
#define TASK_XML     "http://www.vmware.com/vcloud/extension/v1.5"
#define TASK_UNCLEAR "task must be \"resume\", \"abort\" or \"fail\", and message a text"

static const char *const words[] = {
	[VCD_TASK_RESUME] = "resume",
	[VCD_TASK_ABORT] = "abort",
	[VCD_TASK_FAIL] = "fail",
};

const char *
vcd_task_action_word(enum vcd_task_action action)
{
	return words[action];
}

static bool
read_action(struct str word, enum vcd_task_action *ret)
{
	for (int i = 0; i < VCD_TASK_ACTIONS; i++) {
		if (!str_eq(word, str_of(words[i])))
			continue;
		*ret = (enum vcd_task_action)i;
		return true;
	}
	return false;
}

/* ---- what an answer says ---- */

/* What XML cannot hold becomes a space, what is too long is cut between two characters. */
static void
add_message(struct str text, struct buf *out)
{
	for (size_t i = 0, step; i < text.len; i += step) {
		struct str one = str_n(text.at + i, text.len - i);

		step = str_utf8_step(one);
		one.len = step ? step : 1;
		step = one.len;
		if (out->len + one.len > VCD_TASK_MESSAGE_MAX)
			return;
		if (xml_can_hold(one))
			buf_add_str(out, one);
		else
			buf_add_char(out, ' ');
	}
}

static int
read_unclear(enum vcd_task_action *ret, struct buf *ret_message)
{
	*ret = VCD_TASK_FAIL;
	buf_clear(ret_message);
	buf_add_text(ret_message, "the function's answer is not understood: " TASK_UNCLEAR);
	return ERR_INVALID;
}

int
vcd_task_read(struct str answer, enum vcd_task_action *ret, struct buf *ret_message)
{
	OWN(json) json_t *json = NULL;
	const json_t *task, *message;

	*ret = VCD_TASK_RESUME;
	buf_clear(ret_message);
	if (!str_trim(answer).len)
		return 0;
	if (json_parse_value(answer, &json, NULL) < 0)
		return read_unclear(ret, ret_message);
	if (json_is_null(json))
		return 0;
	task = json_object_get(json, "task");
	message = json_object_get(json, "message");
	if (json_is_object(json) && !task)
		return 0;
	if (!json_is_string(task) || (message && !json_is_string(message)) ||
		!read_action(str_n(json_string_value(task), json_string_length(task)), ret))
		return read_unclear(ret, ret_message);
	if (message)
		add_message(str_n(json_string_value(message), json_string_length(message)),
			ret_message);
	return 0;
}

/* ---- the post ---- */

static bool
is_id(struct str id)
{
	for (size_t i = 0; i < id.len; i++)
		if (!((id.at[i] >= '0' && id.at[i] <= '9') ||
			    (id.at[i] >= 'a' && id.at[i] <= 'z') ||
			    (id.at[i] >= 'A' && id.at[i] <= 'Z') || id.at[i] == '-'))
			return false;
	return id.len && id.len < VCD_TASK_ID_SIZE;
}

static const char *
member(const json_t *event, const char *name)
{
	const char *text = json_string_value(json_object_get(event, name));

	return text ? text : "";
}

/* The id of the task that the delivery's event is of, and the org that it is of. */
static int
read_event(
	const struct delivery_task *task, json_t **ret_event, struct str *ret_id, struct err *err)
{
	OWN(json) json_t *event = NULL;
	struct str id;

	if (strcmp(task->origin, TASK_ORIGIN) != 0 || json_parse(task->event, &event, NULL) < 0 ||
		strcmp(member(event, VCD_VIA), VCD_VIA_HERE) != 0)
		return err_set(err, ERR_FORBIDDEN,
			"only what a trigger made of a notification of vCloud Director's may "
			"answer "
			"a task");
	id = str_of(member(event, "subject"));
	if (!str_starts(id, TASK_ENTITY))
		return err_set(err, ERR_INVALID, "the event is of no blocking task");
	id = str_n(id.at + TASK_ENTITY.len, id.len - TASK_ENTITY.len);
	if (!is_id(id))
		return err_set(err, ERR_INVALID, "the blocking task has no id");
	*ret_id = id;
	*ret_event = take_ptr(&event);
	return 0;
}

static enum vcd_task_action
decide(const struct delivery_task *task, struct buf *message)
{
	enum vcd_task_action action = VCD_TASK_FAIL;

	if (!task->action[0]) {
		if (vcd_task_read(task->answer, &action, message) < 0)
			log_warn("vcd.task_misread", "org=%s function=%s id=%s", task->org,
				task->function, task->id);
	} else {
		must(read_action(str_of(task->action), &action));
		if (task->reason[0])
			add_message(str_of(task->reason), message);
	}
	if (!message->len)
		buf_printf(message, "decided by the function %s", task->function);
	return action;
}

int
vcd_task_post(const struct delivery_task *task, struct buf *ret_url, struct buf *ret_body,
	struct err *err)
{
	OWN(json) json_t *event = NULL;
	OWN(json) json_t *body = NULL;
	OWN(buf) struct buf message = BUF_INIT;
	enum vcd_task_action action;
	struct str id = STR_NONE;
	int rc = read_event(task, &event, &id, err);

	if (rc < 0)
		return rc;
	action = decide(task, &message);
	body = json_pack(
		"{s:s, s:s%}", "org", member(event, "orgid"), "message", message.at, message.len);
	must(body);
	buf_printf(ret_url, "%.*s%.*s/%s", STR_ARG(TASK_SCHEME), STR_ARG(id), words[action]);
	json_write(body, ret_body);
	return 0;
}

int
vcd_task_url(struct str url, char ret_id[static VCD_TASK_ID_SIZE], enum vcd_task_action *ret_action,
	struct err *err)
{
	struct str rest, id;

	if (!str_starts(url, TASK_SCHEME))
		return err_set(err, ERR_INVALID, "the URL is not of a blocking task");
	rest = str_n(url.at + TASK_SCHEME.len, url.len - TASK_SCHEME.len);
	id = str_cut(&rest, '/');
	if (!is_id(id) || !read_action(rest, ret_action))
		return err_set(err, ERR_INVALID, "the URL is not of a blocking task");
	snprintf(ret_id, VCD_TASK_ID_SIZE, "%.*s", STR_ARG(id));
	return 0;
}

/* ---- what vCloud Director reads and writes ---- */

void
vcd_task_write(struct str message, struct buf *out)
{
	OWN(buf) struct buf sound = BUF_INIT;

	add_message(message, &sound);
	buf_add_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
			  "<BlockingTaskOperationParams xmlns=\"" TASK_XML "\"><Message>");
	xml_add_text(out, buf_str(&sound));
	buf_add_text(out, "</Message></BlockingTaskOperationParams>\n");
}

/* Its own words, and those that tasks have. One that is not known is taken for a task that still
 * waits: a dead letter is seen, a task that is forgotten is not. */
static bool
is_over(const char *status)
{
	static const char *const over[] = {"resumed", "aborted", "failed", "timedOut", "timed_out",
		"expired", "success", "error", "canceled", "cancelled", "completed"};

	for (size_t i = 0; i < sizeof(over) / sizeof(over[0]); i++)
		if (str_eq_case(str_of(status), str_of(over[i])))
			return true;
	return false;
}

int
vcd_task_read_status(
	struct str xml, char ret[static VCD_TASK_STATUS_SIZE], bool *ret_is_over, struct err *err)
{
	OWN(xml_doc) xmlDocPtr doc = NULL;
	OWN(mem) char *status = NULL;
	int rc = xml_parse(xml, &doc, err);

	if (rc < 0)
		return rc;
	if (!xml_is_element_of(xmlDocGetRootElement(doc), TASK_XML, "BlockingTask"))
		return err_set(err, ERR_INVALID, "it is not a BlockingTask");
	status = xml_attribute(xmlDocGetRootElement(doc), "status");
	if (!status || !*status)
		return err_set(err, ERR_INVALID, "the BlockingTask has no status");
	snprintf(ret, VCD_TASK_STATUS_SIZE, "%s", status);
	for (char *at = ret; *at; at++)
		if ((unsigned char)*at <= ' ' || (unsigned char)*at >= 0x7f)
			*at = '?';
	*ret_is_over = is_over(ret);
	return 0;
}

/* ---- sending ---- */

struct task_job {
	struct vcd_tasks *tasks; /* borrowed */
	struct vcd_ask ask;
	enum vcd_task_action action;
	char id[VCD_TASK_ID_SIZE];
	int status; /* what vCloud Director answered to the action */
	char *path; /* owned */
	struct buf body;
	void (*done)(int status, const struct err *err, void *arg);
	void *arg; /* borrowed */
};

static void
job_end(struct task_job *job, int status, const struct err *err) ON_LOOP
{
	buf_done(&job->ask.answer);
	job->done(status, err, job->arg);
	free(job->path);
	buf_done(&job->body);
	free(job);
}

static void
job_failed(struct task_job *job, int status, const struct err *err) ON_LOOP
{
	job->tasks->stats.of[job->action].n_failed++;
	job_end(job, status, err);
}

/* No failure: what was asked for cannot be done any more, or was done before. */
static void
job_over(struct task_job *job, const char *how) ON_LOOP
{
	struct err note = {0};

	job->tasks->stats.of[job->action].n_over++;
	err_set(&note, ERR_CONFLICT, "the task was over already: %s", how);
	log_info("vcd.task_over", "task=%s action=%s how=%s", job->id, words[job->action],
		log_q(how));
	job_end(job, 200, &note);
}

/* A session that is refused although it is new passes, as vCloud Director's being away does. */
static bool
passes(int status)
{
	return status == 0 || status == 401 || status == 408 || status == 425 || status == 429 ||
	       status >= 500;
}

static void
job_away(struct task_job *job, int status, const struct err *err) ON_LOOP
{
	struct err why = {0};

	if (!err)
		err_set(&why, ERR_UNAVAILABLE, "vCloud Director answered %d", status);
	job_failed(job, 0, err ? err : &why);
}

static void
on_looked(struct vcd_ask *ask, int status, const struct err *err)
{
	struct task_job *job = list_owner(ask, struct task_job, ask);
	char found[VCD_TASK_STATUS_SIZE] = "";
	struct err why = {0};
	bool is_over = false;

	thread_on_loop();
	if (status == 404) {
		job_over(job, "it is not there");
	} else if (passes(status)) {
		job_away(job, status, err);
	} else if (status / 100 == 2 &&
		   vcd_task_read_status(buf_str(&ask->answer), found, &is_over, &why) == 0 &&
		   is_over) {
		job_over(job, found);
	} else {
		err_set(&why, ERR_FORBIDDEN, "vCloud Director refuses to %s task %s (%d)%s%s",
			words[job->action], job->id, job->status, found[0] ? ", which is " : "",
			found);
		job_failed(job, 0, &why);
	}
}

static void
job_look(struct task_job *job) ON_LOOP
{
	buf_done(&job->ask.answer);
	free(job->path);
	job->path = mem_printf("/api/admin/extension/blockingTask/%s", job->id);
	job->ask = (struct vcd_ask){.method = "GET", .path = job->path, .done = on_looked};
	vcd_session_ask(job->tasks->session, &job->ask);
}

static void
on_answered(struct vcd_ask *ask, int status, const struct err *err)
{
	struct task_job *job = list_owner(ask, struct task_job, ask);

	thread_on_loop();
	job->status = status;
	if (passes(status)) {
		job_away(job, status, err);
	} else if (status / 100 == 2) {
		job->tasks->stats.of[job->action].n_answered++;
		log_info("vcd.task", "task=%s action=%s", job->id, words[job->action]);
		job_end(job, status, NULL);
	} else {
		job_look(job);
	}
}

/* The message; and does the task's org still belong to the one that decides? */
static int
read_body(const struct vcd_tasks *tasks, const char *org, struct str body, struct buf *out,
	struct err *err)
{
	OWN(json) json_t *json = NULL;
	const char *urn = NULL, *message = NULL;
	int rc = json_parse(body, &json, err);

	if (rc == 0)
		rc = json_get_str(json, "", "org", JSON_NEEDED, 1024, &urn, err);
	if (rc == 0)
		rc = json_get_str(
			json, "", "message", JSON_NEEDED, VCD_TASK_MESSAGE_MAX, &message, err);
	if (rc < 0)
		return rc;
	if (strcmp(vcd_org_of(tasks->orgs, str_of(urn)), org) != 0)
		return err_set(
			err, ERR_FORBIDDEN, "the task is not of an organisation of %s's", org);
	vcd_task_write(str_of(message), out);
	return 0;
}

void
vcd_task_send(struct vcd_tasks *tasks, const char *org, const char *url, struct str body,
	void (*done)(int status, const struct err *err, void *arg), void *arg)
{
	struct task_job *job = mem_new(sizeof(*job));
	struct err err = {0};
	int rc = vcd_task_url(str_of(url), job->id, &job->action, &err);

	job->tasks = tasks;
	job->done = done;
	job->arg = arg;
	if (rc == 0)
		rc = read_body(tasks, org, body, &job->body, &err);
	if (rc == 0 && !tasks->session)
		rc = err_set(&err, ERR_UNAVAILABLE, "there is no vcd_url to answer tasks at");
	if (rc < 0) {
		job_failed(job, 0, &err);
		return;
	}
	job->path = mem_printf(
		"/api/admin/extension/blockingTask/%s/action/%s", job->id, words[job->action]);
	job->ask = (struct vcd_ask){
		.method = "POST",
		.path = job->path,
		.content_type = "application/vnd.vmware.admin.blockingTaskOperationParams+xml",
		.body = buf_str(&job->body),
		.done = on_answered,
	};
	vcd_session_ask(tasks->session, &job->ask);
}

/* ---- figures ---- */

void
vcd_task_metrics(const struct vcd_tasks *tasks, struct buf *out)
{
	static const char name[] = "mayfly_vcd_tasks_total";

	buf_printf(out,
		"# HELP %s Blocking tasks that were answered, by action and what became of it.\n"
		"# TYPE %s counter\n",
		name, name);
	for (int i = 0; i < VCD_TASK_ACTIONS; i++)
		buf_printf(out,
			"%s{action=\"%s\",outcome=\"answered\"} %llu\n"
			"%s{action=\"%s\",outcome=\"over\"} %llu\n"
			"%s{action=\"%s\",outcome=\"failed\"} %llu\n",
			name, words[i], (unsigned long long)tasks->stats.of[i].n_answered, name,
			words[i], (unsigned long long)tasks->stats.of[i].n_over, name, words[i],
			(unsigned long long)tasks->stats.of[i].n_failed);
}
