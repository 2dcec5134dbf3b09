package guest

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// loopbackUp brings up the only interface of a droplet.
func loopbackUp() error {
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return configureInterface(unix.SIOCSIFFLAGS, ifr)
}

func configureInterface(request uint, ifr *unix.Ifreq) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.IoctlIfreq(fd, request, ifr)
}

// addAddress gives the loopback interface another address, and no other of its network.
func addAddress(label string, ip net.IP) error {
	if err := setInet4(unix.SIOCSIFADDR, label, ip); err != nil {
		return fmt.Errorf("address %s: %w", ip, err)
	}
	return setInet4(unix.SIOCSIFNETMASK, label, net.IPv4bcast)
}

func setInet4(request uint, label string, ip net.IP) error {
	ifr, err := unix.NewIfreq(label)
	if err != nil {
		return err
	}
	if err := ifr.SetInet4Addr(ip.To4()); err != nil {
		return err
	}
	return configureInterface(request, ifr)
}
