/*
 * QEMU's command line, and whether KVM is any use here.
 */
#include "tools/qemu.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define QEMU "qemu-system-x86_64"

struct vector {
    char **argv;
    size_t nr;
};

__attribute__((format(printf, 2, 3))) static void add(struct vector *v,
                                                      const char *fmt, ...)
{
    va_list args;

    v->argv = reallocate(v->argv, (v->nr + 2) * sizeof(char *));
    va_start(args, fmt);
    if (vasprintf(&v->argv[v->nr], fmt, args) < 0)
        v->argv[v->nr] = NULL;
    va_end(args);
    v->argv[++v->nr] = NULL;
}

static void add_words(struct vector *v, const char *const *words)
{
    for (; *words; words++)
        add(v, "%s", *words);
}

/* QEMU splits its parameters at commas; a doubled one is a comma. */
static char *double_commas(const char *text)
{
    char *doubled = allocate(2 * strlen(text) + 1), *out = doubled;

    for (; *text; text++) {
        if (*text == ',')
            *out++ = ',';
        *out++ = *text;
    }

    return doubled;
}

static void add_processor(struct vector *v, const struct options *options,
                          bool kvm)
{
    static const char *const counting[] = {
        "-icount", "shift=0,sleep=off", "-seed", "1",
        "-rtc", "base=2024-01-01,clock=vm", NULL
    };

    add(v, "-accel");
    add(v, kvm ? "kvm" : "tcg");
    add(v, "-cpu");
    /* TCG faults on iretq in ring 3 while SMAP is on. */
    add(v, "%s", kvm ? "host" : options->smap ? "max" : "max,-smap");
    add(v, "-smp");
    add(v, "%u", options->cpus ? options->cpus : 1);
    if (options->icount)
        add_words(v, counting);
}

/* An AHCI disc: the firmware reads it by DMA, in half the time IDE takes. */
static void add_image(struct vector *v, const char *image)
{
    char *file = double_commas(image);

    add(v, "-drive");
    add(v, "if=none,id=image,media=cdrom,readonly=on,format=raw,file=%s",
        file);
    add(v, "-device");
    add(v, "ahci,id=ahci");
    add(v, "-device");
    add(v, "ide-cd,bus=ahci.0,drive=image,bootindex=0");
    free(file);
}

static void add_firmware(struct vector *v, const char *uefi)
{
    if (!uefi)
        return;
    add(v, "-drive");
    add(v, "if=pflash,format=raw,readonly=on,file=%s", uefi);
}

static void add_serial_ports(struct vector *v, const char *com2)
{
    static const char *const words[] = {
        "-chardev", "stdio,id=com1,mux=on,signal=off",
        "-serial", "chardev:com1", "-mon", "chardev=com1", NULL
    };

    add_words(v, words);
    add(v, "-chardev");
    add(v, "socket,id=com2,%s", com2);
    add(v, "-serial");
    add(v, "chardev:com2");
}

static void add_run_arguments(struct vector *v, const struct options *options,
                              const char *mode)
{
    const char *more = options->run_args ? options->run_args : "";
    char *text = double_commas(more);

    add(v, "-fw_cfg");
    add(v, "name=opt/belfry/args,string=mode=%s%s%s",
        mode, *more ? " " : "", text);
    free(text);
}

char **qemu_arguments(const struct options *options,
                      const struct qemu_setup *setup)
{
    static const char *const machine[] = {
        QEMU, "-nodefaults", "-no-user-config", "-no-reboot",
        "-display", "none", "-vga", "none", "-nic", "none",
        "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04", NULL
    };
    static const char *const debugging[] = { "-s", "-S", NULL };
    struct vector v = { 0 };

    add_words(&v, machine);
    add_processor(&v, options, setup->kvm);
    add(&v, "-m");
    add(&v, "%lluM", (unsigned long long)(setup->memory >> 20));
    add_firmware(&v, setup->uefi);
    add_image(&v, setup->image);
    add_serial_ports(&v, setup->com2);
    add_run_arguments(&v, options, setup->mode);
    if (options->gdb)
        add_words(&v, debugging);
    for (int i = 0; i < options->nr_extra; i++)
        add(&v, "%s", options->extra[i]);

    return v.argv;
}

void qemu_free_arguments(char **argv)
{
    for (char **arg = argv; *arg; arg++)
        free(*arg);
    free(argv);
}

/* isa-debug-exit leaves with 2 v + 1 for a written v: 0x10 pass, 0x11 fail,
 * 0x12 panic. */
int qemu_verdict(int wstatus)
{
    if (!WIFEXITED(wstatus))
        return -1;
    switch (WEXITSTATUS(wstatus)) {
    case 2 * 0x10 + 1: return 0;
    case 2 * 0x11 + 1: return 1;
    case 2 * 0x12 + 1: return 2;
    }

    return -1;
}

/* ---- UEFI. --------------------------------------------------------------- */

const char *qemu_find_uefi(void)
{
    static const char *const files[] = { "/usr/share/OVMF/OVMF_CODE.fd",
                                         "/usr/share/OVMF/OVMF_CODE_4M.fd" };

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        if (access(files[i], R_OK) == 0)
            return files[i];
    }
    complain("no UEFI firmware is installed (it is in Debian's package ovmf)");

    return NULL;
}

/* ---- KVM. ---------------------------------------------------------------- */

/*
 * One sector that the firmware boots: it enters protected mode, goes on to
 * ring 3 with leave to do I/O, and writes 0x10 to port 0xf4 from there.  A
 * KVM that only interprets ring 0 does not get that far.
 */
