/*
 * bench-rings: queues between two threads, each pinned to a CPU of its own.
 *
 *   bench-rings [--rounds N] [--ms N] [--only KIND]
 *   bench-rings --one-thread KIND PEER SIZE BATCH COUNT
 *
 * A line a sample: kind, peer, size, batch, messages a second, TSC cycles a
 * message.  In each round every peer is measured in every row, the peers of a
 * row one after the other, so that what disturbs a row disturbs all.  Before
 * the first round a row is run until it is known how many messages last --ms.
 *
 * Whoever sends writes every word of a message, whoever receives adds them
 * all up and knows the sum: a message that is lost, late or torn ends the run.
 *
 * With --one-thread both sides are this thread, batch by batch, for callgrind.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <x86intrin.h>

#include "tests/bench-rings/bench.h"

#define ROUNDS    11u
#define SAMPLE_MS 20u
#define CALIBRATE 256u /* messages of the first try */

enum kind { ONE_WAY, ANSWERED, TRIP_POLL, TRIP_SLEEP, NR_KINDS };

static const char *const kind_name[NR_KINDS] = { "one-way", "answered",
                                                 "trip-poll", "trip-sleep" };

static const struct peer *const peers[] = {
    &peer_spsc,    &peer_spsc_quiet, &peer_reqrsp, &peer_ring_h,
    &peer_ck_ring, &peer_rte_ring,   &peer_pipe,   &peer_socketpair,
};
#define NR_PEERS (sizeof(peers) / sizeof(peers[0]))

static const unsigned int sizes[NR_SIZES] = { 16, 64, 256 };
static const unsigned int batches[] = { 1, 8, 32 };
#define NR_BATCHES (sizeof(batches) / sizeof(batches[0]))

/* ---- What is in the messages. ---- */

struct messages {
    _Alignas(LINE) uint64_t word[BATCH_MAX * MESSAGE_MAX / 8];
};

static inline __attribute__((always_inline)) void
fill_words(uint64_t *word, unsigned int n, uint64_t first, unsigned int words)
{
    for (unsigned int i = 0; i < n; i++)
        for (unsigned int w = 0; w < words; w++)
            word[i * words + w] = first + i + w;
}

/* The sum of all words of @n messages, each of which is fewer than 2^64. */
static inline __attribute__((always_inline)) bool
right_words(const uint64_t *word, unsigned int n, uint64_t first,
            unsigned int words)
{
    uint64_t wrong = 0;

    for (unsigned int i = 0; i < n; i++) {
        uint64_t sum = 0;

        for (unsigned int w = 0; w < words; w++)
            sum += word[i * words + w];
        wrong |= sum - words * (first + i) - words * (words - 1) / 2;
    }
    return wrong == 0;
}

static void fill(struct messages *m, unsigned int n, uint64_t first,
                 unsigned int size)
{
    switch (size) {
    case 16:
        return fill_words(m->word, n, first, 2);
    case 64:
        return fill_words(m->word, n, first, 8);
    default:
        return fill_words(m->word, n, first, 32);
    }
}

static void check(const struct messages *m, unsigned int n, uint64_t first,
                  unsigned int size)
{
    bool right = size == 16   ? right_words(m->word, n, first, 2)
                 : size == 64 ? right_words(m->word, n, first, 8)
                              : right_words(m->word, n, first, 32);

    if (!right)
        die("a message is not what was sent");
}

/* ---- One run. ---- */

struct run {
    enum kind kind;
    const struct peer *peer;
    const struct peer_calls *calls;
    unsigned int size, batch;
    uint64_t count; /* of messages; whole batches */
    struct line line;
    unsigned int started; /* sides that have; both spin until it is 2 */
    uint64_t ns, cycles;  /* what it took */
};

static uint64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* All @n out of @m, spinning while there is no room. */
static void send(batch_fn *give, void *side, struct messages *m, unsigned int n,
                 unsigned int size)
{
    unsigned int done = give(side, m->word, n);

    while (done < n) {
        _mm_pause();
        done += give(side, m->word + done * size / 8, n - done);
    }
}

/* At least one, at most @n. */
static unsigned int receive(const struct run *run, batch_fn *take, void *side,
                            struct messages *m, unsigned int n)
{
    for (;;) {
        unsigned int got = take(side, m->word, n);

        if (got > 0)
            return got;
        if (run->kind == TRIP_SLEEP && run->peer->wait)
            run->peer->wait(side);
        else
            _mm_pause();
    }
}

