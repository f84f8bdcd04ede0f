/*
 * The directory of running systems.
 */
#include "tools/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SUFFIX ".sock"

const char *runs_dir(void)
{
    static char *dir;
    const char *base = getenv("XDG_RUNTIME_DIR");
    struct stat st;

    if (dir)
        return dir;
    if (base && *base == '/')
        dir = text_of("%s/belfry", base);
    else
        dir = text_of("/tmp/belfry-%u", (unsigned int)getuid());

    /* /tmp is everybody's: what stands there under our name may not be ours. */
    if ((mkdir(dir, 0700) && errno != EEXIST) || lstat(dir, &st)) {
        complain("%s: %s", dir, strerror(errno));
    } else if (!S_ISDIR(st.st_mode) || st.st_uid != getuid() ||
               (st.st_mode & 077)) {
        complain("%s is not a directory of yours alone (mode 0700)", dir);
    } else {
        return dir;
    }
    free(dir);
    dir = NULL;

    return NULL;
}

char *runs_path(const char *name, const char *suffix)
{
    const char *dir = runs_dir();

    return dir ? text_of("%s/%s.%s", dir, name, suffix) : NULL;
}

static bool valid_name(const char *name)
{
    return *name && *name != '.' && strlen(name) < RUN_NAME_SIZE &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                        "0123456789-_.") == strlen(name);
}

static bool address_of(const char *path, struct sockaddr_un *address)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    if (strlen(path) >= sizeof(address->sun_path)) {
        complain("%s: too long for a socket's name", path);
        return false;
    }
    strcpy(address->sun_path, path);

    return true;
}

/* The socket; -ENOENT when there is none, -ECONNREFUSED when its broker is
 * gone, another error otherwise. */
static int connect_to(const char *name)
{
    struct sockaddr_un address;
    char *path = runs_path(name, "sock");
    int fd = -1, rc = -EINVAL;

    if (path && address_of(path, &address)) {
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        rc = fd < 0 || connect(fd, (struct sockaddr *)&address,
                               sizeof(address)) ? -errno : fd;
    }
    if (rc < 0 && fd >= 0)
        close(fd);
    free(path);

    return rc;
}

static void remove_stale(const char *name)
{
    char *path = runs_path(name, "sock");

    if (path)
        unlink(path);
    free(path);
}

/* A socket, or the error of connect_to; what is stale is removed. */
static int try_run(const char *name)
{
    int fd = connect_to(name);

    if (fd == -ECONNREFUSED)
        remove_stale(name);

    return fd;
}

static int compare_runs(const void *a, const void *b)
{
    const struct timespec x = ((const struct run *)a)->started;
    const struct timespec y = ((const struct run *)b)->started;

    if (x.tv_sec != y.tv_sec)
        return x.tv_sec < y.tv_sec ? 1 : -1;

    return (x.tv_nsec < y.tv_nsec) - (x.tv_nsec > y.tv_nsec);
}

/* The run behind a directory entry's name; false if it is none. */
static bool run_of(const char *entry, struct run *run)
{
    const char *dot = strrchr(entry, '.');
    struct stat st;
    char *path;
    bool good;

    if (!dot || strcmp(dot, SUFFIX) || (size_t)(dot - entry) >= RUN_NAME_SIZE)
        return false;
    snprintf(run->name, sizeof(run->name), "%.*s", (int)(dot - entry), entry);
    path = runs_path(run->name, "sock");
    good = path && lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);
    if (good)
        run->started = st.st_mtim;
    free(path);

    return good;
}

/* All sockets, newest first, also stale ones. */
static size_t list_sockets(struct run **runs)
{
    const char *path = runs_dir();
    DIR *dir = path ? opendir(path) : NULL;
    struct dirent *entry;
    size_t nr = 0;

    *runs = NULL;
    while (dir && (entry = readdir(dir))) {
        struct run run;

        if (!run_of(entry->d_name, &run))
            continue;
        *runs = reallocate(*runs, (nr + 1) * sizeof(run));
        (*runs)[nr++] = run;
    }
    if (dir)
        closedir(dir);
    if (nr)
        qsort(*runs, nr, sizeof(struct run), compare_runs);

    return nr;
}

