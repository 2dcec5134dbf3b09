package provider

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"mime/multipart"
	"regexp"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/ssh"
	"gopkg.in/yaml.v3"
)

// MaxUserData is the size in bytes of the largest first-boot data that a
// provider takes: Berth's own part and the caller's together.
const MaxUserData = 64 << 10

// maxPassword bounds a root password: hashing takes time by its length.
const maxPassword = 128

// hashRounds is crypt(3)'s own default: milliseconds on a small machine.
// Berth's passwords are random, so more rounds would protect nothing.
const hashRounds = 5000

// Boot is what Berth gives a machine on its first boot, together with the
// caller's own user data. It is written for cloud-init 22.3 or later.
//
// Connections to the external ports of Forwards lead to the internal ones, from the
// first boot on and after each reboot and rebuild.
//
// The machine gets the host key HostKeyPEM and no other, so that its SSH
// connections can be pinned from the first; root may log in with any of
// AuthorizedKeys and, where RootPassword is not empty, with that. What the
// caller's cloud-config says of other things stands: its own keys and
// passwords are added to Berth's, and its hostname wins.
//
// Any process on the machine can read its first-boot data from the cloud's
// metadata service. The password is therefore sent as a SHA-512 crypt hash.
type Boot struct {
	Hostname       string   // RFC 1123, at most 253 bytes
	HostKeyPEM     []byte   // an OpenSSH private key, ed25519, without passphrase or comment
	RootPassword   string   // plain, at most 128 bytes; empty for none
	AuthorizedKeys []string // authorized_keys lines, one key each
	UserData       []byte   // the caller's: text of a kind that cloud-init knows, or empty
	Forwards       []Forward
}

// Encode is the machine's first-boot data, ASCII text of at most MaxUserData
// bytes: a MIME message whose parts are the caller's data and then Berth's.
// The same Boot always gives the same bytes. A Boot that can't be carried out
// is an *Error of kind Invalid that says why and never shows a secret.
func (b Boot) Encode() ([]byte, error) {
	if err := b.validate(); err != nil {
		return nil, err
	}
	hash := ""
	if b.RootPassword != "" {
		var err error
		if hash, err = b.passwordHash(); err != nil {
			return nil, err
		}
	}
	return b.encode(hash)
}

// Check tells whether Encode will succeed, with its errors, before the host
// key and the password exist: it takes others of the same size.
func (b Boot) Check() error {
	b = b.withStandIns()
	if err := b.validate(); err != nil {
		return err
	}
	_, err := b.encode(standInHash)
	return err
}

// Room is how many bytes of plain ASCII user data are sure to fit. As Check,
// it needs neither host key nor password. It is 0 for a Boot that is invalid
// apart from its user data.
func (b Boot) Room() int {
	own, err := b.withStandIns().parts(standInHash)
	if err != nil {
		return 0
	}
	least := []part{textPart("text/cloud-config-archive", []byte("#"))} // the longest header
	data, err := encodeParts(least, own)
	if err != nil {
		return 0
	}
	return max(0, MaxUserData-len(data)+len("#"))
}

// encode writes the message with the root password's hash, empty for none.
func (b Boot) encode(hash string) ([]byte, error) {
	callers, err := parseUserData(b.UserData)
	if err != nil {
		return nil, err
	}
	own, err := b.parts(hash)
	if err != nil {
		return nil, err
	}
	data, err := encodeParts(callers, own)
	if err != nil || len(data) <= MaxUserData {
		return data, err
	}
	if len(callers) == 1 && callers[0].zip() {
		if data, err = encodeParts(callers, own); err != nil || len(data) <= MaxUserData {
			return data, err
		}
	}
	return nil, invalid("user data of %d bytes is too large: %d bytes are left for it beside what the server itself needs (more if it compresses well)", len(b.UserData), b.Room())
}

// standInHash is as long as every hash.
var standInHash = strings.Repeat("x", len("$6$")+16+len("$")+86)

// withStandIns fills in a host key where there is none. Keys without a comment
// all have the same size.
func (b Boot) withStandIns() Boot {
	if len(b.HostKeyPEM) == 0 {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		if block, err := ssh.MarshalPrivateKey(key, ""); err == nil {
			b.HostKeyPEM = pem.EncodeToMemory(block)
		}
	}
	return b
}

// cloudConfig holds the keys of cloud-init's configuration that Berth sets.
type cloudConfig struct {
	Hostname         string     `yaml:"hostname,omitempty"`
	PreserveHostname *bool      `yaml:"preserve_hostname,omitempty"`
	AuthorizedKeys   []string   `yaml:"ssh_authorized_keys,omitempty"`
	Passwords        *passwords `yaml:"chpasswd,omitempty"`
	DeleteHostKeys   *bool      `yaml:"ssh_deletekeys,omitempty"`
	HostKeys         *hostKeys  `yaml:"ssh_keys,omitempty"`
	DisableRoot      *bool      `yaml:"disable_root,omitempty"`
	PasswordLogin    *bool      `yaml:"ssh_pwauth,omitempty"`
	BootCommands     []string   `yaml:"bootcmd,omitempty"` // at every boot
}

type passwords struct {
	Expire bool           `yaml:"expire"`
	Users  []userPassword `yaml:"users"`
}

type userPassword struct {
	Name     string `yaml:"name"`
	Password string `yaml:"password"`
	Type     string `yaml:"type"`
}

type hostKeys struct {
	Private string `yaml:"ed25519_private"`
	Public  string `yaml:"ed25519_public"`
}