static void produce(const struct run *run)
{
    struct messages m;

    for (uint64_t sent = 0; sent < run->count; sent += run->batch) {
        fill(&m, run->batch, sent, run->size);
        send(run->calls->ask, run->line.asker, &m, run->batch, run->size);
    }
}

static void consume(const struct run *run)
{
    struct messages m;
    unsigned int n;

    for (uint64_t got = 0; got < run->count; got += n) {
        n = receive(run, run->calls->serve, run->line.server, &m, run->batch);
        check(&m, n, got, run->size);
    }
}

static void serve(const struct run *run)
{
    struct messages m;
    unsigned int n;

    for (uint64_t got = 0; got < run->count; got += n) {
        n = receive(run, run->calls->serve, run->line.server, &m, run->batch);
        check(&m, n, got, run->size);
        fill(&m, n, got + 1, run->size);
        send(run->calls->answer, run->line.server, &m, n, run->size);
    }
}

/* What can be in flight: never more than the ring holds, or both sides would
 * wait for room. */
static void ask(const struct run *run)
{
    uint64_t in_flight = run->kind == ANSWERED ? SLOTS / 2 : run->batch;
    uint64_t sent = 0, got = 0;
    struct messages m;
    unsigned int n;

    while (got < run->count) {
        if (sent < run->count && sent - got + run->batch <= in_flight) {
            fill(&m, run->batch, sent, run->size);
            send(run->calls->ask, run->line.asker, &m, run->batch, run->size);
            sent += run->batch;
            if (run->kind == ANSWERED)
                n = run->calls->collect(run->line.asker, m.word, run->batch);
            else
                n = 0;
        } else {
            n = receive(run, run->calls->collect, run->line.asker, &m,
                        run->batch);
        }
        check(&m, n, got + 1, run->size);
        got += n;
    }
}

typedef void side_fn(const struct run *run);

/* Both sides are awake and on their CPUs. */
static void start_together(struct run *run)
{
    __atomic_add_fetch(&run->started, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&run->started, __ATOMIC_SEQ_CST) < 2)
        _mm_pause();
}

/* On the side that is the last to end. */
static void timed(struct run *run, side_fn *side)
{
    uint64_t ns = now_ns(), cycles = __rdtsc();

    side(run);
    run->cycles = __rdtsc() - cycles;
    run->ns = now_ns() - ns;
}

static void *asker_thread(void *p)
{
    struct run *run = p;

    start_together(run);
    if (run->kind == ONE_WAY)
        produce(run);
    else
        timed(run, ask);
    return NULL;
}

static void *server_thread(void *p)
{
    struct run *run = p;

    start_together(run);
    if (run->kind == ONE_WAY)
        timed(run, consume);
    else
        serve(run);
    return NULL;
}

static int cpus[2];

static void pick_cpus(void)
{
    cpu_set_t allowed;
    unsigned int found = 0;

    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
        die("no CPUs");
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &allowed))
            cpus[found++] = cpu;
    if (found < 2)
        die("two CPUs are needed");
}

static void start(pthread_t *thread, int cpu, void *(*fn)(void *),
                  struct run *run)
{
    pthread_attr_t attr;
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    pthread_attr_init(&attr);
    if (pthread_attr_setaffinity_np(&attr, sizeof(set), &set) != 0 ||
        pthread_create(thread, &attr, fn, run) != 0)
        die("no thread");
    pthread_attr_destroy(&attr);
}

static void measure(struct run *run)
{
    pthread_t threads[2];

    run->peer->open(&run->line, run->size,
                    run->kind == TRIP_SLEEP ? SLEEP : POLL);
    run->started = 0;
    start(&threads[0], cpus[0], asker_thread, run);
    start(&threads[1], cpus[1], server_thread, run);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    run->peer->close(&run->line);
}

/* ---- Rows. ---- */

/* A queue for answers has none but those rows; a round trip is of one
 * message, of the middle size. */
static bool has_row(const struct peer *peer, enum kind kind, unsigned int size,
                    unsigned int batch)
{
    if (kind == ONE_WAY)
        return peer->one_way;
    if (kind == TRIP_SLEEP && peer->polls_only)
        return false;
    return kind == ANSWERED || (size == 64 && batch == 1);
}

