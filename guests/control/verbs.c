/*
 * What all verbs share: finding them, finding domains, failing.
 *
 * Invariant: the tables are the only list of verbs; usage and help come from
 * them.
 */
#include "guests/control/verbs.h"

#include "lib/errno.h"

const struct verb *verb_at(unsigned int i)
{
    static const struct verb *const tables[] = { domain_verbs, channel_verbs,
                                                 other_verbs };

    for (unsigned int t = 0; t < 3; t++)
        for (const struct verb *v = tables[t]; v->name; v++)
            if (i-- == 0)
                return v;
    return NULL;
}

const struct verb *verb_find(const char *name)
{
    const struct verb *v;

    for (unsigned int i = 0; (v = verb_at(i)) != NULL; i++)
        if (strcmp(v->name, name) == 0)
            return v;
    return NULL;
}

int verb_run(const struct verb *v, struct call *c)
{
    if (c->argc < v->min || c->argc > v->max)
        return call_fail(c, CODE_USAGE, "usage: %s %s", v->name, v->usage);
    domains_look();
    return v->run(c);
}

int call_fail(struct call *c, int code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    format_string_v(c->what, sizeof(c->what), fmt, args);
    va_end(args);
    return code;
}

const char *errno_name(int err)
{
    static const struct {
        int value;
        const char *name;
    } names[] = {
#define XEN_ERRNO(name, value) { value, "-" #name },
#include <xen/errno.h>
#undef XEN_ERRNO
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].value == -err)
            return names[i].name;
    return "unknown error";
}

int call_refused(struct call *c, int err, const char *what, const char *text)
{
    return call_fail(
        c, err == -ENOENT ? CODE_NOT_FOUND : CODE_REFUSED, "%s: %s (%s)", what,
        text[0] ? text : "refused by the hypervisor", errno_name(err));
}

bool parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;

    if (!*text || strnlen(text, 20) > 19)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (uint64_t)(*text - '0');
    }
    *out = value;
    return true;
}

unsigned int living(const struct belfry_domain **to, unsigned int room)
{
    unsigned int n = 0;

    if (room > 0)
        to[n++] = &own_info;
    for_each_dom (d)
        if (n < room)
            to[n++] = &d->info;
    return n;
}

void emit_domain_names(struct emit *e)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);

    for (unsigned int i = 0; i < n; i++)
        emit_string(e, NULL, all[i]->name);
}

int call_domain(struct call *c, const char *arg, struct belfry_domain *out)
{
    const struct belfry_domain *all[DOMAINS_MAX + 1];
    unsigned int n = living(all, DOMAINS_MAX + 1);
    const struct ended *e = ended_by_name(arg);
    uint64_t id = ~0ull;

    parse_u64(arg, &id);
    for (unsigned int i = 0; i < n; i++) {
        if (strcmp(all[i]->name, arg) != 0 && all[i]->id != id)
            continue;
        *out = *all[i];
        return 0;
    }
    c->have = emit_domain_names;
    if (e)
        return call_fail(c, CODE_NOT_FOUND, "domain %s is gone: %s", arg,
                         e->why);
    return call_fail(c, CODE_NOT_FOUND, "domain %s: not found", arg);
}

int call_other(struct call *c, const char *arg, struct dom **out)
{
    struct belfry_domain info;
    int code = call_domain(c, arg, &info);

    if (code)
        return code;
    if (info.id == guest.domid)
        return call_fail(c, CODE_FAILED,
                         "domain %s: it is the control domain itself", arg);
    *out = dom_by_id(info.id);
    return *out ? 0 : call_fail(c, CODE_FAILED, "domain %s: not served", arg);
}
