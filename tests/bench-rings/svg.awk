# Rows of stats.awk as a plot: cycles a message, of every peer in every row, on
# a logarithmic scale.  A stroke through a mark is what its samples spread.
#
# -v cpu=NAME -v date=DAY

BEGIN {
    left = 60
    top = 64
    height = 380
    step = 46 # between two groups of marks
    gap = 34  # between two kinds
    floor = 1e9 # powers of ten that hold every stroke
    ceiling = 10
    # Ours are warm.
    hue["spsc"] = "#c1272d"
    hue["spsc-quiet"] = "#f08c2e"
    hue["reqrsp"] = "#d6498b"
    hue["ring.h"] = "#3f51b5"
    hue["ck_ring"] = "#17a2b8"
    hue["rte_ring"] = "#2a9d4e"
    hue["pipe"] = "#555555"
    hue["socketpair"] = "#aaaaaa"
    title["one-way"] = "one way"
    title["answered"] = "answered"
    title["trip-poll"] = "polling"
    title["trip-sleep"] = "sleeping"
}

function y(cycles) {
    return top + height * log(ceiling / cycles) / log(ceiling / floor)
}

# More messages a second are fewer cycles a message.
function fewest(f) {
    return f[6] * f[5] / f[8]
}

function most(f) {
    return f[6] * f[5] / f[7]
}

{
    group = $1 " " $3 " " $4
    if ($1 != kind && NR > 1)
        x += gap
    if (!(group in at))
        at[group] = x += step
    if ($1 != kind) {
        kind = $1
        kinds++
        begin[kinds] = at[group]
        label[kinds] = title[kind]
    }
    last[kinds] = at[group]
    if (!($2 in colour)) {
        peer[++peers] = $2
        place[$2] = peers
        colour[$2] = ($2 in hue) ? hue[$2] : "#000000"
    }
    groups[group] = $3 "×" $4
    row[NR] = $0
    split($0, field, " ")
    while (floor > fewest(field))
        floor /= 10
    while (ceiling < most(field))
        ceiling *= 10
}

# A mark a little beside the middle of its group, so that all can be seen.
function mark(line,    f, cx) {
    split(line, f, " ")
    cx = left + at[f[1] " " f[3] " " f[4]] + (place[f[2]] - (peers + 1) / 2) * 3
    printf "<path d=\"M%.1f %.1fV%.1f\" stroke=\"%s\"/>", cx, y(most(f)),
        y(fewest(f)), colour[f[2]]
    printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\">", cx, y(f[6]),
        colour[f[2]]
    printf "<title>%s, %s: %.0f cycles</title></circle>\n", f[2],
        f[1] " " f[3] "×" f[4], f[6]
}

function text(tx, ty, anchor, s) {
    printf "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"%s\">%s</text>\n", tx, ty,
        anchor, s
}

END {
    wide = left + x + step
    printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\"", wide,
        top + height + 56
    print " font-family=\"sans-serif\" font-size=\"11\">"
    print "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    text(left, 16, "start", "TSC cycles a message, or a round trip; fewer is" \
        " better. " cpu ", " date)
    for (p = 1; p <= peers; p++) {
        tx = left + (p - 1) * 92
        printf "<circle cx=\"%d\" cy=\"34\" r=\"4\" fill=\"%s\"/>\n", tx + 4,
            colour[peer[p]]
        text(tx + 12, 38, "start", peer[p])
    }
    for (tick = floor; tick <= ceiling * 1.01; tick *= 10) {
        printf "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/>\n", left, y(tick),
            wide - step / 2
        text(left - 6, y(tick) + 4, "end", tick)
    }
    for (g in groups) {
        text(left + at[g], top + height + 16, "middle", groups[g])
    }
    for (k = 1; k <= kinds; k++)
        text(left + (begin[k] + last[k]) / 2, top + height + 34, "middle", label[k])
    text(left + x / 2, top + height + 50, "middle", "bytes × messages a batch")
    for (r = 1; r <= NR; r++)
        mark(row[r])
    print "</svg>"
}
