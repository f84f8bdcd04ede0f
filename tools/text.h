/*
 * Times, sizes and foreign text, for people.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* 830ns, 1.2us, 3.4ms, 5.6s, 7m08s, 9h10m. */
void text_duration(char *buf, size_t size, uint64_t ns);
/* 512B, 16M, 1.5G. */
void text_bytes(char *buf, size_t size, uint64_t bytes);
/* A guest's text must not command the terminal: control characters become
 * question marks. */
void text_clean(char *text);

#endif
