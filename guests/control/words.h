/* Words of a request line.  Pure. */
#ifndef CONTROL_WORDS_H
#define CONTROL_WORDS_H

#include <stddef.h>

/*
 * Split a line into words, in place.  Words are separated by spaces; one in
 * double quotes may hold spaces and UTF-8, and \" \\ and \xNN.
 *
 * Returns how many, or -EINVAL: a byte that must not be there, an unclosed
 * quote, an unknown escape; or -E2BIG: more than max.
 */
int words_split(char *line, const char **words, unsigned int max);

#endif
