# In Xen's first domain: a Linux guest from its creation to its end.
cat > /tmp/linux << END
name = "linux"
type = "pv"
kernel = "/vmlinuz"
ramdisk = "/initrd.img"
memory = 256
vcpus = 1
extra = "console=hvc0 until=init"
END
log=/var/log/xen/console/guest-linux.log
touch $log
tail -f $log &
xenstore-watch -n 2 @releaseDomain > /dev/null &
ended=$!
xl create -q /tmp/linux
wait $ended
sleep 1 # the daemon writes the last lines
