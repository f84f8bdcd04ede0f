# Runs in the domain, from the disk: read, write, sync, read again.
echo "on disk: $(uname -sm), $(df -h /mnt | awk 'NR == 2 { print $1, $2 }')"
sha256sum /mnt/data
cp /mnt/data /mnt/copy
mkdir /mnt/dir
for i in 1 2 3 4 5 6 7 8 9 10; do
    head -c ${i}000 /mnt/data > /mnt/dir/$i
done
rm /mnt/dir/3 /mnt/dir/7
sync
echo 3 > /proc/sys/vm/drop_caches
cmp /mnt/data /mnt/copy && echo "on disk: the copy is the same"
