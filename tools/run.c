/*
 * The verbs run, stop and runs.
 *
 * A run is one broker with one QEMU.  In the foreground the broker is this
 * process; detached it is a child in a session of its own.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tools/belfry.h"
#include "tools/broker.h"
#include "tools/client.h"
#include "tools/iso.h"
#include "tools/process.h"
#include "tools/qemu.h"
#include "tools/runs.h"
#include "tools/table.h"
#include "tools/terminal.h"

#define LEAST_MEMORY  (512ull << 20)
#define START_TIMEOUT 30.0
#define TAIL_LINES    10
#define FINAL_WAIT    8 /* seconds that belfry stop waits */

struct run_state {
    const struct options *options;
    char name[RUN_NAME_SIZE];
    char *image;      /* what is booted */
    bool own_image;   /* a copy with another disk, to be removed */
    struct iso_note note;
    bool batch;
    struct qemu_setup qemu;
};

/* ---- The image. ---------------------------------------------------------- */

static bool disk_fits(const char *path, struct stat *st)
{
    if (stat(path, st)) {
        complain("%s: %s", path, strerror(errno));
        return false;
    }
    if (!S_ISREG(st->st_mode) || st->st_size == 0 || st->st_size % 512) {
        complain("%s: a disk is a file of a multiple of 512 bytes, not %lld",
                 path, (long long)st->st_size);
        return false;
    }

    return true;
}

/* --disk: boot a copy of the image, which stays as it is. */
static bool swap_disk(struct run_state *run)
{
    const struct options *options = run->options;
    struct stat st;

    if (!options->disk)
        return true;
    if (!*run->note.disk) {
        complain("%s: has no ramdisk that --disk could replace", run->image);
        return false;
    }
    if (!disk_fits(options->disk, &st))
        return false;
    run->image = runs_path(run->name, "iso");
    if (!run->image)
        return false;
    run->own_image = true;
    unlink(run->image);
    if (!iso_replace_disk(options->args[0], &run->note, options->disk,
                          (uint64_t)st.st_size, run->image))
        return false;

    return iso_read_note(run->image, &run->note);
}

static uint64_t machine_memory(const struct run_state *run)
{
    const uint64_t step = 64ull << 20;

    if (run->options->mem)
        return run->options->mem;
    if (run->note.memory <= LEAST_MEMORY)
        return LEAST_MEMORY;

    return (run->note.memory + step - 1) / step * step;
}

/* ---- gdb. ---------------------------------------------------------------- */

static void print_guest_symbols(FILE *out, const char *dir)
{
    char *path = text_of("%s/guests", dir);
    DIR *guests = opendir(path);
    struct dirent *entry;

    while (guests && (entry = readdir(guests))) {
        const char *suffix = strstr(entry->d_name, ".elf.debug");

        if (!suffix || strcmp(suffix, ".elf.debug"))
            continue;
        fprintf(out, "define symbols-%.*s\n  add-symbol-file %s/%s\nend\n",
                (int)(suffix - entry->d_name), entry->d_name, path,
                entry->d_name);
    }
    if (guests)
        closedir(guests);
    free(path);
}

/* A script with the hypervisor's symbols and a command for each guest's:
 * guests are linked at the same address, so one picks whose to see. */
static bool prepare_gdb(const struct run_state *run)
{
    char *script = runs_path(run->name, "gdb");
    const char *slash = strrchr(run->options->args[0], '/');
    char *dir = slash ? text_of("%.*s", (int)(slash - run->options->args[0]),
                                run->options->args[0])
                      : text_of("%s", ".");
    FILE *out = script ? fopen(script, "we") : NULL;

    if (out) {
        fprintf(out, "set confirm off\nfile %s/belfry.debug\n", dir);
        print_guest_symbols(out, dir);
        fputs("target remote :1234\n", out);
        fclose(out);
        fprintf(stderr, "belfry: the machine waits; in another terminal:\n"
                "  gdb -x %s\n"
                "  (gdb) symbols-NAME    adds a guest's symbols\n", script);
    }
    free(dir);
    free(script);

    return out != NULL;
}

/* ---- Running. ------------------------------------------------------------ */

static bool make_com2(int fds[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0)
        return true;
    complain("socketpair: %s", strerror(errno));

    return false;
}

static void complain_about_end(const struct broker_outcome *outcome)
{
    if (WIFSIGNALED(outcome->wstatus))
        complain("QEMU was killed by signal %d", WTERMSIG(outcome->wstatus));
    else if (WEXITSTATUS(outcome->wstatus) == 0)
        complain("the machine stopped without a verdict (a reset, or a "
                 "triple fault)");
    else
        complain("QEMU ended with status %d", WEXITSTATUS(outcome->wstatus));
}

static enum status judge(const struct run_state *run,
                         const struct broker_outcome *outcome)
{
    int verdict = qemu_verdict(outcome->wstatus);

    if (outcome->timed_out) {
        complain("the machine was ended after %g s", run->options->timeout);
        return STATUS_TIMED_OUT;
    }
    if (verdict >= 0)
        return (enum status)verdict;
    if (outcome->user_quit)
        return STATUS_FINE;
    if (!outcome->signal)
        complain_about_end(outcome);

    return STATUS_FAILED;
}

