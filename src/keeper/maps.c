/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/maps.h"

#include <sys/mman.h>

#define MAPS_PAGE 4096

static bool
maps_take_hex(struct str *text, uint64_t *ret)
{
	size_t n = 0;

	*ret = 0;
	for (; n < text->len && n < 16; n++) {
		char c = text->at[n];
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (digit < 0)
			break;
		*ret = *ret << 4 | (uint64_t)digit;
	}
	*text = str_n(text->at + n, text->len - n);
	return n > 0;
}

static bool
maps_take_decimal(struct str *text, uint64_t *ret)
{
	size_t n = 0;

	while (n < text->len && text->at[n] >= '0' && text->at[n] <= '9')
		n++;
	if (!str_to_u64(str_n(text->at, n), ret))
		return false;
	*text = str_n(text->at + n, text->len - n);
	return true;
}

static bool
maps_take_char(struct str *text, char c)
{
	if (text->len == 0 || text->at[0] != c)
		return false;
	*text = str_n(text->at + 1, text->len - 1);
	return true;
}

static bool
maps_take_protection(struct str *text, struct maps_range *ret)
{
	static const char letters[] = "rwx";
	static const int bits[] = {PROT_READ, PROT_WRITE, PROT_EXEC};

	if (text->len < 4)
		return false;
	ret->protection = 0;
	for (int i = 0; i < 3; i++) {
		if (text->at[i] == letters[i])
			ret->protection |= bits[i];
		else if (text->at[i] != '-')
			return false;
	}
	if (text->at[3] != 'p' && text->at[3] != 's')
		return false;
	ret->is_shared = text->at[3] == 's';
	*text = str_n(text->at + 4, text->len - 4);
	return true;
}

/* A file's name begins with a slash, so that none looks like the kernel's. */
static enum maps_kind
maps_kind_of(struct str name, uint64_t inode)
{
	static const struct {
		struct str name;
		enum maps_kind kind;
	} names[] = {
		{STR("[heap]"), MAPS_HEAP},
		{STR("[stack]"), MAPS_STACK},
		{STR("[vdso]"), MAPS_CODE},
		{STR("[vvar]"), MAPS_KERNEL},
		{STR("[vvar_vclock]"), MAPS_KERNEL},
		{STR("[vsyscall]"), MAPS_KERNEL},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (str_eq(name, names[i].name))
			return names[i].kind;
	}
	if (name.len > 0 && name.at[0] == '/')
		return str_ends(name, STR(" (deleted)")) ? MAPS_GONE_FILE : MAPS_FILE;
	return inode ? MAPS_GONE_FILE : MAPS_ANONYMOUS;
}

static bool
maps_take_columns(struct str *line, struct maps_range *ret)
{
	uint64_t major, minor;

	if (!maps_take_hex(line, &ret->start) || !maps_take_char(line, '-') ||
		!maps_take_hex(line, &ret->end) || !maps_take_char(line, ' ') ||
		!maps_take_protection(line, ret) || !maps_take_char(line, ' ') ||
		!maps_take_hex(line, &ret->offset) || !maps_take_char(line, ' ') ||
		!maps_take_hex(line, &major) || !maps_take_char(line, ':') ||
		!maps_take_hex(line, &minor) || !maps_take_char(line, ' ') ||
		!maps_take_decimal(line, &ret->inode))
		return false;
	ret->major = (uint32_t)major;
	ret->minor = (uint32_t)minor;
	return ret->start < ret->end && ret->start % MAPS_PAGE == 0 && ret->end % MAPS_PAGE == 0;
}

int
maps_next(struct str *text, struct maps_range *ret)
{
	struct str line;

	if (text->len == 0)
		return 0;
	line = str_cut(text, '\n');
	if (!maps_take_columns(&line, ret))
		return -1;
	while (maps_take_char(&line, ' '))
		;
	ret->kind = maps_kind_of(line, ret->inode);
	return 1;
}

/* Memory without a file is the same under all its names: where the heap ends may have moved. */
static bool
maps_is_nameless(const struct maps_range *range)
{
	return range->kind <= MAPS_STACK;
}

bool
maps_is_same_source(const struct maps_range *a, const struct maps_range *b)
{
	if (a->is_shared != b->is_shared)
		return false;
	if (maps_is_nameless(a) && maps_is_nameless(b))
		return (a->kind == MAPS_STACK) == (b->kind == MAPS_STACK);
	return a->kind == b->kind && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor && a->offset - a->start == b->offset - b->start;
}
