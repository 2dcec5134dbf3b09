package sandbox

import (
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"
)

func TestAccountAndCatalog(t *testing.T) {
	r := newRig(t)
	account, _, err := r.client.Account.Get(t.Context())
	if err != nil || account.DropletLimit != defaultDropletLimit || account.Status != "active" || account.UUID == "" {
		t.Errorf("account %+v, %v", account, err)
	}
	regions, _, err := r.client.Regions.List(t.Context(), nil)
	if err != nil || len(regions) != len(places) {
		t.Errorf("regions %v, %v", regions, err)
	}
	sizes, _, err := r.client.Sizes.List(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	hourly := map[string]float64{"s-1vcpu-1gb": 0.00893, "s-2vcpu-2gb": 0.02679, "s-4vcpu-8gb": 0.07143, "gpu-h100x1-80gb": 3.39}
	for _, s := range sizes {
		if want, ok := hourly[s.Slug]; ok && s.PriceHourly != want {
			t.Errorf("%s costs %v an hour, want %v", s.Slug, s.PriceHourly, want)
		}
		for _, place := range s.Regions {
			if !strings.Contains(" "+strings.Join(sizesIn(regions, place), " ")+" ", " "+s.Slug+" ") {
				t.Errorf("%s is to be had in %s, which does not list it", s.Slug, place)
			}
		}
	}
}

func sizesIn(regions []godo.Region, slug string) []string {
	for _, r := range regions {
		if r.Slug == slug {
			return r.Sizes
		}
	}
	return nil
}

func TestImages(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "mine"))
	id := r.get(d.ID).SnapshotIDs[0]

	count := func(images []godo.Image, _ *godo.Response, err error) int {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return len(images)
	}
	all := count(r.client.Images.List(t.Context(), nil))
	base := count(r.client.Images.ListDistribution(t.Context(), nil))
	own := count(r.client.Images.ListUser(t.Context(), nil))
	if own != 1 || base < 2 || all != own+base {
		t.Errorf("%d images, of which %d distributions and %d own", all, base, own)
	}
	bySlug, _, err := r.client.Images.GetBySlug(t.Context(), "debian-12-x64")
	if err != nil || !bySlug.Public || bySlug.Distribution != "Debian" {
		t.Errorf("image by slug: %+v, %v", bySlug, err)
	}
	byID, _, err := r.client.Images.GetByID(t.Context(), bySlug.ID)
	if err != nil || byID.Slug != bySlug.Slug {
		t.Errorf("image by id: %+v, %v", byID, err)
	}
	renamed, _, err := r.client.Images.Update(t.Context(), id, &godo.ImageUpdateRequest{Name: "ours"})
	if err != nil || renamed.Name != "ours" || renamed.Type != "snapshot" {
		t.Errorf("renamed image: %+v, %v", renamed, err)
	}
	_, err = r.client.Images.Delete(t.Context(), bySlug.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	if _, err := r.client.Images.Delete(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.client.Images.GetByID(t.Context(), id)
	refused(t, err, http.StatusNotFound, msgNotFound)
}

func privateKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
}

