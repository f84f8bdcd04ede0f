/* Calls: see call.h for the contract and the pairs. */
#include "rings/call.h"

#include "hv/abi/belfry.h"
#include "lib/atomic.h"
#include "lib/errno.h"
#include "rings/shared_copy.h"

/* Where a test may end a domain (tests/guest/chains). */
#ifndef CALL_POINT
#define CALL_POINT(name) ((void)0)
#endif

_Static_assert(sizeof(struct call_page) == 4096, "one page");
_Static_assert(offsetof(struct call_page, taken) == 64, "a line a side");

const char *call_evidence_name(enum call_evidence evidence)
{
    static const char *const names[] = {
        [CALL_UNKNOWN] = "nothing is known",
        [CALL_WORKING] = "works on the request",
        [CALL_NOT_TAKEN] = "has run, and not taken the request",
        [CALL_NEVER_RAN] = "has not run since the request",
        [CALL_MASKED] = "has masked the port",
        [CALL_EVENTS_OFF] = "has masked its upcalls",
        [CALL_STARVED] = "is kept from its CPU",
        [CALL_PAUSED] = "is paused",
    };

    return evidence < sizeof(names) / sizeof(names[0]) ? names[evidence] : "";
}

/* ---- The caller. ---- */

void call_open(struct call_caller *c, struct call_page *page,
               const struct call_way *way, void *bell)
{
    *c = (struct call_caller){ .page = page, .way = way, .bell = bell };
    c->generation = read_once(&page->asked);
}

static void ask(struct call_caller *c, const void *request, size_t size,
                uint64_t deadline)
{
    struct call_page *page = c->page;

    c->calls++;
    c->generation++;
    shared_copy(page->request, request, size);
    write_once(&page->size, (uint32_t)size);
    write_once(&page->deadline, deadline);
    CALL_POINT("ask");
    store_release(&page->asked, c->generation); /* R1 */
    CALL_POINT("asked");
}

static int fault(struct call_caller *c)
{
    c->faulty = true;
    return -EPROTO;
}

/* 0 the answer is there; -EAGAIN not yet; -EPROTO.  Only our own generations
 * can have been answered, and none that we have not used. */
static int look_for_answer(struct call_caller *c)
{
    uint64_t answered = load_acquire(&c->page->answered); /* A2 */

    if (answered == c->generation)
        return 0;
    return answered > c->generation ? fault(c) : -EAGAIN;
}

static int take_answer(struct call_caller *c, void *answer, size_t room,
                       size_t *size)
{
    uint32_t n = read_once(&c->page->answer_size);
    int32_t status = read_once(&c->page->status);

    if (n > CALL_BYTES || (status != 0 && status != -ECANCELED))
        return fault(c);
    if (n > room)
        return status ? status : -ENOSPC;
    shared_copy(answer, c->page->answer, n);
    *size = n;
    return status;
}

static enum call_evidence evidence(const struct call_caller *c,
                                   const struct call_peer *p, uint64_t asked_at)
{
    bool asleep = p->vcpu_state >= BELFRY_VCPU_BLOCKED;
    bool same_since = p->vcpu_since <= asked_at;

    if (load_acquire(&c->page->taken) == c->generation)
        return CALL_WORKING;
    if (p->state != BELFRY_PEER_ALIVE)
        return CALL_UNKNOWN;
    if (p->vcpu_state == BELFRY_VCPU_PAUSED ||
        p->vcpu_state == BELFRY_VCPU_OFFLINE)
        return CALL_PAUSED;
    if (p->vcpu_state == BELFRY_VCPU_RUNNABLE && same_since)
        return CALL_STARVED;
    if (p->pending && p->masked)
        return CALL_MASKED;
    if (asleep && p->pending && p->upcall_masked)
        return CALL_EVENTS_OFF;
    return asleep && same_since ? CALL_NEVER_RAN : CALL_NOT_TAKEN;
}