static bool run_broker(struct run_state *run, struct broker_setup *setup,
                       struct broker_outcome *outcome)
{
    int com2[2];
    char *parameters;
    bool good;

    if (!make_com2(com2))
        return false;
    parameters = text_of("fd=%d", com2[1]);
    run->qemu.com2 = parameters;
    setup->name = run->name;
    setup->image = run->options->args[0];
    setup->argv = qemu_arguments(run->options, &run->qemu);
    setup->com2 = com2[0];
    setup->com2_of_qemu = com2[1];
    setup->timeout = setup->ready >= 0 ? 0 : run->options->timeout;
    good = broker_run(setup, outcome);
    qemu_free_arguments(setup->argv);
    free(parameters);

    return good;
}

static void remove_files(const struct run_state *run)
{
    static const char *const suffixes[] = { "sock", "gdb" };

    for (size_t i = 0; i < 2; i++) {
        char *path = runs_path(run->name, suffixes[i]);

        if (path)
            unlink(path);
        free(path);
    }
    if (run->own_image) {
        unlink(run->image);
        free(run->image);
    }
}

static enum status run_in_foreground(struct run_state *run)
{
    struct broker_outcome outcome;
    struct broker_setup setup = {
        .listener = runs_listen(run->name),
        .console = 1,
        .forward_input = !run->batch,
        .ready = -1,
    };
    bool good;

    if (setup.listener < 0)
        return STATUS_FAILED;
    if (setup.forward_input)
        terminal_make_raw(true);
    good = run_broker(run, &setup, &outcome);
    terminal_restore();
    close(setup.listener);
    remove_files(run);
    if (!good)
        return STATUS_FAILED;
    if (run->batch)
        first_lines_report(&outcome.first_lines);
    if (outcome.signal) {
        sigset_t none;

        signal(outcome.signal, SIG_DFL);
        raise(outcome.signal);
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
    }

    return judge(run, &outcome);
}

/* ---- Detached. ----------------------------------------------------------- */

static int open_log(const struct run_state *run)
{
    char *path = runs_path(run->name, "log");
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                  : -1;

    if (path && fd < 0)
        complain("%s: %s", path, strerror(errno));
    free(path);

    return fd;
}

/* The broker itself: in a session of its own, with nothing of the starter's
 * but the pipe that says when it is ready. */
static void be_detached(struct run_state *run, int listener, int ready)
{
    struct broker_outcome outcome;
    struct broker_setup setup = {
        .listener = listener,
        .console = open_log(run),
        .console_is_log = true,
        .ready = ready,
        .start_timeout = run->options->timeout > 0 ? run->options->timeout
                                                   : START_TIMEOUT,
    };
    int nothing = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (setup.console < 0 || nothing < 0)
        _exit(STATUS_FAILED);
    setsid();
    if (chdir("/")) {
        /* Only so as not to hold a file system busy. */
    }
    dup2(nothing, 0);
    dup2(setup.console, 1);
    dup2(setup.console, 2); /* QEMU's complaints belong to the console */
    run_broker(run, &setup, &outcome);
    remove_files(run);
    _exit(STATUS_FINE);
}

static void print_tail(const char *path)
{
    FILE *in = fopen(path, "re");
    char *lines[TAIL_LINES] = { 0 };
    char *line = NULL;
    size_t size = 0, nr = 0;

    while (in && getline(&line, &size, in) > 0) {
        free(lines[nr % TAIL_LINES]);
        lines[nr++ % TAIL_LINES] = line;
        line = NULL;
        size = 0;
    }
    free(line);
    if (in)
        fclose(in);
    if (nr == 0)
        fputs("  (nothing on its console: GRUB may not have found its "
              "files)\n", stderr);
    for (size_t i = 0; i < TAIL_LINES; i++) {
        char *text = lines[(nr + i) % TAIL_LINES];

        if (text)
            fprintf(stderr, "  %s%s", text, strchr(text, '\n') ? "" : "\n");
        free(text);
    }
}

static enum status await_ready(const struct run_state *run, int fd)
{
    char byte = STATUS_FAILED;
    char *log = runs_path(run->name, "log");
    enum status status;
    ssize_t n;

    do {
        n = read(fd, &byte, 1);
    } while (n < 0 && errno == EINTR);
    status = n == 1 ? (enum status)byte : STATUS_FAILED;

    if (status == STATUS_FINE) {
        printf("%s is up; its console: %s\n", run->name, log);
    } else if (status == STATUS_TIMED_OUT) {
        complain("%s: the control domain did not answer in time; the last "
                 "lines of its console:", run->name);
        print_tail(log);
    } else if (status == STATUS_VERSION) {
        complain("%s speaks another version of the protocol; it runs on "
                 "(belfry stop)", run->name);
    } else {
        complain("%s ended before it was up; the last lines of its console:",
                 run->name);
        print_tail(log);
        status = STATUS_TIMED_OUT;
    }
    free(log);

    return status;
}

