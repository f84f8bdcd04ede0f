/*
 * From the builder's start_info to guest_main, and the end of the domain.
 *
 * Everything in struct guest is set here, once, before guest_main; only
 * `start` and `shared` are used before that.
 */
#include "guests/lib/internal.h"

#include <xen/version.h>

#include "lib/args.h"

struct guest guest;

static char shared_page[PAGE_SIZE] OWN_PAGE;

/* Needs the p2m list only, so it can come before everything else. */
static void map_shared_info(void)
{
    uint64_t frame = guest.start->shared_info >> PAGE_SHIFT;

    BUG_ON(map_frame_at(shared_page, frame, true));
    guest.shared = (struct shared_info *)shared_page;
}

/* An unbound port for oneself shows the id that DOMID_SELF stands for. */
static domid_t find_own_id(void)
{
    evtchn_port_t port;
    struct evtchn_status status = { .dom = DOMID_SELF };

    BUG_ON(event_alloc_unbound(DOMID_SELF, &port));
    status.port = port;
    BUG_ON(hypercall_event_channel_op(EVTCHNOP_status, &status));
    event_close(port);
    return status.u.unbound.dom;
}

static void find_hypervisor(void)
{
    struct belfry_version version = { .size = sizeof(version),
                                      .version = BELFRY_ABI_VERSION };

    if (hypercall_belfry_op(BELFRYOP_version, &version))
        return;
    guest.on_belfry = true;
    guest.generation = version.generation;
    string_copy(guest.name, version.name, sizeof(guest.name));
}

/* On Xen the name stands in the store, as every toolstack writes it. */
static void find_name_in_store(void)
{
    char *name;

    if (guest.on_belfry || !store_available())
        return;
    name = store_read("name", NULL);
    if (!name)
        return;
    string_copy(guest.name, name, sizeof(guest.name));
    mem_free(name);
}

static void read_start_info(struct start_info *start)
{
    guest.start = start;
    guest.initial = start->flags & SIF_INITDOMAIN;
    guest.cmdline = (const char *)start->cmd_line;
    guest.ramdisk = start->mod_len ? (void *)start->mod_start : NULL;
    guest.ramdisk_size = start->mod_len;
}

/* Text and constants become read-only, data not executable; the page below
 * the stack goes, so that an overrun ends the domain at once. */
static void protect_image(void)
{
    uint64_t text = PTE_READ & ~PTE_NX;

    for (char *p = image_begin; p < text_end; p += PAGE_SIZE)
        BUG_ON(page_set_entry(p, virt_to_mfn(p) << PAGE_SHIFT | text));
    for (char *p = text_end; p < rodata_end; p += PAGE_SIZE)
        BUG_ON(page_set_entry(p, virt_to_mfn(p) << PAGE_SHIFT | PTE_READ));
    for (char *p = stack_bottom; p < stack_top; p += PAGE_SIZE)
        BUG_ON(page_set_entry(p, virt_to_mfn(p) << PAGE_SHIFT | PTE_DATA));
    BUG_ON(page_set_entry(stack_guard, 0));
}

_Noreturn void runtime_start(struct start_info *start)
{
    read_start_info(start);
    map_shared_info();
    trap_init();
    event_init();
    console_init();
    memory_init();
    protect_image();
    hypercall_vcpu_op(VCPUOP_stop_periodic_timer, 0, NULL);
    guest.domid = find_own_id();
    find_hypervisor();
    store_init();
    find_name_in_store();
    guest_exit(guest_main());
}

/* ---- The command line. ---- */

/* Does @word say @key or key=value?  Then where the value is, else NULL. */
static const char *word_value(const char *word, const char *key)
{
    size_t n = strlen(key);

    if (strncmp(word, key, n))
        return NULL;
    if (word[n] == '=')
        return word + n + 1;
    return word[n] ? NULL : word + n;
}

bool cmdline_get(const char *key, char *value, size_t size)
{
    char word[ARGS_CMDLINE_SIZE];
    unsigned int column;
    size_t pos = 0;

    while (args_next_word(guest.cmdline, &pos, word, sizeof(word), &column) >
           0) {
        const char *found = word_value(word, key);

        if (found) {
            string_copy(value, found, size);
            return true;
        }
    }
    return false;
}

uint64_t cmdline_number(const char *key, uint64_t otherwise)
{
    char value[32];
    uint64_t number;

    if (!cmdline_get(key, value, sizeof(value)))
        return otherwise;
    return number_parse(value, &number) ? number : otherwise;
}

/* One digit in @base, or @base itself. */
static unsigned int digit_value(char c, unsigned int base)
{
    unsigned int value = base;

    if (c >= '0' && c <= '9')
        value = (unsigned int)(c - '0');
    else if ((c | 32) >= 'a' && (c | 32) <= 'f')
        value = (unsigned int)((c | 32) - 'a' + 10);
    return value < base ? value : base;
}

bool number_parse(const char *text, uint64_t *out)
{
    unsigned int base = 10;
    uint64_t number = 0;

    if (text[0] == '0' && (text[1] | 32) == 'x') {
        base = 16;
        text += 2;
    }
    if (!*text)
        return false;
    for (; *text; text++) {
        unsigned int digit = digit_value(*text, base);

        if (digit == base || __builtin_mul_overflow(number, base, &number) ||
            __builtin_add_overflow(number, digit, &number))
            return false;
    }
    *out = number;
    return true;
}

/* ---- The end. ---- */

_Noreturn void domain_shutdown(unsigned int reason)
{
    struct sched_shutdown end = { .reason = reason };

    /* Xen keeps the machine when its first domain powers off, and waits
     * before it restarts it after a crash: nobody is there to see. */
    if (guest.initial && !guest.on_belfry)
        end.reason = SHUTDOWN_reboot;
    for (;;)
        hypercall_sched_op(SCHEDOP_shutdown, &end);
}

_Noreturn void guest_exit(int status)
{
    console_drain();
    domain_shutdown(status ? SHUTDOWN_crash : SHUTDOWN_poweroff);
}

_Noreturn void verdict(enum verdict v, const char *name)
{
    static const char *const words[] = { "pass", "fail", "skip", "broken" };

    printf("verdict: %s %s\n", words[v], name);
    guest_exit(v == VERDICT_FAIL || v == VERDICT_BROKEN);
}
