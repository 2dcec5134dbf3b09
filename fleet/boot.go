package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"berth"
	"berth/account"
	"berth/provider"
)

// Forward leads connections to a port of a server's address to another of its
// ports, for as long as the server lives.
type Forward = provider.Forward

// The ports of a server's address that can lead to others, and how many.
const (
	FirstForward = provider.FirstForward
	LastForward  = provider.LastForward
	MaxForwards  = provider.MaxForwards
)

// CloudInit is what is to be done on a server's first boot, for orders without
// user data of their own.
type CloudInit = provider.CloudInit

// userData is what the order wants to run on first boot, whichever way it says so.
func (o CreateOrder) userData() (string, error) {
	text, err := o.CloudInit.UserData()
	switch {
	case err != nil:
		return "", bootError("cloud_init", err, "Its parts are runcmd, packages, package_update and package_upgrade.")
	case text == "":
		return o.UserData, nil
	case o.UserData != "":
		return "", invalid("cloud_init", "user_data is given too; choose one").
			Hinted("Leave cloud_init out and write it into user_data, or the other way round.")
	}
	return text, nil
}

// bootField is the input in which the order says what runs on first boot.
func (o CreateOrder) bootField() string {
	if o.UserData == "" {
		return "cloud_init"
	}
	return "user_data"
}

// bootError is a refusal of first-boot data in terms of the caller's input, with
// what to do about it.
func bootError(field string, err error, hint string, args ...any) error {
	var e *provider.Error
	if !errors.As(err, &e) || e.Kind != provider.Invalid {
		return fmt.Errorf("check the first-boot data: %w", err)
	}
	return invalid(field, "%s", e.Message).Hinted(hint, args...)
}

// checkBoot refuses first-boot data that the provider would not take
// together with Berth's own. The managed key may not exist yet; all of them
// have the same size.
func (f *Fleet) checkBoot(ctx context.Context, rx Rx, o CreateOrder, p parts) error {
	if err := provider.CheckForwards(o.Forwards); err != nil {
		return bootError("port_forwards", err, "At most %d ports of %d to %d can lead to others, each to one.",
			provider.MaxForwards, provider.FirstForward, provider.LastForward)
	}
	if p.userData == "" {
		return nil
	}
	if most := f.Catalog.Limits.UserDataBytes; len(p.userData) > most {
		return berth.Errorf(berth.TooLarge, "%s of %d bytes is more than %d", o.bootField(), len(p.userData), most).
			Hinted("Fetch larger files from a script.")
	}
	managed, err := rx.ManagedKey(ctx, o.Owner.ID)
	if isNotFound(err) {
		_, managed.PublicKey, err = newKeyPair(managedComment)
	}
	if err != nil {
		return fmt.Errorf("read the managed key: %w", err)
	}
	boot := provider.Boot{
		Hostname: sampleHostname, AuthorizedKeys: keyLines(managed, p.keys), UserData: []byte(p.userData), Forwards: o.Forwards,
	}
	if err := boot.Check(); err != nil {
		return bootError(o.bootField(), err,
			"%d bytes are left for user data beside what the server itself needs. Fetch larger files from a script.", boot.Room())
	}
	return nil
}

// sampleHostname is as long as the longest hostname of a server.
var sampleHostname = strings.Repeat("h", 63)

// keyLines are the authorized_keys lines of a server.
func keyLines(managed account.ManagedKey, keys []Key) []string {
	lines := []string{managed.PublicKey}
	for _, k := range keys {
		lines = append(lines, k.PublicKey)
	}
	return lines
}

// hostname is the server's label as a hostname.
func hostname(s Server) string {
	name := strings.Map(func(r rune) rune {
		if r == '_' || r == '.' {
			return '-'
		}
		return unicode.ToLower(r)
	}, s.Label)
	name = strings.Trim(name[:min(len(name), len(sampleHostname))], "-")
	if name == "" {
		return "server-" + s.ID.Hex()
	}
	return name
}
