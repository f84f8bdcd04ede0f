/*
 * Xen PV64 ELF images: what is read from a good one, the sentence for each
 * way to be bad, and no harm from 100,000 damaged ones.
 */
#include <check.h>
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include <xen/elfnote.h>

#include "lib/elf.h"
#include "lib/errno.h"

#define BASE     0xffffffff80000000ULL
#define CODE_AT  0x1000 /* in the file */
#define NOTES_AT 0x2000
#define SYMS_AT  0x2800
#define NAMES_AT 0x2a00
#define HEADS_AT 0x2c00
#define SIZE     0x3000

static uint8_t *image; /* SIZE bytes, exactly: ASan guards both ends */
static size_t notes_end;

static Elf64_Ehdr *header(void)
{
    return (Elf64_Ehdr *)image;
}

static Elf64_Phdr *segment(unsigned int i)
{
    return (Elf64_Phdr *)(image + sizeof(Elf64_Ehdr)) + i;
}

static Elf64_Shdr *section(unsigned int i)
{
    return (Elf64_Shdr *)(image + HEADS_AT) + i;
}

static void add_note(uint32_t type, const void *desc, uint32_t size)
{
    Elf64_Nhdr note = { .n_namesz = 4, .n_descsz = size, .n_type = type };
    uint8_t *at = image + notes_end;

    memcpy(at, &note, sizeof(note));
    memcpy(at + 12, "Xen", 4);
    memcpy(at + 16, desc, size);
    notes_end += 16 + ((size + 3) & ~3u);
    segment(1)->p_filesz = notes_end - NOTES_AT;
}

static void add_number(uint32_t type, uint64_t value)
{
    add_note(type, &value, 8);
}

static void add_text(uint32_t type, const char *text)
{
    add_note(type, text, (uint32_t)strlen(text) + 1);
}

static void add_symbols(void)
{
    static const char names[] = "\0start\0work\0data\0asm_stub";
    Elf64_Sym *sym = (Elf64_Sym *)(image + SYMS_AT);

    memcpy(image + NAMES_AT, names, sizeof(names));
    sym[1] = (Elf64_Sym){ 1, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1,
                          BASE + 0x10000, 0x10 };
    sym[2] = (Elf64_Sym){ 7, ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1,
                          BASE + 0x10010, 0x20 };
    sym[3] = (Elf64_Sym){ 12, ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT), 0, 1,
                          BASE + 0x10020, 8 };
    sym[4] = (Elf64_Sym){ 17, ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE), 0, 1,
                          BASE + 0x10100, 0 };
    *section(1) = (Elf64_Shdr){ .sh_type = SHT_PROGBITS,
                                .sh_flags = SHF_EXECINSTR };
    *section(2) = (Elf64_Shdr){ .sh_type = SHT_SYMTAB,
                                .sh_offset = SYMS_AT,
                                .sh_size = 5 * sizeof(*sym),
                                .sh_link = 3 };
    *section(3) = (Elf64_Shdr){ .sh_type = SHT_STRTAB,
                                .sh_offset = NAMES_AT,
                                .sh_size = sizeof(names) };
    *section(4) = (Elf64_Shdr){ .sh_type = SHT_NOTE };
}

/* Without any note. */
static void make_bare_image(void)
{
    memset(image, 0, SIZE);
    *header() = (Elf64_Ehdr){
        .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1 },
        .e_type = ET_EXEC,
        .e_machine = EM_X86_64,
        .e_entry = BASE + 0x10000,
        .e_phoff = sizeof(Elf64_Ehdr),
        .e_shoff = HEADS_AT,
        .e_phentsize = sizeof(Elf64_Phdr),
        .e_phnum = 2,
        .e_shentsize = sizeof(Elf64_Shdr),
        .e_shnum = 5,
    };
    *segment(0) = (Elf64_Phdr){ .p_type = PT_LOAD,
                                .p_offset = CODE_AT,
                                .p_vaddr = 0xdead000, /* is not looked at */
                                .p_paddr = 0x10000,
                                .p_filesz = 0x1000,
                                .p_memsz = 0x4000 };
    *segment(1) = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTES_AT };
    notes_end = NOTES_AT;
    add_symbols();
}

