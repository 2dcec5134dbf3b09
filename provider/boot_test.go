package provider

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"io"
	mathrand "math/rand/v2"
	"mime"
	"mime/multipart"
	"net/mail"
	"strings"
	"testing"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/ssh"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// decoded is a part as a machine would see it.
type decoded struct {
	kind, merge, text string
}

// decode reads first-boot data with the standard library alone.
func decode(t *testing.T, data []byte) []decoded {
	t.Helper()
	msg, err := mail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("the message can't be read: %v", err)
	}
	if msg.Header.Get("Mime-Version") != "1.0" {
		t.Fatalf("cloud-init needs a MIME-Version header, got %v", msg.Header)
	}
	_, params, err := mime.ParseMediaType(msg.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var parts []decoded
	r := multipart.NewReader(msg.Body, params["boundary"])
	for {
		p, err := r.NextRawPart()
		if err == io.EOF {
			return parts
		}
		if err != nil {
			t.Fatal(err)
		}
		var body io.Reader = p
		if p.Header.Get("Content-Transfer-Encoding") == "base64" {
			body = base64.NewDecoder(base64.StdEncoding, p)
		}
		kind, _, err := mime.ParseMediaType(p.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		if kind == "application/gzip" {
			if body, err = gzip.NewReader(body); err != nil {
				t.Fatal(err)
			}
		}
		text, err := io.ReadAll(body)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, decoded{kind, p.Header.Get("Merge-Type"), string(text)})
	}
}

// newBoot is a complete Boot, and the public half of its host key.
func newBoot(t testing.TB) (Boot, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	host, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return Boot{
		Hostname:       "srv-0193f2a4c1d05e6f7a8b9c0d",
		HostKeyPEM:     pem.EncodeToMemory(block),
		RootPassword:   "correct horse: battery $6$ \"staple\"",
		AuthorizedKeys: []string{strings.TrimSpace(string(ssh.MarshalAuthorizedKey(host))) + " somebody@example.org"},
	}, host
}

func TestBootConfiguresAccess(t *testing.T) {
	b, host := newBoot(t)
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	parts := decode(t, data)
	if len(parts) != 2 || parts[0].merge != mergeAdd || parts[1].merge != mergeReplace {
		t.Fatalf("parts = %+v", parts)
	}
	var add, replace map[string]any
	for i, into := range []*map[string]any{&add, &replace} {
		if parts[i].kind != "text/cloud-config" || !strings.HasPrefix(parts[i].text, "#cloud-config\n") {
			t.Fatalf("part %d = %+v", i, parts[i])
		}
		if err := yaml.Unmarshal([]byte(parts[i].text), into); err != nil {
			t.Fatal(err)
		}
	}
	if add["hostname"] != b.Hostname || add["preserve_hostname"] != false {
		t.Errorf("hostname = %v, preserved = %v", add["hostname"], add["preserve_hostname"])
	}
	if got := add["ssh_authorized_keys"].([]any); len(got) != 1 || got[0] != b.AuthorizedKeys[0] {
		t.Errorf("authorized keys = %v", got)
	}
	if replace["ssh_deletekeys"] != true || replace["disable_root"] != false || replace["ssh_pwauth"] != true {
		t.Errorf("access = %v", replace)
	}
	keys := replace["ssh_keys"].(map[string]any)
	signer, err := ssh.ParsePrivateKey([]byte(keys["ed25519_private"].(string)))
	if err != nil || !bytes.Equal(signer.PublicKey().Marshal(), host.Marshal()) {
		t.Errorf("the private host key is another one (%v)", err)
	}
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(keys["ed25519_public"].(string)))
	if err != nil || !bytes.Equal(public.Marshal(), host.Marshal()) {
		t.Errorf("the public host key is another one (%v)", err)
	}

	change := add["chpasswd"].(map[string]any)
	user := change["users"].([]any)[0].(map[string]any)
	if change["expire"] != false || user["name"] != "root" || user["type"] != "hash" {
		t.Errorf("chpasswd = %v", change)
	}
	hash, err := shacrypt.Decode(user["password"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if !hash.Match(b.RootPassword) || hash.Match("another") {
		t.Errorf("the hash does not stand for the password")
	}
	if bytes.Contains(data, []byte(b.RootPassword)) {
		t.Error("the password is readable in the data")
	}
}

func TestBootWithoutPassword(t *testing.T) {
	b, _ := newBoot(t)
	b.RootPassword = ""
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"chpasswd", "ssh_pwauth"} {
		if bytes.Contains(data, []byte(word)) {
			t.Errorf("%s is set without a password", word)
		}
	}
}

func TestBootIsDeterministic(t *testing.T) {
	b, _ := newBoot(t)
	b.UserData = []byte("#!/bin/sh\necho hello\n")
	first, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("the same Boot gave different data")
	}
}

