# Rows of stats.awk to the one table, and what it shows.
#
# A cell is millions of messages a second, TSC cycles a message and
# instructions a message; `~` before it: noise.  The last column compares ours
# with the fastest peer that does the same work.  Status 1: a row is below its
# bound.  `even` is one that is, but by less than the samples spread.

BEGIN {
    title["one-way"] = "one way"
    title["answered"] = "answered"
    title["trip-poll"] = "round trip, polling"
    title["trip-sleep"] = "round trip, sleeping"
    # Ours, its peers, and what share of their rate must be reached.
    ours["one-way"] = "spsc-quiet"
    rivals["one-way"] = "ck_ring rte_ring"
    bound["one-way"] = 1 / 1.2
    ours["answered"] = "reqrsp"
    rivals["answered"] = "ring.h"
    bound["answered"] = 1
}

{
    row = $1 " " $3 " " $4
    if (!(row in seen)) {
        seen[row]
        order[++rows] = row
    }
    if (!($2 in column)) {
        column[$2]
        name[++peers] = $2
    }
    at = row " " $2
    rate[at] = $5
    low[at] = $7
    high[at] = $8
    noise[at] = $11 == "noise"
    # Three digits that mean something.
    millions = $5 / 1e6
    text = sprintf(millions < 1 ? "%.3f" : millions < 10 ? "%.2f" : "%.1f",
        millions) " · " sprintf("%.0f", $6)
    if ($10 != "-")
        text = text " · " sprintf("%.0f", $10)
    cell[at] = (noise[at] ? "~" : "") text
}

function fastest(row, names,    list, n, i, best) {
    n = split(names, list, " ")
    for (i = 1; i <= n; i++)
        if (rate[row " " list[i]] > rate[row " " best])
            best = list[i]
    return best
}

function verdict(row, kind,    us, peer, them, ratio, said) {
    if (!(kind in ours) || !(row " " ours[kind] in rate))
        return ""
    us = row " " ours[kind]
    peer = fastest(row, rivals[kind])
    if (peer == "")
        return ""
    them = row " " peer
    ratio = rate[us] / rate[them]
    said = sprintf("%.2f of %s", ratio, peer)
    if (ratio >= bound[kind])
        return said
    if (noise[us] || noise[them])
        return said ", noise"
    if (high[us] >= low[them] * bound[kind])
        return said ", even"
    below++
    return said ", BELOW"
}

# Characters, also where awk counts bytes.
function width(s) {
    gsub(/·/, ".", s)
    return length(s)
}

function put(r, c, s) {
    grid[r, c] = s
    if (width(s) > widest[c])
        widest[c] = width(s)
}

function print_line(r,    c, line) {
    line = "|"
    for (c = 1; c <= columns; c++)
        line = line " " grid[r, c] \
            sprintf("%" (widest[c] - width(grid[r, c])) "s", "") " |"
    print line
}

function print_rule(    c, line) {
    line = "|"
    for (c = 1; c <= columns; c++)
        line = line substr("----------------------------------------", 1,
            widest[c] + 2) "|"
    print line
}

END {
    columns = peers + 3
    put(0, 1, "what")
    put(0, 2, "bytes, batch")
    for (p = 1; p <= peers; p++)
        put(0, p + 2, name[p])
    put(0, columns, "ours")
    for (r = 1; r <= rows; r++) {
        split(order[r], word, " ")
        put(r, 1, title[word[1]])
        put(r, 2, word[2] ", " word[3])
        for (p = 1; p <= peers; p++)
            put(r, p + 2, cell[order[r] " " name[p]])
        put(r, columns, verdict(order[r], word[1]))
    }
    print_line(0)
    print_rule()
    for (r = 1; r <= rows; r++)
        print_line(r)
    exit below > 0
}