static void make_image(void)
{
    make_bare_image();
    add_text(XEN_ELFNOTE_LOADER, "generic");
    add_text(XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
    add_number(XEN_ELFNOTE_VIRT_BASE, BASE);
}

static void setup(void)
{
    image = malloc(SIZE);
    make_image();
}

static void teardown(void)
{
    free(image);
}

static struct elf_image elf;

static void accepts(void)
{
    const char *why = "";

    if (elf_parse(&elf, image, SIZE, &why))
        ck_abort_msg("refused: %s", why);
}

static void refuses(const char *sentence)
{
    const char *why = "";

    ck_assert_int_eq(elf_parse(&elf, image, SIZE, &why), -ENOEXEC);
    ck_assert_str_eq(why, sentence);
}

START_TEST(the_defaults_are_xens)
{
    accepts();
    ck_assert_uint_eq(elf.virt_base, BASE);
    ck_assert_uint_eq(elf.entry, BASE + 0x10000);
    ck_assert_uint_eq(elf.low, BASE + 0x10000);
    ck_assert_uint_eq(elf.high, BASE + 0x14000);
    ck_assert_uint_eq(elf.hypercall_page, 0);
    ck_assert_uint_eq(elf.init_p2m, 0);
    ck_assert(!elf.mod_start_pfn);
}
END_TEST

START_TEST(every_note_is_taken)
{
    uint32_t one = 1;

    add_number(XEN_ELFNOTE_ENTRY, BASE + 0x10040);
    add_number(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x11000);
    add_number(XEN_ELFNOTE_INIT_P2M, 0x8000000000);
    add_note(XEN_ELFNOTE_MOD_START_PFN, &one, 4);
    add_text(XEN_ELFNOTE_GUEST_OS, "linux");
    add_text(99, "unknown ones do not matter");
    accepts();
    ck_assert_uint_eq(elf.entry, BASE + 0x10040);
    ck_assert_uint_eq(elf.hypercall_page, BASE + 0x11000);
    ck_assert_uint_eq(elf.init_p2m, 0x8000000000);
    ck_assert(elf.mod_start_pfn);
}
END_TEST

START_TEST(segments_go_to_paddr_not_vaddr)
{
    const uint8_t *data;
    uint64_t dest, file_size, mem_size;

    add_number(XEN_ELFNOTE_PADDR_OFFSET, 0x8000);
    header()->e_entry = BASE + 0x8000;
    accepts();
    ck_assert_int_eq(
        elf_segment(&elf, 0, &data, &dest, &file_size, &mem_size), 1);
    ck_assert_ptr_eq(data, image + CODE_AT);
    ck_assert_uint_eq(dest, BASE + 0x8000);
    ck_assert_uint_eq(file_size, 0x1000);
    ck_assert_uint_eq(mem_size, 0x4000);
    ck_assert_int_eq(
        elf_segment(&elf, 1, &data, &dest, &file_size, &mem_size), 0);
}
END_TEST

START_TEST(notes_are_found_in_sections_too)
{
    *section(4) = (Elf64_Shdr){ .sh_type = SHT_NOTE,
                                .sh_offset = NOTES_AT,
                                .sh_size = notes_end - NOTES_AT };
    segment(1)->p_type = PT_NULL;
    accepts();
    ck_assert_uint_eq(elf.virt_base, BASE);
}
END_TEST

START_TEST(linux_needs_no_loader_note)
{
    make_bare_image();
    add_text(XEN_ELFNOTE_GUEST_OS, "linux");
    add_number(XEN_ELFNOTE_VIRT_BASE, BASE);
    accepts();
}
END_TEST

START_TEST(bad_headers_are_named)
{
    image[1] = 'F';
    refuses("the file is no ELF image");
    make_image();
    image[4] = ELFCLASS32;
    refuses("the ELF image is not for x86-64");
    make_image();
    header()->e_machine = EM_AARCH64;
    refuses("the ELF image is not for x86-64");
    make_image();
    header()->e_type = ET_REL;
    refuses("the ELF image is no executable");
    make_image();
    header()->e_phnum = 0;
    refuses("the ELF image has no segments");
    make_image();
    header()->e_phnum = 129;
    refuses("the ELF image has more than 128 segments");
    make_image();
    header()->e_phoff = SIZE - 100;
    refuses("the ELF image is cut off in its segment table");
    make_image();
    header()->e_phoff = ~0ULL - 8;
    refuses("the ELF image is cut off in its segment table");
}
END_TEST

START_TEST(bad_notes_are_named)
{
    make_bare_image();
    refuses("the ELF image has no Xen notes (Linux wants CONFIG_XEN_PV)");
    add_number(XEN_ELFNOTE_PHYS32_ENTRY, 0x10000);
    refuses("its Xen notes have neither LOADER=generic nor GUEST_OS=linux (Linux wants CONFIG_XEN_PV)");
    make_image();
    add_text(XEN_ELFNOTE_XEN_VERSION, "xen-4.0");
    refuses("the note XEN_VERSION is not \"xen-3.0\"");
    make_bare_image();
    add_text(XEN_ELFNOTE_LOADER, "generic");
    add_number(XEN_ELFNOTE_PADDR_OFFSET, 0);
    refuses("the note PADDR_OFFSET is there without VIRT_BASE");
    make_image();
    add_number(XEN_ELFNOTE_VIRT_BASE, BASE + 8);
    refuses("VIRT_BASE, INIT_P2M or HYPERCALL_PAGE is not the address of a page");
    make_image();
    segment(1)->p_filesz -= 4;
    refuses("an ELF note is longer than its section");
    make_image();
    segment(1)->p_offset = SIZE - 4;
    refuses("the ELF image is cut off before its notes");
}
END_TEST

START_TEST(bad_addresses_are_named)
{
    segment(0)->p_filesz = 0x4001;
    refuses("a segment has more bytes than memory");
    make_image();
    segment(0)->p_offset = SIZE - 1;
    refuses("the ELF image is cut off in a segment");
    make_image();
    segment(0)->p_paddr = -4096ULL;
    refuses("a segment lies below VIRT_BASE or where no guest may be");
    make_image();
    segment(0)->p_memsz = 0x80000000;
    refuses("a segment lies below VIRT_BASE or where no guest may be");
    make_image();
    add_number(XEN_ELFNOTE_VIRT_BASE, 0xffff830000000000);
    refuses("a segment lies below VIRT_BASE or where no guest may be");
    make_image();
    segment(0)->p_type = PT_NULL;
    refuses("the ELF image has nothing to load");
    make_image();
    add_number(XEN_ELFNOTE_VIRT_BASE, 0x1000);
    segment(0)->p_paddr = 0xffff880000000000;
    refuses("the hypervisor's addresses lie between VIRT_BASE and the image");
    make_image();
    header()->e_entry = BASE;
    refuses("the entry point is outside the image");
    make_image();
    add_number(XEN_ELFNOTE_HYPERCALL_PAGE, BASE + 0x14000);
    refuses("HYPERCALL_PAGE is outside the image");
    make_image();
    add_number(XEN_ELFNOTE_INIT_P2M, BASE + 0x1000);
    refuses("INIT_P2M is inside the image");
}
END_TEST

START_TEST(symbols_are_functions_at_or_before)
{
    static const struct {
        uint64_t at;
        const char *name; /* NULL: none */
        uint64_t offset;
    } t[] = {
        { 0xffff, NULL, 0 },       { 0x10000, "start", 0 },
        { 0x1000f, "start", 15 },  { 0x10010, "work", 0 },
        { 0x10024, "work", 0x14 }, { 0x10030, NULL, 0 },
        { 0x10180, "asm_stub", 0x80 },
    };

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        const char *name = NULL;
        uint64_t offset = 0;
        bool found = elf_symbol(image, SIZE, BASE + t[i].at, &name, &offset);

        ck_assert_int_eq(found, t[i].name != NULL);
        if (!found)
            continue;
        ck_assert_str_eq(name, t[i].name);
        ck_assert_uint_eq(offset, t[i].offset);
    }
}
END_TEST