func TestBootCarriesUserData(t *testing.T) {
	message := "Content-Type: multipart/mixed; boundary=\"X\"\nMIME-Version: 1.0\n\n" +
		"--X\nContent-Type: text/cloud-config\nMerge-Type: list(append)\n\n#cloud-config\npackages: [git]\n" +
		"--X\nContent-Type: text/x-shellscript\nContent-Transfer-Encoding: base64\n\nIyEvYmluL3NoCg==\n--X--\n"
	for name, tt := range map[string]struct {
		data string
		want []decoded
	}{
		"nothing":       {"", nil},
		"only space":    {" \n\t", nil},
		"script":        {"#!/bin/sh\necho hello\n", []decoded{{"text/x-shellscript", "", "#!/bin/sh\necho hello\n"}}},
		"space before":  {"\n\n #!/bin/sh\n", []decoded{{"text/x-shellscript", "", "#!/bin/sh\n"}}},
		"no last line":  {"#!/bin/sh\ntrue", []decoded{{"text/x-shellscript", "", "#!/bin/sh\ntrue"}}},
		"umlauts":       {"#!/bin/sh\necho grüße 👋\n", []decoded{{"text/x-shellscript", "", "#!/bin/sh\necho grüße 👋\n"}}},
		"carriage":      {"#!/bin/sh\r\necho\r\n", []decoded{{"text/x-shellscript", "", "#!/bin/sh\r\necho\r\n"}}},
		"cloud-config":  {"#cloud-config\nruncmd: [ls]\n", []decoded{{"text/cloud-config", "", "#cloud-config\nruncmd: [ls]\n"}}},
		"capitals":      {"#Cloud-Config\na: b\n", []decoded{{"text/cloud-config", "", "#Cloud-Config\na: b\n"}}},
		"archive":       {"#cloud-config-archive\n- content: x\n", []decoded{{"text/cloud-config-archive", "", "#cloud-config-archive\n- content: x\n"}}},
		"json patch":    {"#cloud-config-jsonp\n[]", []decoded{{"text/cloud-config-jsonp", "", "#cloud-config-jsonp\n[]"}}},
		"include":       {"#include\nhttps://example.org/x\n", []decoded{{"text/x-include-url", "", "#include\nhttps://example.org/x\n"}}},
		"boothook":      {"#cloud-boothook\n#!/bin/sh\n", []decoded{{"text/cloud-boothook", "", "#cloud-boothook\n#!/bin/sh\n"}}},
		"template":      {"## template: jinja\n#cloud-config\na: {{ b }}\n", []decoded{{"text/jinja2", "", "## template: jinja\n#cloud-config\na: {{ b }}\n"}}},
		"MIME message":  {message, []decoded{{"text/cloud-config", "list(append)", "#cloud-config\npackages: [git]"}, {"text/x-shellscript", "", "#!/bin/sh\n"}}},
		"has separator": {"#!/bin/sh\ncat <<E\n--berth-\n--X--\nE\n", []decoded{{"text/x-shellscript", "", "#!/bin/sh\ncat <<E\n--berth-\n--X--\nE\n"}}},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBoot(t)
			b.UserData = []byte(tt.data)
			if err := (Boot{Hostname: b.Hostname, UserData: b.UserData}).Check(); err != nil {
				t.Errorf("Check: %v", err)
			}
			data, err := b.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if !isPlain(bytes.ReplaceAll(data, []byte("\r\n"), nil)) {
				t.Error("the data is not plain ASCII")
			}
			parts := decode(t, data)
			callers, own := parts[:len(parts)-2], parts[len(parts)-2:]
			if own[0].merge != mergeAdd || own[1].merge != mergeReplace {
				t.Fatalf("Berth's parts don't come last: %+v", parts)
			}
			if len(callers) != len(tt.want) {
				t.Fatalf("the caller's parts = %+v, want %+v", callers, tt.want)
			}
			for i := range callers {
				if callers[i] != tt.want[i] {
					t.Errorf("part %d = %+v, want %+v", i, callers[i], tt.want[i])
				}
			}
		})
	}
}

