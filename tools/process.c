/*
 * Programs that the tool starts: run to the end, output kept for failures.
 */
#include "tools/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/belfry.h"

#define NOT_THERE 127 /* as the shell says it */

/* In the child: does not return. */
static void become(char *const argv[], int output)
{
    int nothing = open("/dev/null", O_RDONLY);

    dup2(nothing, 0);
    dup2(output, 1);
    dup2(output, 2);
    execvp(argv[0], argv);
    _exit(errno == ENOENT ? NOT_THERE : 126);
}

static char *read_output(int fd)
{
    char chunk[4096];
    char *all = text_of("%s", "");
    size_t length = 0;
    ssize_t n;

    while ((n = read(fd, chunk, sizeof(chunk))) > 0 ||
           (n < 0 && errno == EINTR)) {
        if (n < 0)
            continue;
        all = reallocate(all, length + (size_t)n + 1);
        memcpy(all + length, chunk, (size_t)n);
        length += (size_t)n;
        all[length] = '\0';
    }

    return all;
}

static bool judge(const char *program, const char *package, int wstatus,
                  const char *output)
{
    if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == 0)
        return true;
    if (WIFEXITED(wstatus) && WEXITSTATUS(wstatus) == NOT_THERE) {
        complain("%s: not found; install %s", program, package);
        return false;
    }
    fputs(output, stderr);
    complain("%s failed", program);

    return false;
}

bool process_run(char *const argv[], const char *package)
{
    int fds[2], wstatus = 0;
    pid_t pid;
    char *output;
    bool good;

    if (pipe2(fds, O_CLOEXEC) || (pid = fork()) < 0) {
        complain("%s: %s", argv[0], strerror(errno));
        return false;
    }
    if (pid == 0)
        become(argv, fds[1]);
    close(fds[1]);
    output = read_output(fds[0]);
    close(fds[0]);
    while (waitpid(pid, &wstatus, 0) < 0 && errno == EINTR)
        ;
    good = judge(argv[0], package, wstatus, output);
    free(output);

    return good;
}

static bool is_plain(const char *word)
{
    return *word && strspn(word, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789-_./=,:+@%") == strlen(word);
}

void process_print(char *const argv[])
{
    for (size_t i = 0; argv[i]; i++) {
        if (i)
            putchar(' ');
        if (is_plain(argv[i])) {
            fputs(argv[i], stdout);
            continue;
        }
        putchar('\'');
        for (const char *c = argv[i]; *c; c++) {
            if (*c == '\'')
                fputs("'\\''", stdout);
            else
                putchar(*c);
        }
        putchar('\'');
    }
    putchar('\n');
}

char *process_temp_dir(void)
{
    const char *base = getenv("TMPDIR");
    char *path = text_of("%s/belfry-XXXXXX", base && *base ? base : "/tmp");

    if (!mkdtemp(path)) {
        complain("%s: %s", path, strerror(errno));
        free(path);
        return NULL;
    }

    return path;
}
