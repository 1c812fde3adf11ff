package service

import (
	"cmp"
	"runtime/debug"
	"strings"
)

// Build is what a program was built from, as the Go toolchain recorded it.
type Build struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	Commit  string `json:"commit,omitempty"`
	Time    string `json:"time,omitempty"` // of the commit
	Go      string `json:"go,omitempty"`
}

// ReadBuild reads it for a program of this name.
func ReadBuild(name string) Build {
	b := Build{Name: name}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Version, b.Go = info.Main.Version, info.GoVersion
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Time = s.Value
		}
	}
	return b
}

// String is the build on one line, such as: ingest v1.0.0, commit 798c0b4, go1.26.8.
func (b Build) String() string {
	parts := []string{b.Name + " " + cmp.Or(b.Version, "(devel)")}
	if b.Commit != "" {
		parts = append(parts, "commit "+b.Commit)
	}
	if b.Go != "" {
		parts = append(parts, b.Go)
	}
	return strings.Join(parts, ", ")
}
