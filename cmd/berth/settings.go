package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"berth"
	"berth/billing"
	"berth/ops"
)

// where names the data directory; every command that works on one has it.
type where struct {
	Data string `help:"Folder of the database, the sandbox and the keys. Default: berth/ in the user's data directory." env:"BERTH_DATA" placeholder:"DIR"`
}

// settings configure the process that holds the state.
type settings struct {
	where
	Listen          string         `help:"Address to serve HTTP on." env:"BERTH_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDR"`
	Database        string         `help:"Database file. Default: berth.db in the data directory." env:"BERTH_DATABASE" placeholder:"FILE"`
	PublicURL       string         `name:"public-url" help:"URL by which agents reach this server. Default: as each request names it." env:"BERTH_PUBLIC_URL" placeholder:"URL"`
	Catalog         string         `help:"Price list (YAML) instead of the built-in one." env:"BERTH_CATALOG" placeholder:"FILE" type:"path"`
	Budget          string         `help:"USD that the local principal may ever spend. Default: 10.00, or what it was given before." env:"BERTH_BUDGET" placeholder:"USD"`
	Devchain        string         `help:"URL of a berth-devchain: wallets pay with play money, over x402." env:"BERTH_DEVCHAIN" placeholder:"URL"`
	WithdrawMinimum string         `name:"withdraw-minimum" help:"USD that a wallet takes back at least." env:"BERTH_WITHDRAW_MINIMUM" default:"0.10" placeholder:"USD"`
	WithdrawDaily   string         `name:"withdraw-daily" help:"USD of its unspent credit that each wallet may take back in 24 hours. Default: none." env:"BERTH_WITHDRAW_DAILY" default:"0" placeholder:"USD"`
	TrustedProxies  []netip.Prefix `name:"trusted-proxies" help:"Networks of the proxies in front of Berth, such as 10.0.0.0/8: what they say in X-Forwarded-For tells clients apart." env:"BERTH_TRUSTED_PROXIES" placeholder:"NET,…"`
	Contact         string         `help:"How agents reach you, shown in the documentation: an e-mail address or a URL." env:"BERTH_CONTACT" placeholder:"TEXT"`
	RateLimit       int            `name:"rate-limit" help:"HTTP requests per second and address, with bursts of five seconds' worth; 0 for no limit." env:"BERTH_RATE_LIMIT" default:"100"`
	LogLevel        string         `name:"log-level" help:"debug, info, warn or error." env:"BERTH_LOG_LEVEL" default:"info" enum:"debug,info,warn,error"`
	LogFormat       string         `name:"log-format" help:"text or json." env:"BERTH_LOG_FORMAT" default:"text" enum:"text,json"`
}

// secretsFromEnvironment are the settings that have no flag: the command line
// of a process can be read by others on the machine.
type secretsFromEnvironment struct {
	digitalOceanToken string
	digitalOceanURL   string
	digitalOceanSSH   string
	masterKey         string
	rails             railSettings
}

func environment() secretsFromEnvironment {
	return secretsFromEnvironment{
		digitalOceanToken: os.Getenv("DIGITALOCEAN_TOKEN"),
		digitalOceanURL:   os.Getenv("BERTH_DIGITALOCEAN_URL"),
		digitalOceanSSH:   os.Getenv("BERTH_DIGITALOCEAN_SSH_PORT"),
		masterKey:         os.Getenv("BERTH_MASTER_KEY"),
		rails:             railEnvironment(),
	}
}

// folder is the data directory, made if absent and closed to others.
func (w where) folder() (string, error) {
	dir := w.Data
	if dir == "" {
		base := os.Getenv("XDG_DATA_HOME")
		if base == "" {
			home, err := os.UserHomeDir()
			if err != nil {
				return "", fmt.Errorf("no home directory to keep data in; name one with --data: %w", err)
			}
			base = filepath.Join(home, ".local", "share")
		}
		dir = filepath.Join(base, "berth")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make the data directory: %w", err)
	}
	return dir, nil
}

// openTo tells whether others on the machine can look into a directory.
func openTo(dir string) (mode fs.FileMode, others bool) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, false // what opens files in it says so
	}
	return info.Mode().Perm(), info.Mode().Perm()&0o077 != 0
}

// publicNames are the host name and the origin of the public URL, by which
// hosts reach /mcp through a proxy on this machine. There are none without it.
func (s settings) publicNames() (hosts, origins []string, err error) {
	public, err := s.publicURL()
	if err != nil || public == "" {
		return nil, nil, err
	}
	u, err := url.Parse(public)
	if err != nil {
		return nil, nil, err
	}
	return []string{u.Hostname()}, []string{u.Scheme + "://" + u.Host}, nil
}

// publicURL is the URL by which agents reach this server, without a slash at its
// end; empty where each request names it.
func (s settings) publicURL() (string, error) {
	if s.PublicURL == "" {
		return "", nil
	}
	u, err := url.Parse(s.PublicURL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("--public-url: %q is no absolute http(s) URL such as https://berth.example.com", s.PublicURL)
	}
	return strings.TrimSuffix(s.PublicURL, "/"), nil
}

// firstBudget is the local principal's where nobody has said otherwise.
const firstBudget = 10 * berth.Dollar

// budget is the local principal's, and whether somebody has asked for it.
func (s settings) budget() (amount berth.Micros, explicit bool, err error) {
	if s.Budget == "" {
		return firstBudget, false, nil
	}
	amount, err = berth.ParseMicros(s.Budget)
	if err == nil && amount < 0 {
		err = errors.New("must not be negative")
	}
	if err != nil {
		return 0, false, fmt.Errorf("--budget: %w", err)
	}
	return amount, true, nil
}

// withdrawals say what wallets may take back.
func (s settings) withdrawals() (w ops.Withdrawals, err error) {
	for _, f := range []struct {
		flag, text string
		into       *berth.Micros
	}{{"withdraw-minimum", s.WithdrawMinimum, &w.Minimum}, {"withdraw-daily", s.WithdrawDaily, &w.Daily}} {
		if f.text == "" {
			continue
		}
		if *f.into, err = berth.ParseMicros(f.text); err == nil && *f.into < 0 {
			err = errors.New("must not be negative")
		}
		if err != nil {
			return w, fmt.Errorf("--%s: %w", f.flag, err)
		}
	}
	return w, nil
}

func (s settings) databasePath(dir string) (string, error) {
	switch {
	case s.Database == "":
		return filepath.Join(dir, "berth.db"), nil
	case strings.Contains(s.Database, "://"):
		return "", errors.New("only a database file can be used so far; leave --database out, or name a file")
	}
	return filepath.Abs(s.Database)
}

func (s settings) catalog() (*billing.Catalog, error) {
	if s.Catalog == "" {
		return billing.DefaultCatalog(), nil
	}
	f, err := os.Open(s.Catalog)
	if err != nil {
		return nil, fmt.Errorf("open the catalog: %w", err)
	}
	defer f.Close()
	c, err := billing.LoadCatalog(f)
	if err != nil {
		return nil, fmt.Errorf("the catalog %s: %w", s.Catalog, err)
	}
	return c, nil
}

func (s settings) logger(to io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if s.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, o))
	}
	return slog.New(slog.NewTextHandler(to, o))
}
