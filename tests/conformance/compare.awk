# Compares two transcripts line by line.
#
#   awk -f compare.awk DIFFERENCES XEN BELFRY
#
# A line is "CALL: RESULT".  The list of intended differences has a reason
# (lines that begin with #) and below it lines "CALL ~ XEN ~ BELFRY", three
# regular expressions that must match all of their part.  Prints each
# difference that is not on the list, at most MAX of them, and last the line
# "N compared N unexplained N intended".

function call_of(line) { return substr(line, 1, index(line ": ", ": ") - 1) }
function result_of(line) { return substr(line, index(line ": ", ": ") + 2) }
function whole(text, re) { return text ~ ("^(" re ")$") }

function intended(call, xen, belfry,    i) {
    for (i = 0; i < rules; i++)
        if (whole(call, rule_call[i]) && whole(xen, rule_xen[i]) &&
            whole(belfry, rule_belfry[i]))
            return 1
    return 0
}

function differ(xen, belfry) {
    if (unexplained++ < MAX)
        printf "  %s\n    Xen:    %s\n    Belfry: %s\n", call_of(xen),
               result_of(xen), result_of(belfry)
}

BEGIN { rules = 0; if (!MAX) MAX = 20 }
{ file = FILENAME == ARGV[1] ? 1 : FILENAME == ARGV[2] ? 2 : 3 }
file == 1 && /^#/ { reason = 1; next }
file == 1 && NF == 0 { reason = 0; next }
file == 1 {
    if (!reason || split($0, part, / +~ +/) != 3) {
        print "differences:" FNR ": no reason, or not three parts: " $0
        unexplained++
        next
    }
    rule_call[rules] = part[1]
    rule_xen[rules] = part[2]
    rule_belfry[rules++] = part[3]
    next
}
!/^\| / { next }
file == 2 { xen[lines++] = substr($0, 3); next }
{ belfry[others++] = substr($0, 3) }
END {
    for (i = 0; i < lines && i < others; i++) {
        if (xen[i] == belfry[i])
            continue
        if (call_of(xen[i]) != call_of(belfry[i])) {
            print "  the calls differ from line " i + 1 " on:"
            print "    Xen:    " xen[i]
            print "    Belfry: " belfry[i]
            unexplained++
            break
        }
        if (intended(call_of(xen[i]), result_of(xen[i]),
                     result_of(belfry[i])))
            known++
        else
            differ(xen[i], belfry[i])
    }
    if (i == lines || i == others)
        if (lines != others) {
            print "  one transcript ends early: " lines " lines on Xen, " \
                  others " on Belfry"
            unexplained++
        }
    printf "%d compared %d unexplained %d intended\n", i, unexplained, known
}
