/* SPDX-License-Identifier: Apache-2.0 */
#include "own_data.h"

#include <elf.h>
#include <link.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define OWN_DATA_MAX  512
#define OWN_DATA_PAGE 4096ul

struct own_data {
	struct own_piece {
		uintptr_t start, end;
		int protection;
	} at[OWN_DATA_MAX];
	size_t n;
};

static void
own_data_add(struct own_data *data, uintptr_t start, uintptr_t end, int protection)
{
	if (start < end && data->n < OWN_DATA_MAX)
		data->at[data->n++] = (struct own_piece){start, end, protection};
}

/* A segment that may be written, without what lies behind the file's part; its beginning is
 * read-only once the addresses in it are known (PT_GNU_RELRO). */
static int
own_data_find(struct dl_phdr_info *object, size_t size, void *arg)
{
	uintptr_t base = object->dlpi_addr, constant_end = 0;

	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];

		if (part->p_type == PT_GNU_RELRO)
			constant_end = (base + part->p_vaddr + part->p_memsz) & -OWN_DATA_PAGE;
	}
	for (size_t i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &object->dlpi_phdr[i];
		uintptr_t start = (base + part->p_vaddr) & -OWN_DATA_PAGE, middle = start;
		uintptr_t end = (base + part->p_vaddr + part->p_filesz + OWN_DATA_PAGE - 1) &
				-OWN_DATA_PAGE;

		if (part->p_type != PT_LOAD || (part->p_flags & (PF_W | PF_X)) != PF_W ||
			part->p_filesz == 0)
			continue;
		if (constant_end > start && constant_end <= end)
			middle = constant_end;
		own_data_add(arg, start, middle, PROT_READ);
		own_data_add(arg, middle, end, PROT_READ | PROT_WRITE);
	}
	return 0;
}

/* The copy takes the place of what it was made of in one step, so the code that does it may use
 * that data itself. */
static void
own_data_replace(const struct own_piece *piece)
{
	size_t size = piece->end - piece->start;
	void *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (copy == MAP_FAILED)
		return;
	memcpy(copy, (const void *)piece->start, size);
	if (mprotect(copy, size, piece->protection) < 0 ||
		mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)piece->start) ==
			MAP_FAILED)
		munmap(copy, size);
}

void
own_data_take(void)
{
	static struct own_data data;

	data.n = 0;
	dl_iterate_phdr(own_data_find, &data);
	for (size_t i = 0; i < data.n; i++)
		own_data_replace(&data.at[i]);
}
