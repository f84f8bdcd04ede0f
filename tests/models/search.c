/*
 * Depth first through all states, each visited once.
 *
 * A state is known by 127 bits of a hash of all its bytes.  Whoever makes a
 * state clears what is out of use in it.
 */
#include "tests/models/explore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct config config;

/* ---- States seen. ---- */

struct seen {
    uint64_t high, low; /* low's last bit: on the present path */
};

static struct seen *seen;
static uint64_t seen_size, nr_seen;

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 29;
}

static struct seen hash(const struct state *s)
{
    struct seen h = { 0x243f6a8885a308d3u, 0x13198a2e03707344u };
    uint64_t word;

    for (size_t i = 0; i < sizeof(*s); i += sizeof(word)) {
        size_t n =
            sizeof(*s) - i < sizeof(word) ? sizeof(*s) - i : sizeof(word);

        word = 0;
        memcpy(&word, (const uint8_t *)s + i, n);
        h.high = mix(h.high, word);
        h.low = mix(h.low, word + 0xa4093822299f31d0u);
    }
    h.high += h.high == 0; /* 0: a free place */
    h.low &= ~1ull;
    return h;
}

static struct seen *place_of(struct seen h)
{
    uint64_t i = h.high & (seen_size - 1);

    while (seen[i].high &&
           (seen[i].high != h.high || (seen[i].low & ~1ull) != h.low))
        i = (i + 1) & (seen_size - 1);
    return &seen[i];
}

static void seen_grow(void)
{
    struct seen *old = seen;
    uint64_t old_size = seen_size;

    seen_size = old_size ? old_size * 2 : 1 << 16;
    seen = calloc(seen_size, sizeof(*seen));
    if (!seen)
        abort();
    for (uint64_t i = 0; i < old_size; i++)
        if (old[i].high)
            *place_of((struct seen){ old[i].high, old[i].low & ~1ull }) =
                old[i];
    free(old);
}

/* ---- One move. ---- */

unsigned int choose(unsigned int n)
{
    turn.nr_choices = n;
    return turn.choice;
}

void wrong(const char *why)
{
    turn.wrong = why;
    longjmp(turn.leave, LEFT_WRONG);
}

void ring_bell(void)
{
    turn.s->thread[!turn.who].bell = 1;
    turn.visible = true;
    turn.what = "rings the bell";
}

void wait_bell(bool *peer_gone)
{
    struct thread *t = &turn.s->thread[turn.who];

    if (!t->bell)
        longjmp(turn.leave, LEFT_BLOCKED);
    t->bell = 0;
    *peer_gone = turn.s->gone;
    turn.visible = true;
    turn.what = "wakes";
}

void end(enum status how)
{
    turn.s->thread[turn.who].status = (uint8_t)how;
    turn.visible = true;
    turn.what = how == DONE ? "is done" : "reports";
}

static void clear_counts(struct client *c, unsigned int who)
{
    size_t at = config.model->counts[who];

    if (at)
        memset((uint8_t *)c + at, 0, sizeof(struct ring_stats));
}

/* Thread @who goes on until after its next access.  False: it cannot. */
static bool take_turn(struct state *s, unsigned int who, unsigned int choice)
{
    struct thread *t = &s->thread[who];
    static struct client c;
    enum left left;

    memcpy(&c, &t->client, sizeof(c));
    turn.s = s;
    turn.client = &c;
    turn.who = who;
    turn.choice = choice;
    turn.replayed = turn.nr_choices = 0;
    turn.acted = turn.visible = false;
    turn.what = "goes on";
    turn.wrong = NULL;
    turn.at = PAGE_BYTES;
    call = (struct call){ 0 };

    left = setjmp(turn.leave);
    if (left)
        return left != LEFT_BLOCKED;
    config.model->step[who](&c);
    clear_counts(&c, who);
    memcpy(&t->client, &c, sizeof(c));
    memset(t->log, 0, sizeof(t->log));
    t->nr_log = 0;
    return true;
}

/*
 * Moves of a state: two turns, 2 * MAX_STORES stores that leave a buffer, and
 * a death.
 */
#define MOVE_DRAIN 2u
#define MOVE_DIE   (MOVE_DRAIN + 2 * MAX_STORES)
#define NR_MOVES   (MOVE_DIE + 1)

static bool make_drain(struct state *s, unsigned int who, unsigned int i)
{
    struct thread *t = &s->thread[who];

    if (i >= t->nr_stores || !can_drain(t, i))
        return false;
    turn.what = "buffer drains";
    turn.at = t->store[i].at;
    turn.value = t->store[i].value;
    drain(t, i, s->mem);
    return true;
}

/* What it had stored still arrives; the bell tells the other. */
static bool make_death(struct state *s)
{
    if (config.dies == NOBODY || s->gone ||
        s->thread[config.dies].status != RUNNING)
        return false;
    turn.what = "dies";
    turn.at = PAGE_BYTES;
    s->thread[config.dies].status = DEAD;
    s->thread[!config.dies].bell = 1;
    s->gone = true;
    return true;
}

