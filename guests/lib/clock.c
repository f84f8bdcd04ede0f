/*
 * The guest's clock: shared memory that the hypervisor rewrites, and the TSC.
 *
 * A version that is odd, or changed meanwhile, means that the values read
 * belong together no more: read again.
 */
#include "guests/lib/internal.h"

/* vCPU 0's, on every vCPU: all count from one origin. */
uint64_t clock_now(void)
{
    const struct vcpu_time_info *t = &guest.shared->vcpu_info[0].time;
    uint64_t base, since;
    uint32_t version, scale;
    int8_t shift;

    do {
        version = load_acquire(&t->version) & ~1u;
        base = read_once(&t->system_time);
        since = rdtsc() - read_once(&t->tsc_timestamp);
        scale = read_once(&t->tsc_to_system_mul);
        shift = read_once(&t->tsc_shift);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (read_once(&t->version) != version);

    since = shift < 0 ? since >> -shift : since << shift;
    return base + (uint64_t)((unsigned __int128)since * scale >> 32);
}

void clock_wall(uint64_t *seconds, uint32_t *nanoseconds)
{
    const struct shared_info *s = guest.shared;
    uint64_t sec, nsec, now = clock_now();
    uint32_t version;

    do {
        version = load_acquire(&s->wc_version) & ~1u;
        sec = read_once(&s->wc_sec) | (uint64_t)read_once(&s->wc_sec_hi) << 32;
        nsec = read_once(&s->wc_nsec);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    } while (read_once(&s->wc_version) != version);

    nsec += now;
    *seconds = sec + nsec / 1000000000;
    *nanoseconds = (uint32_t)(nsec % 1000000000);
}
