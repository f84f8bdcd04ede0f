/*
 * Xen PV64 ELF images.
 *
 * Every byte of an image is hostile: nothing is read but through fetch(),
 * bytes_at() and string_at(), which check that it lies inside, and sums of
 * the image's numbers are made only after a check that they do not wrap.
 */
#include "lib/elf.h"

#include <xen/elfnote.h>

#include "hv/x86/layout.h"
#include "lib/errno.h"
#include "lib/string.h"

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment_header {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

struct elf_section {
    uint32_t name, type;
    uint64_t flags, addr, offset, size;
    uint32_t link, info;
    uint64_t addralign, entsize;
};

struct elf_sym {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
};

struct elf_note {
    uint32_t name_size, desc_size, type;
};

_Static_assert(sizeof(struct elf_header) == 64, "ELF64");
_Static_assert(sizeof(struct elf_segment_header) == 56, "ELF64");
_Static_assert(sizeof(struct elf_section) == 64, "ELF64");
_Static_assert(sizeof(struct elf_sym) == 24, "ELF64");

#define ET_EXEC       2
#define ET_DYN        3
#define EM_X86_64     62
#define PT_LOAD       1
#define PT_NOTE       4
#define SHT_SYMTAB    2
#define SHT_NOTE      7
#define SHF_EXECINSTR 4
#define STT_NOTYPE    0
#define STT_FUNC      2

#define MAX_SEGMENTS 128u
#define MAX_NOTES    512u
/* How far behind a symbol without a size an address still is its. */
#define MAX_UNSIZED 0x10000u

/* The notes that matter, as given. */
struct notes {
    unsigned int seen; /* all notes, to bound the walk */
    unsigned int xen;  /* of these, with the name "Xen" */
    bool has_entry, has_virt_base, has_paddr_offset;
    const char *loader, *guest_os, *xen_version;
};

/* ---- Reading. ---- */

static const uint8_t *bytes_at(const struct elf_image *elf, uint64_t offset,
                               uint64_t n)
{
    if (offset > elf->size || n > elf->size - offset)
        return NULL;
    return elf->bytes + offset;
}

static bool fetch(const struct elf_image *elf, uint64_t offset, void *out,
                  size_t n)
{
    const uint8_t *bytes = bytes_at(elf, offset, n);

    if (bytes)
        memcpy(out, bytes, n);
    return bytes != NULL;
}

/* A terminated string inside [offset, offset + n), or NULL. */
static const char *string_at(const struct elf_image *elf, uint64_t offset,
                             uint64_t n)
{
    const uint8_t *bytes = bytes_at(elf, offset, n);

    if (!bytes || !memchr(bytes, '\0', n))
        return NULL;
    return (const char *)bytes;
}

/* Entry @index of a table of headers; a multiplication of 16-bit numbers and
 * one addition that is checked. */
static bool fetch_entry(const struct elf_image *elf, uint64_t table,
                        unsigned int index, void *out, size_t n)
{
    uint64_t offset = table + index * n;

    return offset >= table && fetch(elf, offset, out, n);
}

static bool segment_header(const struct elf_image *elf,
                           const struct elf_header *h, unsigned int index,
                           struct elf_segment_header *out)
{
    return index < h->phnum &&
           fetch_entry(elf, h->phoff, index, out, sizeof(*out));
}

static bool section_header(const struct elf_image *elf,
                           const struct elf_header *h, unsigned int index,
                           struct elf_section *out)
{
    return index < h->shnum && h->shentsize == sizeof(*out) &&
           fetch_entry(elf, h->shoff, index, out, sizeof(*out));
}

static int refuse(const char **why, const char *sentence)
{
    *why = sentence;
    return -ENOEXEC;
}

static int read_header(const struct elf_image *elf, struct elf_header *h,
                       const char **why)
{
    if (!fetch(elf, 0, h, sizeof(*h)) || memcmp(h->ident, "\177ELF", 4) != 0)
        return refuse(why, "the file is no ELF image");
    if (h->ident[4] != 2 || h->ident[5] != 1 || h->machine != EM_X86_64)
        return refuse(why, "the ELF image is not for x86-64");
    if (h->type != ET_EXEC && h->type != ET_DYN)
        return refuse(why, "the ELF image is no executable");
    if (h->phnum == 0 || h->phentsize != sizeof(struct elf_segment_header))
        return refuse(why, "the ELF image has no segments");
    if (h->phnum > MAX_SEGMENTS)
        return refuse(why, "the ELF image has more than 128 segments");
    if (h->phoff > elf->size ||
        !bytes_at(elf, h->phoff, (uint64_t)h->phnum * h->phentsize))
        return refuse(why, "the ELF image is cut off in its segment table");
    return 0;
}

/* ---- Notes. ---- */

/* The number a note holds; other sizes than these count as 0, as in Xen. */
static uint64_t note_number(const uint8_t *desc, uint32_t size)
{
    uint64_t value = 0;

    if (size == 1 || size == 2 || size == 4 || size == 8)
        memcpy(&value, desc, size);
    return value;
}

static const char *note_string(const uint8_t *desc, uint32_t size)
{
    return memchr(desc, '\0', size) ? (const char *)desc : NULL;
}

static void take_note(struct elf_image *elf, struct notes *notes, uint32_t type,
                      const uint8_t *desc, uint32_t size)
{
    notes->xen++;
    switch (type) {
    case XEN_ELFNOTE_ENTRY:
        elf->entry = note_number(desc, size);
        notes->has_entry = true;
        break;
    case XEN_ELFNOTE_HYPERCALL_PAGE:
        elf->hypercall_page = note_number(desc, size);
        break;
    case XEN_ELFNOTE_VIRT_BASE:
        elf->virt_base = note_number(desc, size);
        notes->has_virt_base = true;
        break;
    case XEN_ELFNOTE_PADDR_OFFSET:
        elf->paddr_offset = note_number(desc, size);
        notes->has_paddr_offset = true;
        break;
    case XEN_ELFNOTE_INIT_P2M:
        elf->init_p2m = note_number(desc, size);
        break;
    case XEN_ELFNOTE_MOD_START_PFN:
        elf->mod_start_pfn = note_number(desc, size) != 0;
        break;
    case XEN_ELFNOTE_XEN_VERSION:
        notes->xen_version = note_string(desc, size);
        break;
    case XEN_ELFNOTE_GUEST_OS:
        notes->guest_os = note_string(desc, size);
        break;
    case XEN_ELFNOTE_LOADER:
        notes->loader = note_string(desc, size);
        break;
    }
}

static uint64_t note_pad(uint32_t size)
{
    return ((uint64_t)size + 3) & ~3ULL;
}

/* Read the notes in [offset, offset + size) of the file. */
static int read_notes(struct elf_image *elf, struct notes *notes,
                      uint64_t offset, uint64_t size, const char **why)
{
    struct elf_note note;
    const uint8_t *name;
    uint64_t length;

    if (!bytes_at(elf, offset, size))
        return refuse(why, "the ELF image is cut off before its notes");
    for (; size >= sizeof(note); offset += length, size -= length) {
        fetch(elf, offset, &note, sizeof(note));
        length = sizeof(note) + note_pad(note.name_size) +
                 note_pad(note.desc_size);
        /* The last one's padding may be left out. */
        if (length - note_pad(note.desc_size) + note.desc_size > size)
            return refuse(why, "an ELF note is longer than its section");
        if (notes->seen++ == MAX_NOTES)
            return refuse(why, "the ELF image has more than 512 notes");
        name = elf->bytes + offset + sizeof(note);
        if (note.name_size == 4 && memcmp(name, "Xen", 4) == 0)
            take_note(elf, notes, note.type, name + 4, note.desc_size);
        if (length > size)
            break;
    }
    return 0;
}

/* In segments or, if there are none of Xen's, in sections. */
static int find_notes(struct elf_image *elf, const struct elf_header *h,
                      struct notes *notes, const char **why)
{
    struct elf_segment_header segment;
    struct elf_section section;
    int rc = 0;

    for (unsigned int i = 0; !rc && segment_header(elf, h, i, &segment); i++)
        if (segment.type == PT_NOTE && segment.offset != 0)
            rc = read_notes(elf, notes, segment.offset, segment.filesz, why);
    if (rc || notes->xen > 0)
        return rc;
    for (unsigned int i = 0; !rc && section_header(elf, h, i, &section); i++)
        if (section.type == SHT_NOTE)
            rc = read_notes(elf, notes, section.offset, section.size, why);
    return rc;
}

static bool has_prefix(const char *s, const char *prefix)
{
    return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

static int check_notes(const struct elf_image *elf, const struct notes *notes,
                       const char **why)
{
    if (notes->xen == 0)
        return refuse(why, "the ELF image has no Xen notes (Linux wants CONFIG_XEN_PV)");
    if (!has_prefix(notes->loader, "generic") &&
        !has_prefix(notes->guest_os, "linux"))
        return refuse(why, "its Xen notes have neither LOADER=generic nor GUEST_OS=linux (Linux wants CONFIG_XEN_PV)");
    if (notes->xen_version && strcmp(notes->xen_version, "xen-3.0") != 0)
        return refuse(why, "the note XEN_VERSION is not \"xen-3.0\"");
    if (notes->has_paddr_offset && !notes->has_virt_base)
        return refuse(why, "the note PADDR_OFFSET is there without VIRT_BASE");
    if (elf->virt_base % PAGE_SIZE || elf->init_p2m % PAGE_SIZE ||
        elf->hypercall_page % PAGE_SIZE)
        return refuse(why, "VIRT_BASE, INIT_P2M or HYPERCALL_PAGE is not the address of a page");
    return 0;
}

/* ---- Segments. ---- */

/* May a guest have [start, end)?  Not what no address can name, nor the
 * hypervisor's part. */
static bool is_guest_range(uint64_t start, uint64_t end)
{
    if (start >= end)
        return false;
    return end <= 1ULL << 47 || start >= HV_END;
}

static int check_segment(struct elf_image *elf,
                         const struct elf_segment_header *s, const char **why)
{
    uint64_t dest = elf->virt_base + s->paddr - elf->paddr_offset;

    if (s->memsz < s->filesz)
        return refuse(why, "a segment has more bytes than memory");
    if (!bytes_at(elf, s->offset, s->filesz))
        return refuse(why, "the ELF image is cut off in a segment");
    if (!is_guest_range(dest, dest + s->memsz) || dest < elf->virt_base)
        return refuse(why, "a segment lies below VIRT_BASE or where no guest may be");
    if (dest < elf->low)
        elf->low = dest;
    if (dest + s->memsz > elf->high)
        elf->high = dest + s->memsz;
    return 0;
}

static int check_segments(struct elf_image *elf, const struct elf_header *h,
                          const char **why)
{
    struct elf_segment_header segment;
    int rc = 0;

    elf->low = UINT64_MAX;
    elf->high = 0;
    for (unsigned int i = 0; !rc && segment_header(elf, h, i, &segment); i++)
        if (segment.type == PT_LOAD && segment.memsz > 0)
            rc = check_segment(elf, &segment, why);
    if (rc)
        return rc;
    if (elf->high == 0)
        return refuse(why, "the ELF image has nothing to load");
    if (!is_guest_range(elf->virt_base, elf->high))
        return refuse(why, "the hypervisor's addresses lie between VIRT_BASE and the image");
    return 0;
}

static int check_addresses(const struct elf_image *elf, const char **why)
{
    if (elf->entry < elf->low || elf->entry >= elf->high)
        return refuse(why, "the entry point is outside the image");
    if (elf->hypercall_page && (elf->hypercall_page < elf->low ||
                                elf->hypercall_page >= elf->high))
        return refuse(why, "HYPERCALL_PAGE is outside the image");
    if (elf->init_p2m && elf->init_p2m >= elf->virt_base &&
        elf->init_p2m < elf->high)
        return refuse(why, "INIT_P2M is inside the image");
    return 0;
}

int elf_parse(struct elf_image *elf, const void *bytes, size_t size,
              const char **why)
{
    struct notes notes = { 0 };
    struct elf_header h;
    int rc;

    memset(elf, 0, sizeof(*elf));
    elf->bytes = bytes;
    elf->size = size;

    rc = read_header(elf, &h, why);
    if (!rc)
        rc = find_notes(elf, &h, &notes, why);
    if (!rc)
        rc = check_notes(elf, &notes, why);
    if (!rc)
        rc = check_segments(elf, &h, why);
    if (rc)
        return rc;
    if (!notes.has_entry)
        elf->entry = h.entry;
    return check_addresses(elf, why);
}

int elf_segment(const struct elf_image *elf, unsigned int index,
                const uint8_t **data, uint64_t *dest, uint64_t *file_size,
                uint64_t *mem_size)
{
    struct elf_segment_header s;
    struct elf_header h;

    if (!fetch(elf, 0, &h, sizeof(h)))
        return 0;
    for (unsigned int i = 0; segment_header(elf, &h, i, &s); i++) {
        if (s.type != PT_LOAD || s.memsz == 0 || index-- > 0)
            continue;
        *data = elf->bytes + s.offset;
        *dest = elf->virt_base + s.paddr - elf->paddr_offset;
        *file_size = s.filesz;
        *mem_size = s.memsz;
        return 1;
    }
    return 0;
}

/* ---- Symbols. ---- */

static bool is_function(const struct elf_image *elf, const struct elf_header *h,
                        const struct elf_sym *sym)
{
    struct elf_section section;

    if ((sym->info & 15) == STT_FUNC)
        return sym->section != 0;
    /* The assembler gives no type: then being code must do. */
    return (sym->info & 15) == STT_NOTYPE && sym->section != 0 &&
           section_header(elf, h, sym->section, &section) &&
           section.flags & SHF_EXECINSTR;
}

static bool covers(const struct elf_sym *sym, uint64_t va)
{
    uint64_t size = sym->size ? sym->size : MAX_UNSIZED;

    return sym->value <= va && va - sym->value < size;
}

/* The closest function of a symbol table that lies inside the image. */
static bool search_symbols(const struct elf_image *elf,
                           const struct elf_header *h,
                           const struct elf_section *table, uint64_t va,
                           struct elf_sym *best)
{
    uint64_t count = table->size / sizeof(struct elf_sym);
    bool found = false;
    struct elf_sym sym;

    for (uint64_t i = 0; i < count; i++) {
        fetch(elf, table->offset + i * sizeof(sym), &sym, sizeof(sym));
        if (!covers(&sym, va) || (found && sym.value < best->value) ||
            !is_function(elf, h, &sym))
            continue;
        *best = sym;
        found = true;
    }
    return found;
}

/* The image's first symbol table and its strings; both lie inside. */
static bool find_symbols(const struct elf_image *elf,
                         const struct elf_header *h, struct elf_section *table,
                         struct elf_section *strings)
{
    for (unsigned int i = 0; section_header(elf, h, i, table); i++)
        if (table->type == SHT_SYMTAB)
            return section_header(elf, h, table->link, strings) &&
                   bytes_at(elf, table->offset, table->size) &&
                   bytes_at(elf, strings->offset, strings->size);
    return false;
}

bool elf_symbol(const void *bytes, size_t size, uint64_t va, const char **name,
                uint64_t *offset)
{
    struct elf_image elf = { .bytes = bytes, .size = size };
    struct elf_section table, strings;
    struct elf_sym sym = { 0 };
    struct elf_header h;
    const char *why;

    if (read_header(&elf, &h, &why) ||
        !find_symbols(&elf, &h, &table, &strings) ||
        !search_symbols(&elf, &h, &table, va, &sym) || sym.name >= strings.size)
        return false;
    *name = string_at(&elf, strings.offset + sym.name, strings.size - sym.name);
    *offset = va - sym.value;

    return *name != NULL;
}