static bool make_move(struct state *s, unsigned int move, unsigned int choice)
{
    turn.wrong = NULL;
    turn.nr_choices = 0;
    if (move >= MOVE_DIE) {
        turn.who = config.dies;
        return make_death(s);
    }
    if (move >= MOVE_DRAIN) {
        turn.who = (move - MOVE_DRAIN) / MAX_STORES;
        return make_drain(s, turn.who, (move - MOVE_DRAIN) % MAX_STORES);
    }
    return config.model->step[move] && s->thread[move].status == RUNNING &&
           take_turn(s, move, choice);
}

/* ---- The search. ---- */

struct step {
    struct state s;
    struct seen *place; /* valid until the table grows */
    unsigned int move, choice, tried;
    bool alone; /* a move that nobody sees: there is no need for others */
    unsigned int who;
    const char *what;
    uint32_t at, value;
};

static struct step *path;
static size_t path_size, depth, deepest;

static const char *place_name(uint32_t at, char *buf, size_t n)
{
    const char *field = at < 16 ? config.model->field[at / 4] : NULL;

    if (field && at % 4 == 0)
        snprintf(buf, n, "%s", field);
    else if (at < HEADER)
        snprintf(buf, n, "byte %u of the header", at);
    else
        snprintf(buf, n, "byte %u of the slots", at - HEADER);
    return buf;
}

static void print_step(unsigned int who, const char *what, uint32_t at,
                       uint32_t value)
{
    char buf[40];

    if (at >= PAGE_BYTES)
        printf("    %u %s\n", who, what);
    else
        printf("    %u %s: %s %#x\n", who, what,
               place_name(at, buf, sizeof(buf)), value);
}

#define TRACE 60u

static void print_trace(const char *why)
{
    size_t from = depth > TRACE ? depth - TRACE : 1;

    printf("%s\n", why);
    if (from > 1)
        printf("    (%zu steps before)\n", from - 1);
    for (size_t i = from; i < depth; i++)
        print_step(path[i].who, path[i].what, path[i].at, path[i].value);
    if (turn.what)
        print_step(turn.who, turn.what, turn.at, turn.value);
}

static void push(const struct state *s, struct seen *place, struct seen h)
{
    if (depth == path_size) {
        path_size = path_size ? path_size * 2 : 1024;
        path = realloc(path, path_size * sizeof(*path));
        if (!path)
            abort();
    }
    *place = (struct seen){ h.high, h.low | 1 };
    nr_seen++;
    memcpy(&path[depth].s, s, sizeof(*s));
    path[depth].move = path[depth].choice = path[depth].tried = 0;
    path[depth].alone = false;
    path[depth].who = turn.who;
    path[depth].what = turn.what;
    path[depth].at = turn.at;
    path[depth].value = turn.value;
    depth++;
    if (depth > deepest)
        deepest = depth;
}

/* The next state from the path's end, in @s.  False: there is no more. */
static bool next_state(struct step *p, struct state *s)
{
    while (p->move < NR_MOVES && !p->alone) {
        bool made;

        memcpy(s, &p->s, sizeof(*s));
        made = make_move(s, p->move, p->choice);
        p->alone = made && p->move < MOVE_DRAIN && p->choice == 0 &&
                   turn.nr_choices == 0 && !turn.acted && !turn.visible &&
                   !turn.wrong;
        if (made && p->choice + 1 < turn.nr_choices) {
            p->choice++;
        } else {
            p->choice = 0;
            p->move++;
        }
        if (made) {
            p->tried++;
            return true;
        }
    }
    return false;
}

/* NULL: all is well so far. */
static const char *visit(const struct state *s)
{
    struct seen h = hash(s), *place;

    if (turn.wrong)
        return turn.wrong;
    if (nr_seen >= seen_size / 2)
        seen_grow();
    place = place_of(h);
    if (!place->high)
        push(s, place, h);
    else if ((place->low & 1) && !config.model->forge)
        return "they run for ever and get nowhere";
    return NULL;
}

static const char *leave(const struct step *p)
{
    struct seen *place = place_of(hash(&p->s));

    if (p->tried == 0) {
        const char *why = config.model->stuck(&p->s);

        turn.what = NULL;
        if (why)
            return why;
    }
    place->low &= ~1ull;
    depth--;
    return NULL;
}

static const char *search(const struct state *start)
{
    static struct state s;
    const char *why;

    turn.wrong = NULL;
    why = visit(start);
    while (!why && depth > 0) {
        struct step *p = &path[depth - 1];

        why = next_state(p, &s) ? visit(&s) : leave(p);
    }
    return why;
}

bool explore(const char *label)
{
    static struct state start;
    static struct client client[2];
    const char *why;

    memset(seen, 0, seen_size * sizeof(*seen));
    nr_seen = depth = deepest = 0;
    memset(&start, 0, sizeof(start));
    memset(client, 0, sizeof(client));
    turn.s = NULL;
    mprotect(shared_page, 4096, PROT_READ | PROT_WRITE);
    config.model->start(client, shared_page);
    copy_page(start.mem);
    mprotect(shared_page, 4096, PROT_NONE);
    for (unsigned int i = 0; i < 2; i++)
        memcpy(&start.thread[i].client, &client[i], sizeof(client[i]));

    why = search(&start);
    printf("%s: %llu states, paths of %zu%s", label,
           (unsigned long long)nr_seen, deepest, why ? ": WRONG: " : "\n");
    if (why)
        print_trace(why);
    fflush(stdout);
    return !why;
}
