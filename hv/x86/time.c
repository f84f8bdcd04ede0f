/*
 * Time: the TSC scaled to nanoseconds, calibrated on the ACPI PM timer; the
 * local APIC's one-shot timer for what is to come; the RTC for the date.
 */
#include "hv/timer.h"

#include "hv/console.h"
#include "hv/machine.h"
#include "hv/x86/apic.h"
#include "hv/x86/boot.h"
#include "hv/x86/x86.h"

#define PM_TIMER_HZ   3579545ul
#define PM_TIMER_MASK 0xffffffu /* it may have only 24 bits */
#define CALIBRATE_NS  10000000ul
#define NS            1000000000ul

struct time_scale time_scale;
uint64_t wall_clock_base;
static uint64_t timer_mul; /* APIC ticks a ns, 32.32 */

/* The fraction (scaled to 32 bits) that turns TSC ticks into ns, in the form
 * of Xen's vcpu_time_info: ns = ((ticks << shift) * mul) >> 32. */
static void set_scale(uint64_t khz)
{
    uint64_t hz = khz * 1000;
    int shift = 0;

    while (hz > 2 * NS) {
        hz >>= 1;
        shift--;
    }
    while (hz <= NS) {
        hz <<= 1;
        shift++;
    }
    time_scale.mul = (uint32_t)((NS << 32) / hz);
    time_scale.shift = (int8_t)shift;
    time_scale.khz = khz;
}

/* Wait CALIBRATE_NS by the PM timer; return what it really was in ns. */
static uint64_t wait_by_pm_timer(void)
{
    uint32_t start = in32(acpi.pm_timer), ticks;

    do
        ticks = (in32(acpi.pm_timer) - start) & PM_TIMER_MASK;
    while (ticks < CALIBRATE_NS * PM_TIMER_HZ / NS);
    return ticks * NS / PM_TIMER_HZ;
}

static uint8_t rtc(uint8_t reg)
{
    out8(0x70, reg);
    return in8(0x71);
}

/* Days from 1970-01-01, of the Gregorian calendar. */
static uint64_t days(uint64_t year, uint64_t month, uint64_t day)
{
    year -= month <= 2;
    month = month > 2 ? month - 3 : month + 9;
    return year * 365 + year / 4 - year / 100 + year / 400 +
           (153 * month + 2) / 5 + day - 1 - 719468;
}

static uint64_t read_rtc(void)
{
    static const uint8_t reg[6] = { 0, 2, 4, 7, 8, 9 };
    bool binary = rtc(0x0b) & 4;
    uint64_t v[6];

    while (rtc(0x0a) & 0x80)
        ; /* an update is in progress */
    for (unsigned int i = 0; i < 6; i++) {
        v[i] = rtc(reg[i]);
        if (!binary)
            v[i] = (v[i] >> 4) * 10 + (v[i] & 15);
    }
    return days(2000 + v[5], v[4], v[3]) * 86400 + v[2] * 3600 + v[1] * 60 +
           v[0];
}

void time_init(void)
{
    uint64_t tsc, ns;
    uint32_t apic;

    apic_timer_set(UINT32_MAX);
    tsc = stamp_now();
    ns = wait_by_pm_timer();
    tsc = stamp_now() - tsc;
    apic = UINT32_MAX - apic_timer_left();
    apic_timer_set(0);

    set_scale(tsc * 1000000 / ns);
    timer_mul = ((uint64_t)apic << 32) / ns;
    time_scale.origin = boot_tsc;
    wall_clock_base = read_rtc() - now() / NS;
    printk("TSC %lu.%03lu MHz, APIC timer %lu kHz\n", time_scale.khz / 1000,
           time_scale.khz % 1000, apic * 1000000ul / ns);
}

stime_t stamp_to_stime(uint64_t stamp)
{
    uint64_t ticks = stamp - time_scale.origin;

    if (stamp == 0 || stamp < time_scale.origin)
        return 0;
    ticks = time_scale.shift < 0 ? ticks >> -time_scale.shift
                                 : ticks << time_scale.shift;
    return (stime_t)((unsigned __int128)ticks * time_scale.mul >> 32);
}

stime_t now(void)
{
    return stamp_to_stime(stamp_now());
}

void arch_timer_arm(stime_t expires)
{
    stime_t t = now();
    uint64_t ns = expires > t ? expires - t : 0;
    uint64_t ticks;

    if (ns > 1000000000)
        ns = 1000000000; /* it is looked at again then */
    ticks = (ns * timer_mul >> 32) + 1;
    apic_timer_set(ticks > UINT32_MAX ? UINT32_MAX : (uint32_t)ticks);
}