/* It ends without an answer.  One that comes yet finds itself unwanted. */
static int give_up(struct call_caller *c, int error, uint64_t asked_at,
                   struct call_ending *ending)
{
    struct call_ending e = { .starved_by = 0xffffffffu };

    store_release(&c->page->withdrawn, c->generation); /* R3 */
    CALL_POINT("withdrawn");
    if (!ending)
        return error;
    c->way->look(c->bell, &e.peer);
    if (error == -ETIMEDOUT)
        e.evidence = evidence(c, &e.peer, asked_at);
    if (e.evidence == CALL_STARVED)
        e.starved_by = e.peer.cpu_runs;
    *ending = e;
    return error;
}

/* Why a call that has no answer should not go on waiting; 0: it should. */
static int reason_to_end(struct call_caller *c, int woken, uint64_t deadline)
{
    if (woken)
        return woken;
    if (atomic_xchg(&c->cancelled, false))
        return -ECANCELED;
    return deadline && c->way->now() >= deadline ? -ETIMEDOUT : 0;
}

int call_make(struct call_caller *c, const void *request, size_t size,
              void *answer, size_t *answer_size, uint64_t deadline,
              struct call_ending *ending)
{
    uint64_t asked_at = ending ? c->way->now() : 0;
    const size_t room = *answer_size;
    int found, error;

    *answer_size = 0;
    if (c->faulty)
        return -EPROTO;
    if (size > CALL_BYTES)
        return -EINVAL;

    ask(c, request, size, deadline);
    for (;;) {
        int woken = c->way->call(c->bell, deadline);

        CALL_POINT("woken");
        found = look_for_answer(c);
        if (found == 0)
            return take_answer(c, answer, room, answer_size);
        if (found != -EAGAIN)
            return give_up(c, found, asked_at, ending);
        error = reason_to_end(c, woken, deadline);
        if (error)
            return give_up(c, error, asked_at, ending);
    }
}

void call_cancel(struct call_caller *c)
{
    store_release(&c->cancelled, true);
}

/* ---- The server. ---- */

void call_attach(struct call_server *s, struct call_page *page)
{
    *s = (struct call_server){ .page = page };
    s->taken = read_once(&page->answered);
}

int call_take(struct call_server *s, void *request, size_t *size)
{
    uint64_t asked = load_acquire(&s->page->asked); /* A1 */
    uint32_t n = read_once(&s->page->size);

    if (s->faulty)
        return -EPROTO;
    if (asked == s->taken)
        return -EAGAIN;
    if (asked < s->taken || n > CALL_BYTES) {
        s->faulty = true;
        return -EPROTO;
    }
    s->taken = asked;
    if (load_acquire(&s->page->withdrawn) == asked) /* A3 */
        return -EAGAIN;
    s->busy = true;
    store_release(&s->page->taken, asked);
    CALL_POINT("taken");
    if (n > *size)
        return -ENOSPC;
    shared_copy(request, s->page->request, n);
    *size = n;
    return 0;
}

bool call_is_wanted(const struct call_server *s)
{
    return s->busy && read_once(&s->page->asked) == s->taken &&
           load_acquire(&s->page->withdrawn) != s->taken; /* A3 */
}

static int finish(struct call_server *s, const void *answer, size_t size,
                  int32_t status)
{
    bool wanted = call_is_wanted(s);

    if (!s->busy || size > CALL_BYTES)
        return -EINVAL;
    s->busy = false;
    if (!wanted)
        return -ECANCELED;
    shared_copy(s->page->answer, answer, size);
    write_once(&s->page->answer_size, (uint32_t)size);
    write_once(&s->page->status, status);
    CALL_POINT("answer");
    store_release(&s->page->answered, s->taken); /* R2 */
    CALL_POINT("answered");
    return 0;
}

int call_answer(struct call_server *s, const void *answer, size_t size)
{
    return finish(s, answer, size, 0);
}

int call_refuse(struct call_server *s, const void *why, size_t size)
{
    return finish(s, why, size, -ECANCELED);
}
