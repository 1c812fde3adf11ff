package main

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// Where things are in an image.
const (
	authoritiesPath = "etc/ssl/certs/ca-certificates.crt"
	zonesPath       = "usr/share/zoneinfo.zip"
	sbomPath        = "usr/share/sbom.cdx.json"

	nobody = "65532:65532"
)

// file is one of an image: owned by root, changed by nobody.
type file struct {
	path    string
	mode    int64
	content []byte
}

// imageOf makes the image of a program from its binary.
func imageOf(program, binary, version string, from revision) (v1.Image, error) {
	authorities, err := certificateAuthorities()
	if err != nil {
		return nil, err
	}
	zones, err := timeZones()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.Read(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	built, err := sbom(info, program, version)
	if err != nil {
		return nil, err
	}
	base, err := layer(from, file{authoritiesPath, 0o444, authorities}, file{zonesPath, 0o444, zones})
	if err != nil {
		return nil, err
	}
	own, err := layer(from, file{program, 0o555, content}, file{sbomPath, 0o444, built})
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(empty.Image, base, own)
	if err != nil {
		return nil, err
	}
	return configured(image, program, version, info, from)
}

func configured(image v1.Image, program, version string, info *buildinfo.BuildInfo, from revision) (v1.Image, error) {
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	for _, s := range info.Settings {
		if s.Key == "GOARCH" {
			config.Architecture = s.Value
		}
	}
	config.Created = v1.Time{Time: from.at}
	config.Config = v1.Config{
		Entrypoint: []string{"/" + program}, User: nobody, WorkingDir: "/",
		Env: []string{"ZONEINFO=/" + zonesPath, "SSL_CERT_FILE=/" + authoritiesPath},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "casdelius-" + program,
			"org.opencontainers.image.version":  version,
			"org.opencontainers.image.revision": from.hash,
			"org.opencontainers.image.created":  from.at.Format("2006-01-02T15:04:05Z07:00"),
			"org.opencontainers.image.licenses": "MIT",
			"sbom":                              "/" + sbomPath,
		},
	}
	if program != "sandbox" {
		config.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}}
	}
	return mutate.ConfigFile(image, config)
}

// layer is a layer with files and the folders above them, all from the time of the commit.
func layer(from revision, files ...file) (v1.Layer, error) {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	folders := map[string]bool{".": true}
	add := func(h tar.Header, content []byte) error {
		h.ModTime, h.Format, h.Size = from.at, tar.FormatPAX, int64(len(content))
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err := w.Write(content)
		return err
	}
	for _, f := range files {
		var above []string
		for dir := filepath.Dir(f.path); !folders[dir]; dir = filepath.Dir(dir) {
			folders[dir] = true
			above = append([]string{dir}, above...)
		}
		for _, dir := range above {
			if err := add(tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}, nil); err != nil {
				return nil, err
			}
		}
		if err := add(tar.Header{Typeflag: tar.TypeReg, Name: f.path, Mode: f.mode}, f.content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(archive.Bytes())), nil })
}

// certificateAuthorities are Mozilla's, as the Go project pins them, without those that count only
// for certificates of before some day: a PEM file has no place for that.
func certificateAuthorities() ([]byte, error) {
	var all bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue
		}
		if err := pem.Encode(&all, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	return all.Bytes(), nil
}

// timeZones are those that come with Go.
func timeZones() ([]byte, error) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask for Go's folder: %w", err)
	}
	return os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "time", "zoneinfo.zip"))
}

// sbom lists what a program was built from: Go itself, and every module that is in it.
func sbom(info *buildinfo.BuildInfo, program, version string) ([]byte, error) {
	if len(info.Deps) == 0 {
		return nil, errors.New("the binary says nothing of its modules")
	}
	list := cyclonedx.NewBOM()
	list.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		Type: cyclonedx.ComponentTypeApplication, Name: "casdelius-" + program, Version: version,
		Licenses: &cyclonedx.Licenses{{License: &cyclonedx.License{ID: "MIT"}}},
	}}
	modules := []cyclonedx.Component{{Type: cyclonedx.ComponentTypeLibrary, Name: "stdlib", Version: info.GoVersion, PackageURL: "pkg:golang/stdlib@" + strings.TrimPrefix(info.GoVersion, "go")}}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		modules = append(modules, cyclonedx.Component{Type: cyclonedx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: "pkg:golang/" + m.Path + "@" + m.Version})
	}
	list.Components = &modules
	var out bytes.Buffer
	err := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).Encode(list)
	return out.Bytes(), err
}
