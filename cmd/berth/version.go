package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// version is the release, or the commit, that the program was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}

// build tells two builds of the program apart without reading all of it: by the
// executable's size and time.
func build() string {
	path, err := os.Executable()
	if err != nil {
		return version()
	}
	info, err := os.Stat(path)
	if err != nil {
		return version()
	}
	return fmt.Sprintf("%s-%d-%d", version(), info.Size(), info.ModTime().UnixNano())
}
