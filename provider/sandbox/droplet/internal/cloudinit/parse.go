// Package cloudinit reads a server's first-boot data as cloud-init does: shell scripts, cloud-config documents, and MIME
// multipart archives of both, each maybe compressed with gzip. It decides nothing about how they are applied.
package cloudinit

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	maxUnpacked = 8 << 20 // bytes of one part after decompression
	maxParts    = 64      // in all archives together
	maxDepth    = 4       // of archives in archives
)

// Data is what the user data asks for.
type Data struct {
	Config   Config
	Scripts  [][]byte // in the order in which they run
	Warnings []string // what was left out, one sentence each
}

// Parse reads user data. Parts that can't be read are left out with a warning: as on a real server, a mistake in the
// user data must not keep it from booting.
func Parse(userData []byte) Data {
	p := &parser{settings: map[string]any{}}
	if len(bytes.TrimSpace(userData)) > 0 {
		p.part(userData, "", 0)
	}
	d := Data{Scripts: p.scripts}
	config, warnings := decode(p.settings)
	d.Config, d.Warnings = config, append(p.warnings, warnings...)
	return d
}

type parser struct {
	settings map[string]any
	scripts  [][]byte
	warnings []string
	parts    int
}

func (p *parser) warn(format string, args ...any) {
	p.warnings = append(p.warnings, fmt.Sprintf(format, args...))
}

// part reads one document; mergeType is its MIME header about merging, if it had one.
func (p *parser) part(b []byte, mergeType string, depth int) {
	if p.parts++; p.parts > maxParts {
		if p.parts == maxParts+1 {
			p.warn("user data has more than %d parts; the rest is ignored", maxParts)
		}
		return
	}
	b, err := unpack(b)
	if err != nil {
		p.warn("part %d: %v", p.parts, err)
		return
	}
	first, _, _ := strings.Cut(string(b[:min(len(b), 128)]), "\n")
	switch first = strings.TrimSpace(first); {
	case strings.HasPrefix(first, "#!"):
		p.scripts = append(p.scripts, b)
	case strings.HasPrefix(first, "#cloud-config") && !strings.HasPrefix(first, "#cloud-config-"):
		p.cloudConfig(b, mergeType)
	case strings.HasPrefix(first, "#"):
		p.warn("part %d: %q is not supported", p.parts, first)
	default:
		p.message(b, depth)
	}
}

func unpack(b []byte) ([]byte, error) {
	if !bytes.HasPrefix(b, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil {
		return nil, fmt.Errorf("gzip: %w", err)
	}
	if len(out) > maxUnpacked {
		return nil, fmt.Errorf("gzip: more than %d bytes when unpacked", maxUnpacked)
	}
	return out, nil
}

func (p *parser) cloudConfig(b []byte, mergeType string) {
	var doc map[string]any
	if err := yaml.Unmarshal(b, &doc); err != nil {
		p.warn("part %d: invalid cloud-config: %v", p.parts, err)
		return
	}
	how, err := mergeRule(doc, mergeType)
	if err != nil {
		p.warn("part %d: %v", p.parts, err)
	}
	p.settings = how.maps(p.settings, doc)
}

// message reads a MIME document.
func (p *parser) message(b []byte, depth int) {
	m, err := mail.ReadMessage(bytes.NewReader(b))
	if err != nil {
		p.warn("part %d: neither a script, a cloud-config nor a MIME archive", p.parts)
		return
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") || depth >= maxDepth {
		p.warn("part %d: content type %q is not supported", p.parts, m.Header.Get("Content-Type"))
		return
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	for {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			p.warn("MIME archive: %v", err)
			return
		}
		p.member(part, depth)
	}
}

func (p *parser) member(part *multipart.Part, depth int) {
	b, err := io.ReadAll(io.LimitReader(decoded(part, part.Header.Get("Content-Transfer-Encoding")), maxUnpacked))
	if err != nil {
		p.warn("MIME archive: %v", err)
		return
	}
	// An archive in an archive has its headers outside of its body.
	if kind := part.Header.Get("Content-Type"); strings.HasPrefix(kind, "multipart/") {
		b = append([]byte("Content-Type: "+kind+"\r\n\r\n"), b...)
	}
	mergeType := part.Header.Get("Merge-Type")
	if mergeType == "" {
		mergeType = part.Header.Get("X-Merge-Type")
	}
	p.part(b, mergeType, depth+1)
}

func decoded(r io.Reader, encoding string) io.Reader {
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}
