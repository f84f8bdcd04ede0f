/*
 * The parser of grub.cfg: a lexer for GRUB's shell, and what multiboot2,
 * module2, menuentry and insmod mean.
 *
 * Every byte is consumed once, front to back; `at` is always the place of
 * the next one.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/belfry.h"
#include "tools/grubcfg.h"

#define MAX_WORDS 256

enum token { TOKEN_WORD, TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_EOF };

struct word {
    char *text;
    struct place place;
    bool has_variable; /* $name: unknown until GRUB runs */
};

struct parser {
    const char *next;
    struct place at;
    struct grub_cfg *cfg;
    size_t entry;       /* that commands belong to now */
    unsigned int depth; /* of blocks; an entry's own block is the first */
    grub_report *report;
    void *context;
};

static void report(struct parser *p, struct place place, const char *message)
{
    p->report(p->context, place, message);
}

static char advance(struct parser *p)
{
    char c = *p->next++;

    if (c == '\n') {
        p->at.line++;
        p->at.column = 1;
    } else {
        p->at.column++;
    }

    return c;
}

static bool at_continuation(const struct parser *p)
{
    return p->next[0] == '\\' && p->next[1] == '\n';
}

static void skip_blanks(struct parser *p)
{
    for (;;) {
        if (at_continuation(p))
            advance(p);
        else if (*p->next != ' ' && *p->next != '\t' && *p->next != '\r')
            break;
        advance(p);
    }
    if (*p->next == '#') {
        while (*p->next && *p->next != '\n')
            advance(p);
    }
}

/* The rest of a quoted stretch; the opening quote is consumed. */
static void lex_quoted(struct parser *p, char quote, FILE *out,
                       struct word *word)
{
    while (*p->next && *p->next != quote) {
        if (quote == '"' && at_continuation(p)) {
            advance(p);
            advance(p);
            continue;
        }
        if (quote == '"' && *p->next == '\\' && p->next[1] &&
            strchr("\"\\$", p->next[1]))
            advance(p);
        else if (quote == '"' && *p->next == '$')
            word->has_variable = true;
        fputc(advance(p), out);
    }
    if (!*p->next) {
        report(p, word->place, "a quote is opened here and never closed");
        return;
    }
    advance(p);
}

static bool ends_word(char c)
{
    return !c || strchr(" \t\r\n;{}|&<>", c);
}

static void lex_word(struct parser *p, struct word *word)
{
    size_t size;
    FILE *out = open_memstream(&word->text, &size);

    word->place = p->at;
    word->has_variable = false;
    while (!ends_word(*p->next)) {
        if (*p->next == '\'' || *p->next == '"') {
            lex_quoted(p, advance(p), out, word);
            continue;
        }
        if (at_continuation(p)) {
            advance(p);
            advance(p);
            continue;
        }
        if (*p->next == '\\' && p->next[1])
            advance(p);
        else if (*p->next == '$')
            word->has_variable = true;
        fputc(advance(p), out);
    }
    fclose(out);
}

/* The next token; *word is filled in (and owned by the caller) for a word,
 * its place for all. */
static enum token lex(struct parser *p, struct word *word)
{
    skip_blanks(p);
    word->text = NULL;
    word->place = p->at;

    switch (*p->next) {
    case '\0': return TOKEN_EOF;
    case '\n':
    case ';':
    case '|':
    case '&':
    case '<':
    case '>': advance(p); return TOKEN_END;
    case '{': advance(p); return TOKEN_OPEN;
    case '}': advance(p); return TOKEN_CLOSE;
    }
    lex_word(p, word);

    return TOKEN_WORD;
}

/* ---- What the commands mean. -------------------------------------------- */

static void add_name(char ***names, size_t *nr, const char *name)
{
    for (size_t i = 0; i < *nr; i++) {
        if (!strcmp((*names)[i], name))
            return;
    }
    *names = reallocate(*names, (*nr + 1) * sizeof(char *));
    (*names)[(*nr)++] = text_of("%s", name);
}

static struct grub_entry *current_entry(struct parser *p)
{
    return &p->cfg->entries[p->entry];
}

static void add_entry(struct parser *p, const char *title, struct place place)
{
    struct grub_cfg *cfg = p->cfg;

    cfg->entries = reallocate(cfg->entries, (cfg->nr_entries + 1) *
                                                sizeof(*cfg->entries));
    cfg->entries[cfg->nr_entries] =
        (struct grub_entry){ .title = text_of("%s", title), .place = place };
    p->entry = cfg->nr_entries++;
}

/* One word as GRUB's loader writes it into the command line. */
static void write_loader_word(FILE *out, const char *word)
{
    bool quoted = strchr(word, ' ') != NULL;

    if (quoted)
        fputc('"', out);
    for (; *word; word++) {
        if (strchr("\\'\"", *word))
            fputc('\\', out);
        fputc(*word, out);
    }
    if (quoted)
        fputc('"', out);
}

static void build_line(struct grub_module *module, const struct word *words,
                       size_t nr)
{
    size_t size;
    FILE *out = open_memstream(&module->line, &size);

    module->origins = allocate(nr * sizeof(*module->origins));
    for (size_t i = 0; i < nr; i++) {
        if (i)
            fputc(' ', out);
        fflush(out);
        module->origins[i] = (struct word_origin){
            .offset = (unsigned int)size,
            .place = words[i].place,
        };
        write_loader_word(out, words[i].text);
    }
    module->nr_origins = nr;
    fclose(out);
}

static void refuse_variables(struct parser *p, const struct word *words,
                             size_t nr)
{
    for (size_t i = 0; i < nr; i++) {
        if (words[i].has_variable)
            report(p, words[i].place,
                   "a variable cannot be checked here; write the text itself "
                   "(or '\\$' for a dollar sign)");
    }
}

