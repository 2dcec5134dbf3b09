package main

import (
	"net"
	"os"
	"slices"
	"testing"
)

func TestPublicURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                                "",
		"https://berth.example.com":       "https://berth.example.com",
		"https://berth.example.com/":      "https://berth.example.com",
		"http://10.0.0.1:8080/agents":     "http://10.0.0.1:8080/agents",
		"berth.example.com":               "error",
		"//berth.example.com":             "error",
		"ftp://berth.example.com":         "error",
		"https://":                        "error",
		"https://u:p@berth.example.com":   "error",
		"https://berth.example.com/?a=b":  "error",
		"https://berth.example.com/#top":  "error",
		"https://berth.example.com:\x7f/": "error",
	} {
		got, err := settings{PublicURL: given}.publicURL()
		if (err != nil) != (want == "error") || err == nil && got != want {
			t.Errorf("%q: %q, %v; want %q", given, got, err, want)
		}
	}
}

// A proxy on the same machine passes on the name that agents use.
func TestPublicNames(t *testing.T) {
	t.Parallel()
	hosts, origins, err := settings{PublicURL: "https://berth.example.com:8443/agents"}.publicNames()
	if err != nil || !slices.Equal(hosts, []string{"berth.example.com"}) || !slices.Equal(origins, []string{"https://berth.example.com:8443"}) {
		t.Errorf("hosts %v, origins %v, %v", hosts, origins, err)
	}
	hosts, origins, err = settings{}.publicNames()
	if err != nil || hosts != nil || origins != nil {
		t.Errorf("without a public URL: hosts %v, origins %v, %v", hosts, origins, err)
	}
}

func TestDialable(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"[::]:8080": "localhost:8080", "0.0.0.0:80": "localhost:80", "127.0.0.1:8080": "127.0.0.1:8080", "[::1]:8080": "[::1]:8080", "10.1.2.3:1": "10.1.2.3:1",
	} {
		at, err := net.ResolveTCPAddr("tcp", given)
		if err != nil {
			t.Fatal(err)
		}
		if got := dialable(at); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

func TestOpenTo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for mode, want := range map[os.FileMode]bool{0o700: false, 0o500: false, 0o750: true, 0o755: true, 0o701: true, 0o777: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if got, others := openTo(dir); others != want || got != mode {
			t.Errorf("%o: %v, %o", mode, others, got)
		}
	}
	if err := os.Chmod(dir, 0o700); err != nil { // else it can't be removed
		t.Fatal(err)
	}
	if _, others := openTo(dir + "/none"); others {
		t.Error("a directory that there is not is open")
	}
}
