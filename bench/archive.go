package main

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"io"
	"os"
)

// writeRandom writes a file that no compression makes smaller.
func writeRandom(path string, size int64) error {
	return toDisk(path, func(w io.Writer) error {
		_, err := io.CopyN(w, rand.Reader, size)
		return err
	})
}

// toDisk writes a file and waits until it is on the disk.
func toDisk(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Sync(), f.Close())
}

// pack writes one file into an archive.
func pack(archive, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	return toDisk(archive, func(w io.Writer) error {
		t := tar.NewWriter(w)
		if err := t.WriteHeader(&tar.Header{Name: info.Name(), Mode: 0o600, Size: info.Size()}); err != nil {
			return err
		}
		_, err := io.Copy(t, in)
		return errors.Join(err, t.Close())
	})
}

// unpack writes an archive's only file to path.
func unpack(archive, path string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	t := tar.NewReader(in)
	if _, err := t.Next(); err != nil {
		return err
	}
	return toDisk(path, func(w io.Writer) error {
		_, err := io.Copy(w, t)
		return err
	})
}