static const uint8_t probe[] = {
    0xfa,                               /*      cli */
    0x31, 0xc0, 0x8e, 0xd8,             /*      xor ax, ax;  mov ds, ax */
    0x0f, 0x01, 0x16, 0x48, 0x7c,       /*      lgdt [7c48] */
    0x0f, 0x20, 0xc0,                   /*      mov eax, cr0 */
    0x0c, 0x01,                         /*      or al, 1 */
    0x0f, 0x22, 0xc0,                   /*      mov cr0, eax */
    0xea, 0x17, 0x7c, 0x08, 0x00,       /*      jmp 8:7c17 */
    0x66, 0xb8, 0x10, 0x00,             /* 7c17 mov ax, 10h (32 bits now) */
    0x8e, 0xd8, 0x8e, 0xd0,             /*      mov ds, ax;  mov ss, ax */
    0xbc, 0x00, 0x7c, 0x00, 0x00,       /*      mov esp, 7c00h */
    0x6a, 0x23,                         /*      push 23h        ss */
    0x68, 0x00, 0x7c, 0x00, 0x00,       /*      push 7c00h      esp */
    0x68, 0x02, 0x30, 0x00, 0x00,       /*      push 3002h      iopl 3 */
    0x6a, 0x1b,                         /*      push 1bh        cs */
    0x68, 0x3c, 0x7c, 0x00, 0x00,       /*      push 7c3ch      eip */
    0xcf,                               /*      iret */
    0x90, 0x90, 0x90, 0x90,             /* 7c38 */
    0xb0, 0x10,                         /* 7c3c mov al, 10h */
    0xe6, 0xf4,                         /*      out 0f4h, al */
    0xeb, 0xfe,                         /*      jmp $ */
    0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    0x27, 0x00, 0x50, 0x7c, 0x00, 0x00, /* 7c48 the table's size and place */
    0x90, 0x90,
    0, 0, 0, 0, 0, 0, 0, 0,                         /* 7c50 nothing */
    0xff, 0xff, 0, 0, 0, 0x9a, 0xcf, 0,             /*   08 code, ring 0 */
    0xff, 0xff, 0, 0, 0, 0x92, 0xcf, 0,             /*   10 data, ring 0 */
    0xff, 0xff, 0, 0, 0, 0xfa, 0xcf, 0,             /*   18 code, ring 3 */
    0xff, 0xff, 0, 0, 0, 0xf2, 0xcf, 0,             /*   20 data, ring 3 */
};

static bool processor_virtualises(void)
{
    FILE *in = fopen("/proc/cpuinfo", "re");
    char *line = NULL;
    size_t size = 0;
    bool found = false;

    while (in && !found && getline(&line, &size, in) > 0)
        found = !strncmp(line, "flags", 5) &&
                (strstr(line, " vmx") || strstr(line, " svm"));
    free(line);
    if (in)
        fclose(in);

    return found;
}

static char *write_probe(void)
{
    uint8_t sector[512] = { 0 };
    char *path = text_of("%s", "/tmp/belfry-probe-XXXXXX");
    int fd = mkostemp(path, O_CLOEXEC);
    bool good;

    memcpy(sector, probe, sizeof(probe));
    sector[510] = 0x55;
    sector[511] = 0xaa;
    good = fd >= 0 && write(fd, sector, sizeof(sector)) == sizeof(sector);
    if (fd >= 0)
        close(fd);
    if (good)
        return path;
    if (fd >= 0)
        unlink(path);
    free(path);

    return NULL;
}

static void become_probe(const char *accel, const char *path)
{
    char *file = double_commas(path);
    char *drive = text_of("if=floppy,format=raw,readonly=on,file=%s", file);
    int nothing = open("/dev/null", O_RDWR);

    for (int fd = 0; fd < 3; fd++)
        dup2(nothing, fd);
    execlp(QEMU, QEMU, "-accel", accel, "-m", "16", "-no-user-config",
           "-display", "none", "-nic", "none", "-no-reboot", "-boot", "a",
           "-drive", drive, "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
           (char *)NULL);
    _exit(127);
}

/* Wait for at most 2 s, then kill it.  True: it wrote what it should. */
static bool probe_ended_well(pid_t pid)
{
    const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
    int wstatus;

    for (unsigned int i = 0; i < 200; i++) {
        if (waitpid(pid, &wstatus, WNOHANG) == pid)
            return qemu_verdict(wstatus) == 0;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &wstatus, 0);

    return false;
}

static bool probe_boots(const char *accel)
{
    char *path = write_probe();
    pid_t pid;
    bool good;

    if (!path)
        return false;
    pid = fork();
    if (pid == 0)
        become_probe(accel, path);
    good = pid > 0 && probe_ended_well(pid);
    unlink(path);
    free(path);

    return good;
}

bool qemu_choose_kvm(const struct options *options, const char **why,
                     bool *tell)
{
    *tell = false;
    *why = "it was asked for";
    if (options->accel != ACCEL_AUTO)
        return options->accel == ACCEL_KVM;
    *why = "--icount needs it";
    if (options->icount)
        return false;
    *why = "there is no /dev/kvm that may be used";
    if (access("/dev/kvm", R_OK | W_OK))
        return false;

    /* KVM is here, so its user would expect it. */
    *tell = true;
    *why = "/dev/kvm is there, but the processor shows neither vmx nor svm";
    if (!processor_virtualises())
        return false;
    *why = "/dev/kvm is there, but a one-page probe did not run under it "
           "within 2 seconds";
    if (!probe_boots("kvm"))
        return false;
    *tell = false;
    *why = "a one-page probe ran under it";

    return true;
}