static void on_multiboot2(struct parser *p, const struct word *words,
                          size_t nr)
{
    struct grub_entry *entry = current_entry(p);

    refuse_variables(p, words, nr);
    if (nr < 2) {
        report(p, words[0].place,
               "multiboot2 needs the hypervisor's file, e.g. multiboot2 "
               "/belfry.elf");
        return;
    }
    if (entry->kernel) {
        report(p, words[0].place, "a second multiboot2 line in one entry");
        return;
    }
    entry->kernel = text_of("%s", words[1].text);
    entry->kernel_place = words[1].place;
}

static void on_module2(struct parser *p, const struct word *words, size_t nr)
{
    struct grub_entry *entry = current_entry(p);
    struct grub_module module = { .place = words[0].place };

    refuse_variables(p, words, nr);
    if (nr > 1 && !strcmp(words[1].text, "--nounzip")) {
        words++;
        nr--;
    }
    if (nr < 2) {
        report(p, words[0].place,
               "module2 needs a file, e.g. module2 /guests/ping.elf "
               "name=ping");
        return;
    }
    if (!entry->kernel)
        report(p, module.place, "module2 before multiboot2: GRUB refuses it");

    module.file = text_of("%s", words[1].text);
    module.file_place = words[1].place;
    build_line(&module, words + 2, nr - 2);
    entry->modules = reallocate(entry->modules, (entry->nr_modules + 1) *
                                                    sizeof(module));
    entry->modules[entry->nr_modules++] = module;
}

static void on_command(struct parser *p, const struct word *words, size_t nr)
{
    struct grub_cfg *cfg = p->cfg;
    const char *name = words[0].text;

    add_name(&cfg->commands, &cfg->nr_commands, name);
    if (!strcmp(name, "multiboot2")) {
        on_multiboot2(p, words, nr);
    } else if (!strcmp(name, "module2")) {
        on_module2(p, words, nr);
    } else if (!strcmp(name, "multiboot") || !strcmp(name, "module")) {
        report(p, words[0].place,
               "this is Multiboot 1; Belfry wants multiboot2 and module2");
    } else if (!strcmp(name, "insmod")) {
        for (size_t i = 1; i < nr; i++)
            add_name(&cfg->insmods, &cfg->nr_insmods, words[i].text);
    }
}

static void on_open(struct parser *p, const struct word *words, size_t nr,
                    struct place place)
{
    if (nr && !strcmp(words[0].text, "menuentry")) {
        if (p->depth > 0 && p->entry)
            report(p, words[0].place, "an entry inside another entry");
        add_entry(p, nr > 1 ? words[1].text : "", words[0].place);
        p->depth = 0;
    } else if (nr && strcmp(words[0].text, "submenu") &&
               strcmp(words[0].text, "function")) {
        report(p, place, "a block here belongs to no menuentry");
    }
    p->depth++;
}

static void on_close(struct parser *p, struct place place)
{
    if (p->depth == 0) {
        report(p, place, "a '}' that closes nothing");
        return;
    }
    if (--p->depth == 0)
        p->entry = 0;
}

static void free_words(struct word *words, size_t nr)
{
    for (size_t i = 0; i < nr; i++)
        free(words[i].text);
}

/* One command and the token behind it.  False: the file has ended. */
static bool parse_command(struct parser *p)
{
    struct word words[MAX_WORDS], word;
    size_t nr = 0;
    enum token token;

    while ((token = lex(p, &word)) == TOKEN_WORD) {
        if (nr < MAX_WORDS) {
            words[nr++] = word;
            continue;
        }
        report(p, word.place, "more words than a line can have");
        free(word.text);
    }

    if (token == TOKEN_OPEN)
        on_open(p, words, nr, word.place);
    else if (nr)
        on_command(p, words, nr);
    if (token == TOKEN_CLOSE)
        on_close(p, word.place);
    free_words(words, nr);

    return token != TOKEN_EOF;
}

void grub_cfg_parse(const char *text, struct grub_cfg *cfg,
                    grub_report *report_to, void *context)
{
    struct parser p = {
        .next = text,
        .at = { 1, 1 },
        .cfg = cfg,
        .report = report_to,
        .context = context,
    };

    *cfg = (struct grub_cfg){ 0 };
    add_entry(&p, "", p.at);
    while (parse_command(&p))
        ;
    if (p.depth)
        report(&p, current_entry(&p)->place,
               "the block opened here is never closed with '}'");
}

static void free_names(char **names, size_t nr)
{
    for (size_t i = 0; i < nr; i++)
        free(names[i]);
    free(names);
}

static void free_entry(struct grub_entry *entry)
{
    for (size_t i = 0; i < entry->nr_modules; i++) {
        free(entry->modules[i].file);
        free(entry->modules[i].line);
        free(entry->modules[i].origins);
    }
    free(entry->modules);
    free(entry->title);
    free(entry->kernel);
}

void grub_cfg_free(struct grub_cfg *cfg)
{
    for (size_t i = 0; i < cfg->nr_entries; i++)
        free_entry(&cfg->entries[i]);
    free(cfg->entries);
    free_names(cfg->commands, cfg->nr_commands);
    free_names(cfg->insmods, cfg->nr_insmods);
}

struct place grub_module_place(const struct grub_module *module,
                               unsigned int column)
{
    struct place place = module->file_place;

    for (size_t i = 0; i < module->nr_origins; i++) {
        if (module->origins[i].offset < column)
            place = module->origins[i].place;
    }

    return place;
}
