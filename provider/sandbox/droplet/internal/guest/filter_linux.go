package guest

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel's packet filter as its netlink interface knows it (linux/netfilter/nf_tables.h).
const (
	batchBegin = 16
	batchEnd   = 17
	nfTables   = unix.NFNL_SUBSYS_NFTABLES
	newTable   = nfTables<<8 | unix.NFT_MSG_NEWTABLE
	newChain   = nfTables<<8 | unix.NFT_MSG_NEWCHAIN
	newRule    = nfTables<<8 | unix.NFT_MSG_NEWRULE
	hookOutput = 3
	ipProtocol = 2 // NFPROTO_IPV4
)

// redirect sends what the droplet itself sends to an address and TCP port to another port of its loopback interface. So
// a service has an address of its own, and does not keep others from listening at that port of all addresses.
func redirect(ip net.IP, from, to uint16) error {
	table, chain := text(unix.NFTA_RULE_TABLE, "metadata"), "output"
	port := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	rule := nested(unix.NFTA_RULE_EXPRESSIONS,
		expression("meta", number(unix.NFTA_META_DREG, unix.NFT_REG_1), number(unix.NFTA_META_KEY, unix.NFT_META_L4PROTO)),
		equals([]byte{unix.IPPROTO_TCP}),
		payload(unix.NFT_PAYLOAD_NETWORK_HEADER, 16, 4), // the destination
		equals(ip.To4()),
		payload(unix.NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2), // its port
		equals(port(from)),
		expression("immediate", number(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_1),
			nested(unix.NFTA_IMMEDIATE_DATA, attribute(unix.NFTA_DATA_VALUE, port(to)))),
		expression("redir", number(unix.NFTA_REDIR_REG_PROTO_MIN, unix.NFT_REG_1)),
	)
	hook := nested(unix.NFTA_CHAIN_HOOK,
		number(unix.NFTA_HOOK_HOOKNUM, hookOutput), number(unix.NFTA_HOOK_PRIORITY, 1<<32-100)) // -100: that of redirections
	return sendBatch(
		filterMessage(newTable, text(unix.NFTA_TABLE_NAME, "metadata")),
		filterMessage(newChain, text(unix.NFTA_CHAIN_TABLE, "metadata"), text(unix.NFTA_CHAIN_NAME, chain), hook, text(unix.NFTA_CHAIN_TYPE, "nat")),
		filterMessage(newRule, table, text(unix.NFTA_RULE_CHAIN, chain), rule),
	)
}

// attribute is a netlink attribute, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func text(kind uint16, s string) []byte { return attribute(kind, append([]byte(s), 0)) }

func number(kind uint16, n uint32) []byte {
	return attribute(kind, binary.BigEndian.AppendUint32(nil, n))
}

func nested(kind uint16, parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return attribute(kind|unix.NLA_F_NESTED, all)
}

func expression(name string, data ...[]byte) []byte {
	return nested(unix.NFTA_LIST_ELEM, text(unix.NFTA_EXPR_NAME, name), nested(unix.NFTA_EXPR_DATA, data...))
}

// payload loads bytes of a header for the comparison that follows.
func payload(header, offset, length uint32) []byte {
	return expression("payload",
		number(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1), number(unix.NFTA_PAYLOAD_BASE, header),
		number(unix.NFTA_PAYLOAD_OFFSET, offset), number(unix.NFTA_PAYLOAD_LEN, length))
}

func equals(value []byte) []byte {
	return expression("cmp",
		number(unix.NFTA_CMP_SREG, unix.NFT_REG_1), number(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ),
		nested(unix.NFTA_CMP_DATA, attribute(unix.NFTA_DATA_VALUE, value)))
}

// filterMessage is one message about the packet filter of IPv4, without a sequence number.
func filterMessage(kind uint16, attributes ...[]byte) []byte {
	return netlinkMessage(kind, ipProtocol, 0, attributes...)
}

func netlinkMessage(kind uint16, family byte, resource uint16, attributes ...[]byte) []byte {
	b := make([]byte, netlinkHeader, 64)
	b = append(b, family, 0)
	b = binary.BigEndian.AppendUint16(b, resource)
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], kind)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_CREATE|unix.NLM_F_ACK)
	return b
}

// sendBatch changes the packet filter: all messages hold, or none.
func sendBatch(messages ...[]byte) error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	all := netlinkMessage(batchBegin, unix.AF_UNSPEC, nfTables)
	binary.NativeEndian.PutUint16(all[6:], unix.NLM_F_REQUEST)
	for _, m := range messages {
		all = append(all, m...)
	}
	end := netlinkMessage(batchEnd, unix.AF_UNSPEC, nfTables)
	binary.NativeEndian.PutUint16(end[6:], unix.NLM_F_REQUEST)
	if err := unix.Sendto(fd, append(all, end...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	return awaitAnswers(fd, len(messages))
}

// awaitAnswers reads the kernel's answer to each message.
func awaitAnswers(fd, count int) error {
	b := make([]byte, 8<<10)
	for count > 0 {
		n, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT) // they are there when the batch was sent
		if err != nil {
			return os.NewSyscallError("packet filter", err)
		}
		for rest := b[:n]; len(rest) >= netlinkHeader+4; count-- {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < netlinkHeader+4 || size > len(rest) || binary.NativeEndian.Uint16(rest[4:]) != unix.NLMSG_ERROR {
				return errors.New("packet filter: the kernel's answer is not understood")
			}
			if code := int32(binary.NativeEndian.Uint32(rest[netlinkHeader:])); code != 0 {
				return os.NewSyscallError("packet filter", syscall.Errno(-code))
			}
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
	return nil
}