// How cloud-init merges each of Berth's two parts into what came before. A
// part's own rules decide, so Berth's come last: the caller's can't undo them.
const (
	mergeAdd     = "dict(no_replace,recurse_list)+list(append)+str()"
	mergeReplace = "dict(replace)+list()+str()"
)

// parts are Berth's own parts: one that adds to what the caller configured,
// and one that replaces it.
func (b Boot) parts(hash string) ([]part, error) {
	private, public, err := b.hostKey()
	if err != nil {
		return nil, err
	}
	yes, no := true, false
	add := cloudConfig{
		Hostname:         b.Hostname,
		PreserveHostname: &no,
		AuthorizedKeys:   b.AuthorizedKeys,
	}
	if text := forwardCommands(b.Forwards); text != "" {
		add.BootCommands = []string{text} // after the caller's own
	}
	replace := cloudConfig{
		DeleteHostKeys: &yes,
		HostKeys:       &hostKeys{Private: private, Public: public},
		DisableRoot:    &no,
	}
	if hash != "" {
		add.Passwords = &passwords{Users: []userPassword{{Name: "root", Password: hash, Type: "hash"}}}
		replace.PasswordLogin = &yes
	}
	var parts []part
	for _, p := range []struct {
		name, merge string
		config      cloudConfig
	}{{"server", mergeAdd, add}, {"access", mergeReplace, replace}} {
		text, err := yaml.Marshal(p.config)
		if err != nil {
			return nil, &Error{Kind: Invalid, Op: opBoot, Message: "can't write the cloud-config", Err: err}
		}
		made := textPart("text/cloud-config", append([]byte("#cloud-config\n"), text...))
		made.header.Set("Merge-Type", p.merge)
		made.header.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", p.name))
		parts = append(parts, made)
	}
	return parts, nil
}

var hostname = regexp.MustCompile(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$`)

func (b Boot) validate() error {
	if len(b.Hostname) > 253 || !hostname.MatchString(b.Hostname) {
		return invalid("%.300q is no hostname: letters, digits and hyphens, with dots between", b.Hostname)
	}
	if len(b.RootPassword) > maxPassword {
		return invalid("the root password is longer than %d bytes", maxPassword)
	}
	for i, line := range b.AuthorizedKeys {
		// More than one line would slip a second key past the caller's count.
		_, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(line))
		if err != nil || len(rest) > 0 || strings.ContainsAny(line, "\r\n") {
			return invalid("SSH key %d is no line of an authorized_keys file", i+1)
		}
	}
	return CheckForwards(b.Forwards)
}

// hostKey is the host key as cloud-init wants it: the private key's file and
// the public key's line.
func (b Boot) hostKey() (private, public string, err error) {
	raw, err := ssh.ParseRawPrivateKey(b.HostKeyPEM)
	if err != nil {
		return "", "", invalid("the host key is no OpenSSH private key")
	}
	key, ok := raw.(*ed25519.PrivateKey)
	if !ok {
		return "", "", invalid("the host key is not of type ed25519")
	}
	signer, err := ssh.NewSignerFromKey(*key)
	if err != nil {
		return "", "", invalid("the host key can't be used")
	}
	line := bytes.TrimSpace(ssh.MarshalAuthorizedKey(signer.PublicKey()))
	return string(b.HostKeyPEM), string(line), nil
}

// passwordHash is the root password in crypt(3)'s SHA-512 form. Its salt comes
// from the host key, which is random and the machine's own, so that encoding
// the same Boot twice gives the same bytes.
func (b Boot) passwordHash() (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(hashRounds))
	if err != nil {
		return "", &Error{Kind: Invalid, Op: opBoot, Message: "can't hash the root password", Err: err}
	}
	sum := sha256.Sum256(append([]byte("root password salt\x00"), b.HostKeyPEM...))
	salt := []byte(base64.RawStdEncoding.EncodeToString(sum[:12])) // 16 characters, the longest salt
	for i, c := range salt {
		if c == '+' {
			salt[i] = '.' // crypt's alphabet
		}
	}
	digest, err := hasher.HashWithSalt(b.RootPassword, salt)
	if err != nil {
		return "", &Error{Kind: Invalid, Op: opBoot, Message: "can't hash the root password", Err: err}
	}
	return digest.Encode(), nil
}

// encodeParts writes one MIME message.
func encodeParts(groups ...[]part) ([]byte, error) {
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	if err := w.SetBoundary(boundary(groups)); err != nil {
		return nil, &Error{Kind: Invalid, Op: opBoot, Message: "can't write the message", Err: err}
	}
	fmt.Fprintf(&body, "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=%q\r\n\r\n", w.Boundary())
	for _, parts := range groups {
		for _, p := range parts {
			out, err := w.CreatePart(p.header)
			if err == nil {
				_, err = out.Write(p.body)
			}
			if err != nil {
				return nil, &Error{Kind: Invalid, Op: opBoot, Message: "can't write the message", Err: err}
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, &Error{Kind: Invalid, Op: opBoot, Message: "can't write the message", Err: err}
	}
	return body.Bytes(), nil
}

// boundary is a separator made from what it separates: nothing can contain a
// hash of itself, and the same parts get the same one.
func boundary(groups [][]part) string {
	sum := sha256.New()
	for _, parts := range groups {
		for _, p := range parts {
			fmt.Fprintf(sum, "%d:", len(p.body))
			sum.Write(p.body)
		}
	}
	return "berth-" + hex.EncodeToString(sum.Sum(nil)[:16])
}
