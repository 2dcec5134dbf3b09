package control

import (
	"io"
	"net"
	"sync"
)

// stream is a connection whose two directions end apart.
type stream interface {
	net.Conn
	CloseWrite() error
}

// Proxy copies both ways between two TCP or unix connections until both directions have ended or one fails, and closes
// both. Between such connections the kernel moves the bytes.
func Proxy(a, b net.Conn) {
	var wg sync.WaitGroup
	half := func(dst, src net.Conn) {
		if _, err := io.Copy(dst, src); err != nil {
			// A broken connection is no use in the other direction either.
			dst.Close()
			src.Close()
			return
		}
		if s, ok := dst.(stream); !ok || s.CloseWrite() != nil {
			dst.Close()
		}
	}
	wg.Go(func() { half(a, b) })
	half(b, a)
	wg.Wait()
	a.Close()
	b.Close()
}
