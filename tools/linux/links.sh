# Runs in the domain: links to two guests.  One is offered here and ends by
# our death, the other is offered there and ends by the guest's.
for module in evtchn gntalloc gntdev; do
    insmod /xen-$module.ko
done
/link mail 5000 die
echo "links: the program was killed, status $?"
/link post 0 last
