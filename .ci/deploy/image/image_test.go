package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"
)

const root = "../../.."

// extract writes an image's files below a folder, as a runtime does, and gives their modes.
func extract(t *testing.T, image v1.Image, dir string) map[string]int64 {
	t.Helper()
	modes := map[string]int64{}
	files := mutate.Extract(image)
	defer files.Close()
	for archive := tar.NewReader(files); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return modes
		}
		require.NoError(t, err)
		require.Zero(t, h.Uid, h.Name)
		path := filepath.Join(dir, h.Name)
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(path, 0o755))
			continue
		}
		content, err := io.ReadAll(archive)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, content, 0o755))
		modes[h.Name] = h.Mode
	}
}

// An image goes into a registry and comes back, and what is in it runs. It catches a binary that
// needs a C library, a program that runs as root, and an image without certificate authorities,
// time zones or the list of its parts.
func TestAnImageComesBackFromARegistryAndRuns(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	ctx := context.Background()
	from, err := commit(ctx, root)
	require.NoError(t, err)
	binary, err := build(ctx, root, t.TempDir(), "ingest")
	require.NoError(t, err)
	made, err := imageOf("ingest", binary, "1.2.3", from)
	require.NoError(t, err)
	host := strings.TrimPrefix(server.URL, "http://")
	require.NoError(t, deliver(ctx, made, "ingest", t.TempDir(), host, "1.2.3"))

	reference, err := name.NewTag(host + "/casdelius-ingest:1.2.3")
	require.NoError(t, err)
	image, err := remote.Image(reference)
	require.NoError(t, err)
	again, err := imageOf("ingest", binary, "1.2.3", from)
	require.NoError(t, err)
	want, err := again.Digest()
	require.NoError(t, err)
	digest, err := image.Digest()
	require.NoError(t, err)
	require.Equal(t, want, digest, "made twice, it is the same")

	config, err := image.ConfigFile()
	require.NoError(t, err)
	require.Equal(t, "65532:65532", config.Config.User)
	require.Equal(t, []string{"/ingest"}, config.Config.Entrypoint)
	require.Equal(t, "1.2.3", config.Config.Labels["org.opencontainers.image.version"])
	require.Equal(t, from.hash, config.Config.Labels["org.opencontainers.image.revision"])

	dir := t.TempDir()
	require.Equal(t, map[string]int64{"ingest": 0o555, authoritiesPath: 0o444, zonesPath: 0o444, sbomPath: 0o444}, extract(t, image, dir))
	program := exec.Command(filepath.Join(dir, "ingest"), "--version")
	program.Env = []string{} // as in an image: nothing but what it sets
	said, err := program.CombinedOutput()
	require.NoError(t, err, "%s", said)
	require.Contains(t, string(said), "ingest")
	static, err := exec.Command("go", "version", "-m", filepath.Join(dir, "ingest")).Output()
	require.NoError(t, err)
	require.Contains(t, string(static), "CGO_ENABLED=0")

	authorities, err := os.ReadFile(filepath.Join(dir, authoritiesPath))
	require.NoError(t, err)
	require.True(t, x509.NewCertPool().AppendCertsFromPEM(authorities))
	require.Greater(t, bytes.Count(authorities, []byte("BEGIN CERTIFICATE")), 100)
	zones, err := zip.OpenReader(filepath.Join(dir, zonesPath))
	require.NoError(t, err)
	defer func() { _ = zones.Close() }()
	_, err = zones.Open("Europe/London")
	require.NoError(t, err)

	list, err := os.Open(filepath.Join(dir, sbomPath))
	require.NoError(t, err)
	defer func() { _ = list.Close() }()
	var bom cyclonedx.BOM
	require.NoError(t, cyclonedx.NewBOMDecoder(list, cyclonedx.BOMFileFormatJSON).Decode(&bom))
	versions := map[string]string{}
	for _, c := range *bom.Components {
		versions[c.Name] = c.Version
	}
	wanted, err := exec.Command("go", "list", "-C", root, "-m", "-f", "{{.Version}}", "github.com/nats-io/nats.go").Output()
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(wanted)), versions["github.com/nats-io/nats.go"])
	require.Contains(t, versions, "stdlib")
}