// publicKey is a key that depends on the seed only.
func publicKey(t *testing.T, seed byte) string {
	t.Helper()
	key, err := ssh.NewPublicKey(privateKey(seed).Public())
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestKeys(t *testing.T) {
	r := newRig(t)
	line := publicKey(t, 1) + " me@home"
	key, _, err := r.client.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "mine", PublicKey: line})
	if err != nil || key.PublicKey != line || strings.Count(key.Fingerprint, ":") != 15 {
		t.Fatalf("key %+v, %v", key, err)
	}
	_, _, err = r.client.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "again", PublicKey: publicKey(t, 1)})
	refused(t, err, http.StatusUnprocessableEntity, msgKeyInUse)
	_, _, err = r.client.Keys.Create(t.Context(), &godo.KeyCreateRequest{Name: "bad", PublicKey: "ssh-rsa nonsense"})
	refused(t, err, http.StatusUnprocessableEntity, "Key invalid, it must be one line such as: ssh-ed25519 AAAA… comment")

	if got, _, err := r.client.Keys.GetByFingerprint(t.Context(), key.Fingerprint); err != nil || got.ID != key.ID {
		t.Errorf("by fingerprint: %v, %v", got, err)
	}
	if got, _, err := r.client.Keys.UpdateByID(t.Context(), key.ID, &godo.KeyUpdateRequest{Name: "ours"}); err != nil || got.Name != "ours" {
		t.Errorf("renamed: %v, %v", got, err)
	}
	d := r.create("x", func(req *godo.DropletCreateRequest) {
		req.SSHKeys = []godo.DropletCreateSSHKey{{ID: key.ID}, {Fingerprint: key.Fingerprint}}
	})
	if got := r.machines.machine(d.ID).spec.AuthorizedKeys; len(got) != 2 || got[0] != line {
		t.Errorf("the machine got keys %q", got)
	}
	if _, err := r.client.Keys.DeleteByFingerprint(t.Context(), key.Fingerprint); err != nil {
		t.Fatal(err)
	}
	_, _, err = r.client.Keys.GetByID(t.Context(), key.ID)
	refused(t, err, http.StatusNotFound, msgNotFound)
	if all, _, err := r.client.Keys.List(t.Context(), nil); err != nil || len(all) != 0 {
		t.Errorf("keys %v, %v", all, err)
	}
}

func TestTags(t *testing.T) {
	r := newRig(t)
	d := r.create("x", func(req *godo.DropletCreateRequest) { req.Tags = []string{"made:here"} })
	if _, _, err := r.client.Tags.Create(t.Context(), &godo.TagCreateRequest{Name: "late"}); err != nil {
		t.Fatal(err)
	}
	on := []godo.Resource{{ID: r.machines.machine(d.ID).spec.ID, Type: godo.DropletResourceType}}
	if _, err := r.client.Tags.TagResources(t.Context(), "late", &godo.TagResourcesRequest{Resources: on}); err != nil {
		t.Fatal(err)
	}
	all, _, err := r.client.Tags.List(t.Context(), nil)
	if err != nil || len(all) != 2 {
		t.Fatalf("tags %v, %v", all, err)
	}
	if tag, _, err := r.client.Tags.Get(t.Context(), "late"); err != nil || tag.Resources.Droplets.Count != 1 {
		t.Errorf("tag %+v, %v", tag, err)
	}
	if got := r.get(d.ID).Tags; len(got) != 2 {
		t.Errorf("the droplet's tags: %v", got)
	}
	if _, err := r.client.Tags.UntagResources(t.Context(), "made:here", &godo.UntagResourcesRequest{Resources: on}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Tags.Delete(t.Context(), "late"); err != nil {
		t.Fatal(err)
	}
	if got := r.get(d.ID).Tags; len(got) != 0 {
		t.Errorf("the droplet's tags: %v", got)
	}
	missing := []godo.Resource{{ID: "999", Type: godo.DropletResourceType}}
	_, err = r.client.Tags.TagResources(t.Context(), "made:here", &godo.TagResourcesRequest{Resources: append(on, missing...)})
	refused(t, err, http.StatusNotFound, msgNotFound)
	if got := r.get(d.ID).Tags; len(got) != 0 {
		t.Errorf("a refused request tagged the droplet: %v", got)
	}
}

func TestUnusedTagsMakeRoom(t *testing.T) {
	s := state{Tags: map[string]*tagRow{}, Droplets: map[int]*dropletRow{1: {Tags: []string{"t0"}}}}
	for i := range maxTags + 10 {
		name := "t" + string(rune('0'+i%10)) + strings.Repeat("x", i/10%200) + strings.Repeat("y", i/2000)
		if i == 0 {
			name = "t0"
		}
		if err := s.addTags([]string{name}, testTime.Add(ticks(i))); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.Tags) > maxTags || s.Tags["t0"] == nil {
		t.Errorf("%d tags are kept, the one in use: %v", len(s.Tags), s.Tags["t0"])
	}
}