/* Whatever was accepted can be loaded: all data lies in the file, all
 * destinations in the range that was given. */
static void use(const uint8_t *bytes, size_t size)
{
    const uint8_t *data;
    uint64_t dest, file_size, mem_size, offset;
    const char *why = NULL, *name;
    volatile uint8_t sink;

    if (elf_symbol(bytes, size, BASE + 0x10018, &name, &offset))
        ck_assert_uint_lt(strlen(name), size);
    if (elf_parse(&elf, bytes, size, &why)) {
        ck_assert_ptr_nonnull(why);
        return;
    }
    for (unsigned int i = 0;
         elf_segment(&elf, i, &data, &dest, &file_size, &mem_size); i++) {
        if (file_size > 0)
            sink = data[0] + data[file_size - 1];
        ck_assert(mem_size >= file_size);
        ck_assert(dest >= elf.low && dest + mem_size <= elf.high);
    }
    (void)sink;
}

START_TEST(every_length_is_safe)
{
    for (size_t size = 0; size < SIZE; size++) {
        uint8_t *cut = malloc(size);

        memcpy(cut, image, size);
        use(cut, size);
        free(cut);
    }
}
END_TEST

/* Mostly in the tables, where damage matters. */
static size_t random_place(void)
{
    static const struct {
        size_t at, size;
    } tables[] = { { 0, 64 },        { 64, 112 },       { NOTES_AT, 80 },
                   { SYMS_AT, 120 }, { HEADS_AT, 320 }, { 0, SIZE } };
    size_t i = (size_t)rand() % (sizeof(tables) / sizeof(tables[0]));

    return tables[i].at + (size_t)rand() % tables[i].size;
}