/* All rows, or those of the kind @only; the last has no peer. */
static struct run *new_runs(const char *only)
{
    struct run *runs =
        calloc(NR_KINDS * NR_SIZES * NR_BATCHES * NR_PEERS + 1, sizeof(*runs));
    struct run *next = runs;

    if (!runs)
        die("no memory");
    for (enum kind kind = 0; kind < NR_KINDS; kind++)
        for (unsigned int s = 0; s < NR_SIZES; s++)
            for (unsigned int b = 0; b < NR_BATCHES; b++)
                for (unsigned int p = 0; p < NR_PEERS; p++)
                    if (has_row(peers[p], kind, sizes[s], batches[b]) &&
                        (!only || !strcmp(only, kind_name[kind])))
                        *next++ = (struct run){
                            .kind = kind,
                            .peer = peers[p],
                            .calls = &peers[p]->calls[s],
                            .size = sizes[s],
                            .batch = batches[b],
                        };
    return runs;
}

/* So many messages that a run lasts about @ms. */
static void calibrate(struct run *run, unsigned int ms)
{
    uint64_t wanted = ms * 1000000ull;

    for (run->count = CALIBRATE;; run->count *= 4) {
        measure(run);
        if (run->ns >= wanted / 8)
            break;
    }
    run->count = run->count * wanted / run->ns;
    run->count += run->batch - run->count % run->batch;
}

static void print_sample(const struct run *run)
{
    printf("%s %s %u %u %.0f %.1f\n", kind_name[run->kind], run->peer->name,
           run->size, run->batch, (double)run->count * 1e9 / (double)run->ns,
           (double)run->cycles / (double)run->count);
    fflush(stdout);
}

static void measure_all(unsigned int rounds, unsigned int ms, const char *only)
{
    struct run *runs = new_runs(only);

    pick_cpus();
    for (struct run *r = runs; r->peer; r++)
        calibrate(r, ms);
    for (unsigned int i = 0; i < rounds; i++)
        for (struct run *r = runs; r->peer; r++) {
            measure(r);
            print_sample(r);
        }
    free(runs);
}

/* ---- Both sides in turn, for counting instructions. ---- */

static void one_thread(struct run *run)
{
    const struct peer_calls *calls = run->calls;
    struct line *line = &run->line;
    struct messages m;

    run->peer->open(line, run->size, POLL);
    for (uint64_t i = 0; i < run->count; i += run->batch) {
        fill(&m, run->batch, i, run->size);
        send(calls->ask, line->asker, &m, run->batch, run->size);
        receive(run, calls->serve, line->server, &m, run->batch);
        check(&m, run->batch, i, run->size);
        if (run->kind == ONE_WAY)
            continue;
        send(calls->answer, line->server, &m, run->batch, run->size);
        receive(run, calls->collect, line->asker, &m, run->batch);
        check(&m, run->batch, i, run->size);
    }
    run->peer->close(line);
}

static unsigned int number(const char *word)
{
    return (unsigned int)strtoul(word, NULL, 10);
}

static int one_thread_by_name(char **word)
{
    struct run *runs = new_runs(NULL);

    for (struct run *r = runs; r->peer; r++)
        if (!strcmp(kind_name[r->kind], word[0]) &&
            !strcmp(r->peer->name, word[1]) && r->size == number(word[2]) &&
            r->batch == number(word[3])) {
            r->count = strtoull(word[4], NULL, 10);
            one_thread(r);
            return 0;
        }
    die("no such row");
}

/* The rows whose instructions mean something: kind, peer, size, batch. */
static int print_countable(void)
{
    struct run *runs = new_runs(NULL);

    for (struct run *r = runs; r->peer; r++)
        if (r->peer->countable && r->kind <= ANSWERED)
            printf("%s %s %u %u\n", kind_name[r->kind], r->peer->name, r->size,
                   r->batch);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned int rounds = ROUNDS, ms = SAMPLE_MS;
    const char *only = NULL;

    if (argc == 7 && !strcmp(argv[1], "--one-thread"))
        return one_thread_by_name(argv + 2);
    if (argc == 2 && !strcmp(argv[1], "--countable"))
        return print_countable();
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--rounds"))
            rounds = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--ms"))
            ms = number(argv[i + 1]);
        else if (!strcmp(argv[i], "--only"))
            only = argv[i + 1];
    }
    measure_all(rounds, ms ? ms : 1, only);
    return 0;
}
