package provider

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/mail"
	"net/textproto"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

const opBoot = "first-boot data"

// maxParts bounds how many parts a caller's own MIME message may have.
const maxParts = 64

// kinds are the beginnings by which cloud-init tells user data apart. A
// beginning that extends another one comes before it.
var kinds = []struct{ prefix, contentType string }{
	{"#!", "text/x-shellscript"},
	{"#cloud-config-archive", "text/cloud-config-archive"},
	{"#cloud-config-jsonp", "text/cloud-config-jsonp"},
	{"#cloud-config", "text/cloud-config"},
	{"#cloud-boothook", "text/cloud-boothook"},
	{"#include-once", "text/x-include-once-url"},
	{"#include", "text/x-include-url"},
	{"#part-handler", "text/part-handler"},
	{"## template: jinja", "text/jinja2"},
}

// part is one part of a MIME message, its body as it is sent.
type part struct {
	header textproto.MIMEHeader
	body   []byte
	plain  []byte // what the body says, where it was made by textPart
}

// textPart is a part that cloud-init reads back unchanged. What is not plain
// ASCII goes as base64: cloud-init garbles other characters in bare text.
func textPart(contentType string, text []byte) part {
	p := part{header: textproto.MIMEHeader{}, body: text, plain: text}
	p.header.Set("Content-Type", contentType+`; charset="utf-8"`)
	if !isPlain(text) {
		p.header.Set("Content-Transfer-Encoding", "base64")
		p.body = wrapBase64(text)
	}
	return p
}

// zip compresses a part that textPart made, and tells whether it could. Only
// ASCII survives: cloud-init garbles the rest when it unpacks a part.
func (p *part) zip() bool {
	if p.plain == nil || !isASCII(p.plain) {
		return false
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return false
	}
	if _, err := w.Write(p.plain); err != nil {
		return false
	}
	if err := w.Close(); err != nil {
		return false
	}
	p.header.Set("Content-Type", "application/gzip") // cloud-init then looks at how the content begins
	p.header.Set("Content-Transfer-Encoding", "base64")
	p.body = wrapBase64(packed.Bytes())
	return true
}

// parseUserData turns the caller's user data into parts, none where there is
// no data. What cloud-init would not understand is refused with the reason.
func parseUserData(data []byte) ([]part, error) {
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(data) == 0:
		return nil, nil
	case len(data) > MaxUserData:
		return nil, invalid("user data of %d bytes is too large: the limit is %d bytes, the server's own part included", len(data), MaxUserData)
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return nil, invalid("user data is gzip: send it as plain text, it is compressed where that is needed")
	case !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0:
		return nil, invalid("user data is not text in UTF-8")
	}
	start := strings.ToLower(string(data[:min(len(data), 32)]))
	if strings.HasPrefix(start, "content-type:") || strings.HasPrefix(start, "mime-version:") {
		return splitMessage(data)
	}
	for _, k := range kinds {
		if !strings.HasPrefix(start, k.prefix) {
			continue
		}
		if k.contentType == "text/cloud-config" {
			if err := checkCloudConfig(data); err != nil {
				return nil, err
			}
		}
		return []part{textPart(k.contentType, data)}, nil
	}
	return nil, invalid(`user data of an unknown kind: begin it with "#!" for a script, or with "#cloud-config"`)
}

// checkCloudConfig refuses what cloud-init would drop with no more than a line
// in a log on the machine.
func checkCloudConfig(data []byte) error {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return &Error{Kind: Invalid, Op: opBoot, Message: fmt.Sprintf("user data is no valid cloud-config: %v", err), Err: err}
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return invalid("user data is no valid cloud-config: expected keys with values after the line #cloud-config")
	}
	root := doc.Content[0].Content
	for i := 0; i+1 < len(root); i += 2 {
		// Anything but a list would make cloud-init drop Berth's own keys, or
		// commands.
		name := root[i].Value
		if (name == "ssh_authorized_keys" || name == "bootcmd") && root[i+1].Kind != yaml.SequenceNode {
			return invalid("user data is no valid cloud-config: %s must be a list", name)
		}
	}
	return nil
}

// splitMessage takes a caller's own MIME message apart; its parts stay as they
// are, headers included.
func splitMessage(data []byte) ([]part, error) {
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return nil, invalid("user data begins as a MIME message and is none")
	}
	kind, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil || !strings.HasPrefix(kind, "multipart/") || params["boundary"] == "" {
		return nil, invalid("user data is a MIME message, but not multipart with a boundary")
	}
	var parts []part
	for r := multipart.NewReader(msg.Body, params["boundary"]); ; {
		p, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, invalid("user data is a broken MIME message: part %d can't be read", len(parts)+1)
		}
		if len(parts) == maxParts {
			return nil, invalid("user data has more than %d parts", maxParts)
		}
		body, err := io.ReadAll(p) // bounded: data is
		if err != nil {
			return nil, invalid("user data is a broken MIME message: part %d has no end", len(parts)+1)
		}
		parts = append(parts, part{header: p.Header, body: body})
	}
	if len(parts) == 0 {
		return nil, invalid("user data is a MIME message without parts")
	}
	return parts, nil
}

// isPlain tells whether text can travel as it is: ASCII without control
// characters that a mail parser may take for line ends.
func isPlain(text []byte) bool {
	for _, c := range text {
		if c > '~' || c < ' ' && c != '\n' && c != '\t' {
			return false
		}
	}
	return true
}

func isASCII(text []byte) bool {
	return bytes.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

// wrapBase64 writes base64 in lines of 76 characters, as MIME wants.
func wrapBase64(data []byte) []byte {
	const width = 76
	text := base64.StdEncoding.EncodeToString(data)
	var out bytes.Buffer
	for len(text) > width {
		out.WriteString(text[:width])
		out.WriteByte('\n')
		text = text[width:]
	}
	out.WriteString(text)
	return out.Bytes()
}

func invalid(format string, args ...any) error {
	return &Error{Kind: Invalid, Op: opBoot, Message: fmt.Sprintf(format, args...)}
}
