# Rows of stats.awk as JSON, with what was measured where.
#
# -v cpu=NAME -v date=DAY -v rounds=N

function number(s) {
    return s == "-" ? "null" : s
}

BEGIN {
    printf "{\"cpu\":\"%s\",\"date\":\"%s\",\"rounds\":%d,\"rows\":[", cpu, date,
        rounds
}

{
    printf "%s\n{\"kind\":\"%s\",\"peer\":\"%s\",\"size\":%d,\"batch\":%d,",
        (NR > 1) ? "," : "", $1, $2, $3, $4
    printf "\"per_second\":%s,\"cycles\":%s,\"low\":%s,\"high\":%s,", $5, $6, $7, $8
    printf "\"spread_percent\":%s,\"instructions\":%s,\"noise\":%s}", $9,
        number($10), ($11 == "noise") ? "true" : "false"
}

END {
    print "\n]}"
}
