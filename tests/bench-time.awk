# What takes two domains, in microseconds by the clock: Belfry on 1 and on 2
# CPUs, and Xen on 1.
#
#   awk -f bench-time.awk time1.log time2.log xen-time.log
#
# Medians of blocks of 500 rounds; how busy the host is shows in them.

BEGIN { rows = split("event-rtt call-rtt call-64 ring-1 ring-32", name, " ") }

/^bench: [a-z0-9-]+ [0-9.]+/ {
    split($0, word, " ")
    value[FILENAME, word[2]] = word[3]
}

function us(log_file, n) {
    if (!((log_file, n) in value))
        return "-"
    return sprintf("%.2f", value[log_file, n] * 1000 / value[log_file, "khz"])
}

END {
    line = "%-14s %9s %9s %9s\n"
    printf "\n" line, "microseconds", "1 CPU", "2 CPUs", "Xen 4.17"
    for (i = 1; i <= rows; i++)
        printf line, name[i], us(ARGV[1], name[i]), us(ARGV[2], name[i]),
               us(ARGV[3], name[i])
    print "by the clock, which no test looks at"
}
