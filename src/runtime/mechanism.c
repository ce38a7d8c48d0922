/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/mechanism.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "base/path.h"

static const char *const mechanism_words[MECHANISMS] = {
	[MECHANISM_NONE] = "none",
	[MECHANISM_AUTO] = "auto",
	[MECHANISM_ROLLBACK] = "rollback",
	[MECHANISM_FORK] = "fork",
	[MECHANISM_ONCE] = "once",
};

/* Why a language cannot be served in a way, on whatever machine. */
static const struct {
	const char *family;
	enum mechanism mechanism;
	const char *why;
} mechanism_languages[] = {
	{"node", MECHANISM_FORK, "Node's threads do not come along when a process is forked"},
};

/* What the machine allows: NULL, or why not. */
static struct {
	const char *rollback, *fork;
	const char *rollback_how;
	bool has_fork;      /* templates can be forked into sandboxes */
	char fork_why[120]; /* or why not */
} mechanism_machine = {
	.rollback = "the machine was not examined",
	.fork = "the machine was not examined",
};

const char *
mechanism_word(enum mechanism mechanism)
{
	return mechanism_words[mechanism];
}

bool
mechanism_of_word(struct str word, enum mechanism *ret)
{
	for (int i = MECHANISM_AUTO; i < MECHANISMS; i++) {
		if (!str_eq(word, str_of(mechanism_words[i])))
			continue;
		*ret = (enum mechanism)i;
		return true;
	}
	return false;
}

/* ---- the machine ---- */

static bool
mechanism_found(const struct doctor_finding *findings, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(findings[i].name, name) == 0)
			return findings[i].is_there;
	return false;
}

static bool
mechanism_has_keeper(void)
{
	OWN(mem) char *keeper = path_join(path_libexec(), "mayfly-keeper");

	return access(keeper, X_OK) == 0;
}

void
mechanism_examine(const struct doctor_finding *findings, size_t n)
{
	bool has_scan = mechanism_found(findings, n, "rollback.pagemap_scan") &&
			mechanism_found(findings, n, "rollback.userfaultfd") &&
			mechanism_found(findings, n, "rollback.write_protect");
	bool has_soft_dirty = mechanism_found(findings, n, "rollback.soft_dirty") &&
			      mechanism_found(findings, n, "rollback.userfaultfd");

	mechanism_machine.fork = mechanism_machine.rollback =
		mechanism_has_keeper() ? NULL : "mayfly-keeper is not installed";
	for (size_t i = 0; i < n; i++) {
		if (strcmp(findings[i].name, "template.fork") != 0)
			continue;
		mechanism_machine.has_fork = findings[i].is_there;
		snprintf(mechanism_machine.fork_why, sizeof(mechanism_machine.fork_why), "%.110s",
			findings[i].why);
	}
	mechanism_machine.rollback_how = has_scan ? "PAGEMAP_SCAN" : "soft-dirty";
	if (!mechanism_machine.rollback && !has_scan && !has_soft_dirty)
		mechanism_machine.rollback = "the kernel does not tell which pages were written "
					     "(neither PAGEMAP_SCAN nor soft-dirty)";
}

/* ---- the choice ---- */

const char *
mechanism_obstacle(const struct language *language, enum mechanism mechanism)
{
	size_t n = sizeof(mechanism_languages) / sizeof(*mechanism_languages);

	for (size_t i = 0; i < n; i++)
		if (mechanism_languages[i].mechanism == mechanism &&
			strcmp(mechanism_languages[i].family, language->family) == 0)
			return mechanism_languages[i].why;
	if (mechanism == MECHANISM_ROLLBACK)
		return mechanism_machine.rollback;
	return mechanism == MECHANISM_FORK ? mechanism_machine.fork : NULL;
}

enum mechanism
mechanism_choose(const struct language *language, enum mechanism wish)
{
	enum mechanism mechanism = wish < MECHANISM_ROLLBACK ? MECHANISM_ROLLBACK : wish;

	while (mechanism < MECHANISM_ONCE && mechanism_obstacle(language, mechanism))
		mechanism++;
	return mechanism;
}

enum mechanism
mechanism_after(const struct language *language, enum mechanism mechanism)
{
	return mechanism >= MECHANISM_FORK ? MECHANISM_ONCE
					   : mechanism_choose(language, mechanism + 1);
}

/* ---- doctor ---- */

static void
mechanism_explain_family(const struct language *language, struct doctor_finding *ret)
{
	static const char *const names[][2] = {{"node", "isolation.node"},
		{"python", "isolation.python"}, {"exec", "isolation.exec"},
		{"native", "isolation.native"}};
	enum mechanism best = mechanism_choose(language, MECHANISM_AUTO);
	int len;

	*ret = (struct doctor_finding){.group = DOCTOR_MECHANISM, .is_there = true};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(names[i][0], language->family) == 0)
			ret->name = names[i][1];
	len = snprintf(ret->why, sizeof(ret->why), "%s%s%s", mechanism_word(best),
		best == MECHANISM_ROLLBACK ? " by " : "",
		best == MECHANISM_ROLLBACK ? mechanism_machine.rollback_how : "");
	for (int i = MECHANISM_ROLLBACK; i < MECHANISM_ONCE; i++) {
		const char *why = mechanism_obstacle(language, (enum mechanism)i);

		if (why && len < (int)sizeof(ret->why))
			len += snprintf(ret->why + len, sizeof(ret->why) - (size_t)len,
				"; no %s: %s", mechanism_word((enum mechanism)i), why);
	}
}

/* Whether new instances are forked from one that is booted already. */
static void
mechanism_explain_template(
	size_t index, const struct language *language, struct doctor_finding *ret)
{
	static char names[64][48];

	must(index < sizeof(names) / sizeof(*names));
	snprintf(names[index], sizeof(names[index]), "template.%s", language->name);
	*ret = (struct doctor_finding){.name = names[index],
		.group = DOCTOR_MECHANISM,
		.is_there = mechanism_machine.has_fork};
	if (mechanism_machine.has_fork)
		snprintf(ret->why, sizeof(ret->why),
			"instances are forked from a %s that is booted once", language->family);
	else
		snprintf(ret->why, sizeof(ret->why), "instances are booted: %s",
			mechanism_machine.fork_why);
}

size_t
mechanism_explain(struct doctor_finding *findings, size_t n, size_t size)
{
	const struct language *language;

	for (size_t i = 0; n < size && (language = language_each(i)); i++)
		if (language_find(language->family) == language)
			mechanism_explain_family(language, &findings[n++]);
	for (size_t i = 0; n < size && (language = language_each(i)); i++)
		if (language->root->template)
			mechanism_explain_template(i, language, &findings[n++]);
	return n;
}
