package remote

import (
	"bytes"
	"testing"
)

// BenchmarkExec is one short command after another over a pooled connection.
func BenchmarkExec(b *testing.B) {
	s := newServer(b)
	p := newPool(b, PoolOptions{})
	for b.Loop() {
		if _, err := p.Exec(b.Context(), s.Target, Command{Line: "true"}, 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkUpload is a file of 16 MiB.
func BenchmarkUpload(b *testing.B) {
	s := newServer(b)
	p := newPool(b, PoolOptions{})
	content := bytes.Repeat([]byte("x"), 16<<20)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		if _, err := p.Upload(b.Context(), s.Target, UploadSpec{Path: "file", Limit: 16 << 20}, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
	}
}
