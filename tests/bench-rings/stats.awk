# Samples to rows: the median of each row, how far its samples spread, and its
# instructions.
#
# In:   KIND PEER SIZE BATCH RATE CYCLES        a sample, of bench-rings
#       instructions KIND PEER SIZE BATCH N     of callgrind, a message
# Out:  KIND PEER SIZE BATCH RATE CYCLES LOW HIGH SPREAD INSTRUCTIONS NOISE
#
# LOW and HIGH are the rates below and above which a tenth of the samples lie
# (of eleven: all but the lowest and the highest); SPREAD is what lies between
# them, in percent of the median.  NOISE is `noise` above 20 %, else `-`, as
# are INSTRUCTIONS that were not counted.

function sort(list, n,    i, j, x) {
    for (i = 2; i <= n; i++) {
        x = list[i]
        for (j = i - 1; j > 0 && list[j] > x; j--)
            list[j + 1] = list[j]
        list[j + 1] = x
    }
}

function median(list, n) {
    return (list[int((n + 1) / 2)] + list[int(n / 2) + 1]) / 2
}

# The first of @n sorted samples that is kept at an end.
function tenth(n) {
    return int((n + 9) / 10)
}

$1 == "instructions" {
    counted[$2 " " $3 " " $4 " " $5] = $6
    next
}

NF == 6 {
    row = $1 " " $2 " " $3 " " $4
    if (!(row in n))
        order[++rows] = row
    n[row]++
    rate[row, n[row]] = $5
    cycles[row, n[row]] = $6
}

END {
    for (r = 1; r <= rows; r++) {
        row = order[r]
        for (i = 1; i <= n[row]; i++) {
            a[i] = rate[row, i] + 0
            b[i] = cycles[row, i] + 0
        }
        sort(a, n[row])
        sort(b, n[row])
        middle = median(a, n[row])
        low = a[tenth(n[row])]
        high = a[n[row] + 1 - tenth(n[row])]
        spread = (high - low) / middle * 100
        printf "%s %.0f %.1f %.0f %.0f %.1f %s %s\n", row, middle,
            median(b, n[row]), low, high, spread,
            (row in counted) ? counted[row] : "-", (spread > 20) ? "noise" : "-"
    }
}
