/*
 * Where guests are, and names for that from the symbols of their modules.
 *
 * Only for people to read: an address without a name is the empty string.
 */
#include "hv/domain.h"
#include "hv/modules.h"
#include "lib/elf.h"
#include "lib/format.h"
#include "lib/string.h"

/* The last answer: a listing asks for the same address for many ports. */
static struct {
    spinlock_t lock;
    uint64_t generation, rip;
    char text[64];
} last;

static void look_up(const struct domain *d, uint64_t rip, char *buf,
                    size_t size)
{
    const char *name;
    uint64_t offset;

    buf[0] = '\0';
    if (!elf_symbol(d->module->image, d->module->size, rip, &name, &offset))
        return;
    format_string(buf, size, "%.*s+%#lx", (int)size - 20, name, offset);
    /* Symbol names are the image's: let nothing through that upsets a
     * terminal or a JSON document. */
    for (char *p = buf; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\')
            *p = '?';
}

void domain_symbol(const struct domain *d, uint64_t rip, char *buf,
                   size_t size)
{
    spin_lock(&last.lock);
    if (last.generation != d->generation || last.rip != rip) {
        last.generation = d->generation;
        last.rip = rip;
        look_up(d, rip, last.text, sizeof(last.text));
    }
    string_copy(buf, last.text, size);
    spin_unlock(&last.lock);
}