static enum status run_detached(struct run_state *run)
{
    int fds[2], listener = runs_listen(run->name);
    char *image = realpath(run->image, NULL);
    enum status status;
    pid_t child;

    if (listener < 0 || !image || pipe2(fds, O_CLOEXEC))
        return STATUS_FAILED;
    run->qemu.image = image; /* the broker leaves this directory */
    fflush(NULL);
    child = fork();
    if (child == 0) {
        /* Twice, so that the broker is nobody's child. */
        if (fork() == 0)
            be_detached(run, listener, fds[1]);
        _exit(0);
    }
    close(fds[1]);
    close(listener);
    if (child > 0)
        waitpid(child, NULL, 0);
    status = await_ready(run, fds[0]);
    close(fds[0]);
    free(image);

    return status;
}

/* ---- The verb. ----------------------------------------------------------- */

static void choose_accel(struct run_state *run)
{
    const char *why;
    bool tell;

    run->qemu.kvm = qemu_choose_kvm(run->options, &why, &tell);
    if (tell || run->options->verbose)
        fprintf(stderr, "belfry: running under %s: %s\n",
                run->qemu.kvm ? "KVM" : "TCG", why);
}

static enum status print_command(struct run_state *run)
{
    char *com2 = runs_path(run->name, "com2"), *parameters;
    char **argv;

    if (!com2)
        return STATUS_FAILED;
    parameters = text_of("path=%s,server=on,wait=off", com2);
    run->qemu.com2 = parameters;
    argv = qemu_arguments(run->options, &run->qemu);
    process_print(argv);
    qemu_free_arguments(argv);
    free(parameters);
    free(com2);

    return STATUS_FINE;
}

static enum status start(struct run_state *run)
{
    const struct options *options = run->options;
    const char *uefi = options->uefi ? qemu_find_uefi() : NULL;

    run->image = options->args[0];
    if (options->uefi && !uefi)
        return STATUS_FAILED;
    if (!iso_read_note(run->image, &run->note))
        return STATUS_FAILED;
    if (!runs_choose_name(run->image, options->name, run->name))
        return STATUS_FAILED;
    if (!options->dry_run && !swap_disk(run))
        return STATUS_FAILED;
    run->qemu = (struct qemu_setup){
        .image = run->image,
        .uefi = uefi,
        .memory = machine_memory(run),
        .mode = run->batch ? "batch"
                           : options->detach ? "detached" : "interactive",
    };
    choose_accel(run);
    if (options->dry_run)
        return print_command(run);
    if (options->gdb && !prepare_gdb(run))
        return STATUS_FAILED;

    return options->detach ? run_detached(run) : run_in_foreground(run);
}

enum status verb_run(const struct options *options)
{
    struct run_state run = { .options = options };

    if (options->icount && options->accel == ACCEL_KVM) {
        complain("run: --icount counts under TCG only");
        return STATUS_USAGE;
    }
    if (options->batch && options->interactive) {
        complain("run: --batch and --interactive exclude each other");
        return STATUS_USAGE;
    }
    run.batch = options->batch ||
                (!options->interactive && !options->detach && !isatty(0));

    return start(&run);
}

/* Wait until the broker has closed its end. */
static bool await_end(struct client *client)
{
    for (unsigned int i = 0; i < FINAL_WAIT; i++) {
        if (client_has_ended(client, 1000))
            return true;
    }

    return false;
}

enum status verb_stop(const struct options *options)
{
    struct client client;
    json_t *reply;
    enum status status = client_open(&client, options->name);

    if (status)
        return status;
    status = client_ask(&client, &reply,
                        (const char *[]){ "broker.stop", NULL });
    if (status == STATUS_FINE && !await_end(&client)) {
        complain("%s has not ended", client.name);
        status = STATUS_TIMED_OUT;
    } else if (status == STATUS_FINE) {
        printf("%s has ended\n", client.name);
    }
    if (reply)
        json_decref(reply);
    client_close(&client);

    return status;
}

static const struct column run_columns[] = {
    { "NAME", "name", CELL_TEXT, NULL },
    { "IMAGE", "image", CELL_TEXT, NULL },
    { "BROKER", "broker", CELL_NUMBER, NULL },
    { "QEMU", "qemu", CELL_NUMBER, NULL },
    { "UPTIME", "running", CELL_TIME, NULL },
    { 0 },
};

static enum status gather_runs(void *context, struct listing *listing)
{
    const struct options *options = context;
    struct run *runs;
    size_t nr = runs_list(&runs);

    (void)options;
    listing->data = json_array();
    for (size_t i = 0; i < nr; i++) {
        struct client client;
        json_t *reply = NULL;

        if (client_open(&client, runs[i].name))
            continue;
        if (!client_ask(&client, &reply,
                        (const char *[]){ "broker.status", NULL }))
            json_array_append(listing->data, json_object_get(reply, "data"));
        json_decref(reply);
        client_close(&client);
    }
    free(runs);

    return STATUS_FINE;
}

enum status verb_runs(const struct options *options)
{
    struct listing listing = {
        .schema = "belfry.runs",
        .columns = run_columns,
        .gather = gather_runs,
    };

    return listing_show(&listing, options);
}