START_TEST(damaged_images_are_safe)
{
    static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
    unsigned int accepted = 0;
    const char *why;

    srand(1);
    for (unsigned int i = 0; i < 100000; i++) {
        make_image();
        for (int n = rand() % 6; n >= 0; n--) {
            size_t at = random_place();

            image[at] = rand() % 2 ? values[(size_t)rand() % sizeof(values)] :
                                     (uint8_t)rand();
        }
        use(image, SIZE);
        accepted += elf_parse(&elf, image, SIZE, &why) == 0;
    }
    ck_assert_uint_gt(accepted, 1000); /* or nothing deep was reached */
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elf");
    TCase *tests = tcase_create("all");
    SRunner *runner = srunner_create(suite);
    int failed;

    tcase_set_timeout(tests, 120);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_defaults_are_xens);
    tcase_add_test(tests, every_note_is_taken);
    tcase_add_test(tests, segments_go_to_paddr_not_vaddr);
    tcase_add_test(tests, notes_are_found_in_sections_too);
    tcase_add_test(tests, linux_needs_no_loader_note);
    tcase_add_test(tests, bad_headers_are_named);
    tcase_add_test(tests, bad_notes_are_named);
    tcase_add_test(tests, bad_addresses_are_named);
    tcase_add_test(tests, symbols_are_functions_at_or_before);
    tcase_add_test(tests, every_length_is_safe);
    tcase_add_test(tests, damaged_images_are_safe);
    suite_add_tcase(suite, tests);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