size_t runs_list(struct run **runs)
{
    size_t all = list_sockets(runs), live = 0;

    for (size_t i = 0; i < all; i++) {
        int fd = try_run((*runs)[i].name);

        if (fd < 0)
            continue;
        close(fd);
        (*runs)[live++] = (*runs)[i];
    }

    return live;
}

static int connect_newest(char found[RUN_NAME_SIZE])
{
    struct run *runs;
    size_t nr = list_sockets(&runs);
    int fd = -ENOENT;

    for (size_t i = 0; i < nr && fd < 0; i++) {
        fd = try_run(runs[i].name);
        if (fd >= 0)
            strcpy(found, runs[i].name);
    }
    free(runs);
    if (fd < 0) {
        complain("no system is running (start one with: belfry run -d IMAGE)");
        return -STATUS_UNREACHABLE;
    }

    return fd;
}

static void complain_no_run(const char *name)
{
    struct run *runs;
    size_t nr = runs_list(&runs);
    char *have = text_of("%s", "");

    for (size_t i = 0; i < nr; i++) {
        char *longer = text_of("%s%s%s", have, i ? ", " : "", runs[i].name);

        free(have);
        have = longer;
    }
    complain("no system '%s' is running (have: %s)", name, nr ? have : "none");
    free(have);
    free(runs);
}

int runs_connect(const char *name, char found[RUN_NAME_SIZE])
{
    int fd;

    if (!runs_dir())
        return -STATUS_UNREACHABLE;
    if (!name)
        return connect_newest(found);
    fd = valid_name(name) ? try_run(name) : -ENOENT;
    if (fd < 0) {
        complain_no_run(name);
        return -STATUS_UNREACHABLE;
    }
    strcpy(found, name);

    return fd;
}

static bool is_taken(const char *name)
{
    int fd = try_run(name);

    if (fd >= 0)
        close(fd);

    return fd >= 0;
}

/* "build/demo.iso" is "demo". */
static void name_of_image(const char *image, char name[RUN_NAME_SIZE])
{
    const char *base = strrchr(image, '/');
    size_t length;

    base = base ? base + 1 : image;
    length = strlen(base);
    if (length > 4 && !strcmp(base + length - 4, ".iso"))
        length -= 4;
    if (length > RUN_NAME_SIZE - 8)
        length = RUN_NAME_SIZE - 8;
    snprintf(name, RUN_NAME_SIZE, "%.*s", (int)length, base);
    for (char *c = name; *c; c++) {
        if (!valid_name((char[]){ *c, 0 }) && *c != '.')
            *c = '_';
    }
    if (!valid_name(name))
        strcpy(name, "system");
}

bool runs_choose_name(const char *image, const char *wanted,
                      char name[RUN_NAME_SIZE])
{
    char stem[RUN_NAME_SIZE];

    if (!runs_dir())
        return false;
    if (wanted && !valid_name(wanted)) {
        complain("'%s' is no name: letters, digits, '-', '_' and '.'", wanted);
        return false;
    }
    if (wanted && is_taken(wanted)) {
        complain("a system '%s' is running already (belfry stop --name %s)",
                 wanted, wanted);
        return false;
    }
    if (wanted) {
        strcpy(name, wanted);
        return true;
    }

    name_of_image(image, stem);
    strcpy(name, stem);
    for (unsigned int i = 2; is_taken(name); i++)
        snprintf(name, RUN_NAME_SIZE, "%.*s-%u", RUN_NAME_SIZE - 8, stem,
                 i % 100000);

    return true;
}

int runs_listen(const char *name)
{
    struct sockaddr_un address;
    char *path = runs_path(name, "sock");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (!path || fd < 0 || !address_of(path, &address)) {
        free(path);
        if (fd >= 0)
            close(fd);
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) ||
        listen(fd, 64)) {
        complain("%s: %s", path, strerror(errno));
        close(fd);
        fd = -1;
    }
    free(path);

    return fd;
}
