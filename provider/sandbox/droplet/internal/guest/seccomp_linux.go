package guest

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// families are the kinds of sockets that a droplet may have. Others, such as AF_VSOCK, know no network namespaces and
// would lead to the host, or open parts of the kernel that a server of this kind needs none of.
var families = []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}

// Where the parts of a system call are (struct seccomp_data); of the first argument, the lower half on the machines that
// are known here.
const (
	callNumber   = 0
	callArch     = 4
	callArgument = 16
)

// nativeArch are the machines whose system calls are known here, as the kernel's audit names them.
var nativeArch = map[string]uint32{"amd64": unix.AUDIT_ARCH_X86_64, "arm64": unix.AUDIT_ARCH_AARCH64}

// limitSockets forbids other kinds of sockets to this process, all its threads, and all that they start. Programs for
// another kind of machine, which have other numbers for their system calls, can do nothing.
func limitSockets() error {
	arch, ok := nativeArch[runtime.GOARCH]
	if !ok {
		return nil
	}
	filter := socketFilter(arch)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(
		unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)),
	)
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

// socketFilter is a program for the kernel. A comparison says how many instructions to skip if it holds, and if not.
func socketFilter(arch uint32) []unix.SockFilter {
	const x32 = 0x40000000 // on amd64, a second set of numbers for the same calls
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jump := func(how uint16, k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | how | unix.BPF_K, Jt: uint8(yes), Jf: uint8(no), K: k}
	}
	answer := func(k uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k} }
	program := []unix.SockFilter{
		load(callArch),
		jump(unix.BPF_JEQ, arch, 1, 0),
		answer(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)),
		load(callNumber),
		jump(unix.BPF_JGE, x32, 0, 1),
		answer(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)),
		jump(unix.BPF_JEQ, unix.SYS_SOCKET, 1, 0),
		answer(unix.SECCOMP_RET_ALLOW),
		load(callArgument),
	}
	for i, family := range families {
		program = append(program, jump(unix.BPF_JEQ, family, len(families)-i, 0))
	}
	return append(program, answer(unix.SECCOMP_RET_ERRNO|uint32(unix.EAFNOSUPPORT)), answer(unix.SECCOMP_RET_ALLOW))
}
