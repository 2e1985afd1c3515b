#!/usr/bin/env bash
# Runs what AVX-512 and AMX need a CPU for on a machine that has neither: Bochs emulates a Sapphire Rapids and boots a
# Linux whose only program is a job. CPUID, XCR0, the kernel's permission, the trial in a child process and each
# instruction are the real ones; only time means nothing there (a hundredth of the speed, one CPU).
#   tools/emulate/emulate.sh BUILD_FOLDER [JOB [FILE...]]
# JOB: a shell script run in the folder of the programs (default: job.sh). FILE: an absolute path that it reads.
# Bochs 3.0 is built from Debian 13's source with bochs-amx.patch; its BIOS and Debian 12's kernel come from packages.
# Nothing is installed from them: all is kept in the user's cache.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
build=$1
job=${2:-$here/job.sh}
files=("${@:3}")
source "$root/tools/run.d/packages.sh"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/reprise/emulate
mkdir -p "$cache"

# apt with lists of its own: releases other than this machine's, where this machine's packages come from.
private_apt() { "$1" -q -o Dir::State="$cache/apt" -o Dir::Cache="$cache/apt" -o Dir::Etc::SourceParts=- \
  -o Dir::Etc::SourceList="$cache/sources.list" -o APT::Sandbox::User= "${@:2}"; }

fetch() {
  local mirror kernel
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(COMPONENT) $(REPO_URI)' |
    awk '$1 == "Debian" && $2 == "main" && $3 !~ /security/ { print $3; exit }')
  [ -n "$mirror" ] || die "this needs a Debian whose sources name a mirror; this system's are another's"
  mkdir -p "$cache/apt/lists/partial" "$cache/apt/archives/partial"
  printf '%s\n' "deb-src $mirror trixie main" "deb $mirror trixie main" "deb $mirror bookworm main" >"$cache/sources.list"
  private_apt apt-get update
  cd "$cache"
  rm -rf ./*.deb files bochs
  private_apt apt-get source --tar-only --download-only bochs=3.0+dfsg-1
  kernel=$(private_apt apt-cache depends linux-image-cloud-amd64/bookworm | awk '/Depends: linux-image-6.1/ { print $2 }')
  private_apt apt-get download bochsbios vgabios "$kernel"
  for package in ./*.deb; do dpkg-deb -x "$package" files; done
  mkdir bochs
  tar xf bochs_3.0*.orig.tar.* -C bochs --strip-components=1
  patch -d bochs -p1 <"$here/bochs-amx.patch"
}

compile() {
  cd "$cache/bochs"
  ./configure --enable-cpu-level=6 --enable-x86-64 --enable-avx --enable-evex --enable-amx --enable-vmx=2 --enable-fpu \
    --enable-all-optimizations --enable-pci --enable-long-phy-address --enable-smp --disable-docbook \
    --disable-readline --with-nogui
  make -j "$(nproc)"
}

# The guest's first file system: busybox, the programs with their libraries, and what they read at its own path.
pack() {
  local program library guest=$cache/guest
  rm -rf "$guest" "$cache/image"
  mkdir -p "$guest"/{bin,proc,sys,dev,tmp,programs} "$cache/image"
  cp /bin/busybox "$guest/bin/"
  install "$here/guest.sh" "$guest/init"
  cp "$job" "$guest/programs/job.sh"
  for program in "$build/reprise" "$build"/tests/*/test_*; do
    [ -x "$program" ] || continue  # what CMake keeps beside a test
    cp "$program" "$guest/programs/"
    for library in $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$library" "$guest$library"; done
  done
  # LLVM would take hours in there; and so it is seen that code can be made for a level that this CPU lacks. Untimed,
  # so that no group stays in parts.
  if [ -x "$build/reprise-compiler" ]; then
    for kernels in avx512-float32 avx512-bfloat16 avx512_bf16-bfloat16 amx-bfloat16; do
      REPRISE_COMPILE_TRIALS=0 "$build/reprise" compile --model "$root/models/tiny" --isa "${kernels%-*}" --dtype "${kernels#*-}" \
        -o "$guest/programs/$kernels.kernels" >/dev/null
    done
  fi
  cp -r --parents "$root/models" "$root/tests" "${files[@]}" "$guest"
  ln -s "$root" "$guest/programs/source"
  (cd "$guest" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/image/initrd.gz"
  cp "$cache"/files/boot/vmlinuz-* "$cache/image/vmlinuz"
  cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$cache/image/"
  # no5lvl: Bochs ends when it returns from its BIOS's SMM with 5 levels of pages. clearcpuid=580: Linux 6.1 believes
  # FSRM although Bochs's IA32_MISC_ENABLE says that fast strings are off, and memmove breaks.
  cat >"$cache/image/isolinux.cfg" <<CFG
DEFAULT linux
PROMPT 0
TIMEOUT 1
LABEL linux
 KERNEL vmlinuz
 APPEND initrd=initrd.gz console=ttyS0 loglevel=1 mitigations=off nokaslr no5lvl clearcpuid=580 lsm=none random.trust_cpu=on panic=-1
CFG
  xorriso -as mkisofs -quiet -o "$cache/boot.iso" -b isolinux.bin -c boot.cat -no-emul-boot -boot-load-size 4 \
    -boot-info-table "$cache/image" 2>"$cache/image.log"
}

boot() {
  cat >"$cache/bochsrc" <<CFG
cpu: model=sapphire_rapids, count=1, ips=100000000, reset_on_triple_fault=0
memory: guest=2048, host=2048
romimage: file=$cache/files/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=$cache/files/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=$cache/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$cache/serial.txt
log: $cache/bochs.log
panic: action=fatal
error: action=ignore
info: action=ignore
clock: sync=none, time0=local
display_library: nogui
CFG
  : >"$cache/serial.txt"
  "$cache/bochs/bochs" -q -f "$cache/bochsrc" >"$cache/bochs.out" 2>&1 </dev/null &
  trap "kill $! 2>/dev/null || true" EXIT
  tail -n +1 -F --pid=$! "$cache/serial.txt" 2>/dev/null || true
  grep -q '^emulated: passed' "$cache/serial.txt" || die "failed, or ended before it was done; see serial.txt and bochs.log in $cache"
}

# In the background, because `set -e` is off in what stands before `||`.
step() {
  "$1" >"$cache/$1.log" 2>&1 &
  wait $! || { tail -n 5 "$cache/$1.log" >&2; die "could not $1 Bochs; see $cache/$1.log"; }
}

need "${kEmulatePackages[@]}"
if [ ! "$cache/bochs/bochs" -nt "$here/bochs-amx.patch" ]; then
  say "fetching and building Bochs (some minutes, the first time)"
  step fetch
  step compile
fi
pack
boot
