package fleet

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/account"
)

// newKeyPair makes an ed25519 key pair: the private half in OpenSSH form, the
// public one as an authorized_keys line.
func newKeyPair(comment string) (privatePEM []byte, public string, err error) {
	pub, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("make a key pair: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return nil, "", fmt.Errorf("write a private key: %w", err)
	}
	sshPub, err := ssh.NewPublicKey(pub)
	if err != nil {
		return nil, "", fmt.Errorf("write a public key: %w", err)
	}
	return pem.EncodeToMemory(block), publicLine(sshPub, comment), nil
}

// publicLine is a public key in authorized_keys form, on one line.
func publicLine(key ssh.PublicKey, comment string) string {
	line := strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
	if comment == "" {
		return line
	}
	return line + " " + comment
}

// newSecrets makes what a new server keeps secret, sealed, and the public half
// of its host key.
func (f *Fleet) newSecrets(userData string) (sealed []byte, hostKey string, err error) {
	private, hostKey, err := newKeyPair("")
	if err != nil {
		return nil, "", err
	}
	// 26 letters and digits of a base-32 alphabet: 130 random bits.
	plain, err := json.Marshal(ServerSecrets{HostKeyPEM: string(private), RootPassword: rand.Text(), UserData: userData})
	if err != nil {
		return nil, "", fmt.Errorf("write a server's secrets: %w", err)
	}
	sealed, err = f.Vault.Seal(plain)
	if err != nil {
		return nil, "", fmt.Errorf("seal a server's secrets: %w", err)
	}
	return sealed, hostKey, nil
}

// Secrets opens a server's secrets.
func (f *Fleet) Secrets(s Server) (secrets ServerSecrets, err error) {
	plain, err := f.Vault.Open(s.Secrets)
	if err != nil {
		return ServerSecrets{}, fmt.Errorf("open the secrets of %s: %w", s.ID, err)
	}
	if err := json.Unmarshal(plain, &secrets); err != nil {
		return ServerSecrets{}, fmt.Errorf("read the secrets of %s: %w", s.ID, err)
	}
	return secrets, nil
}

// managedKey is the principal's managed key, made now if there is none.
func (f *Fleet) managedKey(ctx context.Context, tx Tx, owner berth.ID) (account.ManagedKey, error) {
	key, err := tx.ManagedKey(ctx, owner)
	if !isNotFound(err) {
		return key, err
	}
	private, public, err := newKeyPair(managedComment)
	if err != nil {
		return account.ManagedKey{}, err
	}
	sealed, err := f.Vault.Seal(private)
	if err != nil {
		return account.ManagedKey{}, fmt.Errorf("seal a managed key: %w", err)
	}
	key = account.ManagedKey{Principal: owner, PublicKey: public, Sealed: sealed}
	if err := tx.InsertManagedKey(ctx, key); err != nil {
		return account.ManagedKey{}, fmt.Errorf("insert a managed key: %w", err)
	}
	return key, nil
}

// managedComment stands behind a managed key in authorized_keys, so that who
// reads it there knows whose it is.
const managedComment = "managed-by-berth"

// Signer is the private half of a principal's managed key.
func (f *Fleet) Signer(ctx context.Context, rx Rx, owner berth.ID) (ssh.Signer, error) {
	key, err := rx.ManagedKey(ctx, owner)
	if err != nil {
		return nil, fmt.Errorf("managed key of %s: %w", owner, err)
	}
	plain, err := f.Vault.Open(key.Sealed)
	if err != nil {
		return nil, fmt.Errorf("open the managed key of %s: %w", owner, err)
	}
	signer, err := ssh.ParsePrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("read the managed key of %s: %w", owner, err)
	}
	return signer, nil
}
