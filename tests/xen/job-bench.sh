# In Xen's first domain: the two benchmark guests, and what they measured.
# Domains are numbered from 1 in the order of their creation, so each can be
# told who the other is.  They read the processor's own counter, as on Belfry,
# and not one that Xen computes for them.

create() { # NAME OTHER
    cat > "/tmp/$1" << END
name = "$1"
type = "pv"
kernel = "/bench.elf"
cmdline = "with=$2"
memory = 32
vcpus = 1
tsc_mode = "native"
END
    xl create -p -q "/tmp/$1"
}

create bench 2
create peer 1
# Rung once for the start and once when a domain ends: until then all of us
# sleeps, and nothing of ours is measured.
xenstore-watch -n 2 @releaseDomain > /dev/null &
xl unpause peer
xl unpause bench
wait
sleep 1 # the daemon writes the last lines
cat /var/log/xen/console/guest-bench.log
