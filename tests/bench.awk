# The table of costs, and build/bench.json, from the lines that the bench
# guests print.
#
#   awk -v json=FILE -f bench.awk bench.rows few.log many.log [xen.log]
#
# few.log is of 2 domains and few ports, many.log of 64 and 4,000, both on
# Belfry; xen.log is of 2 domains on Xen.  What is not measured there is as
# recorded in bench.rows.  Ends with status 1 when a row is missing, worse than
# Xen's, or grows with the number of domains by more than 5 %.

BEGIN { FS = "|" }

FNR == 1 { file++ }

file == 1 {
    if ($0 ~ /^#/ || NF < 5)
        next
    name[++rows] = $1
    what[$1] = $2
    recorded[$1] = $3
    sel4[$1] = $4
    goal[$1] = $5
    next
}

/^bench: [a-z0-9-]+ [0-9.]+/ {
    split($0, word, " ")
    value[file, word[2]] = word[3] + 0
}

function number_or(text, otherwise) { return text == "" ? otherwise : text }

# A peer's figure, marked when it is not of this call.
function xen_text(n)
{
    return xen[n] == "" ? "none" : (4, n) in value ? xen[n] : xen[n] "r"
}

function ratio_of(a, b, format) {
    return a > 0 && b > 0 ? sprintf(format, a / b) : ""
}

function verdict_of(n, few, many) {
    if (few == "" || many == "")
        return "MISSING"
    if (xen[n] != "" && few > xen[n])
        return "WORSE THAN XEN"
    if (many > few * 1.05 + 1)
        return "GROWS"
    return goal[n] != "" && few <= goal[n] ? "goal met" : ""
}

function json_range(text,    ends, n) {
    if (text == "")
        return "null"
    n = split(text, ends, "-")
    return sprintf("{\"low\":%s,\"high\":%s,\"measured\":false}", ends[1],
                   ends[n])
}

END {
    for (i = 1; i <= rows; i++) {
        n = name[i]
        xen[n] = (4, n) in value ? value[4, n] : recorded[n]
    }
    line = "%-14s %9s %9s %9s %11s %7s %8s %8s  %s\n"
    printf line, "row", "Belfry", "64 doms", "Xen 4.17", "seL4", "goal",
           "to Xen", "to goal", ""
    out = "{\"schema\":\"belfry.bench\",\"version\":2,"
    out = out "\"unit\":\"instructions\",\"rows\":["
    for (i = 1; i <= rows; i++) {
        n = name[i]
        few = value[2, n]
        many = value[3, n]
        verdict = verdict_of(n, few, many)
        if (verdict ~ /^[A-Z]/)
            bad++
        printf line, n, number_or(few, "-"), number_or(many, "-"),
               xen_text(n), sel4[n] == "" ? "-" : sel4[n] "r",
               number_or(goal[n], "-"),
               number_or(ratio_of(xen[n], few, "%.1fx"), "-"),
               number_or(ratio_of(few * 100, goal[n], "%.0f %%"), "-"),
               verdict
        out = out (i > 1 ? "," : "") sprintf("\n{\"name\":\"%s\"," \
            "\"what\":\"%s\",\"belfry\":%s,\"belfry_64_domains\":%s," \
            "\"xen\":{\"value\":%s,\"measured\":%s},\"sel4\":%s," \
            "\"goal\":%s,\"xen_to_belfry\":%s,\"belfry_to_goal\":%s}",
            n, what[n], number_or(few, "null"), number_or(many, "null"),
            number_or(xen[n], "null"), (4, n) in value ? "true" : "false", json_range(sel4[n]),
            number_or(goal[n], "null"),
            number_or(ratio_of(xen[n], few, "%.3f"), "null"),
            number_or(ratio_of(few, goal[n], "%.3f"), "null"))
    }
    print out "\n]}" > json
    printf "instructions, of 10,000 rounds; r: recorded, all others " \
           "measured in this call; %s\n", json
    exit bad > 0
}