func TestBootRefuses(t *testing.T) {
	rsaLike := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("no key")})
	for name, tt := range map[string]struct {
		change func(*Boot)
		want   string
	}{
		"unknown kind":     {func(b *Boot) { b.UserData = []byte("echo hello") }, `"#!"`},
		"gzip":             {func(b *Boot) { b.UserData = []byte("\x1f\x8b\x08rest") }, "gzip"},
		"not UTF-8":        {func(b *Boot) { b.UserData = []byte("#!/bin/sh\n\xff") }, "UTF-8"},
		"a zero byte":      {func(b *Boot) { b.UserData = []byte("#!/bin/sh\n\x00") }, "UTF-8"},
		"over 64 KiB":      {func(b *Boot) { b.UserData = append([]byte("#!"), make([]byte, MaxUserData)...) }, "65536"},
		"no YAML":          {func(b *Boot) { b.UserData = []byte("#cloud-config\na: [") }, "cloud-config"},
		"YAML list":        {func(b *Boot) { b.UserData = []byte("#cloud-config\n- a\n") }, "keys with values"},
		"empty YAML":       {func(b *Boot) { b.UserData = []byte("#cloud-config\n") }, "keys with values"},
		"commands no list": {func(b *Boot) { b.UserData = []byte("#cloud-config\nbootcmd: ls\n") }, "bootcmd must be a list"},
		"keys no list":     {func(b *Boot) { b.UserData = []byte("#cloud-config\nssh_authorized_keys: ssh-rsa x\n") }, "must be a list"},
		"MIME, not multi":  {func(b *Boot) { b.UserData = []byte("Content-Type: text/plain\n\nhello") }, "multipart"},
		"MIME, cut short":  {func(b *Boot) { b.UserData = []byte("Content-Type: multipart/mixed; boundary=X\n\n--X\nA: b\n\nhello") }, "part 1"},
		"MIME, no parts":   {func(b *Boot) { b.UserData = []byte("Content-Type: multipart/mixed; boundary=X\n\n--X--\n") }, "without parts"},
		"MIME, many parts": {func(b *Boot) { b.UserData = manyParts(maxParts + 1) }, "more than"},
		"no hostname":      {func(b *Boot) { b.Hostname = "" }, "hostname"},
		"bad hostname":     {func(b *Boot) { b.Hostname = "a_b" }, "hostname"},
		"long hostname":    {func(b *Boot) { b.Hostname = strings.Repeat("a.", 126) + "ab" }, "hostname"},
		"no host key":      {func(b *Boot) { b.HostKeyPEM = nil }, "host key"},
		"bad host key":     {func(b *Boot) { b.HostKeyPEM = rsaLike }, "host key"},
		"long password":    {func(b *Boot) { b.RootPassword = strings.Repeat("x", maxPassword+1) }, "password"},
		"bad key":          {func(b *Boot) { b.AuthorizedKeys = []string{"hello"} }, "SSH key 1"},
		"two keys in one":  {func(b *Boot) { b.AuthorizedKeys[0] += "\n" + b.AuthorizedKeys[0] }, "SSH key 1"},
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := newBoot(t)
			tt.change(&b)
			_, err := b.Encode()
			if KindOf(err) != Invalid || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error = %v, want one of kind invalid that says %q", err, tt.want)
			}
		})
	}
}

func manyParts(n int) []byte {
	return []byte("Content-Type: multipart/mixed; boundary=X\n\n" + strings.Repeat("--X\nA: b\n\nc\n", n) + "--X--\n")
}

func TestBootCompressesWhatIsTooLarge(t *testing.T) {
	b, _ := newBoot(t)
	b.UserData = []byte("#!/bin/sh\n" + strings.Repeat("echo hello\n", MaxUserData/11-2))
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	parts := decode(t, data)
	if len(data) > MaxUserData || parts[0].kind != "application/gzip" || parts[0].text != string(b.UserData) {
		t.Errorf("%d bytes, kind %s", len(data), parts[0].kind)
	}

	b.UserData = append([]byte("#!/bin/sh\n#ü"), b.UserData[len("#!/bin/sh\n#ü"):]...)
	if _, err := b.Encode(); KindOf(err) != Invalid || !strings.Contains(err.Error(), "bytes are left") {
		t.Errorf("what cloud-init would garble was compressed: %v", err)
	}
}

// What Check and Room take in place of what is missing has the true size.
func TestBootStandIns(t *testing.T) {
	b, _ := newBoot(t)
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	early := b
	early.HostKeyPEM, early.RootPassword = nil, ""
	supposed, err := early.withStandIns().encode(standInHash)
	if err != nil || len(supposed) != len(data) {
		t.Errorf("supposed %d bytes, %v; there are %d", len(supposed), err, len(data))
	}
	if early.Room() != b.Room() || b.Room() < 60<<10 {
		t.Errorf("room of %d bytes before and %d after", early.Room(), b.Room())
	}
	if err := (Boot{Hostname: "a_b"}).Check(); KindOf(err) != Invalid {
		t.Errorf("Check of a bad hostname: %v", err)
	}
}

// Whatever fits by Room fits, and one part more than that is compressed or
// refused, never sent too large.
func TestRoomIsSure(t *testing.T) {
	base, _ := newBoot(t)
	rapid.Check(t, func(t *rapid.T) {
		b := base
		b.RootPassword = "" // hashing takes most of the time; Room reckons with one
		for range rapid.IntRange(0, 20).Draw(t, "keys") {
			b.AuthorizedKeys = append(b.AuthorizedKeys, base.AuthorizedKeys[0])
		}
		room := b.Room()
		size := rapid.IntRange(max(10, room-5), room+200).Draw(t, "size")
		random := mathrand.New(mathrand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		noise := make([]byte, size)
		for i := range noise {
			noise[i] = byte('!' + random.IntN('~'-'!'))
		}
		prefix := rapid.SampledFrom([]string{"#!/bin/sh ", "#include-once", "#cloud-config-archive"}).Draw(t, "kind")
		copy(noise, prefix)
		b.UserData = noise
		data, err := b.Encode()
		if size <= room && err != nil {
			t.Fatalf("%d bytes don't fit in a room of %d: %v", size, room, err)
		}
		if len(data) > MaxUserData {
			t.Fatalf("%d bytes were made", len(data))
		}
	})
}
